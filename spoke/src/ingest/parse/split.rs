//! Cutting text at row ends, so that pieces can be parsed on their own.
//!
//! INVARIANT: memory does not grow with the length of a field or row: past their limits the file is refused.

/// Longest field.
pub(super) const MAX_FIELD: usize = 1 << 20;
/// Longest row.
pub(super) const MAX_ROW: usize = 16 << 20;

/// Why a text can't be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    LongField { line: u64 },
    LongRow { line: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    FieldStart,
    Field,
    Quoted,
    /// after a quote in a quoted field: its end, or the first of two
    QuoteInQuoted,
}

/// Follows quotes the way `csv-core` does and remembers the last row end.
#[derive(Debug, Clone)]
pub(super) struct Splitter {
    class: [u8; 256],
    at: At,
    /// scanned so far, in the caller's buffer
    position: usize,
    /// line at `position`, from 1
    line: u64,
    field: usize,
    field_line: u64,
    row: usize,
    row_line: u64,
    after_return: bool,
    /// where the last complete row ends, and the line that starts there
    cut: usize,
    cut_line: u64,
}

const ORDINARY: u8 = 0;
const DELIMITER: u8 = 1;
const QUOTE: u8 = 2;
const RETURN: u8 = 3;
const NEWLINE: u8 = 4;

impl Splitter {
    /// For text that starts a row at `line`.
    pub(super) fn new(delimiters: &[u8], quote: Option<u8>, line: u64) -> Self {
        let mut class = [ORDINARY; 256];
        let mut set = |byte: u8, to: u8| {
            if let Some(class) = class.get_mut(usize::from(byte)) {
                *class = to;
            }
        };
        for delimiter in delimiters {
            set(*delimiter, DELIMITER);
        }
        if let Some(quote) = quote {
            set(quote, QUOTE);
        }
        set(b'\r', RETURN);
        set(b'\n', NEWLINE);
        Self {
            class,
            at: At::FieldStart,
            position: 0,
            line,
            field: 0,
            field_line: line,
            row: 0,
            row_line: line,
            after_return: false,
            cut: 0,
            cut_line: line,
        }
    }

    /// Scans what is new in `buffer`; with `first`, stops after the first row that is not empty.
    pub(super) fn scan(&mut self, buffer: &[u8], first: bool) -> Result<(), Fault> {
        let mut position = self.position;
        while let Some(byte) = buffer.get(position) {
            let class = self.class.get(usize::from(*byte)).copied().unwrap_or(ORDINARY);
            if class == ORDINARY && !self.after_return {
                // nearly every byte
                if matches!(self.at, At::FieldStart | At::QuoteInQuoted) {
                    self.at = At::Field;
                }
                position += 1;
                continue;
            }
            if self.after_return {
                // A lone carriage return ends a row as well; one before a newline is part of it.
                self.after_return = false;
                if class != NEWLINE && self.at == At::Quoted {
                    self.line += 1;
                } else if class != NEWLINE {
                    self.line += 1;
                    self.end_row(position);
                    if first && self.cut > self.first_content(buffer) {
                        break;
                    }
                    continue;
                }
            }
            match (class, self.at) {
                (DELIMITER, At::FieldStart | At::Field | At::QuoteInQuoted) => {
                    self.check_field(position)?;
                    self.at = At::FieldStart;
                    self.field = position + 1;
                    self.field_line = self.line;
                }
                (QUOTE, At::FieldStart | At::QuoteInQuoted) => self.at = At::Quoted,
                (QUOTE, At::Quoted) => self.at = At::QuoteInQuoted,
                (RETURN, At::FieldStart | At::Field | At::QuoteInQuoted) => {
                    self.check_field(position)?;
                    self.at = At::FieldStart;
                    self.after_return = true;
                }
                (RETURN, At::Quoted) => self.after_return = true,
                (NEWLINE, At::Quoted) => self.line += 1,
                (NEWLINE, _) => {
                    self.check_field(position)?;
                    self.line += 1;
                    self.end_row(position + 1);
                    if first && self.cut > self.first_content(buffer) {
                        position += 1;
                        break;
                    }
                }
                _ => {}
            }
            position += 1;
        }
        self.position = position;
        self.check_field(position)?;
        if position - self.row > MAX_ROW {
            return Err(Fault::LongRow { line: self.row_line });
        }
        Ok(())
    }

    /// Position of the first byte that belongs to no empty line.
    fn first_content(&self, buffer: &[u8]) -> usize {
        buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(usize::MAX)
    }

    fn check_field(&self, position: usize) -> Result<(), Fault> {
        // Two quotes around the field are not part of it.
        if position.saturating_sub(self.field) > MAX_FIELD + 2 {
            return Err(Fault::LongField { line: self.field_line });
        }
        if position - self.row > MAX_ROW {
            return Err(Fault::LongRow { line: self.row_line });
        }
        Ok(())
    }

    fn end_row(&mut self, end: usize) {
        self.at = At::FieldStart;
        self.cut = end;
        self.cut_line = self.line;
        self.row = end;
        self.row_line = self.line;
        self.field = end;
        self.field_line = self.line;
    }

    /// Length of the complete rows scanned so far, and the line after them.
    pub(super) fn complete(&self) -> (usize, u64) {
        (self.cut, self.cut_line)
    }

    /// Tells that the first `count` bytes of the buffer were taken away.
    pub(super) fn taken(&mut self, count: usize) {
        self.position = self.position.saturating_sub(count);
        self.field = self.field.saturating_sub(count);
        self.row = self.row.saturating_sub(count);
        self.cut = self.cut.saturating_sub(count);
    }

    /// At the end of the file: the line of the row whose quoted field is still open, if there is one.
    pub(super) fn open_quote(&self) -> Option<u64> {
        (self.at == At::Quoted).then_some(self.row_line)
    }
}

/// Line ends in a piece of text; a lone carriage return is one.
pub(super) fn line_ends(text: &[u8]) -> u64 {
    let mut count = 0;
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte == b'\n' || (*byte == b'\r' && bytes.peek().is_some_and(|next| **next != b'\n')) {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> (usize, u64) {
        let mut splitter = Splitter::new(b";", Some(b'"'), 1);
        splitter.scan(text.as_bytes(), false).unwrap();
        splitter.complete()
    }

    #[test]
    fn rows_end_outside_quotes_only() {
        assert_eq!(complete("a;b\nc;d"), (4, 2));
        assert_eq!(complete("a;\"b\nc\";d\ne"), (10, 3));
        assert_eq!(complete("a;\"b\"\"\n\"\nx"), (9, 3));
        assert_eq!(complete("5\" pipe;b\nc"), (10, 2), "a quote inside a plain field is a character");
        assert_eq!(complete("a;b\r\nc\r\n"), (8, 3));
        assert_eq!(complete("a;b\rc;d\re"), (8, 3));
    }

    #[test]
    fn an_open_quote_is_found_at_its_row() {
        let mut splitter = Splitter::new(b";", Some(b'"'), 1);
        splitter.scan(b"a;b\nc;\"d\ne\n", false).unwrap();
        assert_eq!(splitter.open_quote(), Some(2));
    }

    #[test]
    fn long_fields_and_rows_are_refused_where_they_start() {
        let mut splitter = Splitter::new(b";", Some(b'"'), 1);
        let mut text = b"a;b\nc;\"".to_vec();
        text.resize(MAX_FIELD + 100, b'x');
        assert_eq!(splitter.scan(&text, false), Err(Fault::LongField { line: 2 }));
        let mut splitter = Splitter::new(b";", Some(b'"'), 1);
        assert_eq!(splitter.scan(&vec![b';'; MAX_ROW + 2], false), Err(Fault::LongRow { line: 1 }));
    }

    proptest! {
        /// However the text arrives, and whatever it is, the cuts are where csv-core ends rows.
        #[test]
        fn cuts_are_row_ends_of_csv_core(text in "[ab;\"\r\n]{0,60}", step in 1_usize..7) {
            let bytes = text.as_bytes();
            let mut splitter = Splitter::new(b";", Some(b'"'), 1);
            let mut end = 0;
            while end < bytes.len() {
                end = (end + step).min(bytes.len());
                splitter.scan(&bytes[..end], false).unwrap();
            }
            let (cut, line) = splitter.complete();
            prop_assert_eq!(line, 1 + line_ends(&bytes[..cut]) + u64::from(cut > 0 && bytes[cut - 1] == b'\r'));
            let whole = records(bytes);
            let mut parts = records(&bytes[..cut]);
            parts.extend(records(&bytes[cut..]));
            prop_assert_eq!(whole, parts);
        }
    }

    fn records(text: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv_core::ReaderBuilder::new().delimiter(b';').build();
        let (mut out, mut ends) = (vec![0; 256], vec![0; 64]);
        let mut all = Vec::new();
        let mut rest = text;
        let (mut written, mut fields) = (0, 0);
        // csv-core says InputEmpty in the middle of a row, and ends it when it is then given nothing.
        loop {
            let (result, read, wrote, ended) = reader.read_record(rest, &mut out[written..], &mut ends[fields..]);
            rest = &rest[read..];
            written += wrote;
            fields += ended;
            match result {
                csv_core::ReadRecordResult::Record => {
                    let mut start = 0;
                    let row = ends[..fields].iter().map(|end| {
                        let field = String::from_utf8_lossy(&out[start..*end]).into_owned();
                        start = *end;
                        field
                    });
                    all.push(row.collect());
                    (written, fields) = (0, 0);
                }
                csv_core::ReadRecordResult::End => return all,
                csv_core::ReadRecordResult::InputEmpty => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
