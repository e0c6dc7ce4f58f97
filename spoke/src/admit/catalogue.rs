//! What a project is told about the tables that it may use.

use super::{Admission, too_late, under::Under, view::PermittedTable};
use crate::{audit::Event, receive::Envelope};
use arrow::datatypes::Field;
use policies::zone::Zone;
use proto::{
    refusal::Refusal,
    schema,
    wire::{CatalogueReply, ColumnEntry, ColumnRole, TableEntry, Text},
};
use std::sync::Arc;

impl Admission {
    /// The tables and columns of the permit that covers the request.
    ///
    /// # Errors
    /// When there is none, or something in it can't be used.
    pub async fn catalogue(&self, envelope: &Envelope) -> Result<CatalogueReply, Refusal> {
        let deadline = self.deadline(envelope)?;
        tokio::time::timeout_at(deadline, Box::pin(self.tell(envelope))).await.map_err(|_| too_late())?
    }

    async fn tell(&self, envelope: &Envelope) -> Result<CatalogueReply, Refusal> {
        let Under { permit, asker, .. } = self.permitted(envelope).await?;
        let keys = self.keys.project(&permit.project).await?;
        let left_out = self.left_out(&permit).await?;
        let mut tables = Vec::new();
        for granted in &permit.tables {
            // A table that is permitted but not published yet is no error: it appears when it is there.
            if let Some(view) = self.view(&permit, granted, &keys, &left_out, &self.template).await? {
                tables.push(entry(&view, permit.output.zone()));
            }
        }
        tracing::info!(
            query = %envelope.query_id, project = %permit.project, user = %asker.user, tables = tables.len(),
            "told the catalogue"
        );
        let told = Event::Catalogue {
            query: envelope.query_id,
            user: asker.user,
            issuer: asker.issuer,
            project: permit.project.clone(),
            permit: permit.id,
            tables: tables.len(),
        };
        self.audit.write(&told).await?;
        Ok(CatalogueReply {
            controller: self.controller.to_string(),
            tables,
            zone: permit.output.zone().to_wire().into(),
            permit: permit.id.to_string(),
            epoch: keys.epoch,
            key_id: keys.kid.clone(),
            client_signature: permit.client_signature,
            key_lists_to: permit.key_lists_to.iter().map(ToString::to_string).collect(),
        })
    }
}

fn entry(view: &PermittedTable, zone: Zone) -> TableEntry {
    let snapshot = view.snapshot();
    let columns = view.columns();
    let event_date = snapshot.event_date.as_deref().filter(|name| columns.field_with_name(name).is_ok());
    TableEntry {
        name: snapshot.table.to_string(),
        description: Some(Text { da: snapshot.description.da.clone(), en: snapshot.description.en.clone() }),
        snapshot: snapshot.version,
        rows: estimate(snapshot.rows, zone),
        bytes: estimate(snapshot.bytes, zone),
        arrow_schema: schema::to_bytes(columns),
        columns: columns.fields().iter().map(column).collect(),
        schema_fingerprint: schema::fingerprint(columns).to_vec(),
        event_date: event_date.unwrap_or_default().to_owned(),
    }
}

/// Sizes are for planning. Where rows may not be seen, they are told to the next power of two, and not below 1,000.
fn estimate(size: u64, zone: Zone) -> u64 {
    match zone {
        Zone::Enclave => size,
        Zone::Open => size.max(1_000).checked_next_power_of_two().unwrap_or(u64::MAX),
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
