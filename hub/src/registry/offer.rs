//! A controller's offer, read from its catalogue.

use super::{national::Part, statistics::TableStatistics};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policies::{disclosure::Threshold, zone::Zone};
use proto::{
    blind::MAX_MEMBERS,
    ids::{ControllerId, PermitId, ProjectId, TableName},
    refusal::Refusal,
    schema, wire,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Columns that one table may have.
const MAX_COLUMNS: usize = 4096;
/// The longest public id of a project key.
const MAX_KEY_ID: usize = 128;
/// Controllers that one permit may name for key lists.
const MAX_RECEIVERS: usize = 1024;
/// Ways of compressing that one controller may offer.
const MAX_WAYS: usize = 16;
/// Tables that one controller may offer.
const MAX_TABLES: usize = 4096;

/// Under which permit, and with which project key, a controller offers its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// the permit, as the spoke names it
    pub permit: Option<PermitId>,
    /// of the project key that the pseudonyms are made with
    pub epoch: Option<u32>,
    /// public id of that key; differs when two spokes hold different keys
    pub key_id: String,
    /// the permit demands the user's own signature over each fragment
    pub client_signature: bool,
    /// controllers that may learn which of this controller's people are in a cohort
    pub key_lists_to: Vec<ControllerId>,
    /// how it can compress its answers
    pub compresses: Vec<wire::Compression>,
    /// nothing leaves but shares of totals over this set
    pub blind: Option<BlindSet>,
    /// nothing leaves but cells that the spoke itself has checked, of this many people at least
    pub checked: Option<u32>,
    /// the least people that a number may be about, whoever looks at it; 0: the platform's, as of a spoke that tells none
    pub threshold: u32,
    /// people are counted here without a project, and nothing else is answered
    pub quick: Option<QuickSet>,
}

/// What a controller's standing permit for quick tests counts by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuickSet {
    /// table and column
    pub by: BTreeSet<(String, String)>,
    /// smallest number of people shown; 0: the platform's
    pub threshold: u32,
}

/// Over whom a project's blind totals are, as a controller's permit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindSet {
    /// ascending
    pub members: Vec<ControllerId>,
    /// the custodian's public sealing key, hex
    pub custodian: String,
}

/// One table, as a controller offers it to a project.
#[derive(Debug)]
pub struct TableOffer {
    /// whose it is
    pub controller: ControllerId,
    /// its name
    pub name: TableName,
    /// its columns, with roles and descriptions in the fields' metadata
    pub schema: SchemaRef,
    /// version of the published table
    pub snapshot: i64,
    /// what its spoke tells of its rows, for planning
    pub statistics: TableStatistics,
    /// the spoke refuses to answer for a table that looks otherwise
    pub fingerprint: Vec<u8>,
    /// under which permit
    pub terms: Arc<Terms>,
    /// the members' tables, when it is a national one
    pub parts: Vec<Part>,
    /// whether it is declared that no person is in two members' rows; not to be believed
    pub disjoint: bool,
    /// members that can't be asked and are left out, in a request that allows it
    pub left_out: Vec<ControllerId>,
}

impl TableOffer {
    /// The least people that a number made of it may be about: of a national table, what the strictest of its members asks for.
    #[must_use]
    pub fn least(&self) -> Threshold {
        let members = self.parts.iter().map(|part| part.offer.least());
        let told = self.terms.threshold.max(self.terms.checked.unwrap_or_default());
        members.fold(Threshold::DEFAULT.raised_to(told.into()), Threshold::max)
    }
}

/// What a controller answers to a project.
#[derive(Debug, Clone)]
pub enum Offer {
    /// these tables
    Tables(Arc<BTreeMap<TableName, Arc<TableOffer>>>),
    /// nothing for this project and user
    Nothing,
    /// it could not be asked; whoever names its tables reads this
    Down(Refusal),
}

/// What all controllers of a project offer.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// the project
    pub project: ProjectId,
    /// by controller; national tables under `national`
    pub offers: BTreeMap<ControllerId, Offer>,
    /// national tables that can't be used at the moment, and why
    pub broken: BTreeMap<TableName, Refusal>,
}

impl Catalogue {
    pub(super) fn new(project: ProjectId, offers: Vec<(ControllerId, Offer)>) -> Self {
        Self { project, offers: offers.into_iter().collect(), broken: BTreeMap::new() }
    }

    /// Whether a controller demands the user's own signature over what it is asked.
    #[must_use]
    pub fn demands_signature(&self) -> bool {
        self.tables().any(|table| table.terms.client_signature)
    }

    /// All tables that are offered.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableOffer>> {
        self.offers
            .values()
            .filter_map(|offer| match offer {
                Offer::Tables(tables) => Some(tables.values()),
                Offer::Nothing | Offer::Down(_) => None,
            })
            .flatten()
    }
}

/// The tables of a reply, or what is wrong with it.
pub(super) fn tables(
    controller: &ControllerId,
    zone: Zone,
    reply: &wire::CatalogueReply,
) -> Result<Arc<BTreeMap<TableName, Arc<TableOffer>>>, &'static str> {
    if reply.controller != controller.as_ref() {
        return Err("it is another controller's");
    }
    if reply.tables.len() > MAX_TABLES {
        return Err("it has too many tables");
    }
    let most = Zone::from_wire(reply.zone).ok_or("it states no zone")?;
    let terms = Arc::new(terms(reply)?);
    let mut all = BTreeMap::new();
    if most < zone {
        return Ok(Arc::new(all));
    }
    for entry in &reply.tables {
        let name: TableName = entry.name.parse().map_err(|_| "a table's name is not valid")?;
        let offer = TableOffer {
            controller: controller.clone(),
            schema: Arc::new(columns(entry)?),
            name: name.clone(),
            snapshot: entry.snapshot,
            statistics: TableStatistics::told(entry),
            fingerprint: entry.schema_fingerprint.clone(),
            terms: Arc::clone(&terms),
            parts: Vec::new(),
            disjoint: false,
            left_out: Vec::new(),
        };
        if all.insert(name, Arc::new(offer)).is_some() {
            return Err("a table stands there twice");
        }
    }
    Ok(Arc::new(all))
}

fn terms(reply: &wire::CatalogueReply) -> Result<Terms, &'static str> {
    let permit = match reply.permit.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| "its permit's name is none")?),
    };
    if reply.key_id.len() > MAX_KEY_ID || !reply.key_id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("its project key's name is none");
    }
    let receivers = reply.key_lists_to.iter().take(MAX_RECEIVERS + 1).map(|name| name.parse());
    let key_lists_to =
        receivers.collect::<Result<Vec<_>, _>>().map_err(|_| "a receiver of key lists is no controller")?;
    if key_lists_to.len() > MAX_RECEIVERS {
        return Err("it names too many receivers of key lists");
    }
    Ok(Terms {
        key_lists_to,
        permit,
        epoch: (reply.epoch > 0).then_some(reply.epoch),
        key_id: reply.key_id.clone(),
        client_signature: reply.client_signature,
        blind: reply.blind.as_ref().map(blind).transpose()?,
        checked: reply.checked.as_ref().map(|cells| cells.threshold),
        threshold: reply.threshold,
        quick: reply.quick.as_ref().map(|set| quick(set, &reply.controller)).transpose()?,
        compresses: reply.compresses().filter(|way| *way != wire::Compression::Unspecified).take(MAX_WAYS).collect(),
    })
}

fn quick(set: &wire::QuickSet, controller: &str) -> Result<QuickSet, &'static str> {
    if set.by.len() > MAX_COLUMNS || set.by.iter().any(|column| column.controller != controller) {
        return Err("what its people may be counted by can't be read");
    }
    let by = set.by.iter().map(|column| (column.table.clone(), column.column.clone()));
    Ok(QuickSet { by: by.collect(), threshold: set.threshold })
}

fn blind(set: &wire::BlindSet) -> Result<BlindSet, &'static str> {
    let members = set.members.iter().take(MAX_MEMBERS + 1).map(|name| name.parse());
    let members: Vec<ControllerId> =
        members.collect::<Result<_, _>>().map_err(|_| "a member of its blind totals is no controller")?;
    let ascending = members.windows(2).all(|pair| pair.first() < pair.last());
    if members.len() > MAX_MEMBERS || !ascending || set.custodian.len() != 64 {
        return Err("the set of its blind totals can't be read");
    }
    Ok(BlindSet { members, custodian: set.custodian.clone() })
}

fn columns(entry: &wire::TableEntry) -> Result<Schema, &'static str> {
    let sent = schema::from_bytes(&entry.arrow_schema).map_err(|_| "a table's schema can't be read")?;
    if sent.fields().len() != entry.columns.len() {
        return Err("a table's schema and columns differ in number");
    }
    if entry.columns.len() > MAX_COLUMNS {
        return Err("a table has too many columns");
    }
    let mut fields = Vec::with_capacity(entry.columns.len());
    for (field, column) in sent.fields().iter().zip(&entry.columns) {
        if *field.name() != column.name {
            return Err("a table's schema and columns differ");
        }
        if fields.iter().any(|before: &Field| before.name() == field.name()) {
            return Err("a column stands there twice");
        }
        let mut metadata = field.metadata().clone();
        let role = match wire::ColumnRole::try_from(column.role) {
            Ok(wire::ColumnRole::Value) => None,
            Ok(wire::ColumnRole::Person) => Some(schema::PERSON),
            Ok(wire::ColumnRole::Key) => Some(schema::KEY),
            Ok(wire::ColumnRole::Unspecified) | Err(_) => return Err("a column states no role"),
        };
        if role.is_some() && *field.data_type() != DataType::FixedSizeBinary(16) {
            return Err("a person or key column is not 16 bytes wide");
        }
        // What a column is must not depend on which of the two descriptions one reads.
        metadata.remove(schema::ROLE);
        let description = column.description.clone().unwrap_or_default();
        for (key, value) in [
            (schema::ROLE, role.unwrap_or_default()),
            (schema::UNIT, &column.unit),
            (schema::CODES, &column.code_system),
            (schema::DA, &description.da),
            (schema::EN, &description.en),
        ] {
            if !value.is_empty() {
                metadata.insert(key.to_owned(), value.to_owned());
            }
        }
        let plain = schema::plain(field.data_type());
        fields.push(field.as_ref().clone().with_data_type(plain).with_metadata(metadata));
    }
    // The schema's own metadata says whether the table is about people.
    Ok(Schema::new_with_metadata(fields, sent.metadata().clone()))
}
