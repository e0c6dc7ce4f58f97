//! The last step of a query: what may leave. The hub decides so about what it computes, a spoke about what it is asked under a
//! permit of checked cells.
//!
//! Inside the secure environment (`enclave`) a statement runs as it is. Outside (`open`) it must end in an aggregate
//! over people, and a cell is shown only when at least five different people stand behind it. The rule is applied by
//! rewriting the analysed, not yet optimised plan: `walk` follows the people through the statement, from the tables
//! (`table`) through conditions (`expr`, `scope`), `join`, `union` and `window` to the last `aggregate`; `suppress` adds
//! hidden counts of people and of what they contribute to it (`need`), hides the cells that a rule forbids (`rule`) and folds small
//! groups into one row; `cells` carries the result through the rest of the statement and says in the last column what happened.
//! `lookup` sees to it that `IN (SELECT ..)` tells of a row's own person only, `failing` that no row makes a statement fail, `resolution` that
//! none is computed with more finely than the open zone may, `day` that no key is a day. `ranges` makes counts of people in intervals of
//! quantiles.
//!
//! INVARIANT: fails closed. A node, an expression, a function or a table that isn't understood is refused, by name.
//! INVARIANT: [`Released`] is made here only; what hasn't been through [`analyse`] can't be sent to a caller.
//!
//! Not covered yet, and stated in `docs/release.md`: sums with and without somebody in other units, cells of several keys that equal their
//! margin, and that a group of one to four people exists at all.

// The modules name each other by the crate's own name.
extern crate self as release;

mod aggregate;
mod cells;
mod charge;
mod checked;
mod day;
mod explain;
mod expr;
mod failing;
mod fits;
mod join;
mod ledger;
mod limited;
mod lookup;
mod need;
mod origin;
mod people;
mod perturb;
mod raised;
mod ranges;
mod refusal;
mod resolution;
mod roles;
mod rule;
mod scope;
mod shared;
mod suppress;
mod table;
mod totals;
mod union;
mod walk;
mod window;

pub use checked::{Checked, Layout, allowed, checked, makes_cells};
pub use explain::{Note, explain};
pub use ledger::{Caps, FAR, Ledger, Ledgers, MOST, NEAR};
pub use ranges::{range_functions, ranged};
pub use refusal::ReleaseRefusal;
pub use roles::{ColumnRole, REFERENCE, Roles, SchemaRoles, TABLE_ROLE};
pub use shared::{Unshared, shared};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    common::{
        display::{PlanType, ToStringifiedPlan as _},
        tree_node::TreeNodeRecursion,
    },
    logical_expr::{Explain, LogicalPlan},
};
use perturb::Noise;
use policies::{
    disclosure::{STATUS_COLUMN, Threshold},
    zone::Zone,
};
use refusal::{Examples, Instead};
use std::sync::Arc;
use walk::{Analysis, At, Part};

/// Names that start so belong to the release rules.
const RESERVED: &str = "__eger_";

/// Something that may be sent to the caller.
#[derive(Debug, Clone)]
pub struct Released<T>(T);

impl<T> Released<T> {
    /// What may be sent.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What may be sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Released<LogicalPlan> {
    /// The schema of the result, the same for the announcement and for the data.
    #[must_use]
    pub fn schema(&self) -> Released<SchemaRef> {
        let schema: &Schema = self.0.schema().as_arrow();
        Released(Arc::new(schema.clone()))
    }
}

/// Decides whether a statement may be answered in this zone, and rewrites it so that only what may leave does. Cells that are
/// shown get into `ledger`, the project's, when it runs.
///
/// Where the permit of a table asks for more people than the platform does, nothing is shown of fewer.
///
/// `plan` is analysed (types coerced), not optimised.
///
/// # Errors
/// A statement that can't be released, with the reason and an example that works.
pub fn analyse(
    plan: LogicalPlan,
    zone: Zone,
    roles: &dyn Roles,
    ledger: &Arc<Ledger>,
) -> Result<Released<LogicalPlan>, ReleaseRefusal> {
    match zone {
        Zone::Enclave => Ok(Released(plan)),
        Zone::Open => open(plan, roles, Some(Noise::new(ledger))).map(Released),
    }
}

/// `noise`: in shown numbers; tests of the other rules do without.
fn open(plan: LogicalPlan, roles: &dyn Roles, noise: Option<Noise>) -> Result<LogicalPlan, ReleaseRefusal> {
    if let LogicalPlan::Explain(explain) = &plan {
        // shows the statement as it would run, with the release rules in it; runs nothing
        let inner = open(explain.plan.as_ref().clone(), roles, noise)?;
        let stringified_plans = vec![inner.to_stringified(PlanType::InitialLogicalPlan)];
        return Ok(LogicalPlan::Explain(Explain { plan: Arc::new(inner), stringified_plans, ..explain.clone() }));
    }
    let (analysis, part) = decided(plan, roles, noise, Threshold::DEFAULT)?;
    let released = match part {
        Part::Reference(plan) => cells::finish_reference(plan),
        Part::Cells(cells) => cells.finish(),
        Part::People(_) => return Err(analysis.rows()),
    };
    analysis.built(released)
}

/// What a statement's rows are, with the rules in it. `least`: what the caller asks for, above which its tables may.
fn decided<'r>(
    plan: LogicalPlan,
    roles: &'r dyn Roles,
    noise: Option<Noise>,
    least: Threshold,
) -> Result<(Analysis<'r>, Part), ReleaseRefusal> {
    let least = least.max(roles::least(&plan, roles));
    let noise = noise.map(|noise| noise.under(least, &plan));
    let examples = Examples::of(&plan, roles).unwrap_or_default();
    reserved_names(&plan, &examples)?;
    // What is refused is refused as it was written.
    Analysis::new(roles, examples.clone(), None).visit(&plan, At::default())?;
    let plan = lookup::without_missing(plan, &examples)?;
    let plan = resolution::coarsened(plan, roles, &examples)?;
    let plan = failing::without_failures(plan, &examples)?;
    let mut analysis = Analysis::new(roles, examples, noise).with_least(least).found_acceptable();
    let part = analysis.visit(&plan, At::default())?;
    Ok((analysis, part))
}

/// The names that release adds must not be in the statement.
fn reserved_names(plan: &LogicalPlan, examples: &Examples) -> Result<(), ReleaseRefusal> {
    if plan.schema().fields().iter().any(|field| field.name() == STATUS_COLUMN) {
        let reason =
            format!("The name {STATUS_COLUMN} is taken by the last column of every result. Choose another name.");
        return Err(examples.refuse(reason, Instead::Count));
    }
    let mut taken = false;
    let walked = plan.apply_with_subqueries(|node| {
        taken |= node.schema().fields().iter().any(|field| field.name().starts_with(RESERVED));
        Ok(if taken { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if taken || walked.is_err() {
        let reason = format!("Names that start with {RESERVED} are reserved. Choose another name.");
        return Err(examples.refuse(reason, Instead::Count));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
