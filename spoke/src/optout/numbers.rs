//! Person numbers from a file or standard input: one a line, as they come out of other systems.
//!
//! INVARIANT: a number is in memory only while it is linked, and in no error.

use crate::{
    config::SpokeConfig,
    ingest::{FromConfig, NoPseudonyms, OpenPseudonyms, person_number},
};
use std::io::BufRead;
use zeroize::Zeroizing;

/// Numbers read at most.
const MOST: usize = 10_000_000;

/// Why people can't be found.
#[derive(Debug, thiserror::Error)]
pub enum NumbersError {
    /// A line is no person number.
    #[error(
        "line {line}: not a person number: expected ten digits, with or without a hyphen after the sixth. Nothing was changed"
    )]
    Line {
        /// from 1
        line: usize,
    },
    /// Too many.
    #[error("more than {MOST} numbers; divide the file")]
    TooMany,
    /// Can't be read.
    #[error("can't be read: {0}")]
    Io(#[from] std::io::Error),
    /// The custodian, its settings or the cache.
    #[error("{0}")]
    Link(String),
}

/// Reads numbers; empty lines and the first line, when it is a heading, are passed over.
///
/// # Errors
/// When a line is none; the error names the line only.
pub fn read(from: impl BufRead) -> Result<Zeroizing<Vec<u64>>, NumbersError> {
    let mut numbers = Zeroizing::new(Vec::new());
    let mut lines = from.split(b'\n');
    let mut at = 0;
    while let Some(line) = lines.next().transpose()?.map(Zeroizing::new) {
        at += 1;
        let field = line.trim_ascii().trim_ascii_start();
        let field = field.strip_prefix(b"\xef\xbb\xbf").unwrap_or(field);
        if field.is_empty() || (at == 1 && !field.iter().any(u8::is_ascii_digit)) {
            continue;
        }
        if numbers.len() == MOST {
            return Err(NumbersError::TooMany);
        }
        numbers.push(person_number(field).ok_or(NumbersError::Line { line: at })?);
    }
    Ok(numbers)
}

/// Stored pseudonyms of the numbers, made as at ingest: from the cache, else through the custodian. Also the id of the
/// key that they are stored under.
///
/// # Errors
/// When the custodian can't be asked, or keys and settings are not complete.
pub async fn link(config: &SpokeConfig, numbers: &[u64]) -> Result<(Vec<[u8; 16]>, String), NumbersError> {
    link_with(&FromConfig(config.clone()), numbers).await
}

pub(crate) async fn link_with(
    open: &dyn OpenPseudonyms,
    numbers: &[u64],
) -> Result<(Vec<[u8; 16]>, String), NumbersError> {
    let failed = |error: NoPseudonyms| NumbersError::Link(error.to_string());
    let mut pseudonyms = open.open().await.map_err(failed)?;
    let stored = pseudonyms.persons(numbers).await.map_err(failed)?;
    Ok((stored, pseudonyms.store_kid()))
}
