//! What can be wrong with a declaration.

use std::path::PathBuf;

/// Why a table's declaration can't be used. Every message names the file and, where there is one, the line.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The folder or file can't be read.
    #[error("{}: can't be read: {source}. Check the path and who may read it", path.display())]
    Unreadable {
        /// which
        path: PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
    /// Something in the text is wrong.
    #[error("{file}, line {line}: {message}")]
    Wrong {
        /// file name
        file: String,
        /// from 1
        line: usize,
        /// what is wrong and what to write instead
        message: String,
    },
    /// Two files declare the same table.
    #[error("{file}: table '{table}' is declared in {other} too; remove one of them")]
    Twice {
        /// the second file
        file: String,
        /// the table
        table: String,
        /// the first file
        other: String,
    },
    /// Tables get their people from one another in a circle.
    #[error(
        "{file}: [person_via] of table '{table}' leads back to '{table}'; one table of the circle must have a person column of its own"
    )]
    Circle {
        /// the file
        file: String,
        /// the table
        table: String,
    },
}
