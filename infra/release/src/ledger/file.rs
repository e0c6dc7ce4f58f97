//! A ledger on disk: a first line, then one record of the same length for each cell and each statistic.

use super::known::{Of, Record};
use fs4::FileExt;
use proto::plan::persons::{MARKS, Summary};
use std::{
    fs,
    io::{self, BufReader, Read, Seek, Write},
    path::Path,
};

const FIRST: &[u8; 16] = b"eger cells 0002\n";
/// Of a ledger of cells alone, whose records are summaries.
const CELLS_ALONE: &[u8; 16] = b"eger cells 0001\n";
/// Count, key and marks.
const SUMMARY: usize = 4 + 1 + MARKS;
/// Of which kind it is, a summary, and what was shown.
pub(super) const RECORD: usize = 1 + SUMMARY + size_of::<f64>();

/// Open for appending, by this process alone.
#[derive(Debug)]
pub(super) struct File(fs::File);

/// The bytes of a record.
pub(super) fn written(record: &Record) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(RECORD);
    bytes.push(record.of.kind());
    bytes.extend(record.marks.write().map_err(io::Error::other)?);
    bytes.extend(record.shown.to_le_bytes());
    Ok(bytes)
}

fn record(bytes: &[u8]) -> io::Result<Record> {
    let read = || {
        let (kind, rest) = bytes.split_first()?;
        let (marks, shown) = rest.split_at_checked(SUMMARY)?;
        let (of, marks) = (Of::numbered(*kind)?, Summary::read(marks).ok()?);
        Some(Record { of, marks, shown: f64::from_le_bytes(shown.try_into().ok()?) })
    };
    read().ok_or_else(|| io::Error::other("it has a record of no known kind"))
}

impl File {
    /// Of a file that is open.
    #[cfg(test)]
    pub(super) fn of(file: fs::File) -> Self {
        Self(file)
    }

    /// Opens it, makes it when it is missing, and gives what is in it. A record that a crash cut off is dropped: nobody was answered
    /// on it.
    pub(super) fn open(path: &Path, mut take: impl FnMut(Record)) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = locked(path)?;
        if file.metadata()?.len() < FIRST.len() as u64 {
            file.set_len(0)?;
            (&file).write_all(FIRST)?;
            file.sync_data()?;
            return Ok(Self(file));
        }
        if first_line(&file)? == *CELLS_ALONE {
            rewrite(&file, path)?;
            file = locked(path)?;
        }
        if first_line(&file)? != *FIRST {
            return Err(io::Error::other(format!("{} is no ledger of released cells", path.display())));
        }
        let whole = each(&file, RECORD, |bytes| {
            take(record(bytes)?);
            Ok(())
        })?;
        file.set_len(whole)?;
        Ok(Self(file))
    }

    /// Appends records as [`written`] gives them; returns when they are on disk.
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

fn opened(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn locked(path: &Path) -> io::Result<fs::File> {
    let file = opened(path)?;
    FileExt::try_lock(&file).map_err(|_| io::Error::other("another process has it open"))?;
    Ok(file)
}

fn first_line(mut file: &fs::File) -> io::Result<[u8; FIRST.len()]> {
    file.rewind()?;
    let mut first = [0; FIRST.len()];
    file.read_exact(&mut first)?;
    Ok(first)
}

/// Gives each whole record of this length after the first line; says where the last one ends.
fn each(file: &fs::File, length: usize, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let records = bytes.saturating_sub(FIRST.len()) / length;
    first_line(file)?;
    let mut reader = BufReader::new(file);
    let mut record = vec![0; length];
    for _ in 0..records {
        reader.read_exact(&mut record)?;
        take(&record)?;
    }
    Ok((FIRST.len() + records * length) as u64)
}

/// A ledger of cells alone gets the form of today: whole on disk before it takes the old one's place.
fn rewrite(file: &fs::File, path: &Path) -> io::Result<()> {
    let mut bytes = FIRST.to_vec();
    each(file, SUMMARY, |cell| {
        let marks = Summary::read(cell).map_err(io::Error::other)?;
        bytes.extend(written(&Record { of: Of::People, marks, shown: 0.0 })?);
        Ok(())
    })?;
    let beside = path.with_extension("new");
    let mut new = opened(&beside)?;
    new.set_len(0)?;
    new.write_all(&bytes)?;
    new.sync_all()?;
    fs::rename(&beside, path)
}
