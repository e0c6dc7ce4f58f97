//! Removing files that no snapshot needs any more.
//!
//! INVARIANT: a file of the current version, or of a pinned one, is never removed.

use super::{error::PublishError, store::Store};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use object_store::{ObjectStoreExt, path::Path};
use proto::ids::TableName;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// How long a file of an older, unpinned version stays, so that running scans can end.
const GRACE: TimeDelta = TimeDelta::hours(24);

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// files that no version ever named: left by an ingest that was cut off
    pub orphans: usize,
    /// files of versions that nobody needs any more
    pub outdated: usize,
}

impl Store {
    /// Removes files of `table` that belong to no version, and those of versions that are neither current nor pinned
    /// nor recent. Only files older than `started`, when the caller took the lock, are touched.
    ///
    /// # Errors
    /// When the store can't be listed or the log can't be read. A file that can't be removed is left for next time.
    pub async fn vacuum(
        &self,
        table: &TableName,
        pinned: &[i64],
        started: DateTime<Utc>,
    ) -> Result<Vacuumed, PublishError> {
        self.remove_staged(table, started).await?;
        let folder = self.table_path(table);
        let objects = self.list(&folder).await?;
        if objects.is_empty() {
            return Ok(Vacuumed::default());
        }
        let log = self.log_path(table);
        let mut needed: HashSet<Path> = HashSet::new();
        if let Some(current) = self.snapshot(table).await? {
            needed.extend(current.files.iter().map(|file| file.location.clone()));
        }
        for version in pinned {
            let snapshot = self.snapshot_at(table, *version).await?;
            needed.extend(snapshot.files.iter().map(|file| file.location.clone()));
        }
        let mut done = Vacuumed::default();
        let candidates: Vec<_> = objects
            .into_iter()
            .filter(|object| {
                !object.location.prefix_matches(&log)
                    && !needed.contains(&object.location)
                    && object.last_modified < started
            })
            .collect();
        if candidates.is_empty() {
            return Ok(done);
        }
        let ever = self.named_by_log(table).await?;
        for object in candidates {
            let orphan = match ever.get(&object.location) {
                None => true,
                Some(Some(removed)) if *removed < started - GRACE => false,
                Some(_) => continue,
            };
            match self.object_store().delete(&object.location).await {
                Ok(()) if orphan => done.orphans += 1,
                Ok(()) => done.outdated += 1,
                Err(error) => {
                    tracing::warn!(%table, file = %object.location, %error, "a file that is no longer needed could not be removed")
                }
            }
        }
        Ok(done)
    }

    /// Every file that any version names, and when it was removed from the table if it was.
    async fn named_by_log(&self, table: &TableName) -> Result<HashMap<Path, Option<DateTime<Utc>>>, PublishError> {
        let folder = self.table_path(table);
        let store = self.object_store();
        let mut entries: Vec<Path> = self
            .list(&self.log_path(table))
            .await?
            .into_iter()
            .map(|object| object.location)
            .filter(|path| path.extension() == Some("json"))
            .collect();
        entries.sort();
        let mut reads = futures::stream::iter(entries.into_iter().map(|path| {
            let store = std::sync::Arc::clone(&store);
            async move {
                let failed = |error| PublishError::store(format!("reading {path}"), error);
                store.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)
            }
        }))
        .buffered(8);
        let mut named = HashMap::new();
        while let Some(bytes) = reads.next().await {
            for action in serde_json::Deserializer::from_slice(&bytes?).into_iter::<Value>().map_while(Result::ok) {
                if let Some(path) = action.pointer("/add/path").and_then(Value::as_str) {
                    named.insert(folder.clone().join(path), None);
                }
                if let Some(path) = action.pointer("/remove/path").and_then(Value::as_str) {
                    let at = action.pointer("/remove/deletionTimestamp").and_then(Value::as_i64);
                    let at = at.and_then(DateTime::from_timestamp_millis).unwrap_or_else(Utc::now);
                    named.insert(folder.clone().join(path), Some(at));
                }
            }
        }
        Ok(named)
    }

    /// Half-written files of a local store have a name of their own (`<file>#<n>`), which listing hides.
    async fn remove_staged(&self, table: &TableName, started: DateTime<Utc>) -> Result<(), PublishError> {
        let Some(folder) = self.local_path(table) else { return Ok(()) };
        let removed = tokio::task::spawn_blocking(move || {
            for folder in [folder.join("_delta_log"), folder] {
                let Ok(entries) = std::fs::read_dir(&folder) else { continue };
                for entry in entries.flatten() {
                    let name = entry.file_name();
                    let staged = name
                        .to_str()
                        .and_then(|name| name.rsplit_once('#'))
                        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
                    let old = entry
                        .metadata()
                        .and_then(|meta| meta.modified())
                        .is_ok_and(|at| DateTime::<Utc>::from(at) < started);
                    if staged && old {
                        std::fs::remove_file(entry.path())?;
                    }
                }
            }
            Ok::<(), std::io::Error>(())
        });
        match removed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(PublishError::Disk { path: self.local_path(table).unwrap_or_default(), source }),
            Err(error) => Err(PublishError::Disk {
                path: self.local_path(table).unwrap_or_default(),
                source: std::io::Error::other(error),
            }),
        }
    }
}
