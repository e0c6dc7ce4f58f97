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
