//! Totals inside a table: what the shown cells leave of a total is the hidden ones together.

use super::{
    Finding, Rule, Table,
    groups::{key, keys},
    rules::{self, Rules},
};
use policies::airlock::Output;
use std::collections::BTreeMap;

/// How totals are called.
const WORDS: [&str; 10] = ["total", "all", "alle", "i alt", "ialt", "sum", "overall", "any", "(all)", "both"];

/// Whether a group's name says that it is all of them.
pub(super) fn is_total(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.is_empty() || WORDS.contains(&text.as_str())
}

/// A column that is the total of the other counts beside it.
fn names_total(column: &str) -> bool {
    column.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word))
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

/// Rows that are totals of others: the same group but for one column, which says `total` or nothing.
fn down(table: &Table, (keys, at): (&[usize], usize), column: &str, asked: Rules, found: &mut Vec<Finding>) {
    for (nth, varied) in keys.iter().enumerate() {
        let mut families: BTreeMap<Vec<String>, (Option<usize>, Vec<usize>)> = BTreeMap::new();
        for row in 0..table.rows.len() {
            let mut others = key(table, row, keys);
            others.remove(nth);
            let family = families.entry(others).or_default();
            if is_total(table.cell(row, *varied).unwrap_or_default()) {
                family.0 = Some(row);
            } else {
                family.1.push(row);
            }
        }
        for (total, parts) in families.values() {
            let Some(total) = total else { continue };
            let Some(people) = rules::number(table.cell(*total, at)) else { continue };
            let cells: Vec<Option<f64>> = parts.iter().map(|row| rules::number(table.cell(*row, at))).collect();
            found.extend(judge(people, &cells, asked).map(|finding| finding.at(*total, column)));
        }
    }
}

/// Columns that are totals of the counts beside them.
fn across(table: &Table, counts: &[(usize, &String)], asked: Rules, found: &mut Vec<Finding>) {
    let Some((total, name)) = counts.iter().find(|(_, name)| names_total(name)) else { return };
    for row in 0..table.rows.len() {
        let Some(people) = rules::number(table.cell(row, *total)) else { continue };
        let parts = counts.iter().filter(|(at, _)| at != total);
        let cells: Vec<Option<f64>> = parts.map(|(at, _)| rules::number(table.cell(row, *at))).collect();
        found.extend(judge(people, &cells, asked).map(|finding| finding.at(row, name)));
    }
}

fn judge(total: f64, cells: &[Option<f64>], asked: Rules) -> Option<Finding> {
    if cells.is_empty() {
        return None;
    }
    let left = total - cells.iter().flatten().sum::<f64>();
    if asked.is_small(left) {
        let message = format!(
            "the total less the cells shown leaves fewer than {} people; hide a second cell, or the total",
            asked.threshold()
        );
        return Some(Finding::refuse(Rule::Total, message));
    }
    let shown: Vec<f64> = cells.iter().map(|people| people.unwrap_or(0.0)).collect();
    (left == 0.0 && rules::is_everybody(&shown))
        .then(|| Finding::people(Rule::Group, "all people of the total are in one cell: it tells of everybody"))
}
