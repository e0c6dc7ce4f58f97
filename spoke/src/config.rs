//! A spoke's configuration: `spoke.toml` in the spoke's folder, and where everything else in that folder lies.
//!
//! Values are checked while the file is read, so that an error names its line. Paths are absolute afterwards.
//!
//! INVARIANT: no secret stands in here, only the paths of files that hold one.

mod field;
mod size;

pub use size::{ByteSize, ByteSizeError};

use field::{
    at_least_one, at_least_one_second, custodian_ca, custodian_cert, custodian_key, custodian_public, host_and_port,
    maybe_host_and_port, national, peer_name, share, socket_address,
};
use proto::ids::{ControllerId, ProjectId};
use release::Caps;
use runtime::{
    config::{ConfigError, relative_to},
    peer::Peer,
    seal::{Passphrase, SealError},
    telemetry::{TelemetryConfig, metrics::MetricsConfig},
    tls::TlsFiles,
    token::IssuerConfig,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// `spoke.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokeConfig {
    /// The folder that holds `spoke.toml`; everything else is relative to it.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Whose data this is. The hub addresses the spoke as `eger://spoke/<controller>`.
    pub controller: ControllerId,
    /// The controller's name for people.
    #[serde(default)]
    pub title: Title,
    /// Where published tables live.
    #[serde(default)]
    pub store: StoreConfig,
    /// Where `serve` listens, if it does.
    #[serde(default)]
    pub listen: Listen,
    /// The link to the hub: own certificate, and who may ask.
    #[serde(default)]
    pub link: Link,
    /// The custodian that evaluates pseudonyms. Needed by `ingest` only.
    pub custodian: Option<Custodian>,
    /// How key files are opened.
    #[serde(default)]
    pub keys: Keys,
    /// Limits of `ingest`.
    #[serde(default)]
    pub ingest: IngestLimits,
    /// Limits of `serve`.
    #[serde(default)]
    pub serve: ServeLimits,
    /// Who vouches for people: the issuers whose access tokens count here. TOML key `[[issuer]]`.
    #[serde(default, rename = "issuer")]
    pub issuers: Vec<IssuerConfig>,
    /// Where traces go.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Where metrics are told.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// A name in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Title {
    /// Danish
    pub da: String,
    /// English
    pub en: String,
}

/// The object store of published tables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A folder (absolute after load) or an object-store URL such as `s3://bucket/prefix`.
    pub url: String,
    /// Options of the object store, such as `aws_endpoint`.
    pub options: BTreeMap<String, String>,
    /// The spoke's own state (SQLite); its folder must be writable for `ingest` and `serve`.
    pub state: PathBuf,
}

/// Where `serve` listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// `ip:port`
    #[serde(deserialize_with = "socket_address")]
    pub address: std::net::SocketAddr,
}

/// The link between this spoke and its hub.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// own certificate (PEM)
    pub cert: PathBuf,
    /// its private key (PEM, 0600)
    pub key: PathBuf,
    /// the hub's link authority (PEM)
    pub ca: PathBuf,
    /// name of the only hub that may ask: `eger://hub/<name>`
    #[serde(deserialize_with = "peer_name")]
    pub hub: String,
    /// who connects to whom
    pub mode: LinkMode,
    /// the hub's gateway, `host:port`; written by `spoke join`
    #[serde(deserialize_with = "maybe_host_and_port")]
    pub gateway: Option<String>,
    /// links that are kept standing
    #[serde(deserialize_with = "at_least_one")]
    pub connections: usize,
    /// how answers are compressed on their way to the hub
    pub compression: Compression,
}

/// How answers are compressed, if the hub reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// when the link turns out to be slower than compressing
    #[default]
    Auto,
    /// never
    None,
    /// always, with little work
    Lz4,
    /// always, to fewer bytes with more work
    Zstd,
}

/// Who opens the connection between spoke and hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// this spoke does: nobody has to be let in here
    Dial,
    /// the hub does, at `[listen] address`
    Listen,
}

impl LinkMode {
    /// As it stands in `spoke.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Listen => "listen",
        }
    }
}

/// The custodian and the certificate that it gave this spoke.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    /// `host:port`
    #[serde(deserialize_with = "host_and_port")]
    pub address: String,
    /// its name: `eger://custodian/<name>`
    #[serde(default = "national", deserialize_with = "peer_name")]
    pub name: String,
    /// own certificate towards the custodian (PEM)
    #[serde(default = "custodian_cert")]
    pub cert: PathBuf,
    /// its private key (PEM, 0600)
    #[serde(default = "custodian_key")]
    pub key: PathBuf,
    /// the custodian's authority (PEM)
    #[serde(default = "custodian_ca")]
    pub ca: PathBuf,
    /// file with the custodian's public evaluation key (hex)
    #[serde(default = "custodian_public")]
    pub public_key: PathBuf,
}

/// How sealed key files are opened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// file with the passphrase (0600)
    pub passphrase_file: PathBuf,
    /// name of a systemd credential that holds it instead
    pub credential: Option<String>,
    /// folder of the keys that only `ingest` opens, when it runs as another user than `serve`; else they lie in `keys/`
    pub ingest_folder: Option<PathBuf>,
    /// file with the passphrase of the keys that `ingest` opens (0600), when it isn't the same
    pub ingest_passphrase_file: Option<PathBuf>,
    /// name of a systemd credential that holds it instead
    pub ingest_credential: Option<String>,
}

/// Limits of `ingest`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestLimits {
    /// nothing is published when more than this share of the rows is rejected
    #[serde(deserialize_with = "share")]
    pub max_reject_share: f64,
    /// threads; 0: as many as there are cores
    pub threads: usize,
    /// memory for sorting
    pub memory: ByteSize,
}

/// Limits of `serve`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeLimits {
    /// memory of all running queries together
    pub memory: ByteSize,
    /// disk for what does not fit into memory
    pub spill: ByteSize,
    /// queries that run at the same time
    #[serde(deserialize_with = "at_least_one")]
    pub max_scans: usize,
    /// queries that may wait for a free place; more are refused
    pub max_waiting: usize,
    /// longest time a query may run
    #[serde(deserialize_with = "at_least_one_second")]
    pub max_seconds: u64,
    /// rows that one answer may hold
    pub max_rows: u64,
    /// bytes that one answer may hold, in memory form
    pub max_bytes: ByteSize,
    /// threads a query may use; 0: as many as there are cores
    pub threads: usize,
    /// memory for answers that are given again to the same question; 0: none are kept
    pub results: ByteSize,
    /// when the process is told to stop, running queries may go on for so long
    pub drain_seconds: u64,
    /// new numbers that a project is shown on one day (UTC), of cells that this spoke checks itself
    pub statistics_per_day: u64,
    /// the same under one key
    pub statistics_per_key: u64,
}

impl ServeLimits {
    /// How many numbers a project is shown of cells that this spoke checks itself.
    #[must_use]
    pub fn caps(&self) -> Caps {
        Caps { per_day: self.statistics_per_day, per_key: self.statistics_per_key }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: "data".to_owned(), options: BTreeMap::new(), state: "state.db".into() }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: std::net::SocketAddr::from(([127, 0, 0, 1], 7101)) }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self {
            cert: "keys/link.crt".into(),
            key: "keys/link.key".into(),
            ca: "keys/link-ca.crt".into(),
            hub: "main".to_owned(),
            mode: LinkMode::Dial,
            gateway: None,
            connections: 2,
            compression: Compression::Auto,
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            passphrase_file: "passphrase".into(),
            credential: None,
            ingest_folder: None,
            ingest_passphrase_file: None,
            ingest_credential: None,
        }
    }
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self { max_reject_share: 0.01, threads: 0, memory: ByteSize::mib(512) }
    }
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(1024),
            spill: ByteSize::mib(4096),
            max_scans: 8,
            max_waiting: 32,
            max_seconds: 600,
            max_rows: 1_000_000_000,
            max_bytes: ByteSize::mib(64 * 1024),
            threads: 0,
            results: ByteSize(0),
            drain_seconds: 20,
            statistics_per_day: Caps::default().per_day,
            statistics_per_key: Caps::default().per_key,
        }
    }
}

impl SpokeConfig {
    /// Reads `spoke.toml` and makes its paths absolute.
    ///
    /// # Errors
    /// When the file can't be read or a field is unknown, missing or wrong; the error names file and line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let mut config: Self = runtime::config::load(&path)?;
        config.settle(path.parent().unwrap_or(Path::new("/")));
        Ok(config)
    }

    /// Reads configuration text as if it stood in `folder`; `name` stands in errors.
    ///
    /// # Errors
    /// As [`SpokeConfig::load`].
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = runtime::config::parse(text, name)?;
        config.settle(folder);
        Ok(config)
    }

    fn settle(&mut self, folder: &Path) {
        self.folder = folder.to_owned();
        let settle = |path: &mut PathBuf| *path = relative_to(folder, path);
        settle(&mut self.link.cert);
        settle(&mut self.link.key);
        settle(&mut self.link.ca);
        settle(&mut self.keys.passphrase_file);
        settle(&mut self.store.state);
        [&mut self.keys.ingest_folder, &mut self.keys.ingest_passphrase_file].into_iter().flatten().for_each(settle);
        if let Some(custodian) = &mut self.custodian {
            settle(&mut custodian.cert);
            settle(&mut custodian.key);
            settle(&mut custodian.ca);
            settle(&mut custodian.public_key);
        }
        self.issuers = std::mem::take(&mut self.issuers).into_iter().map(|issuer| issuer.below(folder)).collect();
        if !self.store.url.contains("://") {
            self.store.url = relative_to(folder, Path::new(&self.store.url)).display().to_string();
        }
    }

    /// The passphrase of the sealed key files.
    ///
    /// # Errors
    /// When the file is missing, empty or readable by others.
    pub fn passphrase(&self) -> Result<Passphrase, SealError> {
        match (&self.keys.credential, std::env::var_os("CREDENTIALS_DIRECTORY")) {
            (Some(name), Some(_)) => Passphrase::from_credential(name),
            _ => Passphrase::from_file(&self.keys.passphrase_file),
        }
    }

    /// The passphrase of the keys that `ingest` opens: its own, so that `serve` can't open them, unless none is set.
    ///
    /// # Errors
    /// As [`SpokeConfig::passphrase`].
    pub fn ingest_passphrase(&self) -> Result<Passphrase, SealError> {
        match (&self.keys.ingest_credential, std::env::var_os("CREDENTIALS_DIRECTORY")) {
            (Some(name), Some(_)) => Passphrase::from_credential(name),
            _ => match &self.keys.ingest_passphrase_file {
                Some(file) => Passphrase::from_file(file),
                None => self.passphrase(),
            },
        }
    }

    /// Whether `ingest` has keys and a passphrase of its own.
    #[must_use]
    pub fn separate_ingest(&self) -> bool {
        self.keys.ingest_folder.is_some()
    }

    /// Folder of the keys that `ingest` opens.
    #[must_use]
    pub fn ingest_keys_dir(&self) -> PathBuf {
        self.keys.ingest_folder.clone().unwrap_or_else(|| self.keys_dir())
    }

    /// Certificate files of the link to the hub.
    #[must_use]
    pub fn link_tls(&self) -> TlsFiles {
        TlsFiles { cert: self.link.cert.clone(), key: self.link.key.clone(), ca: self.link.ca.clone() }
    }

    /// The only peer that may ask this spoke. The name was checked on reading.
    #[must_use]
    pub fn hub_peer(&self) -> Peer {
        Peer { role: runtime::peer::Role::Hub, name: self.link.hub.clone() }
    }

    /// Folder of the table declarations.
    #[must_use]
    pub fn tables_dir(&self) -> PathBuf {
        self.folder.join("tables")
    }

    /// Folder of what this controller's approvers signed: permits, refusals, revocations.
    #[must_use]
    pub fn permits_dir(&self) -> PathBuf {
        self.folder.join("permits")
    }

    /// Folder of parts of applications that wait for a decision.
    #[must_use]
    pub fn inbox_dir(&self) -> PathBuf {
        self.folder.join("inbox")
    }

    /// Folder of the public keys of this controller's approvers.
    #[must_use]
    pub fn approvers_dir(&self) -> PathBuf {
        self.folder.join("approvers")
    }

    /// The spoke's audit log.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit").join("spoke.log")
    }

    /// Sealed key of one project.
    #[must_use]
    pub fn project_key(&self, project: &ProjectId) -> PathBuf {
        self.projects_dir().join(format!("{project}.key"))
    }

    /// Folder of the sealed project keys.
    #[must_use]
    pub fn projects_dir(&self) -> PathBuf {
        self.folder.join("projects")
    }

    /// Folder of key files.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Sealed `K_store`.
    #[must_use]
    pub fn store_key(&self) -> PathBuf {
        self.keys_dir().join("store.key")
    }

    /// Sealed key of the person cache. Opened by `ingest`, never by `serve`.
    #[must_use]
    pub fn cache_key(&self) -> PathBuf {
        self.ingest_keys_dir().join("cache.key")
    }

    /// Sealed HPKE private key.
    #[must_use]
    pub fn identity_key(&self) -> PathBuf {
        self.keys_dir().join("identity.key")
    }

    /// Sealed signing key: the spoke's signature under acceptances, epochs and checkpoints.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.keys_dir().join("signing.key")
    }

    /// Folder of the hub's receipts for what it removed.
    #[must_use]
    pub fn receipts_dir(&self) -> PathBuf {
        self.folder.join("receipts")
    }

    /// The encrypted person cache. Opened by `ingest`, never by `serve`.
    #[must_use]
    pub fn cache_file(&self) -> PathBuf {
        self.folder.join("cache").join("persons.cache")
    }

    /// Folder of rejected rows' reports.
    #[must_use]
    pub fn rejects_dir(&self) -> PathBuf {
        self.folder.join("rejects")
    }

    /// Folder for what does not fit into memory.
    #[must_use]
    pub fn spill_dir(&self) -> PathBuf {
        self.folder.join("spill")
    }

    /// The spoke's own state (SQLite).
    #[must_use]
    pub fn state_db(&self) -> PathBuf {
        self.store.state.clone()
    }

    /// Folder of what was released of each project, where permits let only checked cells out: beside the state, which `serve` may write.
    #[must_use]
    pub fn ledger_dir(&self) -> PathBuf {
        self.store.state.parent().unwrap_or(&self.folder).join("ledger")
    }

    /// Held by a running ingest.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.folder.join("spoke.lock")
    }
}

impl Custodian {
    /// Certificate files of the link to the custodian.
    #[must_use]
    pub fn tls(&self) -> TlsFiles {
        TlsFiles { cert: self.cert.clone(), key: self.key.clone(), ca: self.ca.clone() }
    }

    /// File with the key that the custodian signs checkpoints of its audit log with.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.public_key.with_file_name("custodian-signing.pub")
    }

    /// Who must be on the other side. The name was checked on reading.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer { role: runtime::peer::Role::Custodian, name: self.name.clone() }
    }
}

impl ServeLimits {
    /// Longest time a query may run.
    #[must_use]
    pub fn max_time(&self) -> Duration {
        Duration::from_secs(self.max_seconds)
    }

    /// Within this the answer to a call has begun, or the call ends: a question that never comes in whole holds nothing.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.max_time() + Duration::from_secs(60)
    }
}

#[cfg(test)]
mod tests;
