//! The spoke: runs next to one controller's data. `ingest` publishes pseudonymised tables,
//! `serve` answers fragments: receive -> admit -> scan -> reply.
//!
//! INVARIANT: nothing here depends on the hub's crate, and nothing that the hub says widens a grant.

pub mod admit;
pub mod cli;
pub mod config;
pub mod declare;
pub mod ingest;
pub mod init;
pub mod pseudonym;
pub mod publish;
pub mod receive;
pub mod reply;
pub mod scan;
pub mod serve;
