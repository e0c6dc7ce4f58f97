//! Execution profiles: what a machine has, and what follows for running queries on it.
//!
//! A profile is a TOML file ([`Profile::load`]) or what this machine shows ([`Profile::detect`]). Cgroup limits count
//! before hardware: in a container or a batch job they are what one really has.

mod detect;

use crate::{config, size::ByteSize};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a machine has. All derived values follow from it unless the file sets them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// for people, e.g. `laptop`
    pub name: String,
    /// processors
    pub cpu: Cpu,
    /// main memory
    pub memory: Memory,
    /// fast local disk for spilled intermediate results
    pub scratch: Scratch,
    /// links to spokes and between nodes
    #[serde(default)]
    pub network: Network,
    /// how queries share the machine
    #[serde(default)]
    pub queries: Queries,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// usable cores
    pub cores: usize,
    /// memory domains; an executor is best kept within one
    #[serde(default = "one")]
    pub numa_nodes: usize,
}

/// Main memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// usable by this process
    pub size: ByteSize,
}

/// Disk for spilling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// folder
    pub dir: PathBuf,
    /// the most that may be used there
    pub size: ByteSize,
}

/// Network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Gbit/s
    pub gbit: f64,
}

/// How queries share the machine; what is left out follows from the hardware.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queries {
    /// queries that run at once
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<usize>,
    /// queries that wait for a slot before new ones are refused
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
    /// partitions a query is cut into
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_partitions: Option<usize>,
    /// rows a batch
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// the most memory one query gets
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_memory: Option<ByteSize>,
    /// the most scratch one query gets
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_spill: Option<ByteSize>,
}

impl Default for Network {
    fn default() -> Self {
        Self { gbit: 1.0 }
    }
}

fn one() -> usize {
    1
}

/// A profile that contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file can't be read.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// A value makes no sense.
    #[error("profile {name}, field {field}: {message}")]
    Invalid {
        /// the profile's name
        name: String,
        /// which field
        field: &'static str,
        /// what is wrong
        message: String,
    },
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// When the file can't be read, has an unknown, missing or wrong field, or a value makes no sense.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let profile: Self = config::load(path)?;
        profile.check()?;
        Ok(profile)
    }

    /// What this machine has, within the limits of this process' cgroup.
    #[must_use]
    pub fn detect() -> Self {
        detect::profile()
    }

    /// The profile as a TOML file, with a line above each derived value.
    ///
    /// # Errors
    /// Never in practice: every field can be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = toml::to_string_pretty(self)?;
        text.push_str(&format!(
            "\n# what follows from this (set under [queries] to change it):\n\
             #   slots = {}              queries at once\n\
             #   queue = {}             queries that may wait\n\
             #   target_partitions = {}\n\
             #   batch_size = {}\n\
             #   query_memory = \"{}\"   of a pool of {}\n\
             #   query_spill = \"{}\"    of scratch\n",
            self.admission_slots(),
            self.admission_queue(),
            self.target_partitions(),
            self.batch_size(),
            ByteSize(self.query_pool_bytes() >> 20 << 20),
            ByteSize(self.pool_bytes() >> 20 << 20),
            ByteSize(self.query_spill_bytes() >> 20 << 20),
        ));
        Ok(text)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let wrong = |field, message: &str| {
            Err(ProfileError::Invalid { name: self.name.clone(), field, message: message.to_owned() })
        };
        if self.cpu.cores == 0 {
            return wrong("cpu.cores", "must be at least 1");
        }
        if self.cpu.numa_nodes == 0 || self.cpu.numa_nodes > self.cpu.cores {
            return wrong("cpu.numa_nodes", "must be from 1 to the number of cores");
        }
        if self.memory.size.0 < 512 << 20 {
            return wrong("memory.size", "a hub needs at least 512MiB");
        }
        if self.scratch.dir.as_os_str().is_empty() {
            return wrong("scratch.dir", "names no folder");
        }
        if !(self.network.gbit > 0.0 && self.network.gbit.is_finite()) {
            return wrong("network.gbit", "must be above 0");
        }
        for (field, value) in [
            ("queries.slots", self.queries.slots),
            ("queries.target_partitions", self.queries.target_partitions),
            ("queries.batch_size", self.queries.batch_size),
        ] {
            if value == Some(0) {
                return wrong(field, "must be at least 1");
            }
        }
        if self.queries.query_memory.is_some_and(|m| m.0 > self.pool_bytes()) {
            return wrong("queries.query_memory", "is more than 70% of memory.size, which all queries share");
        }
        if self.queries.query_spill.is_some_and(|s| s.0 > self.scratch.size.0) {
            return wrong("queries.query_spill", "is more than scratch.size, which all queries share");
        }
        Ok(())
    }

    /// Memory that all running queries share, bytes: 70% of what there is. The rest is for what the engine does not
    /// count: batches in flight, metadata, the allocator.
    #[must_use]
    pub fn pool_bytes(&self) -> u64 {
        self.memory.size.0 / 10 * 7
    }

    /// The most memory one query gets, bytes: half the pool when several run, all of it when one runs at a time.
    #[must_use]
    pub fn query_pool_bytes(&self) -> u64 {
        let derived = if self.admission_slots() == 1 { self.pool_bytes() } else { self.pool_bytes() / 2 };
        self.queries.query_memory.map_or(derived, |m| m.0)
    }

    /// The most scratch one query gets, bytes: its share when all slots are taken, so that together they can't fill the
    /// disk.
    #[must_use]
    pub fn query_spill_bytes(&self) -> u64 {
        let slots = u64::try_from(self.admission_slots()).unwrap_or(u64::MAX).max(1);
        self.queries.query_spill.map_or(self.scratch.size.0 / slots, |s| s.0)
    }

    /// Queries that run at once: one for every two cores, at least 2 and at most 64, and no more than give each 256 MiB.
    #[must_use]
    pub fn admission_slots(&self) -> usize {
        let by_memory = usize::try_from(self.pool_bytes() / (256 << 20)).unwrap_or(usize::MAX).max(1);
        self.queries.slots.unwrap_or_else(|| (self.cpu.cores / 2).clamp(2, 64).min(by_memory))
    }

    /// Queries that wait for a slot before new ones are refused: one that waits holds next to nothing, so that a hundred
    /// people find a place also on a small machine.
    #[must_use]
    pub fn admission_queue(&self) -> usize {
        self.queries.queue.unwrap_or_else(|| (self.admission_slots() * 64).clamp(256, 4096))
    }

    /// Partitions a query is cut into: the cores, within one memory domain.
    #[must_use]
    pub fn target_partitions(&self) -> usize {
        self.queries.target_partitions.unwrap_or_else(|| (self.cpu.cores / self.cpu.numa_nodes).max(1))
    }

    /// Rows a batch.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.queries.batch_size.unwrap_or(8192)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_detect_prints_can_be_loaded_again() {
        let profile = Profile::detect();
        profile.check().unwrap();
        let text = profile.to_toml().unwrap();
        assert_eq!(config::parse::<Profile>(&text, "printed").unwrap(), profile);
    }

    #[test]
    fn the_shipped_profiles_load_and_make_sense() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
        for name in ["laptop", "ngc-thin", "ngc-fat"] {
            let profile = Profile::load(&folder.join(format!("{name}.toml"))).unwrap();
            assert_eq!(profile.name, name);
            assert!(profile.query_pool_bytes() <= profile.pool_bytes());
            assert!(profile.pool_bytes() < profile.memory.size.0);
            let spilled = profile.query_spill_bytes() * profile.admission_slots() as u64;
            assert!(spilled <= profile.scratch.size.0, "all queries together overfill the disk");
            assert!(profile.target_partitions() <= profile.cpu.cores);
        }
    }

    #[test]
    fn nonsense_is_refused_by_field() {
        let base = Profile::detect();
        let cores = Profile { cpu: Cpu { cores: 0, numa_nodes: 1 }, ..base.clone() };
        assert!(cores.check().unwrap_err().to_string().contains("cpu.cores"));
        let memory = Profile { memory: Memory { size: ByteSize(1) }, ..base.clone() };
        assert!(memory.check().unwrap_err().to_string().contains("memory.size"));
        let greedy = Queries { query_memory: Some(base.memory.size), ..Queries::default() };
        let greedy = Profile { queries: greedy, ..base.clone() };
        assert!(greedy.check().unwrap_err().to_string().contains("queries.query_memory"));
        let greedy = Queries { query_spill: Some(ByteSize(base.scratch.size.0 + 1)), ..Queries::default() };
        assert!(Profile { queries: greedy, ..base }.check().unwrap_err().to_string().contains("queries.query_spill"));
    }
}
