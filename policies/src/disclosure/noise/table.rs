//! The published table, read from its file when the program is compiled: what is published is what is used.

use super::{KEYS, ROWS, TABLE};

/// The noise of each key, by people above the threshold.
pub(super) static PUBLISHED: [[i8; ROWS]; KEYS] = parse(TABLE);

/// Lines of a key and [`ROWS`] numbers, parted by commas. Lines that don't begin with a digit say what it is.
/// A file that isn't so doesn't compile.
const fn parse(text: &[u8]) -> [[i8; ROWS]; KEYS] {
    let mut table = [[0; ROWS]; KEYS];
    let (mut at, mut key) = (0, 0);
    while at < text.len() {
        if text[at].is_ascii_digit() {
            let (number, mut next) = integer(text, at);
            assert!(number == key as i64, "keys are 0 to 255, in order");
            let mut row = 0;
            while row < ROWS {
                assert!(text[next] == b',', "a comma before each number");
                let (noise, end) = integer(text, next + 1);
                assert!(noise >= -super::BOUND && noise <= super::BOUND, "noise within the bound");
                table[key][row] = noise as i8;
                (next, row) = (end, row + 1);
            }
            (at, key) = (next, key + 1);
        }
        while at < text.len() && text[at] != b'\n' {
            at += 1;
        }
        at += 1;
    }
    assert!(key == KEYS, "256 keys");
    table
}

const fn integer(text: &[u8], from: usize) -> (i64, usize) {
    let negative = text[from] == b'-';
    let start = if negative { from + 1 } else { from };
    let (mut at, mut value) = (start, 0);
    while at < text.len() && text[at].is_ascii_digit() {
        value = value * 10 + (text[at] - b'0') as i64;
        at += 1;
    }
    assert!(at > start, "a number");
    (if negative { -value } else { value }, at)
}
