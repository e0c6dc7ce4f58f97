//! Small changes of `spoke.toml` that keep everything else in it, comments above all.

use std::fmt::Write as _;

/// `text` with `key = value` (TOML) in `[section]`: in place of the line that sets it, else below the section's header,
/// else in a section of its own at the end.
pub(super) fn set(text: &str, section: &str, key: &str, value: &str) -> String {
    let header = |line: &str| line.trim_start().starts_with('[');
    let named = |line: &str| {
        line.trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .is_some_and(|(name, _)| name.trim() == section)
    };
    let sets = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| named(line));
    let place = begin.and_then(|begin| {
        let end = lines[begin + 1..].iter().position(|line| header(line)).map_or(lines.len(), |at| begin + 1 + at);
        (begin + 1..end).find(|&at| sets(lines[at]))
    });
    let mut out = String::with_capacity(text.len() + key.len() + value.len() + 8);
    for (at, line) in lines.iter().enumerate() {
        if Some(at) == place {
            let _ = writeln!(out, "{key} = {value}{}", comment(line));
            continue;
        }
        let _ = writeln!(out, "{line}");
        if place.is_none() && Some(at) == begin {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
    if begin.is_none() {
        let _ = write!(out, "\n[{section}]\n{key} = {value}\n");
    }
    out
}

/// What follows a line's value: the comment and the space before it.
fn comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => {
                let value = line[..at].trim_end();
                return &line[value.len()..];
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_changes_and_comments_stay() {
        let text = "# top\n[link]   # to the hub\nhub = \"a#b\"   # who may ask\ncert = \"c\"\n\n[keys]\nhub = 1\n";
        assert_eq!(
            set(text, "link", "hub", "\"main\""),
            "# top\n[link]   # to the hub\nhub = \"main\"   # who may ask\ncert = \"c\"\n\n[keys]\nhub = 1\n"
        );
        assert_eq!(
            set(text, "link", "gateway", "\"h:1\""),
            "# top\n[link]   # to the hub\ngateway = \"h:1\"\nhub = \"a#b\"   # who may ask\ncert = \"c\"\n\n[keys]\nhub = 1\n"
        );
        assert_eq!(set("x = 1\n", "link", "hub", "\"m\""), "x = 1\n\n[link]\nhub = \"m\"\n");
        assert_eq!(
            set("[link]\n# gateway = \"old\"\n", "link", "gateway", "1"),
            "[link]\ngateway = 1\n# gateway = \"old\"\n"
        );
    }
}
