//! What a spoke remembers of a project's epochs, also after its key was destroyed: `projects/<project>.epochs`.
//!
//! INVARIANT: a file that can't be read is an error, never an empty memory: epochs would go back.

use super::MemberError;
use chrono::{DateTime, Duration, Utc};
use policies::epoch::EpochRecord;
use proto::ids::{ControllerId, ProjectId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Records kept; the newest one decides, the others are for people.
const KEPT: usize = 64;

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// compact JWS, oldest first
    records: Vec<String>,
    /// the newest acceptance seen of each controller
    seen: BTreeMap<ControllerId, DateTime<Utc>>,
}

/// The epochs of one project that this spoke made or took.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    file: File,
    last: Option<EpochRecord>,
}

impl History {
    pub(super) fn load(projects: &Path, project: &ProjectId) -> Result<Self, MemberError> {
        let path = projects.join(format!("{project}.epochs"));
        let wrong = |cause: String| MemberError::History { path: path.clone(), cause };
        let file = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(cause) => return Err(MemberError::Io { path, cause }),
        };
        let File { records, .. } = &file;
        let last = match records.last() {
            // It was verified before it was written here.
            Some(record) => {
                Some(EpochRecord::claimed(record).ok_or_else(|| wrong("its last record is none".to_owned()))?)
            }
            None => None,
        };
        Ok(Self { path, file, last })
    }

    /// The newest epoch, with its signed text.
    pub(super) fn last(&self) -> Option<(&EpochRecord, &str)> {
        self.last.as_ref().zip(self.file.records.last().map(String::as_str))
    }

    /// The highest epoch known; 0: none.
    pub(super) fn epoch(&self) -> u32 {
        self.last.as_ref().map_or(0, |record| record.epoch)
    }

    /// When the newest acceptance of `controller` that was used here was signed.
    pub(super) fn seen(&self, controller: &ControllerId) -> Option<DateTime<Utc>> {
        self.file.seen.get(controller).copied()
    }

    /// How many epochs `maker` made within the last day.
    pub(super) fn made_today(&self, maker: &ControllerId) -> usize {
        let since = Utc::now() - Duration::days(1);
        let records = self.file.records.iter().filter_map(|text| EpochRecord::claimed(text));
        records.filter(|record| record.lead == *maker && record.at > since).count()
    }

    /// Remembers the acceptances that were used.
    pub(super) fn remember(&mut self, seen: impl IntoIterator<Item = (ControllerId, DateTime<Utc>)>) {
        for (controller, at) in seen {
            let newest = self.file.seen.entry(controller).or_insert(at);
            *newest = at.max(*newest);
        }
    }

    /// Adds a record that was made or verified here.
    pub(super) fn push(&mut self, record: EpochRecord, text: String) {
        self.file.records.push(text);
        let old = self.file.records.len().saturating_sub(KEPT);
        self.file.records.drain(..old);
        self.last = Some(record);
    }

    pub(super) fn save(&self) -> Result<(), MemberError> {
        let failed = |cause| MemberError::Io { path: self.path.clone(), cause };
        let bytes = serde_json::to_vec_pretty(&self.file).map_err(|error| failed(error.into()))?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        runtime::seal::write_private(&self.path, &bytes).map_err(failed)
    }
}
