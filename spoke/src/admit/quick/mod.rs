//! Quick tests at admission: what may be counted under a standing permit, by whom how often, and the key of one request.
//!
//! The whole request comes with each leg, so that this spoke sees what its people are counted towards. It makes the leg's
//! fragment itself and answers no other, under pseudonyms that hold for this request alone.
//!
//! INVARIANT: under a standing permit nothing leaves but people of one request, each once with values of columns that the
//! permit counts by.
//! INVARIANT: a leg is answered once. A nonce that was seen, or is too old to have been kept, is refused: pseudonyms of two
//! answers under one key would show who is in both.

mod seen;

use super::{
    Admission, KeyBook,
    count::no_state,
    keys::ProjectKeys,
    under::{Under, denied},
};
use crate::{
    pseudonym::{GroupSecret, Recoder, Role},
    receive::Question,
};
use arrow::datatypes::Schema;
use chrono::Utc;
use policies::authorize::Action;
use proto::{
    quick::{self, columns, digest},
    refusal::{Kind, Refusal},
    schema,
    wire::QuickLeg,
};
use seen::{Leg, Taken};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A request may be under way for so long, and clocks may differ by so much, milliseconds.
const FRESH: i64 = 120_000;
/// Requests of one person in an hour: what the hub allows, and a fifth more for those that it has to send twice.
const MOST: u32 = 120;

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::Invalid, why)
}

/// What has to be asked of the rules for a leg of a quick test; `None`: the question is none, and neither is its permit.
pub(super) fn action(under: &Under, question: &Question) -> Result<Option<Action>, Refusal> {
    let (permit, leg) = match (&under.permit.quick, &question.quick) {
        (None, None) => return Ok(None),
        (Some(permit), Some(leg)) => (permit, leg),
        // The one refusal: who asks without a leg is not told that there is something to count.
        (Some(_), None) | (None, Some(_)) => return Err(denied()),
    };
    if !question.keys.is_empty() || question.blind.is_some() {
        return Err(invalid("a quick test takes no key lists, and is no blind total"));
    }
    let table = leg.table.parse().map_err(|_| invalid("the quick test's leg names no table"))?;
    let found = columns(leg, &under.permit.controller)?;
    if found.dimensions.iter().any(|(_, column)| !permit.counts_by(&table, column)) {
        return Err(Refusal::new(
            Kind::Denied,
            "this controller's permit for quick tests does not let people be counted by all of these columns; \
             `hub count --columns` lists those that it does",
        ));
    }
    if quick::fragment(leg, &under.permit.controller)? != question.fragment {
        return Err(invalid("the fragment is not what follows from the quick test's request"));
    }
    Ok(Some(Action::SpokeScanQuick))
}

/// Checks what the columns of a leg are: the person's, and otherwise values only.
pub(super) fn roles(leg: &QuickLeg, question: &Question, found: Option<&Schema>) -> Result<(), Refusal> {
    // A table that doesn't exist is said when the fragment is decoded.
    let Some(found) = found else { return Ok(()) };
    let role = |column: &str| found.field_with_name(column).ok().map(|field| field.metadata().get(schema::ROLE));
    let person = role(&leg.person).flatten().is_some_and(|role| role == schema::PERSON);
    if !person {
        return Err(invalid("a quick test counts people: the leg's person column is none"));
    }
    let read = proto::fragment::reads(&question.fragment).into_iter().flat_map(|read| &read.columns);
    if read.filter(|column| **column != leg.person).any(|column| role(column).flatten().is_some()) {
        return Err(invalid("a quick test neither counts by identifiers nor chooses by them"));
    }
    Ok(())
}

impl Admission {
    /// The keys that a question is answered with: the project's, or those of a quick test's request, which is then taken down as
    /// seen.
    pub(super) async fn fresh(
        &self,
        under: &Under,
        question: &Question,
        keys: Arc<ProjectKeys>,
    ) -> Result<Arc<ProjectKeys>, Refusal> {
        let Some(leg) = &question.quick else { return Ok(keys) };
        // A request stands in each leg: that was checked with its columns.
        let Some(test) = &leg.test else { return Err(invalid("the quick test's leg holds no request")) };
        let now = Utc::now().timestamp_millis();
        if now.abs_diff(test.asked_unix_ms) > FRESH.unsigned_abs() {
            return Err(Refusal::new(
                Kind::Invalid,
                "the quick test's request is more than two minutes old here, or from a clock that is ahead; ask anew, and \
                 have both clocks looked at if that doesn't help",
            ));
        }
        let request = digest(test);
        let person = hex::encode(Sha256::digest(format!("{}\n{}", under.asker.issuer, under.asker.user)));
        let leg = Leg { nonce: &test.nonce, digest: &request, group: leg.group, table: &leg.table };
        let taken = self.state.take_leg(&leg, &person, now, MOST).await.map_err(|error| no_state(&error))?;
        match taken {
            Taken::New => {}
            Taken::Seen => {
                tracing::warn!(query = %question.envelope.query_id, "a quick test's nonce came again: refused");
                return Err(Refusal::new(
                    Kind::Denied,
                    "this leg of a quick test was answered already; each request has a nonce of its own",
                ));
            }
            Taken::Full { again } => {
                return Err(Refusal::new(
                    Kind::Exhausted,
                    format!(
                        "this controller answers {MOST} quick tests of one person in an hour; ask again after {}",
                        seen::clock(again)
                    ),
                ));
            }
        }
        self.keys.request(&keys, &test.nonce, &request).ok_or_else(|| {
            Refusal::new(
                Kind::Unavailable,
                "this controller does not hold the quick test's secret yet. Try again in a minute",
            )
        })
    }
}

impl KeyBook {
    /// The keys of one request, of the group's secret. `None`: `keys` are of no group.
    fn request(&self, keys: &ProjectKeys, nonce: &[u8], digest: &[u8; 32]) -> Option<Arc<ProjectKeys>> {
        let group: &GroupSecret = keys.group.as_ref()?;
        let key = group.request(nonce, digest, keys.epoch);
        Some(Arc::new(ProjectKeys {
            order: Arc::new(key.order()),
            person: Arc::new(Recoder::new(self.store(), &key, Role::Person)),
            key: Arc::new(Recoder::new(self.store(), &key, Role::Key)),
            epoch: keys.epoch,
            kid: key.kid().to_owned(),
            group: None,
        }))
    }
}
