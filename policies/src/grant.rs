//! What a controller lets a project see: a TOML file in the controller's own folder, one a project.
//!
//! Unknown project, expired grant, user who isn't named, zone that isn't granted: one and the same answer,
//! so that a caller can't find out which projects exist.

use crate::zone::Zone;
use chrono::NaiveDate;
use proto::ids::{ProjectId, TableName, UserId};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A grant as the controller writes it.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// the project
    pub project: ProjectId,
    /// the most that may be shown: `open` (released aggregates) or `enclave` (rows, inside the secure environment)
    pub zone: Zone,
    /// first day on which questions are answered
    #[serde(with = "day")]
    pub valid_from: NaiveDate,
    /// last day on which questions are answered
    #[serde(with = "day")]
    pub valid_to: NaiveDate,
    /// who may ask
    pub users: Vec<UserId>,
    /// what may be read; TOML key `[[table]]`
    #[serde(rename = "table")]
    pub tables: Vec<TableGrant>,
}

/// One table of a grant.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableGrant {
    /// the published table
    pub name: TableName,
    /// the columns that exist for the project
    pub columns: Vec<String>,
    /// rows that exist for the project: an SQL condition over the table's value columns
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_filter: Option<String>,
}

/// A grant file that can't be used. The project that it is for gets nothing until it is mended.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Not TOML, or a field is unknown, missing or wrong.
    #[error("{}, line {line}: {message}", path.display())]
    Invalid {
        /// which file
        path: PathBuf,
        /// from 1
        line: usize,
        /// what is wrong, naming the field
        message: String,
    },
    /// The fields contradict one another.
    #[error("{}: {message}", path.display())]
    Inconsistent {
        /// which file
        path: PathBuf,
        /// what is wrong, naming the field
        message: String,
    },
    /// The folder or a file can't be read.
    #[error("{}: can't be read: {cause}", path.display())]
    Unreadable {
        /// which one
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
}

/// No grant covers the question. Says nothing about why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such project for this user here, or its time is over")]
pub struct Denied;

/// The grants of one controller.
#[derive(Debug, Default)]
pub struct Grants {
    by_project: BTreeMap<ProjectId, Grant>,
    broken: Vec<GrantError>,
}

impl Grants {
    /// Reads every `*.toml` of a folder. A file with an error is left out and kept in [`Grants::broken`], so that
    /// one bad file takes nothing from the other projects. A missing folder holds no grants.
    ///
    /// # Errors
    /// When the folder itself can't be listed.
    pub fn load(folder: &Path) -> Result<Self, GrantError> {
        let unreadable = |cause| GrantError::Unreadable { path: folder.to_owned(), cause };
        let mut files = Vec::new();
        match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(error)),
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(unreadable)?.path();
                    if path.extension().is_some_and(|e| e == "toml") {
                        files.push(path);
                    }
                }
            }
        }
        files.sort();
        let mut grants = Self::default();
        let mut twice = BTreeSet::new();
        for path in files {
            match Grant::load(&path) {
                Ok(grant) => {
                    let project = grant.project.clone();
                    if grants.by_project.insert(project.clone(), grant).is_some() {
                        grants.broken.push(GrantError::Inconsistent {
                            path,
                            message: format!(
                                "field project: '{project}' has another grant file already; neither counts until one is removed"
                            ),
                        });
                        twice.insert(project);
                    }
                }
                Err(error) => grants.broken.push(error),
            }
        }
        for project in twice {
            grants.by_project.remove(&project);
        }
        Ok(grants)
    }

    /// The files that were left out, and why.
    #[must_use]
    pub fn broken(&self) -> &[GrantError] {
        &self.broken
    }

    /// All usable grants, for showing to the controller.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.by_project.values()
    }

    /// The grant under which `user` may ask for `project`, to be shown in `zone`, on the day `today` (UTC).
    ///
    /// # Errors
    /// [`Denied`] when there is none.
    pub fn find(&self, project: &ProjectId, user: &UserId, zone: Zone, today: NaiveDate) -> Result<&Grant, Denied> {
        self.by_project
            .get(project)
            .filter(|grant| grant.users.contains(user))
            .filter(|grant| zone <= grant.zone)
            .filter(|grant| (grant.valid_from..=grant.valid_to).contains(&today))
            .ok_or(Denied)
    }
}

impl Grant {
    /// Reads one grant file.
    ///
    /// # Errors
    /// When it can't be read or used.
    pub fn load(path: &Path) -> Result<Self, GrantError> {
        let text =
            std::fs::read_to_string(path).map_err(|cause| GrantError::Unreadable { path: path.to_owned(), cause })?;
        let grant: Self = toml::from_str(&text).map_err(|error| GrantError::Invalid {
            path: path.to_owned(),
            line: error.span().and_then(|s| text.get(..s.start)).map_or(1, |b| b.matches('\n').count() + 1),
            message: error.message().trim().replace('\n', " "),
        })?;
        grant.check().map_err(|message| GrantError::Inconsistent { path: path.to_owned(), message })?;
        Ok(grant)
    }

    /// The part of the grant about `table`.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<&TableGrant> {
        self.tables.iter().find(|granted| granted.name == *table)
    }

    fn check(&self) -> Result<(), String> {
        if self.valid_to < self.valid_from {
            return Err(format!("fields valid_from, valid_to: {} is before {}", self.valid_to, self.valid_from));
        }
        if self.users.is_empty() {
            return Err("field users: names nobody".to_owned());
        }
        let mut names = BTreeSet::new();
        for table in &self.tables {
            if !names.insert(&table.name) {
                return Err(format!("table '{}' stands twice", table.name));
            }
            if table.columns.is_empty() {
                return Err(format!("table '{}', field columns: names none", table.name));
            }
            let distinct: BTreeSet<_> = table.columns.iter().collect();
            if distinct.len() != table.columns.len() {
                return Err(format!("table '{}', field columns: a column stands twice", table.name));
            }
            if table.row_filter.as_ref().is_some_and(|f| f.trim().is_empty()) {
                return Err(format!(
                    "table '{}', field row_filter: is empty; leave it out to grant all rows",
                    table.name
                ));
            }
        }
        Ok(())
    }
}

/// Days are written `2026-01-31`, as a TOML date or as text.
mod day {
    use chrono::NaiveDate;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Date(toml::value::Datetime),
        Text(String),
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDate, D::Error> {
        let text = match Written::deserialize(from) {
            Ok(Written::Date(date)) => date.to_string(),
            Ok(Written::Text(text)) => text,
            Err(_) => return Err(D::Error::custom("expected a day as 2026-01-31")),
        };
        text.parse().map_err(|_| D::Error::custom(format!("'{text}' is not a day; write it as 2026-01-31")))
    }

    pub(super) fn serialize<S: Serializer>(day: &NaiveDate, to: S) -> Result<S::Ok, S::Error> {
        day.to_string().serialize(to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = r#"
project = "diabetes"
zone = "open"
valid_from = 2026-01-01
valid_to = "2026-12-31"
users = ["anna@example.org"]

[[table]]
name = "bef"
columns = ["pnr", "koen"]
row_filter = "kom = 101"
"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn ask(grants: &Grants, project: &str, user: &str, zone: Zone, day: &str) -> Result<(), Denied> {
        grants.find(&project.parse().unwrap(), &user.parse().unwrap(), zone, day.parse().unwrap()).map(|_| ())
    }

    #[test]
    fn every_reason_for_a_no_reads_the_same() {
        let folder = folder(&[("diabetes.toml", GOOD)]);
        let grants = Grants::load(folder.path()).unwrap();
        let anna = "anna@example.org";
        assert_eq!(ask(&grants, "diabetes", anna, Zone::Open, "2026-01-01"), Ok(()));
        assert_eq!(ask(&grants, "diabetes", anna, Zone::Open, "2026-12-31"), Ok(()));
        for (project, user, zone, day) in [
            ("other", anna, Zone::Open, "2026-06-01"),
            ("diabetes", "bo@example.org", Zone::Open, "2026-06-01"),
            ("diabetes", anna, Zone::Enclave, "2026-06-01"),
            ("diabetes", anna, Zone::Open, "2025-12-31"),
            ("diabetes", anna, Zone::Open, "2027-01-01"),
        ] {
            assert_eq!(ask(&grants, project, user, zone, day), Err(Denied));
        }
    }

    #[test]
    fn a_bad_file_is_named_and_takes_nothing_from_the_others() {
        let folder = folder(&[
            ("a.toml", GOOD),
            ("b.toml", "project = \"cancer\"\nzone = \"open\"\nvalid_from = 2026-01-01\nvalid_to = yesterday\n"),
            ("c.toml", &GOOD.replace("diabetes", "heart").replace("users", "user")),
            ("d.toml", &GOOD.replace("diabetes", "lung").replace("2026-01-01", "2027-01-01")),
            ("e.txt", "not a grant"),
        ]);
        let grants = Grants::load(folder.path()).unwrap();
        assert_eq!(grants.iter().count(), 1);
        let said: Vec<String> = grants.broken().iter().map(ToString::to_string).collect();
        assert!(said[0].contains("b.toml, line 4"), "{said:?}");
        assert!(said[1].contains("c.toml") && said[1].contains("`user`"), "{said:?}");
        assert!(said[2].contains("d.toml") && said[2].contains("valid_to"), "{said:?}");
    }

    #[test]
    fn two_files_for_one_project_grant_nothing() {
        let folder = folder(&[("a.toml", GOOD), ("b.toml", GOOD)]);
        let grants = Grants::load(folder.path()).unwrap();
        assert_eq!(grants.iter().count(), 0);
        assert!(grants.broken()[0].to_string().contains("another grant file"));
    }

    #[test]
    fn tables_and_columns_are_checked() {
        for (from, to, says) in [
            ("columns = [\"pnr\", \"koen\"]", "columns = []", "field columns: names none"),
            ("\"koen\"", "\"pnr\"", "a column stands twice"),
            ("kom = 101", " ", "field row_filter: is empty"),
            ("anna@example.org\"", "\"", "users"),
            ("\"bef\"", "\"Bef;\"", "name"),
        ] {
            let folder = folder(&[("a.toml", &GOOD.replace(from, to))]);
            let grants = Grants::load(folder.path()).unwrap();
            assert_eq!(grants.iter().count(), 0, "{to}");
            let said = grants.broken()[0].to_string();
            assert!(said.contains(says) || said.contains("line"), "{said}");
        }
    }
}
