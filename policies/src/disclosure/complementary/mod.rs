//! Complementary suppression: which more cells of a table with totals have to go, so that hidden ones can't be computed.
//!
//! 30 people in a region, 27 in one town, the other town hidden: three. Of a line of a table with its total no single cell can be
//! hidden; two hidden ones in a line can still be computed from the lines across. [`protect`] says which more cells to hide;
//! [`audit()`] says what a reader can compute of a table, whoever chose what is hidden;
//! [`audit_shown`] the same of a table of which only the shown numbers are at hand.
//!
//! **What a reader is taken to know**: all shown cells, that cells add up to their totals, that no count is negative, which rule hid a cell, and
//! what follows from that ([`Known`]: "fewer than 5 people" is 1 to 4; a cell hidden to hide another one is 5 or more).
//!
//! **What is promised**: for each hidden cell there are two tables that a reader can't tell from the true one, in which that cell
//! differs by its protection width or more: half the threshold for counts (2 for 5: at least three numbers in a row are possible),
//! 20 % of the value for sums hidden for dominance (10 % to each side).
//!
//! **How.** The hypercube method (Repsilber; GHMITER of τ-ARGUS; Hundepool et al., Statistical Disclosure Control, 2012, chapter 4). A box
//! takes for each variable a second code beside the hidden cell's own, or the total: its corners are 2, 4 or 8 cells. Adding one to
//! some corners and taking one from the others leaves every sum as it is (a corner changes its sign with each other code, and
//! keeps it with the total, which grows with its part). So if all corners are hidden, nobody can tell by how much the box is tilted,
//! within what is known of each corner. For each hidden cell the box is taken that hides the fewest more cells; among equals the fewest totals, then
//! the smallest numbers. A last pass shows again what was hidden without need.
//!
//! Where totals are left out (ROLLUP, some grouping sets), corners that aren't in the table cost nothing: nobody sees them.
//! Where no box will do, hidden cells give up saying which rule hid them, which leaves them more room ([`Protection::Alike`]); else the
//! table is withheld whole ([`Protection::Withhold`]).
//!
//! Categories that overlap (a person with two diagnoses) don't add up to the total. A reader can then compute less; the boxes hold all the same.
//!
//! INVARIANT: what is hidden stays hidden; cells are only added.
//! INVARIANT: the same table gives the same cells; a choice by chance could be asked again.

mod audit;
mod boxes;
mod simplex;
mod table;

pub use audit::{AUDITED, Range, TooLarge, audit, audit_shown};
pub use table::{DIMENSIONS, Entry, Key, Known, Table, TableError};

use boxes::{Corners, Search};
use std::collections::BTreeSet;

/// What has to happen so that a table's hidden cells stay hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// These cells are hidden as well, ascending; none when the table is safe. Each hidden cell may say which rule hid it.
    Also(Vec<usize>),
    /// These cells are hidden as well, and all hidden cells of the table have to carry one status ([`super::Rule::Complement`]): which
    /// rule hid which would tell too much.
    Alike {
        /// the cells, ascending
        also: Vec<usize>,
        /// what a reader then knows of each hidden cell; its own width stays
        known: Known,
    },
    /// No choice was found: nothing of the table is shown.
    Withhold,
}

/// Which more cells have to be hidden. `complement` is what a reader knows of a cell that is hidden for this reason; a shown cell
/// that doesn't fit it (a zero, under [`Known::complement`]) is never taken.
#[must_use]
pub fn protect(table: &Table, complement: Known) -> Protection {
    let hidden: Vec<Option<Known>> = table.entries().iter().map(|entry| entry.hidden).collect();
    if let Some(also) = choose(table, hidden.clone(), complement, complement) {
        return Protection::Also(also);
    }
    let all = || hidden.iter().flatten().chain([&complement]);
    let known = Known {
        from: all().map(|known| known.from).min().unwrap_or(complement.from),
        to: all().map(|known| known.to).collect::<Option<Vec<_>>>().and_then(|most| most.into_iter().max()),
        width: complement.width,
    };
    let alike = hidden.iter().map(|own| own.map(|own| Known { width: own.width, ..known })).collect();
    match choose(table, alike, complement, known) {
        Some(also) => Protection::Alike { also, known },
        None => Protection::Withhold,
    }
}

/// `taken`: which shown cells may be hidden; `complement`: what a reader knows of them then.
fn choose(table: &Table, mut hidden: Vec<Option<Known>>, taken: Known, complement: Known) -> Option<Vec<usize>> {
    let mut added = BTreeSet::new();
    let mut boxes: Vec<(usize, Corners)> = Vec::new();
    // by place in the table, not by the order of rows: details before totals, which boxes of details may hide anyway
    for place in ordered(table) {
        if hidden.get(place).copied().flatten().is_none() {
            continue;
        }
        let found = Search { table, hidden: &hidden, complement: Some((taken, complement)) }.around(place)?;
        for cell in found.added(&hidden) {
            if let Some(known) = hidden.get_mut(cell) {
                *known = Some(complement);
                added.insert(cell);
            }
        }
        boxes.push((place, found));
    }
    // a cell that was added after its place was passed has the box that added it, in which it moves as far as that box does
    let passed: Vec<(usize, Corners)> = added
        .iter()
        .filter(|cell| !boxes.iter().any(|(place, _)| place == *cell))
        .filter_map(|cell| boxes.iter().find(|(_, found)| found.has(*cell)).map(|(_, found)| (*cell, found.clone())))
        .collect();
    boxes.extend(passed);
    show_again(table, &mut hidden, &mut added, boxes);
    Some(added.into_iter().collect())
}

/// Takes back what was added, totals and large numbers first, as long as every hidden cell keeps a box.
fn show_again(
    table: &Table,
    hidden: &mut [Option<Known>],
    added: &mut BTreeSet<usize>,
    mut boxes: Vec<(usize, Corners)>,
) {
    let mut tried: Vec<usize> = added.iter().copied().collect();
    tried.sort_by_key(|cell| {
        let entry = table.entries().get(*cell);
        let totals = entry.map_or(0, |entry| entry.key.iter().filter(|code| code.is_none()).count());
        std::cmp::Reverse((totals, entry.map_or(0, |entry| entry.value)))
    });
    for cell in tried {
        let known = hidden.get_mut(cell).and_then(Option::take);
        let others: Option<Vec<(usize, Corners)>> = boxes
            .iter()
            .filter(|(place, _)| *place != cell)
            .map(|(place, found)| {
                if found.has(cell) {
                    let search = Search { table, hidden, complement: None };
                    search.around(*place).map(|found| (*place, found))
                } else {
                    Some((*place, found.clone()))
                }
            })
            .collect();
        match others {
            Some(others) => {
                boxes = others;
                added.remove(&cell);
            }
            None => {
                if let Some(slot) = hidden.get_mut(cell) {
                    *slot = known;
                }
            }
        }
    }
}

fn ordered(table: &Table) -> Vec<usize> {
    let mut places: Vec<(usize, &Key, usize)> = table
        .entries()
        .iter()
        .enumerate()
        .map(|(place, entry)| (entry.key.iter().filter(|code| code.is_none()).count(), &entry.key, place))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests;
