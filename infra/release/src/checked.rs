//! Cells that a spoke releases by itself, before a byte leaves it, and that the hub takes as they are.
//!
//! A spoke whose permit lets only checked cells out puts what it is asked through [`checked`]: the rules of the open zone, in
//! the same code, with noise and memory of its own. The hub finds the part of a statement that makes cells ([`makes_cells`]) and sends it
//! whole; what comes back it knows by its [`Layout`]: the statement's columns, and beside them which rule hides what. What follows in
//! the statement (HAVING, ORDER BY, LIMIT, other cells) sees these cells as it sees the hub's own: NULL where something is hidden, and no noise is added twice.
//!
//! Both sides make the layout from the same fragment by the same code, so that it needn't travel.
//!
//! INVARIANT: what [`checked`] gives back shows no rows about people, whatever was asked.

use crate::release::{
    Ledger, ReleaseRefusal, Released,
    cells::{CellColumn, Cells, Flag},
    decided,
    people::column_at,
    perturb::Noise,
    refusal::Examples,
    roles::Roles,
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{LogicalPlan, Projection};
use policies::disclosure::Threshold;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// What the columns of released cells are, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    columns: Vec<CellColumn>,
    rows: BTreeSet<Flag>,
    perturbed: bool,
}

impl Layout {
    /// So many columns are the statement's own; they come first.
    #[must_use]
    pub fn shown(&self) -> usize {
        self.columns.iter().filter(|column| matches!(column, CellColumn::Shown { .. })).count()
    }

    /// `plan`'s rows as cells; `fresh` numbers its flags within another statement.
    pub(super) fn cells(self, plan: LogicalPlan, mut fresh: impl FnMut() -> u32) -> Cells {
        let mut known: BTreeMap<Flag, Flag> = BTreeMap::new();
        let mut flag = |old: Flag| *known.entry(old).or_insert_with(|| Flag(fresh()));
        let columns = self.columns.into_iter().map(|column| match column {
            CellColumn::Shown { hidden_by, noisy } => {
                CellColumn::Shown { hidden_by: hidden_by.into_iter().map(&mut flag).collect(), noisy }
            }
            CellColumn::Hidden(old) => CellColumn::Hidden(flag(old)),
        });
        let columns = columns.collect();
        let rows = self.rows.into_iter().map(flag).collect();
        Cells { plan, columns, rows, perturbed: self.perturbed }
    }
}

/// Cells that may leave, and what they are.
#[derive(Debug, Clone)]
pub struct Checked {
    plan: Released<LogicalPlan>,
    layout: Layout,
}

impl Checked {
    /// What may leave: the statement's columns, then the numbers of rules.
    #[must_use]
    pub fn plan(&self) -> &Released<LogicalPlan> {
        &self.plan
    }

    /// What its columns are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (Released<LogicalPlan>, Layout) {
        (self.plan, self.layout)
    }
}

/// Rewrites what a spoke is asked so that only checked cells leave it, and rows of tables without people. No group, nor part of one, that
/// has fewer people than `least` is shown. Cells that are shown get into `ledger`, the project's own at this spoke, when it runs.
///
/// `plan` is analysed (types coerced), not optimised.
///
/// # Errors
/// What can't be released, with the reason and an example that works.
pub fn checked(
    plan: LogicalPlan,
    roles: &dyn Roles,
    ledger: &Arc<Ledger>,
    least: Threshold,
) -> Result<Checked, ReleaseRefusal> {
    let (analysis, part) = decided(plan, roles, Some(Noise::new(ledger)), least)?;
    match part {
        Part::Reference(plan) => {
            let columns = vec![CellColumn::PLAIN; plan.schema().fields().len()];
            let layout = Layout { columns, rows: BTreeSet::new(), perturbed: false };
            Ok(Checked { plan: Released(plan), layout })
        }
        Part::Cells(cells) => {
            let plan = analysis.built(named(&cells))?;
            let Cells { columns, rows, perturbed, .. } = cells;
            Ok(Checked { plan: Released(plan), layout: Layout { columns, rows, perturbed } })
        }
        Part::People(_) => Err(analysis.rows()),
    }
}

/// The same columns; those with numbers of rules under names that no other column has, and that a statement may use.
fn named(cells: &Cells) -> datafusion::common::Result<LogicalPlan> {
    let schema = cells.plan.schema();
    let candidates: Vec<String> = (1..=2 * cells.columns.len()).map(|number| format!("hidden_{number}")).collect();
    let mut taken: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut free = candidates.iter().filter(|name| taken.insert(name.as_str()));
    let columns = cells.columns.iter().enumerate().map(|(at, column)| match column {
        CellColumn::Hidden(_) => match free.next() {
            Some(name) => column_at(schema, at).alias(name),
            None => column_at(schema, at),
        },
        CellColumn::Shown { .. } => column_at(schema, at),
    });
    let columns = columns.collect();
    Projection::try_new(columns, Arc::new(cells.plan.clone())).map(LogicalPlan::Projection)
}

/// Whether this very node makes cells of people: its rows are cells, and its input's are about people.
///
/// # Errors
/// A part that can't be released.
pub fn makes_cells(plan: &LogicalPlan, roles: &dyn Roles) -> Result<bool, ReleaseRefusal> {
    let (LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)) = plan else { return Ok(false) };
    let examples = Examples::of(plan, roles).unwrap_or_default();
    let visited = |plan: &LogicalPlan, counted| {
        Analysis::new(roles, examples.clone(), None).visit(plan, At { counted, ..At::default() })
    };
    let Part::Cells(_) = visited(plan, false)? else { return Ok(false) };
    for input in plan.inputs() {
        if !matches!(visited(input, true)?, Part::People(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a whole statement may be answered in the open zone, as far as its text says.
///
/// # Errors
/// Why not, with an example that works.
pub fn allowed(plan: &LogicalPlan, roles: &dyn Roles) -> Result<(), ReleaseRefusal> {
    let (analysis, part) = decided(plan.clone(), roles, None, Threshold::DEFAULT)?;
    if matches!(part, Part::People(_)) { Err(analysis.rows()) } else { Ok(()) }
}
