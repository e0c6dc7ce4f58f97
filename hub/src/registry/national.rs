//! National tables: one logical table over the tables that several controllers publish alike.
//!
//! A project sees those members whose tables its permits offer, under schema `national`, with a column `controller`.
//!
//! INVARIANT: a national table holds what its members offer to this project, user and zone, and nothing else. A member
//! that can't be asked is an error that names it; in a request that allows partial answers, the table names it as left out. It is
//! never a smaller table in silence.

pub mod declare;

use super::{Catalogue, Offer, TableOffer, TableStatistics};
use arrow::datatypes::{DataType, Field, Schema};
use declare::{CONTROLLER, Column, Kind, National, NationalError, Persons, SCHEMA, Source};
use proto::{
    ids::{ControllerId, TableName},
    refusal::{Kind as Why, Refusal},
    schema,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The declared tables.
#[derive(Debug, Default)]
pub struct Nationals(BTreeMap<TableName, National>);

/// What one member contributes.
#[derive(Debug)]
pub struct Part {
    /// its table
    pub offer: Arc<TableOffer>,
    /// for each column of the national table but the last (`controller`), where its values come from
    pub sources: Vec<Source>,
}

impl Nationals {
    /// Reads the declarations below the hub's folder.
    ///
    /// # Errors
    /// When one can't be used.
    pub fn load(folder: &Path) -> Result<Self, NationalError> {
        declare::load(&folder.join(SCHEMA)).map(Self)
    }

    /// Adds the national tables to what the controllers of a project offer. `partial`: members that can't be asked may be left
    /// out.
    pub(super) fn add(&self, catalogue: &mut Catalogue, partial: bool) {
        let Ok(name) = SCHEMA.parse::<ControllerId>() else { return };
        // A controller of that name would be taken for all of them.
        if self.0.is_empty() || catalogue.offers.contains_key(&name) {
            return;
        }
        let mut tables = BTreeMap::new();
        for (table, national) in &self.0 {
            match offer(&name, table, national, catalogue, partial) {
                Ok(Some(offer)) => drop(tables.insert(table.clone(), Arc::new(offer))),
                Ok(None) => {}
                Err(refusal) => drop(catalogue.broken.insert(table.clone(), refusal)),
            }
        }
        if !tables.is_empty() || !catalogue.broken.is_empty() {
            catalogue.offers.insert(name, Offer::Tables(Arc::new(tables)));
        }
    }
}

/// The table over the members that this project has; `None`: it has none of them.
fn offer(
    schema_name: &ControllerId,
    table: &TableName,
    national: &National,
    catalogue: &Catalogue,
    partial: bool,
) -> Result<Option<TableOffer>, Refusal> {
    let mut present = Vec::new();
    let mut down = Vec::new();
    for member in &national.members {
        match catalogue.offers.get(&member.controller) {
            None | Some(Offer::Nothing) => {}
            Some(Offer::Down(refusal)) if !partial => return Err(refusal.clone()),
            Some(Offer::Down(refusal)) => down.push((member.controller.clone(), refusal)),
            Some(Offer::Tables(tables)) => {
                present.extend(tables.get(member.table.as_ref().unwrap_or(table)).map(|offer| (member, offer)));
            }
        }
    }
    let Some((_, first)) = present.first() else {
        // Of nobody's rows there is no part either.
        return down.first().map_or(Ok(None), |(_, refusal)| Err(Refusal::clone(refusal)));
    };
    let mut fields = Vec::new();
    let mut kept = Vec::new();
    for column in &national.columns {
        // A column that a permit leaves out, or a controller doesn't publish, is not there for this project.
        let all = present.iter().all(|(member, offer)| {
            let source = member.columns.get(&column.name).cloned().unwrap_or_default();
            source.missing || offer.schema.field_with_name(source.from.as_ref().unwrap_or(&column.name)).is_ok()
        });
        if all {
            fields.push(field(column));
            kept.push(column);
        }
    }
    let controller = "whose the row is";
    let said = [(schema::EN.to_owned(), controller.to_owned()), (schema::DA.to_owned(), "dataansvarlig".to_owned())];
    fields.push(Field::new(CONTROLLER, DataType::Utf8, false).with_metadata(said.into_iter().collect()));
    // Of tables without people alone comes one without people.
    let reference =
        |offer: &TableOffer| offer.schema.metadata().get(schema::TABLE_ROLE).is_some_and(|r| r == schema::REFERENCE);
    let role = if present.iter().all(|(_, offer)| reference(offer)) {
        [(schema::TABLE_ROLE.to_owned(), schema::REFERENCE.to_owned())].into()
    } else {
        std::collections::HashMap::new()
    };
    let mut parts = Vec::with_capacity(present.len());
    for (member, offer) in &present {
        let mut sources = Vec::with_capacity(kept.len());
        for column in &kept {
            let source = member.columns.get(&column.name).cloned().unwrap_or_default();
            fits(column, &source, offer)?;
            sources.push(source);
        }
        parts.push(Part { offer: Arc::clone(offer), sources });
    }
    Ok(Some(TableOffer {
        controller: schema_name.clone(),
        name: table.clone(),
        schema: Arc::new(Schema::new_with_metadata(fields, role)),
        snapshot: 0,
        // Never asked for: the members' own count, once it is taken apart.
        statistics: TableStatistics {
            rows: present.iter().map(|(_, offer)| offer.statistics.rows).sum(),
            bytes: present.iter().map(|(_, offer)| offer.statistics.bytes).sum(),
            ..TableStatistics::default()
        },
        fingerprint: Vec::new(),
        terms: Arc::clone(&first.terms),
        parts,
        disjoint: national.persons == Persons::Disjoint,
        left_out: down.into_iter().map(|(controller, _)| controller).collect(),
    }))
}

/// Pseudonyms come from pseudonyms, and values from values: a declaration must not make an identifier a value.
fn fits(column: &Column, source: &Source, offer: &TableOffer) -> Result<(), Refusal> {
    if source.missing {
        return Ok(());
    }
    let from = source.from.as_ref().unwrap_or(&column.name);
    let Ok(field) = offer.schema.field_with_name(from) else { return Ok(()) };
    let role = field.metadata().get(schema::ROLE).map(String::as_str);
    let wanted = match column.kind {
        Kind::Person => Some(schema::PERSON),
        Kind::Key => Some(schema::KEY),
        _ => None,
    };
    if role == wanted {
        return Ok(());
    }
    tracing::error!(controller = %offer.controller, table = %offer.name, column = %from, "a national table doesn't fit");
    Err(Refusal::new(
        Why::Unavailable,
        format!(
            "the national table doesn't fit what '{}' publishes: column '{from}' is of another kind there. Ask the hub's \
             operator to mend its declaration, or name the controllers' own tables",
            offer.controller
        ),
    ))
}

fn field(column: &Column) -> Field {
    let role = match column.kind {
        Kind::Person => schema::PERSON,
        Kind::Key => schema::KEY,
        _ => "",
    };
    let metadata = [
        (schema::ROLE, role),
        (schema::UNIT, &column.unit),
        (schema::CODES, &column.codes),
        (schema::DA, &column.description_da),
        (schema::EN, &column.description_en),
    ];
    let metadata = metadata.into_iter().filter(|(_, value)| !value.is_empty());
    Field::new(&column.name, column.kind.data_type(), true)
        .with_metadata(metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
