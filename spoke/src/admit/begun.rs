//! The end of a question that was written down and has no rows yet.

use super::Context;

/// A question whose entry is being written, or is. Dropped before its rows begin, its caller has gone away: the audit log
/// says so.
pub(crate) struct Begun(Option<Context>);

impl Begun {
    /// To be made before the entry is written: whoever asks may go away meanwhile.
    pub(super) fn new(context: &Context) -> Self {
        Self(Some(context.clone()))
    }

    /// It ended without rows.
    pub(crate) fn over(&mut self, outcome: &'static str) {
        if let Some(context) = self.0.take() {
            context.over(0, 0, outcome, 0);
        }
    }

    /// Its rows begin, and whoever has them writes their end.
    pub(crate) fn running(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.over("the caller went away");
    }
}
