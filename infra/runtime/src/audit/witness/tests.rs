#![allow(clippy::unwrap_used)]
use super::*;
use crate::audit::checkpoint::verify_log;
use serde_json::json;

struct Party {
    dir: tempfile::TempDir,
    peer: Peer,
    key: Arc<SigningKey>,
    log: Arc<AuditLog>,
    witness: Witness,
}

impl Party {
    fn new(peer: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (peer, key): (Peer, _) = (peer.parse().unwrap(), Arc::new(SigningKey::generate().unwrap()));
        let log = Arc::new(AuditLog::open(&dir.path().join("audit/party.log")).unwrap());
        let witness = Witness::new(peer.clone(), Arc::clone(&key), Arc::clone(&log));
        Self { dir, peer, key, log, witness }
    }

    fn write(&self, entries: usize) {
        for n in 0..entries {
            self.log.append(&json!({ "event": "scan", "n": n })).unwrap();
        }
    }

    fn seen_by(&self, other: &Party) -> Result<Checkpoint, WitnessError> {
        let text = other.witness.witness(&self.peer, &self.key.public(), &self.witness.checkpoint().unwrap())?;
        self.witness.pinned(&other.peer, &other.key.public())?;
        self.witness.keep(&other.peer, &other.key.public(), &text)
    }

    fn verify(&self) -> Result<crate::audit::Head, AuditError> {
        let checkpoints = witnessed(self.log.path(), &self.peer, &self.key.public()).unwrap();
        verify_log(self.log.path(), &checkpoints)
    }

    /// The same party, after its log became these lines.
    fn rewritten(&self, change: impl FnOnce(&mut Vec<String>)) -> Witness {
        let path = self.log.path();
        let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        Witness::new(self.peer.clone(), Arc::clone(&self.key), Arc::new(AuditLog::open(path).unwrap()))
    }
}

fn two() -> (Party, Party) {
    (Party::new("eger://hub/main"), Party::new("eger://spoke/dst"))
}

#[test]
fn each_keeps_what_the_other_saw() {
    let (hub, dst) = two();
    dst.write(3);
    assert_eq!(dst.seen_by(&hub).unwrap().seq, 3);
    dst.write(1);
    assert_eq!(dst.seen_by(&hub).unwrap().seq, 4);
    assert_eq!(dst.verify().unwrap().seq, 4);
    assert_eq!(hub.seen_by(&dst).unwrap().seq, 0);
    assert!(dst.dir.path().join("audit/witnessed/hub.main.jws").exists());
}

#[test]
fn hostile_a_cut_tail_is_found_with_what_the_witness_signed_and_not_countersigned_again() {
    let (hub, dst) = two();
    dst.write(3);
    dst.seen_by(&hub).unwrap();
    let cut = dst.rewritten(|lines| lines.truncate(2));
    let error = dst.verify().unwrap_err().to_string();
    assert!(error.contains("its tail was cut"), "{error}");
    let again = cut.checkpoint().unwrap();
    let refused = hub.witness.witness(&dst.peer, &dst.key.public(), &again).unwrap_err();
    assert!(matches!(refused, WitnessError::Back { seen: 3, found: 2, .. }), "{refused}");
    // the proof stays, and what was seen is not forgotten by asking twice
    assert!(hub.dir.path().join("audit/seen/spoke.dst.alarm.jws").exists());
    assert!(hub.witness.witness(&dst.peer, &dst.key.public(), &again).is_err());
}

#[test]
fn hostile_a_rewritten_line_contradicts_what_was_seen() {
    let (hub, dst) = two();
    dst.write(3);
    dst.seen_by(&hub).unwrap();
    let other = Party::new("eger://spoke/dst");
    other.log.append(&json!({ "event": "nothing of note" })).unwrap();
    other.write(2);
    let lines = std::fs::read_to_string(other.log.path()).unwrap();
    let rewritten = dst.rewritten(|own| *own = lines.lines().map(str::to_owned).collect());
    assert!(dst.verify().unwrap_err().to_string().contains("is not the line that was witnessed"));
    let refused = hub.witness.witness(&dst.peer, &dst.key.public(), &rewritten.checkpoint().unwrap()).unwrap_err();
    assert!(matches!(refused, WitnessError::Contradicts { seq: 3, .. }), "{refused}");
}

#[test]
fn hostile_nobody_signs_for_another_party_or_with_a_new_key() {
    let (hub, dst) = two();
    dst.write(2);
    let stranger = Party::new("eger://spoke/sds");
    let text = dst.witness.checkpoint().unwrap();
    // another key, another party's checkpoint
    assert!(hub.witness.witness(&dst.peer, &stranger.key.public(), &text).is_err());
    assert!(hub.witness.witness(&stranger.peer, &dst.key.public(), &text).is_err());
    hub.witness.pinned(&dst.peer, &dst.key.public()).unwrap();
    let changed = hub.witness.pinned(&dst.peer, &stranger.key.public()).unwrap_err();
    assert!(changed.to_string().contains("ALARM"), "{changed}");
    // a countersignature that the spoke makes up, or of another party's checkpoint
    let own = Witnessed::sign(&text, &hub.peer.to_string(), &dst.key);
    assert!(dst.witness.keep(&hub.peer, &hub.key.public(), &own).is_err());
    let others = Witnessed::sign(&stranger.witness.checkpoint().unwrap(), &hub.peer.to_string(), &hub.key);
    assert!(dst.witness.keep(&hub.peer, &hub.key.public(), &others).is_err());
}
