//! The hub's own folder: `hub.toml` and `projects/*.toml`. Paths in them are relative to the folder.
//!
//! INVARIANT: a project file names members and controllers; what the project may see stands at the controllers alone.

use proto::ids::{ControllerId, ProjectId, UserId};
use runtime::config::ConfigError;
use runtime::tls::TlsFiles;
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
    /// The folder of projects can't be listed.
    #[error("{}: can't be listed: {source}", path.display())]
    Folder {
        /// which folder
        path: PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
}

/// `hub.toml` and the project files beside it. All paths are absolute or relative to the working directory.
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
    /// the spokes, by controller
    pub spokes: BTreeMap<ControllerId, SpokeAddress>,
    /// limits of a statement
    pub query: Query,
    /// the projects, by id
    pub projects: Projects,
}

impl HubConfig {
    /// The file of tokens.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("hub.db")
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

/// Where a controller's spoke listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokeAddress {
    /// `host:port`
    pub address: String,
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
        }
    }
}

impl Query {
    /// How long a statement may run.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// A project as the hub knows it: who belongs to it and whom it asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// id; the catalog's name in SQL
    pub project: ProjectId,
    /// for people
    #[serde(default)]
    pub title: String,
    /// who may ask
    pub members: BTreeSet<UserId>,
    /// whom the project asks; the schemas' names in SQL
    pub controllers: BTreeSet<ControllerId>,
}

/// All projects.
#[derive(Debug, Clone, Default)]
pub struct Projects(BTreeMap<ProjectId, Project>);

impl Projects {
    /// The project, when `user` is a member of it.
    #[must_use]
    pub fn of_member(&self, project: &ProjectId, user: &UserId) -> Option<&Project> {
        self.0.get(project).filter(|p| p.members.contains(user))
    }

    /// All projects that `user` is a member of.
    pub fn all_of<'a>(&'a self, user: &'a UserId) -> impl Iterator<Item = &'a Project> {
        self.0.values().filter(move |p| p.members.contains(user))
    }

    /// Whether there is such a project at all. For the operator's own commands, never for callers.
    #[must_use]
    pub fn exists(&self, project: &ProjectId) -> bool {
        self.0.contains_key(project)
    }

    /// Reads every `*.toml` of a folder. A missing folder holds no projects.
    ///
    /// # Errors
    /// When the folder or a file can't be read, or two files define one project.
    pub fn load(folder: &Path) -> Result<Self, HubConfigError> {
        let listing = match std::fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(HubConfigError::Folder { path: folder.to_owned(), source }),
        };
        let mut paths = Vec::new();
        for entry in listing {
            let path = entry.map_err(|source| HubConfigError::Folder { path: folder.to_owned(), source })?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut all = BTreeMap::new();
        for path in paths {
            let project: Project = runtime::config::load(&path)?;
            if let Some(before) = all.insert(project.project.clone(), project) {
                return Err(HubConfigError::Field {
                    path,
                    field: "project".to_owned(),
                    message: format!("'{}' is defined in another file too. Remove one of them", before.project),
                });
            }
        }
        Ok(Self(all))
    }
}

impl FromIterator<Project> for Projects {
    fn from_iter<I: IntoIterator<Item = Project>>(projects: I) -> Self {
        Self(projects.into_iter().map(|p| (p.project.clone(), p)).collect())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HubFile {
    name: String,
    listen: ListenFile,
    link: TlsFiles,
    #[serde(default, rename = "spoke")]
    spokes: Vec<SpokeFile>,
    #[serde(default)]
    query: Query,
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
    /// Reads `hub.toml` and the project files of the same folder, and checks that they fit together.
    ///
    /// # Errors
    /// When a file can't be read or a field is unknown, missing, wrong or contradicts another.
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
        let below = |p: &Path| runtime::config::relative_to(&folder, p);
        let listen = Listen {
            open: file.listen.open,
            enclave: file.listen.enclave,
            tls: file.listen.tls.map(|tls| ServerTls { cert: below(&tls.cert), key: below(&tls.key) }),
        };
        listen.check(path)?;
        let projects = Projects::load(&folder.join("projects"))?;
        for project in projects.0.values() {
            if let Some(unknown) = project.controllers.iter().find(|c| !spokes.contains_key(*c)) {
                return Err(HubConfigError::Field {
                    path: folder.join("projects").join(format!("{}.toml", project.project)),
                    field: "controllers".to_owned(),
                    message: format!("hub.toml has no [[spoke]] for '{unknown}'. Add it there or remove it here"),
                });
            }
        }
        Ok(Self {
            link: file.link.below(&folder),
            folder,
            name: file.name,
            listen,
            spokes,
            query: file.query,
            projects,
        })
    }
}

impl Listen {
    /// Refuses to carry tokens and answers over a network in clear.
    ///
    /// # Errors
    /// When an address is not on loopback and there is no certificate.
    pub fn check(&self, path: &Path) -> Result<(), HubConfigError> {
        for (field, address) in [("listen.open", self.open), ("listen.enclave", self.enclave)] {
            if self.tls.is_none() && !address.ip().is_loopback() {
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

    fn folder(hub: &str, projects: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hub.toml"), hub).unwrap();
        std::fs::create_dir(dir.path().join("projects")).unwrap();
        for (name, text) in projects {
            std::fs::write(dir.path().join("projects").join(name), text).unwrap();
        }
        dir
    }

    fn error(hub: &str, projects: &[(&str, &str)]) -> String {
        let dir = folder(hub, projects);
        HubConfig::load(&dir.path().join("hub.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_loads_and_membership_is_asked_by_user() {
        let dir =
            folder(HUB, &[("a.toml", "project = \"a\"\nmembers = [\"anna@example.org\"]\ncontrollers = [\"sds\"]\n")]);
        let config = HubConfig::load(&dir.path().join("hub.toml")).unwrap();
        assert_eq!(config.link.cert, dir.path().join("keys/link.crt"));
        assert_eq!(config.query.timeout_seconds, 300);
        let (a, anna, bo) =
            ("a".parse().unwrap(), "anna@example.org".parse().unwrap(), "bo@example.org".parse().unwrap());
        assert!(config.projects.of_member(&a, &anna).is_some());
        assert!(config.projects.of_member(&a, &bo).is_none());
        assert_eq!(config.projects.all_of(&bo).count(), 0);
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let unknown = error(&HUB.replace("name = \"main\"", "name = \"main\"\nnmae = 1"), &[]);
        assert!(unknown.contains("hub.toml, line 3") && unknown.contains("nmae"), "{unknown}");
        let address = error(&HUB.replace("127.0.0.1:7101", "nowhere"), &[]);
        assert!(address.contains("spoke.address of controller 'sds'"), "{address}");
        let network = error(&HUB.replace("127.0.0.1:7001", "0.0.0.0:7001"), &[]);
        assert!(network.contains("listen.open") && network.contains("[listen.tls]"), "{network}");
        let spoke = error(HUB, &[("a.toml", "project = \"a\"\nmembers = []\ncontrollers = [\"dst\"]\n")]);
        assert!(spoke.contains("field controllers") && spoke.contains("'dst'"), "{spoke}");
        let member = error(HUB, &[("a.toml", "project = \"a\"\nmembers = [\"no user\"]\ncontrollers = []\n")]);
        assert!(member.contains("a.toml, line 2"), "{member}");
        let text = "project = \"a\"\nmembers = []\ncontrollers = []\n";
        let twice = error(HUB, &[("a.toml", text), ("b.toml", text)]);
        assert!(twice.contains("b.toml") && twice.contains("another file"), "{twice}");
    }
}
