//! Totals inside a table: what the shown cells leave of a total is the hidden ones together.

use super::{
    Finding, Rule, Table, Weight,
    groups::{key, keys},
    rules::{self, Rules},
};
use policies::airlock::Output;
use std::collections::BTreeMap;

/// How totals are called.
const WORDS: [&str; 10] = ["total", "all", "alle", "i alt", "ialt", "sum", "overall", "any", "(all)", "both"];

/// Whether a group's name says that it is all of them, or may: it has none.
pub(super) fn is_total(text: &str) -> bool {
    text.trim().is_empty() || is_named(text)
}

/// Whether a group's name says that it is all of them.
pub(super) fn is_named(text: &str) -> bool {
    WORDS.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// Columns of counts that are totals of the others beside them.
fn total_columns(counts: &[(usize, &String)]) -> Vec<usize> {
    let of = |words: &[&str]| {
        let named = |column: &str| {
            column.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word))
        };
        counts.iter().filter(|(_, name)| named(name)).map(|(at, _)| *at).collect::<Vec<usize>>()
    };
    let (some, all): (Vec<&str>, Vec<&str>) = WORDS.iter().partition(|word| ["any", "both"].contains(word));
    let totals = of(&all);
    // Any of something may be one of several parts.
    if totals.is_empty() { of(&some).into_iter().take(1).collect() } else { totals }
}

pub(super) fn check(output: &Output, table: &Table, asked: Rules, found: &mut Vec<Finding>) {
    let counts: Vec<(usize, &String)> =
        output.count_columns.iter().filter_map(|name| table.at(name).map(|at| (at, name))).collect();
    let keys = keys(output, table);
    for (at, column) in &counts {
        down(table, (&keys, *at), column, asked, found);
    }
    across(table, &counts, asked, found);
}

/// Rows that are the same group but for one column.
#[derive(Default)]
struct Family {
    /// those whose name says that they are all of them
    totals: Vec<usize>,
    /// the one without a name, where nothing else is a total and it is large enough to be one: it may be, or nobody knows the code
    perhaps: Option<usize>,
    /// those without a name that are parts like others
    nameless: Vec<usize>,
    /// all others
    parts: Vec<usize>,
}

/// The families of the `nth` of the columns of groups.
fn families(table: &Table, (keys, at): (&[usize], usize), nth: usize) -> Vec<Family> {
    let Some(varied) = keys.get(nth) else { return Vec::new() };
    let mut by_others: BTreeMap<Vec<String>, Family> = BTreeMap::new();
    for row in 0..table.rows.len() {
        let mut others = key(table, row, keys);
        others.remove(nth);
        let family = by_others.entry(others).or_default();
        let name = table.cell(row, *varied).unwrap_or_default();
        let of = if is_named(name) {
            &mut family.totals
        } else if name.trim().is_empty() {
            &mut family.nameless
        } else {
            &mut family.parts
        };
        of.push(row);
    }
    let people = |row: &usize| rules::number(table.cell(*row, at));
    let settled = by_others.into_values().map(|mut family| {
        let shown: f64 = family.parts.iter().filter_map(people).sum();
        if let [row] = family.nameless.as_slice()
            && family.totals.is_empty()
            && !family.parts.is_empty()
            && people(row).is_some_and(|all| all >= shown)
        {
            family.perhaps = family.nameless.pop();
        }
        family
    });
    settled.collect()
}

/// Whether rows without a code may be the totals over the `nth` of the columns of groups.
pub(super) fn may_be_nameless(table: &Table, keys_at: (&[usize], usize), nth: usize) -> bool {
    families(table, keys_at, nth).iter().any(|family| family.perhaps.is_some())
}

/// Rows that are totals of others: the same group but for one column, which says `total`, or may mean it.
fn down(table: &Table, (keys, at): (&[usize], usize), column: &str, asked: Rules, found: &mut Vec<Finding>) {
    for nth in 0..keys.len() {
        for Family { totals, perhaps, nameless: others, parts } in families(table, (keys, at), nth) {
            let cells = |rows: &[usize]| rows.iter().map(|row| rules::number(table.cell(*row, at))).collect::<Vec<_>>();
            let (parts, others) = (cells(&parts), cells(&others));
            let all = Parts::of(parts.iter().chain(&others).copied());
            // A row without a name that is no part would make the sum too large for anything to be left.
            let parts = Parts::of(parts.into_iter());
            let mut said: Vec<(f64, usize)> = Vec::new();
            for total in totals {
                let Some(people) = rules::number(table.cell(total, at)) else { continue };
                let finding = all.judge(people, asked).or_else(|| parts.judge(people, asked));
                found.extend(finding.map(|finding| finding.at(total, column)));
                said.push((people, total));
            }
            // Two totals of the same parts, of which one has a few people more.
            said.sort_by(|one, other| one.0.total_cmp(&other.0));
            for (one, other) in said.iter().zip(said.iter().skip(1)) {
                if asked.is_small(other.0 - one.0) {
                    let message = format!(
                        "differs by fewer than {} people from another total of the same parts",
                        asked.threshold()
                    );
                    found.push(Finding::refuse(Rule::Total, message).at(other.1, column));
                }
            }
            if let Some((row, people)) = perhaps.and_then(|row| Some((row, rules::number(table.cell(row, at))?)))
                && let Some(finding) = parts.judge(people, asked)
            {
                found.push(nameless(finding).at(row, column));
            }
        }
    }
}

/// The same of rows that may be no totals.
pub(super) fn nameless(finding: Finding) -> Finding {
    let message = format!(
        "{}; that is so if a row without a code is a total: call it 'total', or people of whom no code is known 'unknown'",
        finding.message
    );
    Finding { weight: Weight::ForPeople, message, ..finding }
}

/// Columns that are totals of the counts beside them.
fn across(table: &Table, counts: &[(usize, &String)], asked: Rules, found: &mut Vec<Finding>) {
    let totals = total_columns(counts);
    let (totals, parts): (Vec<_>, Vec<_>) = counts.iter().partition(|(at, _)| totals.contains(at));
    if totals.is_empty() {
        return;
    }
    for row in 0..table.rows.len() {
        let parts = Parts::of(parts.iter().map(|(at, _)| rules::number(table.cell(row, *at))));
        for (at, name) in &totals {
            let Some(people) = rules::number(table.cell(row, *at)) else { continue };
            found.extend(parts.judge(people, asked).map(|finding| finding.at(row, name)));
        }
    }
}

/// The cells of a total.
struct Parts {
    none: bool,
    sum: f64,
    everybody: bool,
}

impl Parts {
    fn of(cells: impl Iterator<Item = Option<f64>>) -> Self {
        let shown: Vec<f64> = cells.map(|people| people.unwrap_or(0.0)).collect();
        Self { none: shown.is_empty(), sum: shown.iter().sum(), everybody: rules::is_everybody(&shown) }
    }

    fn judge(&self, total: f64, asked: Rules) -> Option<Finding> {
        if self.none {
            return None;
        }
        let left = total - self.sum;
        if asked.is_small(left) {
            let message = format!(
                "the total less the cells shown leaves fewer than {} people; hide a second cell, or the total",
                asked.threshold()
            );
            return Some(Finding::refuse(Rule::Total, message));
        }
        (left == 0.0 && self.everybody)
            .then(|| Finding::people(Rule::Group, "all people of the total are in one cell: it tells of everybody"))
    }
}
