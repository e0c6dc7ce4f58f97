//! A custodian with the right certificate that does not do what it should.

use super::{
    LinkError, Linker,
    fixture::{Organisation, Spoke, numbers},
    link_kid,
};
use futures::{Stream, StreamExt};
use proto::wire::{
    CustodianCheckpointReply, CustodianCheckpointRequest, EvaluateReply, EvaluateRequest, PublicKeyReply,
    PublicKeyRequest,
    custodian_server::{Custodian, CustodianServer},
};
use runtime::tls::Tls;
use std::{pin::Pin, sync::Arc, time::Duration};
use tonic::{Request, Response, Status, Streaming};

#[derive(Clone, Copy)]
enum Lie {
    OtherKey,
    UnknownBatch,
    TooShort,
    Refuses,
    Silent,
}

/// Says that it has the pinned key, evaluates with its own.
struct Liar {
    lie: Lie,
    pinned: Vec<u8>,
    key: Arc<::custodian::key::LinkageKey>,
}

type Replies = Pin<Box<dyn Stream<Item = Result<EvaluateReply, Status>> + Send>>;

#[tonic::async_trait]
impl Custodian for Liar {
    async fn public_key(&self, _: Request<PublicKeyRequest>) -> Result<Response<PublicKeyReply>, Status> {
        Ok(Response::new(PublicKeyReply {
            public_key: self.pinned.clone(),
            link_kid: link_kid(&self.pinned),
            max_batch: 4096,
        }))
    }

    type EvaluateStream = Replies;

    async fn evaluate(&self, request: Request<Streaming<EvaluateRequest>>) -> Result<Response<Replies>, Status> {
        let (lie, key) = (self.lie, Arc::clone(&self.key));
        let replies = request.into_inner().then(move |request| {
            let key = Arc::clone(&key);
            async move {
                let EvaluateRequest { sequence, blinded } = request?;
                let mut done = key.evaluate(&blinded, 4096).unwrap();
                match lie {
                    Lie::OtherKey => {}
                    Lie::UnknownBatch => {
                        return Ok(EvaluateReply { sequence: sequence + 1000, ..EvaluateReply::default() });
                    }
                    Lie::TooShort => done.elements.truncate(32),
                    Lie::Refuses => {
                        let refusal = proto::refusal::Refusal::new(proto::refusal::Kind::Denied, "not today");
                        return Err(refusal.into());
                    }
                    Lie::Silent => std::future::pending().await,
                }
                Ok(EvaluateReply { sequence, evaluated: done.elements, proof: done.proof })
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn checkpoint(
        &self,
        _: Request<CustodianCheckpointRequest>,
    ) -> Result<Response<CustodianCheckpointReply>, Status> {
        Ok(Response::new(CustodianCheckpointReply::default()))
    }
}

async fn told(lie: Lie) -> LinkError {
    let organisation = Organisation::new().await;
    let spoke = Spoke::new("sds");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = spoke.options(&organisation, listener.local_addr().unwrap());
    if matches!(lie, Lie::Silent) {
        options.retry.patience = Duration::from_millis(500);
    }
    options.retry.attempts = 2;
    let service = Liar {
        lie,
        pinned: options.public_key.to_bytes().to_vec(),
        key: Arc::new(::custodian::key::LinkageKey::generate().unwrap()),
    };
    let tls = Tls::load(&organisation.config.tls).unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(CustodianServer::new(service))
        .serve_with_incoming(runtime::tls::incoming(listener, &tls));
    let server = tokio::spawn(server);
    let mut linker = Linker::open(options).await.unwrap();
    let error = linker.persons(&numbers(100)).await.unwrap_err();
    assert_eq!(linker.known_people(), 0, "nothing of it is taken");
    assert!(error.to_string().contains("'national'"), "{error}");
    assert!(error.is_custodian());
    server.abort();
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_custodians_evaluation_under_another_key_is_refused() {
    let error = told(Lie::OtherKey).await;
    assert!(matches!(error, LinkError::Proof { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_refused() {
    for lie in [Lie::UnknownBatch, Lie::TooShort] {
        let error = told(lie).await;
        assert!(matches!(error, LinkError::Protocol { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_passed_on_and_not_repeated() {
    let error = told(Lie::Refuses).await;
    assert!(matches!(&error, LinkError::Refused { reason, .. } if reason == "not today"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_counts_as_a_lost_connection() {
    let error = told(Lie::Silent).await;
    assert!(
        matches!(&error, LinkError::Unreachable { attempts: 2, reason, .. } if reason.contains("no answer")),
        "{error}"
    );
}
