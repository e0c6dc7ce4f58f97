//! The keys that `serve` works with: `K_store`, and each project's key when its first question comes.
//!
//! INVARIANT: the cache of persons and its key are never opened here.

use crate::{
    config::SpokeConfig,
    pseudonym::{OrderKey, ProjectKey, Recoder, Role, StoreKey},
};
use proto::{
    ids::ProjectId,
    refusal::{Kind, Refusal},
};
use runtime::seal::{Passphrase, SealError};
use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::Mutex;

/// Why the spoke's keys can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The passphrase.
    #[error("the passphrase can't be read: {0}")]
    Passphrase(#[from] SealError),
    /// The store key.
    #[error("{}: {message}", path.display())]
    Store {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
}

/// What one project's questions need.
pub(crate) struct ProjectKeys {
    /// order of row groups and rows
    pub(crate) order: Arc<OrderKey>,
    /// S of a person to the project's pseudonym and back
    pub(crate) person: Arc<Recoder>,
    /// S of another identifier to the project's pseudonym and back
    pub(crate) key: Arc<Recoder>,
}

/// All keys. A project's file is looked at for every question, so that a removed key counts at once.
pub(crate) struct KeyBook {
    passphrase: Arc<Passphrase>,
    store: Arc<StoreKey>,
    folder: PathBuf,
    known: Mutex<HashMap<ProjectId, (SystemTime, Arc<ProjectKeys>)>>,
}

impl KeyBook {
    pub(crate) fn open(config: &SpokeConfig) -> Result<Self, KeysError> {
        let passphrase = config.passphrase()?;
        let path = config.store_key();
        let store = StoreKey::load(&path, &passphrase)
            .map_err(|error| KeysError::Store { path, message: error.to_string() })?;
        Ok(Self {
            passphrase: Arc::new(passphrase),
            store: Arc::new(store),
            folder: config.projects_dir(),
            known: Mutex::default(),
        })
    }

    /// Public id of the store key.
    pub(crate) fn store_kid(&self) -> &str {
        self.store.kid()
    }

    /// The keys of `project`.
    pub(crate) async fn project(&self, project: &ProjectId) -> Result<Arc<ProjectKeys>, Refusal> {
        let path = self.folder.join(format!("{project}.key"));
        let mut known = self.known.lock().await;
        let changed = match tokio::fs::metadata(&path).await.and_then(|meta| meta.modified()) {
            Ok(changed) => changed,
            Err(error) => {
                known.remove(project);
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(file = %path.display(), %error, "a project's key can't be read");
                }
                return Err(missing());
            }
        };
        if let Some((at, keys)) = known.get(project)
            && *at == changed
        {
            return Ok(Arc::clone(keys));
        }
        let (passphrase, store, file) = (Arc::clone(&self.passphrase), Arc::clone(&self.store), path.clone());
        // Opening a sealed file takes a good part of a second on purpose.
        let opened = tokio::task::spawn_blocking(move || {
            let key = ProjectKey::load(&file, &passphrase).map_err(|error| error.to_string())?;
            Ok::<_, String>(ProjectKeys {
                order: Arc::new(key.order()),
                person: Arc::new(Recoder::new(&store, &key, Role::Person)),
                key: Arc::new(Recoder::new(&store, &key, Role::Key)),
            })
        })
        .await
        .unwrap_or_else(|_| Err("opening it was interrupted".to_owned()));
        match opened {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.insert(project.clone(), (changed, Arc::clone(&keys)));
                Ok(keys)
            }
            Err(error) => {
                known.remove(project);
                tracing::error!(file = %path.display(), error, "a project's key can't be opened");
                Err(missing())
            }
        }
    }
}

fn missing() -> Refusal {
    Refusal::new(Kind::Unavailable, "this controller has not imported the project's key yet (spoke project-key import)")
}
