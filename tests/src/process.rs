//! Looking at and ending processes by their id.

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Peak resident memory of a running process, bytes.
///
/// # Errors
/// When there is no such process.
pub fn peak_memory(pid: u32) -> Result<u64> {
    status_kib(pid, "VmHWM:")
}

/// Resident memory of a running process now, bytes.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    let line = text.lines().find(|l| l.starts_with(field)).with_context(|| field.to_owned())?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse::<u64>()? * 1024)
}

/// CPU time used by a running process so far, seconds (user, system).
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> Result<(f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit(") ").next().context("stat")?;
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("stat")?.parse::<f64>()? / 100.0) };
    Ok((ticks()?, ticks()?))
}

/// Sends a signal by number to a process.
///
/// # Errors
/// When it could not be sent.
pub fn signal(pid: u32, number: u8) -> Result<()> {
    let status = Command::new("kill").args([format!("-{number}"), pid.to_string()]).status()?;
    if !status.success() {
        bail!("kill -{number} {pid} failed");
    }
    Ok(())
}

/// What a process shows of itself to others of this machine: its command line (`ps`) or its environment.
///
/// # Errors
/// When there is no such process, or it may not be looked at.
pub fn shown(pid: u32, what: Shown) -> Result<Vec<u8>> {
    let path = format!("/proc/{pid}/{}", what.file());
    std::fs::read(&path).with_context(|| path)
}

/// See [`shown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// `/proc/PID/cmdline`
    CommandLine,
    /// `/proc/PID/environ`
    Environment,
}

impl Shown {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CommandLine, Self::Environment];

    /// The file's name.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::CommandLine => "cmdline",
            Self::Environment => "environ",
        }
    }
}

/// What keeps the memory of a running process from becoming a file, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSettings {
    /// largest core file now and at most, such as `0` or `unlimited`
    pub limits: [String; 2],
    /// whether others of its user may read its memory
    pub dumpable: bool,
}

/// The settings of a running process. The files of one that may not be dumped belong to root, whoever runs it; so one that runs
/// as root shows it only by its group, which must not be root's.
///
/// # Errors
/// When there is no such process, or it runs as root in root's group.
pub fn core_settings(pid: u32) -> Result<CoreSettings> {
    use std::os::unix::fs::MetadataExt;
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).with_context(|| format!("process {pid}"))?;
    let limits =
        limits.lines().find_map(|line| line.strip_prefix("Max core file size")).context("a limit of core files")?;
    let mut limits = limits.split_whitespace().map(str::to_owned);
    let limits = [limits.next().context("a soft limit")?, limits.next().context("a hard limit")?];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let effective = |field: &str| -> Result<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| field.to_owned())?;
        Ok(line.split_whitespace().nth(1).context("an effective id")?.parse()?)
    };
    let owner = std::fs::metadata(format!("/proc/{pid}/environ"))?;
    let dumpable = match (effective("Uid:")?, effective("Gid:")?) {
        (0, 0) => bail!("process {pid} runs as root in root's group: its files don't tell"),
        (0, group) => owner.gid() == group,
        (user, _) => owner.uid() == user,
    };
    Ok(CoreSettings { limits, dumpable })
}

/// Writes the memory image of a running process to `folder` with gdb's `gcore`; the process goes on.
///
/// # Errors
/// When gdb is missing or may not look at the process.
pub fn core(pid: u32, folder: &Path) -> Result<PathBuf> {
    let prefix = folder.join("core");
    let output = Command::new("gcore")
        .arg("-o")
        .arg(&prefix)
        .arg(pid.to_string())
        .output()
        .context("gcore (Debian's package gdb); tests/setup installs it")?;
    let path = folder.join(format!("core.{pid}"));
    if !path.is_file() {
        bail!("gcore made no image: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(path)
}
