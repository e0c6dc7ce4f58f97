//! Sums, means and spreads as they are shown: of nearly the same contributions as an earlier one's, that one's number.
//!
//! INVARIANT: every statistic of known contributions comes from here as it is in the ledger, the first time too: what is shown again is the same
//! to its last digit, whatever its type.

use super::{Spread, numbers, unread};
use crate::release::ledger::{Ledger, Of, Record, Shown};
use arrow::array::{ArrayRef, BinaryArray};
use datafusion::common::Result;
use policies::disclosure::statistic::Share;
use proto::plan::{
    contributions::{Contributions, Tells},
    persons::Summary,
};

/// Which statistic it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Sum,
    Mean,
    Spread(Spread),
}

impl Kind {
    const fn of(self) -> (Of, Tells) {
        match self {
            Self::Sum => (Of::Sum, Tells::Sum),
            Self::Mean => (Of::Mean, Tells::Mean),
            Self::Spread(_) => (Of::Spread, Tells::Spread),
        }
    }

    /// The number as it is kept. All that say how far the same values are apart are one statistic: the standard deviation over all.
    fn kept(self, number: f64, people: u64) -> f64 {
        match self {
            Self::Sum | Self::Mean => number,
            Self::Spread(of) => {
                let squared = if of.squared { number } else { number * number };
                (if of.sample { squared / sampled(people) } else { squared }).sqrt()
            }
        }
    }

    /// The number that was kept, in its own form again.
    fn shown(self, Shown { number, people }: Shown) -> f64 {
        match self {
            Self::Sum | Self::Mean => number,
            Self::Spread(of) => {
                let squared = number * number * if of.sample { sampled(people) } else { 1.0 };
                let spread = if of.squared { squared } else { squared.sqrt() };
                Share::new(people, people).map_or(spread, |all| all.spread(spread, 1.0, 0.0, of.squared))
            }
        }
    }
}

/// A sample's variance over the one of all: as if each had one row, which is all that is remembered.
fn sampled(people: u64) -> f64 {
    let people = people.max(2) as f64;
    people / (people - 1.0)
}

/// Who adds how much to each statistic; nothing of blind totals, of which nobody sees it.
pub(super) fn amounts(kind: Kind, contributions: &BinaryArray) -> Result<Vec<Option<Summary>>> {
    let (_, tells) = kind.of();
    let of = |said: Option<&[u8]>| -> Result<Option<Summary>> {
        let said = said.map(Contributions::read).transpose().map_err(unread)?;
        let amounts = said.and_then(|said| said.amounts.get(tells.numbers() - 1).copied().flatten());
        amounts.map(Summary::read).transpose().map_err(unread)
    };
    contributions.iter().map(of).collect()
}

/// What is shown in place of `own`, which have noise of their own; `amounts`: who adds how much to each of them. Rows of which that isn't
/// known stay, and so do those for which `apart` says that they are remembered elsewhere.
pub(super) fn shown(
    ledger: &Ledger,
    kind: Kind,
    own: &ArrayRef,
    amounts: &[Option<Summary>],
    apart: impl Fn(usize) -> bool,
) -> Result<ArrayRef> {
    let (of, _) = kind.of();
    let mut asked = Vec::with_capacity(own.len());
    for (row, number) in numbers::read(own)?.into_iter().enumerate() {
        // Nobody's sum is no sum.
        let marks = amounts.get(row).and_then(Option::as_ref).filter(|marks| marks.people > 0 && !apart(row));
        let (Some(number), Some(marks)) = (number.filter(|number| number.is_finite()), marks) else {
            asked.push(None);
            continue;
        };
        asked.push(Some(Record { of, marks: marks.clone(), shown: kind.kept(number, marks.people) }));
    }
    let shown = ledger.statistics(&asked)?;
    let shown: Vec<Option<f64>> = shown.into_iter().map(|shown| Some(kind.shown(shown?))).collect();
    numbers::replaced(own, &shown)
}
