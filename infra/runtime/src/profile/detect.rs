//! Reading what this machine has from the kernel's files.

use super::{Cpu, Memory, Network, Profile, Queries, Scratch};
use crate::size::ByteSize;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(super) fn profile() -> Profile {
    let scratch = scratch_dir();
    Profile {
        name: hostname(),
        cpu: Cpu { cores: cores(), numa_nodes: numa_nodes().min(cores()) },
        memory: Memory { size: whole_mib(memory()) },
        scratch: Scratch { size: whole_mib(free_bytes(&scratch) / 2), dir: scratch },
        network: Network { gbit: network_gbit() },
        queries: Queries::default(),
    }
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|t| t.trim().to_owned())
}

fn hostname() -> String {
    text("/proc/sys/kernel/hostname").filter(|n| !n.is_empty()).unwrap_or_else(|| "this-machine".to_owned())
}

/// Cores this process may run on; `available_parallelism` honours affinity and the cgroup's CPU quota.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn numa_nodes() -> usize {
    let count = fs::read_dir("/sys/devices/system/node").map_or(0, |entries| {
        entries
            .flatten()
            .filter(|e| {
                e.file_name()
                    .to_str()
                    .and_then(|n| n.strip_prefix("node"))
                    .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
            })
            .count()
    });
    count.max(1)
}

/// The smallest of the machine's memory and every memory limit from this process' cgroup up to the root.
fn memory() -> u64 {
    let machine = text("/proc/meminfo")
        .and_then(|t| {
            let line = t.lines().find(|l| l.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(1 << 30, |kib| kib * 1024);
    cgroup_limits().into_iter().fold(machine, u64::min)
}

fn cgroup_limits() -> Vec<u64> {
    let Some(own) = text("/proc/self/cgroup") else { return Vec::new() };
    let mut limits = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let mut folder = PathBuf::from(format!("{root}{path}"));
        loop {
            if let Some(limit) = text(folder.join(file)).and_then(|t| t.parse::<u64>().ok()) {
                limits.push(limit);
            }
            if folder == Path::new(root) || !folder.pop() || !folder.starts_with(root) {
                break;
            }
        }
    }
    limits
}

/// Batch systems name the job's own scratch; else the system's folder for temporary files.
fn scratch_dir() -> PathBuf {
    ["SLURM_TMPDIR", "PBS_JOBFS", "TMPDIR"]
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .find(|p| p.is_dir())
        .unwrap_or_else(std::env::temp_dir)
        .join("eger-spill")
}

fn free_bytes(folder: &Path) -> u64 {
    let existing = folder.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("/"));
    fs4::available_space(existing).unwrap_or(8 << 30)
}

/// The fastest interface that says how fast it is; 1 Gbit/s when none does.
fn network_gbit() -> f64 {
    let fastest = fs::read_dir("/sys/class/net")
        .map(|entries| {
            entries
                .flatten()
                .filter(|e| e.file_name() != "lo")
                .filter_map(|e| text(e.path().join("speed"))?.parse::<i32>().ok())
                .filter(|mbit| *mbit > 0)
                .max()
        })
        .ok()
        .flatten();
    fastest.map_or(1.0, |mbit| f64::from(mbit) / 1000.0)
}

/// Rounded down to whole MiB, which read well.
fn whole_mib(bytes: u64) -> ByteSize {
    ByteSize(bytes - bytes % (1 << 20))
}
