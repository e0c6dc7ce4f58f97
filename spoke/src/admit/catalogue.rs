//! What a project is told about the tables that it may use.

use super::{Admission, Context, too_late, view::PermittedTable};
use crate::receive::Envelope;
use arrow::datatypes::Field;
use proto::{
    refusal::Refusal,
    schema,
    wire::{CatalogueReply, ColumnEntry, ColumnRole, TableEntry, Text},
};
use std::sync::Arc;

impl Admission {
    /// The tables and columns of the grant that covers the request.
    ///
    /// # Errors
    /// When there is no grant, or something in it can't be used.
    pub async fn catalogue(&self, envelope: &Envelope) -> Result<CatalogueReply, Refusal> {
        let context = self.context(envelope)?;
        tokio::time::timeout_at(context.deadline, self.tell(envelope, &context)).await.map_err(|_| too_late())?
    }

    async fn tell(&self, envelope: &Envelope, context: &Context) -> Result<CatalogueReply, Refusal> {
        let grant = self.grants.find(envelope).await?;
        let keys = self.keys.project(&context.project).await?;
        let mut tables = Vec::new();
        for granted in &grant.tables {
            // A table that is granted but not published yet is no error: it appears when it is there.
            if let Some(view) = self.view(&grant, granted, &keys, &self.template).await? {
                tables.push(entry(&view));
            }
        }
        tracing::info!(
            query = %context.query, project = %context.project, user = %envelope.user, tables = tables.len(),
            "told the catalogue"
        );
        Ok(CatalogueReply { controller: self.controller.to_string(), tables, zone: grant.zone.to_wire().into() })
    }
}

fn entry(view: &PermittedTable) -> TableEntry {
    let snapshot = view.snapshot();
    let columns = view.columns();
    let event_date = snapshot.event_date.as_deref().filter(|name| columns.field_with_name(name).is_ok());
    TableEntry {
        name: snapshot.table.to_string(),
        description: Some(Text { da: snapshot.description.da.clone(), en: snapshot.description.en.clone() }),
        snapshot: snapshot.version,
        rows: snapshot.rows,
        bytes: snapshot.bytes,
        arrow_schema: schema::to_bytes(columns),
        columns: columns.fields().iter().map(column).collect(),
        schema_fingerprint: schema::fingerprint(columns).to_vec(),
        event_date: event_date.unwrap_or_default().to_owned(),
    }
}

fn column(field: &Arc<Field>) -> ColumnEntry {
    let said = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
    let role = match field.metadata().get(schema::ROLE).map(String::as_str) {
        Some(schema::PERSON) => ColumnRole::Person,
        Some(_) => ColumnRole::Key,
        None => ColumnRole::Value,
    };
    ColumnEntry {
        name: field.name().clone(),
        role: role.into(),
        unit: said(schema::UNIT),
        code_system: said(schema::CODES),
        description: Some(Text { da: said(schema::DA), en: said(schema::EN) }),
    }
}
