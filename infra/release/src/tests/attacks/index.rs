//! `docs/attacks.md` names every test of an attack, and no other.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The names in a source file: of functions, and of entries of a macro that makes functions.
fn names(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        let rest = line.strip_prefix("fn ").unwrap_or(line);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        let (name, after) = rest.split_at_checked(end)?;
        let defines = if rest.len() < line.len() { after.starts_with('(') } else { after.starts_with(':') };
        (name.starts_with("attack_") && defines).then_some(name)
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !["target", "node_modules"].iter().any(|skipped| path.ends_with(skipped)) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_document_names_every_attack_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    let mut files = Vec::new();
    for part in ["hub", "infra", "policies", "proto", "spoke", "tests"] {
        sources(&root.join(part), &mut files);
    }
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let tests: BTreeSet<&str> = texts.iter().flat_map(|text| names(text)).collect();
    assert!(tests.len() > 100, "these are not all: {tests:?}");
    let document = std::fs::read_to_string(root.join("docs/attacks.md")).unwrap();
    let named: BTreeSet<&str> = document
        .split('`')
        .filter(|word| word.starts_with("attack_") && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    let missing: Vec<_> = tests.difference(&named).collect();
    assert!(missing.is_empty(), "docs/attacks.md doesn't say what an attacker learns from {missing:#?}");
    let gone: Vec<_> = named.difference(&tests).collect();
    assert!(gone.is_empty(), "docs/attacks.md names tests that aren't there: {gone:#?}");
}
