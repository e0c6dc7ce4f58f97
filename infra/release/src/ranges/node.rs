//! A node for an aggregate with ranges, until the release rules have looked at its parts.
//!
//! INVARIANT: it isn't run. [`super::cells`] makes plain nodes of it; elsewhere it is refused by name.

use super::asked::Wanted;
use arrow::datatypes::Field;
use datafusion::{
    common::{DFSchema, DFSchemaRef, Result, internal_err},
    logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore},
};
use proto::plan::interval::Grid;
use std::{cmp::Ordering, fmt, sync::Arc};

/// People in intervals, by the keys of the groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::release) struct Spread {
    /// the keys, where the interval begins, people
    pub(super) intervals: LogicalPlan,
    /// the keys, people who have a value
    pub(super) people: LogicalPlan,
    pub(super) grid: Grid,
    pub(super) wanted: Vec<Wanted>,
}

/// What a column of the result is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::release) enum Place {
    /// a column of the groups
    Group(usize),
    /// a range, by its spread and its place there, under this name
    Range(usize, usize, String),
}

/// An aggregate with ranges.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::release) struct Ranges {
    /// the keys, then the other statistics
    pub(super) groups: LogicalPlan,
    /// how many keys there are
    pub(super) keys: usize,
    pub(super) spreads: Vec<Spread>,
    pub(super) places: Vec<Place>,
    schema: DFSchemaRef,
}

impl Ranges {
    pub(super) fn try_new(groups: LogicalPlan, keys: usize, spreads: Vec<Spread>, places: Vec<Place>) -> Result<Self> {
        let mut fields = Vec::with_capacity(places.len());
        for place in &places {
            fields.push(match place {
                Place::Group(at) => {
                    let (table, field) = groups.schema().qualified_field(*at);
                    (table.cloned(), Arc::clone(field))
                }
                Place::Range(spread, at, name) => {
                    let Some(wanted) = spreads.get(*spread).and_then(|spread| spread.wanted.get(*at)) else {
                        return internal_err!("a range of nothing");
                    };
                    (None, Arc::new(Field::new(name, wanted.gives.kind(), true)))
                }
            });
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, groups.schema().metadata().clone())?);
        Ok(Self { groups, keys, spreads, places, schema })
    }
}

impl PartialOrd for Ranges {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Ranges {
    fn name(&self) -> &str {
        "quantile_range() in this place"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        let spreads = self.spreads.iter().flat_map(|spread| [&spread.intervals, &spread.people]);
        std::iter::once(&self.groups).chain(spreads).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ranges")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let mut next = || inputs.next();
        let Some(groups) = next() else { return internal_err!("ranges without groups") };
        let mut spreads = Vec::with_capacity(self.spreads.len());
        for Spread { grid, wanted, .. } in &self.spreads {
            let (Some(intervals), Some(people)) = (next(), next()) else {
                return internal_err!("ranges without counts");
            };
            spreads.push(Spread { intervals, people, grid: *grid, wanted: wanted.clone() });
        }
        Self::try_new(groups, self.keys, spreads, self.places.clone())
    }
}
