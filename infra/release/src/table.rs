//! The leaves of a statement: which tables are about people, and by which column.

use crate::release::{
    people::{Carries, People, PersonColumn, PersonId},
    refusal::{Instead, ReleaseRefusal, table_name},
    roles::ColumnRole,
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{LogicalPlan, TableScan};
use std::collections::BTreeSet;

impl Analysis<'_> {
    pub(super) fn table(&mut self, scan: &TableScan, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let source = scan.source.as_ref();
        if let Some(layout) = self.roles.cells(source) {
            if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                return Err(self.unsupported("a part of checked cells"));
            }
            return Ok(Part::Cells(layout.cells(plan.clone(), || self.fresh())));
        }
        let roles: Vec<ColumnRole> =
            source.schema().fields().iter().map(|field| self.roles.role(source, field.name())).collect();
        let people = self.roles.has_people(source) || roles.iter().any(|role| *role != ColumnRole::Value);
        let name = table_name(&scan.table_name);
        let shown: Vec<ColumnRole> = match &scan.projection {
            None => roles,
            Some(kept) => kept.iter().map(|i| roles.get(*i).copied().unwrap_or(ColumnRole::Key)).collect(),
        };
        if !scan.filters.is_empty() {
            return Err(self.unsupported("filters inside a table"));
        }
        if !people {
            return Ok(Part::Reference(plan.clone()));
        }
        if scan.fetch.is_some() {
            return Err(self.limited(at));
        }
        match shown.iter().filter(|role| **role == ColumnRole::Person).count() {
            1 => {}
            0 => {
                let reason = format!(
                    "Table {name} isn't marked as a table without people, and no person column of it is among the columns \
                     that this project may see, so people can't be counted. Ask the controller to grant the person column."
                );
                return Err(self.examples.refuse(reason, Instead::Count));
            }
            _ => {
                let reason = format!(
                    "Table {name} has several columns of people, and the release rules can only count one of them."
                );
                return Err(self.examples.refuse(reason, Instead::Count));
            }
        }
        let who = PersonId(self.fresh());
        let columns = shown
            .into_iter()
            .map(|role| match role {
                ColumnRole::Value => PersonColumn::VALUE,
                ColumnRole::Key => PersonColumn::seen(Carries::Key),
                ColumnRole::Person => PersonColumn::seen(Carries::Person { who, always: true }),
            })
            .collect();
        Ok(Part::People(People { plan: plan.clone(), columns, anchored: BTreeSet::new() }))
    }

    /// LIMIT over rows of people: which of them would be counted is chance.
    pub(super) fn limited(&self, at: At<'_>) -> ReleaseRefusal {
        if at.counted {
            self.examples.refuse(
                "LIMIT below an aggregate counts arbitrary people. Leave it out, or put it after the aggregate.",
                Instead::Count,
            )
        } else {
            self.rows()
        }
    }

    /// The statement would show rows of people.
    pub(super) fn rows(&self) -> ReleaseRefusal {
        self.examples.refuse(
            "This shows rows about single people. Outside the secure environment a statement must end in an aggregate \
             over people: count, sum, avg, stddev or var, with or without GROUP BY.",
            Instead::Count,
        )
    }
}
