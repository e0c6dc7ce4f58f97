//! What a table says of its groups: counts of too few, rows that are no groups.

use super::{
    Finding, Rule, Table,
    rules::{self, Mark, Rules},
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

pub(super) fn check(output: &Output, table: &Table, asked: Rules, found: &mut Vec<Finding>) {
    for column in output.count_columns.iter().chain(&output.sum_columns) {
        if table.at(column).is_none() {
            found.push(Finding {
                column: Some(column.clone()),
                ..Finding::refuse(Rule::Declaration, "the form names a column that the file doesn't have")
            });
        }
    }
    counts(output, table, asked, found);
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
                None => found.push(no_number(asked.mark(cell), asked).at(row, column)),
            }
        }
        found.extend(one_mark(table, at, column, asked));
    }
}

/// Why a cell that is no number may not leave.
pub(super) fn no_number(mark: Mark, asked: Rules) -> Finding {
    let least = asked.threshold();
    match mark {
        Mark::Few => {
            let message = format!(
                "is about fewer than {least} people, and says how many fewer; write <{least} or *, or leave the cell empty"
            );
            Finding::refuse(Rule::Threshold, message)
        }
        Mark::Tells => {
            let message = format!(
                "marks a hidden number by more than a mark, which may be the number; write <{least} or *, or leave the cell empty"
            );
            Finding::refuse(Rule::Declaration, message)
        }
        Mark::Hides(_) | Mark::None => Finding::refuse(Rule::Declaration, "is no number; write 950.5"),
    }
}

/// A column in which different marks stand for hidden numbers: which one stands where may say what is hidden.
pub(super) fn one_mark(table: &Table, at: usize, column: &str, asked: Rules) -> Option<Finding> {
    let cells = (0..table.rows.len()).filter_map(|row| table.cell(row, at));
    let marks: BTreeSet<&str> = cells.filter(|cell| asked.hidden(Some(cell)).is_some()).collect();
    (marks.len() > 1).then(|| {
        let message = "marks hidden numbers in several ways: ask what each mark says of the number, or for one mark";
        Finding { column: Some(column.to_owned()), ..Finding::people(Rule::Declaration, message) }
    })
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
