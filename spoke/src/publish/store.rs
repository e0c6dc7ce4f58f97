//! The object store that holds the published tables, and each table's place in it.

use super::{
    error::PublishError,
    snapshot::{self, Snapshot},
};
use crate::config::SpokeConfig;
use datafusion::execution::object_store::ObjectStoreUrl;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt;
use lru::LruCache;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path, prefix::PrefixStore};
use proto::ids::TableName;
use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use url::{Position, Url};

/// The published tables of a spoke. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    root: Arc<dyn ObjectStore>,
    base: Url,
    prefix: Path,
    url: ObjectStoreUrl,
    local: Option<PathBuf>,
    cache: Arc<Mutex<Cache>>,
    pinned: Arc<Mutex<Pinned>>,
}

/// Older versions that were read for projects that pinned them.
type Pinned = LruCache<(TableName, i64), (ObjectMeta, Arc<Snapshot>)>;

/// Older versions in memory: their lists of files can be long.
const PINNED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Snapshots that were read, each with the log entry that made it.
type Cache = HashMap<TableName, (ObjectMeta, Arc<Snapshot>)>;

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store that the configuration names; a folder is made when it is missing.
    ///
    /// # Errors
    /// When the URL can't be used or the folder can't be made.
    pub fn open(config: &SpokeConfig) -> Result<Self, PublishError> {
        Self::at(&config.store.url, &config.store.options)
    }

    /// Opens a store at a folder or URL.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn at(url: &str, options: &BTreeMap<String, String>) -> Result<Self, PublishError> {
        let address = |message: String| PublishError::Address { url: url.to_owned(), message };
        let parsed = if url.contains("://") {
            Url::parse(url).map_err(|error| address(error.to_string()))?
        } else {
            let folder = std::path::absolute(url).map_err(|error| address(error.to_string()))?;
            Url::from_directory_path(&folder).map_err(|()| address("is no folder".to_owned()))?
        };
        let local = match parsed.scheme() {
            "file" => {
                let folder = parsed.to_file_path().map_err(|()| address("is no folder".to_owned()))?;
                std::fs::create_dir_all(&folder)
                    .map_err(|source| PublishError::Disk { path: folder.clone(), source })?;
                Some(folder)
            }
            _ => None,
        };
        let (root, prefix) = object_store::parse_url_opts(&parsed, with_environment(options))
            .map_err(|error| address(error.to_string()))?;
        let mut base = parsed.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", parsed.path()));
        }
        let url = if local.is_some() { "file://" } else { &parsed[..Position::BeforePath] };
        let url = ObjectStoreUrl::parse(url).map_err(|error| address(error.to_string()))?;
        Ok(Self {
            root: Arc::from(root),
            base,
            prefix,
            url,
            local,
            cache: Arc::default(),
            pinned: Arc::new(Mutex::new(LruCache::new(PINNED))),
        })
    }

    /// The same tables through another object store, such as one that fails.
    #[cfg(test)]
    pub(crate) fn through(mut self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        self.root = wrap(self.root);
        self
    }

    /// The object store; paths of [`super::DataFile`] are paths in it.
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.root)
    }

    /// Under which URL the object store is to be registered with DataFusion.
    #[must_use]
    pub fn url(&self) -> ObjectStoreUrl {
        self.url.clone()
    }

    /// The current snapshot of a table, or nothing when it was never published.
    ///
    /// Costs two small requests when the table has not changed since the last call.
    ///
    /// # Errors
    /// When the store or the table's log can't be read.
    pub async fn snapshot(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>, PublishError> {
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        if let Some((commit, snapshot)) = cached
            && self.still_current(table, &commit, snapshot.version).await?
        {
            return Ok(Some(snapshot));
        }
        let log = self.log(table);
        if !log.is_delta_table_location().await.map_err(|error| PublishError::log(table, error))? {
            self.forget(table);
            return Ok(None);
        }
        let snapshot = Arc::new(snapshot::read(self, table, &log, None).await?);
        if let Ok(commit) = self.root.head(&self.commit_path(table, snapshot.version)).await {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.insert(table.clone(), (commit, Arc::clone(&snapshot)));
        }
        Ok(Some(snapshot))
    }

    /// A table as it was at one version, for projects that pinned it.
    ///
    /// Costs one small request when it was read before and the log entry that made it is the same.
    ///
    /// # Errors
    /// When there is no such version or it can't be read.
    pub async fn snapshot_at(&self, table: &TableName, version: i64) -> Result<Arc<Snapshot>, PublishError> {
        let known = || self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (table.clone(), version);
        // Without its entry, which a clean-up of the log may have taken, it is read each time.
        let commit = self.root.head(&self.commit_path(table, version)).await.ok();
        let cached = known().get(&place).cloned();
        if let (Some(now), Some((then, snapshot))) = (&commit, cached)
            && same(now, &then)
        {
            return Ok(snapshot);
        }
        let snapshot = Arc::new(snapshot::read(self, table, &self.log(table), Some(version)).await?);
        match commit {
            Some(commit) => drop(known().put(place, (commit, Arc::clone(&snapshot)))),
            None => drop(known().pop(&place)),
        }
        Ok(snapshot)
    }

    /// Every published table.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub async fn tables(&self) -> Result<Vec<TableName>, PublishError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self
            .root
            .list_with_delimiter(prefix)
            .await
            .map_err(|error| PublishError::store("listing the published tables", error))?;
        let mut tables = Vec::new();
        for folder in listed.common_prefixes {
            // A folder whose name is no table's name is not ours.
            let Some(Ok(table)) = folder.filename().map(str::parse::<TableName>) else { continue };
            let log = self.log(&table);
            if log.is_delta_table_location().await.map_err(|error| PublishError::log(&table, error))? {
                tables.push(table);
            }
        }
        tables.sort();
        Ok(tables)
    }

    async fn still_current(&self, table: &TableName, commit: &ObjectMeta, version: i64) -> Result<bool, PublishError> {
        let failed = |error| PublishError::store(format!("the log of table '{table}'"), error);
        let unchanged = match self.root.head(&self.commit_path(table, version)).await {
            Ok(now) => same(&now, commit),
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(failed(error)),
        };
        if !unchanged {
            return Ok(false);
        }
        match self.root.head(&self.commit_path(table, version + 1)).await {
            Ok(_) => Ok(false),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    fn forget(&self, table: &TableName) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).remove(table);
    }

    /// The table's folder, as a path in [`Store::object_store`].
    pub(crate) fn table_path(&self, table: &TableName) -> Path {
        self.prefix.clone().join(table.as_str())
    }

    /// The table's folder on the local disk, if that is where it is.
    pub(crate) fn local_path(&self, table: &TableName) -> Option<PathBuf> {
        self.local.as_ref().map(|folder| folder.join(table.as_str()))
    }

    pub(super) fn log_path(&self, table: &TableName) -> Path {
        self.table_path(table).join("_delta_log")
    }

    pub(super) fn commit_path(&self, table: &TableName, version: i64) -> Path {
        self.log_path(table).join(format!("{version:020}.json"))
    }

    pub(super) fn table_url(&self, table: &TableName) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{table}/", self.base.path()));
        url
    }

    /// The table's log. It is given our own object store, so nothing has to be registered anywhere.
    pub(super) fn log(&self, table: &TableName) -> LogStoreRef {
        let prefixed = PrefixStore::new(Arc::clone(&self.root), self.table_path(table));
        default_logstore(Arc::new(prefixed), Arc::clone(&self.root), &self.table_url(table), &StorageConfig::default())
    }

    /// Every object below a table's folder.
    pub(super) async fn list(&self, path: &Path) -> Result<Vec<ObjectMeta>, PublishError> {
        self.root
            .list(Some(path))
            .try_collect()
            .await
            .map_err(|error| PublishError::store(format!("listing {path}"), error))
    }
}

/// Whether an object is the one that was looked at before.
fn same(now: &ObjectMeta, then: &ObjectMeta) -> bool {
    now.last_modified == then.last_modified && now.size == then.size && now.e_tag == then.e_tag
}

/// Credentials may come from the environment, so that they need not stand in `spoke.toml`.
pub(crate) fn with_environment(options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| key.starts_with("AWS_"))
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    all.extend(options.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.clone())));
    all
}
