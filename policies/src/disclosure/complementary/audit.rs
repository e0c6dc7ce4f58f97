//! What a reader can compute of a table's hidden cells by adding and subtracting: the least and the most that each can be.
//!
//! The bounds are those of linear programming over the sums of the table and what is known of each hidden cell, exact
//! ([`super::simplex`]). In tables of one and two variables they are also the exact bounds over whole numbers, since the sums are totally
//! unimodular; in three, whole numbers can be narrower in rare tables. [`super::protect`] doesn't rest on this: its boxes are whole tables.
//! Where categories overlap and don't add up, a reader is given the difference, which makes the bounds narrower than what can be computed.

use super::{
    Table,
    simplex::{System, Unsolved},
};
use std::collections::BTreeMap;

/// Hidden cells that hang together by sums; more are not audited, since the work grows with the cube.
pub const AUDITED: usize = 400;

/// What can be computed of a hidden cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// which cell of the table
    pub cell: usize,
    /// it is at least this
    pub from: i64,
    /// and at most this; `None`: nothing says how much
    pub to: Option<i64>,
    /// how wide the range has to be
    pub width: i64,
}

impl Range {
    /// Whether the range is narrower than it has to be: the cell counts as told.
    #[must_use]
    pub fn told(&self) -> bool {
        self.to.is_some_and(|to| to.saturating_sub(self.from) < self.width)
    }
}

/// The table is too large to audit, or its numbers contradict what is said of them. Treat it as not safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table can't be audited: over {AUDITED} hidden cells hang together, or its numbers contradict each other")]
pub struct TooLarge;

/// The range of each hidden cell, in the order of the table.
///
/// # Errors
/// When the table can't be audited; it is not safe to show then.
pub fn audit(table: &Table) -> Result<Vec<Range>, TooLarge> {
    ranges(table, &relations(table, &Looks::Behind))
}

/// The same of a table of which only the shown numbers are known: what stands in its hidden entries is not looked at. For tables that
/// somebody else made.
///
/// # Errors
/// When the table can't be audited, or its shown numbers contradict each other: a total that isn't the sum of its parts.
pub fn audit_shown(table: &Table) -> Result<Vec<Range>, TooLarge> {
    let sums = relations(table, &Looks::AtWhatIsShown);
    let adds_up = |(total, parts): (usize, Vec<usize>)| {
        let entries = || parts.iter().chain([&total]).filter_map(|cell| table.entries.get(*cell));
        let value = |cell: usize| table.entries.get(cell).map_or(0, |entry| entry.value);
        entries().any(|entry| entry.hidden.is_some())
            || parts.iter().map(|part| value(*part)).sum::<i64>() == value(total)
    };
    if !table.sums().into_iter().all(adds_up) {
        return Err(TooLarge);
    }
    ranges(table, &sums)
}

fn ranges(table: &Table, sums: &[Relation]) -> Result<Vec<Range>, TooLarge> {
    let mut ranges = Vec::new();
    for component in components(table, sums) {
        if component.len() > AUDITED {
            return Err(TooLarge);
        }
        let places: BTreeMap<usize, usize> = component.iter().enumerate().map(|(at, cell)| (*cell, at)).collect();
        let known = component.iter().filter_map(|cell| Some((*cell, table.entries.get(*cell)?.hidden?)));
        let known: Vec<_> = known.collect();
        let system = System {
            bounds: known.iter().map(|(_, known)| (known.from, known.to)).collect(),
            sums: sums
                .iter()
                .filter(|(terms, _)| terms.first().is_some_and(|(cell, _)| places.contains_key(cell)))
                .map(|(terms, total)| {
                    let terms = terms.iter().filter_map(|(cell, sign)| Some((*places.get(cell)?, *sign))).collect();
                    (terms, *total)
                })
                .collect(),
        };
        let found = system.ranges().map_err(|Unsolved| TooLarge)?;
        ranges.extend(known.iter().zip(found).map(|((cell, known), (from, to))| Range {
            cell: *cell,
            from,
            to,
            width: known.width,
        }));
    }
    ranges.sort_by_key(|range| range.cell);
    Ok(ranges)
}

type Relation = (Vec<(usize, i64)>, i64);

/// From where the sum of hidden cells is known.
enum Looks {
    /// from the cells themselves
    Behind,
    /// from the others of the line
    AtWhatIsShown,
}

/// For each sum with hidden cells in it: those, and what they add up to (parts less total).
fn relations(table: &Table, looks: &Looks) -> Vec<Relation> {
    let mut relations = Vec::new();
    for (total, parts) in table.sums() {
        let signed = parts.into_iter().map(|part| (part, 1)).chain([(total, -1)]);
        let (terms, shown): (Vec<_>, Vec<_>) =
            signed.partition(|(cell, _)| table.entries.get(*cell).is_some_and(|entry| entry.hidden.is_some()));
        if !terms.is_empty() {
            let value = |cell: usize| table.entries.get(cell).map_or(0, |entry| entry.value);
            let add = |cells: &[(usize, i64)]| cells.iter().map(|(cell, sign)| sign * value(*cell)).sum::<i64>();
            let sum = match looks {
                Looks::Behind => add(&terms),
                Looks::AtWhatIsShown => -add(&shown),
            };
            relations.push((terms, sum));
        }
    }
    relations
}

/// Hidden cells that hang together by sums.
fn components(table: &Table, sums: &[Relation]) -> Vec<Vec<usize>> {
    let hidden = table.entries.iter().enumerate().filter(|(_, entry)| entry.hidden.is_some()).map(|(cell, _)| cell);
    let mut group: BTreeMap<usize, usize> = hidden.map(|cell| (cell, cell)).collect();
    for (terms, _) in sums {
        let groups: Vec<usize> = terms.iter().filter_map(|(cell, _)| group.get(cell).copied()).collect();
        let Some(least) = groups.iter().min().copied() else { continue };
        group.values_mut().filter(|known| groups.contains(known)).for_each(|known| *known = least);
    }
    let mut components: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (cell, first) in group {
        components.entry(first).or_default().push(cell);
    }
    components.into_values().collect()
}
