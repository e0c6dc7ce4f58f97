//! Cells that this spoke checks itself: what leaves under a permit whose output is `spoke_aggregates`.
//!
//! Whatever is asked is put through the release rules of the open zone here, in the code that the hub has for what it computes itself: a
//! statement must end in an aggregate over people, and small groups, dominated sums and the rest are hidden before a byte leaves. Counts
//! have the noise of the same pseudonyms, and this spoke remembers what it released, for each project and key.
//!
//! INVARIANT: by the permit, and not by the question: under such a permit nothing else is planned, let alone run.
//! INVARIANT: what chooses people is the fragment alone: key lists are refused.

use super::keys::ProjectKeys;
use crate::receive::Question;
use datafusion::{execution::SessionState, logical_expr::LogicalPlan};
use policies::{
    disclosure::Threshold,
    permit::{Output, Permit},
};
use proto::{
    fragment::Limits,
    plan::{Tables, decode_plainly},
    refusal::{Kind, Refusal},
};
use release::{Ledgers, SchemaRoles};

/// Whether only checked cells leave under a permit.
pub(super) fn only(permit: &Permit) -> bool {
    permit.output == Output::SpokeAggregates && permit.blind.is_none()
}

/// The smallest number of people that a cell may be about.
pub(super) fn least(permit: &Permit) -> Threshold {
    Threshold::DEFAULT.raised_to(permit.threshold.unwrap_or_default().into())
}

/// Whether it can be looked at at all.
pub(super) fn checkable(question: &Question) -> Result<(), Refusal> {
    if question.keys.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Invalid,
        "this controller's permit lets only cells out that its spoke has checked, and they take no key lists: those choose \
         people",
    ))
}

/// What is asked of `tables`, analysed: what the rules of release take.
///
/// # Errors
/// What isn't admitted, or doesn't fit together.
pub(super) fn asked(
    question: &Question,
    tables: &dyn Tables,
    state: &SessionState,
    limits: &Limits,
) -> Result<LogicalPlan, Refusal> {
    let asked = decode_plainly(&question.fragment, tables, state, limits).map_err(Refusal::from)?;
    let asked = state.analyzer().execute_and_check(asked, state.config_options(), |_, _| {});
    // The engine's own words may repeat constants of the question.
    asked.map_err(|_| Refusal::new(Kind::Invalid, "types or names in the fragment don't fit together"))
}

/// The plan of checked cells over `tables`, in place of what is asked.
///
/// # Errors
/// What can't be released, with what to ask instead.
pub(super) fn plan(
    permit: &Permit,
    keys: &ProjectKeys,
    question: &Question,
    tables: &dyn Tables,
    state: &SessionState,
    (ledgers, limits): (&Ledgers, &Limits),
) -> Result<LogicalPlan, Refusal> {
    checkable(question)?;
    let asked = asked(question, tables, state, limits)?;
    let ledger = ledgers.of(&permit.project, keys.epoch);
    let checked = release::checked(asked, &SchemaRoles, &ledger, least(permit)).map_err(|refusal| {
        let why = "this controller's permit lets only cells out that its spoke has checked itself.";
        Refusal::new(Kind::Denied, format!("{why} {refusal}"))
    })?;
    Ok(checked.into_parts().0.into_inner())
}
