//! Keys of a project, kept in step by the hub over real links. The members are simulated: they sign what real ones sign, and
//! their keys are texts.

use crate::{
    house::{ANNA, Build, House, lab, lmdb},
    spoke::Spoke,
};
use chrono::Utc;
use hub::{
    assemble::{
        keys::{KeyKeeper, Members},
        store::EpochStore,
    },
    audit::HubAudit,
    config::SpokeAddress,
    registry::Links,
};
use policies::{
    epoch::{Acceptance, EpochRecord, Holds},
    permit,
    zone::Zone,
};
use prost::Message;
use proto::{
    envelope::{ACCEPTANCE_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION},
    ids::{ControllerId, PermitId, ProjectId},
    refusal::{Kind, Refusal},
    wire,
};
use runtime::sign::SigningKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

const ALL: [&str; 3] = ["sds", "dst", "region-h"];

/// What a simulated member does and remembers.
struct Member {
    controller: String,
    key: SigningKey,
    /// a live permit
    permit: Mutex<Option<PermitId>>,
    /// nothing comes back
    away: Mutex<bool>,
    holds: Mutex<Option<Holds>>,
    /// instead of its own acceptance
    says: Mutex<Option<String>>,
    /// how many epochs it was asked to make, and with whose acceptances the last time
    asked: Mutex<(u32, Vec<String>)>,
}

impl Member {
    fn new(controller: &str) -> Arc<Self> {
        Arc::new(Self {
            controller: controller.to_owned(),
            key: SigningKey::generate().unwrap(),
            permit: Mutex::new(Some(PermitId::new())),
            away: Mutex::default(),
            holds: Mutex::default(),
            says: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    fn named(controller: &str) -> permit::Member {
        let name = |what: &str| format!("{what}-{controller}");
        permit::Member { controller: controller.parse().unwrap(), sealing: name("seal"), signing: name("sign") }
    }

    fn act(&self, kind: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if *self.away.lock().unwrap() {
            return Err(Refusal::new(Kind::Cancelled, "the line is cut"));
        }
        match kind {
            ACCEPTANCE_ACTION => {
                let acceptance = self.says.lock().unwrap().clone().unwrap_or_else(|| self.accept());
                Ok(wire::AcceptanceReply { acceptance }.encode_to_vec())
            }
            MAKE_EPOCH_ACTION => Ok(self.make(&wire::MakeEpochRequest::decode(body).unwrap()).encode_to_vec()),
            TAKE_EPOCH_ACTION => {
                let request = wire::TakeEpochRequest::decode(body).unwrap();
                let record = EpochRecord::claimed(&request.record).unwrap();
                assert_eq!(
                    String::from_utf8(request.sealed).unwrap(),
                    format!("{} for {}", record.key_id, self.controller)
                );
                let epoch = record.epoch;
                *self.holds.lock().unwrap() = Some(Holds { epoch, key_id: record.key_id });
                Ok(wire::TakeEpochReply { epoch }.encode_to_vec())
            }
            _ => Err(Refusal::new(Kind::Invalid, "no such action")),
        }
    }

    fn accept(&self) -> String {
        let Some(permit) = *self.permit.lock().unwrap() else { return String::new() };
        let acceptance = Acceptance {
            project: project(),
            controller: self.controller.parse().unwrap(),
            permit,
            members: ALL.iter().map(|controller| Self::named(controller)).collect(),
            lead: "sds".parse().unwrap(),
            deputy: Some("dst".parse().unwrap()),
            sealing: "00".to_owned(),
            signing: self.key.public(),
            holds: self.holds.lock().unwrap().clone(),
            at: Utc::now(),
        };
        acceptance.sign(&self.key).unwrap()
    }

    fn make(&self, request: &wire::MakeEpochRequest) -> wire::MakeEpochReply {
        let mut with: Vec<String> =
            request.acceptances.iter().map(|a| Acceptance::claimed(a).unwrap().controller.to_string()).collect();
        with.sort();
        let mut asked = self.asked.lock().unwrap();
        *asked = (asked.0 + 1, with.clone());
        let mut members = with.clone();
        members.push(self.controller.clone());
        members.sort();
        let record = EpochRecord {
            project: project(),
            epoch: request.after + 1,
            key_id: format!("{}-{}", self.controller, request.after + 1),
            members: members.iter().map(|controller| Self::named(controller)).collect(),
            lead: self.controller.parse().unwrap(),
            sealing: "00".to_owned(),
            signing: self.key.public(),
            at: Utc::now(),
        };
        *self.holds.lock().unwrap() = Some(Holds { epoch: record.epoch, key_id: record.key_id.clone() });
        let keys = with.into_iter().map(|controller| wire::SealedKey {
            sealed: format!("{} for {controller}", record.key_id).into_bytes(),
            controller,
        });
        wire::MakeEpochReply { keys: keys.collect(), record: record.sign(&self.key).unwrap(), left_out: Vec::new() }
    }

    fn epoch(&self) -> u32 {
        self.holds.lock().unwrap().as_ref().map_or(0, |holds| holds.epoch)
    }

    fn asked(&self) -> u32 {
        self.asked.lock().unwrap().0
    }
}

fn project() -> ProjectId {
    "diabetes".parse().unwrap()
}

struct Open;

#[async_trait::async_trait]
impl Members for Open {
    async fn open(&self) -> BTreeMap<ProjectId, BTreeSet<ControllerId>> {
        BTreeMap::from([(project(), ALL.iter().map(|controller| controller.parse().unwrap()).collect())])
    }
}

/// Three members and the one who keeps their keys in step; a lead that is away is stood in for at once.
struct Case {
    build: Build,
    members: Vec<Arc<Member>>,
    links: Arc<Links>,
    keeper: KeyKeeper,
}

impl Case {
    async fn new() -> Self {
        let build = Build::new();
        let members: Vec<_> = ALL.iter().map(|controller| Member::new(controller)).collect();
        let mut addresses = BTreeMap::new();
        for member in &members {
            let acting = Arc::clone(member);
            let mut spoke = Spoke::new(&member.controller);
            spoke.member = Some(Arc::new(move |kind: &str, body: &[u8]| acting.act(kind, body)));
            let address = spoke.serve(&build.tls(&member.controller)).await.to_string();
            addresses.insert(member.controller.parse().unwrap(), SpokeAddress { address });
        }
        let links = Arc::new(Links::new(&addresses, &build.hub_tls()).unwrap());
        let keeper = keeper(build.path(), &links).await;
        Self { build, members, links, keeper }
    }

    fn epochs(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.epoch()).collect()
    }
}

async fn keeper(folder: &Path, links: &Arc<Links>) -> KeyKeeper {
    let store = EpochStore::open(&folder.join("hub.db")).await.unwrap();
    let audit = HubAudit::open(folder).unwrap();
    KeyKeeper::new(Arc::clone(links), store, Arc::new(Open), audit, Duration::ZERO)
}

#[tokio::test]
async fn every_member_gets_the_leads_key_and_no_other_is_made_without_need() {
    let case = Case::new().await;
    case.keeper.round().await;
    assert_eq!(case.epochs(), [1, 1, 1]);
    case.keeper.round().await;
    case.keeper.round().await;
    assert_eq!(case.members[0].asked(), 1);
    // also by a hub that has just started
    keeper(case.build.path(), &case.links).await.round().await;
    assert_eq!((case.members[0].asked(), case.members[1].asked()), (1, 0));
    // an amended permit with the same members needs none
    *case.members[1].permit.lock().unwrap() = Some(PermitId::new());
    case.keeper.round().await;
    assert_eq!((case.members[0].asked(), case.epochs()), (1, vec![1, 1, 1]));
}

#[tokio::test]
async fn a_member_that_was_away_gets_its_key_when_it_is_back() {
    let case = Case::new().await;
    let region = &case.members[2];
    *region.away.lock().unwrap() = true;
    case.keeper.round().await;
    assert_eq!(case.epochs(), [1, 1, 0]);
    *region.away.lock().unwrap() = false;
    case.keeper.round().await;
    // it had never accepted before: now it has, and everybody goes on together
    assert_eq!(case.epochs(), [2, 2, 2]);
    // away and back with nothing changed: no other epoch, and a key that was lost comes again
    *region.away.lock().unwrap() = true;
    case.keeper.round().await;
    *region.holds.lock().unwrap() = None;
    *region.away.lock().unwrap() = false;
    case.keeper.round().await;
    assert_eq!((case.epochs(), case.members[0].asked()), (vec![2, 2, 2], 2));
}

#[tokio::test]
async fn whose_permit_ends_is_left_out_of_the_next_epoch() {
    let case = Case::new().await;
    case.keeper.round().await;
    *case.members[2].permit.lock().unwrap() = None;
    case.keeper.round().await;
    assert_eq!(case.epochs(), [2, 2, 1]);
    assert_eq!(case.members[0].asked.lock().unwrap().1, ["dst"]);
}

#[tokio::test]
async fn the_deputy_is_asked_when_the_lead_is_away_without_what_the_lead_once_said() {
    let case = Case::new().await;
    case.keeper.round().await;
    *case.members[0].away.lock().unwrap() = true;
    case.keeper.round().await;
    assert_eq!(case.members[1].asked(), 0, "nothing changed: the deputy has nothing to do");
    *case.members[2].permit.lock().unwrap() = None;
    case.keeper.round().await;
    assert_eq!(*case.members[1].asked.lock().unwrap(), (1, Vec::<String>::new()));
    assert_eq!(case.epochs(), [1, 2, 1]);
    *case.members[0].away.lock().unwrap() = false;
    case.keeper.round().await;
    assert_eq!(case.epochs(), [3, 3, 1]);
}

#[tokio::test]
async fn hostile_spoke_speaks_for_another_controller() {
    let case = Case::new().await;
    let other = case.members[1].accept();
    *case.members[2].says.lock().unwrap() = Some(other);
    case.keeper.round().await;
    assert_eq!(*case.members[0].asked.lock().unwrap(), (1, vec!["dst".to_owned()]));
    assert_eq!(case.epochs(), [1, 1, 0]);
}

#[tokio::test]
async fn tables_of_controllers_whose_keys_differ_are_not_joined() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    {
        let mut terms = region.terms.lock().unwrap();
        (terms.epoch, terms.key_id) = (2, "bb".to_owned());
    }
    let house: House = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut client = house.client(ANNA, Zone::Enclave).await;
    let join = "SELECT count(*) FROM sds.lmdb l JOIN \"region-h\".lab_forsker r ON r.pnr = l.pnr";
    let error = client.refused(join).await.to_string();
    assert!(error.contains("are not in step yet; try again in a minute"), "{error}");
    client.sql("SELECT count(*) FROM sds.lmdb").await.unwrap();
    // and the epoch travels with the question
    assert_eq!(sds.seen.scans.lock().unwrap()[0].envelope.as_ref().unwrap().epoch, 1);
}
