//! The spoke: runs next to one controller's data. `ingest` publishes pseudonymised tables,
//! `serve` answers fragments: receive -> admit -> scan -> reply.
//!
//! INVARIANT: nothing here depends on the hub's crate, and nothing that the hub says widens a permit.

pub mod admit;
pub mod approve;
pub mod audit;
pub mod cli;
pub mod config;
pub mod declare;
pub mod doctor;
pub mod ingest;
pub mod init;
pub mod link;
pub mod member;
pub mod optout;
pub mod pseudonym;
pub mod publish;
pub mod receive;
pub mod reply;
mod results;
pub mod rules;
pub mod scan;
pub mod serve;
pub mod watch;
