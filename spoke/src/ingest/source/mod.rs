//! Where rows come from: finding the files of a source and reading their bytes.

mod error;
mod list;
mod read;

pub use error::SourceError;
pub(crate) use list::{Place, Places, SourceFile};
pub(crate) use read::{ByteReader, CHUNK, digest_of};
