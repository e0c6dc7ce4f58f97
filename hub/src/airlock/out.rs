//! What was approved leaves: as one signed crate, made once.

use super::{
    Airlock, AirlockError, SubmissionRecord, Who, bag, metadata,
    read::{blocking, record},
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
    /// When it isn't approved, or the crate can't be made or kept.
    pub async fn release(
        &self,
        id: &SubmissionId,
        project: &ProjectFacts,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<(SubmissionRecord, Zeroizing<Vec<u8>>), AirlockError> {
        let _place = self.place().await?;
        let mut tx = self.begin_write().await?;
        let before = record(&mut tx, id).await?;
        let (vault, at) = (Arc::clone(&self.vault), *id);
        if before.state == State::Released {
            let made = blocking(move || vault.get(&at, CRATE)).await??;
            self.log(&before, who, "taken_out_again", json!({})).await?;
            return Ok((before, made));
        }
        step(&mut tx, id, Event::Release, now).await?;
        let released = record(&mut tx, id).await?;
        let made = self.pack(&released, project, now).await?;
        self.log(&released, who, "released", json!({ "bytes": made.len(), "sha512": bag::sha512(&made) })).await?;
        told(&mut tx, released.project(), id, &who.member(), "airlock_released", json!({}), now).await?;
        let kept = made.clone();
        blocking(move || vault.remove(&at, CRATE).and_then(|_| vault.put(&at, CRATE, &kept))).await??;
        tx.commit().await?;
        Ok((released, Zeroizing::new(made)))
    }

    async fn pack(
        &self,
        of: &SubmissionRecord,
        project: &ProjectFacts,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, AirlockError> {
        let reviews = self.reviews(&of.id).await?;
        let files = self.files(&of.id).await?;
        let leaving: Vec<_> =
            files.into_iter().filter(|file| of.submission.leaving().any(|name| name == file.name)).collect();
        let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for file in &leaving {
            all.insert(format!("data/outputs/{}", file.name), self.frozen(&of.id, file).await?.to_vec());
        }
        let applied = self.rules_applied(&of.id).await?;
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
