//! Which rules a statement meets, told before it is asked.
//!
//! INVARIANT: from the statement alone. Nothing is run, so that no word of it depends on what the tables hold.

use crate::release::{
    ReleaseRefusal, Released,
    refusal::Examples,
    roles::Roles,
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use std::sync::Arc;

/// What holds for a part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// a column, or what else it is about
    pub about: String,
    /// the rule, as `release_status` names it
    pub rule: &'static str,
    /// what it does
    pub what: String,
}

impl Note {
    pub(super) fn new(about: impl Into<String>, rule: &'static str, what: impl Into<String>) -> Self {
        Self { about: about.into(), rule, what: what.into() }
    }
}

/// How a statement fares in the open zone, whatever zone it is asked in; and a plan that gives nothing.
#[must_use]
pub fn explain(plan: &LogicalPlan, roles: &dyn Roles) -> (Released<LogicalPlan>, Vec<Note>) {
    let notes = notes(plan, roles).unwrap_or_else(|refusal| {
        vec![Note::new("the statement", "refused", refusal.reason), Note::new("instead", "this works", refusal.example)]
    });
    let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(datafusion::common::DFSchema::empty()) };
    (Released(LogicalPlan::EmptyRelation(nothing)), notes)
}

fn notes(plan: &LogicalPlan, roles: &dyn Roles) -> Result<Vec<Note>, ReleaseRefusal> {
    let examples = Examples::of(plan, roles).unwrap_or_default();
    super::reserved_names(plan, &examples)?;
    let mut analysis = Analysis::new(roles, examples, None);
    match analysis.visit(plan, At::default())? {
        Part::Reference(_) => Ok(vec![Note::new(
            "the statement",
            "released",
            "It reads tables without people, which are shown as they are.",
        )]),
        Part::Cells(_) => Ok(analysis.notes),
        Part::People(_) => Err(analysis.rows()),
    }
}
