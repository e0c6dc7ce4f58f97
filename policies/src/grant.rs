//! One table of a permit: which columns and rows of it exist for the project.

use proto::ids::TableName;

/// See the module.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableGrant {
    /// the published table
    pub name: TableName,
    /// the columns that exist for the project
    pub columns: Vec<String>,
    /// rows that exist for the project: an SQL condition over the table's value columns
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_filter: Option<String>,
}
