#![allow(clippy::unwrap_used)]
use super::{
    checkpoint::{Checkpoint, CheckpointError, Witnessed, verify_log},
    *,
};
use crate::sign::SigningKey;
use serde_json::json;

fn log_of(entries: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let log = AuditLog::open(&path).unwrap();
    for n in 0..entries {
        log.append(&json!({ "event": "scan", "n": n })).unwrap();
    }
    (dir, path)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn write(path: &Path, lines: &[String]) {
    std::fs::write(path, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
}

#[test]
fn what_was_written_is_read_and_verified() {
    let (_dir, path) = log_of(3);
    let entries: Vec<Entry> = read(&path).unwrap().map(|e| e.unwrap().0).collect();
    assert_eq!(entries.iter().map(|e| e.event["n"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(verify_log(&path, &[]).unwrap().seq, 3);
    // and it goes on after being closed
    let log = AuditLog::open(&path).unwrap();
    assert_eq!(log.append(&json!({ "event": "scan" })).unwrap().seq, 4);
}

#[test]
fn every_changed_byte_is_found() {
    let (_dir, path) = log_of(4);
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert!(verify_log(&path, &[]).is_err(), "byte {at}");
    }
}

#[test]
fn removed_swapped_doubled_and_invented_lines_are_found() {
    let (_dir, path) = log_of(4);
    let good = lines(&path);
    let mut removed = good.clone();
    removed.remove(1);
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    let mut doubled = good.clone();
    doubled.insert(2, good[1].clone());
    for bad in [removed, swapped, doubled] {
        write(&path, &bad);
        assert!(matches!(verify_log(&path, &[]), Err(AuditError::Broken { .. })), "{bad:?}");
        assert!(AuditLog::open(&path).is_err());
    }
}

#[test]
fn a_cut_tail_is_found_with_a_witnessed_checkpoint_and_a_rewritten_log_too() {
    let (_dir, path) = log_of(4);
    let (own, witness) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let head = AuditLog::open(&path).unwrap().head().unwrap();
    let signed = Checkpoint::sign("eger://spoke/dst", head, &own);
    let seen = Witnessed::sign(&signed, "eger://hub/main", &witness);
    let inner = Witnessed::verify(&seen, &witness.public()).unwrap().checkpoint;
    let checkpoint = Checkpoint::verify(&inner, "eger://spoke/dst", &own.public()).unwrap();
    assert!(matches!(Checkpoint::verify(&inner, "eger://spoke/sds", &own.public()), Err(CheckpointError::Form(_))));
    assert!(Witnessed::verify(&seen, &own.public()).is_err());
    let good = lines(&path);
    // without the checkpoint a cut tail can't be seen: that is what the witness is for
    write(&path, &good[..3]);
    assert!(verify_log(&path, &[]).is_ok());
    let cut = verify_log(&path, std::slice::from_ref(&checkpoint)).unwrap_err();
    assert!(cut.to_string().contains("tail was cut"), "{cut}");
    // a log rewritten from the start is whole in itself
    std::fs::remove_file(&path).unwrap();
    let log = AuditLog::open(&path).unwrap();
    for n in 0..5 {
        log.append(&json!({ "event": "other", "n": n })).unwrap();
    }
    assert!(verify_log(&path, &[]).is_ok());
    assert!(verify_log(&path, &[checkpoint]).unwrap_err().to_string().contains("witnessed"));
}

#[test]
fn two_writers_make_one_chain() {
    let (_dir, path) = log_of(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let log = AuditLog::open(&path).unwrap();
                for _ in 0..50 {
                    log.append(&json!({ "event": "x" })).unwrap();
                }
            });
        }
    });
    assert_eq!(verify_log(&path, &[]).unwrap().seq, 100);
}

#[test]
fn a_line_that_a_crash_cut_off_is_moved_away() {
    let (_dir, path) = log_of(2);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 20]).unwrap();
    assert!(verify_log(&path, &[]).is_err());
    let log = AuditLog::open(&path).unwrap();
    assert_eq!(log.append(&json!({ "event": "next" })).unwrap().seq, 2);
    assert_eq!(verify_log(&path, &[]).unwrap().seq, 2);
    assert!(path.with_extension("torn-2").exists());
}

#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_line() {
    // /dev/full takes no byte: opening it as a log works, appending does not
    let log = AuditLog::open(Path::new("/dev/full"));
    if let Ok(log) = log {
        assert!(matches!(log.append(&json!({ "event": "x" })), Err(AuditError::Io { .. })));
    }
}
