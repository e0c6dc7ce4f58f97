//! Reads a form and names everything that is wrong with it at once.

use super::{FileName, Form, form::FileForm};
use crate::application::{Problem, Problems, looks_like_person_number};
use proto::ids::{ProjectId, SubmissionId};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// Files of one submission, at most.
pub const MOST_FILES: usize = 40;
/// Columns named for one file, at most.
const MOST_COLUMNS: usize = 100;
/// The longest text of a field, characters.
const LONGEST: usize = 8000;

/// A form without problems.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// of which project
    pub project: ProjectId,
    /// for people
    pub title: String,
    /// the one that it follows
    pub earlier: Option<SubmissionId>,
    /// the files, in the form's order
    pub files: Vec<Output>,
}

/// What one file is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// its name outside
    pub name: FileName,
    /// what it shows
    pub description: String,
    /// whose data are in it
    pub population: String,
    /// how many people are behind it
    pub counts: String,
    /// tables: the columns that count people
    pub count_columns: Vec<String>,
    /// tables: the columns that hold sums over people
    pub sum_columns: Vec<String>,
    /// the file with the two largest contributions to each sum
    pub contributions: Option<FileName>,
    /// the file with the numbers behind a figure
    pub data: Option<FileName>,
    /// the statement that gives it
    pub query: Option<String>,
    /// never released
    pub inside: bool,
}

impl Submission {
    /// The file of that name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Output> {
        self.files.iter().find(|file| file.name.as_str() == name)
    }

    /// Names of the files that are reviewed and leave.
    pub fn leaving(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| !file.inside).map(|file| file.name.as_str())
    }
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    fn text(&mut self, field: &str, text: &str, missing: &str) -> String {
        let text = text.trim();
        if text.is_empty() {
            self.add(field, missing);
        } else if text.chars().count() > LONGEST {
            self.add(field, format!("is longer than {LONGEST} characters"));
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.add(field, "has control characters; write plain text");
        } else if looks_like_person_number(text) {
            self.add(field, "holds what looks like a person number; what is written here leaves with the files");
        }
        text.to_owned()
    }

    fn id<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.trim().parse().map_err(|error| self.add(field, format!("{error}"))).ok()
    }

    fn columns(&mut self, field: &str, columns: &[String]) -> Vec<String> {
        if columns.len() > MOST_COLUMNS {
            self.add(field, format!("names more than {MOST_COLUMNS}"));
        }
        let mut seen = BTreeSet::new();
        columns
            .iter()
            .take(MOST_COLUMNS)
            .enumerate()
            .filter_map(|(at, name)| {
                let field = format!("{field}[{at}]");
                let name = self.text(&field, name, "is empty");
                if !seen.insert(name.clone()) {
                    self.add(field, "stands twice; remove one");
                    return None;
                }
                Some(name)
            })
            .collect()
    }
}

impl Form {
    /// Reads the form.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check(&self) -> Result<Submission, Problems> {
        let mut found = Found::default();
        let project = found.id("project", &self.project);
        let title = found.text("title", &self.title, "is missing; say for people what this is");
        let earlier = self.earlier.as_ref().map(|earlier| found.id("earlier", earlier));
        if self.files.is_empty() {
            found.add("files", "names none; add [[files]] with name, path and what it shows");
        }
        if self.files.len() > MOST_FILES {
            found.add("files", format!("names more than {MOST_FILES}; hand in several submissions"));
        }
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for (at, of) in self.files.iter().enumerate().take(MOST_FILES) {
            let Some(file) = file(&mut found, at, of) else { continue };
            // Systems that don't tell letters apart would unpack one over the other.
            if !seen.insert(file.name.as_str().to_ascii_lowercase()) {
                found.add(format!("files[{at}].name"), "stands twice, letters of both sizes taken as one");
            }
            files.push(file);
        }
        self.references(&mut found, &files);
        match project {
            Some(project) if found.0.is_empty() => Ok(Submission { project, title, earlier: earlier.flatten(), files }),
            _ => Err(Problems(found.0)),
        }
    }

    /// Each file that another one names is there.
    fn references(&self, found: &mut Found, files: &[Output]) {
        if !self.files.is_empty() && self.files.iter().all(|file| file.inside) {
            found.add("files", "has only files that stay inside; nothing would leave");
        }
        for (at, of) in self.files.iter().enumerate().take(MOST_FILES) {
            for (field, other) in [("contributions", &of.contributions), ("data", &of.data)] {
                let Some(other) = other else { continue };
                if other.trim() == of.name.trim() {
                    found.add(format!("files[{at}].{field}"), "is the file itself; name another one");
                } else if !files.iter().any(|file| file.name.as_str() == other.trim()) {
                    found.add(format!("files[{at}].{field}"), "names no file of this submission");
                }
            }
            if of.contributions.is_some() && of.sum_columns.is_empty() {
                found.add(format!("files[{at}].contributions"), "belongs to columns of sums; name them in sum_columns");
            }
        }
    }
}

fn file(found: &mut Found, at: usize, of: &FileForm) -> Option<Output> {
    let field = |name: &str| format!("files[{at}].{name}");
    let name = found.id::<FileName>(&field("name"), &of.name);
    let description = found.text(&field("description"), &of.description, "is missing; what does it show?");
    let population = found.text(&field("population"), &of.population, "is missing; whose data are in it?");
    let counts = found.text(&field("counts"), &of.counts, "is missing; how many people are behind its numbers?");
    let query = of.query.as_ref().map(|query| found.text(&field("query"), query, "is empty; leave it out"));
    let count_columns = found.columns(&field("count_columns"), &of.count_columns);
    let sum_columns = found.columns(&field("sum_columns"), &of.sum_columns);
    if sum_columns.iter().any(|column| count_columns.contains(column)) {
        found.add(field("sum_columns"), "names a column that count_columns names, too; it is one or the other");
    }
    let mut other = |field: &str, text: &Option<String>| {
        text.as_ref().and_then(|text| found.id::<FileName>(&format!("files[{at}].{field}"), text))
    };
    let (contributions, data) = (other("contributions", &of.contributions), other("data", &of.data));
    Some(Output {
        name: name?,
        description,
        population,
        counts,
        count_columns,
        sum_columns,
        contributions,
        data,
        query,
        inside: of.inside,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::airlock::EXAMPLE;

    fn example() -> Form {
        Form::from_toml(EXAMPLE, "example").unwrap()
    }

    fn wrong(form: &Form) -> Vec<String> {
        form.check().unwrap_err().0.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_example_passes() {
        let submission = example().check().unwrap();
        assert_eq!(submission.leaving().collect::<Vec<_>>(), ["table1.csv", "figure1.svg"]);
        assert_eq!(submission.files[1].data.as_ref().unwrap().as_str(), "table1.csv");
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let mut form = example();
        form.project = "Not an id".to_owned();
        form.files[0].name = "../table1.csv".to_owned();
        form.files[0].counts = " ".to_owned();
        form.files[0].sum_columns = vec!["n".to_owned(), "x".to_owned(), "x".to_owned()];
        form.files[1].description = "of 010101-1234".to_owned();
        let fields = wrong(&form);
        for field in [
            "project",
            "files[0].name",
            "files[0].counts",
            "files[0].sum_columns[2]",
            "files[0].sum_columns",
            "files[1].description",
            "files[1].data",
        ] {
            assert!(fields.iter().any(|one| one == field), "{field}: {fields:?}");
        }
        assert!(!form.check().unwrap_err().to_string().contains("010101"));
    }

    #[test]
    fn each_file_says_what_it_shows_of_whom_and_how_many() {
        type Field = fn(&mut FileForm) -> &mut String;
        let fields: [(&str, Field); 3] = [
            ("description", |file| &mut file.description),
            ("population", |file| &mut file.population),
            ("counts", |file| &mut file.counts),
        ];
        for (name, of) in fields {
            // The figure as well as the table, and whoever is to stay inside.
            for (at, inside) in [(0, false), (1, false), (1, true)] {
                let mut form = example();
                form.files[at].inside = inside;
                of(&mut form.files[at]).clear();
                assert_eq!(wrong(&form), [format!("files[{at}].{name}")]);
            }
        }
    }

    #[test]
    fn names_that_differ_by_the_size_of_letters_are_one() {
        let mut form = example();
        form.files[1].name = "TABLE1.csv".to_owned();
        assert_eq!(wrong(&form), ["files[1].name"]);
        let mut form = example();
        form.files.iter_mut().for_each(|file| file.inside = true);
        assert_eq!(wrong(&form), ["files"]);
        let mut form = example();
        form.files =
            (0..=MOST_FILES).map(|at| FileForm { name: format!("{at}.csv"), ..form.files[0].clone() }).collect();
        assert_eq!(wrong(&form), ["files"]);
    }
}
