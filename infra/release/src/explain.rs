//! Which rules a statement meets, told before it is asked.
//!
//! INVARIANT: from the statement alone. Nothing is run, so that no word of it depends on what the tables hold.

use crate::release::{
    ReleaseRefusal, Released,
    failing::without_failures,
    refusal::Examples,
    resolution,
    roles::{Roles, least},
    scope::bare,
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan};
use policies::disclosure::{Rule, Status, Threshold};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// What holds for a part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// a column, or what else it is about
    pub about: String,
    /// the rule, as `release_status` names it
    pub rule: Cow<'static, str>,
    /// what it does
    pub what: String,
}

impl Note {
    pub(super) fn new(about: impl Into<String>, rule: impl Into<Cow<'static, str>>, what: impl Into<String>) -> Self {
        Self { about: about.into(), rule: rule.into(), what: what.into() }
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
    let least = least(plan, roles);
    let mut analysis = Analysis::new(roles, examples.clone(), None).with_least(least);
    let part = analysis.visit(plan, At::default())?;
    let coarse = resolution::coarsened(plan.clone(), roles, &examples)?;
    without_failures(coarse, &examples)?;
    match part {
        Part::Reference(_) => Ok(vec![Note::new(
            "the statement",
            "released",
            "It reads tables without people, which are shown as they are.",
        )]),
        Part::Cells(_) => {
            let shown = names(plan);
            let mut notes = analysis.notes;
            notes.extend(raised(least));
            for note in &mut notes {
                if let Some(name) = shown.get(&note.about) {
                    note.about.clone_from(name);
                }
            }
            notes.extend(resolution::notes(plan, roles));
            Ok(notes)
        }
        Part::People(_) => Err(analysis.rows()),
    }
}

/// What holds for all numbers where a permit has raised the threshold.
fn raised(least: Threshold) -> Option<Note> {
    (least > Threshold::DEFAULT).then(|| {
        let what = format!(
            "The permit of a table that it reads asks for {least} people: groups, and numbers made of fewer or of all but fewer of a group, are \
             hidden, and no count is shown below {least}.",
            least = least.least()
        );
        Note::new("every number", Status::Suppressed(Rule::Few(least.least())).to_string(), what)
    })
}

/// What a result's columns are called by those who ask, of those that only have another name in the aggregate.
fn names(plan: &LogicalPlan) -> HashMap<String, String> {
    match plan {
        LogicalPlan::Sort(node) => names(&node.input),
        LogicalPlan::Limit(node) => names(&node.input),
        LogicalPlan::Projection(node) => {
            let columns = node.expr.iter().zip(node.schema.fields());
            let renamed = columns.filter_map(|(expr, field)| match bare(expr) {
                Expr::Column(column) => Some((column.name.clone(), field.name().clone())),
                _ => None,
            });
            renamed.collect()
        }
        _ => HashMap::new(),
    }
}
