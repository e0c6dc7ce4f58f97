//! Sums, means and spreads as they are shown: of nearly the same contributions as an earlier one's, that one's number.
//!
//! INVARIANT: every statistic of known contributions comes from here as it is in the ledger, the first time too: what is shown again is the same
//! to its last digit, whatever its type.

use super::{Spread, numbers, unread};
use crate::release::ledger::{Ledger, Of, Record, Shown};
use arrow::array::{Array, ArrayRef, BinaryArray};
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
                Share::new(people, people).map_or(spread, |all| all.spread(spread, 0))
            }
        }
    }
}

/// A sample's variance over the one of all: as if each had one row, which is all that is remembered.
fn sampled(people: u64) -> f64 {
    let people = people.max(2) as f64;
    people / (people - 1.0)
}

/// What is shown in place of `own`, which have noise of their own; `contributions`: to each of them. Rows for which `apart` says so
/// are remembered elsewhere and stay, and so do blind totals, of which nobody sees what people contribute.
pub(super) fn shown(
    ledger: &Ledger,
    kind: Kind,
    own: &ArrayRef,
    contributions: &BinaryArray,
    apart: impl Fn(usize) -> bool,
) -> Result<ArrayRef> {
    let (of, tells) = kind.of();
    let mut asked = Vec::with_capacity(own.len());
    for (row, number) in numbers::read(own)?.into_iter().enumerate() {
        let said = contributions.is_valid(row).then(|| Contributions::read(contributions.value(row)));
        let said = said.transpose().map_err(unread)?;
        let amounts = said.and_then(|said| said.amounts.get(tells.numbers() - 1).copied().flatten());
        let (Some(number), Some(amounts), false) = (number.filter(|n| n.is_finite()), amounts, apart(row)) else {
            asked.push(None);
            continue;
        };
        let marks = Summary::read(amounts).map_err(unread)?;
        // Nobody's sum is no sum.
        asked.push((marks.people > 0).then(|| Record { of, shown: kind.kept(number, marks.people), marks }));
    }
    let shown = ledger.statistics(&asked)?;
    let shown: Vec<Option<f64>> = shown.into_iter().map(|shown| Some(kind.shown(shown?))).collect();
    numbers::replaced(own, &shown)
}
