//! Processes: started with a log, watched until they are ready, stopped in order or killed.
//!
//! INVARIANT: none outlives its handle. Dropping kills; if this process is killed itself, the pipe on the child's
//! standard input ends, and the child ends with it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::PlatformError;
use crate::role::WATCH;

/// How long a part may take until it accepts connections. Debug builds unseal their keys slowly.
pub(super) const READY: Duration = Duration::from_secs(90);
/// How often the file is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// How long a part may take to stop in order before it is killed.
const STOP: Duration = Duration::from_secs(30);
/// Lines of a log that a message shows.
const TAIL: usize = 15;

/// The program that plays every role.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) environment: Vec<(String, String)>,
    pub(super) logs: PathBuf,
}

impl Program {
    fn command(&self, role: &str, args: &[PathBuf]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--role", role, "--"]).args(args).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }

    /// The log of a part.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts a role that serves. Its own process group, so that Ctrl-C reaches it through its parent only.
    pub(super) fn serve(&self, role: &str, name: &str, args: &[PathBuf], ready: &Path) -> Result<Child, PlatformError> {
        match fs::remove_file(ready) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(PlatformError::io(ready, e)),
            _ => {}
        }
        let log = self.log(name);
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(|e| PlatformError::io(&log, e))?;
        let again = file.try_clone().map_err(|e| PlatformError::io(&log, e))?;
        let mut command = self.command(role, args);
        command.env(WATCH, "1").stdin(Stdio::piped()).stdout(file).stderr(again).process_group(0);
        let mut process = command.spawn().map_err(|e| PlatformError::io(&self.path, e))?;
        // taken out of the process: waiting for that would close it
        let pipe = process.stdin.take();
        Ok(Child { name: name.to_owned(), process, log, _pipe: pipe })
    }

    /// Starts a command that ends by itself. `live` lets its standard error through to the terminal.
    pub(super) fn run(&self, role: &str, args: &[PathBuf], live: bool) -> Result<Output, PlatformError> {
        self.start(self.command(role, args), live)
    }

    /// The same with further environment: what `ps` must not show.
    pub(super) fn run_with(
        &self,
        role: &str,
        args: &[PathBuf],
        environment: &[(&str, &str)],
    ) -> Result<Output, PlatformError> {
        let mut command = self.command(role, args);
        command.envs(environment.iter().copied());
        self.start(command, false)
    }

    fn start(&self, mut command: Command, live: bool) -> Result<Output, PlatformError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if live {
            // the progress says it all; a log line would tear it
            command.env("EGER_LOG", "warn").stderr(Stdio::inherit());
        } else {
            command.stderr(Stdio::piped());
        }
        let process = command.spawn().map_err(|e| PlatformError::io(&self.path, e))?;
        Ok(Output { path: self.path.clone(), process })
    }
}

/// A command that runs to its end.
pub struct Output {
    path: PathBuf,
    process: tokio::process::Child,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard output, then on standard error.
    pub text: String,
}

impl Outcome {
    /// Whether it ended well.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Output {
    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits for its end.
    pub async fn wait(mut self) -> Result<Outcome, PlatformError> {
        let (out, err) = (self.process.stdout.take(), self.process.stderr.take());
        let (status, stdout, stderr) = tokio::join!(self.process.wait(), all(out), all(err));
        let status = status.map_err(|e| PlatformError::io(&self.path, e))?;
        Ok(Outcome { code: status.code(), text: format!("{stdout}{stderr}"), stdout })
    }

    /// Kills it with signal 9.
    pub async fn kill(mut self) {
        let _ = self.process.kill().await;
    }
}

async fn all(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let _ = from.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A role that serves.
pub(super) struct Child {
    name: String,
    process: tokio::process::Child,
    log: PathBuf,
    /// The end of this tells the child that its parent is gone.
    _pipe: Option<tokio::process::ChildStdin>,
}

impl Child {
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until it says where it listens.
    pub(super) async fn ready(&mut self, file: &Path) -> Result<BTreeMap<String, SocketAddr>, PlatformError> {
        let started = Instant::now();
        loop {
            // written beside and renamed: what is there is whole
            if let Ok(addresses) = runtime::ready::read(file) {
                return Ok(addresses);
            }
            tokio::select! {
                died = self.ended() => return Err(died),
                () = tokio::time::sleep(LOOK) => {}
            }
            if started.elapsed() > READY {
                let (name, log, tail) = (self.name.clone(), self.log.clone(), self.tail());
                return Err(PlatformError::NotReady { name, seconds: READY.as_secs(), log, tail });
            }
        }
    }

    /// Resolves when it has ended by itself.
    pub(super) async fn ended(&mut self) -> PlatformError {
        match self.process.wait().await {
            Ok(status) => self.died(status),
            Err(error) => PlatformError::io(&self.log, error),
        }
    }

    fn died(&self, status: ExitStatus) -> PlatformError {
        PlatformError::Died {
            name: self.name.clone(),
            how: status.to_string(),
            log: self.log.clone(),
            tail: self.tail(),
        }
    }

    /// As an operator would: SIGTERM, patience, and only then SIGKILL.
    pub(super) async fn stop(&mut self) -> Result<(), PlatformError> {
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(self.died(status));
        }
        if let Some(pid) = self.process.id() {
            let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        }
        match tokio::time::timeout(STOP, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.died(status)),
            Ok(Err(error)) => Err(PlatformError::io(&self.log, error)),
            Err(_) => {
                self.kill().await;
                let how = format!("killed: did not stop within {} s", STOP.as_secs());
                let (name, log, tail) = (self.name.clone(), self.log.clone(), self.tail());
                Err(PlatformError::Died { name, how, log, tail })
            }
        }
    }

    pub(super) async fn kill(&mut self) {
        let _ = self.process.kill().await;
    }

    fn tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

/// Writes a file and says which when it fails.
pub(super) fn write(path: &Path, text: &str) -> Result<(), PlatformError> {
    fs::write(path, text).map_err(|e| PlatformError::io(path, e))
}

/// Writes a file that its owner alone can read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), PlatformError> {
    runtime::seal::write_private(path, text.as_bytes()).map_err(|e| PlatformError::io(path, e))
}

/// Changes a text file.
pub(super) fn edit(path: &Path, change: impl FnOnce(&str) -> Option<String>) -> Result<(), PlatformError> {
    let text = fs::read_to_string(path).map_err(|e| PlatformError::io(path, e))?;
    let new = change(&text).ok_or_else(|| PlatformError::Settings(path.to_path_buf()))?;
    if new != text {
        write(path, &new)?;
    }
    Ok(())
}

/// Takes the folder's lock, held as long as the file is open.
pub(super) fn lock(path: &Path, dir: &Path) -> Result<File, PlatformError> {
    let file = File::create(path).map_err(|e| PlatformError::io(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(PlatformError::Locked(dir.to_path_buf())),
        Err(fs::TryLockError::Error(e)) => Err(PlatformError::io(path, e)),
    }
}
