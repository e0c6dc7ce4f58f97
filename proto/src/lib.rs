//! The wire contract between hub, spokes and custodian: messages, ids, the query *fragment*, refusals.
//!
//! Everything that needs the query engine (fragment <-> logical plan, Arrow schemas) sits behind the
//! feature `plan`, so that the custodian and the fuzz targets build without it.
//!
//! INVARIANT: this is the only crate that builds a [`tonic::Status`], and a fragment can only say what
//! `proto/eger/v1/fragment.proto` lists: no file, no path, no function outside [`fragment::functions`].

#[cfg(feature = "blind")]
pub mod blind;
pub mod envelope;
pub mod fragment;
pub mod ids;
pub mod measured;
#[cfg(feature = "plan")]
pub mod plan;
#[cfg(feature = "plan")]
pub mod quick;
pub mod refusal;
pub mod schema;
pub mod wire;
