//! What is asked, as callers write it, and the same over the columns that are offered.
//!
//! INVARIANT: a value is read as its column's type here, and never stands in a message.

use super::{Countable, offered};
use crate::registry::{Catalogue, TableOffer};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use proto::{
    plan::encode_expr,
    quick,
    refusal::{Kind, Refusal},
    schema,
    wire::{self, expr},
};
use serde::{Deserialize, Serialize};

/// A request: the people of any of the groups, each once, by up to three columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CountRequest)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// groups whose people are put together; within a group all conditions hold, and those over one table hold for one and
    /// the same row. Left out: everybody who has a value of the columns to count by
    #[serde(default)]
    pub any: Vec<Vec<Condition>>,
    /// up to three columns to count by, as `controller.table.column`
    #[serde(default)]
    pub by: Vec<String>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `controller.table.column`
    pub column: String,
    /// how it is compared
    pub op: Operator,
    /// what with; of `in` a list
    pub value: Values,
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Operator {
    /// equal
    #[serde(rename = "=")]
    Equal,
    /// not equal
    #[serde(rename = "!=")]
    NotEqual,
    /// less
    #[serde(rename = "<")]
    Less,
    /// less or equal
    #[serde(rename = "<=")]
    AtMost,
    /// greater
    #[serde(rename = ">")]
    Greater,
    /// greater or equal
    #[serde(rename = ">=")]
    AtLeast,
    /// one of a list
    #[serde(rename = "in")]
    In,
    /// a text's beginning
    #[serde(rename = "starts")]
    Starts,
}

impl Operator {
    /// All there are, as they are written.
    pub const ALL: [(&str, Self); 8] = [
        ("!=", Self::NotEqual),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
        ("in", Self::In),
        ("starts", Self::Starts),
    ];

    fn wire(self) -> wire::QuickOp {
        match self {
            Self::Equal => wire::QuickOp::QuickEq,
            Self::NotEqual => wire::QuickOp::QuickNotEq,
            Self::Less => wire::QuickOp::QuickLt,
            Self::AtMost => wire::QuickOp::QuickLtEq,
            Self::Greater => wire::QuickOp::QuickGt,
            Self::AtLeast => wire::QuickOp::QuickGtEq,
            Self::In => wire::QuickOp::QuickIn,
            Self::Starts => wire::QuickOp::QuickStartsWith,
        }
    }
}

/// One value or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Values {
    /// of `in`
    List(Vec<Scalar>),
    /// of all others
    One(Scalar),
}

/// A value: text (days as `2026-01-31`), number, or truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// true or false
    Truth(bool),
    /// a whole number
    Whole(i64),
    /// any other number
    Number(f64),
    /// a text, or anything written as one
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Truth(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

impl Form {
    /// The request as it stands in the log.
    pub(super) fn text(&self) -> String {
        format!("quick test: {}", serde_json::to_string(self).unwrap_or_default())
    }

    /// The request over what is offered, without nonce and time.
    ///
    /// # Errors
    /// When a column isn't there, identifies people, or is of another type than a value; or there is too much of something.
    pub(super) fn resolve(&self, catalogue: &Catalogue) -> Result<wire::QuickTest, Refusal> {
        let group = |conditions: &Vec<Condition>| {
            let all = conditions.iter().map(|condition| condition.resolve(catalogue)).collect::<Result<_, _>>()?;
            Ok::<_, Refusal>(wire::QuickGroup { all })
        };
        let mut any = self.any.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        if any.is_empty() {
            any.push(wire::QuickGroup::default());
        }
        let by = self.by.iter().map(|text| counted_by(text, catalogue)).collect::<Result<_, _>>()?;
        let test = wire::QuickTest { nonce: vec![0; quick::NONCE], asked_unix_ms: 0, any, by };
        quick::check(&test)?;
        Ok(test)
    }
}

impl Condition {
    fn resolve(&self, catalogue: &Catalogue) -> Result<wire::QuickCondition, Refusal> {
        let column = named(&self.column)?;
        let (_, kind) = find(&column, catalogue)?;
        let values = match (&self.value, self.op) {
            (Values::List(values), Operator::In) => values.clone(),
            (Values::One(value), _) => vec![value.clone()],
            (Values::List(_), _) => {
                return Err(invalid(format!("column {}: only 'in' takes a list", self.column)));
            }
        };
        let values = values.iter().map(|value| literal(value, &kind, &self.column)).collect::<Result<_, _>>()?;
        if self.op == Operator::Starts && kind != DataType::Utf8 {
            return Err(invalid(format!("column {}: 'starts' is for texts, and this is {kind}", self.column)));
        }
        Ok(wire::QuickCondition { column: Some(column), op: self.op.wire().into(), values })
    }
}

fn invalid(why: String) -> Refusal {
    Refusal::new(Kind::Invalid, why)
}

/// `controller.table.column`, taken apart.
fn named(text: &str) -> Result<wire::QuickColumn, Refusal> {
    let mut parts = text.split('.').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(controller), Some(table), Some(column), None) => Ok(wire::QuickColumn { controller, table, column }),
        _ => Err(invalid("a column is written controller.table.column, as in sds.lmdb.atc".to_owned())),
    }
}

/// The same as one text.
pub(super) fn written(column: &wire::QuickColumn) -> String {
    format!("{}.{}.{}", column.controller, column.table, column.column)
}

/// The offered table of a column, and the column's type.
fn find<'a>(column: &wire::QuickColumn, catalogue: &'a Catalogue) -> Result<(&'a TableOffer, DataType), Refusal> {
    let missing = || {
        Refusal::new(
            Kind::NotFound,
            format!(
                "'{}' lets people be counted by no such column; `hub count --columns` lists what can be asked about",
                column.controller
            ),
        )
    };
    let tables = offered(catalogue, &column.controller)?;
    let table = column.table.parse().ok().and_then(|name| tables.get(&name)).ok_or_else(missing)?;
    let field = table.schema.field_with_name(&column.column).map_err(|_| missing())?;
    if field.metadata().contains_key(schema::ROLE) {
        return Err(invalid(format!(
            "{} identifies people or contacts: nobody is counted by it, nor chosen by it",
            written(column)
        )));
    }
    Ok((table, field.data_type().clone()))
}

fn counted_by(text: &str, catalogue: &Catalogue) -> Result<wire::QuickColumn, Refusal> {
    let column = named(text)?;
    let (table, _) = find(&column, catalogue)?;
    let by = table
        .terms
        .quick
        .as_ref()
        .is_some_and(|quick| quick.by.contains(&(column.table.clone(), column.column.clone())));
    if by {
        return Ok(column);
    }
    Err(invalid(format!(
        "'{}' lets people be chosen by {}, and not counted by it; `hub count --columns` says which columns can be counted by",
        column.controller,
        written(&column)
    )))
}

/// A value as its column's type.
fn literal(value: &Scalar, kind: &DataType, column: &str) -> Result<wire::Literal, Refusal> {
    let wrong = || invalid(format!("column {column}: the value is no {kind}; days are written 2026-01-31"));
    let value = ScalarValue::try_from_string(value.text(), kind).map_err(|_| wrong())?;
    if value.is_null() {
        return Err(wrong());
    }
    match encode_expr(&datafusion::logical_expr::lit(value)).map_err(|_| wrong())?.kind {
        Some(expr::Kind::Literal(literal)) => Ok(literal),
        _ => Err(wrong()),
    }
}

/// What of a table can be asked about.
pub(super) fn countable(table: &TableOffer) -> Vec<Countable> {
    let values = table.schema.fields().iter().filter(|field| !field.metadata().contains_key(schema::ROLE));
    values
        .map(|field| {
            let said = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
            let by = table
                .terms
                .quick
                .as_ref()
                .is_some_and(|quick| quick.by.contains(&(table.name.to_string(), field.name().clone())));
            let english = said(schema::EN);
            Countable {
                column: format!("{}.{}.{}", table.controller, table.name, field.name()),
                kind: field.data_type().to_string(),
                by,
                description: if english.is_empty() { said(schema::DA) } else { english },
                codes: said(schema::CODES),
            }
        })
        .collect()
}
