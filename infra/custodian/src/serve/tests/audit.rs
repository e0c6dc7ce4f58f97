//! What is written down, and what happens when it can't be.

use super::*;
use proto::wire::{CustodianCheckpointReply, CustodianCheckpointRequest};
use runtime::audit::{
    AuditLog, Head,
    checkpoint::{Checkpoint, Witnessed, verify_log},
    read, witness,
};

fn events(config: &Config) -> Vec<serde_json::Value> {
    read(&config.audit_log()).unwrap().map(|entry| entry.unwrap().0.event).collect()
}

fn kinds(config: &Config) -> Vec<String> {
    events(config).iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_stream_is_written_down_before_its_first_answer_and_at_its_end() {
    let running = start(|_| {}).await;
    let mut client = running.client();
    let (send, mut replies) = open(&mut client).await.unwrap();
    assert_eq!(kinds(&running.config), ["registered", "enrolled", "started", "evaluating"]);
    send.send(EvaluateRequest { sequence: 0, blinded: point().repeat(3) }).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    drop(send);
    assert!(replies.message().await.unwrap().is_none());
    let status = first_error(&mut client, vec![0xff; 32]).await;
    assert!(status.message().contains("no point") || status.message().contains("is not a ristretto255 point"));
    running.shutdown.cancel();
    running.done.await.unwrap().unwrap();
    assert_eq!(
        kinds(&running.config)[3..],
        ["evaluating", "evaluated", "evaluating", "evaluated", "stopped"].map(str::to_owned)
    );
    let all = events(&running.config);
    assert_eq!(
        (&all[4]["controller"], &all[4]["elements"], &all[4]["outcome"]),
        (&"region-h".into(), &3.into(), &"complete".into())
    );
    assert!(all[6]["outcome"].as_str().unwrap().contains("ristretto255"), "{}", all[6]);
    verify_log(&running.config.audit_log(), &[]).unwrap();
    // nothing of an element stands in the log
    let text = std::fs::read_to_string(running.config.audit_log()).unwrap();
    assert!(!text.contains(&hex::encode(point())[..16]));
}

#[tokio::test]
async fn a_log_that_somebody_changed_stops_evaluations_and_the_next_start() {
    let running = start(|_| {}).await;
    let mut client = running.client();
    let (send, mut replies) = open(&mut client).await.unwrap();
    send.send(EvaluateRequest { sequence: 0, blinded: point() }).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    // cut: the log is shorter than what this process wrote
    let path = running.config.audit_log();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let status = open(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("audit log"), "{status:?}");
    // streams that run are ended too
    send.send(EvaluateRequest { sequence: 1, blinded: point().repeat(2) }).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert!(status.message().contains("audit log"), "{status:?}");
    std::fs::write(&path, text.replacen("region-h", "region-x", 1)).unwrap();
    let options = ServeOptions {
        config: running.config.clone(),
        listen: None,
        ready: None,
        tap: None,
        shutdown: CancellationToken::new(),
    };
    let error = serve(options).await.unwrap_err().to_string();
    assert!(error.contains("line 1") && error.contains("changed"), "{error}");
}

#[tokio::test]
async fn spoke_and_custodian_witness_each_others_logs_and_a_cut_tail_shows() {
    let running = start(|_| {}).await;
    let mut client = running.client();
    let (peer, spoke) = (running.config.peer(), Peer::spoke("region-h").unwrap());
    let own = std::fs::read_to_string(running.config.signing_public_file()).unwrap().parse().unwrap();
    let exchange = async |client: &mut CustodianClient<Channel>, checkpoint: &str, witnessed: &str| {
        let request = CustodianCheckpointRequest { checkpoint: checkpoint.to_owned(), witnessed: witnessed.to_owned() };
        client.checkpoint(request).await.map(tonic::Response::into_inner)
    };
    let log = AuditLog::open(&running.folder.path().join("spoke.log")).unwrap();
    let show = |head: Head, key: &SigningKey| Checkpoint::sign(&spoke.to_string(), head, key);
    let first = show(log.append(&"first").unwrap(), &running.signing);
    let second = show(log.append(&"second").unwrap(), &running.signing);
    let CustodianCheckpointReply { checkpoint, witnessed } = exchange(&mut client, &second, "").await.unwrap();
    assert_eq!(Witnessed::verify(&witnessed, &own).unwrap().checkpoint, second);
    let theirs = Checkpoint::verify(&checkpoint, &peer.to_string(), &own).unwrap();
    let countersigned = Witnessed::sign(&checkpoint, &spoke.to_string(), &running.signing);
    exchange(&mut client, "", &countersigned).await.unwrap();

    // hostile: a log that goes back, one of another party, and a countersignature of something else
    let other = SigningKey::generate().unwrap();
    for (checkpoint, witnessed, says) in [
        (first.clone(), String::new(), "its tail was cut"),
        (show(log.head().unwrap(), &other), String::new(), "signed by nobody who is trusted"),
        (String::new(), Witnessed::sign(&second, &spoke.to_string(), &running.signing), "signed by nobody"),
        (String::new(), Witnessed::sign(&checkpoint, &spoke.to_string(), &other), "signed by nobody"),
    ] {
        let status = exchange(&mut client, &checkpoint, &witnessed).await.unwrap_err();
        assert!(status.message().contains(says), "{status:?}");
    }
    assert_eq!(kinds(&running.config).iter().filter(|kind| *kind == "checkpoint_refused").count(), 4);

    let points = witness::witnessed(&running.config.audit_log(), &peer, &own).unwrap();
    assert_eq!(points, [theirs.clone(), theirs]);
    let path = running.config.audit_log();
    assert!(verify_log(&path, &points).is_ok());
    let text = std::fs::read_to_string(&path).unwrap();
    let cut = text.split_inclusive('\n').take(2).collect::<String>();
    std::fs::write(&path, cut).unwrap();
    assert!(verify_log(&path, &points).unwrap_err().to_string().contains("its tail was cut"));
}
