//! A table with its totals, what the other two rules show of it, and how good what is shown is.

use policies::disclosure::{
    Threshold,
    complementary::{Entry, Key, Known, Protection, Table, TableError, protect},
};
use std::collections::BTreeMap;

/// People of each cell that isn't empty, and of each total: what is there, or what is shown.
pub(super) type Cells = BTreeMap<Key, u64>;

/// A cell of so many people or fewer is hidden, and the others are shown to the nearest five: OpenSAFELY's rule for outputs.
const OPENSAFELY: (u64, u64) = (7, 5);

/// What OpenSAFELY would show.
pub(super) fn opensafely(truth: &Cells) -> Cells {
    let (hidden, step) = OPENSAFELY;
    truth.iter().filter(|(_, n)| **n > hidden).map(|(key, n)| (key.clone(), (*n + step / 2) / step * step)).collect()
}

/// What a threshold of 5 shows, with more cells hidden so that the totals don't give the hidden ones away; no noise.
pub(super) fn complementary(truth: &Cells) -> Result<Cells, TableError> {
    let threshold = Threshold::DEFAULT;
    let entries = truth.iter().map(|(key, people)| Entry {
        key: key.clone(),
        value: i64::try_from(*people).unwrap_or(i64::MAX),
        hidden: threshold.hides(*people).then(|| Known::few(threshold)),
    });
    let table = Table::new(entries.collect())?;
    let also = match protect(&table, Known::complement(threshold)) {
        Protection::Also(also) | Protection::Alike { also, .. } => also,
        Protection::Withhold => return Ok(Cells::new()),
    };
    let shown = truth.iter().enumerate().filter(|(place, (_, n))| !threshold.hides(**n) && !also.contains(place));
    Ok(shown.map(|(_, (key, n))| (key.clone(), *n)).collect())
}

/// How much of some numbers is shown, and how far off.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Score {
    cells: u64,
    shown: u64,
    people: u64,
    covered: u64,
    off: u64,
    squared: u64,
    most: u64,
}

impl Score {
    /// Takes in one number; `shown`: what is shown of it, if anything.
    pub(super) fn add(&mut self, truth: u64, shown: Option<u64>) {
        self.cells += 1;
        self.people += truth;
        let Some(shown) = shown else { return };
        let off = truth.abs_diff(shown);
        self.shown += 1;
        self.covered += truth;
        self.off += off;
        self.squared += off * off;
        self.most = self.most.max(off);
    }

    /// Cells, or else totals, of one table.
    pub(super) fn table(&mut self, truth: &Cells, shown: &Cells, totals: bool) {
        for (key, people) in truth.iter().filter(|(key, _)| is_total(key) == totals) {
            self.add(*people, shown.get(key).copied());
        }
    }

    /// Totals as somebody gets them who adds up the cells that are shown.
    pub(super) fn added_up(&mut self, truth: &Cells, shown: &Cells) {
        for (total, people) in truth.iter().filter(|(key, _)| is_total(key)) {
            let part = |key: &Key| !is_total(key) && total.iter().zip(key).all(|(t, k)| t.is_none() || t == k);
            self.add(*people, Some(shown.iter().filter(|(key, _)| part(key)).map(|(_, n)| n).sum()));
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.cells
    }

    /// Share of the numbers that are shown.
    pub(super) fn released(&self) -> f64 {
        ratio(self.shown as f64, self.cells)
    }

    /// Share of the people who stand behind shown numbers.
    pub(super) fn covered(&self) -> f64 {
        ratio(self.covered as f64, self.people)
    }

    /// Mean absolute error of what is shown, people.
    pub(super) fn mean_error(&self) -> f64 {
        ratio(self.off as f64, self.shown)
    }

    /// Root of the mean squared error of what is shown, people.
    pub(super) fn root_error(&self) -> f64 {
        ratio(self.squared as f64, self.shown).sqrt()
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }
}

fn is_total(key: &Key) -> bool {
    key.iter().any(Option::is_none)
}

fn ratio(part: f64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part / of as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two towns by three ages, with all totals:
    ///
    /// | | young | middle | old | all |
    /// |---|---|---|---|---|
    /// | A | 3 | 8 | 20 | 31 |
    /// | B | 12 | 6 | 40 | 58 |
    /// | all | 15 | 14 | 60 | 89 |
    fn worked() -> Cells {
        let number = |town: Option<u32>, age: Option<u32>, n: u64| (vec![town, age], n);
        Cells::from([
            number(Some(0), Some(0), 3),
            number(Some(0), Some(1), 8),
            number(Some(0), Some(2), 20),
            number(Some(1), Some(0), 12),
            number(Some(1), Some(1), 6),
            number(Some(1), Some(2), 40),
            number(Some(0), None, 31),
            number(Some(1), None, 58),
            number(None, Some(0), 15),
            number(None, Some(1), 14),
            number(None, Some(2), 60),
            number(None, None, 89),
        ])
    }

    fn scores(shown: &Cells) -> [Score; 3] {
        let mut scores = [Score::default(); 3];
        scores[0].table(&worked(), shown, false);
        scores[1].table(&worked(), shown, true);
        scores[2].added_up(&worked(), shown);
        scores
    }

    #[test]
    fn opensafelys_rule_on_the_worked_table() {
        let shown = opensafely(&worked());
        assert_eq!(shown.get(&vec![Some(0), Some(1)]), Some(&10));
        let [cells, totals, added] = scores(&shown);
        // 3 and 6 are hidden; 8, 20, 12, 40 are shown as 10, 20, 10, 40
        assert_eq!((cells.count(), cells.released(), cells.most()), (6, 4.0 / 6.0, 2));
        assert_eq!(cells.covered(), 80.0 / 89.0);
        assert_eq!((cells.mean_error(), cells.root_error()), (1.0, 2.0_f64.sqrt()));
        // 31, 58, 15, 14, 60, 89 as 30, 60, 15, 15, 60, 90
        assert_eq!((totals.count(), totals.released(), totals.mean_error()), (6, 1.0, 5.0 / 6.0));
        // as 30, 50, 10, 10, 60, 80: off by 1, 8, 5, 4, 0 and 9
        assert_eq!((added.mean_error(), added.most()), (27.0 / 6.0, 9));
    }

    #[test]
    fn complementary_suppression_on_the_worked_table() {
        let shown = complementary(&worked()).unwrap();
        let [cells, totals, _] = scores(&shown);
        // With 3 hidden, one more in its row, one in its column and the fourth corner: the smallest are 8, 12 and 6.
        let hidden: Vec<u64> =
            worked().into_iter().filter(|(key, _)| !shown.contains_key(key)).map(|(_, n)| n).collect();
        assert_eq!(hidden, [3, 8, 12, 6]);
        assert_eq!((cells.released(), cells.mean_error()), (2.0 / 6.0, 0.0));
        assert_eq!((totals.released(), totals.mean_error()), (1.0, 0.0));
    }

    #[test]
    fn nothing_shown_is_no_error_and_nothing_there_no_share() {
        let [cells, totals, _] = scores(&Cells::new());
        assert_eq!((cells.released(), cells.mean_error(), totals.covered()), (0.0, 0.0, 0.0));
        assert_eq!(Score::default().released(), 0.0);
    }
}
