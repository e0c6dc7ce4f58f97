//! Reading configuration: TOML files whose errors name the file, the line and the field.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read: {cause}. Check the path and who may read it", path.display())]
    Unreadable {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// The text is not what is expected there.
    #[error("{name}, line {line}, column {column}: {message}")]
    Invalid {
        /// file name as given
        name: String,
        /// from 1
        line: usize,
        /// from 1
        column: usize,
        /// what is wrong, naming the field
        message: String,
    },
}

/// Reads a TOML file.
///
/// # Errors
/// When it can't be read, is not TOML, or has an unknown, missing or wrong field.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
    parse(&text, &path.display().to_string())
}

/// Reads TOML text; `name` stands in errors.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let (line, column) = position(text, at);
        ConfigError::Invalid { name: name.to_owned(), line, column, message: error.message().trim().replace('\n', " ") }
    })
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// `path` as it stands when absolute, else below `base` (the folder of the file that names it).
#[must_use]
pub fn relative_to(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { base.join(path) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        name: String,
        #[allow(dead_code)]
        port: u16,
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let unknown = parse::<Sample>("name = \"a\"\nport = 1\nprot = 2\n", "x.toml").unwrap_err();
        assert!(unknown.to_string().starts_with("x.toml, line 3, column 1: unknown field `prot`"), "{unknown}");
        let wrong = parse::<Sample>("name = \"a\"\nport = \"b\"\n", "x.toml").unwrap_err();
        assert!(wrong.to_string().contains("line 2"), "{wrong}");
        let missing = parse::<Sample>("name = \"a\"\n", "x.toml").unwrap_err();
        assert!(missing.to_string().contains("missing field `port`"), "{missing}");
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let error = load::<Sample>(Path::new("/nowhere/x.toml")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x.toml: can't be read"), "{error}");
    }
}
