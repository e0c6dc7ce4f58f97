//! The scalar functions that a fragment may call.
//!
//! INVARIANT: every function here is pure, deterministic, the same in every session, and never makes a text
//! longer than its arguments together. Not here, and not to be added: the clock, randomness, casts by name,
//! encoders, anything that repeats or pads, anything that can name a file.

use std::fmt::Write as _;

use super::FragmentError;
use crate::wire::{Expr, expr, literal};

/// A function on the allow-list, under the engine's own name (no aliases).
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Any expression as argument.
    Any,
    /// The first argument is a constant text (a unit of time).
    Unit,
    /// Search and replacement are constants and nothing grows.
    Replace,
    /// Pattern and flags are short constants.
    Pattern,
}

/// Longest regular expression. The engine runs them in linear time; compiling one takes memory.
const MAX_PATTERN: usize = 256;

const fn f(name: &'static str, min: usize, max: usize) -> Function {
    Function { name, min, max, rule: Rule::Any }
}

const fn ruled(name: &'static str, min: usize, max: usize, rule: Rule) -> Function {
    Function { name, min, max, rule }
}

/// Sorted by name.
const ALLOWED: &[Function] = &[
    f("abs", 1, 1),
    f("acos", 1, 1),
    f("ascii", 1, 1),
    f("asin", 1, 1),
    f("atan", 1, 1),
    f("atan2", 2, 2),
    f("bit_length", 1, 1),
    f("btrim", 1, 2),
    f("cbrt", 1, 1),
    f("ceil", 1, 1),
    f("character_length", 1, 1),
    f("coalesce", 1, 64),
    f("coarse", 1, 1),
    f("concat", 1, 64),
    f("contains", 2, 2),
    f("cos", 1, 1),
    ruled("date_part", 2, 2, Rule::Unit),
    ruled("date_trunc", 2, 2, Rule::Unit),
    f("degrees", 1, 1),
    f("ends_with", 2, 2),
    f("exp", 1, 1),
    f("floor", 1, 1),
    f("greatest", 1, 64),
    f("initcap", 1, 1),
    f("interval_low", 1, 2),
    f("isnan", 1, 1),
    f("iszero", 1, 1),
    f("least", 1, 64),
    f("left", 2, 2),
    f("ln", 1, 1),
    f("log", 1, 2),
    f("log10", 1, 1),
    f("log2", 1, 1),
    f("lower", 1, 1),
    f("ltrim", 1, 2),
    f("make_date", 3, 3),
    f("nanvl", 2, 2),
    f("nullif", 2, 2),
    f("nvl", 2, 2),
    f("octet_length", 1, 1),
    f("pi", 0, 0),
    f("power", 2, 2),
    f("radians", 1, 1),
    ruled("regexp_like", 2, 3, Rule::Pattern),
    ruled("replace", 3, 3, Rule::Replace),
    f("reverse", 1, 1),
    f("right", 2, 2),
    f("round", 1, 2),
    f("rtrim", 1, 2),
    f("signum", 1, 1),
    f("sin", 1, 1),
    f("split_part", 3, 3),
    f("sqrt", 1, 1),
    f("starts_with", 2, 2),
    f("strpos", 2, 2),
    f("substr", 2, 3),
    f("tan", 1, 1),
    f("to_date", 1, 1),
    f("trunc", 1, 2),
    f("upper", 1, 1),
];

/// Every function on the allow-list, sorted by name.
pub fn all() -> &'static [Function] {
    ALLOWED
}

/// The function of this name, if it may be called.
pub fn find(name: &str) -> Option<&'static Function> {
    let at = ALLOWED.binary_search_by(|f| f.name.cmp(name)).ok()?;
    ALLOWED.get(at)
}

/// Refuses a call that is not on the list or not of an allowed form. Does not descend into the arguments.
pub(crate) fn check(name: &str, args: &[Expr]) -> Result<(), FragmentError> {
    let function = find(name).ok_or_else(|| FragmentError::Function(shown(name)))?;
    let wrong = |rule: String| FragmentError::Arguments { function: function.name, rule };
    if !(function.min..=function.max).contains(&args.len()) {
        let mut rule = format!("takes {}", function.min);
        if function.max > function.min {
            let _ = write!(rule, " to {}", function.max); // writing to a String cannot fail
        }
        return Err(wrong(rule + " arguments"));
    }
    match function.rule {
        Rule::Any => Ok(()),
        Rule::Unit => match args.first().and_then(constant_text) {
            Some(_) => Ok(()),
            None => Err(wrong("the unit must be a constant text".into())),
        },
        Rule::Pattern => {
            let short = |arg: &Expr| constant_text(arg).is_some_and(|t| t.len() <= MAX_PATTERN);
            if args.iter().skip(1).all(short) {
                return Ok(());
            }
            Err(wrong(format!("the pattern must be a constant text of at most {MAX_PATTERN} bytes")))
        }
        Rule::Replace => {
            // nested calls would multiply the length of a text with each level
            let search = args.get(1).and_then(constant_text);
            let by = args.get(2).and_then(constant_text);
            match (search, by) {
                (Some(search), Some(by)) if !search.is_empty() && by.len() <= search.len() => Ok(()),
                _ => Err(wrong(
                    "what is replaced must be a constant text that is not empty, and its replacement \
                     a constant text that is not longer"
                        .into(),
                )),
            }
        }
    }
}

fn constant_text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        Some(expr::Kind::Literal(constant)) => match &constant.value {
            Some(literal::Value::Text(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A foreign name, if it looks like one.
fn shown(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        name.to_owned()
    } else {
        "(not a function's name)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_without_doubles() {
        assert!(ALLOWED.windows(2).all(|w| w[0].name < w[1].name));
    }

    #[test]
    fn nothing_dangerous_is_on_it() {
        for name in [
            "now",
            "random",
            "uuid",
            "arrow_cast",
            "repeat",
            "lpad",
            "rpad",
            "to_timestamp",
            "version",
            "input_file_name",
            "regexp_replace",
            "current_date",
            "get_field",
            "struct",
        ] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
