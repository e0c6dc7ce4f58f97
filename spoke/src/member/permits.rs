//! What a member asks of the book of permits.

use policies::permit::SignedPermit;
use proto::ids::ProjectId;
use std::sync::Arc;

/// The permits that count here now.
pub trait LivePermits: Send + Sync + 'static {
    /// The live permit of a project.
    fn live(&self, project: &ProjectId) -> Option<Arc<SignedPermit>>;

    /// Whether a permit of the project is live or to come. `None`: that can't be told at the moment (the folder can't
    /// be read), and nothing is destroyed.
    fn expected(&self, project: &ProjectId) -> Option<bool>;
}
