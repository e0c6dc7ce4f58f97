//! A spoke that wants more than it is due.

use super::*;
use crate::register::{AlarmKind, Register, quota::DAILY};

/// A batch of points that nobody sent before: multiples of the base point, so that no two batches have one digest.
fn batch(number: u64, elements: usize) -> Vec<u8> {
    use voprf::{Group, Ristretto255};
    let scalar = |n: u64| {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Ristretto255::deserialize_scalar(&bytes).unwrap()
    };
    (0..elements as u64)
        .flat_map(|i| Ristretto255::serialize_elem(Ristretto255::base_elem() * scalar(1 + number * 1000 + i)))
        .collect()
}

/// Sends batches until one is refused; gives the elements evaluated and the last word.
async fn take(mut client: CustodianClient<Channel>, first: u64) -> (usize, Option<Status>) {
    let mut got = 0;
    let Ok((send, mut replies)) = open(&mut client).await else { return (0, None) };
    for number in first..first + 100 {
        if send.send(EvaluateRequest { sequence: number, blinded: batch(number, 50) }).await.is_err() {
            break;
        }
        match replies.message().await {
            Ok(Some(reply)) => got += reply.evaluated.len() / 32,
            Ok(None) => break,
            Err(status) => return (got, Some(status)),
        }
    }
    (got, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_spoke_gets_no_more_than_its_quota_with_many_streams_and_connections() {
    let running = start_with(100, |config| config.limits.threads = 2).await;
    let allowed = 105 + usize::try_from(DAILY).unwrap();
    let mut got = 0;
    let mut refusals = Vec::new();
    // three rounds of six connections at once, each with batches of its own
    for round in 0..3u64 {
        let streams = (0..6).map(|i| tokio::spawn(take(running.client(), (round * 6 + i) * 100)));
        for stream in streams.collect::<Vec<_>>() {
            let (elements, status) = stream.await.unwrap();
            got += elements;
            refusals.extend(status);
        }
    }
    assert!(got <= allowed, "{got} of {allowed}");
    assert!(got > allowed - 50, "{got} of {allowed}: what is due is given");
    assert_eq!(refusals.len(), 18);
    for status in &refusals {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("2000 more are allowed from 20"), "{status:?}");
    }
    // a process that starts anew has not forgotten
    running.shutdown.cancel();
    running.done.await.unwrap().unwrap();
    let (ready, bound) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        config: running.config.clone(),
        listen: None,
        ready: Some(ready),
        tap: None,
        shutdown: shutdown.clone(),
    };
    let done = tokio::spawn(serve(options));
    let again = Tls::load(&files(&running.folder.path().join("region-h"))).unwrap();
    let address = bound.await.unwrap().to_string();
    let client = CustodianClient::new(tls::channel(&address, Peer::custodian("national").unwrap(), &again));
    let (elements, status) = take(client, 90_000).await;
    assert_eq!((elements, status.unwrap().code()), (0, Code::ResourceExhausted));
    shutdown.cancel();
    done.await.unwrap().unwrap();
    let register = Register::open(&running.config.register()).await.unwrap();
    let mut kinds: Vec<_> = register.alarms(10).await.unwrap().into_iter().map(|alarm| alarm.kind).collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&AlarmKind::Near));
}

#[tokio::test]
async fn a_hostile_spoke_gets_nothing_twice_as_cheap_by_mixing_batches() {
    let running = start_with(20, |_| {}).await;
    let mut client = running.client();
    let (send, mut replies) = open(&mut client).await.unwrap();
    // the same batch again is free, being the same answer; the same elements in another batch are not
    let (one, two) = (batch(1, 10), batch(2, 10));
    for blinded in [one.clone(), one.clone(), [two.clone(), one.clone()].concat()] {
        send.send(EvaluateRequest { sequence: 0, blinded }).await.unwrap();
        replies.message().await.unwrap().unwrap();
    }
    let register = Register::open(&running.config.register()).await.unwrap();
    assert_eq!(register.quota("region-h", chrono::Utc::now()).await.unwrap().used, 30);
}

#[tokio::test]
async fn a_hostile_member_of_the_hubs_own_making_gets_no_evaluation() {
    let running = start(|_| {}).await;
    // The authority's certificate for a name that nobody registered, as the hub's would be for a spoke that it invented.
    let pass = running.config.passphrase().unwrap();
    let (authority, _) = setup::authority(&running.config, &pass).unwrap();
    for name in ["invented", "region-h"] {
        let made = authority.issue(&Peer::spoke(name).unwrap(), 30).unwrap();
        let folder = running.folder.path().join(format!("made-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("spoke.crt"), made.cert_pem).unwrap();
        runtime::seal::write_private(&folder.join("spoke.key"), made.key_pem.as_bytes()).unwrap();
        std::fs::copy(running.folder.path().join("region-h/ca.crt"), folder.join("ca.crt")).unwrap();
        let status = open(&mut running.client_with(&files(&folder))).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{name}");
        assert!(status.message().contains("spoke custodian request"), "{status:?}");
    }
    assert!(open(&mut running.client()).await.is_ok());
}

#[tokio::test]
async fn an_enrolment_anew_and_a_removal_end_what_came_before_with_the_next_batch() {
    let running = start(|_| {}).await;
    let mut client = running.client();
    let (send, mut replies) = open(&mut client).await.unwrap();
    send.send(EvaluateRequest { sequence: 0, blinded: batch(1, 1) }).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    let next = running.folder.path().join("next");
    certificate(&running.config, &running.approver, &running.signing, &next).await;
    send.send(EvaluateRequest { sequence: 1, blinded: batch(2, 1) }).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert_eq!(open(&mut client).await.unwrap_err().code(), Code::PermissionDenied);
    let mut client = running.client_with(&files(&next));
    let (send, mut replies) = open(&mut client).await.unwrap();
    enrol::remove(&running.config, "region-h").await.unwrap();
    send.send(EvaluateRequest { sequence: 0, blinded: batch(3, 1) }).await.unwrap();
    assert_eq!(replies.message().await.unwrap_err().code(), Code::PermissionDenied);
}
