//! A spoke's configuration: `spoke.toml` in the spoke's folder, and where everything else in that folder lies.
//!
//! Values are checked while the file is read, so that an error names its line. Paths are absolute afterwards.
//!
//! INVARIANT: no secret stands in here, only the paths of files that hold one.

use proto::ids::{ControllerId, ProjectId};
use runtime::{
    config::{ConfigError, relative_to},
    peer::Peer,
    seal::{Passphrase, SealError},
    tls::TlsFiles,
};
use serde::{Deserialize, Deserializer};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
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
    /// Where `serve` listens.
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
    /// when the process is told to stop, running queries may go on for so long
    pub drain_seconds: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: "data".to_owned(), options: BTreeMap::new() }
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
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { passphrase_file: "passphrase".into(), credential: None }
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
            drain_seconds: 20,
        }
    }
}

impl SpokeConfig {
    /// Reads `spoke.toml` and makes its paths absolute.
    ///
    /// # Errors
    /// When the file can't be read or a field is unknown, missing or wrong; the error names file and line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
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
        if let Some(custodian) = &mut self.custodian {
            settle(&mut custodian.cert);
            settle(&mut custodian.key);
            settle(&mut custodian.ca);
            settle(&mut custodian.public_key);
        }
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
            (Some(name), Some(folder)) => Passphrase::from_file(&Path::new(&folder).join(name)),
            _ => Passphrase::from_file(&self.keys.passphrase_file),
        }
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

    /// Folder of the grants, one file a project.
    #[must_use]
    pub fn grants_dir(&self) -> PathBuf {
        self.folder.join("grants")
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
        self.keys_dir().join("cache.key")
    }

    /// Sealed HPKE private key.
    #[must_use]
    pub fn identity_key(&self) -> PathBuf {
        self.keys_dir().join("identity.key")
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
        self.folder.join("state.db")
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
}

/// A number of bytes, written `512MiB`, `4GiB`, `64KiB`, `1000` or with decimal units (`10MB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a size: write a whole number and a unit, such as \"512MiB\" or \"4GiB\"")]
pub struct ByteSizeError(String);

impl ByteSize {
    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// As `usize`; what does not fit is as much as there is.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let wrong = || ByteSizeError(text.chars().take(40).collect());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(shift, _)| self.0 > 0 && self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size such as \"512MiB\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

fn national() -> String {
    "national".to_owned()
}

fn custodian_cert() -> PathBuf {
    "keys/custodian-link.crt".into()
}

fn custodian_key() -> PathBuf {
    "keys/custodian-link.key".into()
}

fn custodian_ca() -> PathBuf {
    "keys/custodian-ca.crt".into()
}

fn custodian_public() -> PathBuf {
    "keys/custodian.pub".into()
}

fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<std::net::SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("'{text}' is no address to listen on: write IP:PORT, such as 127.0.0.1:7101"))
    })
}

fn host_and_port<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text),
        _ => Err(serde::de::Error::custom(format!("'{text}' is no address: write HOST:PORT"))),
    }
}

fn peer_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Peer::hub(&text).map_err(|_| {
        serde::de::Error::custom(format!("'{text}' is no name: use lower-case letters, digits, '-' or '_'"))
    })?;
    Ok(text)
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(serde::de::Error::custom(format!("{share} is no share: write a number from 0 to 1")))
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        0 => Err(serde::de::Error::custom("must be at least 1")),
        n => Ok(n),
    }
}

fn at_least_one_second<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        0 => Err(serde::de::Error::custom("must be at least 1")),
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in
            [("512MiB", 512 << 20), ("4 GiB", 4 << 30), ("0", 0), ("64kib", 65_536), ("10MB", 10_000_000)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "12 parsecs", "99999999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(ByteSize::mib(512).to_string(), "512MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000");
        assert_eq!(ByteSize(0).to_string(), "0");
    }

    #[test]
    fn little_is_needed_and_paths_become_absolute() {
        let config = SpokeConfig::parse("controller = \"region-h\"\n", "spoke.toml", Path::new("/srv/h")).unwrap();
        assert_eq!(config.link.cert, Path::new("/srv/h/keys/link.crt"));
        assert_eq!(config.store.url, "/srv/h/data");
        assert_eq!(config.serve.max_scans, 8);
        assert_eq!(config.hub_peer().to_string(), "eger://hub/main");
        assert!(config.custodian.is_none());
        let text = "controller = \"x\"\n[store]\nurl = \"s3://b/p\"\n[custodian]\naddress = \"c:7100\"\n";
        let config = SpokeConfig::parse(text, "spoke.toml", Path::new("/srv/h")).unwrap();
        assert_eq!(config.store.url, "s3://b/p");
        let custodian = config.custodian.unwrap();
        assert_eq!(custodian.public_key, Path::new("/srv/h/keys/custodian.pub"));
        assert_eq!(custodian.peer().to_string(), "eger://custodian/national");
    }

    #[test]
    fn errors_name_the_line_and_say_what_to_write() {
        for (text, line, says) in [
            ("controller = \"x\"\n[ingest]\nmemory = \"lots\"\n", 3, "512MiB"),
            ("controller = \"x\"\n[ingest]\nmax_reject_share = 2.0\n", 3, "from 0 to 1"),
            ("controller = \"x\"\n[listen]\naddress = \"here\"\n", 3, "IP:PORT"),
            ("controller = \"x\"\n[link]\nhub = \"The Hub\"\n", 3, "lower-case"),
            ("controller = \"x\"\n[serve]\nmax_scans = 0\n", 3, "at least 1"),
            ("controller = \"x\"\n[serve]\nmax_scan = 1\n", 3, "unknown field `max_scan`"),
            ("controller = \"Region H\"\n", 1, "Region H"),
        ] {
            let error = SpokeConfig::parse(text, "spoke.toml", Path::new("/")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("spoke.toml, line {line},")), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }
}
