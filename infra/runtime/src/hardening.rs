//! What a process asks of its machine: that its memory stays its own (no core dumps, no debugger of the same user), and how
//! much disk is left.
//!
//! INVARIANT: it only takes away. Whatever the kernel refuses is logged, and the process goes on.

/// Forbids core dumps of this process and its children, and reading its memory by other processes of the same user.
/// Call it first in commands that hold keys.
#[cfg(target_os = "linux")]
pub fn protect_memory() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps can't be forbidden for this process");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "this process' memory can't be protected from others of its user");
    }
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
pub fn protect_memory() {}

/// What keeps this process' memory from becoming a file: `(largest core file, whether it may be dumped)`.
#[cfg(target_os = "linux")]
#[must_use]
pub fn core_settings() -> (Option<u64>, bool) {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    let dumpable = !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    (getrlimit(Resource::Core).current, dumpable)
}

/// Bytes that this user may still write on the disk of `path`.
///
/// # Errors
/// When the path is missing or can't be asked about.
pub fn free_space(path: &std::path::Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_protected_process_leaves_no_core_file() {
        super::protect_memory();
        assert_eq!(super::core_settings(), (Some(0), false));
    }
}
