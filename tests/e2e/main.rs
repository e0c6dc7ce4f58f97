//! End-to-end tests: the whole platform as processes on loopback, asked by real clients, broken in real ways.

mod adbc;
mod airlock;
mod answers;
mod blind;
mod checked;
mod clients;
mod differential;
mod faults;
mod firewall;
mod fixture;
mod flight_sql_client;
#[path = "../grammar.rs"]
mod grammar;
mod malformed;
mod oidc;
mod provider;
mod quick;
mod readme;
mod revocation;
mod s3;
mod secrets;
mod slt;
mod watch;
