//! Members of one project over the bytes that the hub carries between them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod epochs;
mod hostile;
mod leaving;
mod purges;

use super::*;
use chrono::Duration;
use policies::{
    epoch::{EpochError, EpochRecord},
    grant::TableGrant,
    permit::{self, Output, Permit},
    purpose::{EhdsPurpose, Purpose},
    receipt::Reason,
};
use proto::ids::{PartId, PermitId};
use serde_json::json;
use std::collections::BTreeMap;
use tempfile::TempDir;

/// The permits of one controller, as its approver would have signed them.
#[derive(Default)]
struct Permits {
    live: Mutex<BTreeMap<ProjectId, Arc<SignedPermit>>>,
    unreadable: Mutex<bool>,
}

impl LivePermits for Permits {
    fn live(&self, project: &ProjectId) -> Option<Arc<SignedPermit>> {
        self.live.lock().unwrap().get(project).cloned()
    }

    fn standing(&self, project: &ProjectId) -> Option<Standing> {
        if *self.unreadable.lock().unwrap() {
            return None;
        }
        Some(if self.live(project).is_some() { Standing::Expected } else { Standing::Over(Reason::Revoked) })
    }

    fn ongoing(&self) -> Option<Vec<ProjectId>> {
        let live = self.live.lock().unwrap().keys().cloned().collect();
        if *self.unreadable.lock().unwrap() { None } else { Some(live) }
    }
}

/// A spoke and its controller.
struct Party {
    folder: TempDir,
    permits: Arc<Permits>,
    member: Member,
}

impl Party {
    fn new(controller: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pass = Passphrase::from_text(controller);
        let permits = Arc::new(Permits::default());
        let member = Member {
            controller: controller.parse().unwrap(),
            sealing: Identity::create(&folder.path().join("identity.key"), &pass).unwrap(),
            signing: Arc::new(SigningKey::generate().unwrap()),
            projects: folder.path().join("projects"),
            pass,
            permits: Arc::clone(&permits) as _,
            audit: Arc::new(AuditLog::open(&folder.path().join("audit/spoke.log")).unwrap()),
            known: Mutex::default(),
            turn: Mutex::default(),
        };
        Self { folder, permits, member }
    }

    fn id(&self) -> &ControllerId {
        &self.member.controller
    }

    /// How this spoke stands in a permit.
    fn named(&self) -> permit::Member {
        permit::Member {
            controller: self.id().clone(),
            sealing: self.member.sealing.fingerprint(),
            signing: self.member.signing.public().fingerprint(),
        }
    }

    /// Its controller permits a project with these members; the first leads, the second is deputy.
    fn permit(&self, project: &str, members: Vec<permit::Member>) {
        let deputy = members.get(1).map(|member| member.controller.clone());
        let permit = Permit {
            version: permit::VERSION,
            id: PermitId::new(),
            controller: self.id().clone(),
            project: project.parse().unwrap(),
            title: "Type 2 diabetes".to_owned(),
            part: PartId::new(),
            replaces: None,
            purpose: Purpose { ehds: EhdsPurpose::ScientificResearch, duo: Vec::new(), summary: "why".to_owned() },
            lead: members[0].controller.clone(),
            deputy,
            members,
            users: vec![permit::User { user: "anna".parse().unwrap(), issuer: "https://id.example.org".to_owned() }],
            tables: vec![TableGrant {
                name: "bef".parse().unwrap(),
                columns: vec!["pnr".to_owned()],
                row_filter: None,
            }],
            output: Output::HubAggregates,
            caps: permit::Caps::default(),
            valid_from: "2026-01-01".parse().unwrap(),
            valid_to: "2026-12-31".parse().unwrap(),
            key_lists_to: Vec::new(),
            opt_out_version: 0,
            client_signature: false,
            threshold: None,
            blind: None,
            quick: None,
            approver: "Bente".to_owned(),
            reason: "within the law".to_owned(),
            decided_at: Utc::now(),
        };
        let signed = SignedPermit::sign(permit, &SigningKey::generate().unwrap()).unwrap();
        self.permits.live.lock().unwrap().insert(project.parse().unwrap(), Arc::new(signed));
    }

    fn revoke(&self) {
        self.permits.live.lock().unwrap().remove(&project());
    }

    /// Destroys the keys of what is over.
    fn end(&self) -> Vec<ProjectId> {
        let over: Vec<ProjectId> = self.member.over().unwrap().into_iter().map(|(project, _)| project).collect();
        self.member.destroy(&over).unwrap()
    }

    fn accept(&self) -> String {
        self.member.accept(&project()).unwrap().unwrap()
    }

    /// An acceptance of its own, changed before it is signed with `key`.
    fn acceptance(&self, key: &SigningKey, change: impl FnOnce(&mut Acceptance)) -> String {
        let mut acceptance = Acceptance::claimed(&self.accept()).unwrap();
        change(&mut acceptance);
        acceptance.sign(key).unwrap()
    }

    fn make(&self, acceptances: &[String]) -> Result<Made, MemberError> {
        self.member.make_epoch(&project(), acceptances, 0)
    }

    fn holds(&self) -> Option<Holds> {
        self.member.holding(&project()).unwrap()
    }

    fn audit(&self) -> Vec<serde_json::Value> {
        runtime::audit::read(self.member.audit.path()).unwrap().map(|entry| entry.unwrap().0.event).collect()
    }
}

impl Made {
    fn epoch(&self) -> u32 {
        EpochRecord::claimed(&self.record).unwrap().epoch
    }

    fn of(&self, party: &Party) -> &[u8] {
        &self.keys.iter().find(|(to, _)| to == party.id()).unwrap().1
    }

    fn take(&self, party: &Party) -> Result<u32, MemberError> {
        party.member.take_epoch(&self.record, self.of(party))
    }
}

fn project() -> ProjectId {
    "diabetes".parse().unwrap()
}

/// `sds` leads, `dst` is deputy, `region-h` is a member; each one's permit names all three.
fn three() -> (Party, Party, Party) {
    let all = (Party::new("sds"), Party::new("dst"), Party::new("region-h"));
    let members = vec![all.0.named(), all.1.named(), all.2.named()];
    for party in [&all.0, &all.1, &all.2] {
        party.permit("diabetes", members.clone());
    }
    all
}

fn cause(error: MemberError) -> EpochError {
    match error {
        MemberError::Statement { cause, .. } => cause,
        other => panic!("{other}"),
    }
}
