//! Looking after a connection that somebody else drives: whether the peer has spoken, when it last did, that it is
//! gone, and cutting it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A handle on a connection that is driven elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    pub(super) cut: CancellationToken,
    gone: CancellationToken,
    heard: CancellationToken,
    begun: Instant,
    /// milliseconds after `begun`
    last: Arc<AtomicU64>,
}

impl Watch {
    pub(super) fn new(cut: CancellationToken) -> (Self, DropGuard) {
        let gone = CancellationToken::new();
        let watch = Self {
            cut,
            gone: gone.clone(),
            heard: CancellationToken::new(),
            begun: Instant::now(),
            last: Arc::default(),
        };
        (watch, gone.drop_guard())
    }

    /// Ends the connection at once, whatever runs on it.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Resolves when the connection is no more.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether the connection is no more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled() || self.cut.is_cancelled()
    }

    /// Resolves when the peer has sent its first byte after the handshake: only then has it taken this side's certificate.
    pub async fn heard(&self) {
        self.heard.cancelled().await;
    }

    /// How long the peer has said nothing. Keep-alive makes a peer that is there say something every few seconds.
    #[must_use]
    pub fn silent(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    pub(super) fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        if !self.heard.is_cancelled() {
            self.heard.cancel();
        }
    }
}
