//! The hub: plans a researcher's statement over several controllers' spokes, asks each spoke for its part,
//! joins the answers and decides what leaves.
//!
//! The folders are the path of a query: [`receive`] -> [`identify`] -> [`plan`] -> [`permit`] -> [`dispatch`]
//! -> (the spoke) -> [`gather`] -> [`release`]. Beside the path stand [`registry`] (what the spokes offer),
//! [`gateway`] (links that spokes open), [`compute`] (memory, disk and slots), [`watch`] (traces, numbers, progress), [`count`] (people, without a project), [`admin`], and [`login`] and [`sql`] (the
//! terminal).
//!
//! INVARIANT: the hub holds no key of any pseudonym and never sees a person number.

pub mod admin;
pub mod airlock;
pub mod api;
pub mod apply;
pub mod assemble;
pub mod audit;
pub mod cli;
pub mod compute;
pub mod config;
pub mod count;
mod database;
pub mod decide;
pub mod dispatch;
pub mod endpoints;
pub mod gateway;
pub mod gather;
pub mod identify;
pub mod login;
pub mod permit;
pub mod plan;
pub mod project;
pub mod receive;
pub mod registry;
pub use ::release;
pub mod request;
pub mod serve;
pub mod sql;
pub mod watch;
