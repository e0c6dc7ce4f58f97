//! How many numbers a project is shown: on one day, and for as long as its key lives.
//!
//! Noise that belongs to people can be averaged away by whoever asks for many sets of nearly the same people, and so can lots. What that takes
//! is hundreds of numbers; a cap says in how many days they can be had.
//!
//! A statement counts by its plan: the same one again costs nothing, since its answer is the same. What it costs is what its asker sees
//! anyway: its statistics times the groups that are shown, hidden ones among them, and once more for the row that stands for small groups.
//!
//! INVARIANT: what a statement costs follows from its text and from which groups are shown. It doesn't depend on whether cells are near to
//! earlier ones, nor on small groups, so that whoever has a cap nearly used up sees nothing by whether it is enough.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Seek, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The most numbers that a project is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// on one day, UTC
    pub per_day: u64,
    /// under one key
    pub per_key: u64,
}

impl Caps {
    /// No cap: for what nobody asks for.
    pub const NONE: Self = Self { per_day: u64::MAX, per_key: u64::MAX };
}

impl Default for Caps {
    /// As many a day as 170 tables of registers have, of 118 numbers each (`bench --only utility`); for fifty such days.
    fn default() -> Self {
        Self { per_day: 20_000, per_key: 1_000_000 }
    }
}

/// What a statement is known by: a hash of its plan.
pub(in crate::release) type Digest = [u8; 16];

/// Which cap is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Day(u64),
    Key(u64),
}

/// What the statements of a project have cost so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cost: HashMap<Digest, u64>,
    /// days since 1970
    day: u32,
    of_day: u64,
    all: u64,
    file: Option<fs::File>,
}

const FIRST: &[u8; 16] = b"eger asked 0001\n";
/// Digest, day, and how much more the statement has cost.
const RECORD: usize = 16 + 4 + 8;

/// Days since 1970, UTC.
pub(super) fn today() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(seconds / 86_400).unwrap_or(u32::MAX)
}

impl Tally {
    /// Reads the file beside a ledger, or begins one. A record that a crash cut off is dropped.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let mut tally = Self::default();
        match bytes.split_at_checked(FIRST.len()) {
            None => {
                file.set_len(0)?;
                file.write_all(FIRST)?;
            }
            Some((first, records)) if first == FIRST => {
                let (records, torn) = records.as_chunks::<RECORD>();
                for record in records {
                    tally.read(record);
                }
                file.set_len((bytes.len() - torn.len()) as u64)?;
            }
            Some(_) => return Err(io::Error::other(format!("{} doesn't say what was asked", path.display()))),
        }
        tally.file = Some(file);
        Ok(tally)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.cost.capacity() * (size_of::<(Digest, u64)>() + 1)
    }

    /// What all statements have cost.
    #[cfg(test)]
    pub(super) fn all(&self) -> u64 {
        self.all
    }

    fn read(&mut self, record: &[u8; RECORD]) {
        let [digest @ .., d0, d1, d2, d3, m0, m1, m2, m3, m4, m5, m6, m7] = *record;
        let day = u32::from_le_bytes([d0, d1, d2, d3]);
        self.add(digest, day, u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7]));
    }

    fn add(&mut self, digest: Digest, day: u32, more: u64) {
        if day > self.day {
            (self.day, self.of_day) = (day, 0);
        }
        let cost = self.cost.entry(digest).or_default();
        *cost = cost.saturating_add(more);
        self.of_day = self.of_day.saturating_add(more);
        self.all = self.all.saturating_add(more);
    }

    /// Takes note that a statement has cost so much in all. It is in the file, if there is one, when this returns; a machine that loses
    /// power may forget the last ones.
    pub(super) fn take(&mut self, digest: Digest, cost: u64, today: u32, caps: Caps) -> io::Result<Result<(), Spent>> {
        let more = cost.saturating_sub(self.cost.get(&digest).copied().unwrap_or_default());
        if more == 0 {
            return Ok(Ok(()));
        }
        // A clock that goes back gives nobody another day.
        let today = today.max(self.day);
        let of_day = if today > self.day { 0 } else { self.of_day };
        if self.all.saturating_add(more) > caps.per_key {
            return Ok(Err(Spent::Key(caps.per_key)));
        }
        if of_day.saturating_add(more) > caps.per_day {
            return Ok(Err(Spent::Day(caps.per_day)));
        }
        if let Some(file) = &mut self.file {
            let before = file.metadata()?.len();
            let record = [&digest[..], &today.to_le_bytes(), &more.to_le_bytes()].concat();
            if let Err(error) = file.write_all(&record) {
                // Half a record must not stay before the next one.
                let _ = file.set_len(before);
                return Err(error);
            }
        }
        self.add(digest, today, more);
        Ok(Ok(()))
    }
}

impl Spent {
    /// What is said; it names the cap, when it is free again, and what works meanwhile.
    pub(super) fn said(self) -> String {
        let again = "Statements that were answered before are answered as before, and cost nothing.";
        let inside = "What is computed in the secure environment leaves through the airlock instead";
        match self {
            Self::Day(cap) => format!(
                "this statement's numbers are more than are left of today's: a project is shown {cap} new ones a day (UTC). From midnight UTC on \
                 there are as many again. {again} Ask for fewer groups, ask the project's controllers for a higher cap \
                 (statistics_per_day), or wait. {inside}"
            ),
            Self::Key(cap) => format!(
                "this statement's numbers are more than are left of what this project is shown under its present key: {cap} new ones \
                 (statistics_per_key). {again} Ask the project's controllers for another key or a higher cap. {inside}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CAPS: Caps = Caps { per_day: 100, per_key: 250 };

    fn take(tally: &mut Tally, statement: u8, cost: u64, day: u32) -> Result<(), Spent> {
        tally.take([statement; 16], cost, day, CAPS).unwrap()
    }

    #[test]
    fn a_statement_counts_once_and_a_day_has_an_end() {
        let mut tally = Tally::default();
        assert_eq!(take(&mut tally, 1, 60, 5), Ok(()));
        assert_eq!(take(&mut tally, 1, 60, 5), Ok(()), "again");
        assert_eq!(take(&mut tally, 1, 40, 5), Ok(()), "a part of it");
        assert_eq!(take(&mut tally, 2, 41, 5), Err(Spent::Day(100)));
        assert_eq!(take(&mut tally, 2, 40, 5), Ok(()), "what was refused cost nothing");
        assert_eq!(take(&mut tally, 1, 60, 5), Ok(()), "answered before");
        assert_eq!(take(&mut tally, 3, 1, 5), Err(Spent::Day(100)));
        assert_eq!(take(&mut tally, 3, 1, 4), Err(Spent::Day(100)), "a clock that goes back");
        assert_eq!(take(&mut tally, 3, 100, 6), Ok(()));
        assert_eq!(take(&mut tally, 4, 51, 7), Err(Spent::Key(250)));
        assert_eq!(take(&mut tally, 4, 50, 7), Ok(()));
        assert_eq!(take(&mut tally, 5, 1, 9), Err(Spent::Key(250)));
    }

    #[test]
    fn what_was_asked_is_known_after_a_restart_and_a_torn_record_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger/diabetes-1.asked");
        {
            let mut tally = Tally::open(&path).unwrap();
            assert_eq!(take(&mut tally, 1, 60, 5), Ok(()));
            assert_eq!(take(&mut tally, 1, 70, 5), Ok(()));
        }
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([1; 9]);
        fs::write(&path, &bytes).unwrap();
        for _ in 0..2 {
            let mut tally = Tally::open(&path).unwrap();
            assert_eq!(take(&mut tally, 2, 31, 5), Err(Spent::Day(100)));
            assert_eq!(take(&mut tally, 1, 70, 5), Ok(()));
            assert_eq!((tally.of_day, tally.all), (70, 70));
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), (FIRST.len() + 2 * RECORD) as u64);
        fs::write(&path, "something else, and long enough").unwrap();
        assert!(Tally::open(&path).is_err());
    }

    /// A device that is always full.
    #[cfg(target_os = "linux")]
    #[test]
    fn on_a_full_disk_nothing_is_shown_and_nothing_counted() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut tally = Tally { file: Some(full), ..Tally::default() };
        let error = tally.take([1; 16], 60, 5, CAPS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((tally.of_day, tally.all, tally.cost.len()), (0, 0, 0));
        tally.file = None;
        assert_eq!(take(&mut tally, 1, 100, 5), Ok(()), "all of the day is left");
    }
}
