//! The hub is asked until there is a receipt that can be believed.

use super::*;
use async_trait::async_trait;
use policies::receipt::Receipt;
use proto::refusal::{Kind, Refusal};
use runtime::{audit::witness::Witness, peer::Peer};

/// A hub that answers with what it is told to.
#[derive(Default)]
pub(super) struct Hub {
    answer: Mutex<Option<String>>,
    pub(super) asked: Mutex<Vec<(ProjectId, Reason)>>,
}

#[async_trait]
impl Removal for Hub {
    async fn purge(&self, project: &ProjectId, reason: Reason) -> Result<String, Refusal> {
        self.asked.lock().unwrap().push((project.clone(), reason));
        self.answer.lock().unwrap().clone().ok_or_else(|| Refusal::new(Kind::Unavailable, "away"))
    }
}

pub(super) struct Case {
    pub(super) party: Party,
    pub(super) purges: Arc<Purges>,
    pub(super) key: SigningKey,
    pub(super) hub: Hub,
}

impl Case {
    pub(super) fn new() -> Self {
        let party = Party::new("dst");
        let (own, main): (Peer, Peer) = ("eger://spoke/dst".parse().unwrap(), "eger://hub/main".parse().unwrap());
        let (signing, log) = (Arc::clone(&party.member.signing), Arc::clone(&party.member.audit));
        let key = SigningKey::generate().unwrap();
        Witness::new(own.clone(), Arc::clone(&signing), Arc::clone(&log)).pinned(&main, &key.public()).unwrap();
        let hub = Arc::new(Witnessing::new(own, main, signing, Arc::clone(&log)));
        let purges = Purges::new(party.folder.path().join("receipts"), party.id().clone(), log, hub);
        Self { party, purges: Arc::new(purges), key, hub: Hub::default() }
    }

    pub(super) fn answer(&self, key: &SigningKey, reason: Reason) {
        let receipt = Receipt {
            hub: "main".to_owned(),
            controller: self.party.id().clone(),
            project: project(),
            reason,
            catalogues: 0,
            sealed_keys: 1,
            files: 3,
            bytes: 4,
            at: Utc::now(),
        };
        *self.hub.answer.lock().unwrap() = Some(receipt.sign(key).unwrap());
    }

    fn files(&self, end: &str) -> usize {
        self.names(end).len()
    }

    pub(super) fn names(&self, end: &str) -> Vec<String> {
        let Ok(list) = std::fs::read_dir(self.party.folder.path().join("receipts")) else { return Vec::new() };
        let names = list.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(&format!(".{end}"))).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_removal_is_asked_for_until_there_is_a_receipt() {
    let case = Case::new();
    case.purges.ask(&project(), Reason::Revoked).unwrap();
    case.purges.ask(&project(), Reason::Revoked).unwrap();
    let now = Utc::now();
    case.purges.round(&case.hub, now).await;
    // not at once again
    case.purges.round(&case.hub, now).await;
    assert_eq!(*case.hub.asked.lock().unwrap(), [(project(), Reason::Revoked)]);
    assert_eq!((case.files("pending"), case.files("jws")), (1, 0));
    case.answer(&case.key, Reason::Revoked);
    case.purges.round(&case.hub, now + Duration::minutes(6)).await;
    assert_eq!((case.files("pending"), case.files("jws")), (0, 1));
    let written = case.party.audit().pop().unwrap();
    assert_eq!((&written["event"], &written["files"]), (&json!("receipt"), &json!(3)));
    case.purges.round(&case.hub, now + Duration::minutes(12)).await;
    assert_eq!(case.hub.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn hostile_hub_gives_a_receipt_that_is_not_for_this_removal() {
    let case = Case::new();
    case.purges.ask(&project(), Reason::Revoked).unwrap();
    let mut now = Utc::now();
    case.answer(&SigningKey::generate().unwrap(), Reason::Revoked);
    case.purges.round(&case.hub, now).await;
    case.answer(&case.key, Reason::Withdrawn);
    now += Duration::minutes(6);
    case.purges.round(&case.hub, now).await;
    assert_eq!(case.hub.asked.lock().unwrap().len(), 2);
    assert_eq!((case.files("pending"), case.files("jws")), (1, 0));
    // after a day the controller is told
    now += Duration::hours(25);
    case.purges.round(&case.hub, now).await;
    let alarm = case.party.audit().pop().unwrap();
    assert_eq!((&alarm["event"], &alarm["reason"]), (&json!("alarm"), &json!("revoked")));
}
