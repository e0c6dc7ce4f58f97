//! What the spokes offer: for one project, user and zone, each controller's tables as that controller's permit has
//! them. Asked for anew every few seconds, and when a controller's permit changes or its spoke opens a link again; nothing is
//! kept beyond that. What is kept decides nothing: the spoke looks at permit, key and columns with each question, and what
//! it says is stale is forgotten here and planned anew.
//!
//! INVARIANT: an offer is used only for the (project, user, issuer, zone) that it was made to.

mod custodian;
mod links;
pub mod national;
mod offer;
mod quoted;
mod statistics;

pub use custodian::{Custodian, CustodianError};
pub use links::{Link, Links};
pub use national::Nationals;
pub use offer::{BlindSet, Catalogue, Offer, QuickSet, TableOffer, Terms};
pub(crate) use quoted::quoted;
pub use statistics::{ColumnFacts, TableStatistics};

use crate::request::RequestContext;
use arrow_flight::{Action, flight_service_client::FlightServiceClient};
use policies::zone::Zone;
use prost::Message;
use proto::{
    envelope::CATALOGUE_ACTION,
    ids::{ControllerId, PermitId, ProjectId, UserId},
    refusal::{Kind, Refusal},
    wire,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tonic::{Code, Status};

/// The largest catalogue taken from a spoke, bytes.
const MAX_CATALOGUE: usize = 16 << 20;
/// Answers kept at once.
const MAX_CACHED: usize = 4096;
/// A spoke that was down is asked again after this.
const DOWN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    project: ProjectId,
    user: UserId,
    issuer: String,
    zone: Zone,
    controller: ControllerId,
    /// the permit that this hub knows of
    permit: PermitId,
    /// the links that the spoke had opened
    arrivals: u64,
}

/// Asks spokes what they offer.
#[derive(Debug)]
pub struct Registry {
    links: Arc<Links>,
    nationals: Nationals,
    timeout: Duration,
    keep: Duration,
    cache: Mutex<HashMap<Key, (Instant, Offer)>>,
}

impl Registry {
    /// Asks over `links`, puts `nationals` together, waits `timeout` for an answer and uses it for `keep`.
    #[must_use]
    pub fn new(links: Arc<Links>, nationals: Nationals, timeout: Duration, keep: Duration) -> Self {
        Self { links, nationals, timeout, keep, cache: Mutex::default() }
    }

    /// The links that the spokes are asked over.
    #[must_use]
    pub fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// What the project's controllers offer to this request. A spoke that can't be asked is in there as such.
    pub async fn catalogue(&self, context: &RequestContext) -> Catalogue {
        let asked = context.project.controllers.iter().map(async |(controller, permit)| {
            let key = Key {
                project: context.project.project.clone(),
                user: context.caller.user.clone(),
                issuer: context.caller.issuer.clone(),
                zone: context.caller.zone,
                controller: controller.clone(),
                permit: *permit,
                // Looked at before asking: a link that comes meanwhile makes the answer old.
                arrivals: self.links.arrivals(controller),
            };
            if let Some(offer) = self.cached(&key) {
                return (controller.clone(), offer);
            }
            let offer = self.ask(controller, context).await;
            self.remember(key, &offer);
            (controller.clone(), offer)
        });
        let mut catalogue = Catalogue::new(context.project.project.clone(), futures::future::join_all(asked).await);
        self.nationals.add(&mut catalogue, context.allow_partial);
        catalogue
    }

    /// Forgets what a controller offered to a project; says how many answers that were.
    pub fn forget(&self, controller: &ControllerId, project: &ProjectId) -> u64 {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cache.len();
        cache.retain(|key, _| key.controller != *controller || key.project != *project);
        (before - cache.len()) as u64
    }

    fn cached(&self, key: &Key) -> Option<Offer> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, offer)| offer.clone())
    }

    fn remember(&self, key: Key, offer: &Offer) {
        let keep = if matches!(offer, Offer::Down(_)) { self.keep.min(DOWN) } else { self.keep };
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (until, _)| now < *until);
        }
        if cache.len() < MAX_CACHED {
            cache.insert(key, (now + keep, offer.clone()));
        }
    }

    async fn ask(&self, controller: &ControllerId, context: &RequestContext) -> Offer {
        let limit = context.deadline.min(Instant::now() + self.timeout);
        let Ok(Some(link)) = tokio::time::timeout_at(limit, self.links.reach(controller)).await else {
            return Offer::Down(not_connected(controller));
        };
        match tokio::time::timeout_at(limit, request(&link, context)).await {
            Ok(Ok(reply)) => match offer::tables(controller, context.caller.zone, &reply) {
                Ok(tables) => Offer::Tables(tables),
                Err(what) => {
                    tracing::warn!(query_id = %context.query, %controller, what, "a catalogue can't be used");
                    Offer::Down(Refusal::new(
                        Kind::Unavailable,
                        format!(
                            "'{controller}' describes its tables in a way that this hub can't read. Tell the hub's operator"
                        ),
                    ))
                }
            },
            Ok(Err(status)) => {
                let refusal = quoted(&status);
                if matches!(refusal.kind, Kind::Denied | Kind::NotFound) {
                    return Offer::Nothing;
                }
                tracing::warn!(query_id = %context.query, %controller, %refusal, "no catalogue");
                match refusal.kind {
                    // It is there, and says why not.
                    Kind::Unavailable | Kind::Exhausted if !lost(&status) => {
                        Offer::Down(Refusal::new(refusal.kind, format!("'{controller}': {}", refusal.message)))
                    }
                    _ => Offer::Down(unreachable(controller)),
                }
            }
            Err(_) => {
                tracing::warn!(query_id = %context.query, %controller, "no catalogue in time");
                Offer::Down(unreachable(controller))
            }
        }
    }
}

/// What is said of a spoke that doesn't answer at all.
pub(crate) fn unreachable(controller: &ControllerId) -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        format!(
            "the spoke of '{controller}' can't be reached, and an answer without its rows would be wrong. \
             Try again in a minute; if it stays away, tell the hub's operator. Statements that don't name its tables work"
        ),
    )
}

/// What is said of a spoke that has opened no link, or whose links are gone.
pub(crate) fn not_connected(controller: &ControllerId) -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        format!(
            "the spoke of '{controller}' is not connected, and an answer without its rows would be wrong. \
             Try again in a minute; if it stays away, tell the hub's operator. Statements that don't name its tables work"
        ),
    )
}

/// Whether a status comes from the connection, not from the spoke. A spoke never says `Unknown` or `Cancelled`; a status
/// with a source was made on this side.
pub(crate) fn lost(status: &Status) -> bool {
    match status.code() {
        Code::Unknown | Code::Cancelled => true,
        Code::Unavailable | Code::Internal => std::error::Error::source(status).is_some(),
        _ => false,
    }
}

async fn request(link: &Link, context: &RequestContext) -> Result<wire::CatalogueReply, Status> {
    let request = wire::CatalogueRequest { envelope: Some(context.envelope()) };
    let action = Action { r#type: CATALOGUE_ACTION.to_owned(), body: request.encode_to_vec().into() };
    let mut client = FlightServiceClient::new(link.channel()).max_decoding_message_size(MAX_CATALOGUE);
    let mut results = client.do_action(action).await?.into_inner();
    let unreadable = || Status::from(Refusal::new(Kind::Unavailable, "its answer is no catalogue"));
    let first = results.message().await?.ok_or_else(unreadable)?;
    wire::CatalogueReply::decode(first.body).map_err(|_| unreadable())
}
