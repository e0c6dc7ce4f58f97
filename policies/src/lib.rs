//! Rules as code, the same for hub and spoke: where an answer may be shown, what a project was granted, and
//! which numbers may leave.
//!
//! INVARIANT: nothing here reads data; a rule gets facts and says yes, no and why.

pub mod disclosure;
pub mod grant;
pub mod zone;
