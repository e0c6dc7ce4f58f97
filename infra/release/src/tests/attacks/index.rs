//! `docs/attacks.md` names every test of an attack, and no other; and every defence of `tests/defences` can still be switched off.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap()
}

#[test]
fn the_document_names_every_attack_and_no_other() {
    let root = root();
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

/// Where the tests of `# fails: PACKAGE TEST` or `# fails: PACKAGE TARGET TEST` stand.
fn folder_of(package: &str, target: Option<&str>) -> Option<PathBuf> {
    let package =
        ["", "infra"].iter().map(|within| root().join(within).join(package)).find(|folder| folder.is_dir())?;
    let folders = match target {
        None => vec![package.join("src")],
        // A test program is `tests/TARGET`, or a folder beside `Cargo.toml` in the package of tests itself.
        Some(target) => vec![package.join("tests").join(target), package.join(target)],
    };
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Whether a function of that name, or an entry of a macro that makes functions, stands in a file.
fn defines(source: &str, test: &str) -> bool {
    let entry = format!("{test}:");
    source.contains(&format!("fn {test}(")) || source.lines().any(|line| line.trim_start().starts_with(&entry))
}

fn check_patches(patches: &[PathBuf]) -> Result<(), String> {
    let done =
        Command::new("git").args(["apply", "--check", "-C1"]).args(patches).current_dir(root()).output().unwrap();
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// So that a run of `tests/defences/run`, which takes long, doesn't find it out.
#[test]
fn every_defence_can_be_switched_off_and_the_tests_that_fail_then_are_there() {
    let folder = root().join("tests/defences");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut patches: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "patch")).collect();
    patches.sort();
    assert!(patches.len() > 80, "these are not all: {}", patches.len());
    let mut wrong = Vec::new();
    let mut texts = std::collections::BTreeMap::new();
    for path in &patches {
        let name = path.file_stem().unwrap().to_string_lossy();
        if let Err(said) = check_patches(std::slice::from_ref(path)) {
            wrong.push(format!("{name} doesn't apply: {said}"));
        }
        let patch = std::fs::read_to_string(path).unwrap();
        let named: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("# fails: ")).collect();
        if named.is_empty() || !patch.contains(&format!("Ok(\"{name}\")")) {
            wrong.push(format!("{name} names no test, or asks nowhere whether it is off"));
        }
        for line in named {
            let words: Vec<&str> = line.split(' ').collect();
            let (package, target, test) = match words.as_slice() {
                [package, test] => (*package, None, *test),
                [package, target, test] => (*package, Some(*target), *test),
                _ => {
                    wrong.push(format!("{name}: '{line}' is not PACKAGE [TARGET] TEST"));
                    continue;
                }
            };
            let texts: &Vec<String> =
                texts.entry((package.to_owned(), target.map(str::to_owned))).or_insert_with(|| {
                    let mut files = Vec::new();
                    folder_of(package, target).iter().for_each(|folder| sources(folder, &mut files));
                    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
                });
            if !texts.iter().any(|text| defines(text, test)) {
                wrong.push(format!("{name}: there is no test '{line}'"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And they don't get in each other's way.
    assert_eq!(check_patches(&patches), Ok(()));
}
