//! Person numbers and pseudonyms, wherever they stand.

use super::{Finding, Rule, Table, Weight};
use policies::application::looks_like_person_number;

const PERSON: &str = "looks like a person number; remove it";
const PSEUDONYM: &str = "looks like a pseudonym; remove it";

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
        let words = || line.split(|c: char| !(c.is_ascii_alphanumeric() || "-+/=_".contains(c)));
        let seen =
            if looks_like_person_number(line) { Some((Rule::PersonNumber, PERSON)) } else { words().find_map(look) };
        let Some((rule, message)) = seen else { continue };
        let weight = if rule == Rule::Pseudonym { pseudonym } else { Some(Weight::Refused) };
        found.extend(weight.map(|weight| Finding { row: Some(row + 1), ..Finding::new(rule, weight, message) }));
    }
}

fn look(text: &str) -> Option<(Rule, &'static str)> {
    if looks_like_person_number(text) {
        return Some((Rule::PersonNumber, PERSON));
    }
    is_pseudonym(text).then_some((Rule::Pseudonym, PSEUDONYM))
}

/// Sixteen bytes as programs write them: hex, a UUID, base64 with or without its end.
fn is_pseudonym(text: &str) -> bool {
    let text = text.trim();
    let bare: String = text.strip_prefix("0x").unwrap_or(text).chars().filter(|c| *c != '-').collect();
    if bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return true;
    }
    let body = text.trim_end_matches('=');
    // A word has letters of one size, and no digits; random bytes have all three.
    let mixed = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    body.len() == 22
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b))
        && mixed.iter().all(|kind| body.as_bytes().iter().any(kind))
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
        ] {
            assert!(is_pseudonym(yes), "{yes}");
        }
        for no in ["", "A10BA02", "pneumonoultramicroscop", "2026-01-31 12:00:00.000", "12345678901234567890123"] {
            assert!(!is_pseudonym(no), "{no}");
        }
    }
}
