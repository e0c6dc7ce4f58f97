//! The whole platform on one machine: synthetic registers, every role as a process of its own, five questions.
//!
//! Also the ground that the end-to-end tests stand on: [`generate`] makes the controllers' files, [`questions`] asks,
//! [`oracle`] answers the same questions over the raw files with the person numbers in clear, [`platform`] starts,
//! stops and kills the processes.
//!
//! INVARIANT: nothing here is used by the platform itself; a spoke learns of the registers by its declarations only.

pub mod cast;
pub mod client;
pub mod generate;
pub mod issuer;
pub mod oracle;
pub mod platform;
pub mod questions;
pub mod registers;
pub mod role;
pub mod sites;
