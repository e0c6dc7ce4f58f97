//! The hub against simulated spokes: a real server, real link TLS, real Flight SQL on port 0.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod catalog;
mod client;
mod explain;
mod faults;
mod house;
mod limits;
mod prepared;
mod pushdown;
mod refusals;
mod release;
mod spoke;
mod terminal;
mod tickets;
