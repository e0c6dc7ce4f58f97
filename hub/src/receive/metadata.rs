//! The catalog as drivers ask for it: projects, controllers, tables, columns.
//!
//! INVARIANT: holds the caller's own projects and what their controllers offer to this caller, and nothing else.

use super::Core;
use crate::{
    config::Project,
    identify::{Caller, choose},
    permit::rules,
    registry::{Catalogue, Offer},
    request::RequestContext,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::sql::{CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use policies::authorize::Action;
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use std::sync::Arc;

/// What kind of table there is.
const TABLE: &str = "TABLE";

/// What the caller chose before asking: by header, by session option.
#[derive(Debug, Default, Clone)]
pub(super) struct Chosen {
    pub(super) header: Option<String>,
    pub(super) session: Option<String>,
}

fn fault<E: std::fmt::Display>(error: E) -> Refusal {
    tracing::error!(%error, "the catalog can't be listed");
    Refusal::new(Kind::Internal, "the catalog can't be listed. Tell the hub's operator")
}

impl Core {
    /// The projects to list: the one chosen, else all of the caller's.
    fn listed(&self, caller: &Caller, chosen: &Chosen, only: Option<&str>) -> Result<Vec<Project>, Refusal> {
        let projects = self.projects();
        let listed = if chosen.header.is_some() || chosen.session.is_some() {
            vec![choose(caller, &projects, chosen.header.as_deref(), chosen.session.as_deref())?]
        } else {
            projects.all_of(&caller.user, Some(&caller.issuer)).cloned().collect()
        };
        let wanted = |p: &Project| {
            only.is_none_or(|name| name == p.project.as_ref())
                && rules::project(caller, Action::HubCatalogue, p).is_ok()
        };
        Ok(listed.into_iter().filter(wanted).collect())
    }

    async fn catalogues(
        &self,
        caller: &Caller,
        chosen: &Chosen,
        only: Option<&str>,
    ) -> Result<Vec<Catalogue>, Refusal> {
        let listed = self.listed(caller, chosen, only)?;
        let asked = listed.into_iter().map(async |project| {
            let timeout = self.config.query.timeout();
            let context =
                RequestContext::new(caller.clone(), Arc::new(project), QueryId::new(), timeout, self.unwatched());
            self.planner.registry().catalogue(&context).await
        });
        Ok(futures::future::join_all(asked).await)
    }

    pub(super) fn catalogs(
        &self,
        query: CommandGetCatalogs,
        caller: &Caller,
        chosen: &Chosen,
    ) -> Result<RecordBatch, Refusal> {
        rules::projects(caller)?;
        let mut builder = query.into_builder();
        for project in self.listed(caller, chosen, None)? {
            builder.append(project.project.as_ref());
        }
        builder.build().map_err(fault)
    }

    pub(super) async fn schemas(
        &self,
        query: CommandGetDbSchemas,
        caller: &Caller,
        chosen: &Chosen,
    ) -> Result<RecordBatch, Refusal> {
        let catalogues = self.catalogues(caller, chosen, query.catalog.as_deref()).await?;
        let mut builder = query.into_builder();
        for catalogue in &catalogues {
            for (controller, offer) in &catalogue.offers {
                if !matches!(offer, Offer::Nothing) {
                    builder.append(catalogue.project.as_ref(), controller.as_ref());
                }
            }
        }
        builder.build().map_err(fault)
    }

    pub(super) async fn tables(
        &self,
        query: CommandGetTables,
        caller: &Caller,
        chosen: &Chosen,
    ) -> Result<RecordBatch, Refusal> {
        let catalogues = self.catalogues(caller, chosen, query.catalog.as_deref()).await?;
        let mut builder = query.into_builder();
        for catalogue in &catalogues {
            for table in catalogue.tables() {
                builder
                    .append(
                        catalogue.project.as_ref(),
                        table.controller.as_ref(),
                        table.name.as_ref(),
                        TABLE,
                        &table.schema,
                    )
                    .map_err(fault)?;
            }
        }
        builder.build().map_err(fault)
    }

    pub(super) fn table_types() -> Result<RecordBatch, Refusal> {
        let mut builder = CommandGetTableTypes {}.into_builder();
        builder.append(TABLE);
        builder.build().map_err(fault)
    }
}

/// The schemas of empty answers about keys, as Flight SQL has them.
pub(super) mod keys {
    use super::SchemaRef;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    pub(in crate::receive) fn primary() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("catalog_name", DataType::Utf8, true),
            Field::new("db_schema_name", DataType::Utf8, true),
            Field::new("table_name", DataType::Utf8, false),
            Field::new("column_name", DataType::Utf8, false),
            Field::new("key_name", DataType::Utf8, true),
            Field::new("key_sequence", DataType::Int32, false),
        ]))
    }

    pub(in crate::receive) fn foreign() -> SchemaRef {
        let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
        Arc::new(Schema::new(vec![
            text("pk_catalog_name", true),
            text("pk_db_schema_name", true),
            text("pk_table_name", false),
            text("pk_column_name", false),
            text("fk_catalog_name", true),
            text("fk_db_schema_name", true),
            text("fk_table_name", false),
            text("fk_column_name", false),
            Field::new("key_sequence", DataType::Int32, false),
            text("fk_key_name", true),
            text("pk_key_name", true),
            Field::new("update_rule", DataType::UInt8, false),
            Field::new("delete_rule", DataType::UInt8, false),
        ]))
    }
}
