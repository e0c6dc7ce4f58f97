//! The automatic checks: what each file of a submission tells that it must not, cell by cell.
//!
//! A finding either refuses the submission or is shown to the checkers; every file goes to checkers in any case. The rules of
//! disclosure themselves are called in `rules` alone.
//!
//! INVARIANT: no finding repeats a value of a file; it says where the value stands.

mod computed;
pub(super) mod csv;
pub(super) mod differences;
mod groups;
mod json;
mod pixels;
mod png;
mod rules;
mod sums;
pub(super) mod svg;
pub(super) mod table;
mod text;
mod totals;

use super::kind::{self, Kind, NoKind};
use policies::{
    airlock::{Output, Submission},
    disclosure::Threshold,
};
use rules::Rules;
use std::collections::BTreeMap;
pub(super) use table::Table;
use table::Unreadable;

/// Findings of one file that are kept; what is wrong everywhere needn't be told everywhere.
const MOST: usize = 100;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident,)*) => {
        /// Which rule found something.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Rule { $($(#[$doc])* $variant,)* }

        impl Rule {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

rules! {
    /// a cell is about too few people
    Threshold,
    /// one or two contribute nearly all of a sum
    Dominance,
    /// a total gives a small cell away
    Total,
    /// everybody of a group is in one cell
    Group,
    /// another file or an earlier release gives a small difference
    Difference,
    /// what looks like a person number
    PersonNumber,
    /// what looks like a pseudonym
    Pseudonym,
    /// rows about single people rather than groups
    Rows,
    /// the form and the file don't fit
    Declaration,
    /// a figure without the numbers behind it
    Figure,
    /// a drawing that is more than one
    Svg,
    /// a picture that is more than one
    Png,
    /// no machine can check it
    People,
}

impl Rule {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Dominance => "dominance",
            Self::Total => "total",
            Self::Group => "group",
            Self::Difference => "difference",
            Self::PersonNumber => "person_number",
            Self::Pseudonym => "pseudonym",
            Self::Rows => "rows",
            Self::Declaration => "declaration",
            Self::Figure => "figure",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::People => "people",
        }
    }

    /// What it demands, for people, where a number has to be about `least` people; or about as many as was asked for, when nobody
    /// knows how many those were.
    #[must_use]
    pub fn what(self, least: Option<u64>) -> String {
        let few = least.map_or_else(|| "few".to_owned(), |least| format!("1 to {}", least.saturating_sub(1)));
        let what = match self {
            Self::Threshold => {
                let least =
                    least.map_or_else(|| "5, or at least what a permit asks for".to_owned(), |least| least.to_string());
                return format!("a count of people is 0 or at least {least}");
            }
            Self::Dominance => {
                "no sum of fewer than 10 contributors, to which two contribute 90% or more, or of which the second can tell the first to 10%"
            }
            Self::Total => return format!("no totals from which a count of {few} people follows, alone or together"),
            Self::Group => "a group of whom all are in one cell is looked at by people",
            Self::Difference => {
                return format!("no difference of {few} people to another file or an earlier release without a reason");
            }
            Self::PersonNumber => "nothing that looks like a person number",
            Self::Pseudonym => "nothing that looks like a pseudonym",
            Self::Rows => "one row for each group, none for a person",
            Self::Declaration => "columns of counts and sums are named, and hold numbers",
            Self::Figure => "a figure comes with the numbers it is drawn from",
            Self::Svg => "a drawing runs nothing, refers to nothing outside and hides nothing",
            Self::Png => "a picture carries nothing beside the picture",
            Self::People => "people look at it",
        };
        what.to_owned()
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// the submission can't go to the checkers
    Refused,
    /// the checkers decide
    ForPeople,
}

/// Something that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// by which rule
    pub rule: Rule,
    /// what becomes of it
    pub weight: Weight,
    /// in which row of a table, from 1 without the line of names; in which line of a text
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// in which column
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// what is wrong, and what to do
    pub message: String,
}

impl Finding {
    fn new(rule: Rule, weight: Weight, message: impl Into<String>) -> Self {
        Self { rule, weight, row: None, column: None, message: message.into() }
    }

    fn refuse(rule: Rule, message: impl Into<String>) -> Self {
        Self::new(rule, Weight::Refused, message)
    }

    fn people(rule: Rule, message: impl Into<String>) -> Self {
        Self::new(rule, Weight::ForPeople, message)
    }

    /// Of a file that is no table.
    fn unreadable(error: &Unreadable) -> Self {
        let found = Self::refuse(Rule::Declaration, error.to_string());
        match error {
            Unreadable::Doubled { row, name } => Self { row: Some(*row), column: Some(name.clone()), ..found },
            _ => found,
        }
    }

    fn at(mut self, row: usize, column: &str) -> Self {
        self.row = Some(row + 1);
        self.column = Some(column.to_owned());
        self
    }
}

/// A file with what was said of it.
pub(super) struct Checked<'a> {
    pub(super) output: &'a Output,
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
}

/// A table that left earlier, and what was said of it.
pub(super) struct Earlier {
    pub(super) label: String,
    pub(super) output: Output,
    pub(super) table: Table,
}

/// What is found in each file of a submission, by name. `least`: the fewest people that a number of the project may be about.
pub(super) fn run(
    submission: &Submission,
    files: &[Checked<'_>],
    earlier: &[Earlier],
    least: Threshold,
) -> BTreeMap<String, Vec<Finding>> {
    let rules = Rules(least);
    let mut tables: BTreeMap<&str, Table> = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for file in files {
        let of = found.entry(file.output.name.to_string()).or_default();
        if file.kind.is_table() {
            match table::read(file.kind, file.bytes) {
                Ok(table) => drop(tables.insert(file.output.name.as_str(), table)),
                Err(error) => of.push(Finding::unreadable(&error)),
            }
        }
    }
    for file in files {
        let of = found.entry(file.output.name.to_string()).or_default();
        alone(submission, file, &tables, rules, of);
    }
    for (name, finding) in differences::between(files, &tables, earlier, rules) {
        found.entry(name).or_default().push(finding);
    }
    for of in found.values_mut() {
        if of.len() > MOST {
            let more = of.len() - MOST;
            // Whatever refuses stays in sight.
            of.sort_by_key(|finding| finding.weight != Weight::Refused);
            let weight = of.get(MOST).map_or(Weight::ForPeople, |first| first.weight);
            of.truncate(MOST);
            of.push(Finding::new(Rule::People, weight, format!("and {more} more of this kind")));
        }
    }
    found
}

/// What a file tells by itself.
fn alone(
    submission: &Submission,
    file: &Checked<'_>,
    tables: &BTreeMap<&str, Table>,
    rules: Rules,
    found: &mut Vec<Finding>,
) {
    let output = file.output;
    let names_columns = !output.count_columns.is_empty() || !output.sum_columns.is_empty();
    if names_columns && !file.kind.is_table() {
        found.push(Finding::refuse(Rule::Declaration, "is no table, and the form names columns of it"));
    }
    if output.inside {
        return;
    }
    if file.kind.is_figure() {
        let behind = output.data.as_ref().and_then(|name| submission.file(name.as_str()));
        if !behind.is_some_and(|data| tables.contains_key(data.name.as_str())) {
            found.push(Finding::refuse(
                Rule::Figure,
                "say in 'data' which table of this submission it is drawn from; with inside = true the table stays inside",
            ));
        }
        found.push(Finding::people(Rule::People, "compare the figure with its data: points may be single people"));
    }
    match file.kind {
        Kind::Csv | Kind::Parquet | Kind::Json => {
            let table = tables.get(output.name.as_str());
            if file.kind == Kind::Json {
                let sums = table.map(|table| text::numbers(table, &output.sum_columns)).unwrap_or_default();
                text::json(&String::from_utf8_lossy(file.bytes), &sums, found);
            }
            if let Some(table) = table {
                text::cells(table, &output.sum_columns, found);
                let contributions = output.contributions.as_ref().and_then(|name| tables.get(name.as_str()));
                groups::check(output, table, rules, found);
                sums::check(output, table, contributions, rules, found);
                totals::check(output, table, rules, found);
                computed::check(output, table, rules, found);
            }
        }
        Kind::Png => found.extend(png::check(file.bytes)),
        Kind::Svg => {
            let drawing = String::from_utf8_lossy(file.bytes);
            found.extend(svg::check(&drawing));
            text::lines(&drawing, Some(Weight::Refused), found);
        }
        Kind::Pdf | Kind::Text | Kind::Notebook => {
            let pseudonym = match file.kind {
                // A PDF names itself by sixteen bytes, a notebook its cells.
                Kind::Pdf => None,
                Kind::Notebook => Some(Weight::ForPeople),
                _ => Some(Weight::Refused),
            };
            text::lines(&String::from_utf8_lossy(file.bytes), pseudonym, found);
            found.push(Finding::people(Rule::People, format!("is {}: read all of it", file.kind)));
        }
    }
}

/// What is found in files that all hold the same bytes, which may be anything, beside an earlier release of them; for those who look for
/// files that break the readers.
///
/// # Errors
/// When they are of no kind that may leave.
pub fn examine(submission: &Submission, bytes: &[u8]) -> Result<BTreeMap<String, Vec<Finding>>, NoKind> {
    let mut files = Vec::new();
    let mut earlier = Vec::new();
    for output in &submission.files {
        let kind = kind::recognise(&output.name, bytes)?;
        files.push(Checked { output, kind, bytes });
        if let Ok(table) = table::read(kind, bytes) {
            earlier.push(Earlier { label: "an earlier release".to_owned(), output: output.clone(), table });
        }
    }
    Ok(run(submission, &files, &earlier, Threshold::DEFAULT))
}

#[cfg(test)]
pub(in crate::airlock) mod hostile;
#[cfg(test)]
mod tests;
