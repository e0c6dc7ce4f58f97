//! Counting what a statement may leave behind: tasks, open files and sockets, folders of spilled data, answers that run
//! at spokes, slots, memory.
//!
//! INVARIANT: a count that stays above what it was before is an error that says which; nobody waits without a bound.

use super::shapes::Home;
use std::{
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long things may take to be gone.
pub const GONE: Duration = Duration::from_secs(10);
/// How often is counted.
const LOOK: Duration = Duration::from_millis(5);

/// What there is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// alive in the runtime of hub, spokes and test
    pub tasks: usize,
    /// open in this process, sockets among them
    pub files: usize,
    /// a running statement has one for what it spills
    pub folders: usize,
    /// at all spokes
    pub answers: usize,
}

impl Counts {
    pub fn of(home: &Home) -> Self {
        Self {
            tasks: Handle::current().metrics().num_alive_tasks() + runtime::computing::alive(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            folders: statements(&home.house.path().join("scratch")),
            answers: running(home),
        }
    }

    /// Waits until nothing is left over. How long that took, or what stayed.
    ///
    /// # Errors
    /// When more is there than before after `within`.
    pub async fn back(&self, home: &Home, within: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            let now = Self::of(home);
            if now.tasks <= self.tasks
                && now.files <= self.files
                && now.folders <= self.folders
                && now.answers <= self.answers
            {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > within {
                return Err(format!("left over: {now:?} where there were {self:?}"));
            }
        }
    }
}

/// Answers that run at any spoke.
pub fn running(home: &Home) -> usize {
    home.spokes().map(|spoke| spoke.seen.running.load(Ordering::SeqCst)).sum()
}

/// Folders of statements: scratch/eger-hub-spill/PROCESS/HUB/STATEMENT.
fn statements(scratch: &Path) -> usize {
    let below = |path: &Path| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(path).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    below(&scratch.join("eger-hub-spill")).iter().flat_map(|process| below(process)).map(|hub| below(&hub).len()).sum()
}

/// Resident memory of this process, bytes.
pub fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
