//! What a statement may use of this machine: a slot, memory with spilling, and a folder for spilled data.
//!
//! INVARIANT: everything taken here is given back when the result stream is dropped, however it ends.

mod admission;
pub(crate) mod ahead;
mod memory;

pub use admission::{Admission, Slot};
pub use memory::{QueryPool, SharedPool};

use datafusion::{
    common::DataFusionError,
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        object_store::ObjectStoreRegistry,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    object_store::ObjectStore,
};
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use runtime::profile::Profile;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The machine, as the execution profile describes it.
#[derive(Debug)]
pub struct Compute {
    profile: Profile,
    shared: Arc<SharedPool>,
    base: Arc<RuntimeEnv>,
    admission: Admission,
    spill: PathBuf,
}

impl Compute {
    /// Prepares the machine: one pool of memory, one folder for spilled data (emptied of what a crash left).
    ///
    /// # Errors
    /// When the scratch folder can't be made.
    pub fn new(profile: Profile) -> Result<Self, std::io::Error> {
        // One folder a process, so that hubs can share a scratch disk; what a dead one left is removed.
        let scratch = profile.scratch.dir.join("eger-hub-spill");
        std::fs::create_dir_all(&scratch)?;
        sweep(&scratch);
        let spill = scratch.join(std::process::id().to_string()).join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir_all(&spill)?;
        private(&spill)?;
        let shared = Arc::new(SharedPool::new(bytes(profile.pool_bytes())));
        let base = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::new(NoStores))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(std::io::Error::other)?;
        let admission = Admission::new(profile.admission_slots(), profile.admission_queue());
        Ok(Self { profile, shared, base, admission, spill })
    }

    /// The profile that the machine runs under.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Where slots are taken.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// An environment to plan in; nothing is run there.
    #[must_use]
    pub fn planning(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.base)
    }

    /// Memory that running statements hold together, bytes.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.shared.used()
    }

    /// Spilled data on disk, bytes.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        let files = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
        let below = |folder: &Path| files(folder).filter_map(|file| file.metadata().ok()).map(|about| about.len());
        // A folder for each statement, and in it one that the engine makes.
        let inner = files(&self.spill).flat_map(|statement| files(&statement.path()));
        inner.map(|engine| below(&engine.path()).sum::<u64>()).sum()
    }

    /// An environment to run one statement in, and what must live as long as it runs.
    ///
    /// # Errors
    /// When its spill folder can't be made.
    pub fn environment(&self, query: &QueryId) -> Result<(Arc<RuntimeEnv>, SpillFolder), Refusal> {
        // A ticket may be redeemed twice at once.
        let folder = format!("{query}-{}", uuid::Uuid::new_v4().simple());
        let folder = SpillFolder::create(&self.spill.join(folder)).map_err(|error| {
            tracing::error!(query_id = %query, %error, "no spill folder");
            Refusal::new(Kind::Unavailable, "the hub has no scratch space at the moment. Try again shortly")
        })?;
        let pool = QueryPool::new(bytes(self.profile.query_pool_bytes()), Arc::clone(&self.shared));
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![folder.0.clone()]))
            .with_max_temp_directory_size(self.profile.query_spill_bytes());
        let environment = RuntimeEnvBuilder::from_runtime_env(&self.base)
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| {
                tracing::error!(query_id = %query, %error, "no environment");
                Refusal::new(Kind::Unavailable, "the hub can't run statements at the moment. Try again shortly")
            })?;
        Ok((environment, folder))
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.spill);
        if let Some(parent) = self.spill.parent() {
            // Fails, rightly, when another hub of this process still has a folder there.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// A statement's own folder of spilled data, removed when dropped.
#[derive(Debug)]
pub struct SpillFolder(PathBuf);

impl SpillFolder {
    fn create(path: &Path) -> std::io::Result<Self> {
        std::fs::create_dir(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a spill folder could not be removed");
        }
    }
}

/// The hub reads no files and no buckets; its data come from spokes.
#[derive(Debug)]
struct NoStores;

impl ObjectStoreRegistry for NoStores {
    fn register_store(&self, _url: &url::Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _url: &url::Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        Err(DataFusionError::Plan("the hub reads no files".to_owned()))
    }
}

fn bytes(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Removes the folders of processes that no longer run.
fn sweep(scratch: &Path) {
    let Ok(listing) = std::fs::read_dir(scratch) else { return };
    for entry in listing.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        if pid != std::process::id() && Path::new("/proc").exists() && !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
