//! The cache against crashes, damage and other keys.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::pseudonym::keys::Secret;
use std::collections::BTreeMap;
use tempfile::TempDir;

#[derive(Default)]
struct Read(BTreeMap<u64, [u8; 16]>);

impl Load for Read {
    fn expect(&mut self, _: usize) {}

    fn block(&mut self, entries: &[Entry]) {
        self.0.extend(entries.iter().map(|entry| (entry.id, entry.p)));
    }
}

const LINK: [u8; 32] = [7; 32];

struct Place {
    folder: TempDir,
    key: CacheKey,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: CacheKey(Secret([1; 32])) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache/persons.cache")
    }

    fn open(&self) -> Result<(CacheFile, Read), CacheError> {
        let mut read = Read::default();
        CacheFile::open(&self.path(), &self.key, &LINK, &mut read).map(|file| (file, read))
    }

    /// Three blocks of 10 entries.
    fn filled() -> Self {
        let place = Self::new();
        let (mut file, read) = place.open().unwrap();
        assert!(read.0.is_empty());
        for block in 0..3 {
            file.append(&entries(block * 10..block * 10 + 10)).unwrap();
        }
        place
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn set(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).unwrap();
    }
}

fn entries(ids: std::ops::Range<u64>) -> Vec<Entry> {
    ids.map(|id| Entry { id, p: u128::from(id).wrapping_mul(0x1234_5678_9abc_def1_2345).to_le_bytes() }).collect()
}

fn expected(ids: std::ops::Range<u64>) -> BTreeMap<u64, [u8; 16]> {
    entries(ids).iter().map(|entry| (entry.id, entry.p)).collect()
}

const BLOCK: usize = BLOCK_HEADER + 10 * ENTRY + TAG;

#[test]
fn what_was_appended_is_read_again() {
    let place = Place::filled();
    let (mut file, read) = place.open().unwrap();
    assert_eq!(read.0, expected(0..30));
    // more than one block at once
    file.append(&entries(30..30 + MAX_ENTRIES as u64 + 5)).unwrap();
    drop(file);
    let (_, read) = place.open().unwrap();
    assert_eq!(read.0, expected(0..30 + MAX_ENTRIES as u64 + 5));
}

#[test]
fn a_torn_tail_is_cut_at_every_length() {
    let place = Place::filled();
    let whole = place.bytes();
    assert_eq!(whole.len(), HEADER + 3 * BLOCK);
    for cut in (1..BLOCK).step_by(7).chain([BLOCK - 1]) {
        place.set(&whole[..whole.len() - cut]);
        let (mut file, read) = place.open().unwrap();
        assert_eq!(read.0, expected(0..20), "cut by {cut}");
        file.append(&entries(20..30)).unwrap();
        drop(file);
        assert_eq!(place.open().unwrap().1.0, expected(0..30), "cut by {cut}");
    }
}

#[test]
fn a_tail_of_zeros_or_rubbish_is_cut() {
    let place = Place::filled();
    let whole = place.bytes();
    for tail in [vec![0; 4096], vec![0xa5; 100], [BLOCK_MAGIC.to_vec(), vec![0; 50]].concat()] {
        place.set(&[whole.clone(), tail].concat());
        assert_eq!(place.open().unwrap().1.0, expected(0..30));
        assert_eq!(place.bytes(), whole);
    }
    // the last block's pages may reach the disk in any order
    let mut hole = whole.clone();
    hole[HEADER + 2 * BLOCK..HEADER + 2 * BLOCK + 60].fill(0);
    place.set(&hole);
    assert_eq!(place.open().unwrap().1.0, expected(0..20));
}

#[test]
fn damage_before_the_last_block_is_an_error_and_nothing_is_cut() {
    let place = Place::filled();
    let whole = place.bytes();
    for at in (HEADER..HEADER + 2 * BLOCK).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        place.set(&damaged);
        let error = place.open().map(|_| ()).unwrap_err();
        assert!(matches!(error, CacheError::Damaged { .. }), "{at}: {error}");
        assert!(error.to_string().contains("persons.cache"), "{error}");
        assert_eq!(place.bytes(), damaged, "{at}");
    }
    // blocks of the same file in another order, or one twice
    let (first, second) = (&whole[HEADER..HEADER + BLOCK], &whole[HEADER + BLOCK..HEADER + 2 * BLOCK]);
    place.set(&[&whole[..HEADER], second, first, &whole[HEADER + 2 * BLOCK..]].concat());
    assert!(matches!(place.open().map(|_| ()).unwrap_err(), CacheError::Damaged { .. }));
}

#[test]
fn a_block_of_another_file_is_not_taken() {
    let (one, other) = (Place::filled(), Place::filled());
    let mut mixed = one.bytes();
    let last = HEADER + 2 * BLOCK;
    mixed.truncate(last);
    mixed.extend_from_slice(&other.bytes()[last..]);
    one.set(&mixed);
    assert_eq!(one.open().unwrap().1.0, expected(0..20));
}

#[test]
fn other_keys_are_refused_by_name() {
    let place = Place::filled();
    let mut read = Read::default();
    let other = CacheKey(Secret([2; 32]));
    let error = CacheFile::open(&place.path(), &other, &LINK, &mut read).map(|_| ()).unwrap_err();
    assert!(matches!(error, CacheError::Key { .. }), "{error}");
    let error = CacheFile::open(&place.path(), &place.key, &[8; 32], &mut read).map(|_| ()).unwrap_err();
    assert!(matches!(error, CacheError::OtherLinkage { .. }), "{error}");
    assert!(error.to_string().contains(&crate::pseudonym::link_kid(&[8; 32])), "{error}");
    // a header that was changed to pass for another linkage key
    let mut bytes = place.bytes();
    bytes[FILE_MAGIC.len() + FILE_ID..][..LINK_KEY].copy_from_slice(&[8; 32]);
    place.set(&bytes);
    let error = CacheFile::open(&place.path(), &place.key, &[8; 32], &mut read).map(|_| ()).unwrap_err();
    assert!(matches!(error, CacheError::Key { .. }), "{error}");
    place.set(b"something else");
    assert!(matches!(place.open().map(|_| ()).unwrap_err(), CacheError::Format { .. }));
    place.set(b"");
    assert!(matches!(place.open().map(|_| ()).unwrap_err(), CacheError::Format { .. }));
    assert!(read.0.is_empty());
}

#[test]
fn two_ingests_cannot_share_it() {
    let place = Place::filled();
    let held = place.open().unwrap();
    assert!(matches!(place.open().map(|_| ()).unwrap_err(), CacheError::Busy { .. }));
    drop(held);
    assert!(place.open().is_ok());
}

#[test]
fn holds_no_p_in_clear_and_is_private() {
    let place = Place::filled();
    let bytes = place.bytes();
    for entry in entries(1..30) {
        assert!(!bytes.windows(16).any(|window| window == entry.p));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(place.path()).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_the_file_stays_whole() {
    let place = Place::filled();
    let (mut file, _) = place.open().unwrap();
    let whole = place.bytes();
    // every write to this device fails for want of room
    let real = std::mem::replace(&mut file.file, OpenOptions::new().write(true).open("/dev/full").unwrap());
    let error = file.append(&entries(30..40)).unwrap_err();
    assert!(error.is_storage(), "{error}");
    assert!(error.to_string().contains("persons.cache") && error.to_string().contains("No space left"), "{error}");
    assert!(matches!(file.append(&entries(30..40)).unwrap_err(), CacheError::Broken { .. }));
    drop(real);
    assert_eq!(place.bytes(), whole);
}
