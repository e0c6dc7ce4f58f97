//! The hub and a spoke as each other's witnesses, over a real link; the spoke is simulated but for its log.

use crate::{house::Build, spoke::Spoke};
use hub::{
    assemble::{checkpoints::Checkpoints, keys::Members},
    audit::{self, Event, HubAudit},
    config::SpokeAddress,
    registry::Links,
};
use prost::Message;
use proto::{
    ids::{ControllerId, ProjectId},
    refusal::{Kind, Refusal},
    wire::{CheckpointReply, CheckpointRequest},
};
use runtime::{
    audit::{
        AuditLog,
        checkpoint::verify_log,
        witness::{self, Witness},
    },
    peer::Peer,
    sign::SigningKey,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

struct Sds;

#[async_trait::async_trait]
impl Members for Sds {
    async fn open(&self) -> BTreeMap<ProjectId, BTreeSet<ControllerId>> {
        BTreeMap::from([("diabetes".parse().unwrap(), BTreeSet::from(["sds".parse().unwrap()]))])
    }
}

fn sds() -> Peer {
    "eger://spoke/sds".parse().unwrap()
}

fn main() -> Peer {
    "eger://hub/main".parse().unwrap()
}

/// The spoke's side, with a log that can be opened anew.
struct Side {
    path: PathBuf,
    key: Arc<SigningKey>,
    witness: Mutex<Witness>,
}

impl Side {
    fn new(folder: &Path) -> Self {
        let (path, key) = (folder.join("sds/audit/spoke.log"), Arc::new(SigningKey::generate().unwrap()));
        let witness = Mutex::new(open(&path, &key));
        Self { path, key, witness }
    }

    fn write(&self, entries: usize) {
        let log = AuditLog::open(&self.path).unwrap();
        (0..entries).for_each(|n| drop(log.append(&json!({ "event": "scan", "n": n })).unwrap()));
    }

    /// Its log becomes shorter; nobody else knows.
    fn cut(&self, lines: usize) {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let kept: String = text.lines().take(lines).map(|line| format!("{line}\n")).collect();
        std::fs::write(&self.path, kept).unwrap();
        *self.witness.lock().unwrap() = open(&self.path, &self.key);
    }

    fn act(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request = CheckpointRequest::decode(body).unwrap();
        let denied = |error: witness::WitnessError| Refusal::new(Kind::Denied, error.to_string());
        let witness = self.witness.lock().unwrap();
        let key = witness.pinned(&main(), &request.key.parse().unwrap()).map_err(denied)?;
        if !request.witnessed.is_empty() {
            witness.keep(&main(), &key, &request.witnessed).map_err(denied)?;
        }
        let witnessed = match request.checkpoint.as_str() {
            "" => String::new(),
            text => witness.witness(&main(), &key, text).map_err(denied)?,
        };
        let checkpoint = witness.checkpoint().unwrap();
        Ok(CheckpointReply { checkpoint, witnessed, key: witness.key().to_string() }.encode_to_vec())
    }
}

fn open(path: &Path, key: &Arc<SigningKey>) -> Witness {
    Witness::new(sds(), Arc::clone(key), Arc::new(AuditLog::open(path).unwrap()))
}

struct Case {
    build: Build,
    side: Arc<Side>,
    audit: HubAudit,
    links: Arc<Links>,
}

impl Case {
    async fn new() -> Self {
        let build = Build::new();
        let side = Arc::new(Side::new(build.path()));
        let acting = Arc::clone(&side);
        let mut spoke = Spoke::new("sds");
        spoke.member = Some(Arc::new(move |_: &str, body: &[u8]| acting.act(body)));
        let address = spoke.serve(&build.tls("sds")).await.to_string();
        let addresses = BTreeMap::from([("sds".parse().unwrap(), SpokeAddress { address })]);
        let links = Arc::new(Links::new(&addresses, &build.hub_tls()).unwrap());
        let audit = HubAudit::open(build.path()).unwrap();
        Self { build, side, audit, links }
    }

    fn checkpoints(&self) -> Checkpoints {
        let key = Arc::new(audit::signing_key(self.build.path()).unwrap());
        Checkpoints::new(main(), key, self.audit.clone(), Arc::clone(&self.links), Arc::new(Sds))
    }

    async fn write(&self, entries: usize) {
        for _ in 0..entries {
            self.audit.record(Event::Server { what: "started" }).await.unwrap();
        }
    }

    fn alarms(&self) -> Vec<String> {
        let entries = runtime::audit::read(&audit::log_path(self.build.path())).unwrap();
        let events = entries.map(|entry| entry.unwrap().0.event);
        events.filter(|event| event["event"] == "alarm").map(|event| event["what"].to_string()).collect()
    }
}

#[tokio::test]
async fn each_side_keeps_what_the_other_countersigned() {
    let case = Case::new().await;
    case.write(2).await;
    case.side.write(3);
    let checkpoints = case.checkpoints();
    checkpoints.round().await;
    case.write(1).await;
    checkpoints.round().await;
    let (head, witnessed) = audit::verify(case.build.path(), "main", &[]).unwrap();
    assert_eq!((head.seq, witnessed), (3, 2));
    let own = witness::witnessed(&case.side.path, &sds(), &case.side.key.public()).unwrap();
    assert!(own.iter().all(|checkpoint| checkpoint.seq == 3) && !own.is_empty());
    // what the spoke keeps of the hub's log proves it too
    let seen = case.side.path.parent().unwrap().join("seen/hub.main.jws");
    assert!(audit::verify(case.build.path(), "main", &[seen]).is_ok());
    assert!(case.alarms().is_empty());
}

#[tokio::test]
async fn hostile_spoke_cuts_its_log_and_the_hub_raises_the_alarm_once() {
    let case = Case::new().await;
    case.side.write(3);
    let checkpoints = case.checkpoints();
    checkpoints.round().await;
    case.side.cut(2);
    checkpoints.round().await;
    checkpoints.round().await;
    let alarms = case.alarms();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms[0].contains("its tail was cut"), "{alarms:?}");
}

#[tokio::test]
async fn hostile_hub_cuts_its_own_log_and_the_spoke_does_not_countersign() {
    let case = Case::new().await;
    case.write(4).await;
    case.checkpoints().round().await;
    let path = audit::log_path(case.build.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, kept).unwrap();
    let cut = Case { audit: HubAudit::open(case.build.path()).unwrap(), ..case };
    let before = std::fs::read(cut.build.path().join("audit/witnessed/spoke.sds.jws")).unwrap();
    cut.checkpoints().round().await;
    let after = std::fs::read(cut.build.path().join("audit/witnessed/spoke.sds.jws")).unwrap();
    assert_eq!(before, after);
    assert!(cut.side.path.parent().unwrap().join("seen/hub.main.alarm.jws").exists());
    // with what it got before, and with what the spoke kept, it is found out
    let error = audit::verify(cut.build.path(), "main", &[]).unwrap_err().to_string();
    assert!(error.contains("its tail was cut"), "{error}");
    verify_log(&cut.side.path, &[]).unwrap();
}
