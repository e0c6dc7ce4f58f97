//! Which tables of a session are about people: all that come from spokes, by what the spokes say; the catalog's own
//! description is not.

use super::{SpokeTable, checked::CheckedCells, national::NationalTable};
use crate::release::{ColumnRole, Layout, Roles, SchemaRoles};
use datafusion::{
    catalog::{default_table_source::DefaultTableSource, streaming::StreamingTable},
    logical_expr::TableSource,
};
use policies::disclosure::Threshold;
use std::any::Any;

pub(super) struct SessionRoles;

impl Roles for SessionRoles {
    fn role(&self, source: &dyn TableSource, column: &str) -> ColumnRole {
        if describes_catalog(source) { ColumnRole::Value } else { SchemaRoles.role(source, column) }
    }

    fn has_people(&self, source: &dyn TableSource) -> bool {
        !describes_catalog(source) && SchemaRoles.has_people(source)
    }

    fn least(&self, source: &dyn TableSource) -> Threshold {
        let Some(source) = (source as &dyn Any).downcast_ref::<DefaultTableSource>() else { return Threshold::DEFAULT };
        let provider = &source.table_provider;
        let table = provider.downcast_ref::<SpokeTable>().map(SpokeTable::offer);
        let table = table.or_else(|| provider.downcast_ref::<NationalTable>().map(NationalTable::offer));
        table.map_or(Threshold::DEFAULT, |offer| offer.least())
    }

    fn cells(&self, source: &dyn TableSource) -> Option<Layout> {
        let source = (source as &dyn Any).downcast_ref::<DefaultTableSource>()?;
        source.table_provider.downcast_ref::<CheckedCells>().map(|cells| cells.layout().clone())
    }
}

/// Only `information_schema` is a streaming table in a session of ours.
fn describes_catalog(source: &dyn TableSource) -> bool {
    (source as &dyn Any)
        .downcast_ref::<DefaultTableSource>()
        .is_some_and(|s| s.table_provider.is::<StreamingTable>() && !s.table_provider.is::<SpokeTable>())
}
