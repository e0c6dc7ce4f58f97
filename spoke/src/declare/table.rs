//! A checked declaration.

use super::{
    source::Source,
    types::{DateForm, ValueType},
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use proto::{
    ids::TableName,
    schema::{self, REFERENCE, TABLE_ROLE},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};

/// Bytes of a stored pseudonym.
pub(crate) const PSEUDONYM: i32 = 16;

/// What a table has to do with people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRole {
    /// It has a column of person numbers.
    Person,
    /// It knows its people through another table's key.
    PersonVia,
    /// It has no people.
    Reference,
}

/// What another ingest does to what is already published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The source is the whole table.
    #[default]
    Replace,
    /// Files that were not seen before are added.
    Append,
}

/// A text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Text {
    /// Danish
    pub da: String,
    /// English
    pub en: String,
}

/// A table, declared and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDecl {
    /// its name, also of the published table
    pub name: TableName,
    /// what it has to do with people
    pub role: TableRole,
    /// the column that says when something happened
    pub event_date: Option<String>,
    /// what another ingest does
    pub mode: Mode,
    /// what it is
    pub description: Text,
    /// where its rows come from
    pub source: Source,
    /// its columns, in published order (without the one that `person_via` adds)
    pub columns: Vec<Column>,
    /// the table that knows its people
    pub person_via: Option<PersonVia>,
    /// file that it was read from
    #[serde(skip)]
    pub file: String,
}

/// A column, declared and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// published name
    pub name: String,
    /// name in the source
    pub source: String,
    /// what it holds
    pub kind: ColumnKind,
    /// how days are written in it, if other than in the rest of the source
    pub date: Option<DateForm>,
    /// unit of measurement
    pub unit: Option<String>,
    /// code system
    pub codes: Option<String>,
    /// what it is
    pub description: Text,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// person numbers, published as pseudonyms
    Person,
    /// ids that link tables, published as keyed hashes
    Key {
        /// columns of one domain match one another
        domain: String,
    },
    /// everything else
    Value(ValueType),
}

/// How a table finds its people through another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonVia {
    /// the table that knows the people
    pub table: TableName,
    /// the key column, of the same name in both tables
    pub key: String,
    /// name of the person column that is added here
    pub name: String,
    /// the parent's person column
    pub parent_person: String,
}

impl TableDecl {
    /// Schema of the published table: what stands in its files, with roles and descriptions as field metadata.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let mut fields = Vec::with_capacity(self.columns.len() + 1);
        if let Some(via) = &self.person_via {
            let text = Text {
                da: format!("Person, fundet gennem {}", via.table),
                en: format!("Person, found through {}", via.table),
            };
            fields.push(person_field(&via.name, &text));
        }
        fields.extend(self.columns.iter().map(Column::field));
        let about = match self.role {
            TableRole::Person | TableRole::PersonVia => HashMap::new(),
            TableRole::Reference => HashMap::from([(TABLE_ROLE.to_owned(), REFERENCE.to_owned())]),
        };
        Arc::new(Schema::new_with_metadata(fields, about))
    }

    /// Name of the published person column, if there is one.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        match &self.person_via {
            Some(via) => Some(&via.name),
            None => {
                self.columns.iter().find(|column| column.kind == ColumnKind::Person).map(|column| column.name.as_str())
            }
        }
    }

    /// Whether pseudonyms are needed to publish it.
    #[must_use]
    pub fn links(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.kind, ColumnKind::Person | ColumnKind::Key { .. }))
    }

    /// Digest of everything in the declaration.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        // Serialising these plain structs has no way to fail; an empty text would only cause a new ingest.
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).into()
    }
}

impl Column {
    /// Type in the published file.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match &self.kind {
            ColumnKind::Person | ColumnKind::Key { .. } => DataType::FixedSizeBinary(PSEUDONYM),
            ColumnKind::Value(value_type) => value_type.arrow(),
        }
    }

    fn field(&self) -> Field {
        let mut metadata = described(&self.description);
        match &self.kind {
            ColumnKind::Person => return person_field(&self.name, &self.description),
            ColumnKind::Key { .. } => {
                metadata.insert(schema::ROLE.to_owned(), schema::KEY.to_owned());
            }
            ColumnKind::Value(_) => {}
        }
        if let Some(unit) = &self.unit {
            metadata.insert(schema::UNIT.to_owned(), unit.clone());
        }
        if let Some(codes) = &self.codes {
            metadata.insert(schema::CODES.to_owned(), codes.clone());
        }
        Field::new(&self.name, self.data_type(), true).with_metadata(metadata)
    }
}

fn person_field(name: &str, description: &Text) -> Field {
    let mut metadata = described(description);
    metadata.insert(schema::ROLE.to_owned(), schema::PERSON.to_owned());
    Field::new(name, DataType::FixedSizeBinary(PSEUDONYM), true).with_metadata(metadata)
}

fn described(text: &Text) -> HashMap<String, String> {
    [(schema::DA, &text.da), (schema::EN, &text.en)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), text.clone()))
        .collect()
}
