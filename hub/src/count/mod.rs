//! Quick tests: how many people, without a project, under the controllers' standing permits, within seconds.
//!
//! The path of one: `form` (what is asked, as JSON) becomes a request over offered columns, `share` says whether the
//! person has one left, `legs` cuts it into one question for each table, `tally` counts each person once, `release` hides
//! and rounds, and `kept` gives the same answer to the same request.
//!
//! INVARIANT: spokes are asked for (person, groups) pairs of one request and nothing else; they make the questions themselves.
//! INVARIANT: what leaves is made in `release`: cells of ten people or more, rounded to tens, and no total.

mod form;
mod kept;
mod legs;
mod lot;
mod release;
mod share;
mod tally;

pub use form::{Condition, Form, Operator, Scalar, Values};
pub use release::{Cell, Counted, LEAST};
pub use share::{MOST, Share, Used};

use crate::{
    audit::{Event, HubAudit},
    identify::Caller,
    permit::rules,
    receive::{Core, Counting},
    registry::{Catalogue, Offer},
};
use chrono::Utc;
use kept::Kept;
use legs::Asked;
use proto::{
    ids::ControllerId,
    quick,
    refusal::{Kind, Refusal},
    wire,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// Why there is no answer.
#[derive(Debug)]
pub enum CountError {
    /// The person's share of this hour is used up.
    Full(Used),
    /// Anything else.
    Refused(Refusal),
}

impl From<Refusal> for CountError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A column that may be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Countable {
    /// `controller.table.column`
    pub column: String,
    /// its type
    #[serde(rename = "type")]
    pub kind: String,
    /// whether people may be counted by it; otherwise it can only choose them
    pub by: bool,
    /// what it holds, as its controller describes it
    pub description: String,
    /// code system, such as ATC; may be empty
    pub codes: String,
}

/// Counts people. One for the whole process.
pub struct Counter {
    core: Arc<Core>,
    share: Share,
    kept: Kept,
}

impl Counter {
    /// Asks through `core`, and keeps each person's `share`.
    #[must_use]
    pub fn new(core: Arc<Core>, share: Share) -> Self {
        Self { core, share, kept: Kept::default() }
    }

    /// The columns that `caller` may ask about now. A controller that can't be asked tells none.
    ///
    /// # Errors
    /// When the caller may not count, or no controller lets people be counted.
    pub async fn columns(&self, caller: Caller) -> Result<Vec<Countable>, Refusal> {
        rules::count(&caller)?;
        let counting = self.core.counting(caller)?;
        let catalogue = counting.planner.registry().catalogue(&counting.context).await;
        let tables = catalogue.tables().filter(|table| table.terms.quick.is_some());
        Ok(tables.flat_map(|table| form::countable(table)).collect())
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// When the form is wrong, the person's share is used up, or a controller can't be asked or refuses.
    pub async fn answer(&self, caller: Caller, form: &Form) -> Result<Counted, CountError> {
        rules::count(&caller)?;
        let counting = self.core.counting(caller)?;
        let deadline = counting.context.deadline;
        let late = |_| {
            let why =
                "the quick test took too long. Ask for fewer groups, or try again when the controllers are less busy";
            CountError::Refused(Refusal::new(Kind::Deadline, why))
        };
        tokio::time::timeout_at(deadline, Box::pin(self.found(&counting, form))).await.map_err(late)?
    }

    async fn found(&self, counting: &Counting<'_>, form: &Form) -> Result<Counted, CountError> {
        let begun = Instant::now();
        let (context, now) = (&counting.context, Utc::now());
        let mut catalogue = counting.planner.registry().catalogue(context).await;
        let test = form.resolve(&catalogue)?;
        let asked = legs::asked(&test, &catalogue)?;
        let key = asked.key(&test, &context.caller);
        if let Some(before) = self.kept.find(&key, now) {
            let left_this_hour = self.share.left(&context.caller, now).await?;
            return Ok(Counted { query: context.query.to_string(), kept: true, left_this_hour, ..before });
        }
        let left = self.share.take(&context.caller, now).await?;
        let controllers: BTreeSet<ControllerId> = asked.controllers();
        let text = form.text();
        let record = Event::Asked {
            query: context.query,
            user: context.caller.user.clone(),
            project: context.project.project.clone(),
            zone: context.caller.zone.name(),
            sql_sha256: Event::hash(&text),
            sql: crate::audit::masked(&text),
            controllers: controllers.clone(),
        };
        // On disk before a spoke is asked: what can't be written down is not answered.
        counting.audit.record(record).await?;
        let end = End { counting, begun, audit: Some(counting.audit) };
        let mut outcome = self.once(counting, test.clone(), &asked).await;
        // A permit or key that changed meanwhile, or a connection that broke: anew once, under another nonce.
        if let Err(refusal) = &outcome
            && matches!(refusal.kind, Kind::Stale | Kind::Unavailable)
        {
            for controller in &controllers {
                counting.planner.registry().forget(controller, &context.project.project);
            }
            catalogue = counting.planner.registry().catalogue(context).await;
            outcome = match legs::asked(&test, &catalogue) {
                Ok(asked) => self.once(counting, test, &asked).await,
                Err(refusal) => Err(refusal),
            };
        }
        let rows = outcome.as_ref().map_or(0, |counted| counted.cells.len() as u64);
        let said = outcome.as_ref().err().map_or_else(|| "answered".to_owned(), |refusal| refusal.message.clone());
        end.close(rows, &said).await?;
        let counted = Counted { left_this_hour: left, ..outcome? };
        self.kept.keep(key, now, counted.clone());
        Ok(counted)
    }

    /// One try, under a nonce of its own.
    async fn once(&self, counting: &Counting<'_>, test: wire::QuickTest, asked: &Asked) -> Result<Counted, Refusal> {
        let mut nonce = vec![0; quick::NONCE];
        getrandom::fill(&mut nonce).map_err(|_| Refusal::new(Kind::Internal, "the hub has no randomness"))?;
        let by = test.by.iter().map(form::written).collect();
        let test = wire::QuickTest { nonce, asked_unix_ms: Utc::now().timestamp_millis(), ..test };
        let least = asked.least();
        let cells = tally::cells(counting, asked.questions(&counting.context, &test)?, test.by.len(), least).await?;
        let lots = self.share.lots().await?;
        Ok(release::released(counting.context.query, by, cells, least, (&lots, &quick::meaning(&test))))
    }
}

/// The end of a quick test in the hub's log, however it ends.
struct End<'a> {
    counting: &'a Counting<'a>,
    begun: Instant,
    audit: Option<&'a HubAudit>,
}

impl End<'_> {
    async fn close(mut self, rows: u64, outcome: &str) -> Result<(), Refusal> {
        let event = self.event(rows, outcome);
        match self.audit.take() {
            Some(audit) => audit.record(event).await,
            None => Ok(()),
        }
    }

    fn event(&self, rows: u64, outcome: &str) -> Event {
        let context = &self.counting.context;
        Event::Answered {
            query: context.query,
            user: context.caller.user.clone(),
            project: context.project.project.clone(),
            rows,
            outcome: crate::audit::masked(outcome),
            ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if let Some(audit) = self.audit.take() {
            audit.record_later(self.event(0, "it took too long, or the client went away"));
        }
    }
}

/// The tables that a controller lets people be counted over, or why not.
fn offered<'a>(
    catalogue: &'a Catalogue,
    controller: &str,
) -> Result<&'a std::collections::BTreeMap<proto::ids::TableName, Arc<crate::registry::TableOffer>>, Refusal> {
    let nothing = || {
        Refusal::new(
            Kind::NotFound,
            format!(
                "no controller '{controller}' lets people be counted; `hub count --columns` lists what can be asked about"
            ),
        )
    };
    let id: ControllerId = controller
        .parse()
        .map_err(|_| Refusal::new(Kind::Invalid, "a column is written controller.table.column, as in sds.lmdb.atc"))?;
    match catalogue.offers.get(&id) {
        Some(Offer::Tables(tables)) => Ok(tables),
        Some(Offer::Down(refusal)) => Err(refusal.clone()),
        Some(Offer::Nothing) | None => Err(nothing()),
    }
}
