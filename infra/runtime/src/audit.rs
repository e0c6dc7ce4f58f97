//! An append-only log that shows when it was changed: each line holds the hash of the line before, and checkpoints,
//! countersigned by another party ([`checkpoint`]), show when its tail was cut.
//!
//! A line is `HASH JSON`: 64 hex digits, a blank, and the entry; HASH is SHA-256 over exactly the bytes of JSON, which
//! holds the hash of the line before.
//!
//! Several processes of one party may write to one log: each append takes the file's lock and first reads what others
//! wrote.
//!
//! INVARIANT: [`AuditLog::append`] returns only when the entry is on disk. Whoever can't append must not answer.

pub mod checkpoint;
pub mod witness;

use chrono::{DateTime, SecondsFormat, Utc};
use fs4::FileExt;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The longest entry, bytes.
pub const MAX_ENTRY: usize = 1 << 20;
/// The hash before the first entry.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why an entry can't be written, or a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file can't be read or written.
    #[error("audit log {}: {cause}", path.display())]
    Io {
        /// which log
        path: PathBuf,
        /// what the operating system said
        cause: io::Error,
    },
    /// The log was changed.
    #[error("audit log {}: {broken}. Nothing is answered until its operator has looked into it (audit verify)", path.display())]
    Broken {
        /// which log
        path: PathBuf,
        /// where and how
        broken: Broken,
    },
    /// The event is too long or has no JSON form.
    #[error("audit log {}: an event can't be written: {message}", path.display())]
    Event {
        /// which log
        path: PathBuf,
        /// why
        message: String,
    },
}

/// Where a log was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Broken {
    /// from 1
    pub line: u64,
    /// what is wrong there
    pub what: String,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// from 1, without gaps
    pub seq: u64,
    /// when it was written (UTC)
    pub at: DateTime<Utc>,
    /// hash of the line before, hex
    pub prev: String,
    /// what happened; its field `event` says what kind
    pub event: Value,
}

/// How far a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// number of entries
    pub seq: u64,
    /// hash of the last line, hex; zeros when there is none
    pub hash: String,
}

impl Head {
    fn start() -> Self {
        Self { seq: 0, hash: NOTHING.to_owned() }
    }
}

/// An open log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// bytes known and checked
    length: u64,
    head: Head,
}

impl AuditLog {
    /// Opens a log, makes it when it is missing, and checks every line. A last line that a crash cut off before it
    /// was on disk (it has no end of line) is moved away, since nobody was answered on it.
    ///
    /// # Errors
    /// When it can't be read or written, or was changed.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let io = |cause| AuditError::Io { path: path.to_owned(), cause };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(io)?;
        let log = Self { path: path.to_owned(), state: Mutex::new(State { file, length: 0, head: Head::start() }) };
        {
            let mut state = log.state.lock().unwrap_or_else(PoisonError::into_inner);
            log.locked(&mut state, |_| Ok(()))?;
        }
        Ok(log)
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an event; returns when it is on disk.
    ///
    /// # Errors
    /// When it can't be written, or somebody changed the log.
    pub fn append(&self, event: &impl Serialize) -> Result<Head, AuditError> {
        let event = serde_json::to_value(event).map_err(|e| self.unfit(e.to_string()))?;
        self.append_all(&[event])
    }

    /// Appends events one after the other; returns when all are on disk, which is waited for once.
    ///
    /// # Errors
    /// When one of them can't be written (then none is), or somebody changed the log.
    pub fn append_all(&self, events: &[Value]) -> Result<Head, AuditError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.locked(&mut state, |state| {
            let (mut lines, mut head) = (String::new(), state.head.clone());
            for event in events {
                let entry = Entry { seq: head.seq + 1, at: now(), prev: head.hash, event: event.clone() };
                let json = serde_json::to_string(&entry).map_err(|e| self.unfit(e.to_string()))?;
                if json.len() > MAX_ENTRY {
                    return Err(self.unfit(format!("it is longer than {MAX_ENTRY} bytes")));
                }
                head = Head { seq: entry.seq, hash: hash(json.as_bytes()) };
                lines.push_str(&head.hash);
                lines.push(' ');
                lines.push_str(&json);
                lines.push('\n');
            }
            let written = state.file.write_all(lines.as_bytes()).and_then(|()| state.file.sync_data());
            if let Err(cause) = written {
                // A half line must not stay before the next one.
                let _ = state.file.set_len(state.length);
                return Err(AuditError::Io { path: self.path.clone(), cause });
            }
            state.length += lines.len() as u64;
            state.head = head;
            Ok(state.head.clone())
        })
    }

    fn unfit(&self, message: String) -> AuditError {
        AuditError::Event { path: self.path.clone(), message }
    }

    /// How far the log goes now.
    ///
    /// # Errors
    /// As [`AuditLog::append`].
    pub fn head(&self) -> Result<Head, AuditError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.locked(&mut state, |state| Ok(state.head.clone()))
    }

    fn locked<T>(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut State) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let io = |cause| AuditError::Io { path: self.path.clone(), cause };
        FileExt::lock(&state.file).map_err(io)?;
        let outcome = self.catch_up(state).and_then(|()| work(state));
        // A lock that can't be given back ends with the process.
        let _ = FileExt::unlock(&state.file);
        outcome
    }

    /// Reads and checks what others wrote.
    fn catch_up(&self, state: &mut State) -> Result<(), AuditError> {
        let io = |cause| AuditError::Io { path: self.path.clone(), cause };
        let length = state.file.metadata().map_err(io)?.len();
        if length == state.length {
            return Ok(());
        }
        let broken = |broken| AuditError::Broken { path: self.path.clone(), broken };
        if length < state.length {
            let what = "the log is shorter than it was a moment ago".to_owned();
            return Err(broken(Broken { line: state.head.seq, what }));
        }
        state.file.seek(SeekFrom::Start(state.length)).map_err(io)?;
        let mut reader = Reader::new(BufReader::new(&state.file), state.head.clone());
        while reader.next().map_err(io)?.transpose().map_err(broken)?.is_some() {}
        let (head, whole, rest) = (reader.head, state.length + reader.whole, reader.rest);
        if !rest.is_empty() {
            let torn = self.path.with_extension(format!("torn-{}", head.seq + 1));
            crate::seal::write_private(&torn, &rest).map_err(io)?;
            state.file.set_len(whole).map_err(io)?;
            tracing::warn!(log = %self.path.display(), moved = %torn.display(), "a line that a crash cut off was moved away");
        }
        state.length = whole;
        state.head = head;
        Ok(())
    }
}

/// Reads a log, checking every line; what is yielded is what was written.
///
/// # Errors
/// When the file can't be opened. Each item is an entry with its own hash, or where the log was changed.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<(Entry, String), AuditError>> + use<>, AuditError> {
    let path = path.to_owned();
    let file = File::open(&path).map_err(|cause| AuditError::Io { path: path.clone(), cause })?;
    let mut reader = Reader::new(BufReader::new(file), Head::start());
    let mut over = false;
    Ok(std::iter::from_fn(move || {
        if over {
            return None;
        }
        let item = match reader.next() {
            Err(cause) => Err(AuditError::Io { path: path.clone(), cause }),
            Ok(Some(Ok(entry))) => Ok((entry, reader.head.hash.clone())),
            Ok(Some(Err(broken))) => Err(AuditError::Broken { path: path.clone(), broken }),
            Ok(None) if !reader.rest.is_empty() => {
                let broken = Broken { line: reader.head.seq + 1, what: "the line is not whole".to_owned() };
                Err(AuditError::Broken { path: path.clone(), broken })
            }
            Ok(None) => return None,
        };
        over = item.is_err();
        Some(item)
    }))
}

struct Reader<R> {
    from: R,
    head: Head,
    /// bytes of whole, good lines
    whole: u64,
    /// a last line without its end
    rest: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    fn new(from: R, head: Head) -> Self {
        Self { from, head, whole: 0, rest: Vec::new() }
    }

    #[allow(clippy::should_implement_trait)]
    fn next(&mut self) -> io::Result<Option<Result<Entry, Broken>>> {
        let mut line = Vec::new();
        let most = (MAX_ENTRY + 128) as u64;
        let read = self.from.by_ref().take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && (read as u64) < most {
            self.rest = line;
            return Ok(None);
        }
        let number = self.head.seq + 1;
        Ok(Some(match check(&line, &self.head) {
            Ok((entry, hash)) => {
                self.head = Head { seq: entry.seq, hash };
                self.whole += read as u64;
                Ok(entry)
            }
            Err(what) => Err(Broken { line: number, what: what.to_owned() }),
        }))
    }
}

fn check(line: &[u8], before: &Head) -> Result<(Entry, String), &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "is no text")?;
    let text = text.strip_suffix('\n').ok_or("has no end")?;
    let (stated, json) = text.split_at_checked(64).ok_or("is too short")?;
    let json = json.strip_prefix(' ').ok_or("is not HASH JSON")?;
    let hash = hash(json.as_bytes());
    if hash != stated {
        return Err("its content does not fit its hash: it was changed");
    }
    let entry: Entry = serde_json::from_str(json).map_err(|_| "its content is no entry")?;
    if entry.prev != before.hash {
        return Err("it does not follow the line before: a line was removed, added or moved");
    }
    if entry.seq != before.seq + 1 {
        return Err("its number does not follow the one before");
    }
    Ok((entry, hash))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Microseconds are kept, so that what is read is what was written.
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    now.to_rfc3339_opts(SecondsFormat::Micros, true).parse().unwrap_or(now)
}

#[cfg(test)]
mod tests;
