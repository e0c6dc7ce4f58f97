//! What a project is told about the tables that it may use.

use super::{
    Admission, checked,
    told::{ToldColumn, told},
    too_late,
    under::Under,
    view::PermittedTable,
};
use crate::{audit::Event, pseudonym::OrderKey, receive::Envelope, reply};
use arrow::datatypes::Field;
use policies::permit::{Permit, Quick};
use proto::{
    ids::TableName,
    refusal::Refusal,
    schema,
    wire::{BlindSet, CatalogueReply, CheckedCells, ColumnEntry, ColumnRole, QuickColumn, QuickSet, TableEntry, Text},
};

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
        let threshold = checked::least(&permit).least().try_into().unwrap_or(u32::MAX);
        let mut tables = Vec::new();
        for granted in &permit.tables {
            // A table that is permitted but not published yet is no error: it appears when it is there.
            if let Some(view) = self.view(&permit, granted, &keys, &left_out, &self.template).await? {
                let mut told = entry(&view, self.keys.rounding());
                // Of a member of blind totals, or where only checked cells leave, not even rounded numbers are told; nor to everybody
                // who is signed in.
                if permit.blind.is_some() || permit.quick.is_some() || checked::only(&permit) {
                    untold(&mut told);
                }
                tables.push(told);
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
            compresses: reply::WAYS.map(Into::into).to_vec(),
            blind: permit.blind.as_ref().map(|blind| BlindSet {
                members: blind.members.iter().map(ToString::to_string).collect(),
                custodian: blind.custodian.to_string(),
            }),
            // Where rows leave, whoever makes numbers of them has to look at how many people are behind each.
            threshold,
            checked: checked::only(&permit).then_some(CheckedCells { threshold }),
            quick: permit.quick.as_ref().map(|quick| counted(&permit, quick)),
        })
    }
}

fn entry(view: &PermittedTable, rounding: &OrderKey) -> TableEntry {
    let snapshot = view.snapshot();
    // Of the whole table, whatever the permit's row filter: what is told must not say how many rows that keeps.
    let told = told(snapshot, rounding);
    let columns = view.columns();
    // Of permitted columns only.
    let of = |field: &Field| {
        let place = snapshot.schema.index_of(field.name()).ok();
        place.and_then(|place| told.columns.get(place).copied()).unwrap_or_default()
    };
    let event_date = snapshot.event_date.as_deref().filter(|name| columns.field_with_name(name).is_ok());
    TableEntry {
        name: snapshot.table.to_string(),
        description: Some(Text { da: snapshot.description.da.clone(), en: snapshot.description.en.clone() }),
        snapshot: snapshot.version,
        rows: told.rows,
        bytes: told.bytes,
        arrow_schema: schema::to_bytes(columns),
        columns: columns.fields().iter().map(|field| column(field, of(field))).collect(),
        schema_fingerprint: schema::fingerprint(columns).to_vec(),
        event_date: event_date.unwrap_or_default().to_owned(),
        persons: told.persons,
    }
}

fn counted(permit: &Permit, quick: &Quick) -> QuickSet {
    let column = |table: &TableName, column: &String| QuickColumn {
        controller: permit.controller.to_string(),
        table: table.to_string(),
        column: column.clone(),
    };
    let of = |(table, columns)| std::iter::zip(std::iter::repeat(table), columns);
    QuickSet {
        by: quick.dimensions.iter().flat_map(of).map(|(table, name)| column(table, name)).collect(),
        threshold: permit.threshold.unwrap_or_default(),
    }
}

fn untold(table: &mut TableEntry) {
    (table.rows, table.bytes, table.persons) = (0, 0, 0);
    for column in &mut table.columns {
        (column.distinct, column.nulls, column.first_year, column.last_year) = (0, 0, None, None);
    }
}

fn column(field: &Field, told: ToldColumn) -> ColumnEntry {
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
        distinct: told.distinct,
        nulls: told.nulls,
        first_year: told.years.map(|years| years.0),
        last_year: told.years.map(|years| years.1),
    }
}
