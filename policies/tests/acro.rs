//! The rules agree with ACRO, the tool of British data centres (PyPI `acro`), cell by cell over random tables.
//!
//! `tests/setup` installs the package in an environment of its own; `tests/acro/verdicts.py` asks it. Where the two differ, and why,
//! stands in each comparison: empty cells, and tables with negative values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use policies::disclosure::{
    Threshold,
    dominance::{CONTRIBUTORS, Contributions},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Tables without and with negative values.
const TABLES: usize = 240;

/// People of a table: row, column, value.
type People = Vec<(u32, u32, f64)>;

fn python() -> PathBuf {
    std::env::var("EGER_TEST_ACRO").map(PathBuf::from).unwrap_or_else(|_| {
        let cache = std::env::var("EGER_TEST_CACHE").unwrap_or_else(|_| {
            let home = std::env::var("HOME").unwrap_or_default();
            let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
            format!("{cache}/eger/tests")
        });
        Path::new(&cache).join("acro/bin/python")
    })
}

/// What ACRO would hide, by check, of each table.
fn ask(tables: &[People]) -> Vec<BTreeMap<String, BTreeSet<String>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/acro/verdicts.py");
    // ACRO asks git and keeps results in the folder that it runs in
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(python())
        .arg(script.canonicalize().unwrap())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("no Python with acro; run tests/setup");
    let mut input = child.stdin.take().unwrap();
    let lines: Vec<String> = tables
        .iter()
        .map(|people| {
            let column = |of: &dyn Fn(&(u32, u32, f64)) -> Value| people.iter().map(of).collect::<Vec<_>>();
            json!({
                "rows": column(&|(row, _, _)| json!(format!("r{row}"))),
                "columns": column(&|(_, column, _)| json!(format!("c{column}"))),
                "values": column(&|(_, _, value)| json!(value)),
            })
            .to_string()
        })
        .collect();
    let writer = std::thread::spawn(move || lines.iter().try_for_each(|line| writeln!(input, "{line}")));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Cells with many, few and single contributors, ties, zeros, values that differ by powers of ten, some cells empty.
/// Values are quarters, so that adding up in another order changes nothing.
fn random(rng: &mut StdRng, negatives: bool) -> People {
    let mut people = Vec::new();
    for row in 0..rng.random_range(1..5) {
        for column in 0..rng.random_range(2..5) {
            let size = match rng.random_range(0..8) {
                0 => 0,
                1 => 1,
                2 => 2,
                3 => rng.random_range(8..12),
                4 => 10,
                _ => rng.random_range(3..60),
            };
            let shape = rng.random_range(0..7);
            for place in 0..size {
                let small = f64::from(rng.random_range(0..40)) / 4.0;
                let value = match shape {
                    0 => 0.0,
                    1 => 2.5, // all alike
                    2 => small * 10_f64.powi(rng.random_range(0..5)),
                    // borders: two of a size beside others that are exactly a tenth of one or of all
                    3 if place < 2 => 45.0,
                    3 => {
                        if place == 2 {
                            10.0
                        } else {
                            0.0
                        }
                    }
                    4 if place == 0 => 100.0,
                    4 => {
                        if place == 1 {
                            40.0
                        } else if place < 12 {
                            1.0
                        } else {
                            0.0
                        }
                    }
                    5 if place == 0 => 1_000.0,
                    _ => small,
                };
                let minus = negatives && rng.random_range(0..6) == 0;
                people.push((row, column, if minus { -value } else { value }));
            }
        }
    }
    people
}

fn cells(people: &People) -> BTreeMap<String, Vec<f64>> {
    let mut cells: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (row, column, value) in people {
        cells.entry(format!("r{row}/c{column}")).or_default().push(*value);
    }
    cells
}

fn size(people: &People) -> People {
    people.iter().map(|(row, column, value)| (*row, *column, value.abs())).collect()
}

#[test]
fn acro_agrees_on_threshold_p_percent_and_nk_over_random_tables() {
    let mut rng = StdRng::seed_from_u64(20_260_401);
    let tables: Vec<People> =
        (0..).map(|i| random(&mut rng, i % 3 == 0)).filter(|people| !people.is_empty()).take(TABLES).collect();
    let verdicts = ask(&tables.iter().map(size).collect::<Vec<_>>());
    assert_eq!(verdicts.len(), tables.len());
    let threshold = Threshold::DEFAULT.raised_to(CONTRIBUTORS);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for (people, verdict) in tables.iter().zip(&verdicts) {
        let cells = cells(people);
        for cell in &verdict["cells"] {
            let says = |check: &str| verdict[check].contains(cell);
            let Some(values) = cells.get(cell) else {
                // nobody: ACRO counts 0 as fewer than ten; here a zero is shown, and there is no sum to look at
                assert!(says("threshold") && !says("nk") && !says("p"), "empty cell {cell}");
                assert!(!threshold.hides(0));
                assert_eq!(Contributions::of([]).check(), None);
                *seen.entry("empty").or_default() += 1;
                continue;
            };
            // with negative values: as ACRO decides on their sizes
            let ours = Contributions::of(values.iter().copied());
            let context = || format!("{cell} of {values:?}: {ours:?}");
            assert_eq!(threshold.hides(ours.people), says("threshold"), "threshold, {}", context());
            assert_eq!(ours.few(), says("threshold"), "contributors, {}", context());
            assert_eq!(ours.dominated(), says("nk"), "(n,k), {}", context());
            assert_eq!(ours.near(), says("p"), "p%, {}", context());
            assert_eq!(
                ours.check().is_some(),
                says("threshold") || says("nk") || says("p"),
                "whether it is hidden, {}",
                context()
            );
            for (name, is) in [
                ("cells", true),
                ("threshold", ours.few()),
                ("nk", ours.dominated()),
                ("p", ours.near()),
                ("shown", ours.check().is_none()),
                ("nk, not p", ours.dominated() && !ours.near()),
                ("p, not nk", ours.near() && !ours.dominated()),
                ("single", values.len() == 1),
                ("negative", values.iter().any(|value| *value < 0.0)),
                ("all zero", values.iter().all(|value| *value == 0.0)),
            ] {
                *seen.entry(name).or_default() += u32::from(is);
            }
        }
    }
    println!("{} tables: {seen:?}", tables.len());
    // a comparison in which something doesn't occur says nothing of it
    for (name, times) in &seen {
        assert!(*times >= 10, "only {times} cells: {name}");
    }
}

/// ACRO has no verdict on dominance where a table has a negative value: it names the cells for a person to look at. There
/// is nobody to look in the open zone, so sizes are compared, which is what the other test asks ACRO about.
#[test]
fn acro_hands_negative_values_to_a_person_where_we_compare_their_sizes() {
    let mut rng = StdRng::seed_from_u64(7);
    let tables: Vec<People> = (0..)
        .map(|_| random(&mut rng, true))
        .filter(|people| people.iter().any(|(_, _, value)| *value < 0.0))
        .take(20)
        .collect();
    for (people, verdict) in tables.iter().zip(ask(&tables)) {
        let negative: BTreeSet<String> = cells(people)
            .into_iter()
            .filter(|(_, values)| values.iter().any(|value| *value < 0.0))
            .map(|(cell, _)| cell)
            .collect();
        assert_eq!(verdict["nk"], negative);
        assert_eq!(verdict["p"], negative);
    }
}
