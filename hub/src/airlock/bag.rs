//! A crate as a BagIt bag (RFC 8493) in a ZIP archive: files below `data/`, their SHA-512 in a manifest, the manifest's in
//! another, and the hub's signature over that one.
//!
//! INVARIANT: nothing is in a crate that its manifests don't name; one that holds more is refused.

use sha2::{Digest, Sha512};
use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Write},
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// The manifest of the files.
pub(super) const MANIFEST: &str = "manifest-sha512.txt";
/// The manifest of what stands beside them; the one that is signed.
pub(super) const TAGS: &str = "tagmanifest-sha512.txt";
/// The signature.
pub(super) const SIGNATURE: &str = "release.jws";
/// Entries of a crate, at most.
const MOST_ENTRIES: usize = 200;
/// All of its files together, bytes. What is handed in is far less, also with what is said of it.
const MOST_BYTES: u64 = 256 << 20;
const _: () = assert!(2 * super::MOST_BYTES <= MOST_BYTES, "every crate that leaves is one that can be read");
/// The end of an archive without a comment, bytes.
const END: usize = 22;

/// Why a crate can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// It is no archive, or more than one.
    #[error("is no crate: a ZIP archive without comment, and nothing before or behind it ({0})")]
    Archive(String),
    /// It is too large.
    #[error("is larger than any crate: 200 files, 256 MiB")]
    Large,
    /// A name that leads elsewhere, or stands twice.
    #[error("holds a name that is none of a crate's: a crate has one folder, and names each file once")]
    Name,
    /// A file is missing.
    #[error("lacks '{0}'")]
    Missing(String),
    /// A file that no manifest names.
    #[error("holds '{0}', which its manifests don't name: it was added after the release")]
    Unlisted(String),
    /// A file is another one.
    #[error("'{0}' was changed after the release")]
    Changed(String),
}

/// Hex of a SHA-512.
pub(super) fn sha512(bytes: &[u8]) -> String {
    hex::encode(Sha512::digest(bytes))
}

fn manifest<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> String {
    files.map(|(path, bytes)| format!("{}  {path}\n", sha512(bytes))).collect()
}

/// Packs files (paths begin with `data/`) and gives the archive; `sign` makes the signature of the SHA-512 that it is given.
pub(super) fn pack<E: From<zip::result::ZipError> + From<std::io::Error>>(
    folder: &str,
    info: &str,
    files: &BTreeMap<String, Vec<u8>>,
    sign: impl FnOnce(&str) -> Result<String, E>,
) -> Result<Vec<u8>, E> {
    let mut tags: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    tags.insert("bagit.txt".to_owned(), b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_vec());
    tags.insert("bag-info.txt".to_owned(), info.as_bytes().to_vec());
    tags.insert(MANIFEST.to_owned(), manifest(files.iter()).into_bytes());
    let list = manifest(tags.iter());
    let signature = sign(&sha512(list.as_bytes()))?;
    tags.insert(TAGS.to_owned(), list.into_bytes());
    tags.insert(SIGNATURE.to_owned(), format!("{signature}\n").into_bytes());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // Stored as they are: whoever reads one needs no more memory than it is long.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    // What is too large to be read again is not let out.
    let entries = || tags.iter().chain(files);
    if entries().count() > MOST_ENTRIES || entries().map(|(_, bytes)| bytes.len() as u64).sum::<u64>() > MOST_BYTES {
        return Err(std::io::Error::other(BagError::Large).into());
    }
    for (path, bytes) in entries() {
        writer.start_file(format!("{folder}/{path}"), options)?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

/// The files of a crate by path, without its folder, when they are those that its manifests name; and the SHA-512 of what
/// is signed.
pub(super) fn unpack(bytes: &[u8]) -> Result<(BTreeMap<String, Vec<u8>>, String), BagError> {
    let files = entries(bytes)?;
    let file = |name: &str| files.get(name).ok_or_else(|| BagError::Missing(name.to_owned()));
    let tags = file(TAGS)?;
    let mut listed = listed(tags)?;
    let payload = listed_of(file(MANIFEST)?)?;
    if payload.keys().any(|path| !path.starts_with("data/")) || listed.keys().any(|path| path.starts_with("data/")) {
        return Err(BagError::Name);
    }
    listed.extend(payload);
    for (path, hash) in &listed {
        if sha512(file(path)?) != *hash {
            return Err(BagError::Changed(path.clone()));
        }
    }
    let signed = sha512(tags);
    if let Some(more) =
        files.keys().find(|path| !listed.contains_key(*path) && ![TAGS, SIGNATURE].contains(&path.as_str()))
    {
        return Err(BagError::Unlisted(shown(more)));
    }
    Ok((files, signed))
}

fn listed(tags: &[u8]) -> Result<BTreeMap<String, String>, BagError> {
    let listed = listed_of(tags)?;
    for needed in ["bagit.txt", "bag-info.txt", MANIFEST] {
        if !listed.contains_key(needed) {
            return Err(BagError::Missing(needed.to_owned()));
        }
    }
    Ok(listed)
}

fn listed_of(manifest: &[u8]) -> Result<BTreeMap<String, String>, BagError> {
    let text = std::str::from_utf8(manifest).map_err(|_| BagError::Name)?;
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let (hash, path) = line.split_once("  ").ok_or(BagError::Name)?;
        if !is_path(path) || all.insert(path.to_owned(), hash.to_ascii_lowercase()).is_some() {
            return Err(BagError::Name);
        }
    }
    Ok(all)
}

fn shown(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// A path that stays where it is put, on every system.
fn is_path(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !part.ends_with('.')
    })
}

fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BagError> {
    let wrong = |why: &str| BagError::Archive(why.to_owned());
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(wrong("it doesn't begin as one"));
    }
    let end = bytes.len().checked_sub(END).and_then(|at| bytes.get(at..)).ok_or_else(|| wrong("it breaks off"))?;
    let number = |at: usize| match end.get(at..at + 2) {
        Some([low, high]) => usize::from(*low) | (usize::from(*high) << 8),
        _ => 0,
    };
    if !end.starts_with(b"PK\x05\x06") || number(20) != 0 {
        return Err(wrong("it doesn't end as one"));
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| BagError::Archive(error.to_string()))?;
    // The library skips what stands before an archive, were it another one.
    if archive.offset() != 0 {
        return Err(wrong("something stands before it"));
    }
    if number(10) > MOST_ENTRIES {
        return Err(BagError::Large);
    }
    // The library keeps one of several entries of one name.
    if archive.len() != number(10) {
        return Err(BagError::Name);
    }
    let mut all = BTreeMap::new();
    let mut left = MOST_BYTES;
    let mut folder: Option<String> = None;
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(|error| BagError::Archive(error.to_string()))?;
        let name = entry.name().map_err(|_| BagError::Name)?.into_owned();
        let (top, path) = name.split_once('/').ok_or(BagError::Name)?;
        if !is_path(&name) || *folder.get_or_insert_with(|| top.to_owned()) != top || entry.is_symlink() {
            return Err(BagError::Name);
        }
        let mut content = Vec::new();
        let read = entry.take(left + 1).read_to_end(&mut content);
        read.map_err(|_| BagError::Changed(shown(path)))?;
        left = left.checked_sub(content.len() as u64).ok_or(BagError::Large)?;
        if all.insert(path.to_owned(), content).is_some() {
            return Err(BagError::Name);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_could_not_be_read_again_is_not_packed() {
        let packed = |number: usize| {
            let files = (0..number).map(|at| (format!("data/{at}.csv"), b"n\n1\n".to_vec())).collect();
            pack("eger-1", "", &files, |_| Ok::<_, zip::result::ZipError>("signed".to_owned()))
        };
        // Five stand beside the files of every crate.
        assert!(unpack(&packed(MOST_ENTRIES - 5).unwrap()).is_ok());
        let said = packed(MOST_ENTRIES - 4).unwrap_err().to_string();
        assert!(said.contains("larger than any crate"), "{said}");
    }
}
