//! The custodian's configuration, `custodian.toml`.

use runtime::{
    config::{ConfigError, relative_to},
    seal::{Passphrase, SealError},
    tls::{Peer, TlsFiles},
};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// `custodian.toml`; relative paths are taken below the file's own folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// the folder that holds `custodian.toml`
    #[serde(skip)]
    pub folder: PathBuf,
    /// name of this custodian, as in `eger://custodian/NAME`
    pub name: String,
    /// where it listens
    pub listen: Listen,
    /// its own certificate and the authority of its clients
    pub tls: TlsFiles,
    /// the linkage key and what opens it
    pub keys: Keys,
    /// what it bears
    #[serde(default)]
    pub limits: Limits,
}

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// `ip:port`; port 0 takes a free one
    pub address: SocketAddr,
}

/// `[keys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// the sealed linkage key
    pub linkage: PathBuf,
    /// the sealed private key of the custodian's own certificate authority
    pub authority: PathBuf,
    /// the sealed key that checkpoints of the audit log are signed with
    #[serde(default = "signing")]
    pub signing: PathBuf,
    /// the sealed private key to which spokes seal seeds of blind totals
    #[serde(default = "sealing")]
    pub sealing: PathBuf,
    /// file with the passphrase, readable by its owner alone
    #[serde(default)]
    pub passphrase_file: Option<PathBuf>,
    /// name of a systemd credential that holds the passphrase (then no file is needed)
    #[serde(default)]
    pub credential: Option<String>,
}

fn signing() -> PathBuf {
    "keys/signing.key".into()
}

fn sealing() -> PathBuf {
    "keys/sealing.key".into()
}

/// `[limits]`; every value has a default that fits one ordinary server.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// elements in one batch
    pub max_batch: usize,
    /// batches of one stream that are evaluated or wait at the same time
    pub batches_in_flight: usize,
    /// evaluation streams open at the same time, over all spokes
    pub streams: usize,
    /// evaluations at the same time, over all streams; 0: one for each core
    pub threads: usize,
    /// blind totals of one project in one day (UTC)
    pub totals_per_day: u64,
    /// at the end: how long open streams may go on
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_batch: 4096, batches_in_flight: 8, streams: 64, threads: 0, totals_per_day: 500, drain_seconds: 10 }
    }
}

impl Limits {
    /// Evaluations at the same time.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        }
    }

    /// How long open streams may go on after a signal.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// When it can't be read, or a field is unknown, missing or out of range; the error names it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = runtime::config::load(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.checked(base, &path.display().to_string())
    }

    fn checked(mut self, base: &Path, name: &str) -> Result<Self, ConfigError> {
        let wrong = |message: String| ConfigError::Invalid { name: name.to_owned(), line: 1, column: 1, message };
        Peer::custodian(&self.name).map_err(|e| wrong(format!("field `name`: {e}")))?;
        let ranges = [
            ("max_batch", self.limits.max_batch, 1, 65_535),
            ("batches_in_flight", self.limits.batches_in_flight, 1, 256),
            ("streams", self.limits.streams, 1, 10_000),
            ("threads", self.limits.threads, 0, 1_024),
            ("totals_per_day", usize::try_from(self.limits.totals_per_day).unwrap_or(usize::MAX), 0, 100_000),
        ];
        for (field, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(wrong(format!("field `limits.{field}`: {value} is not within {low} to {high}")));
            }
        }
        if self.keys.passphrase_file.is_none() && self.keys.credential.is_none() {
            return Err(wrong("give `keys.passphrase_file` or `keys.credential`".to_owned()));
        }
        self.tls = self.tls.below(base);
        self.keys.linkage = relative_to(base, &self.keys.linkage);
        self.keys.authority = relative_to(base, &self.keys.authority);
        self.keys.signing = relative_to(base, &self.keys.signing);
        self.keys.sealing = relative_to(base, &self.keys.sealing);
        self.folder = base.to_owned();
        self.keys.passphrase_file = self.keys.passphrase_file.map(|file| relative_to(base, &file));
        Ok(self)
    }

    /// The passphrase, from the systemd credential when one is named, else from its file.
    ///
    /// # Errors
    /// When it is missing, empty or readable by others.
    pub fn passphrase(&self) -> Result<Passphrase, SealError> {
        match (&self.keys.credential, &self.keys.passphrase_file) {
            (Some(name), _) => Passphrase::from_credential(name),
            (None, Some(file)) => Passphrase::from_file(file),
            (None, None) => Passphrase::from_file(Path::new("passphrase")),
        }
    }

    /// Who this custodian is. The name was checked on reading.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer { role: runtime::tls::Role::Custodian, name: self.name.clone() }
    }

    /// The register of controllers and counts (SQLite).
    #[must_use]
    pub fn register(&self) -> PathBuf {
        self.folder.join("custodian.db")
    }

    /// Folder of the audit log and of checkpoints.
    #[must_use]
    pub fn audit_dir(&self) -> PathBuf {
        self.folder.join("audit")
    }

    /// The audit log.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.audit_dir().join("custodian.log")
    }

    /// File with the public evaluation key (hex), which spokes pin.
    #[must_use]
    pub fn public_key_file(&self) -> PathBuf {
        self.keys.linkage.with_file_name("custodian.pub")
    }

    /// File with the public sealing key (hex).
    #[must_use]
    pub fn sealing_public_file(&self) -> PathBuf {
        self.keys.sealing.with_extension("pub")
    }

    /// File with the public signing key (hex).
    #[must_use]
    pub fn signing_public_file(&self) -> PathBuf {
        self.keys.signing.with_extension("pub")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = r#"
name = "national"
[listen]
address = "127.0.0.1:0"
[tls]
cert = "keys/custodian.crt"
key = "keys/custodian.key"
ca = "keys/ca.crt"
[keys]
linkage = "keys/linkage.key"
authority = "keys/ca.key"
passphrase_file = "passphrase"
"#;

    fn read(text: &str) -> Result<Config, ConfigError> {
        runtime::config::parse::<Config>(text, "custodian.toml")?.checked(Path::new("/c"), "custodian.toml")
    }

    #[test]
    fn paths_are_below_the_files_folder() {
        let config = read(TEXT).unwrap();
        assert_eq!(config.keys.linkage, Path::new("/c/keys/linkage.key"));
        assert_eq!(config.tls.ca, Path::new("/c/keys/ca.crt"));
        assert!(config.limits.workers() >= 1);
    }

    #[test]
    fn wrong_fields_are_named() {
        let wrong = |change: &str| read(&format!("{TEXT}{change}")).unwrap_err().to_string();
        assert!(wrong("[limits]\nmax_batch = 70000\n").contains("limits.max_batch"));
        assert!(wrong("[limits]\nmax_bacth = 7\n").contains("max_bacth"));
        let none = TEXT.replace("passphrase_file = \"passphrase\"\n", "");
        assert!(read(&none).unwrap_err().to_string().contains("keys.passphrase_file"));
        let name = TEXT.replace("\"national\"", "\"Not a name\"");
        assert!(read(&name).unwrap_err().to_string().contains("`name`"));
    }
}
