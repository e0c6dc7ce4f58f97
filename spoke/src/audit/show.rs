//! Reading the log: filters, a table for the terminal, JSON lines and CSV.

use chrono::{DateTime, Utc};
use runtime::audit::{self, AuditError, Entry};
use serde_json::Value;
use std::{fmt::Write, path::Path};

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// of this project
    pub project: Option<String>,
    /// of this person
    pub user: Option<String>,
    /// not older
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| text(&entry.event, field) == wanted)
        };
        is("project", &self.project) && is("user", &self.user) && self.since.is_none_or(|since| entry.at >= since)
    }
}

/// The entries that the filter takes, each checked against the one before it.
///
/// # Errors
/// When the log can't be read, or at the first line that was changed.
pub fn entries(path: &Path, filter: &Filter) -> Result<Vec<Entry>, AuditError> {
    let mut taken = Vec::new();
    for item in audit::read(path)? {
        let (entry, _) = item?;
        if filter.takes(&entry) {
            taken.push(entry);
        }
    }
    Ok(taken)
}

/// A field as text; nothing when it is missing.
fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn number(event: &Value, field: &str) -> String {
    event.get(field).and_then(Value::as_u64).map(|n| n.to_string()).unwrap_or_default()
}

/// One line for the terminal.
#[must_use]
pub fn line(entry: &Entry) -> String {
    let event = &entry.event;
    let at = entry.at.format("%Y-%m-%d %H:%M:%S");
    let kind = match (text(event, "event"), text(event, "stage")) {
        ("scan", stage) => stage,
        (other, _) => other,
    };
    let mut out = format!("{:>6}  {at}  {kind:<15}", entry.seq);
    for field in ["project", "user"] {
        let _ = write!(out, " {:<18}", text(event, field));
    }
    for (field, unit) in
        [("rows", "rows"), ("bytes", "bytes"), ("ms", "ms"), ("added", "added"), ("removed", "removed")]
    {
        let value = number(event, field);
        if !value.is_empty() {
            let _ = write!(out, " {value} {unit}");
        }
    }
    for field in ["outcome", "sql", "reason", "approver", "name", "kind"] {
        let value = text(event, field);
        if !value.is_empty() {
            let _ = write!(out, " {}", printable(value));
        }
    }
    out
}

/// Nothing that a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Columns of the CSV form.
const COLUMNS: [&str; 17] = [
    "event", "stage", "query", "project", "user", "issuer", "permit", "purpose", "zone", "rows", "bytes", "ms",
    "outcome", "part", "approver", "reason", "sql",
];

/// The CSV form's first line.
#[must_use]
pub fn csv_header() -> String {
    format!("seq,at,{}", COLUMNS.join(","))
}

/// An entry as a line of CSV (RFC 4180).
#[must_use]
pub fn csv(entry: &Entry) -> String {
    let mut out = format!("{},{}", entry.seq, entry.at.to_rfc3339());
    for column in COLUMNS {
        let value = match entry.event.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        out.push(',');
        out.push_str(&quoted(&value));
    }
    out
}

/// Quoted where needed; a spreadsheet shall not take a text for a formula.
fn quoted(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if formula { format!("'{value}") } else { value.to_owned() };
    if value.contains([',', '"', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}
