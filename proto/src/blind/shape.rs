//! Which fragments can be answered with shares: one aggregate without groups, of measures that add up exactly.

use crate::wire::{self, MeasureKind, Rel, expr, rel};

/// Why a fragment is no blind total. Names what stands in the way, and no constant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a blind total can't have {what}. Ask for COUNT, COUNT(DISTINCT person) or SUM of whole numbers or decimals over the members' table"
)]
pub struct Unshareable {
    /// what
    pub what: &'static str,
}

/// Number of statistics of a fragment that can be answered with shares.
///
/// # Errors
/// When it is anything else: the first thing that stands in the way.
pub fn statistics(fragment: &wire::Fragment) -> Result<usize, Unshareable> {
    let mut shown = None;
    let mut next = kind(fragment.root.as_ref())?;
    // What is shown may be named and ordered anew, and not computed with: a share is of exactly one measure.
    while let rel::Kind::Project(project) = next {
        if !project.exprs.iter().all(|named| matches!(column(named), Some(expr::Kind::Column(_)))) {
            return no("computing with a total before it is one");
        }
        shown.get_or_insert(project.exprs.len());
        next = kind(project.input.as_deref())?;
    }
    let rel::Kind::Aggregate(aggregate) = next else { return no("rows") };
    if !aggregate.groups.is_empty() {
        return no("groups: which of them a member has would tell of its people");
    }
    if aggregate.measures.is_empty() {
        return no("no measure");
    }
    for measure in &aggregate.measures {
        let kind = measure.measure.as_ref().map_or(MeasureKind::Unspecified, wire::Measure::kind);
        match kind {
            MeasureKind::Count | MeasureKind::Sum | MeasureKind::Persons | MeasureKind::CountDistinct => {}
            // Of which the number of those who add something is shared, and nothing else.
            MeasureKind::Contributions => {}
            MeasureKind::Min | MeasureKind::Max => return no("MIN or MAX, which are somebody's value"),
            MeasureKind::Avg | MeasureKind::ContributionsMean => return no("AVG: ask for SUM and COUNT"),
            _ => return no("a measure that doesn't add up"),
        }
    }
    // An id of which one person may have many would be counted without a limit.
    let people = |measure: &&wire::Measure| matches!(measure.kind(), MeasureKind::Persons | MeasureKind::Contributions);
    let measures = || aggregate.measures.iter().filter_map(|named| named.measure.as_ref());
    let known = |argument| measures().filter(people).any(|measure| measure.argument.as_ref() == argument);
    let mut distinct = measures().filter(|measure| measure.kind() == MeasureKind::CountDistinct);
    if !distinct.all(|measure| known(measure.argument.as_ref())) {
        return no("COUNT(DISTINCT ..) of anything but people");
    }
    below(kind(aggregate.input.as_deref())?)?;
    Ok(shown.unwrap_or(aggregate.measures.len()))
}

/// Rows of one spoke, whole: a row chosen by its place would be somebody's.
fn below(rel: &rel::Kind) -> Result<(), Unshareable> {
    match rel {
        rel::Kind::Read(_) => Ok(()),
        rel::Kind::Filter(node) => below(kind(node.input.as_deref())?),
        rel::Kind::Project(node) => below(kind(node.input.as_deref())?),
        rel::Kind::Join(node) => {
            below(kind(node.left.as_deref())?)?;
            below(kind(node.right.as_deref())?)
        }
        rel::Kind::Aggregate(_) => no("an aggregate of aggregates"),
        rel::Kind::SortLimit(_) => no("ORDER BY or LIMIT"),
    }
}

fn kind(rel: Option<&Rel>) -> Result<&rel::Kind, Unshareable> {
    rel.and_then(|rel| rel.kind.as_ref()).map_or_else(|| no("a part that is missing"), Ok)
}

fn column(named: &wire::NamedExpr) -> Option<&expr::Kind> {
    named.expr.as_ref()?.kind.as_ref()
}

fn no<T>(what: &'static str) -> Result<T, Unshareable> {
    Err(Unshareable { what })
}
