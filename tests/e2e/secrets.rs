//! What must never be where it doesn't belong. Each search is shown to be able to find something: a planted secret is found in
//! each kind of place.

mod held;
mod keys;
mod people;
mod processes;
mod projects;

use anyhow::Result;
use std::path::Path;
use tests::search::Secrets;

/// Whether a file, such as a memory image, holds these words: what shows that a search of it means anything.
fn holds(file: &Path, words: &str) -> Result<bool> {
    Ok(Secrets::of(&[("words", words.as_bytes().to_vec())])?.in_file(file)?.is_some())
}
