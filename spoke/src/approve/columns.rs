//! What the controller's own tables look like: what a part asks for is compared with them, and their own descriptions
//! are what an approver reads.

use crate::{
    config::SpokeConfig,
    declare::{self, Text},
    publish::Store,
};
use arrow::datatypes::SchemaRef;
use policies::permit::Permit;
use proto::{ids::TableName, schema};
use std::collections::BTreeMap;

/// A table of this controller.
#[derive(Debug, Clone)]
pub struct Known {
    /// its columns
    pub schema: SchemaRef,
    /// what it is
    pub description: Text,
    /// whether it is published; declared only, otherwise
    pub published: bool,
}

impl Known {
    /// A column's own description, English or else Danish.
    #[must_use]
    pub fn describe(&self, column: &str) -> String {
        let Ok(field) = self.schema.field_with_name(column) else { return String::new() };
        let said = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
        let text = match said(schema::EN) {
            english if !english.is_empty() => english,
            _ => said(schema::DA),
        };
        let role = match field.metadata().get(schema::ROLE).map(String::as_str) {
            Some(schema::PERSON) => "person, as a pseudonym of the project",
            Some(_) => "identifier, as a pseudonym of the project",
            None => "",
        };
        [text.as_str(), role, &said(schema::CODES), &said(schema::UNIT)]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// All tables of this controller: as published, else as declared.
pub type Tables = BTreeMap<TableName, Known>;

/// Reads what is declared and published.
///
/// # Errors
/// When declarations or the store can't be read.
pub async fn tables(config: &SpokeConfig) -> Result<Tables, String> {
    let mut known: Tables = declare::load_all(&config.tables_dir())
        .map_err(|error| error.to_string())?
        .into_values()
        .map(|table| {
            let about = Known { schema: table.schema(), description: table.description.clone(), published: false };
            (table.name, about)
        })
        .collect();
    let store = Store::open(config).map_err(|error| error.to_string())?;
    for name in store.tables().await.map_err(|error| error.to_string())? {
        if let Some(snapshot) = store.snapshot(&name).await.map_err(|error| error.to_string())? {
            let about =
                Known { schema: snapshot.schema.clone(), description: snapshot.description.clone(), published: true };
            known.insert(name, about);
        }
    }
    Ok(known)
}

/// What in a permit doesn't fit the tables: every table, column and row filter that can't be granted.
#[must_use]
pub fn misfits(permit: &Permit, tables: &Tables) -> Vec<String> {
    let state = datafusion::execution::SessionStateBuilder::new().with_default_features().build();
    let mut wrong = Vec::new();
    for granted in &permit.tables {
        let Some(known) = tables.get(&granted.name) else {
            wrong.push(format!("table '{}': is neither published nor declared here", granted.name));
            continue;
        };
        for column in &granted.columns {
            if known.schema.field_with_name(column).is_err() {
                wrong.push(format!("table '{}': has no column '{column}'", granted.name));
            }
        }
        if let Some(filter) = &granted.row_filter
            && let Err(problem) = crate::admit::compile_row_filter(filter, &granted.name, &known.schema, &state)
        {
            wrong.push(problem.to_string());
        }
    }
    wrong
}
