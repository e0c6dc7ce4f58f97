//! Who gets an answer to which call: each kind of caller makes each call of the contract.

use super::*;
use crate::endpoints::{ENDPOINTS, Who};
use proto::wire::{CustodianCheckpointRequest, SumRequest, totals_client::TotalsClient};
use std::collections::BTreeSet;

#[test]
fn every_call_of_the_contract_has_a_row() {
    let contract = include_str!("../../../../../proto/proto/eger/v1/custodian.proto");
    let found: BTreeSet<_> = contract.split("\n  rpc ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    let rows: BTreeSet<_> = ENDPOINTS.iter().map(|(name, _)| *name).collect();
    assert_eq!((found, rows.len()), (rows, ENDPOINTS.len()));
}

async fn call(name: &str, channel: &Channel) -> Result<(), Status> {
    let mut client = CustodianClient::new(channel.clone());
    match name {
        "PublicKey" => client.public_key(PublicKeyRequest {}).await.map(drop),
        "Evaluate" => open(&mut client).await.map(drop),
        "Checkpoint" => client.checkpoint(CustodianCheckpointRequest::default()).await.map(drop),
        "Sum" => match TotalsClient::new(channel.clone()).sum(SumRequest::default()).await {
            // Looked at, and of no project.
            Err(status) if status.code() == Code::InvalidArgument => Ok(()),
            other => other.map(drop),
        },
        other => unreachable!("say here how {other} is called"),
    }
}

#[tokio::test]
async fn each_call_is_answered_to_whom_its_row_says_and_to_nobody_else() {
    let running = start(|_| {}).await;
    let folder = running.folder.path();
    let pass = running.config.passphrase().unwrap();
    let (authority, _) = setup::authority(&running.config, &pass).unwrap();
    // A certificate of the right authority that no enrolment made.
    let made = |who: Peer, stem: &str| {
        let out = folder.join(stem);
        let issued = authority.issue(&who, 30).unwrap();
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("spoke.crt"), issued.cert_pem).unwrap();
        runtime::seal::write_private(&out.join("spoke.key"), issued.key_pem.as_bytes()).unwrap();
        std::fs::copy(folder.join("region-h/ca.crt"), out.join("ca.crt")).unwrap();
        running.channel_with(&files(&out))
    };
    let before = running.channel_with(&files(&folder.join("region-h")));
    assert!(call("Evaluate", &before).await.is_ok());
    certificate(&running.config, &running.approver, &running.signing, &folder.join("next")).await;
    let last = running.channel_with(&files(&folder.join("next")));
    let custodian = made(Peer::custodian("other").unwrap(), "custodian");
    let invented = made(Peer::hub("main").unwrap(), "hub");
    let earlier = running.channel_with(&running.hub("main").await);
    assert!(call("Sum", &earlier).await.is_ok());
    let hub = running.channel_with(&running.hub("main").await);
    let callers = [
        ("a hub that nobody enrolled", invented, None),
        ("a hub's key from before the last enrolment", earlier, None),
        ("a hub with the key enrolled last", hub.clone(), Some(Who::Hub)),
        ("another custodian", custodian, None),
        ("a spoke that nobody registered", made(Peer::spoke("invented").unwrap(), "invented"), Some(Who::Certified)),
        (
            "a registered name, a key that nobody endorsed",
            made(Peer::spoke("region-h").unwrap(), "key"),
            Some(Who::Certified),
        ),
        ("the key from before the last enrolment", before, Some(Who::Certified)),
        ("the key enrolled last", last.clone(), Some(Who::Enrolled)),
    ];
    for (caller, channel, is) in callers {
        for (name, who) in ENDPOINTS {
            let expected = match who {
                Who::Certified => matches!(is, Some(Who::Certified | Who::Enrolled)),
                other => is == Some(*other),
            };
            match call(name, &channel).await {
                Ok(()) => assert!(expected, "{caller}: {name} is answered"),
                Err(status) => {
                    assert!(!expected, "{caller}: {name}: {status:?}");
                    assert_eq!(status.code(), Code::PermissionDenied, "{caller}: {name}");
                }
            }
        }
    }
    enrol::remove(&running.config, "region-h").await.unwrap();
    for (name, who) in ENDPOINTS {
        assert_eq!(call(name, &last).await.is_ok(), *who == Who::Certified, "removed: {name}");
    }
    assert!(enrol::remove_hub(&running.config, "main").await.unwrap());
    for (name, _) in ENDPOINTS {
        assert!(call(name, &hub).await.is_err(), "removed: {name}");
    }
}
