//! What every process of the platform needs around its own work: configuration, logging, TLS with
//! named peers, sealed key files, execution profiles and an orderly end.
//!
//! INVARIANT: nothing in here knows of projects, tables or people.

pub mod audit;
pub mod ca;
pub mod clock;
pub mod computing;
pub mod config;
pub mod crypto;
pub mod enrolment;
pub mod hardening;
pub mod invite;
pub mod peer;
pub mod profile;
pub mod ready;
pub mod seal;
pub mod sealing;
pub mod shutdown;
pub mod sign;
pub mod size;
pub mod telemetry;
pub mod tls;
pub mod token;

#[cfg(test)]
mod wiped;
