//! What a table says of its groups: counts of too few, sums that one makes, rows that are no groups.

use super::{
    Finding, Rule, Table,
    rules::{self, Rules},
};
use policies::airlock::Output;
use std::collections::{BTreeMap, BTreeSet};

/// Fewer rows than this are no list of people by their number alone.
const FEW: usize = 5;

/// Columns that say which group a row is.
pub(super) fn keys(output: &Output, table: &Table) -> Vec<usize> {
    let measured = |name: &String| output.count_columns.contains(name) || output.sum_columns.contains(name);
    table.columns.iter().enumerate().filter(|(_, name)| !measured(name)).map(|(at, _)| at).collect()
}

/// A row's group.
pub(super) fn key(table: &Table, row: usize, keys: &[usize]) -> Vec<String> {
    keys.iter().map(|at| table.cell(row, *at).unwrap_or_default().to_owned()).collect()
}

pub(super) fn check(
    output: &Output,
    table: &Table,
    contributions: Option<&Table>,
    asked: Rules,
    found: &mut Vec<Finding>,
) {
    for column in output.count_columns.iter().chain(&output.sum_columns) {
        if table.at(column).is_none() {
            found.push(Finding {
                column: Some(column.clone()),
                ..Finding::refuse(Rule::Declaration, "the form names a column that the file doesn't have")
            });
        }
    }
    counts(output, table, asked, found);
    sums(output, table, contributions, asked, found);
    rows(output, table, found);
}

fn counts(output: &Output, table: &Table, asked: Rules, found: &mut Vec<Finding>) {
    for column in &output.count_columns {
        let Some(at) = table.at(column) else { continue };
        for row in 0..table.rows.len() {
            let cell = table.cell(row, at);
            match rules::number(cell) {
                Some(people) if asked.is_small(people) => {
                    let message = format!("is about fewer than {} people; leave the cell empty", asked.threshold());
                    found.push(Finding::refuse(Rule::Threshold, message).at(row, column));
                }
                Some(people) if people < 0.0 || people.fract() != 0.0 => {
                    found.push(Finding::refuse(Rule::Declaration, "is no count of people").at(row, column));
                }
                Some(_) => {}
                None if asked.hidden(cell).is_some() => {}
                None => found.push(Finding::refuse(Rule::Declaration, "is no number").at(row, column)),
            }
        }
    }
}

fn sums(output: &Output, table: &Table, contributions: Option<&Table>, asked: Rules, found: &mut Vec<Finding>) {
    if output.sum_columns.is_empty() {
        return;
    }
    let Some(largest) = contributions else {
        found.push(Finding::people(
            Rule::Dominance,
            "no contributions are declared: ask whether one person or unit makes most of a sum",
        ));
        return;
    };
    let keys = keys(output, table);
    let names: Vec<Option<usize>> =
        keys.iter().map(|at| table.columns.get(*at).and_then(|name| largest.at(name))).collect();
    let Some(theirs) = names.into_iter().collect::<Option<Vec<usize>>>() else {
        let message = "the file of contributions doesn't have this table's columns of groups";
        found.push(Finding::refuse(Rule::Declaration, message));
        return;
    };
    let by_group: BTreeMap<Vec<String>, usize> =
        (0..largest.rows.len()).map(|row| (key(largest, row, &theirs), row)).collect();
    let counts: Vec<usize> = output.count_columns.iter().filter_map(|name| table.at(name)).collect();
    for column in &output.sum_columns {
        let contributors = largest.at(&format!("{column}_n"));
        let (Some(at), first, second) =
            (table.at(column), largest.at(&format!("{column}_1")), largest.at(&format!("{column}_2")))
        else {
            continue;
        };
        let (Some(first), Some(second)) = (first, second) else {
            let message = format!("the file of contributions has no columns '{column}_1' and '{column}_2'");
            found.push(Finding::refuse(Rule::Declaration, message));
            continue;
        };
        for row in 0..table.rows.len() {
            let cell = table.cell(row, at);
            let Some(sum) = rules::number(cell) else {
                if asked.hidden(cell).is_none() {
                    found.push(Finding::refuse(Rule::Declaration, "is no number").at(row, column));
                }
                continue;
            };
            let Some(other) = by_group.get(&key(table, row, &keys)) else {
                let message = "the file of contributions has no row of this group";
                found.push(Finding::refuse(Rule::Declaration, message).at(row, column));
                continue;
            };
            let of = |at| rules::number(largest.cell(*other, at)).unwrap_or(0.0);
            // How many make it up: as the file of contributions says, or at most all people of the row.
            let people = match contributors {
                Some(at) => Some(rules::number(largest.cell(*other, at)).unwrap_or(0.0)),
                None => counts.iter().filter_map(|at| rules::number(table.cell(row, *at))).reduce(f64::max),
            };
            if let Some(rule) = rules::of_sum(sum, people, of(first), of(second)) {
                let message = format!("{rule}. {} {}", rule.why(), rule.instead());
                found.push(Finding::refuse(Rule::Dominance, message).at(row, column));
            }
        }
    }
}

fn rows(output: &Output, table: &Table, found: &mut Vec<Finding>) {
    let keys = keys(output, table);
    if output.count_columns.is_empty() {
        found.push(Finding::people(
            Rule::Declaration,
            "no column of counts is named: ask how many people are behind each row",
        ));
        for (at, column) in table.columns.iter().enumerate() {
            let cells: Vec<&str> = (0..table.rows.len()).filter_map(|row| table.cell(row, at)).collect();
            let distinct: BTreeSet<&str> = cells.iter().copied().collect();
            let id = |cell: &&str| cell.len() >= 4 && cell.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let unique = distinct.len() == cells.len() && cells.len() == table.rows.len() && cells.len() >= FEW;
            if unique && distinct.iter().all(id) && distinct.iter().all(|cell| cell.bytes().any(|b| b.is_ascii_digit()))
            {
                let message =
                    "is another one in each row, as an id of a person is; name the column of counts, or remove it";
                found.push(Finding { column: Some(column.clone()), ..Finding::refuse(Rule::Rows, message) });
            }
        }
        return;
    }
    let mut groups: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for row in 0..table.rows.len() {
        if let Some(first) = groups.insert(key(table, row, &keys), row) {
            let message = format!("is the same group as row {}: a table has one row for each group", first + 1);
            found.push(Finding { row: Some(row + 1), ..Finding::refuse(Rule::Rows, message) });
        }
    }
}
