//! Small edits of the configurations that each part's `init` wrote, comments kept.

use std::fmt::Write as _;
use std::path::Path;

const ISSUER_BEGIN: &str =
    "# --- the demo's issuer of access tokens, which believes everybody: synthetic data only ---";
const ISSUER_END: &str = "# --- end of the demo's issuer ---";
const CHECKERS_BEGIN: &str = "# --- the demo's checkers of what leaves ---";
const CHECKERS_END: &str = "# --- end of the demo's checkers ---";
/// How `hub init` shows the API's listener inside, and the demo's own.
const INSIDE: (&str, &str) = ("# enclave = \"127.0.0.1:7005\"", "enclave = \"127.0.0.1:0\"");

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

/// `text` with the demo's issuer of access tokens, its public keys in a file (parties behind firewalls get them that way),
/// and with `further` ones.
pub(super) fn issuers(text: &str, url: &str, keys: &Path, further: &[String]) -> String {
    let mut tables = format!("[[issuer]]\nurl = \"{url}\"\njwks_file = \"{}\"\n", keys.display());
    for url in further {
        let _ = write!(tables, "[[issuer]]\nurl = \"{url}\"\n");
    }
    block(text, ISSUER_BEGIN, ISSUER_END, &tables)
}

/// `text` of a hub whose API listens inside too, with people who check what leaves; `None` when it shows no such listener.
pub(super) fn checkers(text: &str, issuer: &str, checkers: &[(String, String)]) -> Option<String> {
    if checkers.is_empty() {
        return Some(text.to_owned());
    }
    let (shown, own) = INSIDE;
    let text = text.replacen(shown, own, 1);
    if !text.contains(&format!("\n{own}")) {
        return None;
    }
    let mut tables = String::new();
    for (user, organisation) in checkers {
        let _ =
            write!(tables, "[[role]]\nuser = \"{user}\"\nissuer = \"{issuer}\"\nrole = \"checker:{organisation}\"\n");
    }
    Some(block(&text, CHECKERS_BEGIN, CHECKERS_END, &tables))
}

/// `text` with `tables` between the two lines, in place of what stood there.
fn block(text: &str, begin: &str, end: &str, tables: &str) -> String {
    let mut out = match (text.find(begin), text.find(end)) {
        (Some(from), Some(to)) => format!("{}{}", &text[..from], text[to + end.len()..].trim_start_matches('\n')),
        _ => text.to_owned(),
    };
    if !out.ends_with('\n') {
        out.push('\n');
    }
    let _ = write!(out, "{begin}\n{tables}{end}\n");
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
    fn checkers_are_replaced_and_the_listener_opens_once() {
        let text = "[api]\naddress = \"a\"\n# enclave = \"127.0.0.1:7005\"   # inside\n";
        let who = [("carl@example.org".to_owned(), "ssi".to_owned())];
        let once = checkers(text, "http://127.0.0.1:2", &who).unwrap();
        assert!(once.contains("\nenclave = \"127.0.0.1:0\"   # inside\n") && once.contains("checker:ssi"), "{once}");
        assert_eq!(checkers(&once, "http://127.0.0.1:2", &who).as_deref(), Some(once.as_str()));
        assert_eq!(checkers(text, "u", &[]).as_deref(), Some(text));
        assert_eq!(checkers("[api]\n", "u", &who), None);
    }

    #[test]
    fn an_issuer_is_replaced_not_added() {
        let further = ["http://127.0.0.1:9".to_owned()];
        let issuer = |text: &str, url: &str| issuers(text, url, Path::new("/k"), &further);
        let once = issuer("[query]\nx = 1\n", "http://127.0.0.1:2");
        assert!(once.starts_with("[query]\nx = 1\n") && once.contains("url = \"http://127.0.0.1:2\""));
        let twice = issuer(&once, "http://127.0.0.1:3");
        assert_eq!((twice.matches("[[issuer]]").count(), twice.matches("127.0.0.1:9").count()), (2, 1));
        assert_eq!(issuer(&twice, "http://127.0.0.1:2"), once);
    }
}
