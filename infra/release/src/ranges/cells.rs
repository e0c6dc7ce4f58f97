//! Ranges beside cells, from counts that have been released.

use super::{
    beside::{Rows, beside},
    node::{Place, Ranges, Spread},
};
use crate::release::{
    cells::{CellColumn, Cells, Flag, choose},
    explain::Note,
    people::column_at,
    refusal::{Instead, ReleaseRefusal},
    rule::code,
    suppress::unless,
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, lit};
use policies::disclosure::{PERTURBED, Rule};
use std::sync::Arc;

impl Analysis<'_> {
    /// The aggregate's cells with its ranges.
    pub(in crate::release) fn ranges(&mut self, node: &Ranges, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let before = self.notes.len();
        let mut groups = self.released(&node.groups, at)?;
        if !node.places.iter().any(|place| matches!(place, Place::Group(_))) {
            // of a count that isn't in the result
            self.notes.truncate(before);
        }
        let shown = groups.columns.clone();
        let mut ranges = Vec::with_capacity(node.spreads.len());
        for Spread { intervals, people, grid, wanted } in &node.spreads {
            let told = self.notes.len();
            let intervals = self.released(intervals, at)?;
            let people = self.released(people, at)?;
            // What is told of these counts is told of the range.
            self.notes.truncate(told);
            let rows = Rows { intervals: intervals.plan, people: Some(people.plan), grid: *grid, wanted };
            let number = self.fresh();
            let joined = beside(groups.plan.clone(), node.keys, rows, number);
            let (plan, own) = self.built(joined)?;
            let perturbed = groups.perturbed || intervals.perturbed || people.perturbed;
            groups = Cells { plan, perturbed, ..groups };
            ranges.push(own);
        }
        let in_folded_row = groups.any(&groups.rows);
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        let mut flags = Vec::new();
        for place in &node.places {
            match place {
                Place::Group(at) => match shown.get(*at) {
                    Some(column @ CellColumn::Shown { .. }) => {
                        exprs.push(column_at(groups.plan.schema(), *at));
                        columns.push(column.clone());
                    }
                    _ => return Err(self.unsupported("a range beside these groups")),
                },
                Place::Range(spread, at, name) => {
                    let Some(range) = ranges.get(*spread).and_then(|own| own.get(*at)) else {
                        return Err(self.unsupported("a range of nothing"));
                    };
                    let flag = Flag(self.fresh());
                    let none = Expr::IsNull(Box::new(range.clone()));
                    let hidden = choose(none, lit(code(Rule::Beside)), lit(0_u8));
                    // inside the folded row the flag of the row says why
                    let hidden = match &in_folded_row {
                        Some(folded) => choose(folded.clone(), lit(0_u8), hidden),
                        None => hidden,
                    };
                    exprs.push(unless(in_folded_row.clone(), range.clone()).alias(name));
                    let by = groups.rows.iter().copied().chain([flag]).collect();
                    columns.push(CellColumn::Shown { hidden_by: by, noisy: true });
                    flags.push((flag, hidden));
                    self.notes.push(Note::new(name, PERTURBED, TOLD));
                    self.notes.push(Note::new(name, BESIDE, FEW));
                }
            }
        }
        for (at, column) in shown.iter().enumerate() {
            if let CellColumn::Hidden(flag) = column {
                exprs.push(column_at(groups.plan.schema(), at));
                columns.push(CellColumn::Hidden(*flag));
            }
        }
        for (flag, hidden) in flags {
            exprs.push(hidden.alias(flag.name()));
            columns.push(CellColumn::Hidden(flag));
        }
        let projected = Projection::try_new(exprs, Arc::new(groups.plan.clone()));
        let plan = LogicalPlan::Projection(self.built(projected)?);
        Ok(Part::Cells(Cells { plan, columns, rows: groups.rows, perturbed: groups.perturbed }))
    }

    /// A part, which must be cells.
    fn released(&mut self, plan: &LogicalPlan, at: At<'_>) -> Result<Cells, ReleaseRefusal> {
        match self.visit(plan, at)? {
            Part::Cells(cells) => Ok(cells),
            Part::People(_) => Err(self.examples.refuse(
                "A range of one person's values has one person in it. Per person (GROUP BY the person column in a WITH) \
                 median() and percentile_cont() are answered.",
                Instead::Range,
            )),
            Part::Reference(_) => Err(self.unsupported("a range beside a table without people")),
        }
    }
}

const TOLD: &str = "The intervals that hold it, found from shown counts of people in intervals: each person once in each. Wider where \
                    noise, or people in intervals that aren't shown, leave it open.";
const BESIDE: &str = "suppressed: too few people around it";
const FEW: &str = "Fewer than 10 shown people are in the range, below it or above it, or so many aren't shown that no range has them.";
