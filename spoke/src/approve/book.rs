//! The signed statements in `permits/`, and which permit of a project is the one that counts today.
//!
//! INVARIANT: what can't be verified grants nothing. A revocation ends its permit even when it can't be verified: a file
//! of that name means that somebody of this controller wanted it to end.

use super::approvers::Approvers;
use crate::config::SpokeConfig;
use chrono::NaiveDate;
use policies::{
    permit::{Permit, Refusal, Revocation, SignedPermit},
    receipt::Reason,
};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
};

/// Longest file read.
const MAX_FILE: u64 = runtime::sign::MAX_STATEMENT as u64;

/// Whether questions are answered under a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// they are
    Live,
    /// its first day is still to come
    NotYet,
    /// its last day is over
    Expired,
    /// it was taken back
    Revoked,
    /// another permit took its place
    Replaced,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::NotYet => "not yet",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
        })
    }
}

/// A permit that a trusted approver of this controller signed.
#[derive(Debug, Clone)]
pub struct Held {
    /// the permit
    pub signed: SignedPermit,
    /// under which name its approver is trusted here
    pub approver: String,
}

impl Held {
    /// The permit's content.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        self.signed.permit()
    }
}

/// Where a controller's decisions lie.
#[derive(Debug, Clone)]
pub struct Folders {
    /// whose decisions
    pub controller: ControllerId,
    /// what was signed
    pub permits: PathBuf,
    /// whose keys count
    pub approvers: PathBuf,
}

impl From<&SpokeConfig> for Folders {
    fn from(config: &SpokeConfig) -> Self {
        Self { controller: config.controller.clone(), permits: config.permits_dir(), approvers: config.approvers_dir() }
    }
}

impl Folders {
    /// Where a permit lies.
    #[must_use]
    pub fn permit(&self, id: PermitId) -> PathBuf {
        self.permits.join(format!("{id}.jws"))
    }

    /// Where a permit's revocation lies.
    #[must_use]
    pub fn revocation(&self, id: PermitId) -> PathBuf {
        self.permits.join(format!("{id}.revoked.jws"))
    }

    /// Where the refusal of a part lies.
    #[must_use]
    pub fn refusal(&self, id: PartId) -> PathBuf {
        self.permits.join(format!("{id}.refused.jws"))
    }
}

/// Everything in the folder, verified.
#[derive(Debug, Clone, Default)]
pub struct Book {
    permits: BTreeMap<PermitId, Held>,
    /// verified revocations
    revocations: BTreeMap<PermitId, Revocation>,
    /// permits that a file says are over, verified or not
    revoked: BTreeSet<PermitId>,
    refusals: BTreeMap<PartId, Refusal>,
    /// the signed texts of all that was verified
    statements: Vec<String>,
    broken: Vec<(PathBuf, String)>,
}

impl Book {
    /// Reads the folders. A missing one holds nothing.
    ///
    /// # Errors
    /// When one can't be listed.
    pub fn read(folders: &Folders) -> io::Result<Self> {
        let approvers = Approvers::load(&folders.approvers)?;
        let mut book = Self { broken: approvers.broken.clone(), ..Self::default() };
        let entries = match std::fs::read_dir(&folders.permits) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(book),
            other => other?,
        };
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jws")) else { continue };
            if let Err(reason) = book.take(&path, stem, &approvers, &folders.controller) {
                book.broken.push((path, reason));
            }
        }
        Ok(book)
    }

    fn take(
        &mut self,
        path: &Path,
        stem: &str,
        approvers: &Approvers,
        controller: &ControllerId,
    ) -> Result<(), String> {
        let own = |found: &ControllerId| {
            if found == controller { Ok(()) } else { Err(format!("is of controller '{found}', not of this spoke's")) }
        };
        const NAME: &str = "its name is not that of what is in it";
        if let Some(id) = stem.strip_suffix(".revoked") {
            let id: PermitId = id.parse().map_err(|_| NAME.to_owned())?;
            self.revoked.insert(id);
            let text = text(path)?;
            let revocation = Revocation::verify(&text, approvers.keys()).map_err(|error| error.to_string())?;
            own(&revocation.controller)?;
            if revocation.permit != id {
                return Err(NAME.to_owned());
            }
            self.revocations.insert(id, revocation);
            self.statements.push(text);
        } else if let Some(id) = stem.strip_suffix(".refused") {
            let text = text(path)?;
            let refusal = Refusal::verify(&text, approvers.keys()).map_err(|error| error.to_string())?;
            own(&refusal.controller)?;
            if refusal.part.to_string() != id {
                return Err(NAME.to_owned());
            }
            self.refusals.insert(refusal.part, refusal);
            self.statements.push(text);
        } else {
            let text = text(path)?;
            let signed = SignedPermit::verify(&text, approvers.keys()).map_err(|error| error.to_string())?;
            own(&signed.permit().controller)?;
            if signed.permit().id.to_string() != stem {
                return Err(NAME.to_owned());
            }
            let approver = approvers.name_of(signed.signer()).unwrap_or_default().to_owned();
            self.permits.insert(signed.permit().id, Held { signed, approver });
            self.statements.push(text);
        }
        Ok(())
    }

    /// Files that count for nothing, and why.
    #[must_use]
    pub fn broken(&self) -> &[(PathBuf, String)] {
        &self.broken
    }

    /// All permits, oldest first.
    pub fn permits(&self) -> impl Iterator<Item = &Held> {
        self.permits.values()
    }

    /// All refusals.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.values()
    }

    /// The signed texts of all that counts.
    #[must_use]
    pub fn statements(&self) -> &[String] {
        &self.statements
    }

    /// A permit by its id.
    #[must_use]
    pub fn permit(&self, id: PermitId) -> Option<&Held> {
        self.permits.get(&id)
    }

    /// Why and by whom a permit was revoked.
    #[must_use]
    pub fn revocation(&self, id: PermitId) -> Option<&Revocation> {
        self.revocations.get(&id)
    }

    /// Whether a part was decided on, either way.
    #[must_use]
    pub fn decided(&self, part: PartId) -> bool {
        self.refusals.contains_key(&part) || self.permits.values().any(|held| held.permit().part == part)
    }

    /// Whether questions are answered under a permit on the day `today` (UTC).
    ///
    /// A permit is replaced from the first day of the one that names it, and stays so whatever becomes of that one.
    #[must_use]
    pub fn state(&self, permit: &Permit, today: NaiveDate) -> State {
        let replaces = |other: &Permit| {
            other.replaces == Some(permit.id) && other.project == permit.project && other.valid_from <= today
        };
        if self.revoked.contains(&permit.id) {
            State::Revoked
        } else if self.permits.values().any(|held| replaces(held.permit())) {
            State::Replaced
        } else if today < permit.valid_from {
            State::NotYet
        } else if !permit.valid_on(today) {
            State::Expired
        } else {
            State::Live
        }
    }

    /// The permit of a project that counts today: of several live ones the one decided last.
    #[must_use]
    pub fn live(&self, project: &ProjectId, today: NaiveDate) -> Option<&Held> {
        self.permits
            .values()
            .filter(|held| held.permit().project == *project && self.state(held.permit(), today) == State::Live)
            .max_by_key(|held| (held.permit().decided_at, held.permit().id))
    }

    /// Whether a project has a permit that is live or still to come.
    #[must_use]
    pub fn has_future(&self, project: &ProjectId, today: NaiveDate) -> bool {
        self.permits.values().any(|held| {
            held.permit().project == *project && matches!(self.state(held.permit(), today), State::Live | State::NotYet)
        })
    }

    /// Projects that somebody may hold answers of and that go on: a permit has begun, and one is live or to come.
    #[must_use]
    pub fn ongoing(&self, today: NaiveDate) -> BTreeSet<ProjectId> {
        let begun = self.permits.values().map(Held::permit).filter(|permit| permit.valid_from <= today);
        let projects: BTreeSet<&ProjectId> = begun.map(|permit| &permit.project).collect();
        projects.into_iter().filter(|project| self.has_future(project, today)).cloned().collect()
    }

    /// Why a project without a future is over: the permit that would have reached furthest says so. A project whose
    /// permits are not among those that count any more was taken back.
    #[must_use]
    pub fn end(&self, project: &ProjectId, today: NaiveDate) -> Reason {
        let ends = self.permits.values().map(Held::permit).filter(|permit| permit.project == *project);
        let ends = ends.map(|permit| (permit.valid_to, self.state(permit, today)));
        let last = ends
            .filter(|(_, state)| *state != State::Replaced)
            .max_by_key(|(to, state)| (*to, *state == State::Revoked));
        if last.is_some_and(|(_, state)| state == State::Expired) { Reason::Expired } else { Reason::Revoked }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE {
        return Err("is too long".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(text.trim_end().to_owned())
}
