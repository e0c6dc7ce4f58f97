//! The declaration as it stands in the file, before anything is checked. Names keep their place in the text,
//! so that a check that fails can say on which line.

use super::{
    source::Source,
    table::{Mode, TableRole, Text},
    types::{DateForm, ValueType},
};
use proto::ids::TableName;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTable {
    pub(super) name: Spanned<TableName>,
    pub(super) role: Spanned<TableRole>,
    pub(super) event_date: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) description: Text,
    pub(super) source: Spanned<Source>,
    #[serde(default, rename = "column")]
    pub(super) columns: Vec<RawColumn>,
    pub(super) person_via: Option<RawVia>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawColumn {
    pub(super) name: Spanned<String>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) role: Option<Spanned<ColumnRole>>,
    pub(super) domain: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub(super) value_type: Option<ValueType>,
    pub(super) date: Option<Spanned<DateForm>>,
    pub(super) unit: Option<String>,
    pub(super) codes: Option<String>,
    #[serde(default)]
    pub(super) description: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ColumnRole {
    Person,
    Key,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVia {
    pub(super) table: Spanned<TableName>,
    pub(super) key: Spanned<String>,
    pub(super) name: Option<Spanned<String>>,
}
