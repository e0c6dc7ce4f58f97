//! The hub's own folder: `hub.toml`. Paths in it are relative to the folder.
//!
//! INVARIANT: no file here names a project, a member or a permission: those come from permits that controllers signed.

use crate::{
    apply::Screening,
    login::{self, LoginConfig},
    release::Caps,
};
use policies::permit::User;
use proto::ids::{ControllerId, PermitId, ProjectId, UserId};
use runtime::{
    config::ConfigError,
    telemetry::{TelemetryConfig, metrics::MetricsConfig},
    tls::TlsFiles,
    token::IssuerConfig,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the hub's configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HubConfigError {
    /// A file can't be read or has an unknown, missing or wrong field.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A field contradicts another or can't be right.
    #[error("{}, field {field}: {message}", path.display())]
    Field {
        /// which file
        path: PathBuf,
        /// which field
        field: String,
        /// what is wrong and what to do
        message: String,
    },
}

/// `hub.toml`. All paths are absolute or relative to the working directory.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// the folder that the configuration lies in
    pub folder: PathBuf,
    /// the hub's name on its links, as in `eger://hub/main`
    pub name: String,
    /// where clients connect
    pub listen: Listen,
    /// the hub's identity on links to spokes
    pub link: TlsFiles,
    /// where spokes connect to, if they do
    pub gateway: Option<GatewayConfig>,
    /// the spokes that listen, by controller
    pub spokes: BTreeMap<ControllerId, SpokeAddress>,
    /// who adds up the masks of blind totals, if the hub has such
    pub custodian: Option<CustodianConfig>,
    /// limits of a statement
    pub query: Query,
    /// the HTTP API, if it is served
    pub api: Option<ApiConfig>,
    /// what is handed in to leave
    pub airlock: AirlockConfig,
    /// who has a role at the hub
    pub roles: Vec<RoleConfig>,
    /// whose access tokens are believed
    pub issuers: Vec<IssuerConfig>,
    /// where people sign in
    pub logins: Vec<LoginConfig>,
    /// where traces go
    pub telemetry: TelemetryConfig,
    /// where metrics are told
    pub metrics: MetricsConfig,
}

impl HubConfig {
    /// The file of tokens.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("hub.db")
    }

    /// The folder of what was released.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// The key that tickets are sealed with.
    #[must_use]
    pub fn ticket_key(&self) -> PathBuf {
        self.folder.join("keys/ticket.key")
    }
}

/// Where clients connect.
#[derive(Debug, Clone)]
pub struct Listen {
    /// zone `open`: released aggregates only
    pub open: SocketAddr,
    /// zone `enclave`: reachable from the secure environment alone
    pub enclave: SocketAddr,
    /// server certificate of both listeners; needed when one of them is not on loopback
    pub tls: Option<ServerTls>,
}

/// A server certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// certificate chain, PEM
    pub cert: PathBuf,
    /// private key, PEM, readable by the owner alone
    pub key: PathBuf,
}

/// Where spokes open their links, and other hub processes relay through.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// `ip:port` to listen on
    pub address: SocketAddr,
    /// `host:port` at which spokes find it, when that is another
    #[serde(default)]
    pub public: Option<String>,
    /// how long certificates of links are good; spokes renew theirs after two thirds of that
    #[serde(default = "certificate_days")]
    pub certificate_days: u32,
}

fn certificate_days() -> u32 {
    90
}

/// Where a controller's spoke listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokeAddress {
    /// `host:port`
    pub address: String,
}

/// The custodian, for blind totals.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodianConfig {
    /// its name, as in `eger://custodian/NAME`
    pub name: String,
    /// `host:port`
    pub address: String,
    /// the hub's certificate that the custodian gave, its key, and the custodian's authority
    pub tls: TlsFiles,
}

/// Limits of a statement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// a statement ends after this, with an error
    pub timeout_seconds: u64,
    /// a ticket can be redeemed this long
    pub ticket_seconds: u64,
    /// how long a spoke may take to say what it offers
    pub catalogue_timeout_seconds: u64,
    /// how long such an answer is used again
    pub catalogue_cache_seconds: u64,
    /// the longest statement taken, bytes
    pub max_statement_bytes: usize,
    /// how long a statement may wait for a free slot
    pub queue_seconds: u64,
    /// keys of a join that are sent to another spoke one by one; of more a Bloom filter is sent
    pub key_list: usize,
    /// new numbers that a project is shown on one day, UTC
    pub statistics_per_day: u64,
    /// new numbers that a project is shown under one key
    pub statistics_per_key: u64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            timeout_seconds: 300,
            ticket_seconds: 300,
            catalogue_timeout_seconds: 10,
            catalogue_cache_seconds: 10,
            max_statement_bytes: 256 << 10,
            queue_seconds: 60,
            key_list: 2_000_000,
            statistics_per_day: Caps::default().per_day,
            statistics_per_key: Caps::default().per_key,
        }
    }
}

impl Query {
    /// How long a statement may run.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// How many numbers a project is shown in the open zone.
    #[must_use]
    pub fn caps(&self) -> Caps {
        Caps { per_day: self.statistics_per_day, per_key: self.statistics_per_key }
    }
}

/// A project as the hub knows it: who may ask, and under whose permits. Made from signed permits alone
/// ([`crate::assemble`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// id; the catalog's name in SQL
    pub project: ProjectId,
    /// for people
    pub title: String,
    /// who may ask
    pub members: BTreeSet<User>,
    /// whom the project asks, under which permit; the schemas' names in SQL
    pub controllers: BTreeMap<ControllerId, PermitId>,
}

impl Project {
    /// Whether `user`, for whom `issuer` vouches, may ask. Where no issuer is known, the user's id alone counts: the
    /// spokes look at the issuer themselves.
    #[must_use]
    pub fn has(&self, user: &UserId, issuer: Option<&str>) -> bool {
        self.members.iter().any(|m| m.user == *user && issuer.is_none_or(|issuer| m.issuer == issuer))
    }
}

/// All projects that are open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projects(BTreeMap<ProjectId, Project>);

impl Projects {
    /// The project, when `user` is a member of it.
    #[must_use]
    pub fn of_member(&self, project: &ProjectId, user: &UserId, issuer: Option<&str>) -> Option<&Project> {
        self.0.get(project).filter(|p| p.has(user, issuer))
    }

    /// All projects that `user` is a member of.
    pub fn all_of<'a>(&'a self, user: &'a UserId, issuer: Option<&'a str>) -> impl Iterator<Item = &'a Project> {
        self.0.values().filter(move |p| p.has(user, issuer))
    }

    /// All of them. For the hub's own work, never for callers.
    pub fn all(&self) -> impl Iterator<Item = &Project> {
        self.0.values()
    }
}

impl FromIterator<Project> for Projects {
    fn from_iter<I: IntoIterator<Item = Project>>(projects: I) -> Self {
        Self(projects.into_iter().map(|p| (p.project.clone(), p)).collect())
    }
}

/// The HTTP API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// where it listens; [listen.tls] serves it too when it isn't on loopback
    pub address: SocketAddr,
    /// where it listens inside the secure environment, reachable from there alone; without it there is no airlock
    #[serde(default)]
    pub enclave: Option<SocketAddr>,
    /// who says that an application is complete: `automatic` (the form's checks) or `manual` (a coordinator)
    #[serde(default)]
    pub screening: Screening,
}

/// What is handed in to leave.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AirlockConfig {
    /// a draft that nobody changes for so many days is withdrawn, and its files are removed
    pub draft_days: u32,
}

impl Default for AirlockConfig {
    fn default() -> Self {
        Self { draft_days: crate::airlock::DRAFT_DAYS }
    }
}

/// Who has a role at the hub.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// the user
    pub user: UserId,
    /// who vouches for the user
    pub issuer: String,
    /// `operator`, `coordinator`, `approver:CONTROLLER` or `checker:ORGANISATION`
    pub role: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HubFile {
    name: String,
    listen: ListenFile,
    link: TlsFiles,
    #[serde(default)]
    gateway: Option<GatewayConfig>,
    #[serde(default, rename = "spoke")]
    spokes: Vec<SpokeFile>,
    #[serde(default)]
    custodian: Option<CustodianConfig>,
    #[serde(default)]
    query: Query,
    #[serde(default)]
    api: Option<ApiConfig>,
    #[serde(default)]
    airlock: AirlockConfig,
    #[serde(default, rename = "role")]
    roles: Vec<RoleConfig>,
    #[serde(default, rename = "issuer")]
    issuers: Vec<IssuerConfig>,
    #[serde(default, rename = "login")]
    logins: Vec<LoginConfig>,
    #[serde(default)]
    telemetry: TelemetryConfig,
    #[serde(default)]
    metrics: MetricsConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenFile {
    open: SocketAddr,
    enclave: SocketAddr,
    #[serde(default)]
    tls: Option<ServerTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpokeFile {
    controller: ControllerId,
    address: String,
}

impl HubConfig {
    /// Reads `hub.toml`.
    ///
    /// # Errors
    /// When the file can't be read or a field is unknown, missing, wrong or contradicts another.
    pub fn load(path: &Path) -> Result<Self, HubConfigError> {
        let file: HubFile = runtime::config::load(path)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let wrong = |field: String, message: String| HubConfigError::Field { path: path.to_owned(), field, message };
        runtime::peer::Peer::hub(&file.name).map_err(|e| wrong("name".to_owned(), e.to_string()))?;
        let mut spokes = BTreeMap::new();
        for spoke in file.spokes {
            let field = |name: &str| format!("spoke.{name} of controller '{}'", spoke.controller);
            if !spoke
                .address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            {
                return Err(wrong(field("address"), format!("'{}' is not host:port", spoke.address)));
            }
            if spokes.insert(spoke.controller.clone(), SpokeAddress { address: spoke.address }).is_some() {
                return Err(wrong(field("controller"), "stands there twice. Remove one of them".to_owned()));
            }
        }
        for (name, value) in [
            ("timeout_seconds", file.query.timeout_seconds),
            ("ticket_seconds", file.query.ticket_seconds),
            ("catalogue_timeout_seconds", file.query.catalogue_timeout_seconds),
        ] {
            if value == 0 {
                return Err(wrong(format!("query.{name}"), "must be at least 1".to_owned()));
            }
        }
        let issuers: Vec<IssuerConfig> = file.issuers.into_iter().map(|issuer| issuer.below(&folder)).collect();
        for issuer in &issuers {
            issuer.check().map_err(|message| wrong("issuer".to_owned(), message))?;
        }
        let logins = login::offered(&issuers, file.logins).map_err(|message| wrong("login".to_owned(), message))?;
        let below = |p: &Path| runtime::config::relative_to(&folder, p);
        let listen = Listen {
            open: file.listen.open,
            enclave: file.listen.enclave,
            tls: file.listen.tls.map(|tls| ServerTls { cert: below(&tls.cert), key: below(&tls.key) }),
        };
        if let Some(gateway) = &file.gateway
            && !(1..=3650).contains(&gateway.certificate_days)
        {
            return Err(wrong("gateway.certificate_days".to_owned(), "must be from 1 to 3650".to_owned()));
        }
        if !(1..=3650).contains(&file.airlock.draft_days) {
            return Err(wrong("airlock.draft_days".to_owned(), "must be from 1 to 3650".to_owned()));
        }
        let custodian = file.custodian.map(|c| CustodianConfig { tls: c.tls.below(&folder), ..c });
        let config = Self {
            link: file.link.below(&folder),
            folder,
            name: file.name,
            listen,
            gateway: file.gateway,
            spokes,
            custodian,
            query: file.query,
            api: file.api,
            airlock: file.airlock,
            roles: file.roles,
            issuers,
            logins,
            telemetry: file.telemetry,
            metrics: file.metrics,
        };
        config.check_listeners(path)?;
        Ok(config)
    }
}

impl HubConfig {
    /// Refuses to carry tokens and answers over a network in clear.
    ///
    /// # Errors
    /// When an address is not on loopback and there is no certificate.
    pub fn check_listeners(&self, path: &Path) -> Result<(), HubConfigError> {
        let api = self.api.as_ref().map(|api| ("api.address", api.address));
        let listeners = [("listen.open", self.listen.open), ("listen.enclave", self.listen.enclave)];
        let inside = self.api.as_ref().and_then(|api| api.enclave).map(|address| ("api.enclave", address));
        for (field, address) in listeners.into_iter().chain(api).chain(inside) {
            if self.listen.tls.is_none() && !address.ip().is_loopback() {
                return Err(HubConfigError::Field {
                    path: path.to_owned(),
                    field: field.to_owned(),
                    message: format!(
                        "{address} can be reached over the network: give [listen.tls] a cert and key, or listen on 127.0.0.1"
                    ),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const HUB: &str = r#"
name = "main"
[listen]
open = "127.0.0.1:7001"
enclave = "127.0.0.1:7002"
[link]
cert = "keys/link.crt"
key = "keys/link.key"
ca = "keys/link-ca.crt"
[[spoke]]
controller = "sds"
address = "127.0.0.1:7101"
"#;

    fn folder(hub: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hub.toml"), hub).unwrap();
        dir
    }

    fn error(hub: &str) -> String {
        let dir = folder(hub);
        HubConfig::load(&dir.path().join("hub.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_loads() {
        let dir = folder(&format!(
            "{HUB}[api]\naddress = \"127.0.0.1:7003\"\nscreening = \"manual\"\n[[role]]\nuser = \"bo@example.org\"\nissuer = \"https://id\"\nrole = \"coordinator\"\n"
        ));
        let config = HubConfig::load(&dir.path().join("hub.toml")).unwrap();
        assert_eq!(config.link.cert, dir.path().join("keys/link.crt"));
        assert_eq!(config.query.timeout_seconds, 300);
        assert_eq!(config.api.unwrap().screening, Screening::Manual);
        assert_eq!(config.roles[0].role, "coordinator");
        assert_eq!(config.airlock.draft_days, 30);
    }

    #[test]
    fn membership_is_asked_by_user_and_issuer() {
        let (a, anna, bo): (ProjectId, UserId, UserId) =
            ("a".parse().unwrap(), "anna@example.org".parse().unwrap(), "bo@example.org".parse().unwrap());
        let projects: Projects = [Project {
            project: a.clone(),
            title: String::new(),
            members: [User { user: anna.clone(), issuer: "https://id".to_owned() }].into(),
            controllers: BTreeMap::new(),
        }]
        .into_iter()
        .collect();
        assert!(projects.of_member(&a, &anna, Some("https://id")).is_some());
        assert!(projects.of_member(&a, &anna, Some("https://other")).is_none());
        assert!(projects.of_member(&a, &anna, None).is_some());
        assert!(projects.of_member(&a, &bo, None).is_none());
        assert_eq!(projects.all_of(&bo, None).count(), 0);
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let unknown = error(&HUB.replace("name = \"main\"", "name = \"main\"\nnmae = 1"));
        assert!(unknown.contains("hub.toml, line 3") && unknown.contains("nmae"), "{unknown}");
        let address = error(&HUB.replace("127.0.0.1:7101", "nowhere"));
        assert!(address.contains("spoke.address of controller 'sds'"), "{address}");
        let network = error(&HUB.replace("127.0.0.1:7001", "0.0.0.0:7001"));
        assert!(network.contains("listen.open") && network.contains("[listen.tls]"), "{network}");
        let api = error(&format!("{HUB}[api]\naddress = \"0.0.0.0:7003\"\n"));
        assert!(api.contains("api.address") && api.contains("[listen.tls]"), "{api}");
        let days = error(&format!("{HUB}[airlock]\ndraft_days = 0\n"));
        assert!(days.contains("airlock.draft_days") && days.contains("from 1 to 3650"), "{days}");
        let role = error(&format!("{HUB}[[role]]\nuser = \"no user\"\nissuer = \"\"\nrole = \"operator\"\n"));
        assert!(role.contains("line"), "{role}");
    }
}
