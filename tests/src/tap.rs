//! A tap that appends the plaintext of every link of a process to one file a direction, and keeps how it was started: also of
//! commands that end at once.

use crate::process::{Shown, shown};
use anyhow::Result;
use runtime::tls::{Direction, Tap};
use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

struct Recorder {
    sent: Mutex<File>,
    received: Mutex<File>,
}

impl Tap for Recorder {
    fn bytes(&self, direction: Direction, bytes: &[u8]) {
        let file = match direction {
            Direction::Sent => &self.sent,
            Direction::Received => &self.received,
        };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // A recording that can't be written shows as an empty file, which the tests refuse.
        let _ = file.write_all(bytes);
    }
}

/// Environment of a process whose links are to be recorded: the folder for the recordings.
pub const TAP: &str = "EGER_TEST_TAP";

/// Records all links of this process under the folder named by [`TAP`], in files named after its id: `ID.sent`,
/// `ID.received`; and `ID.cmdline`, `ID.environ`.
///
/// # Errors
/// When the files can't be made.
pub fn record_if_asked() -> Result<()> {
    let Some(folder) = std::env::var_os(TAP) else { return Ok(()) };
    for what in Shown::ALL {
        let id = std::process::id();
        std::fs::write(Path::new(&folder).join(format!("{id}.{}", what.file())), shown(id, what)?)?;
    }
    let open = |direction: &str| File::create(Path::new(&folder).join(format!("{}.{direction}", std::process::id())));
    let recorder = Recorder { sent: Mutex::new(open("sent")?), received: Mutex::new(open("received")?) };
    #[allow(clippy::disallowed_methods, reason = "this is the binary of the tests that the lint names")]
    runtime::tls::tap_everything(Arc::new(recorder));
    Ok(())
}

/// How many recordings of links hold anything, and how many bytes all of them.
///
/// # Errors
/// When the folder can't be read.
pub fn recorded(folder: &Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let link = path.extension().is_some_and(|e| e == "sent" || e == "received");
        let length = path.metadata()?.len();
        if link && length > 0 {
            files += 1;
            bytes += length;
        }
    }
    Ok((files, bytes))
}
