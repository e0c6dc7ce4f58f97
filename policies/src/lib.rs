//! Rules as code, the same for hub and spoke: who may do what, where an answer may be shown, what a project was granted,
//! and which numbers may leave.
//!
//! INVARIANT: nothing here reads data; a rule gets facts and says yes, no and why.

pub mod airlock;
pub mod application;
pub mod authorize;
pub mod calendar;
pub mod disclosure;
pub mod epoch;
pub mod grant;
pub mod permit;
pub mod purpose;
pub mod query_signature;
pub mod receipt;
pub mod zone;
