//! What keeps a project's workspace together after its controllers have decided: keys of the same epoch at all
//! members, logs that prove themselves to one another, and removal of what must not be held any longer.
//!
//! INVARIANT: the hub carries sealed keys and signed statements; it can open none and make none.

pub mod checkpoints;
pub mod keys;
mod link;
pub mod purge;
mod reconcile;
mod spoke;
pub mod store;
mod workspace;

pub use reconcile::{Clock, Nudge, Reconciler, SystemClock};
pub use workspace::{Given, Workspace, WorkspaceState, compute};
