//! The real server over TLS on a free port.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{enrol, setup};
use proto::wire::{EvaluateReply, EvaluateRequest, PublicKeyRequest, custodian_client::CustodianClient};
use runtime::{
    ca::CertRequest,
    enrolment::Request,
    sign::SigningKey,
    tls::{Peer, TlsFiles},
};
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

struct Running {
    folder: TempDir,
    config: Config,
    approver: SigningKey,
    signing: SigningKey,
    address: SocketAddr,
    shutdown: CancellationToken,
    done: tokio::task::JoinHandle<Result<(), ServeError>>,
}

async fn start(change: impl FnOnce(&mut Config)) -> Running {
    start_with(1_000_000, change).await
}

async fn start_with(population: u64, change: impl FnOnce(&mut Config)) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = setup::init(&folder.path().join("c"), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = Config::load(&path).unwrap();
    let (approver, signing) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    enrol::register(&config, "region-h", &approver.public(), population, false).await.unwrap();
    certificate(&config, &approver, &signing, &folder.path().join("region-h")).await;
    change(&mut config);
    let (ready, bound) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        config: config.clone(),
        listen: None,
        ready: Some(ready),
        tap: None,
        shutdown: shutdown.clone(),
    };
    let done = tokio::spawn(serve(options));
    Running { folder, config, approver, signing, address: bound.await.unwrap(), shutdown, done }
}

/// What `spoke custodian request`, `custodian enrol` and `spoke custodian install` do together.
async fn certificate(config: &Config, approver: &SigningKey, signing: &SigningKey, out: &Path) {
    let peer = Peer::spoke("region-h").unwrap();
    let (request, key) = Request::make(&peer, "national", approver, signing.public(), 7).unwrap();
    let reply = enrol::enrol(config, &serde_json::to_string(&request).unwrap(), 30).await.unwrap();
    std::fs::create_dir_all(out).unwrap();
    runtime::seal::write_private(&out.join("spoke.key"), key.as_bytes()).unwrap();
    std::fs::write(out.join("spoke.crt"), reply.certificate).unwrap();
    std::fs::write(out.join("ca.crt"), reply.authority).unwrap();
    std::fs::write(out.join("evaluation.pub"), reply.evaluation_key).unwrap();
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { cert: folder.join("spoke.crt"), key: folder.join("spoke.key"), ca: folder.join("ca.crt") }
}

impl Running {
    fn client(&self) -> CustodianClient<Channel> {
        self.client_with(&files(&self.folder.path().join("region-h")))
    }

    fn client_with(&self, files: &TlsFiles) -> CustodianClient<Channel> {
        CustodianClient::new(self.channel_with(files))
    }

    fn channel_with(&self, files: &TlsFiles) -> Channel {
        let tls = Tls::load(files).unwrap();
        tls::channel(&self.address.to_string(), Peer::custodian("national").unwrap(), &tls)
    }

    /// What `hub admin custodian request`, `custodian hub add` and `hub admin custodian install` do together.
    async fn hub(&self, name: &str) -> TlsFiles {
        let (csr, key) = CertRequest::create().unwrap();
        let reply = enrol::enrol_hub(&self.config, name, &csr, 30).await.unwrap();
        let out = self.folder.path().join(format!("hub-{name}-{}", &reply.key[..8]));
        std::fs::create_dir_all(&out).unwrap();
        runtime::seal::write_private(&out.join("spoke.key"), key.as_bytes()).unwrap();
        std::fs::write(out.join("spoke.crt"), reply.certificate).unwrap();
        std::fs::write(out.join("ca.crt"), reply.authority).unwrap();
        files(&out)
    }
}

type Open = (mpsc::Sender<EvaluateRequest>, Streaming<EvaluateReply>);

async fn open(client: &mut CustodianClient<Channel>) -> Result<Open, Status> {
    let (send, receive) = mpsc::channel(64);
    let replies = client.evaluate(ReceiverStream::new(receive)).await?.into_inner();
    Ok((send, replies))
}

/// A point, as good as any blinded element.
fn point() -> Vec<u8> {
    hex::decode("863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945").unwrap()
}

async fn first_error(client: &mut CustodianClient<Channel>, blinded: Vec<u8>) -> Status {
    let (send, mut replies) = open(client).await.unwrap();
    send.send(EvaluateRequest { sequence: 7, blinded }).await.unwrap();
    replies.message().await.unwrap_err()
}

#[tokio::test]
async fn answers_in_order_and_says_what_its_key_is() {
    let running = start(|_| {}).await;
    let mut client = running.client();
    let reply = client.public_key(PublicKeyRequest {}).await.unwrap().into_inner();
    assert_eq!(reply.max_batch, 4096);
    let pinned = std::fs::read_to_string(running.folder.path().join("region-h/evaluation.pub")).unwrap();
    assert_eq!(hex::encode(&reply.public_key), pinned.trim());
    let (send, mut replies) = open(&mut client).await.unwrap();
    for sequence in 0..20 {
        // long and short batches alternate: the short ones are ready first and have to wait
        let blinded = point().repeat(if sequence % 2 == 0 { 200 } else { 1 });
        send.send(EvaluateRequest { sequence, blinded }).await.unwrap();
    }
    drop(send);
    for sequence in 0..20 {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.sequence, sequence);
        assert_eq!(reply.evaluated.len(), if sequence % 2 == 0 { 6400 } else { 32 });
        assert_eq!(reply.proof.len(), 64);
    }
    assert!(replies.message().await.unwrap().is_none());
    running.shutdown.cancel();
    running.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn bad_batches_end_the_stream_with_the_reason() {
    let running = start(|config| config.limits.max_batch = 8).await;
    let mut client = running.client();
    let cases = [
        (point().repeat(9), Code::ResourceExhausted, "batch 7: 9 elements, at most 8 are allowed"),
        (point()[..31].to_vec(), Code::InvalidArgument, "batch 7: 31 bytes are not a whole number"),
        (Vec::new(), Code::InvalidArgument, "batch 7: the batch is empty"),
        ([point(), vec![0xff; 32]].concat(), Code::InvalidArgument, "batch 7: element 1 is not a ristretto255 point"),
    ];
    for (blinded, code, text) in cases {
        let status = first_error(&mut client, blinded).await;
        assert!(status.message().starts_with(text), "{status:?}");
        assert!(status.code() == code || status.code() == Code::OutOfRange, "{status:?}");
    }
    // far over the limit: refused before it is read into memory
    let status = first_error(&mut client, vec![0; 100_000]).await;
    assert_ne!(status.code(), Code::Ok);
    // and the next one is served
    client.public_key(PublicKeyRequest {}).await.unwrap();
}

#[tokio::test]
async fn only_spokes_of_its_own_authority_are_answered() {
    let running = start(|_| {}).await;
    let folder = running.folder.path();
    // the custodian's own certificate is of the right authority, but is no spoke's
    let keys = folder.join("c/keys");
    let own = TlsFiles { cert: keys.join("custodian.crt"), key: keys.join("custodian.key"), ca: keys.join("ca.crt") };
    let mut client = running.client_with(&own);
    let status = client.public_key(PublicKeyRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("only spokes"), "{status:?}");
    assert_eq!(open(&mut client).await.unwrap_err().code(), Code::PermissionDenied);
    // a spoke's certificate of another custodian
    let (other, _) = setup::init(&folder.join("d"), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let other = Config::load(&other).unwrap();
    enrol::register(&other, "region-h", &running.approver.public(), 10, false).await.unwrap();
    certificate(&other, &running.approver, &running.signing, &folder.join("forged")).await;
    let forged = TlsFiles { ca: files(&folder.join("region-h")).ca, ..files(&folder.join("forged")) };
    assert!(running.client_with(&forged).public_key(PublicKeyRequest {}).await.is_err());
    // and a server of another authority is not asked
    assert!(running.client_with(&files(&folder.join("forged"))).public_key(PublicKeyRequest {}).await.is_err());
}

#[tokio::test]
async fn streams_are_limited() {
    let running = start(|config| config.limits.streams = 1).await;
    let mut client = running.client();
    let held = open(&mut client).await.unwrap();
    let status = open(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    drop(held);
    // the place is free again as soon as the server saw the end
    let mut again = tokio::time::interval(std::time::Duration::from_millis(20));
    for _ in 0..100 {
        again.tick().await;
        if open(&mut client).await.is_ok() {
            return;
        }
    }
    unreachable!("the place was not given back");
}

#[tokio::test]
async fn an_idle_stream_is_cut_when_the_drain_time_is_over() {
    let running = start(|config| config.limits.drain_seconds = 1).await;
    let mut client = running.client();
    let (send, mut replies) = open(&mut client).await.unwrap();
    send.send(EvaluateRequest { sequence: 0, blinded: point() }).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    running.shutdown.cancel();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("stopping"), "{status:?}");
    running.done.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_served_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = setup::init(folder.path(), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let again = setup::init(folder.path(), "national", "127.0.0.1:0".parse().unwrap()).unwrap_err();
    assert!(again.to_string().contains("not overwritten"), "{again}");
    let config = Config::load(&path).unwrap();
    setup::renew(&config).unwrap();

    let try_serve = |config: Config, listen| {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        serve(ServeOptions { config, listen, ready: None, tap: None, shutdown })
    };
    let renamed = Config { name: "other".to_owned(), ..config.clone() };
    let error = try_serve(renamed, None).await.unwrap_err().to_string();
    assert!(error.contains("eger://custodian/national"), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = try_serve(config.clone(), Some(address)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("can't listen on {address}")), "{error}");
    runtime::seal::write_private(&folder.path().join("passphrase"), b"another one\n").unwrap();
    let error = try_serve(config, None).await.unwrap_err().to_string();
    assert!(error.contains("passphrase is wrong"), "{error}");
}

mod audit;
mod callers;
mod quota;
mod totals;
