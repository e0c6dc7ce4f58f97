//! The search for a box around a hidden cell.

use super::table::{At, Known, Table};
use std::cmp::Reverse;

/// Second codes that are tried for each variable, so that a search looks at 64,000 boxes at most.
const TRIED: usize = 40;

/// The corners of a box with their signs: adding the sign to each leaves all sums as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Corners(Vec<(usize, i64)>);

impl Corners {
    pub(super) fn has(&self, cell: usize) -> bool {
        self.0.iter().any(|(corner, _)| *corner == cell)
    }

    /// Corners that are not hidden yet.
    pub(super) fn added<'a>(&'a self, hidden: &'a [Option<Known>]) -> Vec<usize> {
        let shown = |cell: usize| hidden.get(cell).copied().flatten().is_none();
        self.0.iter().map(|(cell, _)| *cell).filter(|cell| shown(*cell)).collect()
    }
}

/// What a box costs: more cells hidden, of them totals, their sum; then the place decides.
type Cost = (usize, usize, i64);

pub(super) struct Search<'a> {
    pub(super) table: &'a Table,
    pub(super) hidden: &'a [Option<Known>],
    /// which cells may be added, and what is known of them then; `None` when none may be
    pub(super) complement: Option<(Known, Known)>,
}

impl Search<'_> {
    /// The cheapest box in which the cell can move as far as it has to.
    pub(super) fn around(&self, cell: usize) -> Option<Corners> {
        let key = &self.table.entries.get(cell)?.key;
        let seconds: Vec<Vec<Option<u32>>> = (0..key.len()).map(|variable| self.seconds(key, variable)).collect();
        let boxes: usize = seconds.iter().map(Vec::len).product();
        let mut best: Option<(Cost, Corners)> = None;
        for number in 0..boxes {
            let mut rest = number;
            let second: Vec<Option<u32>> = seconds
                .iter()
                .filter_map(|codes| {
                    let code = codes.get(rest % codes.len()).copied();
                    rest /= codes.len();
                    code
                })
                .collect();
            let Some((cost, corners)) = self.corners(key, &second) else { continue };
            if best.as_ref().is_none_or(|(known, _)| cost < *known) {
                best = Some((cost, corners));
            }
        }
        best.map(|(_, corners)| corners)
    }

    /// Codes that the box may take beside the cell's own, those first along which something is hidden already, then large cells, which
    /// have room to move; the total, too.
    fn seconds(&self, key: &[Option<u32>], variable: usize) -> Vec<Option<u32>> {
        let own = key.get(variable).copied().flatten();
        let levels = self.table.levels.get(variable).map(Vec::as_slice).unwrap_or_default();
        let mut others: Vec<Option<u32>> = levels.iter().filter(|code| Some(**code) != own).map(|c| Some(*c)).collect();
        if others.len() > TRIED {
            others.sort_by_cached_key(|code| {
                let mut beside = key.to_vec();
                if let Some(slot) = beside.get_mut(variable) {
                    *slot = *code;
                }
                let place = self.table.places.get(&beside);
                let hidden = place.is_some_and(|place| self.hidden.get(*place).copied().flatten().is_some());
                let value = place.and_then(|place| self.table.entries.get(*place)).map_or(0, |entry| entry.value);
                Reverse((hidden, value))
            });
            others.truncate(TRIED - 1);
        }
        if own.is_some() {
            others.push(None);
        } else if others.is_empty() {
            others.push(Some(0)); // nothing but totals over this variable: no cell there can tell anything
        }
        others
    }

    fn corners(&self, key: &[Option<u32>], second: &[Option<u32>]) -> Option<(Cost, Corners)> {
        let mut corners = Vec::with_capacity(1 << key.len());
        let mut cost = (0, 0, 0);
        let (mut up, mut down, mut width) = (i64::MAX, i64::MAX, 0);
        for corner in 0..1_usize << key.len() {
            let mut sign = 1;
            let mut place = Vec::with_capacity(key.len());
            for (variable, (own, other)) in key.iter().zip(second).enumerate() {
                let moved = corner >> variable & 1 == 1;
                place.push(if moved { *other } else { *own });
                if moved && own.is_some() && other.is_some() {
                    sign = -sign;
                }
            }
            let cell = match self.table.at(&place) {
                At::Nothing => continue,
                At::Zero => return None,
                At::Cell(cell) => cell,
            };
            let value = self.table.entries.get(cell)?.value;
            let known = match self.hidden.get(cell).copied().flatten() {
                Some(known) => known,
                None => {
                    let (taken, known) = self.complement?;
                    if !taken.fits(value) {
                        return None;
                    }
                    let totals = place.iter().filter(|code| code.is_none()).count();
                    cost = (cost.0 + 1, cost.1 + totals, cost.2 + value);
                    width = width.max(known.width);
                    known
                }
            };
            if corner == 0 {
                width = width.max(known.width);
            }
            let (more, less) = (known.to.map_or(i64::MAX, |to| to - value), value - known.from);
            let (with, against) = if sign > 0 { (more, less) } else { (less, more) };
            (up, down) = (up.min(with), down.min(against));
            corners.push((cell, sign));
        }
        (up.saturating_add(down) >= width).then_some((cost, Corners(corners)))
    }
}
