//! Tables as text.

use super::table::{Table, Unreadable};

/// Separators that are tried, in this order.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// What separates the columns, when the text is a table: at least two columns, at least one row, as many cells in each.
pub(in crate::airlock) fn separator(text: &str) -> Option<u8> {
    SEPARATORS.into_iter().find(|separator| {
        let mut reader = ::csv::ReaderBuilder::new().delimiter(*separator).from_reader(text.as_bytes());
        let wide = reader.headers().is_ok_and(|head| head.len() >= 2);
        let mut rows = 0;
        wide && reader.records().all(|row| {
            rows += 1;
            row.is_ok()
        }) && rows > 0
    })
}

/// The table. An empty cell is a missing one.
pub(super) fn read(bytes: &[u8]) -> Result<Table, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Form)?;
    let text = text.trim_start_matches('\u{feff}');
    let separator = separator(text).ok_or(Unreadable::Form)?;
    let mut reader = ::csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|_| Unreadable::Form)?.iter().map(|name| name.trim().to_owned()).collect();
    let mut table = Table::new(columns)?;
    for row in reader.records() {
        let row = row.map_err(|_| Unreadable::Form)?;
        table.push(row.iter().map(|cell| (!cell.trim().is_empty()).then(|| cell.trim().to_owned())).collect())?;
    }
    Ok(table)
}
