//! What can be computed of a table's hidden counts from the numbers around them, over all its lines together.
//!
//! `totals` looks at one line at a time. A hidden cell can be told where no line tells it: one line gives a second hidden cell, with
//! which another line gives the first. The library's audit finds that, for up to three variables.

use super::{
    Finding, Rule, Table,
    groups::{key, keys},
    rules::{self, Hidden, Rules},
    totals,
};
use policies::{
    airlock::Output,
    disclosure::complementary::{DIMENSIONS, Entry, Key, Known, Range, TooLarge, audit_shown},
};
use std::collections::{BTreeMap, BTreeSet};

/// Cells that a table may lack so that these are taken for hidden ones.
const LACKING: usize = 2_000;

pub(super) fn check(output: &Output, table: &Table, asked: Rules, found: &mut Vec<Finding>) {
    let variables: Vec<usize> = keys(output, table)
        .into_iter()
        .filter(|at| (0..table.rows.len()).map(|row| table.cell(row, *at)).collect::<BTreeSet<_>>().len() > 1)
        .collect();
    for column in &output.count_columns {
        let Some(at) = table.at(column) else { continue };
        let named: Vec<Totals> = vec![Totals::Named; variables.len()];
        through(table, (&variables, &named), (at, column), asked, found);
        // Where rows without a code may be totals, what they would tell is for people.
        let perhaps: Vec<Totals> = (0..variables.len())
            .map(|nth| totals::may_be_nameless(table, (&variables, at), nth))
            .map(|may| if may { Totals::AlsoNameless } else { Totals::Named })
            .collect();
        if perhaps.contains(&Totals::AlsoNameless) {
            let mut more = Vec::new();
            through(table, (&variables, &perhaps), (at, column), asked, &mut more);
            more.retain(|finding| !found.iter().any(|one| one.row == finding.row && one.column == finding.column));
            found.extend(more.into_iter().map(totals::nameless));
        }
    }
}

/// Which rows are totals over a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Totals {
    /// those that say so
    Named,
    /// and those without a code
    AlsoNameless,
}

impl Totals {
    fn has(self, code: &str) -> bool {
        totals::is_named(code) || (self == Self::AlsoNameless && code.trim().is_empty())
    }
}

/// What one column's counts tell through each other.
fn through(
    table: &Table,
    (variables, kinds): (&[usize], &[Totals]),
    (at, column): (usize, &String),
    asked: Rules,
    found: &mut Vec<Finding>,
) {
    let is_total = |row, (at, kind): (&usize, &Totals)| kind.has(table.cell(row, *at).unwrap_or_default());
    let totals = (0..table.rows.len()).any(|row| variables.iter().zip(kinds).any(|of| is_total(row, of)));
    let hides = (0..table.rows.len()).any(|row| asked.hidden(table.cell(row, at)).is_some());
    if !totals {
        return;
    }
    let Some(entries) = entries(table, (variables, kinds), at, asked) else {
        // What is no count is refused where it stands; more variables than can be audited are for people.
        if hides && variables.len() > DIMENSIONS {
            found.push(by_people(column));
        }
        return;
    };
    let filled = with_lacking(&entries, asked);
    if !hides && filled.len() == entries.len() {
        return;
    }
    let Ok(ranges) = audited(&entries).or_else(|TooLarge| audited(&filled)) else {
        if hides {
            found.push(by_people(column));
        }
        return;
    };
    for range in ranges.iter().filter(|range| asked.tells_few(range)) {
        if range.cell < table.rows.len() {
            let message = "can be computed from the totals and the cells around it; hide another cell of its row and of its column, or \
                           the totals";
            found.push(Finding::refuse(Rule::Total, message).at(range.cell, column));
        } else {
            // It has no place in the table.
            let message = "the number of a row that was left out can be computed from the totals and the rows around it; leave out \
                           another one of its line, or the totals";
            found.push(Finding { column: Some(column.clone()), ..Finding::refuse(Rule::Total, message) });
        }
    }
}

fn by_people(column: &str) -> Finding {
    let message = "has totals and hidden cells in a form that can't be computed through (over three variables, too many hidden cells, or \
                   totals that aren't the sum of their parts): subtract what is shown from each total";
    Finding { column: Some(column.to_owned()), ..Finding::people(Rule::Total, message) }
}

/// One entry for each row, in the order of rows; none when there are too many variables or something is no count.
fn entries(table: &Table, (variables, kinds): (&[usize], &[Totals]), at: usize, asked: Rules) -> Option<Vec<Entry>> {
    if variables.is_empty() || variables.len() > DIMENSIONS {
        return None;
    }
    let mut codes: Vec<BTreeMap<String, u32>> = vec![BTreeMap::new(); variables.len()];
    (0..table.rows.len())
        .map(|row| {
            let names = key(table, row, variables);
            let coded = names.into_iter().zip(kinds).zip(&mut codes).map(|((name, kind), known)| {
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                (!kind.has(&name)).then(|| *known.entry(name).or_insert(next))
            });
            let key: Key = coded.collect();
            let cell = table.cell(row, at);
            match asked.hidden(cell) {
                Some(hidden) => Some(entry(key, hidden, asked)),
                None => Some(Entry { key, value: rules::whole(cell)?, hidden: None }),
            }
        })
        .collect()
}

/// What a hidden count is, is not known: the least that it can be stands for it.
fn entry(key: Key, hidden: Hidden, asked: Rules) -> Entry {
    let known: Known = asked.known(hidden);
    Entry { key, value: known.from, hidden: Some(known) }
}

fn audited(entries: &[Entry]) -> Result<Vec<Range>, TooLarge> {
    let table = policies::disclosure::complementary::Table::new(entries.to_vec()).map_err(|_| TooLarge)?;
    audit_shown(&table)
}

/// With rows that aren't in the table as hidden ones: people leave out what they hide.
fn with_lacking(entries: &[Entry], asked: Rules) -> Vec<Entry> {
    let dimensions = entries.first().map_or(0, |entry| entry.key.len());
    let levels: Vec<BTreeSet<u32>> =
        (0..dimensions).map(|at| entries.iter().filter_map(|entry| *entry.key.get(at)?).collect()).collect();
    let groupings: BTreeSet<Vec<bool>> =
        entries.iter().map(|entry| entry.key.iter().map(Option::is_none).collect()).collect();
    let there: BTreeSet<&Key> = entries.iter().map(|entry| &entry.key).collect();
    let mut all = entries.to_vec();
    for grouping in groupings {
        let mut places: Vec<Key> = vec![Key::new()];
        for (total, codes) in grouping.iter().zip(&levels) {
            let codes: Vec<Option<u32>> = if *total { vec![None] } else { codes.iter().copied().map(Some).collect() };
            if places.len().saturating_mul(codes.len()) > LACKING {
                return all;
            }
            let longer = |place: &Key, code: Option<u32>| place.iter().copied().chain([code]).collect();
            places = places.iter().flat_map(|place| codes.iter().map(move |code| longer(place, *code))).collect();
        }
        all.extend(
            places.into_iter().filter(|place| !there.contains(place)).map(|place| entry(place, Hidden::Somehow, asked)),
        );
    }
    all
}
