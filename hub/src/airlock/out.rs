//! What was approved leaves: as one signed crate, made once.
//!
//! INVARIANT: what people approved leaves only when the checks still let it pass beside everything that has left at that moment.

use super::{
    Airlock, AirlockError, Applied, FileRecord, ReviewRecord, SubmissionRecord, Who, applied, bag,
    found::{Found, TRIES, moving},
    metadata,
    read::{self, blocking, record},
    submit::step,
    told,
};
use chrono::{DateTime, Utc};
use policies::airlock::{Event, Release, State, Verdict};
use proto::ids::{ControllerId, PermitId, SubmissionId};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use zeroize::Zeroizing;

/// The crate beside the files of its submission; no file of a form can be called so.
const CRATE: &str = ".crate";

/// What is said of the project in a crate.
#[derive(Debug, Clone)]
pub struct ProjectFacts {
    /// for people
    pub title: String,
    /// the organisation that applied
    pub organisation: String,
    /// under whose permits it works
    pub permits: BTreeMap<ControllerId, PermitId>,
}

impl Airlock {
    /// Lets a submission out, and gives its crate: a ZIP archive. Once it is out, the same crate again.
    ///
    /// # Errors
    /// When it isn't approved, the checks refuse it now, or the crate can't be made or kept.
    pub async fn release(
        &self,
        id: &SubmissionId,
        project: &ProjectFacts,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<(SubmissionRecord, Zeroizing<Vec<u8>>), AirlockError> {
        for _ in 0..TRIES {
            let found = self.still(id, now).await?;
            let _place = self.place().await?;
            let mut tx = self.begin_write().await?;
            let before = record(&mut tx, id).await?;
            let (vault, at) = (Arc::clone(&self.vault), *id);
            if before.state == State::Released {
                let made = blocking(move || vault.get(&at, CRATE)).await??;
                self.log(&before, who, "taken_out_again", json!({})).await?;
                return Ok((before, made));
            }
            match found {
                // Approved at this moment.
                None if before.state == State::Approved && !before.computed => continue,
                None => {}
                Some(found) if !found.holds(&mut tx, &before).await? => continue,
                Some(found) if found.refuses() => {
                    // Inside they read where; outside nothing of it is told.
                    found.keep(&mut tx, id).await?;
                    self.log(&before, who, "release_refused", json!({ "findings": found.rules() })).await?;
                    tx.commit().await?;
                    return Err(refused(id));
                }
                Some(_) => {}
            }
            step(&mut tx, id, Event::Release, now).await?;
            let released = record(&mut tx, id).await?;
            // Everything is read in the transaction: another connection may be long in coming while this one holds the writer's
            // place.
            let (files, reviews) = (read::files(&mut tx, id).await?, read::reviews(&mut tx, id).await?);
            let applied = applied::of(&mut tx, id).await?;
            let made = self.pack(&released, (files, reviews, applied), project, now).await?;
            self.log(&released, who, "released", json!({ "bytes": made.len(), "sha512": bag::sha512(&made) })).await?;
            told(&mut tx, released.project(), id, &who.member(), "airlock_released", json!({}), now).await?;
            let kept = made.clone();
            blocking(move || vault.remove(&at, CRATE).and_then(|_| vault.put(&at, CRATE, &kept))).await??;
            tx.commit().await?;
            return Ok((released, Zeroizing::new(made)));
        }
        Err(moving())
    }

    /// What the checks find in what people approved, now that it is to leave; nothing when they are not asked.
    async fn still(&self, id: &SubmissionId, now: DateTime<Utc>) -> Result<Option<Found>, AirlockError> {
        let before = self.get(id).await?;
        // The platform's own answers were made by the open zone's rules, and whoever asks gets them there as well.
        if before.computed || before.state != State::Approved {
            return Ok(None);
        }
        let files = self.files(id).await?;
        Ok(Some(self.found(&before, &files, now).await?))
    }

    async fn pack(
        &self,
        of: &SubmissionRecord,
        (files, reviews, applied): (Vec<FileRecord>, Vec<ReviewRecord>, Applied),
        project: &ProjectFacts,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, AirlockError> {
        let leaving: Vec<_> =
            files.into_iter().filter(|file| of.submission.leaving().any(|name| name == file.name)).collect();
        let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for file in &leaving {
            all.insert(format!("data/outputs/{}", file.name), self.frozen(&of.id, file).await?.to_vec());
        }
        let about =
            metadata::About { hub: &self.hub, of, project, files: &leaving, reviews: &reviews, applied: &applied, now };
        all.extend(about.files().map_err(|error| AirlockError::Crate(error.to_string()))?);
        let approved_by = reviews
            .iter()
            .filter(|one| one.review.files.iter().all(|file| file.verdict == Verdict::Approved))
            .map(|one| one.organisation.to_string())
            .collect();
        let sign = |sha512: &str| {
            let release = Release {
                hub: self.hub.clone(),
                submission: of.id,
                project: of.project().clone(),
                released_at: now,
                manifest_sha512: sha512.to_owned(),
                approved_by,
                computed: of.computed,
            };
            Ok(release.sign(&self.key)?)
        };
        bag::pack::<AirlockError>(&format!("eger-{}", of.id), &about.bag_info(&all), &all, sign)
    }
}

/// Said outside as well: it names no file, row or number.
fn refused(id: &SubmissionId) -> AirlockError {
    AirlockError::Conflict(format!(
        "the checks ran again and refuse it now: beside what has left the project since, or by what a permit asks for since, it tells of \
         few people. Inside, hub airlock show {id} says where: withdraw it, and hand in another one without that, which names it as \
         'earlier'"
    ))
}

impl From<zip::result::ZipError> for AirlockError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Crate(error.to_string())
    }
}

impl From<std::io::Error> for AirlockError {
    fn from(error: std::io::Error) -> Self {
        Self::Crate(error.to_string())
    }
}
