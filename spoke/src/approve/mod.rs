//! What this controller has decided: permits, refusals and revocations that its approvers signed, and the parts of
//! applications that wait for them.
//!
//! A decision is made by a person at a terminal, with a key that neither `spoke serve` nor the hub has. Here stand the
//! folders that it leaves behind: `approvers/` (whose keys count), `permits/` (what they signed), `inbox/` (what is asked).
//!
//! INVARIANT: a file in `permits/` counts only when a key in `approvers/` signed it for this controller, and its name is
//! that of the permit in it.

pub mod approvers;
pub mod book;

pub mod columns;
pub mod decide;
pub mod inbox;
pub mod summary;

pub use approvers::Approvers;
pub use book::{Book, Held, State};

use std::{io, path::Path};

/// What an approver's private key file is sealed for.
pub const APPROVER_CONTEXT: &str = "eger/approver/v1";

/// Writes a file whole or not at all. What approvers sign is no secret: the folder says who may read it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = std::fs::File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests;
