//! The quick test on the wire: what a request may say, its digest, and the one fragment that each leg of it is.
//!
//! Hub and spokes make fragments by this code alone. A spoke answers a leg only when the fragment that came with it is the one
//! that it makes itself, so that a hub has no way to ask for more than (person, groups) pairs.
//!
//! INVARIANT: what [`check`] lets pass asks for no more than [`MAX_BY`] columns beside the person, over all controllers.

use crate::{
    fragment::build,
    ids::{ControllerId, TableName},
    refusal::{Kind, Refusal},
    wire::{self, literal::Value},
};
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Columns that people may be counted by.
pub const MAX_BY: usize = 3;
/// Groups whose people are put together.
pub const MAX_GROUPS: usize = 8;
/// Conditions of one group.
pub const MAX_CONDITIONS: usize = 16;
/// Values of one list.
pub const MAX_VALUES: usize = 100;
/// Bytes of a nonce.
pub const NONCE: usize = 16;
/// Name of the person column in a leg's answer.
pub const PERSON: &str = "p";

/// Name of the column in a leg's answer that holds the request's `place`-th grouping column, from 0.
#[must_use]
pub fn dimension(place: usize) -> String {
    format!("d{place}")
}

/// What is wrong with a request. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the quick test's {0}")]
pub struct QuickError(String);

impl From<QuickError> for Refusal {
    fn from(error: QuickError) -> Self {
        Self::new(Kind::Invalid, error.to_string())
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, QuickError> {
    Err(QuickError(what.into()))
}

/// The columns that one leg reads beside the person: those of conditions, and those that people are counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns<'a> {
    /// that rows are chosen by
    pub conditions: BTreeSet<&'a str>,
    /// that people are counted by, each with its place in the request
    pub dimensions: Vec<(usize, &'a str)>,
}

/// Checks that a request is one.
///
/// # Errors
/// What is missing, or too much.
pub fn check(test: &wire::QuickTest) -> Result<(), QuickError> {
    if test.nonce.len() != NONCE {
        return wrong(format!("nonce has not {NONCE} bytes"));
    }
    if !(1..=MAX_GROUPS).contains(&test.any.len()) {
        return wrong(format!("groups are {}; 1 to {MAX_GROUPS} are counted", test.any.len()));
    }
    if test.by.len() > MAX_BY {
        return wrong(format!("columns to count by are {}; {MAX_BY} at most", test.by.len()));
    }
    test.by.iter().try_for_each(column)?;
    for (at, by) in test.by.iter().enumerate() {
        if test.by.iter().take(at).any(|before| before == by) {
            return wrong("columns to count by name one twice");
        }
    }
    for group in &test.any {
        if group.all.len() > MAX_CONDITIONS {
            return wrong(format!("group has {} conditions; {MAX_CONDITIONS} at most", group.all.len()));
        }
        if group.all.is_empty() && test.by.is_empty() {
            return wrong("group has no condition, and there is nothing to count by");
        }
        group.all.iter().try_for_each(condition)?;
    }
    Ok(())
}

fn column(column: &wire::QuickColumn) -> Result<(), QuickError> {
    if column.controller.parse::<ControllerId>().is_err() || column.table.parse::<TableName>().is_err() {
        return wrong("column names no controller and table");
    }
    // A dot or a quote in a name would make two columns one in a plan.
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if column.column.is_empty() || column.column.len() > 63 || !column.column.bytes().all(fine) {
        return wrong("column has a name that can't be counted by");
    }
    Ok(())
}

fn condition(condition: &wire::QuickCondition) -> Result<(), QuickError> {
    use wire::QuickOp as Op;
    let Some(about) = &condition.column else { return wrong("condition names no column") };
    column(about)?;
    let values = condition.values.len();
    match Op::try_from(condition.op) {
        Ok(Op::Unspecified) | Err(_) => wrong("condition has a comparison that is not known here"),
        Ok(Op::QuickIn) if (1..=MAX_VALUES).contains(&values) => Ok(()),
        Ok(Op::QuickIn) => wrong(format!("list has {values} values; 1 to {MAX_VALUES} are taken")),
        Ok(_) if values != 1 => wrong(format!("condition has {values} values instead of one")),
        Ok(Op::QuickStartsWith) => match condition.values.first().and_then(|literal| literal.value.as_ref()) {
            Some(Value::Text(text)) if !text.is_empty() && !text.contains(['%', '_', '\\']) => Ok(()),
            _ => wrong("beginning is no text, or has %, _ or \\ in it"),
        },
        Ok(_) => Ok(()),
    }?;
    // NULL is compared with nothing.
    if condition.values.iter().any(|literal| literal.value.is_none()) {
        return wrong("condition compares with no value");
    }
    Ok(())
}

/// SHA-256 of a request: its nonce and time, and all that every leg of it asks.
#[must_use]
pub fn digest(test: &wire::QuickTest) -> [u8; 32] {
    Sha256::digest(test.encode_to_vec()).into()
}

/// SHA-256 of what a request asks, whenever it is asked.
#[must_use]
pub fn meaning(test: &wire::QuickTest) -> [u8; 32] {
    let lasting = wire::QuickTest { nonce: Vec::new(), asked_unix_ms: 0, ..test.clone() };
    Sha256::digest(lasting.encode_to_vec()).into()
}

/// The tables that a group reads, by controller and name: those of its conditions, and those of the columns to count by.
#[must_use]
pub fn tables(test: &wire::QuickTest, group: usize) -> BTreeSet<(&str, &str)> {
    let of = test.any.get(group).into_iter().flat_map(|group| &group.all).filter_map(|c| c.column.as_ref());
    of.chain(&test.by).map(|column| (column.controller.as_str(), column.table.as_str())).collect()
}

/// What a leg at `controller` reads beside the person.
///
/// # Errors
/// When the request is none, has no such group, or the group doesn't read that table there.
pub fn columns<'a>(leg: &'a wire::QuickLeg, controller: &ControllerId) -> Result<Columns<'a>, QuickError> {
    let (test, group) = of(leg)?;
    let here = |column: &&wire::QuickColumn| column.controller == controller.as_str() && column.table == leg.table;
    let conditions = group.all.iter().filter_map(|condition| condition.column.as_ref()).filter(here);
    let dimensions = test.by.iter().enumerate().filter(|(_, column)| here(column));
    let found = Columns {
        conditions: conditions.map(|column| column.column.as_str()).collect(),
        dimensions: dimensions.map(|(place, column)| (place, column.column.as_str())).collect(),
    };
    if found == Columns::default() {
        return wrong("group reads nothing of that table here");
    }
    Ok(found)
}

fn of(leg: &wire::QuickLeg) -> Result<(&wire::QuickTest, &wire::QuickGroup), QuickError> {
    let Some(test) = &leg.test else { return wrong("leg holds no request") };
    check(test)?;
    match test.any.get(leg.group as usize) {
        Some(group) => Ok((test, group)),
        None => wrong("leg is of a group that is not there"),
    }
}

/// The fragment that a leg at `controller` is: each person whose row fulfils the group's conditions over the table, once with
/// each of their values of the columns to count by.
///
/// # Errors
/// As [`columns`].
pub fn fragment(leg: &wire::QuickLeg, controller: &ControllerId) -> Result<wire::Fragment, QuickError> {
    let (_, group) = of(leg)?;
    let found = columns(leg, controller)?;
    let table: TableName = leg.table.parse().or_else(|_| wrong("leg names no table"))?;
    let dimensions = found.dimensions.iter().map(|(_, column)| *column);
    let mut read: BTreeSet<&str> = found.conditions.iter().copied().chain(dimensions).collect();
    if !read.insert(&leg.person) {
        return wrong("leg counts by the person, or chooses by it");
    }
    let read: Vec<String> = read.into_iter().map(str::to_owned).collect();
    let mut predicates = vec![wire::Expr {
        kind: Some(wire::expr::Kind::IsNull(Box::new(wire::IsNull {
            expr: Some(Box::new(named(&leg.person))),
            negated: true,
        }))),
    }];
    let here = |condition: &&wire::QuickCondition| {
        let of = condition.column.as_ref();
        of.is_some_and(|of| of.controller == controller.as_str() && of.table == leg.table)
    };
    for condition in group.all.iter().filter(here) {
        predicates.push(predicate(condition)?);
    }
    let kept = build::filter(build::read(&table, &read), all(predicates));
    let mut groups = vec![build::named(PERSON, named(&leg.person))];
    groups.extend(found.dimensions.iter().map(|(place, column)| build::named(dimension(*place), named(column))));
    Ok(build::fragment(build::aggregate(kept, groups, Vec::new())))
}

fn named(column: &str) -> wire::Expr {
    wire::Expr { kind: Some(wire::expr::Kind::Column(column.to_owned())) }
}

fn all(mut predicates: Vec<wire::Expr>) -> wire::Expr {
    if predicates.len() > 1 {
        let logic = wire::Logic { op: wire::LogicOp::And.into(), args: predicates };
        return wire::Expr { kind: Some(wire::expr::Kind::Logic(logic)) };
    }
    predicates.pop().unwrap_or_default()
}

fn predicate(condition: &wire::QuickCondition) -> Result<wire::Expr, QuickError> {
    use wire::{CompareOp, QuickOp as Op, expr::Kind};
    let Some((column, first)) = condition.column.as_ref().zip(condition.values.first()) else {
        return wrong("condition names no column, or no value");
    };
    let column = Box::new(named(&column.column));
    let compare = |op: CompareOp| {
        let right = wire::Expr { kind: Some(Kind::Literal(first.clone())) };
        let compare = wire::Compare { op: op.into(), left: Some(column.clone()), right: Some(Box::new(right)) };
        Kind::Compare(Box::new(compare))
    };
    let kind = match Op::try_from(condition.op) {
        Ok(Op::QuickEq) => compare(CompareOp::Eq),
        Ok(Op::QuickNotEq) => compare(CompareOp::NotEq),
        Ok(Op::QuickLt) => compare(CompareOp::Lt),
        Ok(Op::QuickLtEq) => compare(CompareOp::LtEq),
        Ok(Op::QuickGt) => compare(CompareOp::Gt),
        Ok(Op::QuickGtEq) => compare(CompareOp::GtEq),
        Ok(Op::QuickIn) => {
            let list = wire::InList { expr: Some(column), values: condition.values.clone(), negated: false };
            Kind::InList(Box::new(list))
        }
        Ok(Op::QuickStartsWith) => {
            let Some(Value::Text(text)) = &first.value else { return wrong("beginning is no text") };
            let pattern = wire::Literal { value: Some(Value::Text(format!("{text}%"))), ..first.clone() };
            Kind::Like(Box::new(wire::Like { expr: Some(column), pattern: Some(pattern), ..wire::Like::default() }))
        }
        Ok(Op::Unspecified) | Err(_) => return wrong("condition has a comparison that is not known here"),
    };
    Ok(wire::Expr { kind: Some(kind) })
}

#[cfg(test)]
mod tests;
