//! `docs/threat-model.md` names the test of each "never": those tests have to be there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeSet, fs, path::Path};

/// Names of all functions in the workspace's sources.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                functions(&path, found);
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).unwrap();
            let names = source.split("fn ").skip(1).map(|rest| rest.split(['(', '<']).next().unwrap_or_default());
            found.extend(names.map(str::to_owned));
        }
    }
}

/// What stands in back quotes and reads like the name of a test.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| name.matches('_').count() >= 3 && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()))
        .collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    functions(root, &mut found);
    let text = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let named = named(&text);
    assert!(named.len() > 30, "only {} tests are named", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that don't exist: {missing:#?}");
}
