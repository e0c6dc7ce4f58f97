//! Telling others where a server listens: a small JSON file, written when connections are accepted.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path};

/// Writes `{"name":"ip:port", ..}` to `path`, all at once (a reader never sees half a file).
///
/// # Errors
/// When the folder can't be written.
pub fn write(path: &Path, addresses: &[(&str, SocketAddr)]) -> io::Result<()> {
    let map: BTreeMap<&str, String> = addresses.iter().map(|(name, address)| (*name, address.to_string())).collect();
    let text = serde_json::to_vec(&map).map_err(io::Error::other)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// When the file is missing or is not such a file.
pub fn read(path: &Path) -> io::Result<BTreeMap<String, SocketAddr>> {
    let bytes = std::fs::read(path)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}
