//! The rules that count people, asked of a cell.
//!
//! Which of the numbers that are only just about enough people are shown falls by the lot of those people, in every rule that counts people
//! (`policies::disclosure::lot`): of the group, of who is in a statistic, of who is left over, of the contributors to a sum.
//!
//! INVARIANT: fewer than the threshold are hidden whatever the lot.
//! INVARIANT: nobody is hidden as one to four people are. Else a number of nobody would say of everybody else in its group that they are
//! the others: a count of those without a diagnosis, which is 0, tells of all that they have it.

use super::unread;
use crate::release::limited::Limited;
use datafusion::common::Result;
use policies::disclosure::{
    Rule, Threshold, dominance, group,
    lot::{Lot, WIDTH},
    noise::CellKey,
};
use proto::plan::{
    contributions::Contributions,
    persons::{Summary, head},
};

/// A spread that is smaller than this part of the largest value is none.
const NO_SPREAD: f64 = 1e-9;
const LEAST: Threshold = Threshold::DEFAULT;

/// Whether what is only just at a boundary falls by lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::release) enum Boundaries {
    /// as everywhere
    ByLot,
    /// in tests of the other rules, whose oracles can't tell lots
    Exact,
}

/// Some people: how many, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct People<'a> {
    number: u64,
    summary: &'a [u8],
}

impl People<'_> {
    fn lot(self) -> Result<Lot> {
        let Summary { key, marks, .. } = Summary::read(self.summary).map_err(unread)?;
        Ok(Lot::of_people(CellKey::new(key), marks.as_slice()))
    }

    /// The lot of those of `self` who are not in `part`.
    fn lot_without(self, part: Self) -> Result<Lot> {
        let mut rest = Summary::read(self.summary).map_err(unread)?;
        rest.part_with(&Summary::read(part.summary).map_err(unread)?);
        Ok(Lot::of_people(CellKey::new(rest.key), rest.marks.as_slice()))
    }
}

/// Whom a summary is of.
pub(super) fn people(summary: Option<&[u8]>) -> Result<Option<People<'_>>> {
    let Some(summary) = summary else { return Ok(None) };
    let (number, _) = head(summary).map_err(unread)?;
    Ok(Some(People { number, summary }))
}

impl Boundaries {
    /// Whether so many people are near enough above a boundary of `least` for a lot to be asked.
    fn asks(self, people: u64, least: u64) -> bool {
        self == Self::ByLot && people >= least && people < least + WIDTH
    }

    /// Few, or nobody.
    pub(super) fn few(self, people: Option<People<'_>>) -> Result<Option<Rule>> {
        let Some(people) = people.filter(|people| people.number >= LEAST.least()) else {
            return Ok(Some(Rule::Few(LEAST.least())));
        };
        if self.asks(people.number, LEAST.least()) {
            return Ok(LEAST.check_by_lot(people.number, people.lot()?));
        }
        Ok(None)
    }

    /// All of a group, or all but few.
    fn nearly_all(self, part: People<'_>, whole: People<'_>) -> Result<Option<Rule>> {
        let rest = whole.number.saturating_sub(part.number);
        if self.asks(rest, LEAST.least()) {
            return Ok(group::rest_by_lot(rest, whole.lot_without(part)?, LEAST));
        }
        Ok(group::count(part.number, whole.number, LEAST))
    }

    pub(super) fn of_part(self, part: Option<People<'_>>, whole: Option<People<'_>>) -> Result<Option<Rule>> {
        let rule = match (self.few(part)?, part.zip(whole)) {
            (None, Some((part, whole))) => self.nearly_all(part, whole)?,
            (few, _) => few,
        };
        Ok(rule.map(alike))
    }

    pub(super) fn of_share(self, adding: Option<People<'_>>, all: Option<People<'_>>) -> Result<Option<Rule>> {
        if let Some(few) = self.few(all)? {
            return Ok(Some(few));
        }
        let ends = match (self.few(adding)?, adding.zip(all)) {
            (None, Some((adding, all))) => self.nearly_all(adding, all)?,
            (few, _) => few,
        };
        Ok(ends.map(|_| Rule::Group))
    }

    /// What hides a sum.
    pub(super) fn of_sum(self, said: Option<&Contributions<'_>>) -> Result<Option<Rule>> {
        let all = people(said.map(|said| said.all))?;
        if let Some(rule) = self.few(all)? {
            return Ok(Some(rule));
        }
        let adding = people(said.and_then(|said| said.adding))?;
        if let Some(rule) = self.few(adding)? {
            return Ok(Some(rule));
        }
        let (Some(said), Some(adding)) = (said, adding) else { return Ok(None) };
        let lot = self.asks(adding.number, dominance::CONTRIBUTORS).then(|| adding.lot()).transpose()?;
        let Some(sizes) = said.sizes else {
            // of a blind total nobody sees what single people contribute
            let enough = adding.number >= dominance::CONTRIBUTORS
                && lot.is_none_or(|lot| lot.reaches(dominance::CONTRIBUTORS, adding.number));
            return Ok((!enough).then_some(Rule::Contributors));
        };
        let contributions = match self {
            Self::Exact => None,
            Self::ByLot => Limited::of(said)?,
        };
        let people = adding.number;
        let contributions = match contributions {
            // One who adds much more than others doesn't hide the sum, which would tell of them: they don't count as more than the limit.
            Some(Limited { size, largest: [largest, second], .. }) => {
                dominance::Contributions { people, total: size, largest, second }
            }
            None => {
                dominance::Contributions { people, total: sizes.total, largest: sizes.largest, second: sizes.second }
            }
        };
        Ok(match lot {
            Some(lot) => contributions.check_by_lot(lot),
            None => contributions.check(),
        })
    }

    /// What hides a mean or a spread: where the values don't differ, either says that everybody has the same. `deviation` is asked where
    /// boundaries are exact.
    pub(super) fn of_spread(self, said: Option<&Contributions<'_>>, deviation: Option<f64>) -> Result<Option<Rule>> {
        if let Some(rule) = self.of_sum(said)? {
            return Ok(Some(rule));
        }
        let limited = match (self, said) {
            (Self::ByLot, Some(said)) => Limited::of(said)?.and_then(|limited| limited.mean),
            _ => None,
        };
        let alike = match limited {
            Some(mean) => mean.alike,
            None => {
                let largest = said.and_then(|said| said.sizes).map_or(0.0, |sizes| sizes.largest);
                deviation.is_some_and(|deviation| deviation <= largest * NO_SPREAD)
            }
        };
        Ok(alike.then_some(Rule::Group))
    }
}

/// The rest of a group is named as the whole is.
pub(super) fn alike(rule: Rule) -> Rule {
    if matches!(rule, Rule::Rest(_)) { Rule::Group } else { rule }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The summary of these people.
    fn of(who: std::ops::Range<u64>) -> Vec<u8> {
        let mut summary = Summary::default();
        for person in who {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&(person + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            summary.add(&bytes);
        }
        summary.write().unwrap()
    }

    #[test]
    fn parts_of_a_group_are_hidden_at_both_ends() {
        let all = of(0..40);
        let hidden = |by: Boundaries, share: bool| -> Vec<u64> {
            let rule = |part: u64| {
                let part = of(0..part);
                let (part, all) = (people(Some(&part)).unwrap(), people(Some(&all)).unwrap());
                let part = part.filter(|part| part.number > 0);
                if share { by.of_share(part, all).unwrap() } else { by.of_part(part, all).unwrap() }
            };
            (0..=40).filter(|part| rule(*part).is_some()).collect()
        };
        assert_eq!(hidden(Boundaries::Exact, false), [0, 1, 2, 3, 4, 36, 37, 38, 39, 40]);
        assert_eq!(hidden(Boundaries::Exact, true), [0, 1, 2, 3, 4, 36, 37, 38, 39, 40]);
        for share in [false, true] {
            let (exact, by_lot) = (hidden(Boundaries::Exact, share), hidden(Boundaries::ByLot, share));
            assert!(exact.iter().all(|part| by_lot.contains(part)), "by lot more, never less: {by_lot:?}");
            assert!(by_lot.iter().all(|part| exact.contains(part) || (5..8).contains(part) || (33..36).contains(part)));
        }
        let forty = people(Some(&all)).unwrap();
        let few = of(0..3);
        let three = people(Some(&few)).unwrap();
        for by in [Boundaries::Exact, Boundaries::ByLot] {
            let one_name = |nobody: Option<Rule>, three: Option<Rule>| {
                assert!(three.is_some() && nobody == three, "{nobody:?} is told from {three:?}");
            };
            one_name(by.few(None).unwrap(), by.few(three).unwrap());
            one_name(by.of_part(None, forty).unwrap(), by.of_part(three, forty).unwrap());
            one_name(by.of_share(None, forty).unwrap(), by.of_share(three, forty).unwrap());
            one_name(by.of_share(None, None).unwrap(), by.of_share(three, three).unwrap());
            let said = |adding| Contributions { all: &all, adding, sizes: None, amounts: [None; 3], outer: None };
            let of_nobody = by.of_sum(Some(&said(None))).unwrap();
            one_name(of_nobody, by.of_sum(Some(&said(Some(&few)))).unwrap());
            one_name(of_nobody, by.of_sum(None).unwrap());
        }
    }

    /// Of how many of 400 groups of so many people the rules hide something.
    fn hidden_of(rule: impl Fn(u64) -> Option<Rule>) -> usize {
        (0..400).filter(|group| rule(group * 1_000).is_some()).count()
    }

    #[test]
    fn boundaries_fall_by_lot_wherever_people_are_counted() {
        let by = Boundaries::ByLot;
        for (above, shares) in [(0, 320..380), (1, 160..240), (2, 25..80), (3, 0..1)] {
            let few = hidden_of(|from| by.few(people(Some(&of(from..from + 5 + above))).unwrap()).unwrap());
            assert!(shares.contains(&few), "{few} of 400 cells of {}", 5 + above);
            let sums = hidden_of(|from| {
                let who = of(from..from + 10 + above);
                let sizes = Some(proto::plan::contributions::Sizes { total: 10.0, largest: 1.0, second: 1.0 });
                by.of_sum(Some(&Contributions {
                    all: &who,
                    adding: Some(&who),
                    sizes,
                    amounts: [None; 3],
                    outer: None,
                }))
                .unwrap()
            });
            assert!(shares.contains(&sums), "{sums} of 400 sums of {}", 10 + above);
            let rests = hidden_of(|from| {
                let (all, part) = (of(from..from + 40), of(from..from + 35 - above));
                by.of_part(people(Some(&part)).unwrap(), people(Some(&all)).unwrap()).unwrap()
            });
            assert!(shares.contains(&rests), "{rests} of 400 rests of {}", 5 + above);
        }
    }

    /// One attempt, not two: who is left over is hidden as a cell of the same people is.
    #[test]
    fn the_same_people_fall_alike_as_a_cell_and_as_a_rest() {
        for from in (0..100).map(|group| group * 1_000) {
            let (all, part, rest) = (of(from..from + 40), of(from..from + 34), of(from + 34..from + 40));
            let [all, part, rest] = [&all, &part, &rest].map(|who| people(Some(who)).unwrap());
            let cell = Boundaries::ByLot.few(rest).unwrap().is_some();
            assert_eq!(Boundaries::ByLot.of_part(part, all).unwrap().is_some(), cell);
        }
    }
}
