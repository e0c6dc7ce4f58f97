//! A hub that means ill: it holds its own certificate and live tokens of its users, sends what it likes, and gets nothing
//! beyond what the controller signed. Each attack is tried over the link against a real server.

pub(super) mod parts;
mod permits;
mod questions;
mod secrets;
mod signature;
mod tokens;

use super::fixture::{
    ANNA, Fixture, Hub, ISSUER, LMDB, Server, claims, count, envelope, filtered, issuer_key, permit, pseudonyms, read,
    read_of, request, token, token_by,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use datafusion::prelude::{col, lit};
use policies::{
    application::{EXAMPLE, Form, Part},
    permit::{Output, PERMIT, SignedPermit},
    query_signature::{self, Asked, Digest},
};
use prost::Message;
use proto::{
    envelope::{DECISIONS_ACTION, PART_ACTION},
    ids::{ControllerId, PartId, PermitId, ProjectId, QueryId},
    plan,
    refusal::{Kind, Refusal},
    wire::{DecisionsReply, DecisionsRequest, MeasureKind, PartRequest, ScanRequest, Zone},
};
use runtime::{
    sign::SigningKey,
    token::binding::{Algorithm, BindingKey},
};
use serde_json::json;
use std::time::{Duration, SystemTime};

const DENIED: &str = "no such project for this user here, or its time is over";

/// A spoke whose own permit for `diabetes` is gone: whatever is answered comes from the attack.
async fn without_permit() -> (Fixture, Server, Hub) {
    let spoke = Fixture::new().await;
    for entry in std::fs::read_dir(spoke.config.permits_dir()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // A serving spoke destroys the key of what nothing permits, at a time of its own; here it is gone from the start.
    std::fs::remove_file(spoke.config.project_key(&"diabetes".parse().unwrap())).unwrap();
    let server = spoke.serve().await;
    let hub = spoke.hub(&server);
    (spoke, server, hub)
}

async fn with_permit() -> (Fixture, Server, Hub) {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let hub = spoke.hub(&server);
    (spoke, server, hub)
}

fn few() -> ScanRequest {
    request(plan::limit(read(&["row"]), 5))
}

/// Nothing comes, and nothing is told.
async fn denied(hub: &mut Hub) {
    let refusal = hub.ask(&few()).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.message.as_str()), (Kind::Denied, DENIED));
    assert_eq!(hub.catalogue(envelope()).await.unwrap_err(), refusal);
}
