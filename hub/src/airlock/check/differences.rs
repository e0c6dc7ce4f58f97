//! Tables against each other and against others of the project: a difference of few people tells of few people.
//!
//! INVARIANT: what has left with exact numbers can refuse a file; what may yet leave, and what carries noise, is for people.

use super::{
    Checked, Earlier, Finding, MOST, Rule, Table, Weight,
    groups::{key, keys},
    rules::{self, Rules},
    totals,
};
use policies::{airlock::Output, disclosure::Threshold};
use std::collections::BTreeMap;

/// What became of the submission that a table is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::airlock) enum How {
    /// it left, past the checkers
    Left,
    /// it is with the checkers, or they have approved it
    Standing,
    /// the platform has answered it: with noise
    Answered,
}

/// The tables of a submission that leave, compared with those of others one after the other.
pub(in crate::airlock) struct Beside {
    tables: Vec<(Output, Table)>,
    asked: Rules,
    found: BTreeMap<String, Told>,
}

/// What was found in one file.
#[derive(Default)]
struct Told {
    all: Vec<Finding>,
    /// findings that were not kept, and whether one of them refuses
    more: usize,
    refused: bool,
    /// cells beside answers of the platform, and the first of these
    near: usize,
    answer: String,
}

impl Beside {
    /// `least`: the fewest people that a number may be about.
    pub(in crate::airlock) fn new(tables: Vec<(Output, Table)>, least: Threshold) -> Self {
        Self { tables, asked: Rules(least), found: BTreeMap::new() }
    }

    /// Whether there is nothing to compare.
    pub(in crate::airlock) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Compares with one table more.
    pub(in crate::airlock) fn see(&mut self, other: &Earlier, how: How) {
        for (output, table) in &self.tables {
            let found = against((output, table), other, self.asked);
            if found.is_empty() {
                continue;
            }
            let told = self.found.entry(output.name.to_string()).or_default();
            match how {
                How::Left => told.all.extend(found),
                How::Standing => told.all.extend(found.into_iter().map(|finding| Finding {
                    weight: Weight::ForPeople,
                    message: format!(
                        "{}. That one has not left yet: once it has, the checks may refuse this one",
                        finding.message
                    ),
                    ..finding
                })),
                How::Answered => {
                    if told.near == 0 {
                        told.answer.clone_from(&other.label);
                    }
                    told.near += found.len();
                }
            }
            told.cut();
        }
    }

    /// What was found, by file.
    pub(in crate::airlock) fn found(self) -> BTreeMap<String, Vec<Finding>> {
        let asked = self.asked;
        self.found.into_iter().map(|(name, told)| (name, told.findings(asked))).collect()
    }
}

impl Told {
    /// Keeps no more than people read; whatever refuses stays in sight.
    fn cut(&mut self) {
        if self.all.len() > MOST {
            self.all.sort_by_key(|finding| finding.weight != Weight::Refused);
            let cut = self.all.split_off(MOST);
            self.more += cut.len();
            self.refused |= cut.iter().any(|finding| finding.weight == Weight::Refused);
        }
    }

    fn findings(mut self, asked: Rules) -> Vec<Finding> {
        if self.more > 0 {
            let weight = if self.refused { Weight::Refused } else { Weight::ForPeople };
            self.all.push(Finding::new(Rule::People, weight, format!("and {} more of this kind", self.more)));
        }
        if self.near > 0 {
            let message = format!(
                "{} numbers differ by fewer than {} people from what the platform answered ({}). Its answers carry noise, so that this is \
                 no number of people; look whether somebody could tell the noise from the difference",
                self.near,
                asked.threshold(),
                self.answer
            );
            self.all.push(Finding::people(Rule::Difference, message));
        }
        self.all
    }
}

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
            found.extend(against(*one, before, asked).into_iter().map(|finding| (one.0.name.to_string(), finding)));
        }
    }
    found
}

/// What is found in a table beside another one, in both directions.
fn against(one: (&Output, &Table), other: &Earlier, asked: Rules) -> Vec<Finding> {
    let (mut found, mut turned) = (Vec::new(), Vec::new());
    compare(one, (&other.output, &other.table), &other.label, (true, asked), &mut found);
    compare((&other.output, &other.table), one, &other.label, (false, asked), &mut turned);
    let turned = turned.into_iter().map(|(_, finding)| Finding { row: None, ..finding });
    found.into_iter().map(|(_, finding)| finding).chain(turned).collect()
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
