//! Conditions as they are typed: `sds.lmdb.atc starts A10 and dst.bef.kom in (101, 147)`.

use crate::count::{Condition, Operator, Scalar, Values};

/// All conditions of one argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conditions(pub(super) Vec<Condition>);

/// A word of the text; `quoted`: it stands in quotes and is no operator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, text: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(text)
    }
}

/// Reads the conditions of one argument.
pub(super) fn conditions(text: &str) -> Result<Conditions, String> {
    let mut words = words(text)?.into_iter().peekable();
    let mut all = Vec::new();
    loop {
        all.push(condition(&mut words)?);
        match words.next() {
            None => return Ok(Conditions(all)),
            Some(word) if word.is("and") => {}
            Some(_) => return Err("conditions are joined by 'and'; a value with spaces stands in 'quotes'".to_owned()),
        }
    }
}

fn condition(words: &mut std::iter::Peekable<impl Iterator<Item = Word>>) -> Result<Condition, String> {
    const FORM: &str = "write COLUMN OP VALUE, with = != < <= > >= starts in";
    let column = words.next().ok_or(FORM)?.text;
    let op = words.next().ok_or(FORM)?;
    let op = Operator::ALL.iter().find(|(name, _)| op.is(name)).map(|(_, op)| *op).ok_or(FORM)?;
    let value = if op == Operator::In {
        if !words.next().is_some_and(|word| word.is("(")) {
            return Err("write a list as: in (101, 147)".to_owned());
        }
        let mut values = Vec::new();
        loop {
            values.push(Scalar::Text(words.next().ok_or("a list ends with ')'")?.text));
            match words.next() {
                Some(word) if word.is(",") => {}
                Some(word) if word.is(")") => break Values::List(values),
                _ => return Err("a list ends with ')'".to_owned()),
            }
        }
    } else {
        Values::One(Scalar::Text(words.next().ok_or(FORM)?.text))
    };
    Ok(Condition { column, op, value })
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut all = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&first) = rest.peek() {
        let mut word = String::new();
        let mut quoted = false;
        match first {
            space if space.is_whitespace() => {
                rest.next();
                continue;
            }
            '(' | ')' | ',' => {
                rest.next();
                word.push(first);
            }
            '\'' | '"' => {
                rest.next();
                quoted = true;
                loop {
                    match rest.next() {
                        Some(end) if end == first => break,
                        Some(other) => word.push(other),
                        None => return Err("a quote is not closed".to_owned()),
                    }
                }
            }
            '=' | '!' | '<' | '>' => {
                while let Some(sign) = rest.next_if(|c| "=!<>".contains(*c)) {
                    word.push(sign);
                }
            }
            _ => {
                while let Some(letter) = rest.next_if(|c| !c.is_whitespace() && !"=!<>(),'\"".contains(*c)) {
                    word.push(letter);
                }
            }
        }
        all.push(Word { text: word, quoted });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_typed() {
        let text = |value: &str| Scalar::Text(value.to_owned());
        let all = conditions("sds.lmdb.atc starts A10 and dst.bef.kom in (101, '147') AND dst.bef.foed>='1950-01-01'");
        let all = all.unwrap().0;
        let of = |at: usize| (all[at].column.as_str(), all[at].op, all[at].value.clone());
        assert_eq!(of(0), ("sds.lmdb.atc", Operator::Starts, Values::One(text("A10"))));
        assert_eq!(of(1), ("dst.bef.kom", Operator::In, Values::List(vec![text("101"), text("147")])));
        assert_eq!(of(2), ("dst.bef.foed", Operator::AtLeast, Values::One(text("1950-01-01"))));
        // Whatever stands in quotes is a value.
        let quoted = conditions("a.b.c = 'this and that'").unwrap().0;
        assert_eq!(quoted[0].value, Values::One(text("this and that")));
        for wrong in ["", "a.b.c", "a.b.c ~ 1", "a.b.c = 1 or a.b.d = 2", "a.b.c in 1", "a.b.c in (1", "a.b.c = 'x"] {
            assert!(conditions(wrong).is_err(), "{wrong}");
        }
    }
}
