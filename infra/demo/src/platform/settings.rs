//! Small edits of the configurations that each part's `init` wrote, comments kept.

use std::fmt::Write as _;
use std::net::SocketAddr;

const BEGIN: &str = "# --- the demo's spokes, written at every start ---";
const END: &str = "# --- end of the demo's spokes ---";

/// `text` with `key = value` in `[section]`; `None` when there is no such line.
pub(super) fn set(text: &str, section: &str, key: &str, value: &str) -> Option<String> {
    let header = format!("[{section}]");
    let mut inside = false;
    let mut found = false;
    let mut out = String::with_capacity(text.len() + value.len());
    for line in text.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            inside = trimmed.starts_with(&header);
        }
        let here = inside && !found && trimmed.split('=').next().is_some_and(|name| name.trim_end() == key);
        if here {
            found = true;
            let _ = writeln!(out, "{key} = {value}");
        } else {
            let _ = writeln!(out, "{line}");
        }
    }
    found.then_some(out)
}

/// `text` with these spokes in place of those of the start before.
pub(super) fn spokes(text: &str, known: &[(&str, SocketAddr)]) -> String {
    let mut out = match (text.find(BEGIN), text.find(END)) {
        (Some(begin), Some(end)) => format!("{}{}", &text[..begin], text[end + END.len()..].trim_start_matches('\n')),
        _ => text.to_owned(),
    };
    if !out.ends_with('\n') {
        out.push('\n');
    }
    let _ = writeln!(out, "{BEGIN}");
    for (controller, address) in known {
        let _ = writeln!(out, "[[spoke]]\ncontroller = \"{controller}\"\naddress = \"{address}\"");
    }
    let _ = writeln!(out, "{END}");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_field_is_set_and_the_rest_is_kept() {
        let text = "[listen]\naddress = \"a\"\n\n[custodian]      # third party\naddress = \"b\"\nname = \"n\"\n";
        let new = set(text, "custodian", "address", "\"c\"").unwrap();
        assert_eq!(new, "[listen]\naddress = \"a\"\n\n[custodian]      # third party\naddress = \"c\"\nname = \"n\"\n");
        assert_eq!(set(text, "link", "address", "1"), None);
    }

    #[test]
    fn spokes_are_replaced_not_added() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let once = spokes("[query]\nx = 1\n", &[("dst", at(1))]);
        let twice = spokes(&once, &[("dst", at(2)), ("sds", at(3))]);
        assert_eq!(twice.matches("[[spoke]]").count(), 2);
        assert!(twice.starts_with("[query]\nx = 1\n") && !twice.contains("127.0.0.1:1\""));
        assert_eq!(spokes(&twice, &[("dst", at(1))]), once);
    }
}
