//! Everything that can be called at the custodian, and by whom. It decides in code and not by Cedar's policies: it is a
//! third party with one small service, and depends on nothing but the wire contract (docs/adr/0006).
//!
//! INVARIANT: what can be called stands here; tests read the contract and fail when something is missing, and make each
//! call as each kind of caller.

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// a spoke with a certificate of the custodian's own authority, also one that was removed since
    Certified,
    /// a spoke of a registered controller, with the key that was enrolled last
    Enrolled,
    /// a hub with the key that was enrolled last
    Hub,
}

/// Calls, by method. Quota and daily allowance are counted besides.
pub const ENDPOINTS: &[(&str, Who)] =
    &[("PublicKey", Who::Certified), ("Evaluate", Who::Enrolled), ("Checkpoint", Who::Enrolled), ("Sum", Who::Hub)];
