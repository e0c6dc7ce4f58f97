//! The first line of a file: which delimiter it has, and which field goes to which column.

use super::{encoding::Letters, split::Splitter};
use crate::{
    declare::{Delimiter, Encoding, TableDecl},
    ingest::source::SourceError,
};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// How a file's rows are laid out.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// for each field, the declared column that takes it
    pub(super) fields: Vec<Option<usize>>,
    /// where the first row of data starts, and on which line
    pub(super) start: usize,
    pub(super) line: u64,
}

/// A parser of rows as this layout writes them.
pub(super) fn reader(delimiter: u8, quote: Option<u8>) -> Reader {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter);
    match quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    builder.build()
}

impl Layout {
    /// Finds the layout from the start of a file, which holds the whole first line.
    pub(super) fn find(decl: &TableDecl, file: &str, encoding: Encoding, text: &[u8]) -> Result<Self, SourceError> {
        let source = &decl.source;
        let quote = source.quote_byte();
        let candidates: &[u8] = match source.delimiter.byte() {
            Some(byte) => &[byte],
            None => &Delimiter::KNOWN,
        };
        let mut best: Option<(usize, usize, u8, usize, u64, Vec<String>)> = None;
        for delimiter in candidates {
            let mut splitter = Splitter::new(&[*delimiter], quote, 1);
            // Too long a first line is found again, and told, when the rows are cut.
            let _ = splitter.scan(text, true);
            let (end, line) = match splitter.complete() {
                (0, _) => (text.len(), 2),
                complete => complete,
            };
            let names = names(text.get(..end).unwrap_or_default(), *delimiter, quote, encoding);
            let fit = if source.header {
                decl.columns.iter().filter(|column| find(&names, &column.source).is_some()).count()
            } else {
                usize::from(names.len() == decl.columns.len())
            };
            let better = best.as_ref().is_none_or(|(most, width, ..)| (fit, names.len()) > (*most, *width));
            if better {
                best = Some((fit, names.len(), *delimiter, end, line, names));
            }
        }
        let Some((fit, _, delimiter, end, line, names)) = best else {
            return Err(SourceError::NoDelimiter { file: file.to_owned() });
        };
        if fit == 0 && source.delimiter == Delimiter::Auto {
            return Err(SourceError::NoDelimiter { file: file.to_owned() });
        }
        if !source.header {
            if names.len() != decl.columns.len() {
                return Err(SourceError::ColumnCount {
                    file: file.to_owned(),
                    found: names.len(),
                    expected: decl.columns.len(),
                });
            }
            let fields = (0..names.len()).map(Some).collect();
            return Ok(Self { delimiter, quote, fields, start: 0, line: 1 });
        }
        let fields = Self::fields(decl, file, delimiter, &names)?;
        Ok(Self { delimiter, quote, fields, start: end, line })
    }

    fn fields(
        decl: &TableDecl,
        file: &str,
        delimiter: u8,
        names: &[String],
    ) -> Result<Vec<Option<usize>>, SourceError> {
        for (at, name) in names.iter().enumerate() {
            let twice = names.iter().take(at).any(|other| other.eq_ignore_ascii_case(name));
            if !name.is_empty() && twice {
                return Err(SourceError::DuplicateHeader { file: file.to_owned(), column: name.clone() });
            }
        }
        let mut fields = vec![None; names.len()];
        for (index, column) in decl.columns.iter().enumerate() {
            let Some(at) = find(names, &column.source) else {
                return Err(missing(decl, file, delimiter, names, &column.source));
            };
            if let Some(field) = fields.get_mut(at) {
                *field = Some(index);
            }
        }
        Ok(fields)
    }
}

fn missing(decl: &TableDecl, file: &str, delimiter: u8, names: &[String], column: &str) -> SourceError {
    let other = Delimiter::KNOWN.into_iter().find(|other| {
        *other != delimiter
            && names
                .iter()
                .any(|name| name.split(char::from(*other)).any(|part| part.trim().eq_ignore_ascii_case(column)))
    });
    let advice = match other {
        Some(other) => format!(
            "The delimiter is declared as \"{}\" but seems to be \"{}\": correct source.delimiter, or write \"auto\"",
            Delimiter::name_of(delimiter),
            Delimiter::name_of(other)
        ),
        None => "Give the name in the header as source = \"...\" of the column".to_owned(),
    };
    // A header is no data, but a file without one shows its first row here: tell only how many fields there are
    // unless at least one declared column is among them.
    let known = decl.columns.iter().any(|column| find(names, &column.source).is_some());
    let header = if known {
        let mut header =
            names.iter().take(30).map(|name| name.chars().take(40).collect()).collect::<Vec<String>>().join(", ");
        if names.len() > 30 {
            header.push_str(", ...");
        }
        header
    } else {
        format!("{} fields, none of them declared", names.len())
    };
    SourceError::MissingColumn { file: file.to_owned(), column: column.to_owned(), header, advice }
}

fn find(names: &[String], wanted: &str) -> Option<usize> {
    let wanted = wanted.to_lowercase();
    names.iter().position(|name| name.to_lowercase() == wanted)
}

fn names(text: &[u8], delimiter: u8, quote: Option<u8>, encoding: Encoding) -> Vec<String> {
    let mut text = text.to_vec();
    // A header that can't be decoded is matched as it stands; the first row then says what is wrong.
    let _ = Letters::decide(encoding, &mut None, &text).to_utf8(&mut text);
    let mut reader = reader(delimiter, quote);
    let (mut out, mut ends) = (vec![0; text.len() + 16], vec![0; text.len() + 16]);
    let (mut written, mut fields, mut rest) = (0, 0, text.as_slice());
    while let (Some(to), Some(at)) = (out.get_mut(written..), ends.get_mut(fields..)) {
        let (result, read, wrote, ended) = reader.read_record(rest, to, at);
        rest = rest.get(read..).unwrap_or_default();
        written += wrote;
        fields += ended;
        if result != ReadRecordResult::InputEmpty {
            break;
        }
    }
    let mut start = 0;
    let ends = ends.get(..fields).unwrap_or_default();
    ends.iter()
        .map(|end| {
            let name = String::from_utf8_lossy(out.get(start..*end).unwrap_or_default()).trim().to_owned();
            start = *end;
            name
        })
        .collect()
}
