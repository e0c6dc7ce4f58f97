//! Blind totals at admission: what a permit with them lets out, and what a share will be signed for.
//!
//! INVARIANT: members and custodian are the permit's. Of the hub's words only the total's id is taken, which nothing depends on
//! but that no two are the same.
//! INVARIANT: under such a permit the rules of release look at this spoke's part before it is masked: nobody sees it afterwards.

use super::{Admission, checked, keys::ProjectKeys, under::Under};
use crate::{config::SpokeConfig, pseudonym::identity::signing, receive::Question, scan::ShareOf};
use datafusion::{execution::SessionState, logical_expr::LogicalPlan};
use policies::{authorize::Action, permit::Permit, zone::Zone};
use proto::{
    blind::{MAX_WORDS, WORDS, fragment_digest, statistics},
    fragment::Limits,
    ids::TableName,
    plan::Tables,
    refusal::{Kind, Refusal},
};
use release::Ledgers;
use runtime::sign::SigningKey;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::OnceCell;

/// The spoke's signing identity, opened when the first share needs it: opening is slow on purpose.
pub(super) struct Identity {
    config: SpokeConfig,
    key: OnceCell<Arc<SigningKey>>,
}

impl Identity {
    pub(super) fn new(config: &SpokeConfig) -> Self {
        Self { config: config.clone(), key: OnceCell::new() }
    }

    async fn key(&self) -> Result<Arc<SigningKey>, Refusal> {
        let open = || async {
            let config = self.config.clone();
            let opened = tokio::task::spawn_blocking(move || {
                let pass = config.passphrase().map_err(|error| error.to_string())?;
                signing::load(&config.signing_key(), &pass).map_err(|error| error.to_string())
            });
            match opened.await {
                Ok(Ok(key)) => Ok(Arc::new(key)),
                Ok(Err(error)) => {
                    tracing::error!(error, "no share of a blind total can be signed");
                    Err(Refusal::new(
                        Kind::Unavailable,
                        "this spoke can't use its signing key at the moment; its log says why",
                    ))
                }
                Err(_) => Err(Refusal::new(Kind::Unavailable, "this spoke is stopping")),
            }
        };
        self.key.get_or_try_init(open).await.cloned()
    }
}

/// What has to be asked of the rules before anything is read for a question.
pub(super) fn action(under: &Under, question: &Question) -> Result<Action, Refusal> {
    let denied = |what: &str| Err(Refusal::new(Kind::Denied, what.to_owned()));
    match (&under.permit.blind, question.blind) {
        (Some(_), Some(_)) => shareable(question).map(|()| Action::SpokeScanBlind),
        (Some(_), None) => denied(
            "this controller's permit lets nothing out but its share of totals over several controllers. Ask for COUNT or SUM, \
             without GROUP BY, over the national table of them all",
        ),
        (None, Some(_)) => denied("this controller's permit for the project has no blind totals"),
        (None, None) if checked::only(&under.permit) => checked::checkable(question).map(|()| Action::SpokeScanChecked),
        (None, None) => Ok(match under.zone() {
            Zone::Open => Action::SpokeScanOpen,
            Zone::Enclave => Action::SpokeScanEnclave,
        }),
    }
}

/// One aggregate without groups, that rests on nothing that the hub sent along.
fn shareable(question: &Question) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::new(Kind::Invalid, why));
    if !question.keys.is_empty() {
        return invalid("a blind total takes no key lists: they choose people".to_owned());
    }
    match statistics(&question.fragment) {
        Ok(found) if found * WORDS <= MAX_WORDS => Ok(()),
        Ok(found) => invalid(format!("a blind total has {} statistics at most, and not {found}", MAX_WORDS / WORDS)),
        Err(unshareable) => invalid(unshareable.to_string()),
    }
}

/// The plan of this spoke's parts of a total over `tables`, under the rules of release: the numbers that are masked could be shown.
///
/// # Errors
/// What can't be shared.
pub(super) fn plan(
    permit: &Permit,
    keys: &ProjectKeys,
    question: &Question,
    tables: &dyn Tables,
    state: &SessionState,
    (ledgers, limits): (&Ledgers, &Limits),
) -> Result<LogicalPlan, Refusal> {
    shareable(question)?;
    let asked = checked::asked(question, tables, state, limits)?;
    let parts = release::shared(&asked, &ledgers.of(&permit.project, keys.epoch));
    let parts = parts.map_err(|unshared| Refusal::new(Kind::Invalid, unshared.to_string()))?;
    Ok(parts.into_inner())
}

impl Admission {
    /// What the answer's share is signed for; `None`: rows may leave.
    pub(super) async fn share(
        &self,
        permit: &Permit,
        question: &Question,
        snapshots: BTreeMap<TableName, i64>,
    ) -> Result<Option<ShareOf>, Refusal> {
        // By the permit, and not by the question: under a permit with blind totals nothing leaves as it is.
        let Some(blind) = permit.blind.clone() else { return Ok(None) };
        let total =
            question.blind.ok_or_else(|| Refusal::new(Kind::Denied, "only shares of blind totals leave here"))?;
        Ok(Some(ShareOf {
            total,
            controller: self.controller.clone(),
            project: permit.project.clone(),
            blind,
            fragment: fragment_digest(&question.fragment),
            snapshots,
            signing: self.identity.key().await?,
        }))
    }
}
