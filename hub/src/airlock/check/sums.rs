//! Sums, by who contributes to them: as a file beside the table says, for each of its groups.
//!
//! INVARIANT: a contribution that can't be read is none that is small; it refuses the sum.

use super::{
    Finding, Rule, Table,
    groups::{key, keys, no_number, one_mark},
    rules::{self, Mark, Rules},
};
use policies::airlock::Output;
use std::collections::BTreeMap;

/// How a number is written, and nobody's.
const WRITE: &str = "is no number; write 950.5, and 0 where nobody contributes";

pub(super) fn check(
    output: &Output,
    table: &Table,
    contributions: Option<&Table>,
    asked: Rules,
    found: &mut Vec<Finding>,
) {
    for column in &output.sum_columns {
        let Some(at) = table.at(column) else { continue };
        for row in 0..table.rows.len() {
            let cell = table.cell(row, at);
            let mark = asked.sum_mark(cell);
            if rules::number(cell).is_none() && !matches!(mark, Mark::Hides(_)) {
                found.push(no_number(mark, asked).at(row, column));
            }
        }
        found.extend(one_mark(table, at, column, asked));
    }
    let Some(largest) = contributions else {
        if !output.sum_columns.is_empty() {
            found.push(Finding::people(
                Rule::Dominance,
                "no contributions are declared: ask whether one person or unit makes most of a sum",
            ));
        }
        return;
    };
    let no = |message: &str| Finding::refuse(Rule::Declaration, message);
    let keys = keys(output, table);
    let names: Vec<Option<usize>> =
        keys.iter().map(|at| table.columns.get(*at).and_then(|name| largest.at(name))).collect();
    let Some(theirs) = names.into_iter().collect::<Option<Vec<usize>>>() else {
        found.push(no("the file of contributions doesn't have this table's columns of groups"));
        return;
    };
    let mut by_group: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for row in 0..largest.rows.len() {
        if by_group.insert(key(largest, row, &theirs), row).is_some() {
            found.push(no(&format!("row {} of the file of contributions is of a group that it has twice", row + 1)));
        }
    }
    let counts: Vec<usize> = output.count_columns.iter().filter_map(|name| table.at(name)).collect();
    for column in &output.sum_columns {
        let parts = ["1", "2"].map(|nth| largest.at(&format!("{column}_{nth}")));
        let contributors = largest.at(&format!("{column}_n"));
        let Some(at) = table.at(column) else { continue };
        let [Some(first), Some(second)] = parts else {
            found.push(no(&format!("the file of contributions has no columns '{column}_1' and '{column}_2'")));
            continue;
        };
        for row in 0..table.rows.len() {
            let Some(sum) = rules::number(table.cell(row, at)) else { continue };
            let Some(other) = by_group.get(&key(table, row, &keys)) else {
                found.push(no("the file of contributions has no row of this group").at(row, column));
                continue;
            };
            let of = |at| rules::number(largest.cell(*other, at)).ok_or(at);
            // How many make it up: as the file of contributions says, or at most all people of the row.
            let people = match contributors {
                Some(at) => of(at).map(Some),
                None => Ok(counts.iter().filter_map(|at| rules::number(table.cell(row, *at))).reduce(f64::max)),
            };
            let read = || Ok::<_, usize>((people?, of(first)?, of(second)?));
            let (people, first, second) = match read() {
                Ok(read) => read,
                Err(at) => {
                    let name = largest.columns.get(at).map_or("", String::as_str);
                    let message = format!("'{name}' of row {} of the file of contributions {WRITE}", other + 1);
                    found.push(no(&message).at(row, column));
                    continue;
                }
            };
            if let Some(rule) = rules::of_sum(sum, people, first, second) {
                let message = format!("{rule}. {} {}", rule.why(), rule.instead());
                found.push(Finding::refuse(Rule::Dominance, message).at(row, column));
            }
        }
    }
}
