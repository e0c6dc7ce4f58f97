//! Parts of applications that came from the hub and wait for a decision.
//!
//! INVARIANT: what comes in is bounded in size and number, and never touches a part that was decided on.

use super::book::{Book, Folders};
use crate::config::SpokeConfig;
use policies::{
    application::{Part, PartError},
    authorize::PartState,
};
use proto::ids::PartId;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Parts that may wait at the same time.
pub const MAX_WAITING: usize = 200;

/// Why a part isn't taken in, or can't be found.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// Too long.
    #[error(transparent)]
    TooLong(PartError),
    /// Too many wait already.
    #[error("{MAX_WAITING} parts wait for a decision here already; its approver has to decide some first")]
    Full,
    /// No part.
    #[error("not a part of an application: {0}")]
    Form(String),
    /// Another controller's.
    #[error("the part is of another controller")]
    Other,
    /// Nothing of that id waits.
    #[error("no part {0} waits here; see: spoke inbox")]
    Unknown(PartId),
    /// The folder.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
}

/// Parts that wait, and files that hold none, with the reason.
pub type Waiting = (Vec<Part>, Vec<(PathBuf, String)>);

/// What became of a part that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// it waits now
    New,
    /// it is known already
    Known,
}

/// The folder `inbox/`.
#[derive(Debug, Clone)]
pub struct Inbox {
    folder: PathBuf,
    folders: Folders,
}

impl From<&SpokeConfig> for Inbox {
    fn from(config: &SpokeConfig) -> Self {
        Self { folder: config.inbox_dir(), folders: config.into() }
    }
}

impl Inbox {
    /// Takes a part in. A part that waits may be replaced by a newer form of itself; one that was decided on stays.
    ///
    /// # Errors
    /// When it is none of this controller's, too long, or too many wait.
    pub fn receive(&self, bytes: &[u8]) -> Result<(Part, Received), InboxError> {
        self.take(parse(bytes)?, bytes)
    }

    /// The same for a part that was read from `bytes`.
    pub(crate) fn take(&self, part: Part, bytes: &[u8]) -> Result<(Part, Received), InboxError> {
        if !self.is_own(&part) {
            return Err(InboxError::Other);
        }
        let path = self.path(part.id);
        if self.decided(part.id)? || std::fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok((part, Received::Known));
        }
        let io = |cause| InboxError::Io { path: path.clone(), cause };
        std::fs::create_dir_all(&self.folder).map_err(io)?;
        if !path.exists() && self.files()?.len() >= MAX_WAITING {
            return Err(InboxError::Full);
        }
        super::write(&path, bytes).map_err(io)?;
        if let Some(earlier) = part.supersedes.filter(|earlier| *earlier != part.id) {
            self.withdraw(earlier)?;
        }
        Ok((part, Received::New))
    }

    /// Whether it is this controller's.
    pub(crate) fn is_own(&self, part: &Part) -> bool {
        part.controller == self.folders.controller
    }

    /// How far a part of this id is.
    pub(crate) fn state(&self, id: PartId) -> Result<PartState, InboxError> {
        Ok(match (self.decided(id)?, self.path(id).exists()) {
            (true, _) => PartState::Decided,
            (false, true) => PartState::Waiting,
            (false, false) => PartState::New,
        })
    }

    /// Everything that waits, and files that hold no part.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn waiting(&self) -> Result<Waiting, InboxError> {
        let (mut parts, mut broken) = (Vec::new(), Vec::new());
        for path in self.files()? {
            match read(&path) {
                Ok(part) => parts.push(part),
                Err(error) => broken.push((path, error.to_string())),
            }
        }
        Ok((parts, broken))
    }

    /// A part that waits.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn part(&self, id: PartId) -> Result<Part, InboxError> {
        let path = self.path(id);
        if path.exists() { read(&path) } else { Err(InboxError::Unknown(id)) }
    }

    /// Puts a part that was decided on aside.
    ///
    /// # Errors
    /// When it can't be moved.
    pub fn settle(&self, id: PartId) -> Result<(), InboxError> {
        let (from, folder) = (self.path(id), self.folder.join("decided"));
        let io = |cause| InboxError::Io { path: from.clone(), cause };
        if !from.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&folder).map_err(io)?;
        std::fs::rename(&from, folder.join(format!("{id}.json"))).map_err(io)
    }

    /// A part that waits and has been taken back by a newer one.
    fn withdraw(&self, id: PartId) -> Result<(), InboxError> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(InboxError::Io { path, cause }),
            _ => Ok(()),
        }
    }

    fn decided(&self, id: PartId) -> Result<bool, InboxError> {
        if self.folder.join("decided").join(format!("{id}.json")).exists() {
            return Ok(true);
        }
        let io = |cause| InboxError::Io { path: self.folders.permits.clone(), cause };
        Ok(Book::read(&self.folders).map_err(io)?.decided(id))
    }

    fn path(&self, id: PartId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn files(&self) -> Result<Vec<PathBuf>, InboxError> {
        let io = |cause| InboxError::Io { path: self.folder.clone(), cause };
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(io)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|end| end == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Reads a part from a file.
///
/// # Errors
/// When it can't be read or is none.
pub fn read(path: &Path) -> Result<Part, InboxError> {
    let io = |cause| InboxError::Io { path: path.to_owned(), cause };
    parse(&std::fs::read(path).map_err(io)?)
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Part, InboxError> {
    Part::from_json(bytes).map_err(|error| match error {
        PartError::TooLarge => InboxError::TooLong(error),
        // The parser's own text repeats what stood there, and that may be anything.
        PartError::Form(_) => InboxError::Form("it can't be read".to_owned()),
        PartError::Field { .. } => InboxError::Form(error.to_string()),
    })
}
