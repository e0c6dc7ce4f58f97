//! A custodian's organisation and spokes, each in a folder of its own.

use super::*;
use crate::config::SpokeConfig;
use ::custodian::{Config, ServeOptions, enrol, setup};
use runtime::sign::SigningKey;
use runtime::tls::{Peer, Tls, TlsFiles};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// A custodian's folder with certificates for two spokes.
pub(super) struct Organisation {
    pub(super) folder: TempDir,
    pub(super) config: Config,
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) done: JoinHandle<Result<(), ::custodian::ServeError>>,
}

impl Organisation {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = setup::init(folder.path(), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
        let mut config = Config::load(&path).unwrap();
        config.limits.drain_seconds = 0;
        for spoke in ["sds", "region-h"] {
            enrol_spoke(&config, spoke, &folder.path().join(spoke)).await;
        }
        Self { folder, config }
    }

    pub(super) async fn start(&self) -> Running {
        self.start_with(|_| {}, None).await
    }

    pub(super) async fn start_with(&self, change: impl FnOnce(&mut Config), tap: Option<Arc<dyn Tap>>) -> Running {
        let mut config = self.config.clone();
        change(&mut config);
        let (ready, bound) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let options = ServeOptions { config, listen: None, ready: Some(ready), tap, shutdown: shutdown.clone() };
        let done = tokio::spawn(::custodian::serve(options));
        Running { address: bound.await.unwrap(), shutdown, done }
    }

    pub(super) fn files(&self, spoke: &str) -> PathBuf {
        self.folder.path().join(spoke).join("keys")
    }
}

/// All of it: the approver's registration, the spoke's request, the custodian's reply, in `folder/keys`.
async fn enrol_spoke(custodian: &Config, name: &str, folder: &std::path::Path) {
    let text = format!("controller = \"{name}\"\n[custodian]\naddress = \"localhost:1\"\n");
    let spoke = SpokeConfig::parse(&text, "spoke.toml", folder).unwrap();
    let (approver, signing) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    enrol::register(custodian, name, &approver.public(), 1_000_000, false).await.unwrap();
    let request = crate::pseudonym::enrol::request(&spoke, &approver, signing.public(), 7).unwrap();
    let reply = enrol::enrol(custodian, &serde_json::to_string(&request).unwrap(), 30).await.unwrap();
    crate::pseudonym::enrol::install(&spoke, &reply).unwrap();
}

impl Running {
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.done.await.unwrap().unwrap();
    }
}

/// One spoke's keys and cache.
pub(super) struct Spoke {
    pub(super) folder: TempDir,
    pub(super) name: &'static str,
    pub(super) pass: Passphrase,
}

impl Spoke {
    pub(super) fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pass = Passphrase::from_text("words");
        init_keys(folder.path(), &pass).unwrap();
        Self { folder, name, pass }
    }

    pub(super) fn options(&self, organisation: &Organisation, address: SocketAddr) -> LinkerOptions {
        let files = organisation.files(self.name);
        let tls = TlsFiles {
            cert: files.join("custodian-link.crt"),
            key: files.join("custodian-link.key"),
            ca: files.join("custodian-ca.crt"),
        };
        LinkerOptions {
            address: address.to_string(),
            custodian: Peer::custodian("national").unwrap(),
            tls: Tls::load(&tls).unwrap(),
            public_key: std::fs::read_to_string(files.join("custodian.pub")).unwrap().parse().unwrap(),
            cache: self.folder.path().join("cache/persons.cache"),
            cache_key: CacheKey::load(&self.folder.path().join("cache.key"), &self.pass).unwrap(),
            store_key: self.store(),
            retry: Retry { attempts: 4, first_wait: Duration::from_millis(50), patience: Duration::from_secs(20) },
        }
    }

    pub(super) fn store(&self) -> StoreKey {
        StoreKey::load(&self.folder.path().join("store.key"), &self.pass).unwrap()
    }

    /// Back from S to P, to compare spokes.
    pub(super) fn people(&self, stored: &[[u8; 16]]) -> Vec<[u8; 16]> {
        use aes::cipher::BlockCipherDecrypt;
        let store = self.store();
        stored
            .iter()
            .map(|s| {
                let mut block = aes::Block::from(*s);
                store.person.decrypt_block(&mut block);
                block.into()
            })
            .collect()
    }
}

pub(super) fn nobody() -> SocketAddr {
    // a port that was free a moment ago
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Numbers that look like person numbers; `i` from 0.
pub(super) fn numbers(count: u64) -> Vec<u64> {
    (0..count).map(|i| 101_500_000 + i * 7).collect()
}
