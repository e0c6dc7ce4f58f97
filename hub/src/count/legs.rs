//! A request cut into legs: one question for each table of each group, and how their people are put together.
//!
//! A table that people are only counted by, in no group's conditions, is asked once for all groups.

use super::{kept::Key, offered, release::LEAST};
use crate::{
    identify::Caller,
    permit::{self, Permitted},
    registry::{Catalogue, TableOffer},
    request::RequestContext,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proto::{
    ids::{ControllerId, TableName},
    quick::{self, PERSON, dimension},
    refusal::{Kind, Refusal},
    schema, wire,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::Arc};

/// One leg.
#[derive(Debug, Clone)]
struct Leg {
    group: u32,
    offer: Arc<TableOffer>,
    person: String,
    /// columns to count by that it brings, by their places in the request
    by: Vec<usize>,
}

/// All legs of a request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    legs: Vec<Leg>,
    /// of each group, its legs
    groups: Vec<Vec<usize>>,
    /// legs that all groups share
    shared: Vec<usize>,
}

/// A question and the columns of its answer.
pub(super) struct Question {
    pub(super) permitted: Permitted<wire::Fragment>,
    pub(super) schema: SchemaRef,
    /// columns to count by that it brings, by their places in the request
    pub(super) by: Vec<usize>,
}

/// What is asked for a request, and how it is put together.
pub(super) struct Questions {
    pub(super) all: Vec<Question>,
    /// of each group, its questions: whoever is in all of them is in the group. None: everybody
    pub(super) groups: Vec<Vec<usize>>,
    /// questions that each person must be in, too
    pub(super) shared: Vec<usize>,
}

/// The legs of a request over what is offered.
///
/// # Errors
/// When a table isn't offered for counting, has no one person column, or the controllers are not under one key.
pub(super) fn asked(test: &wire::QuickTest, catalogue: &Catalogue) -> Result<Asked, Refusal> {
    let chosen: BTreeSet<(&str, &str)> = test
        .any
        .iter()
        .flat_map(|group| &group.all)
        .filter_map(|condition| condition.column.as_ref())
        .map(|column| (column.controller.as_str(), column.table.as_str()))
        .collect();
    let mut asked = Asked { legs: Vec::new(), groups: Vec::new(), shared: Vec::new() };
    for place in 0..test.any.len() {
        let group = u32::try_from(place).unwrap_or(u32::MAX);
        let mut own = Vec::new();
        for (controller, table) in quick::tables(test, place) {
            let shared = !chosen.contains(&(controller, table));
            if shared && group > 0 {
                continue;
            }
            let at = asked.legs.len();
            asked.legs.push(leg(test, group, (controller, table), catalogue)?);
            if shared { asked.shared.push(at) } else { own.push(at) }
        }
        asked.groups.push(own);
    }
    in_step(&asked)?;
    Ok(asked)
}

fn leg(
    test: &wire::QuickTest,
    group: u32,
    (controller, table): (&str, &str),
    catalogue: &Catalogue,
) -> Result<Leg, Refusal> {
    let name = format!("{controller}.{table}");
    let tables = offered(catalogue, controller)?;
    let found = table.parse().ok().and_then(|table: TableName| tables.get(&table));
    let offer = found.filter(|offer| offer.terms.quick.is_some()).ok_or_else(|| {
        Refusal::new(Kind::NotFound, format!("nobody is counted over {name}; `hub count --columns` lists what can be"))
    })?;
    let person = |field: &&Arc<Field>| field.metadata().get(schema::ROLE).is_some_and(|role| role == schema::PERSON);
    let mut people = offer.schema.fields().iter().filter(person);
    let (Some(person), None) = (people.next(), people.next()) else {
        return Err(Refusal::new(
            Kind::Invalid,
            format!("{name} offers no one column of people to count; tell its controller"),
        ));
    };
    let here = |column: &wire::QuickColumn| column.controller == controller && column.table == table;
    let by = test.by.iter().enumerate().filter(|(_, column)| here(column)).map(|(place, _)| place).collect();
    Ok(Leg { group, offer: Arc::clone(offer), person: person.name().clone(), by })
}

/// People are matched under one key: the same epoch of the same group's secret.
fn in_step(asked: &Asked) -> Result<(), Refusal> {
    let mut keys = asked.legs.iter().map(|leg| (&leg.offer.terms.epoch, &leg.offer.terms.key_id));
    let first = keys.next();
    if keys.all(|key| Some(key) == first) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Unavailable,
        "the controllers of this quick test are not in step yet: they hold different keys. Try again in a minute",
    ))
}

impl Asked {
    /// The smallest number that is shown: the largest that a permit demands.
    pub(super) fn least(&self) -> u64 {
        let of = |leg: &Leg| leg.offer.terms.quick.as_ref().map_or(0, |quick| u64::from(quick.threshold));
        self.legs.iter().map(of).fold(LEAST, u64::max)
    }

    /// Whose tables are read.
    pub(super) fn controllers(&self) -> BTreeSet<ControllerId> {
        self.legs.iter().map(|leg| leg.offer.controller.clone()).collect()
    }

    /// What the answer follows from, and for whom it is.
    pub(super) fn key(&self, test: &wire::QuickTest, caller: &Caller) -> Key {
        let mut all = Sha256::new();
        let mut add = |part: &[u8]| {
            all.update((part.len() as u64).to_le_bytes());
            all.update(part);
        };
        add(&quick::meaning(test));
        add(caller.issuer.as_bytes());
        add(caller.user.as_ref().as_bytes());
        for leg in &self.legs {
            let (offer, terms) = (&leg.offer, &leg.offer.terms);
            add(offer.controller.as_ref().as_bytes());
            add(offer.name.as_ref().as_bytes());
            add(&offer.snapshot.to_le_bytes());
            add(terms.permit.map(|id| id.to_string()).unwrap_or_default().as_bytes());
            add(terms.key_id.as_bytes());
        }
        Key(all.finalize().into())
    }

    /// The questions of one try.
    ///
    /// # Errors
    /// When one may not be asked.
    pub(super) fn questions(
        &self,
        context: &Arc<RequestContext>,
        test: &wire::QuickTest,
    ) -> Result<Questions, Refusal> {
        let question = |leg: &Leg| {
            let mut fields = vec![Field::new(PERSON, DataType::FixedSizeBinary(16), true)];
            for (place, column) in leg.by.iter().filter_map(|place| Some((place, test.by.get(*place)?))) {
                let kind = leg.offer.schema.field_with_name(&column.column).map(Field::data_type);
                fields.push(Field::new(dimension(*place), kind.cloned().unwrap_or(DataType::Null), true));
            }
            let asked = wire::QuickLeg {
                test: Some(test.clone()),
                group: leg.group,
                table: leg.offer.name.to_string(),
                person: leg.person.clone(),
            };
            Ok(Question {
                permitted: permit::counting(context, &leg.offer, asked)?,
                schema: Arc::new(Schema::new(fields)),
                by: leg.by.clone(),
            })
        };
        let all = self.legs.iter().map(question).collect::<Result<_, Refusal>>()?;
        Ok(Questions { all, groups: self.groups.clone(), shared: self.shared.clone() })
    }
}
