//! What a spoke says, as it may be passed on to people and logs.
//!
//! INVARIANT: no character of it drives a terminal, begins a line or turns the reading direction, and it is short.

use proto::refusal::Refusal;
use tonic::Status;

/// Characters of a spoke's message that are passed on.
const MOST: usize = 600;

/// A spoke's refusal, with a message of one short line.
pub(crate) fn quoted(status: &Status) -> Refusal {
    let mut refusal = Refusal::from(status.clone());
    let mut characters = refusal.message.chars().map(|c| if shown(c) { c } else { ' ' });
    let mut message: String = characters.by_ref().take(MOST).collect();
    if characters.next().is_some() {
        message.push_str(" ..");
    }
    refusal.message = message;
    refusal
}

/// Neither a control character, nor one that separates lines or turns the direction of what follows.
fn shown(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::refusal::Kind;

    #[test]
    fn a_spokes_text_is_one_short_line() {
        let said = |text: &str| quoted(&Refusal::new(Kind::Invalid, text).into()).message;
        assert_eq!(said("division by zero; see øre"), "division by zero; see øre");
        assert_eq!(said("a\r\nb\u{1b}[2J\u{202e}c\u{2028}d"), "a  b [2J c d");
        let long = said(&"x".repeat(100_000));
        assert_eq!((long.len(), long.ends_with("x ..")), (MOST + 3, true));
    }
}
