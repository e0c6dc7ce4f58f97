//! The way to the custodian, for blind totals: it opens the seeds that spokes sealed to it and gives the sum of their masks.
//!
//! INVARIANT: nothing but sealed seeds is sent; shares and totals stay here.

use crate::config::CustodianConfig;
use proto::{
    ids::{ProjectId, QueryId},
    refusal::{Kind, Refusal},
    wire::{SealedSeed, SumRequest, totals_client::TotalsClient},
};
use runtime::{
    peer::{Peer, PeerError},
    tls::{self, Tls, TlsError},
};
use tokio::time::Instant;
use tonic::transport::Channel;

/// Why the custodian can't be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum CustodianError {
    /// The certificate that the custodian gave.
    #[error("hub.toml, [custodian.tls]: {0}. Run: hub admin custodian")]
    Tls(#[from] TlsError),
    /// Its name.
    #[error("hub.toml, [custodian]: {0}")]
    Name(#[from] PeerError),
}

/// The custodian; connected on first use, again after a loss.
#[derive(Debug, Clone)]
pub struct Custodian {
    name: String,
    client: TotalsClient<Channel>,
}

impl Custodian {
    /// The custodian of the configuration. Whoever answers must be `eger://custodian/NAME`.
    ///
    /// # Errors
    /// When the certificate can't be used, or the name is none.
    pub fn new(config: &CustodianConfig) -> Result<Self, CustodianError> {
        let peer = Peer::custodian(&config.name)?;
        let channel = tls::channel(&config.address, peer, &Tls::load(&config.tls)?);
        Ok(Self { name: config.name.clone(), client: TotalsClient::new(channel) })
    }

    /// As configured.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sum of the masks of one total, word by word. It is given once: what gets lost on its way is lost.
    ///
    /// # Errors
    /// When the custodian refuses, isn't there, or doesn't answer until `deadline`.
    pub async fn sum(
        &self,
        project: &ProjectId,
        total: &QueryId,
        seeds: Vec<SealedSeed>,
        deadline: Instant,
    ) -> Result<Vec<u64>, Refusal> {
        let request = SumRequest { project: project.to_string(), total: total.to_string(), seeds };
        match tokio::time::timeout_at(deadline, self.client.clone().sum(request)).await {
            Ok(Ok(reply)) => Ok(reply.into_inner().masks),
            // A status made on this side has a source: there was no answer.
            Ok(Err(status)) if std::error::Error::source(&status).is_some() => Err(Refusal::new(
                Kind::Unavailable,
                format!(
                    "custodian '{}' can't be reached, and without it there is no blind total; try again later",
                    self.name
                ),
            )),
            Ok(Err(status)) => {
                let Refusal { kind, message, .. } = Refusal::from(status);
                Err(Refusal::new(kind, format!("custodian '{}': {message}", self.name)))
            }
            Err(_) => Err(Refusal::new(
                Kind::Deadline,
                format!("custodian '{}' did not answer in the time of this statement; run it again", self.name),
            )),
        }
    }
}
