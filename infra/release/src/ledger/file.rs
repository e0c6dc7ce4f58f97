//! A ledger on disk: a first line, then one record of the same length for each cell.

use fs4::FileExt;
use proto::plan::persons::{MARKS, Summary};
use std::{
    fs,
    io::{self, BufReader, Read, Write},
    path::Path,
};

const FIRST: &[u8; 16] = b"eger cells 0001\n";
/// Count, key and marks.
const RECORD: usize = 4 + 1 + MARKS;

/// Open for appending, by this process alone.
#[derive(Debug)]
pub(super) struct File(fs::File);

impl File {
    /// Of a file that is open.
    #[cfg(test)]
    pub(super) fn of(file: fs::File) -> Self {
        Self(file)
    }

    /// Opens it, makes it when it is missing, and gives what is in it. A record that a crash cut off is dropped: nobody was answered
    /// on it.
    pub(super) fn open(path: &Path, mut cell: impl FnMut(Summary)) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        FileExt::try_lock(&file).map_err(|_| io::Error::other("another process has it open"))?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length < FIRST.len() {
            file.set_len(0)?;
            (&file).write_all(FIRST)?;
            file.sync_data()?;
            return Ok(Self(file));
        }
        let mut reader = BufReader::new(&file);
        let mut first = [0; FIRST.len()];
        reader.read_exact(&mut first)?;
        if first != *FIRST {
            return Err(io::Error::other(format!("{} is no ledger of released cells", path.display())));
        }
        let records = (length - FIRST.len()) / RECORD;
        let mut record = [0; RECORD];
        for _ in 0..records {
            reader.read_exact(&mut record)?;
            cell(Summary::read(&record).map_err(io::Error::other)?);
        }
        file.set_len((FIRST.len() + records * RECORD) as u64)?;
        Ok(Self(file))
    }

    /// Appends cells as [`Summary::write`] gives them; returns when they are on disk.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let before = self.0.metadata()?.len();
        let written = self.0.write_all(bytes).and_then(|()| self.0.sync_data());
        if written.is_err() {
            // Half a record must not stay before the next one.
            let _ = self.0.set_len(before);
        }
        written
    }
}
