//! Fragment <-> logical plan.
//!
//! Encoding says a plan as a fragment, or names what cannot be said. Decoding binds a fragment to the tables of
//! one request: name resolution is admission.
//!
//! INVARIANT: what is encoded gives the same rows when it is decoded and run; nothing is dropped in silence.
//! Decoding reaches tables through [`Tables`] only and functions through the allow-list only; it reads no
//! catalog, no file and no clock.

use std::sync::Arc;

use datafusion::logical_expr::TableSource;

use crate::fragment::FragmentError;

pub mod bloom;
pub mod coarse;
mod constant;
pub mod contributions;
mod decode;
mod decode_expr;
mod encode;
mod encode_expr;
mod gathered;
pub mod interval;
pub mod keys;
mod measure;
mod numbers;
pub mod persons;
mod spread;
pub mod stop;
mod types;

pub use crate::fragment::build::{
    aggregate, filter, fragment, join, joined, limit, measure, named, project, read, sort, sort_limit,
};
pub use decode::{decode, decode_plainly, decode_with};
pub use encode::{Said, encode_plan, say};
pub use encode_expr::encode_expr;
pub(crate) use types::encode_type;

/// What cannot be said in a fragment, and so stays at the hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fragment cannot say: {what}")]
pub struct Unsayable {
    /// The node, function, operator or type. Never a constant of the question.
    pub what: String,
}

impl Unsayable {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl From<FragmentError> for Unsayable {
    /// A plan that would make a fragment which the other side refuses cannot be said.
    fn from(error: FragmentError) -> Self {
        Self::new(error.to_string())
    }
}

/// The tables of one request. What does not exist here does not exist.
pub trait Tables {
    /// The table of this name, if the request may see it.
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>>;
}
