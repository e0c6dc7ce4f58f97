//! The spans of a trace: their names and all that they may say, in one table.
//!
//! INVARIANT: what a span says is a number, or a word of a closed list or a controller's id: no value of the data, no
//! constant of a statement, no token, no user, no count of people. Whatever else somebody writes into a span doesn't leave
//! the process ([`fits`], asked at the last step before the network).

/// Spans with this target are traced; nothing else is.
pub const TARGET: &str = "eger::trace";

/// A span: its name, what it may say, what it is. docs/operate.md lists the same.
pub type Row = (&'static str, &'static [&'static str], &'static str);

/// All spans.
pub const SPANS: &[Row] = &[
    ("receive", &["call", "outcome"], "hub: a call about a statement, from its arrival to its answer's last row"),
    ("identify", &[], "hub: verifying the caller's access token"),
    ("queue", &[], "hub: waiting for a place among the running statements"),
    ("plan", &[], "hub: from the statement's text to a plan, asking the spokes what they offer"),
    (
        "dispatch",
        &["controller", "keys", "outcome"],
        "hub: one fragment at one spoke, from waiting for its key lists to its last row",
    ),
    ("gather", &["controller", "rows", "bytes"], "hub: taking the rows of one spoke in"),
    ("release", &["rows"], "hub: the answer on its way out"),
    ("question", &["outcome"], "spoke: one fragment, from its arrival to its last row"),
    ("admit", &[], "spoke: permit, user, views; waiting for a place among the running questions"),
    ("scan", &[], "spoke: planning the reads of what was admitted"),
    ("reply", &["rows", "bytes"], "spoke: rows on their way to the hub"),
];

/// The longest text that a span says.
const MAX_TEXT: usize = 64;

/// Whether `attribute` may stand in the span `name`.
#[must_use]
pub fn allowed(name: &str, attribute: &str) -> bool {
    SPANS.iter().any(|(known, attributes, _)| *known == name && attributes.contains(&attribute))
}

/// Whether a text looks like a controller's id or a word of ours: short, and no digits but in a name.
#[must_use]
pub fn fits(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" -_,".contains(&b))
}

/// How many, as traces and metrics say it: up to 1,000, or the next power of two, so that no small number of people shows.
#[must_use]
pub fn coarse(n: u64) -> u64 {
    if n <= 1_000 { 1_000 } else { n.checked_next_power_of_two().unwrap_or(u64::MAX) }
}

/// A number of rows or bytes for a span: exact in the enclave, coarse elsewhere.
#[must_use]
pub fn shown(n: u64, exact: bool) -> u64 {
    if exact { n } else { coarse(n) }
}

/// The same as a span's number.
#[must_use]
pub fn number(n: u64, exact: bool) -> i64 {
    i64::try_from(shown(n, exact)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_look_alike() {
        assert_eq!((coarse(0), coarse(3), coarse(1_000)), (1_000, 1_000, 1_000));
        assert_eq!((coarse(1_001), coarse(1_024), coarse(5_000)), (1_024, 1_024, 8_192));
        assert_eq!(coarse(u64::MAX), u64::MAX);
        assert_eq!((shown(3, true), shown(3, false)), (3, 1_000));
    }

    #[test]
    fn the_operators_document_lists_every_span() {
        let text = include_str!("../../../../docs/operate.md");
        let table = text.lines().skip_while(|line| !line.starts_with("| span |")).skip(2);
        let listed: Vec<String> = table.take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
        let known: Vec<String> =
            SPANS.iter().map(|(name, said, what)| format!("| `{name}` | {} | {what} |", said.join(", "))).collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn only_what_is_listed_fits() {
        assert!(allowed("gather", "rows") && !allowed("gather", "user") && !allowed("other", "rows"));
        assert!(fits("region-h") && fits("too large"));
        assert!(!fits("anna@example.org") && !fits("0101701234 = 'X'") && !fits(&"a".repeat(65)));
    }
}
