//! What a member asks of the book of permits.

use policies::{permit::SignedPermit, receipt::Reason};
use proto::ids::ProjectId;
use std::sync::Arc;

/// Whether a project goes on here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// one of its permits is live or to come
    Expected,
    /// none is
    Over(Reason),
}

/// The permits that count here now.
pub trait LivePermits: Send + Sync + 'static {
    /// The live permit of a project.
    fn live(&self, project: &ProjectId) -> Option<Arc<SignedPermit>>;

    /// Whether a project goes on. `None`: that can't be told at the moment (the folder can't be read), and nothing is
    /// destroyed.
    fn standing(&self, project: &ProjectId) -> Option<Standing>;

    /// Projects that go on and that answers may have been given for. `None`: that can't be told at the moment.
    fn ongoing(&self) -> Option<Vec<ProjectId>>;

    /// Ends every answer that runs now: somebody who is in it may have left. Whoever asks again is answered without them.
    fn interrupt(&self) {}
}
