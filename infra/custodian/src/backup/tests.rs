#![allow(clippy::unwrap_used)]

use super::*;

struct Backup {
    folder: tempfile::TempDir,
    key: LinkageKey,
    shares: Vec<PathBuf>,
}

fn passes() -> [Passphrase; 3] {
    ["one", "two", "three"].map(Passphrase::from_text)
}

fn backup() -> Backup {
    let folder = tempfile::tempdir().unwrap();
    let key = LinkageKey::generate().unwrap();
    std::fs::write(folder.path().join("custodian.pub"), format!("{}\n", hex::encode(key.public_key()))).unwrap();
    let shares = write(&key, &folder.path().join("out"), &passes()).unwrap();
    Backup { folder, key, shares }
}

impl Backup {
    fn open(&self, n: usize) -> Opened {
        open(&self.shares[n], &passes()[n]).unwrap()
    }

    fn combine(&self, shares: &[Opened]) -> Result<LinkageKey, BackupError> {
        combine(shares, &self.folder.path().join("custodian.pub"))
    }
}

#[test]
fn any_two_of_the_three_make_the_key_again() {
    let backup = backup();
    for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 0)] {
        let key = backup.combine(&[backup.open(a), backup.open(b)]).unwrap();
        assert_eq!(key.public_key(), backup.key.public_key(), "{a} and {b}");
    }
    assert!(backup.combine(&[backup.open(0), backup.open(1), backup.open(2)]).is_ok());
}

#[test]
fn one_share_or_the_same_twice_or_of_another_backup_is_refused() {
    let backup = backup();
    let error = backup.combine(&[backup.open(1)]).unwrap_err().to_string();
    assert!(error.contains("1 share given, 2 different ones"), "{error}");
    let copy = backup.folder.path().join("copy");
    std::fs::copy(&backup.shares[1], &copy).unwrap();
    let twice = [backup.open(1), open(&copy, &passes()[1]).unwrap()];
    let error = backup.combine(&twice).unwrap_err().to_string();
    assert!(error.contains("are the same share") && error.contains("copy"), "{error}");
    // the same key in another backup: its shares lie on another line
    let later = write(&backup.key, &backup.folder.path().join("later"), &passes()).unwrap();
    let mixed = [backup.open(0), open(&later[1], &passes()[1]).unwrap()];
    assert!(matches!(backup.combine(&mixed), Err(BackupError::Different)));
}

#[test]
fn shares_of_another_key_restore_nothing() {
    let (backup, other) = (backup(), backup());
    let error = backup.combine(&[other.open(0), other.open(2)]).unwrap_err().to_string();
    assert!(error.contains(&other.key.link_kid()) && error.contains(&backup.key.link_kid()), "{error}");
}

#[test]
fn a_share_opens_with_its_own_passphrase_only_and_holds_nothing_of_the_key_in_clear() {
    let backup = backup();
    assert!(matches!(open(&backup.shares[0], &passes()[1]), Err(BackupError::Sealed { .. })));
    let secret = backup.key.secret();
    for (n, share) in backup.shares.iter().enumerate() {
        let bytes = std::fs::read(share).unwrap();
        let inside = backup.open(n);
        let opened = [inside.padded.as_slice(), &Vec::from(&inside.share)].concat();
        for bytes in [bytes, opened] {
            assert!(!bytes.windows(6).any(|w| secret.windows(6).any(|s| s == w)), "{}", share.display());
        }
    }
    let same = ["one", "two", "one"].map(Passphrase::from_text);
    assert!(matches!(write(&backup.key, &backup.folder.path().join("x"), &same), Err(BackupError::SamePassphrase)));
    let again = write(&backup.key, &backup.folder.path().join("out"), &passes()).unwrap_err();
    assert!(again.to_string().contains("not overwritten"), "{again}");
}
