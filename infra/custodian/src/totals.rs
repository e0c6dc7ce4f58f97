//! Sums of masks for blind totals (docs/blind-totals.md): a hub brings the sealed seeds of all members of one total and gets the
//! sum of their masks, once.
//!
//! INVARIANT: no seed and no mask of one member leaves; only a sum over at least three, and only when every member signed for
//! the same total, fragment, project and members. It is written down before it leaves.

mod verify;

pub use verify::Unsound;

use crate::{
    log::{Event, Log},
    register::{Register, totals::NotAgain},
};
use chrono::Utc;
use proto::{
    blind::{self, SeedStatement},
    ids::ControllerId,
    refusal::{Kind, Refusal},
    wire::{SumReply, SumRequest, totals_server},
};
use runtime::{
    sealing::SealingKey,
    sign::VerifyingKey,
    tls::{self, Role},
};
use std::{collections::BTreeMap, sync::Arc};
use tonic::{Request, Response, Status};
use verify::Verifier;

/// Bytes of one request: 256 members' seeds, each naming 256 members.
pub(crate) const MAX_REQUEST: usize = 8 << 20;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Totals {
    key: Arc<SealingKey>,
    register: Register,
    log: Log,
    /// totals of one project in one day
    per_day: u64,
}

impl Totals {
    /// Sums masks of seeds that are sealed to `key`, for each project `per_day` times a day (UTC).
    #[must_use]
    pub fn new(key: SealingKey, register: Register, log: Log, per_day: u64) -> Self {
        Self { key: Arc::new(key), register, log, per_day }
    }

    /// The caller's name, if it is a hub with the key that was enrolled last.
    async fn hub<T>(&self, request: &Request<T>) -> Result<String, Refusal> {
        let unknown = || {
            Refusal::new(
                Kind::Unauthenticated,
                "the connection names no caller; the custodian certifies hubs: custodian hub add",
            )
        };
        let peer = tls::peer_of(request).ok_or_else(unknown)?;
        let key = tls::key_of(request).ok_or_else(unknown)?;
        if peer.role != Role::Hub {
            return Err(Refusal::new(Kind::Denied, format!("{peer} is no hub, and only hubs put totals together")));
        }
        let hubs = self.register.hubs().await.map_err(|error| no_register(&error))?;
        if hubs.iter().any(|hub| hub.name == peer.name && *hub.key == *key) {
            return Ok(peer.name);
        }
        tracing::warn!(hub = %peer.name, "refused a key that is not enrolled");
        Err(Refusal::new(
            Kind::Denied,
            format!(
                "the key of this connection is not enrolled for hub '{}'. The custodian's operator can: custodian hub add",
                peer.name
            ),
        ))
    }

    /// The enrolled spokes' signing keys.
    async fn spokes(&self) -> Result<BTreeMap<ControllerId, VerifyingKey>, Refusal> {
        let all = self.register.list().await.map_err(|error| no_register(&error))?;
        let enrolled = all.into_iter().filter(|controller| controller.removed.is_none() && controller.key.is_some());
        Ok(enrolled.filter_map(|c| Some((c.name.parse().ok()?, c.signing?))).collect())
    }

    /// The sum of the masks of a request whose seeds belong together, noted as answered.
    async fn sum_of(&self, request: &SumRequest) -> Result<(Vec<SeedStatement>, Vec<u64>), No> {
        let spokes = self.spokes().await.map_err(No::Broken)?;
        let now = Utc::now();
        let statements = Verifier { key: &self.key, spokes: &spokes, now }.verify(request)?;
        let noted = self.register.total(&statements, self.per_day, now).await;
        noted.map_err(|error| No::Broken(no_register(&error)))??;
        let words = statements.first().map_or(0, |first| first.words as usize);
        let mut sum = vec![0; words];
        for statement in &statements {
            let masks: Vec<u64> = statement.seed.masks(statement.of(), 0).take(words).collect();
            // Equally many: the statements say the same number of words.
            let _ = blind::add(&mut sum, &masks);
        }
        Ok((statements, sum))
    }
}

/// Why there is no sum.
#[derive(Debug, thiserror::Error)]
enum No {
    #[error(transparent)]
    Unsound(#[from] Unsound),
    #[error(transparent)]
    Again(#[from] NotAgain),
    #[error("{0}")]
    Broken(Refusal),
}

#[tonic::async_trait]
impl totals_server::Totals for Totals {
    async fn sum(&self, request: Request<SumRequest>) -> Result<Response<SumReply>, Status> {
        let hub = self.hub(&request).await?;
        // Before anything is used up.
        if !self.log.is_writable() {
            return Err(no_log().into());
        }
        let request = request.into_inner();
        let (statements, masks) = match self.sum_of(&request).await {
            Ok(done) => done,
            Err(No::Broken(refusal)) => return Err(refusal.into()),
            Err(no) => return Err(self.refused(&hub, &request, &no).into()),
        };
        if let Some(first) = statements.first() {
            let (project, total) = (first.project.as_ref(), first.total.to_string());
            let event =
                Event::TotalSummed { hub: &hub, project, total: &total, members: statements.len(), words: masks.len() };
            self.log.write(&event).map_err(|_| no_log())?;
            tracing::info!(hub, project, total, members = statements.len(), words = masks.len(), "summed masks");
        }
        Ok(Response::new(SumReply { masks }))
    }
}

impl Totals {
    /// Written down; what the hub reads names who stands in the way, never anything of a seed.
    fn refused(&self, hub: &str, request: &SumRequest, no: &No) -> Refusal {
        let reason = no.to_string();
        let kind = match no {
            No::Again(NotAgain::Quota { .. }) => Kind::Exhausted,
            No::Again(_) => Kind::Denied,
            No::Unsound(_) | No::Broken(_) => Kind::Invalid,
        };
        // Foreign texts: only names that are names.
        let project = request.project.parse::<proto::ids::ProjectId>().map(|id| id.to_string()).unwrap_or_default();
        tracing::warn!(hub, project, reason, "refused to sum masks");
        match self.log.write(&Event::TotalRefused { hub, project: &project, reason: &reason }) {
            Ok(_) => Refusal::new(kind, format!("blind total: {reason}")),
            Err(_) => no_log(),
        }
    }
}

fn no_log() -> Refusal {
    Refusal::new(
        Kind::Unavailable,
        "the custodian can't write its audit log and sums nothing until it can; tell its operator",
    )
}

/// The reason is for the log alone.
fn no_register(error: &crate::register::RegisterError) -> Refusal {
    tracing::error!(%error, "nothing is summed until the register can be used");
    Refusal::new(
        Kind::Unavailable,
        "the custodian can't read or write its register and sums nothing until it can; tell its operator",
    )
}
