//! The custodian: a third organisation that holds the linkage key and evaluates it blindly, so that
//! every spoke gives a person the same pseudonym without anybody being able to compute one alone.
//!
//! For blind totals it adds up the masks of all members, and never sees a number.
//!
//! INVARIANT: it sees blinded elements and seeds of masks only, keeps nothing about a request but counts and digests, answers only keys that a controller's approver endorsed, and the linkage
//! key leaves the process in no form other than its sealed file.

pub mod backup;
pub mod cli;
pub mod config;
pub mod endpoints;
pub mod enrol;
pub mod evaluate;
pub mod key;
pub mod log;
pub mod register;
pub mod serve;
pub mod setup;
pub mod totals;

pub use config::Config;
pub use serve::{ServeError, ServeOptions, serve};
