//! Keeps links in step with the registered controllers: whoever was expelled loses what stands, within a second.
//!
//! The operator's command runs in another process; `hub.db` is what both see.

use super::{Enrolment, EnrolmentError};
use crate::registry::Links;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the registered controllers are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often the number of links is written down when it stays the same.
const REPORT: Duration = Duration::from_secs(5);

pub(super) async fn run(links: Arc<Links>, enrolment: Enrolment, shutdown: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    let mut reported: (Vec<_>, Option<Instant>) = (Vec::new(), None);
    for controller in links.listening() {
        if let Err(error) = enrolment.know(controller).await {
            tracing::error!(%controller, %error, "can't be written down");
        }
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = look.tick() => {}
        }
        match step(&links, &enrolment).await {
            Ok(()) => said.clear(),
            Err(error) => {
                let text = error.to_string();
                if text != said {
                    tracing::error!(%error, "who was expelled can't be read: links stay, new ones are refused");
                    said = text;
                }
            }
        }
        let mut standing = links.standing();
        standing.sort();
        if standing != reported.0 || reported.1.is_none_or(|at| at.elapsed() > REPORT) {
            match enrolment.report(&standing).await {
                Ok(()) => reported = (standing, Some(Instant::now())),
                Err(error) => tracing::warn!(%error, "the number of links can't be written down"),
            }
        }
    }
    let _ = enrolment.report(&[]).await;
}

async fn step(links: &Links, enrolment: &Enrolment) -> Result<(), EnrolmentError> {
    links.set_expelled(enrolment.expelled().await?.into_iter().collect());
    for (controller, certificate) in links.certificates() {
        if !enrolment.admits(&controller, &certificate.fingerprint).await? {
            tracing::warn!(%controller, "expelled: its links are cut");
            links.cut(&controller, &certificate.fingerprint);
        }
    }
    Ok(())
}
