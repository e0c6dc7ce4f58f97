//! What can be wrong with a source. Every message names the file and, where there is one, the line.

/// Why a source can't be read. Rows that merely do not fit their declaration are rejected one by one instead.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// `source.path` leads nowhere.
    #[error("source.path = \"{path}\": {message}")]
    Path {
        /// as declared
        path: String,
        /// what is wrong
        message: String,
    },
    /// A file can't be opened or read.
    #[error("{file}: can't be read: {message}. Check the path and who may read it")]
    Unreadable {
        /// the file
        file: String,
        /// what the system said
        message: String,
    },
    /// A file changed while it was read.
    #[error("{file}: changed while it was read. Wait until whoever writes it is done")]
    Changed {
        /// the file
        file: String,
    },
    /// A file has nothing in it, not even a header.
    #[error("{file}: is empty, without even a header line. Was it copied completely?")]
    Empty {
        /// the file
        file: String,
    },
    /// A file is in UTF-16.
    #[error("{file}: is written in UTF-16. Save it as UTF-8 (in Excel: \"CSV UTF-8\")")]
    Utf16 {
        /// the file
        file: String,
    },
    /// A file looks like another kind of file.
    #[error("{file}: is {found}, not {expected}. {advice}")]
    Kind {
        /// the file
        file: String,
        /// what it is
        found: &'static str,
        /// what was declared
        expected: &'static str,
        /// what to do
        advice: &'static str,
    },
    /// A byte that the declared encoding does not have.
    #[error("{file}, line {line}: byte 0x{byte:02X} does not exist in {encoding}. {advice}")]
    Encoding {
        /// the file
        file: String,
        /// from 1
        line: u64,
        /// the byte
        byte: u8,
        /// the encoding
        encoding: &'static str,
        /// what to do
        advice: &'static str,
    },
    /// A field is longer than any field may be.
    #[error(
        "{file}, line {line}: a field is longer than 1 MiB. Is a quote opened there and never closed, or is the delimiter another one?"
    )]
    LongField {
        /// the file
        file: String,
        /// line where the field starts, from 1
        line: u64,
    },
    /// A row is longer than any row may be.
    #[error("{file}, line {line}: a row is longer than 16 MiB. Is the file text with line ends?")]
    LongRow {
        /// the file
        file: String,
        /// line where the row starts, from 1
        line: u64,
    },
    /// The file ends inside a quoted field.
    #[error(
        "{file}, line {line}: a quote is opened there and the file ends before it is closed. Was the file copied completely?"
    )]
    OpenQuote {
        /// the file
        file: String,
        /// line where the row with the quote starts, from 1
        line: u64,
    },
    /// The file ends in the middle of a row.
    #[error(
        "{file}, line {line}: the file ends in the middle of a row ({found} of {expected} fields, no line end). Was it copied completely?"
    )]
    Truncated {
        /// the file
        file: String,
        /// from 1
        line: u64,
        /// fields in the last row
        found: usize,
        /// fields in the header
        expected: usize,
    },
    /// Two columns of the header have the same name.
    #[error("{file}, line 1: column '{column}' stands twice in the header. Rename one of them at the source")]
    DuplicateHeader {
        /// the file
        file: String,
        /// the column
        column: String,
    },
    /// A declared column is not in the header.
    #[error("{file}, line 1: column '{column}' is declared but not in the header ({header}). {advice}")]
    MissingColumn {
        /// the file
        file: String,
        /// the column
        column: String,
        /// what the header has
        header: String,
        /// what to do
        advice: String,
    },
    /// A file without header has another number of columns than declared.
    #[error(
        "{file}, line 1: has {found} fields where {expected} columns are declared. With header = false every column must be declared, in order; is the delimiter right?"
    )]
    ColumnCount {
        /// the file
        file: String,
        /// fields in the first line
        found: usize,
        /// declared columns
        expected: usize,
    },
    /// The delimiter can't be found out.
    #[error(
        "{file}, line 1: none of ; , tab | separates the declared columns. Write source.delimiter, or check the columns' source names"
    )]
    NoDelimiter {
        /// the file
        file: String,
    },
    /// A Parquet file can't be read as such.
    #[error("{file}: can't be read as Parquet: {message}. Was it copied completely?")]
    Parquet {
        /// the file
        file: String,
        /// what the reader said
        message: String,
    },
    /// A Parquet column has a type that does not become the declared one.
    #[error("{file}: column '{column}' has type {found}, which can't become the declared {expected}")]
    Type {
        /// the file
        file: String,
        /// the column
        column: String,
        /// type in the file
        found: String,
        /// declared type
        expected: String,
    },
}
