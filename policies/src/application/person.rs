//! Recognises what looks like a Danish person number, to keep them out of applications.

/// Whether a text holds something of the form DDMMYYSSSS or DDMMYY-SSSS that could be a person number (administrative
/// numbers, with 60 added to the day, too). Modulus 11 says nothing: it fails for numbers issued since 2007.
#[must_use]
pub fn looks_like_person_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|start| starts_here(bytes, start))
}

fn starts_here(bytes: &[u8], start: usize) -> bool {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if start > 0 && digit(start - 1) {
        return false;
    }
    if !(start..start + 6).all(digit) {
        return false;
    }
    let serial = match bytes.get(start + 6) {
        Some(b'-' | b' ') => start + 7,
        _ => start + 6,
    };
    if !(serial..serial + 4).all(digit) || digit(serial + 4) {
        return false;
    }
    let two = |at: usize| match (bytes.get(at), bytes.get(at + 1)) {
        (Some(tens), Some(ones)) => (tens - b'0') * 10 + (ones - b'0'),
        _ => 0,
    };
    let (day, month) = (two(start), two(start + 2));
    (matches!(day, 1..=31) || matches!(day, 61..=91)) && matches!(month, 1..=12)
}

#[cfg(test)]
mod tests {
    use super::looks_like_person_number;

    #[test]
    fn person_numbers_are_recognised_and_other_numbers_are_not() {
        for yes in ["0101011234", "see 010101-1234.", "x 310199 9999", "6101011234", "a0101011234b"] {
            assert!(looks_like_person_number(yes), "{yes}");
        }
        for no in [
            "",
            "2026-01-31",
            "0000042",
            "DUO:0000042",
            "12345678901",
            "9901011234",
            "0113011234",
            "01010112",
            "+45 12 34 56 78",
        ] {
            assert!(!looks_like_person_number(no), "{no}");
        }
    }
}
