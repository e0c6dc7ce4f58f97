//! Local files outlive a power cut only when they were synced: data before the commit that names them, and the
//! commit before anybody is told of it. Object stores do that themselves.

use super::{commit::NewFile, error::PublishError, store::Store};
use proto::ids::TableName;
use std::{fs::File, path::PathBuf};

pub(super) async fn make_durable(store: &Store, table: &TableName, files: &[NewFile]) -> Result<(), PublishError> {
    let Some(folder) = store.local_path(table) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    if !paths.is_empty() {
        paths.push(folder);
    }
    sync(paths).await
}

pub(super) async fn make_commit_durable(store: &Store, table: &TableName, version: i64) -> Result<(), PublishError> {
    let Some(folder) = store.local_path(table) else { return Ok(()) };
    let log = folder.join("_delta_log");
    sync(vec![log.join(format!("{version:020}.json")), log]).await
}

async fn sync(paths: Vec<PathBuf>) -> Result<(), PublishError> {
    let blocking = tokio::task::spawn_blocking(move || {
        for path in paths {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|source| PublishError::Disk { path: path.clone(), source })?;
        }
        Ok(())
    });
    blocking
        .await
        .unwrap_or_else(|error| Err(PublishError::Disk { path: PathBuf::new(), source: std::io::Error::other(error) }))
}
