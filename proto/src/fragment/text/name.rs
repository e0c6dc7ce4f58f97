//! Names of tables and columns as SQL.

use std::collections::HashMap;

use super::Literals;
use super::constant::escaped;
use super::expr::Tight;
use super::select::Item;

/// Shows names; remembers what stands for those that are hidden.
pub(super) struct Names {
    literals: Literals,
    hidden: HashMap<String, String>,
}

impl Names {
    pub(super) fn new(literals: Literals) -> Self {
        Self { literals, hidden: HashMap::new() }
    }

    /// A name, quoted where SQL wants it.
    pub(super) fn shown(&mut self, name: &str) -> String {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let is_word = name.len() <= 64 && name.chars().all(word) && !name.starts_with(|c: char| c.is_numeric());
        if !is_word && self.literals == Literals::Hidden {
            // the engine names an expression after its text, with the constants in it
            let next = self.hidden.len() + 1;
            let known = self.hidden.entry(name.to_owned());
            return known.or_insert_with(|| format!("\"expr {next}\"")).clone();
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if is_word && !name.is_empty() && name.bytes().all(plain) {
            return name.to_owned();
        }
        format!("\"{}\"", escaped(name, '"'))
    }

    /// A column that is just itself.
    pub(super) fn item(&mut self, name: &str) -> Item {
        let shown = self.shown(name);
        Item { name: name.to_owned(), sql: shown.clone(), shown, tight: Tight::Atom }
    }
}
