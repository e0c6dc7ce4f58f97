//! Table declarations: what a controller says about one table in `tables/<name>.toml`.
//!
//! A declaration is read, checked against itself and against the other tables, and from then on trusted:
//! everything after this module works with [`TableDecl`] only.
//!
//! INVARIANT: a declaration that was loaded names every column's role; there is no default that publishes a
//! person number as an ordinary value.

mod check;
mod error;
mod raw;
mod source;
mod table;
mod types;

pub use error::DeclareError;
pub use source::{Decimal, Delimiter, Encoding, Format, Source};
pub use table::{Column, ColumnKind, Mode, PersonVia, TableDecl, TableRole, Text};
pub use types::{DateForm, ValueType};

use proto::ids::TableName;
use std::{collections::BTreeMap, path::Path};

/// All declarations of a spoke, by name.
pub type Declarations = BTreeMap<TableName, TableDecl>;

/// Reads every `*.toml` in `dir` and checks the tables against one another.
///
/// # Errors
/// The first thing that is wrong, with file, line and field.
pub fn load_all(dir: &Path) -> Result<Declarations, DeclareError> {
    let unreadable = |source| DeclareError::Unreadable { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut parts = Vec::with_capacity(paths.len());
    for path in paths {
        let text =
            std::fs::read_to_string(&path).map_err(|source| DeclareError::Unreadable { path: path.clone(), source })?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        parts.push(check::table(&text, &path.display().to_string(), stem.as_deref())?);
    }
    check::together(parts)
}

/// Reads declarations from texts, as [`load_all`] does from files. `(file name, text)`.
///
/// # Errors
/// As [`load_all`].
pub fn parse_all<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Declarations, DeclareError> {
    let parts = texts.into_iter().map(|(name, text)| check::table(text, name, None)).collect::<Result<Vec<_>, _>>()?;
    check::together(parts)
}

#[cfg(test)]
mod tests;
