//! Key files that go: their bytes are overwritten before the name is removed, so that a file system that keeps blocks
//! where they were keeps nothing. (One that writes elsewhere, or a snapshot, still has the sealed bytes; they open with
//! the spoke's passphrase alone.)

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// A file that is about to be replaced.
pub(super) struct Old(Option<File>);

impl Old {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        match OpenOptions::new().write(true).open(path) {
            Ok(file) => Ok(Self(Some(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// Overwrites what it held, also when another file has its name by now.
    pub(super) fn overwrite(self) -> io::Result<()> {
        let Some(mut file) = self.0 else { return Ok(()) };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(0))?;
        io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
        file.flush()?;
        file.sync_all()
    }
}

/// Overwrites and removes a file. `false`: there was none.
pub(super) fn destroy(path: &Path) -> io::Result<bool> {
    let old = Old::of(path)?;
    if old.0.is_none() {
        return Ok(false);
    }
    old.overwrite()?;
    std::fs::remove_file(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;

    #[test]
    fn what_a_replaced_or_removed_file_held_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let holding = |text: &str| {
            std::fs::write(&path, text).unwrap();
            File::open(&path).unwrap()
        };
        let mut first = holding("first secret");
        let old = Old::of(&path).unwrap();
        let other = dir.path().join("new");
        std::fs::write(&other, "second secret").unwrap();
        std::fs::rename(&other, &path).unwrap();
        old.overwrite().unwrap();
        let mut bytes = Vec::new();
        first.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 12]);
        assert_eq!(std::fs::read(&path).unwrap(), b"second secret");
        let mut second = File::open(&path).unwrap();
        assert!(destroy(&path).unwrap());
        assert!(!path.exists());
        bytes.clear();
        second.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 13]);
        assert!(!destroy(&path).unwrap());
    }
}
