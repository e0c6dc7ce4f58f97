//! The keys that `serve` works with: `K_store`, and each project's key when its first question comes.
//!
//! INVARIANT: the cache of persons and its key are never opened here.

use crate::{
    config::SpokeConfig,
    pseudonym::{GroupSecret, OrderKey, ProjectKey, Recoder, Role, StoreKey},
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
    /// of the key, from 1
    pub(crate) epoch: u32,
    /// public id of the key
    pub(crate) kid: String,
    /// what the keys of quick tests are made of; of no project
    pub(super) group: Option<GroupSecret>,
}

/// All keys. A project's file is looked at for every question, so that a removed key counts at once.
pub(crate) struct KeyBook {
    passphrase: Arc<Passphrase>,
    store: Arc<StoreKey>,
    folder: PathBuf,
    known: Mutex<HashMap<ProjectId, (SystemTime, Arc<ProjectKeys>)>>,
}

impl KeyBook {
    /// Opens the store key; the projects' keys are opened when they are asked for.
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

    /// The store key.
    pub(super) fn store(&self) -> &StoreKey {
        &self.store
    }

    /// Public id of the store key.
    pub(crate) fn store_kid(&self) -> &str {
        self.store.kid()
    }

    /// Where the classes begin in which statistics are told.
    pub(crate) fn rounding(&self) -> &OrderKey {
        self.store.rounding()
    }

    /// Drops a project's keys from memory, when its key was destroyed.
    pub(crate) async fn forget(&self, project: &ProjectId) {
        self.known.lock().await.remove(project);
    }

    /// Projects whose keys are in memory.
    #[cfg(test)]
    pub(crate) async fn in_memory(&self) -> Vec<ProjectId> {
        self.known.lock().await.keys().cloned().collect()
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
        let shared = project.is_quick_test();
        let (passphrase, store, file) = (Arc::clone(&self.passphrase), Arc::clone(&self.store), path.clone());
        // Opening a sealed file takes a good part of a second on purpose.
        let opened = tokio::task::spawn_blocking(move || {
            let key = ProjectKey::load(&file, &passphrase).map_err(|error| error.to_string())?;
            let group = shared.then(|| GroupSecret::load(&file, &passphrase)).transpose();
            Ok::<_, String>(ProjectKeys {
                group: group.map_err(|error| error.to_string())?,
                order: Arc::new(key.order()),
                person: Arc::new(Recoder::new(&store, &key, Role::Person)),
                key: Arc::new(Recoder::new(&store, &key, Role::Key)),
                epoch: key.epoch(),
                kid: key.kid().to_owned(),
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
    Refusal::new(
        Kind::Unavailable,
        "this controller does not hold the project's key yet; it comes by itself when the members' permits are signed. Try again in a minute",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        init::{self, InitOptions},
        pseudonym::project_key::{self, Held},
    };

    #[tokio::test]
    async fn a_destroyed_key_is_in_memory_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            folder: folder.path().to_owned(),
            controller: "dst".parse().unwrap(),
            title_da: String::new(),
            title_en: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            hub: "main".to_owned(),
            custodian: "127.0.0.1:1".to_owned(),
            custodian_name: "national".to_owned(),
            separate_ingest: false,
        };
        init::run(&options).unwrap();
        let config = SpokeConfig::load(&folder.path().join("spoke.toml")).unwrap();
        let project: ProjectId = "diabetes".parse().unwrap();
        let held = Held::new(project.clone(), 3).unwrap();
        held.store(&config.projects_dir(), &config.passphrase().unwrap()).unwrap();
        let book = KeyBook::open(&config).unwrap();
        let keys = book.project(&project).await.unwrap();
        assert_eq!((keys.epoch, keys.kid.clone()), (3, held.key_id()));
        assert_eq!(book.in_memory().await, std::slice::from_ref(&project));
        project_key::destroy(&config.projects_dir(), &project).unwrap();
        book.forget(&project).await;
        assert!(book.in_memory().await.is_empty());
        assert!(book.project(&project).await.is_err());
    }
}
