//! Which rows of a piece can be in a list of keys, by the bounds of row groups and pages.
//!
//! Files are sorted by S: a list of a thousand people is in a few pages of each file, and the rest is not read. Bounds may
//! promise more than is there, never less; the condition itself is evaluated on what is read.

use super::pieces::Piece;
use parquet::{
    arrow::arrow_reader::{RowSelection, RowSelector},
    file::{metadata::ParquetMetaData, page_index::column_index::ColumnIndexMetaData},
};
use proto::plan::keys::Keys;

/// Where keys of a list can be.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// nothing is known, or all of it
    Everywhere,
    /// in no row of the piece
    Nowhere,
    /// in these rows of the whole row group, within the piece
    In(RowSelection),
}

/// The rows of a piece that can be in `list`, by column `column` of the file.
pub(crate) fn rows(footer: &ParquetMetaData, piece: Piece, column: usize, list: &Keys) -> Found {
    let Some(keys) = list.sorted_ids() else { return Found::Everywhere };
    if keys.is_empty() {
        return Found::Nowhere;
    }
    let Some(chunk) = footer.row_groups().get(piece.group).and_then(|group| group.columns().get(column)) else {
        return Found::Everywhere;
    };
    if let Some(statistics) = chunk.statistics()
        && let (Some(low), Some(high)) = (statistics.min_bytes_opt(), statistics.max_bytes_opt())
        && !any(keys, low, high)
    {
        return Found::Nowhere;
    }
    pages(footer, piece, column, keys).unwrap_or(Found::Everywhere)
}

fn pages(footer: &ParquetMetaData, piece: Piece, column: usize, keys: &[u128]) -> Option<Found> {
    let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(bounds) = footer.column_index()?.get(piece.group)?.get(column)?
    else {
        return None;
    };
    let pages = footer.offset_index()?.get(piece.group)?.get(column)?.page_locations();
    if u64::try_from(pages.len()).ok()? != bounds.num_pages() {
        return None;
    }
    let all = usize::try_from(footer.row_groups().get(piece.group)?.num_rows()).ok()?;
    let (from, to) = (piece.start, piece.start + piece.rows);
    let mut selectors = vec![RowSelector::skip(from)];
    let mut found = false;
    for (page, location) in pages.iter().enumerate() {
        let first = usize::try_from(location.first_row_index).ok()?;
        let next = match pages.get(page + 1) {
            Some(next) => usize::try_from(next.first_row_index).ok()?,
            None => all,
        };
        let (start, end) = (first.max(from), next.min(to));
        if start >= end {
            continue;
        }
        let wanted = match (bounds.min_value(page), bounds.max_value(page)) {
            (Some(low), Some(high)) => any(keys, low, high),
            // a page of nothing but NULL
            _ => false,
        };
        found |= wanted;
        let rows = end - start;
        selectors.push(if wanted { RowSelector::select(rows) } else { RowSelector::skip(rows) });
    }
    selectors.push(RowSelector::skip(all.checked_sub(to)?));
    Some(if found { Found::In(RowSelection::from(selectors)) } else { Found::Nowhere })
}

/// Whether a key lies between two bounds. Bounds may be cut short: a low one is then still lower, a high one was raised.
fn any(keys: &[u128], low: &[u8], high: &[u8]) -> bool {
    let bound = |bytes: &[u8], rest: u8| {
        let mut whole = [rest; 16];
        let length = bytes.len().min(16);
        if let (Some(to), Some(from)) = (whole.get_mut(..length), bytes.get(..length)) {
            to.copy_from_slice(from);
        }
        u128::from_be_bytes(whole)
    };
    let (low, high) = (bound(low, 0), bound(high, 0xff));
    let first = keys.partition_point(|key| *key < low);
    keys.get(first).is_some_and(|key| *key <= high)
}
