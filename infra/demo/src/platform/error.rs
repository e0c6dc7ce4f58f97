//! Why the platform does not run.

use std::io;
use std::path::{Path, PathBuf};

use crate::generate::GenerateError;

/// Why the platform does not run; each says what to do or where to look.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A file or folder.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another demo runs in the folder.
    #[error("another demo is running in {0}. Stop it, or choose another folder with --dir")]
    Locked(PathBuf),
    /// The folder is somebody else's.
    #[error("{0} is not empty and was not made by the demo. Choose another folder with --dir")]
    Foreign(PathBuf),
    /// The folder holds other registers.
    #[error(
        "{dir} holds the registers of {found}; asked for are {asked}. Choose another --dir, or start afresh with --fresh"
    )]
    Other {
        /// Which folder.
        dir: PathBuf,
        /// What is there.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// No registers.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A command of one of the parts.
    #[error("`{what}` failed ({}):\n{}", exit(*.code), indented(.said))]
    Command {
        /// The command.
        what: String,
        /// Exit code, none when it was killed.
        code: Option<i32>,
        /// What it wrote.
        said: String,
    },
    /// A part that should serve has ended.
    #[error("{name} has ended ({how}). The end of its log, {log}:\n{}", indented(.tail))]
    Died {
        /// Which.
        name: String,
        /// Exit code or signal.
        how: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A part did not become ready.
    #[error("{name} is not ready after {seconds} s. The end of its log, {log}:\n{}", indented(.tail))]
    NotReady {
        /// Which.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A configuration that `init` made has no such field any more.
    #[error("{0}: the field to set is not there; was the file changed by hand?")]
    Settings(PathBuf),
}

impl PlatformError {
    pub(super) fn io(path: &Path, cause: io::Error) -> PlatformError {
        PlatformError::Io { path: path.to_path_buf(), cause }
    }
}

fn exit(code: Option<i32>) -> String {
    code.map_or("killed".to_owned(), |code| format!("exit code {code}"))
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
