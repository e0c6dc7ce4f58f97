//! Person numbers and pseudonyms, wherever they stand.

use super::{Finding, Rule, Table, Weight};
use policies::application::looks_like_person_number;
use std::collections::BTreeSet;

const PERSON: &str = "looks like a person number; remove it";
const PSEUDONYM: &str = "looks like a pseudonym; remove it";
/// Digits of a UUID, between its dashes.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// In a table, cell by cell; and in its columns' names.
pub(super) fn cells(table: &Table, sums: &[String], found: &mut Vec<Finding>) {
    for name in &table.columns {
        if let Some((rule, message)) = look(name) {
            found.push(Finding::refuse(rule, format!("the name of a column {message}")));
        }
    }
    for (row, cells) in table.rows.iter().enumerate() {
        for (column, cell) in table.columns.iter().zip(cells) {
            let Some((rule, message)) = cell.as_deref().and_then(look) else { continue };
            // A sum may have as many digits by chance.
            let number = cell.as_deref().is_some_and(|cell| cell.parse::<f64>().is_ok());
            let weight = if sums.contains(column) && number { Weight::ForPeople } else { Weight::Refused };
            found.push(Finding::new(rule, weight, message).at(row, column));
        }
    }
}

/// In a text, line by line; `pseudonym` is what becomes of one, where other things look the same.
pub(super) fn lines(text: &str, pseudonym: Option<Weight>, found: &mut Vec<Finding>) {
    for (row, line) in text.lines().enumerate() {
        let Some((rule, message)) = look(line) else { continue };
        let weight = if rule == Rule::Pseudonym { pseudonym } else { Some(Weight::Refused) };
        found.extend(weight.map(|weight| Finding { row: Some(row + 1), ..Finding::new(rule, weight, message) }));
    }
}

/// In JSON as it is written, beside its cells: what a reader makes of it is one reading. Sums that are numbers are left to `cells`.
pub(super) fn json(text: &str, sums: &BTreeSet<u64>, found: &mut Vec<Finding>) {
    for (row, line) in text.lines().enumerate() {
        let tokens = line.split(['{', '}', '[', ']', ':', ',', '"']).map(str::trim);
        let said = tokens.filter(|token| !token.parse().is_ok_and(|sum: f64| sums.contains(&sum.to_bits())));
        let seen = said.filter_map(look).next();
        found.extend(seen.map(|(rule, message)| Finding { row: Some(row + 1), ..Finding::refuse(rule, message) }));
    }
}

/// The numbers of a table's sums, bit by bit.
pub(super) fn numbers(table: &Table, sums: &[String]) -> BTreeSet<u64> {
    let columns: Vec<usize> = sums.iter().filter_map(|name| table.at(name)).collect();
    let cells = (0..table.rows.len()).flat_map(|row| columns.iter().filter_map(move |at| table.cell(row, *at)));
    cells.filter_map(|cell| cell.parse::<f64>().ok()).map(f64::to_bits).collect()
}

/// Whether it has either in it.
pub(super) fn is_seen_in(text: &str) -> bool {
    look(text).is_some()
}

fn look(text: &str) -> Option<(Rule, &'static str)> {
    if looks_like_person_number(text) {
        return Some((Rule::PersonNumber, PERSON));
    }
    has_pseudonym(text).then_some((Rule::Pseudonym, PSEUDONYM))
}

/// Sixteen bytes as programs write them, beside whatever else: hex, a UUID, base64 with or without its end.
fn has_pseudonym(text: &str) -> bool {
    let mut runs = text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
    // Base64 has other signs in it than words have; `=` ends it, and stands before it in `key=..`.
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-+/_".contains(c)));
    runs.any(is_hex) || words.any(is_base64)
}

/// 32 digits and dashes anywhere between them, or so many beside other digits with a dash between.
fn is_hex(run: &str) -> bool {
    if run.len() < 32 {
        return false;
    }
    let parts: Vec<usize> = run.split('-').map(str::len).filter(|length| *length > 0).collect();
    parts.iter().sum::<usize>() == 32 || parts.contains(&32) || parts.windows(UUID.len()).any(|of| of == UUID)
}

fn is_base64(word: &str) -> bool {
    // A word has letters of one size, and no digits; random bytes have all three.
    let mixed = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    word.len() == 22 && mixed.iter().all(|kind| word.as_bytes().iter().any(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_known_by_their_shape() {
        for yes in [
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "0x5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "Z+VQRBCxQm+SR7toDl/gyA==",
            "Z-VQRBCxQm-SR7toDl_gy4",
            "id 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "of 2026-5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a.",
            "key=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "key_5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "2026-67e55044-10b1-426f-9247-bb680e5fe0c8",
            "key=Z+VQRBCxQm+SR7toDl/gyA==",
            "('Z-VQRBCxQm-SR7toDl_gy4')",
        ] {
            assert!(has_pseudonym(yes), "{yes}");
        }
        for no in [
            "",
            "A10BA02",
            "pneumonoultramicroscop",
            "2026-01-31 12:00:00.000",
            "12345678901234567890123",
            // Names of versions and files have other lengths.
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "-- -",
        ] {
            assert!(!has_pseudonym(no), "{no}");
        }
    }
}
