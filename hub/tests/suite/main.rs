//! The hub against simulated spokes: a real server, real link TLS, real Flight SQL on port 0.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod airlock;
mod audit;
mod blind;
mod catalog;
mod channels;
mod checked;
mod checkpoints;
mod client;
mod decided;
mod differential;
mod explain;
mod faults;
mod gateway;
#[path = "../../../tests/grammar.rs"]
mod grammar;
mod hostile;
mod house;
mod issuer;
mod jdbc;
mod joins;
mod keys;
mod ledgers;
mod limits;
mod national;
mod offers;
mod oidc;
mod prepared;
mod projects;
mod pushdown;
mod ranges;
mod refusals;
mod release;
mod signatures;
mod spoke;
mod streams;
mod terminal;
mod tickets;
mod tpch;
mod watch;
mod workspace;
