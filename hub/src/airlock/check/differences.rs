//! Tables against each other and against what left earlier: a difference of few people tells of few people.

use super::{
    Checked, Earlier, Finding, Rule, Table,
    groups::{key, keys},
    rules::{self, Rules},
    totals,
};
use policies::airlock::Output;
use std::collections::BTreeMap;

/// What is found, with the file that it is told of.
pub(super) fn between(
    files: &[Checked<'_>],
    tables: &BTreeMap<&str, Table>,
    earlier: &[Earlier],
    asked: Rules,
) -> Vec<(String, Finding)> {
    let leaving: Vec<(&Output, &Table)> = files
        .iter()
        .filter(|file| !file.output.inside)
        .filter_map(|file| Some((file.output, tables.get(file.output.name.as_str())?)))
        .collect();
    let mut found = Vec::new();
    for (nth, one) in leaving.iter().enumerate() {
        for (other_at, other) in leaving.iter().enumerate() {
            // Two of the same groups are compared once, one with fewer columns with each that has more.
            if nth != other_at {
                compare(*one, *other, other.0.name.as_str(), (nth < other_at, asked), &mut found);
            }
        }
        for before in earlier {
            compare(*one, (&before.output, &before.table), &before.label, (true, asked), &mut found);
            let mut turned = Vec::new();
            compare((&before.output, &before.table), *one, &before.label, (false, asked), &mut turned);
            found.extend(
                turned.into_iter().map(|(_, finding)| (one.0.name.to_string(), Finding { row: None, ..finding })),
            );
        }
    }
    found
}

/// The counts of `coarse` against those of `fine` added up to the same groups. A finding names the row of `coarse`.
fn compare(
    (coarse, of_coarse): (&Output, &Table),
    (fine, of_fine): (&Output, &Table),
    label: &str,
    (equal_too, asked): (bool, Rules),
    found: &mut Vec<(String, Finding)>,
) {
    let of_keys = keys(coarse, of_coarse);
    let names: Vec<&String> = of_keys.iter().filter_map(|at| of_coarse.columns.get(*at)).collect();
    let Some(theirs) = names.iter().map(|name| of_fine.at(name)).collect::<Option<Vec<usize>>>() else { return };
    let fine_keys = keys(fine, of_fine);
    let all_keys = theirs.iter().all(|at| fine_keys.contains(at));
    let same = fine_keys.len() == theirs.len();
    if !all_keys || (same && !equal_too) {
        return;
    }
    for column in &coarse.count_columns {
        let other = if fine.count_columns.contains(column) {
            of_fine.at(column)
        } else {
            // Counts under another name, when each table has one.
            match (coarse.count_columns.as_slice(), fine.count_columns.as_slice()) {
                ([_], [only]) => of_fine.at(only),
                _ => None,
            }
        };
        let (Some(at), Some(other)) = (of_coarse.at(column), other) else { continue };
        let mut sums: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        let parts: Vec<usize> = fine_keys.iter().copied().filter(|at| !theirs.contains(at)).collect();
        for row in 0..of_fine.rows.len() {
            // A row that is itself a total is no part of one.
            if parts.iter().any(|at| totals::is_total(of_fine.cell(row, *at).unwrap_or_default())) {
                continue;
            }
            let people = rules::number(of_fine.cell(row, other)).unwrap_or(0.0);
            *sums.entry(key(of_fine, row, &theirs)).or_default() += people;
        }
        for row in 0..of_coarse.rows.len() {
            let (Some(people), Some(sum)) =
                (rules::number(of_coarse.cell(row, at)), sums.get(&key(of_coarse, row, &of_keys)))
            else {
                continue;
            };
            if !asked.is_small((people - sum).abs()) {
                continue;
            }
            let finding = if same {
                let message =
                    format!("differs by fewer than {} people from the same group in {label}", asked.threshold());
                Finding::people(Rule::Difference, message)
            } else {
                let message = format!(
                    "less what {label} shows of its parts it leaves fewer than {} people; hide a second part there, or this one",
                    asked.threshold()
                );
                Finding::refuse(Rule::Total, message)
            };
            found.push((coarse.name.to_string(), finding.at(row, column)));
        }
    }
}
