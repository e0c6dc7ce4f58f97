//! Processes of a platform that could leave core files if they didn't forbid it themselves, and one that doesn't.

use anyhow::{Context, Result, bail, ensure};
use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A script below `folder` that becomes `program` with core files as large as they may be and, for root, in a group of its own:
/// whether root's process may be dumped shows only there ([`tests::process::core_settings`]).
pub(super) fn exposed(folder: &Path, name: &str, program: &str) -> Result<PathBuf> {
    let root = Command::new("id").arg("-u").output()?.stdout.trim_ascii() == b"0";
    let group = if root { "setpriv --regid=65534 --clear-groups -- " } else { "" };
    let script = format!("#!/bin/sh\nulimit -S -c \"$(ulimit -H -c)\"\nexec {group}'{program}' \"$@\"\n");
    let path = folder.join(name);
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A process that protects nothing, with words on its command line and in its environment; it ends with this value.
pub(super) struct Careless {
    process: Child,
}

impl Careless {
    pub(super) fn start(folder: &Path, words: &str) -> Result<Self> {
        let shell = exposed(folder, "careless", "sh")?;
        let process = Command::new(shell)
            .args(["-c", "echo ready; read end", "careless", words])
            .env("CARELESS", words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut careless = Self { process };
        let mut line = String::new();
        BufReader::new(careless.process.stdout.take().context("its output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            bail!("sh (and, for root, setpriv of util-linux) can't be started");
        }
        Ok(careless)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Careless {
    fn drop(&mut self) {
        // Does nothing to one that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Fails unless core files of the process would be empty and nobody but root may read its memory.
pub(super) fn is_protected(pid: u32, name: &str) -> Result<()> {
    let settings = tests::process::core_settings(pid)?;
    ensure!(settings.limits == ["0", "0"], "{name} may leave core files of {:?} bytes", settings.limits);
    ensure!(!settings.dumpable, "others of its user may read the memory of {name}");
    Ok(())
}
