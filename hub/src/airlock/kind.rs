//! What a file is, by what is in it. A name says nothing: it only must not say anything else.

use super::check::{csv, svg};
use policies::airlock::FileName;
use std::fmt;

/// Kinds of files that may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// a table, separated by commas, semicolons or tabs
    Csv,
    /// a table
    Parquet,
    /// a table: a list of records
    Json,
    /// a figure
    Png,
    /// a figure
    Svg,
    /// for people
    Pdf,
    /// for people
    Text,
    /// for people
    Notebook,
}

impl Kind {
    const ALL: [Self; 8] =
        [Self::Csv, Self::Parquet, Self::Json, Self::Png, Self::Svg, Self::Pdf, Self::Text, Self::Notebook];

    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Json => "json",
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Text => "text",
            Self::Notebook => "notebook",
        }
    }

    /// The one with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its media type.
    #[must_use]
    pub fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Json => "application/json",
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::Pdf => "application/pdf",
            Self::Text => "text/plain",
            Self::Notebook => "application/x-ipynb+json",
        }
    }

    /// Ends of names that programs open as this kind.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["csv", "tsv", "txt"],
            Self::Parquet => &["parquet"],
            Self::Json => &["json"],
            Self::Png => &["png"],
            Self::Svg => &["svg"],
            Self::Pdf => &["pdf"],
            Self::Text => &["txt", "md", "log"],
            Self::Notebook => &["ipynb"],
        }
    }

    /// Whether it is a table.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Parquet | Self::Json)
    }

    /// Whether it is a figure.
    #[must_use]
    pub fn is_figure(self) -> bool {
        matches!(self, Self::Png | Self::Svg)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a file is of no kind that may leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKind {
    /// Bytes of nothing that is known here.
    #[error("is none of CSV, Parquet, JSON, PNG, SVG, PDF, plain text (UTF-8) or notebook: save it as one of these")]
    Unknown,
    /// A program would take it for something else.
    #[error("is {kind} by what is in it, and its name says otherwise: end the name with {endings}")]
    Name {
        /// what it is
        kind: Kind,
        /// how its name may end
        endings: String,
    },
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What the bytes are.
///
/// # Errors
/// When they are of no kind that may leave, or the name says that they are of another.
pub(super) fn recognise(name: &FileName, bytes: &[u8]) -> Result<Kind, NoKind> {
    let kind = by_content(bytes).ok_or(NoKind::Unknown)?;
    let ending = name.as_str().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    if ending.is_some_and(|ending| kind.endings().contains(&ending.as_str())) {
        return Ok(kind);
    }
    let endings: Vec<String> = kind.endings().iter().map(|ending| format!(".{ending}")).collect();
    Err(NoKind::Name { kind, endings: endings.join(" or ") })
}

fn by_content(bytes: &[u8]) -> Option<Kind> {
    if bytes.starts_with(PNG) {
        return Some(Kind::Png);
    }
    if bytes.starts_with(b"%PDF-") {
        return Some(Kind::Pdf);
    }
    if bytes.len() > 12 && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1") {
        return Some(Kind::Parquet);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return None;
    }
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    if begin.starts_with('<') {
        // Other markup runs in a browser.
        return svg::is_svg(text).then_some(Kind::Svg);
    }
    if begin.starts_with(['{', '[']) {
        return match serde_json::from_str::<serde_json::Value>(begin) {
            Ok(value) if value.get("nbformat").is_some() && value.get("cells").is_some() => Some(Kind::Notebook),
            Ok(_) => Some(Kind::Json),
            Err(_) => Some(Kind::Text),
        };
    }
    if csv::separator(text).is_some() { Some(Kind::Csv) } else { (!begin.is_empty()).then_some(Kind::Text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn content_decides_and_a_name_may_not_contradict() {
        let of = |name: &str, bytes: &[u8]| recognise(&name.parse().unwrap(), bytes);
        assert_eq!(of("a.csv", b"kom,n\n101,12\n"), Ok(Kind::Csv));
        assert_eq!(of("a.tsv", b"kom\tn\n101\t12\n"), Ok(Kind::Csv));
        // A table stays one when it is called a text.
        assert_eq!(of("a.txt", b"kom;n\n101;12\n"), Ok(Kind::Csv));
        assert_eq!(of("a.txt", b"We found nothing.\n"), Ok(Kind::Text));
        assert_eq!(of("a.json", b" [{\"n\": 12}]"), Ok(Kind::Json));
        assert_eq!(of("a.ipynb", b"{\"nbformat\": 4, \"cells\": []}"), Ok(Kind::Notebook));
        assert_eq!(of("a.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), Ok(Kind::Svg));
        assert_eq!(of("a.pdf", b"%PDF-1.7\n"), Ok(Kind::Pdf));
        assert!(matches!(of("a.csv", b"%PDF-1.7\n"), Err(NoKind::Name { kind: Kind::Pdf, .. })));
        assert!(matches!(of("a.svg", b"kom,n\n101,12\n"), Err(NoKind::Name { kind: Kind::Csv, .. })));
        assert!(matches!(of("table", b"kom,n\n101,12\n"), Err(NoKind::Name { .. })));
        for unknown in [&b"<html><script>1</script></html>"[..], b"\x7fELF", b"PK\x03\x04", b"", b"a\0b", b"\xff\xfe"] {
            assert_eq!(of("a.txt", unknown), Err(NoKind::Unknown), "{unknown:?}");
        }
    }
}
