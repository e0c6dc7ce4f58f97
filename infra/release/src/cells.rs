//! Released rows, one a group, on their way through the rest of the statement.
//!
//! A cell that may not be shown is NULL from here on, so HAVING, ORDER BY, LIMIT, CASE and window functions can't tell
//! more than the result does. Beside the statement's own columns travel flags that say which cells were hidden; what is
//! computed from a hidden cell is NULL too, whatever `coalesce` makes of NULL.

use crate::release::{
    RESERVED,
    people::column_at,
    rule::{Told, status},
    scope::bare,
    suppress::unless,
    union::united,
    walk::Part,
};
use datafusion::{
    common::{DFSchema, Result},
    logical_expr::{Case, Expr, LogicalPlan, Operator, Projection, Union, Window, binary_expr, lit},
};
use policies::disclosure::{PERTURBED, RELEASED, STATUS_COLUMN};
use std::{collections::BTreeSet, sync::Arc};

/// A hidden column with the number of the rule that hides cells, 0 where none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flag(pub(super) u32);

impl Flag {
    pub(super) fn name(self) -> String {
        format!("{RESERVED}hidden_{}", self.0)
    }
}

/// A column of [`Cells`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CellColumn {
    /// of the statement
    Shown {
        /// NULL where one of these isn't 0
        hidden_by: BTreeSet<Flag>,
        /// whether it is made of numbers with noise
        noisy: bool,
    },
    Hidden(Flag),
}

impl CellColumn {
    /// Of rows without people.
    pub(super) const PLAIN: Self = Self::Shown { hidden_by: BTreeSet::new(), noisy: false };
}

/// Released rows.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    pub(super) plan: LogicalPlan,
    /// as the columns of the plan
    pub(super) columns: Vec<CellColumn>,
    /// flags of whole rows: groups that were folded
    pub(super) rows: BTreeSet<Flag>,
    /// whether there are numbers with noise
    pub(super) perturbed: bool,
}

impl Cells {
    /// `plan` has `shown` columns of the statement, each hidden by its flags, followed by the flags `all`.
    pub(super) fn new(plan: LogicalPlan, shown: usize, hidden_by: &[BTreeSet<Flag>], all: &[Flag], row: Flag) -> Self {
        let columns = hidden_by
            .iter()
            .take(shown)
            .cloned()
            .map(|hidden_by| CellColumn::Shown { hidden_by, noisy: false })
            .chain(all.iter().copied().map(CellColumn::Hidden))
            .collect();
        Self { plan, columns, rows: BTreeSet::from([row]), perturbed: false }
    }

    /// The same, with noise in its numbers, which follow so many keys.
    pub(super) fn with_noise(mut self, keys: usize) -> Self {
        for column in self.columns.iter_mut().skip(keys) {
            if let CellColumn::Shown { noisy, .. } = column {
                *noisy = true;
            }
        }
        Self { perturbed: true, ..self }
    }

    /// Rows without people, to be joined with cells.
    pub(super) fn reference(plan: LogicalPlan) -> Self {
        let columns = vec![CellColumn::PLAIN; plan.schema().fields().len()];
        Self { plan, columns, rows: BTreeSet::new(), perturbed: false }
    }

    /// The same columns from another plan.
    pub(super) fn with(self, plan: LogicalPlan) -> Self {
        Self { plan, ..self }
    }

    /// The same columns under one more node.
    pub(super) fn over(self, node: impl FnOnce(Arc<LogicalPlan>) -> LogicalPlan) -> Part {
        let Self { plan, columns, rows, perturbed } = self;
        Part::Cells(Self { plan: node(Arc::new(plan)), columns, rows, perturbed })
    }

    /// Columns of both sides of a join.
    pub(super) fn joined(self, right: Self, plan: LogicalPlan) -> Self {
        let columns = self.columns.into_iter().chain(right.columns).collect();
        Self {
            plan,
            columns,
            rows: self.rows.union(&right.rows).copied().collect(),
            perturbed: self.perturbed || right.perturbed,
        }
    }

    fn flags(&self) -> impl Iterator<Item = (usize, Flag)> + '_ {
        self.columns.iter().enumerate().filter_map(|(i, column)| match column {
            CellColumn::Hidden(flag) => Some((i, *flag)),
            CellColumn::Shown { .. } => None,
        })
    }

    fn columns_of(&self, flags: &BTreeSet<Flag>) -> impl Iterator<Item = Expr> + '_ {
        let wanted: Vec<usize> = self.flags().filter(|(_, flag)| flags.contains(flag)).map(|(i, _)| i).collect();
        wanted.into_iter().map(|i| column_at(self.plan.schema(), i))
    }

    /// The first rule that one of the flags names, else 0.
    fn first(&self, flags: &BTreeSet<Flag>) -> Option<Expr> {
        self.columns_of(flags)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .reduce(|later, flag| choose(flagged(flag.clone()), flag, later))
    }

    /// True where one of the flags names a rule, else false.
    pub(super) fn any(&self, flags: &BTreeSet<Flag>) -> Option<Expr> {
        let any = self.columns_of(flags).map(flagged).reduce(|a, b| binary_expr(a, Operator::Or, b));
        any.map(|any| Expr::IsTrue(Box::new(any)))
    }

    /// Flags of everything that `expr` is computed from, and whether some of it has noise.
    fn made_of(&self, expr: &Expr) -> (BTreeSet<Flag>, bool) {
        let schema = self.plan.schema();
        let (mut flags, mut any_noise) = (BTreeSet::new(), false);
        for column in expr.column_refs() {
            if let Some(CellColumn::Shown { hidden_by, noisy }) =
                schema.maybe_index_of_column(column).and_then(|i| self.columns.get(i))
            {
                flags.extend(hidden_by);
                any_noise |= noisy;
            }
        }
        (flags, any_noise)
    }

    /// SELECT over cells. `shape` holds the names of the result.
    pub(super) fn project(&self, exprs: &[Expr], shape: &DFSchema) -> Result<Self> {
        let mut projected = Vec::with_capacity(exprs.len());
        let mut columns = Vec::with_capacity(exprs.len());
        for (i, expr) in exprs.iter().enumerate() {
            let (hidden_by, noisy) = self.made_of(expr);
            let (qualifier, field) = shape.qualified_field(i);
            projected.push(match bare(expr) {
                Expr::Column(_) => expr.clone(),
                _ => unless(self.any(&hidden_by), expr.clone().unalias())
                    .alias_qualified(qualifier.cloned(), field.name()),
            });
            columns.push(CellColumn::Shown { hidden_by, noisy });
        }
        for (i, flag) in self.flags() {
            projected.push(column_at(self.plan.schema(), i));
            columns.push(CellColumn::Hidden(flag));
        }
        let plan = LogicalPlan::Projection(Projection::try_new(projected, Arc::new(self.plan.clone()))?);
        Ok(Self { plan, columns, rows: self.rows.clone(), perturbed: self.perturbed })
    }

    /// Window functions over cells: NULL in the folded row, and where they are made of hidden cells.
    pub(super) fn window(&self, exprs: &[Expr]) -> Result<Self> {
        let windowed = Window::try_new(exprs.to_vec(), Arc::new(self.plan.clone()))?;
        let mut columns = self.columns.clone();
        let mut projected: Vec<Expr> = (0..columns.len()).map(|i| column_at(&windowed.schema, i)).collect();
        for (i, expr) in exprs.iter().enumerate() {
            let (mut hidden_by, noisy) = self.made_of(expr);
            hidden_by.extend(&self.rows);
            let at = self.columns.len() + i;
            let (qualifier, field) = windowed.schema.qualified_field(at);
            let shown = unless(self.any(&hidden_by), column_at(&windowed.schema, at));
            projected.push(shown.alias_qualified(qualifier.cloned(), field.name()));
            columns.push(CellColumn::Shown { hidden_by, noisy });
        }
        let plan = Projection::try_new(projected, Arc::new(LogicalPlan::Window(windowed)))?;
        let (rows, perturbed) = (self.rows.clone(), self.perturbed);
        Ok(Self { plan: LogicalPlan::Projection(plan), columns, rows, perturbed })
    }

    /// Cells under each other. `id` is the first of a few fresh numbers.
    pub(super) fn union(parts: Vec<Self>, node: &Union, id: u32) -> Result<Self> {
        // one flag for each pattern of flags that occurs in a column, and one for whole rows
        let own: Vec<Vec<(usize, &BTreeSet<Flag>, bool)>> = parts
            .iter()
            .map(|part| {
                part.columns
                    .iter()
                    .enumerate()
                    .filter_map(|(i, column)| match column {
                        CellColumn::Shown { hidden_by, noisy } => Some((i, hidden_by, *noisy)),
                        CellColumn::Hidden(_) => None,
                    })
                    .collect()
            })
            .collect();
        let pattern = |i: usize| -> Vec<BTreeSet<Flag>> {
            own.iter().map(|columns| columns.get(i).map(|(_, flags, _)| (*flags).clone()).unwrap_or_default()).collect()
        };
        let mut patterns: Vec<Vec<BTreeSet<Flag>>> = vec![parts.iter().map(|part| part.rows.clone()).collect()];
        let flag_of = |place: usize| Flag(id * 1_000 + u32::try_from(place).unwrap_or(u32::MAX));
        let mut columns = Vec::new();
        for i in 0..node.schema.fields().len() {
            let wanted = pattern(i);
            let noisy = own.iter().any(|columns| columns.get(i).is_some_and(|(.., noisy)| *noisy));
            if wanted.iter().all(BTreeSet::is_empty) {
                columns.push(CellColumn::Shown { hidden_by: BTreeSet::new(), noisy });
                continue;
            }
            let place = patterns.iter().position(|known| *known == wanted).unwrap_or_else(|| {
                patterns.push(wanted);
                patterns.len() - 1
            });
            columns.push(CellColumn::Shown { hidden_by: BTreeSet::from([flag_of(place)]), noisy });
        }
        let mut inputs = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let schema = part.plan.schema();
            let shown = own.get(at).into_iter().flatten().map(|(i, ..)| column_at(schema, *i));
            let flags = patterns.iter().enumerate().map(|(place, pattern)| {
                let first = pattern.get(at).and_then(|flags| part.first(flags)).unwrap_or_else(|| lit(0_u8));
                first.alias(flag_of(place).name())
            });
            let exprs: Vec<Expr> = shown.chain(flags).collect();
            inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(part.plan.clone()))?)));
        }
        columns.extend((0..patterns.len()).map(|place| CellColumn::Hidden(flag_of(place))));
        let schema = Arc::new(united(node, inputs.iter().map(|input| input.schema().as_ref()))?);
        let plan = LogicalPlan::Union(Union { inputs, schema });
        let perturbed = parts.iter().any(|part| part.perturbed);
        Ok(Self { plan, columns, rows: BTreeSet::from([flag_of(0)]), perturbed })
    }

    /// The statement's own columns and, last, what happened to the row.
    pub(super) fn finish(&self) -> Result<LogicalPlan> {
        let schema = self.plan.schema();
        let places: Vec<(usize, Flag)> = self.flags().collect();
        let mut exprs = Vec::new();
        let mut named = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            let CellColumn::Shown { hidden_by, noisy } = column else { continue };
            exprs.push(column_at(schema, i));
            let flags = places.iter().enumerate().filter(|(_, (_, flag))| hidden_by.contains(flag));
            named.push(Told {
                name: schema.field(i).name().clone(),
                hidden_by: flags.map(|(place, _)| place).collect(),
                noisy: *noisy,
            });
        }
        let flags: Vec<Expr> = places.iter().map(|(i, _)| column_at(schema, *i)).collect();
        let whole = if self.perturbed { PERTURBED } else { RELEASED };
        let words = if flags.is_empty() { lit(whole) } else { status(flags, named, whole) };
        exprs.push(words.alias(STATUS_COLUMN));
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(self.plan.clone()))?))
    }
}

/// Rows without people are released as they are.
pub(super) fn finish_reference(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut exprs: Vec<Expr> = (0..plan.schema().fields().len()).map(|i| column_at(plan.schema(), i)).collect();
    exprs.push(lit(RELEASED).alias(STATUS_COLUMN));
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// Whether a flag names a rule.
pub(super) fn flagged(flag: Expr) -> Expr {
    binary_expr(flag, Operator::Gt, lit(0_u8))
}

pub(super) fn choose(when: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(when), Box::new(then))],
        else_expr: Some(Box::new(otherwise)),
    })
}
