//! Where a plan's tables are.

use crate::plan::SpokeTable;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    datasource::source_as_provider,
    logical_expr::{LogicalPlan, TableScan, TableSource},
};
use std::sync::Arc;

/// The table of a spoke that a scan reads.
pub(super) fn table(scan: &TableScan) -> Option<Table> {
    Table::of(&scan.source)
}

/// A table of a spoke, as the session's catalog has it.
#[derive(Clone)]
pub(super) struct Table(Arc<dyn datafusion::catalog::TableProvider>);

impl Table {
    fn of(source: &Arc<dyn TableSource>) -> Option<Self> {
        let provider = source_as_provider(source).ok()?;
        provider.is::<SpokeTable>().then_some(Self(provider))
    }

    pub(super) fn get(&self) -> Option<&SpokeTable> {
        self.0.downcast_ref::<SpokeTable>()
    }
}

/// All tables of a plan, if they are one spoke's, under one permit. None: there are none, or others.
pub(super) fn one(plan: &LogicalPlan) -> Option<Vec<Table>> {
    let mut tables: Vec<Table> = Vec::new();
    let mut alike = true;
    let walked = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match table(scan) {
                Some(table) => tables.push(table),
                None => alike = false,
            }
        }
        Ok(if alike { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.ok()?;
    let first = tables.first()?.get()?.offer();
    let same = |table: &Table| {
        table.get().is_some_and(|t| t.offer().controller == first.controller && t.offer().terms == first.terms)
    };
    (alike && tables.iter().all(same)).then_some(tables)
}
