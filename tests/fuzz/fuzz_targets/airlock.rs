//! What somebody hands in to leave: CSV, Parquet, JSON, PNG, SVG, PDF, text, notebook, and crates. A finding or an error, never a
//! panic and no end of memory. The first byte says as what.

#![no_main]

use hub::airlock::{examine, verify};
use libfuzzer_sys::fuzz_target;
use policies::airlock::{FileForm, Form, Submission};
use std::sync::LazyLock;

const ENDINGS: [&str; 8] = ["csv", "json", "parquet", "png", "svg", "pdf", "txt", "ipynb"];

static FORMS: LazyLock<Vec<Submission>> = LazyLock::new(|| ENDINGS.iter().filter_map(|ending| form(ending)).collect());

fn form(ending: &str) -> Option<Submission> {
    let file = |name: &str| FileForm {
        name: format!("{name}.{ending}"),
        description: "people".to_owned(),
        population: "all".to_owned(),
        counts: "column n".to_owned(),
        ..FileForm::default()
    };
    let mut first = file("a");
    if ["csv", "json", "parquet"].contains(&ending) {
        (first.count_columns, first.sum_columns) = (vec!["n".to_owned()], vec!["cost".to_owned()]);
        first.contributions = Some(format!("b.{ending}"));
    }
    let second = FileForm { count_columns: first.count_columns.clone(), ..file("b") };
    let files = vec![first, second];
    Form { project: "p".to_owned(), title: "t".to_owned(), earlier: None, files }.check().ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    assert_eq!(FORMS.len(), ENDINGS.len());
    match FORMS.get(usize::from(*first) % (ENDINGS.len() + 1)) {
        Some(form) => drop(examine(form, bytes)),
        // By the curve's base point as the key: nobody signed it.
        None => {
            let key = format!("58{}", "66".repeat(31)).parse();
            assert!(key.is_ok_and(|key| verify(bytes, &key).is_err()), "a crate that nobody signed");
        }
    }
});
