//! Reading the hub's log: for people, for another party, and to prove that nothing is missing.

use super::{HubAuditError, log_path, signing_key};
use runtime::{
    audit::{
        self, AuditError, Entry, Head,
        checkpoint::{Checkpoint, Witnessed, verify_log},
        witness::{self, WitnessError},
    },
    peer::{Peer, PeerError},
    sign::claimed_payload,
};
use serde_json::Value;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Why the log can't be shown or is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// It can't be read, or was changed.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// A witness' checkpoint.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The own key.
    #[error(transparent)]
    Key(#[from] HubAuditError),
    /// The hub's name.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// A checkpoint given on the command line.
    #[error("{}: is no checkpoint of this hub's log: {message}", path.display())]
    Checkpoint {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
    /// It can't be written where it should go.
    #[error("can't be written: {0}")]
    Write(#[from] io::Error),
}

/// Which entries are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// of this kind, as in `asked`
    pub event: Option<String>,
    /// about this project
    pub project: Option<String>,
    /// about or by this user
    pub user: Option<String>,
    /// the last so many
    pub last: Option<usize>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| entry.event.get(field).and_then(Value::as_str) == Some(wanted))
        };
        is("event", &self.event) && is("project", &self.project) && is("user", &self.user)
    }
}

/// Writes entries for people, or as JSON lines.
///
/// # Errors
/// When the log can't be read, or was changed; what came before is written.
pub fn show(folder: &Path, filter: &Filter, json: bool, out: &mut impl Write) -> Result<(), ShowError> {
    let mut kept = std::collections::VecDeque::new();
    for entry in audit::read(&log_path(folder))? {
        let (entry, _) = entry?;
        if !filter.takes(&entry) {
            continue;
        }
        kept.push_back(entry);
        if filter.last.is_some_and(|last| kept.len() > last) {
            kept.pop_front();
        }
    }
    for entry in kept {
        if json {
            writeln!(out, "{}", serde_json::to_string(&entry).map_err(io::Error::from)?)?;
        } else {
            writeln!(out, "{}", line(&entry))?;
        }
    }
    Ok(())
}

fn line(entry: &Entry) -> String {
    let text = |field: &str| entry.event.get(field).and_then(Value::as_str);
    let mut line =
        format!("{:>6}  {}  {:<9}", entry.seq, entry.at.format("%Y-%m-%d %H:%M:%S"), text("event").unwrap_or("?"));
    if let Value::Object(fields) = &entry.event {
        for (name, value) in fields.iter().filter(|(name, _)| !["event", "sql", "sql_sha256"].contains(&name.as_str()))
        {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            line.push_str(&format!("  {name}={value}"));
        }
    }
    if let Some(sql) = text("sql") {
        line.push_str("\n        ");
        line.push_str(&sql.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    line
}

/// Checks every line, and that all that was witnessed is still there: the checkpoints that witnesses countersigned, and those in
/// `more` (files that another party kept).
///
/// # Errors
/// The first line that was changed or is missing.
pub fn verify(folder: &Path, name: &str, more: &[PathBuf]) -> Result<(Head, usize), ShowError> {
    let own = signing_key(folder)?.public();
    let party = Peer::hub(name)?;
    let log = log_path(folder);
    let mut checkpoints = witness::witnessed(&log, &party, &own)?;
    for path in more {
        let wrong = |message: String| ShowError::Checkpoint { path: path.clone(), message };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let text = text.trim();
        // Either form will do: what counts is the own signature inside.
        let inner = claimed_payload(text)
            .and_then(|bytes| serde_json::from_slice::<Witnessed>(&bytes).ok())
            .map_or_else(|| text.to_owned(), |seen| seen.checkpoint);
        checkpoints
            .push(Checkpoint::verify(&inner, &party.to_string(), &own).map_err(|error| wrong(error.to_string()))?);
    }
    let head = verify_log(&log, &checkpoints)?;
    Ok((head, checkpoints.len()))
}

/// Writes the log's own lines, each with its hash, so that whoever gets them can check the chain.
///
/// # Errors
/// When the log was changed, or they can't be written.
pub fn export(folder: &Path, out: &mut impl Write) -> Result<u64, ShowError> {
    let path = log_path(folder);
    // Checked to the end before the first line goes out.
    let head = verify_log(&path, &[])?;
    let mut log = std::fs::File::open(&path)?;
    io::copy(&mut log, out)?;
    Ok(head.seq)
}
