//! Each call of the link asks the rules what its row says, and the rules are heeded: without the policy that permits a
//! call, a serving spoke refuses it.

use super::{
    fixture::{Fixture, Hub, envelope, permit, read, request},
    hostile::parts::part,
};
use crate::{
    pseudonym::identity::{Identity, signing},
    rules::{ENDPOINTS, Rules},
};
use policies::authorize::{Action, Authorizer, POLICIES, trail::Trail};
use prost::Message;
use proto::{
    envelope::{
        ACCEPTANCE_ACTION, CATALOGUE_ACTION, CHECKPOINT_ACTION, DECISIONS_ACTION, MAKE_EPOCH_ACTION, PART_ACTION,
        TAKE_EPOCH_ACTION,
    },
    ids::PartId,
    plan,
    refusal::{Kind, Refusal},
    wire::{
        AcceptanceReply, AcceptanceRequest, CheckpointRequest, DecisionsRequest, MakeEpochReply, MakeEpochRequest,
        PartRequest, TakeEpochRequest, Zone,
    },
};
use runtime::sign::SigningKey;

/// A hub that makes each call as it is meant.
struct Calls {
    hub: Hub,
    /// the hub's signing key, the same for each server: the spoke believes the first that it sees
    key: String,
    /// of the epoch that was made
    record: String,
}

impl Calls {
    fn of(hub: Hub) -> Self {
        Self { hub, key: SigningKey::generate().unwrap().public().to_string(), record: String::new() }
    }

    async fn make(&mut self, name: &str) -> Result<(), Refusal> {
        let project = "diabetes".to_owned();
        let body = match name {
            "do_get" => return self.ask(Zone::Enclave).await,
            CATALOGUE_ACTION => return self.hub.catalogue(envelope()).await.map(drop),
            PART_ACTION => {
                let mut part = part();
                part.id = PartId::new();
                PartRequest { part: part.to_json() }.encode_to_vec()
            }
            DECISIONS_ACTION => DecisionsRequest { seen: Vec::new() }.encode_to_vec(),
            ACCEPTANCE_ACTION => AcceptanceRequest { project }.encode_to_vec(),
            MAKE_EPOCH_ACTION => MakeEpochRequest { project, acceptances: Vec::new(), after: 0 }.encode_to_vec(),
            TAKE_EPOCH_ACTION => TakeEpochRequest { record: self.record.clone(), sealed: Vec::new() }.encode_to_vec(),
            CHECKPOINT_ACTION => CheckpointRequest { key: self.key.clone(), ..Default::default() }.encode_to_vec(),
            other => panic!("say here how {other} is called"),
        };
        let reply = self.hub.act(name, body).await?;
        match name {
            MAKE_EPOCH_ACTION => self.record = MakeEpochReply::decode(reply.as_slice()).unwrap().record,
            ACCEPTANCE_ACTION => assert!(!AcceptanceReply::decode(reply.as_slice()).unwrap().acceptance.is_empty()),
            _ => {}
        }
        Ok(())
    }

    async fn ask(&mut self, zone: Zone) -> Result<(), Refusal> {
        let mut asked = request(plan::limit(read(&["row"]), 5));
        asked.envelope.as_mut().unwrap().zone = zone.into();
        self.hub.ask(&asked).await.map(drop)
    }
}

/// A spoke whose permit of `diabetes` names its own keys, so that it can make the project's.
async fn lead() -> Fixture {
    let spoke = Fixture::new().await;
    let pass = spoke.config.passphrase().unwrap();
    let mut named = permit("diabetes");
    named.members[0].sealing = Identity::load(&spoke.config.identity_key(), &pass).unwrap().fingerprint();
    named.members[0].signing = signing::load(&spoke.config.signing_key(), &pass).unwrap().public().fingerprint();
    spoke.sign(named);
    spoke
}

/// Runs on threads whose decisions the trail follows, and no others.
fn followed(trail: &Trail, test: impl Future<Output = ()>) {
    let dispatch = trail.dispatch();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
        .build()
        .unwrap();
    let _here = tracing::dispatcher::set_default(&trail.dispatch());
    runtime.block_on(test);
}

#[test]
fn every_call_asks_what_its_row_says_and_nothing_else() {
    let trail = Trail::default();
    followed(&trail, async {
        let spoke = lead().await;
        let server = spoke.serve().await;
        let mut calls = Calls::of(spoke.hub(&server));
        for (name, actions) in ENDPOINTS {
            let expected: Vec<_> = actions.iter().map(|action| (*action, true)).collect();
            assert!(trail.taken().is_empty(), "something is asked without a call");
            calls.make(name).await.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            assert_eq!(trail.taken(), expected, "{name}");
        }
        calls.ask(Zone::Open).await.unwrap();
        let open = [Action::SpokeCall, Action::SpokeCatalogue, Action::SpokeScanOpen];
        assert_eq!(trail.taken(), open.map(|action| (action, true)));
        // A call that there isn't is let in by certificate, and goes nowhere.
        assert_eq!(calls.hub.act("eger.v1.everything", Vec::new()).await.unwrap_err().kind, Kind::Invalid);
        assert_eq!(trail.taken(), [(Action::SpokeCall, true)]);
    });
}

/// The policies that are compiled in, but for one.
fn without(id: &str) -> Rules {
    let mark = format!("@id(\"{id}\")");
    let mut found = 0;
    let cut = |text: &str| match text.split_once(&mark) {
        None => text.to_owned(),
        Some((before, rest)) => {
            let after = rest.split_once("\n@id(").map(|(_, after)| format!("@id({after}")).unwrap_or_default();
            format!("{before}{after}")
        }
    };
    let files: Vec<(&str, String)> = POLICIES
        .iter()
        .map(|(file, text)| {
            found += text.matches(&mark).count();
            (*file, cut(text))
        })
        .collect();
    assert_eq!(found, 1, "{id}");
    let files: Vec<_> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    Rules::of(Authorizer::of(&files).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_that_permits_a_call_a_serving_spoke_refuses_it() {
    let spoke = lead().await;
    let all: Vec<&str> = ENDPOINTS.iter().map(|(name, _)| *name).collect();
    let carried: [(&str, &[&str]); 6] = [
        ("lead-and-deputy-make-keys", &[MAKE_EPOCH_ACTION]),
        ("keys-are-shared-under-a-permit", &[ACCEPTANCE_ACTION, TAKE_EPOCH_ACTION]),
        ("the-own-hub-delivers-parts", &[PART_ACTION]),
        ("named-people-see-the-catalogue", &[CATALOGUE_ACTION, "do_get"]),
        ("named-people-see-rows-in-the-enclave", &["do_get"]),
        ("the-own-hub-may-call", &all),
    ];
    let server = spoke.serve().await;
    let mut calls = Calls::of(spoke.hub(&server));
    for name in &all {
        calls.make(name).await.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    }
    let mut before = server;
    for (policy, needed) in carried {
        before.shutdown.cancel();
        before.task.await.unwrap().unwrap();
        let server = spoke.serve_by(without(policy)).await;
        calls.hub = spoke.hub(&server);
        for name in &all {
            match calls.make(name).await {
                Ok(()) => assert!(!needed.contains(name), "without '{policy}', {name} is answered"),
                Err(refusal) => {
                    assert!(needed.contains(name), "without '{policy}', {name}: {refusal}");
                    assert_eq!(refusal.kind, Kind::Denied, "{name}: {refusal}");
                }
            }
        }
        before = server;
    }
}
