//! An empty machine: a folder, a shell, an editor, and a clock that can be moved while everything runs.
//!
//! Commands are the platform's own, under their own names; addresses that they would take by default are replaced by free
//! ones. The clock is Debian's libfaketime, which each process reads anew from one file.
//!
//! INVARIANT: no process outlives the machine: all that serve read a pipe that ends with it, however the test ends.

use crate::fixture::ROLES;
use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Duration as Span, Utc};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

/// How long a statement may take, or something that it brings about.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(50);
/// How long processes may take to end before they are killed.
const END: Duration = Duration::from_secs(20);

pub(super) struct Machine {
    /// The end that is written to; those who serve wait at the other one.
    pipe: Option<File>,
    clock: Span,
    library: PathBuf,
    /// Where the next statement is typed.
    cwd: PathBuf,
    environment: BTreeMap<String, String>,
    custodian: String,
    folder: TempDir,
}

/// How a statement ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    /// Standard output, then standard error.
    pub(super) text: String,
}

impl Machine {
    /// A machine on which it is `now`.
    pub(super) fn new(now: DateTime<Utc>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["bin", "home", "srv"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let pipe = folder.path().join("pipe");
        ensure!(std::process::Command::new("mkfifo").arg(&pipe).status()?.success(), "mkfifo {}", pipe.display());
        let pipe = OpenOptions::new().read(true).write(true).open(&pipe)?;
        let mut machine = Self {
            pipe: Some(pipe),
            clock: now - Utc::now(),
            library: library()?,
            cwd: folder.path().to_owned(),
            environment: BTreeMap::new(),
            custodian: String::new(),
            folder,
        };
        machine.wait(Span::zero())?;
        for role in ["custodian", "hub", "spoke", "issuer"] {
            machine.program(role, &machine.command(role))?;
        }
        machine.program("editor", &format!("cp '{}' \"$1\"", machine.path("edited").display()))?;
        Ok(machine)
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// So much time passes at once, for everybody.
    pub(super) fn wait(&mut self, span: Span) -> Result<()> {
        self.clock += span;
        let (file, new) = (self.path("clock"), self.path("clock.new"));
        fs::write(&new, format!("{:+}\n", self.clock.num_seconds()))?;
        Ok(fs::rename(new, file)?)
    }

    /// What one of the platform's programs does: those that serve end with the machine, and say where they listen.
    fn command(&self, role: &str) -> String {
        let (pids, pipe) = (self.path("pids"), self.path("pipe"));
        format!(
            "[ \"$1\" = serve ] || exec '{ROLES}' --role {role} -- \"$@\"\n\
             echo $$ >> '{}'\n\
             {}=1 exec '{ROLES}' --role {role} -- \"$@\" --ready-file ready.json < '{}' >> serve.log 2>&1",
            pids.display(),
            demo::role::WATCH,
            pipe.display()
        )
    }

    fn program(&self, name: &str, script: &str) -> Result<()> {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
    }

    /// Types a statement, with `input` for what it asks; says how it ended.
    pub(super) async fn try_to(&mut self, statement: &str, input: &str) -> Result<Said> {
        let (bin, place) = (self.path("bin"), self.path("cwd"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", &format!("{statement}\npwd > '{}'", place.display())]);
        shell.current_dir(&self.cwd).env_clear().envs(&self.environment);
        shell.env("PATH", format!("{}:{path}", bin.display())).env("HOME", self.path("home"));
        shell.env("EDITOR", bin.join("editor")).env("EGER_LOG", "info");
        shell.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.path("clock"));
        // A second after it is moved at the latest; not the clock that timers run by, and not the times of files.
        shell.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = shell.spawn().context("bash")?;
        let mut stdin = child.stdin.take().context("standard input")?;
        // Whoever asks nothing may have ended before.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = ended.with_context(|| format!("`{statement}` does not end"))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            self.cwd = fs::read_to_string(&place)?.trim().into();
        }
        Ok(Said { code: output.status.code(), text: format!("{out}{err}"), out })
    }

    /// Types a statement that has to succeed; gives what it wrote.
    pub(super) async fn type_in(&mut self, statement: &str, input: &str) -> Result<Said> {
        let said = self.try_to(statement, input).await?;
        ensure!(said.code == Some(0), "`{statement}` in {}: {said:#?}", self.cwd.display());
        self.free_addresses()?;
        if statement.ends_with('&') {
            self.serves().await?;
        }
        Ok(said)
    }

    /// Types a statement until it says what is waited for.
    pub(super) async fn until(&mut self, statement: &str, seen: impl Fn(&str) -> bool) -> Result<String> {
        let started = Instant::now();
        loop {
            let said = self.try_to(statement, "").await?;
            if said.code == Some(0) && seen(&said.out) {
                return Ok(said.out);
            }
            ensure!(started.elapsed() < PATIENCE, "`{statement}` still says {said:#?}");
        }
    }

    /// Changes a file here as somebody with an editor would, the next time that one is opened.
    pub(super) fn edits(&self, file: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let text = fs::read_to_string(self.cwd.join(file)).with_context(|| file.to_owned())?;
        Ok(fs::write(self.path("edited"), change(&text)?)?)
    }

    /// A file here that its owner alone can read.
    pub(super) fn secret(&self, file: &str, text: &str) -> Result<()> {
        Ok(runtime::seal::write_private(&self.cwd.join(file), text.as_bytes())?)
    }

    /// An issuer of access tokens that vouches for one person; gives its URL.
    pub(super) async fn issuer(&mut self, user: &str) -> Result<String> {
        self.type_in(&format!("issuer init issuer --user {user} && cd issuer"), "").await?;
        self.type_in("issuer serve --config issuer.json &", "").await?;
        Ok(demo::issuer::settings(&self.path("issuer/issuer.json"))?.url)
    }

    /// In a configuration that was just made: any free port in place of those that are taken by default.
    fn free_addresses(&self) -> Result<()> {
        let any = "127.0.0.1:0";
        let change = |file: &str, pairs: &[(&str, &str)]| -> Result<()> {
            let path = self.cwd.join(file);
            let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
            let new = pairs.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
            if new == text { Ok(()) } else { Ok(fs::write(path, new)?) }
        };
        change("custodian.toml", &[("127.0.0.1:7100", any)])?;
        let ports = ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003", "127.0.0.1:7004"];
        change("hub.toml", &ports.map(|port| (port, any)))?;
        change("spoke.toml", &[("127.0.0.1:7100", &self.custodian)])
    }

    /// Waits until what was started here serves, and tells the others where.
    async fn serves(&mut self) -> Result<()> {
        let started = Instant::now();
        let at = loop {
            if let Ok(at) = runtime::ready::read(&self.cwd.join("ready.json")) {
                break at;
            }
            if started.elapsed() > PATIENCE {
                bail!("it does not serve: {}", fs::read_to_string(self.cwd.join("serve.log"))?);
            }
            tokio::time::sleep(LOOK).await;
        };
        if let (Some(open), Some(api), Some(gateway)) = (at.get("open"), at.get("api"), at.get("gateway")) {
            self.environment.insert("EGER_SERVER".to_owned(), format!("grpc://{open}"));
            self.environment.insert("EGER_API".to_owned(), format!("http://{api}"));
            let hub = self.cwd.join("hub.toml");
            let text = fs::read_to_string(&hub)?;
            let public = "# public = \"hub.example.org:7003\"";
            ensure!(text.contains(public), "hub.toml shows no other place for `public`");
            fs::write(&hub, text.replace(public, &format!("public = \"{gateway}\"")))?;
        } else if let (true, Some(listen)) = (self.cwd.ends_with("custodian"), at.get("listen")) {
            self.custodian = listen.to_string();
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let pids = fs::read_to_string(self.path("pids")).unwrap_or_default();
        let started = Instant::now();
        for pid in pids.split_whitespace() {
            // by its folder: a number may have become another's
            let cwd = Path::new("/proc").join(pid).join("cwd");
            let runs = || fs::read_link(&cwd).is_ok_and(|cwd| cwd.starts_with(self.folder.path()));
            while runs() && started.elapsed() < END {
                std::thread::sleep(LOOK);
            }
            if runs() {
                let _ = std::process::Command::new("kill").args(["-KILL", pid]).status();
            }
            // what the clock's library shares between a process and its children
            for name in ["faketime_shm", "sem.faketime_sem"] {
                let _ = fs::remove_file(format!("/dev/shm/{name}_{pid}"));
            }
        }
    }
}

/// libfaketime for programs with threads; each architecture has a folder of its own.
fn library() -> Result<PathBuf> {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join(name)).filter(|path| path.exists());
    found.next().context("no libfaketimeMT.so.1 below /usr/lib: Debian's package faketime; tests/setup installs it")
}
