//! Long lists come in pages: `limit` entries after the one that `after` names.

use super::Problem;
use serde::Deserialize;
use std::str::FromStr;

/// Entries of one page, at most.
const MOST: u32 = 200;
/// Entries of a page whose size isn't asked for.
const USUAL: u32 = 50;

/// Which page.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// the `next` of the page before
    pub(super) after: Option<String>,
    /// entries of this page, 1 to 200
    pub(super) limit: Option<u32>,
}

impl Page {
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(USUAL).clamp(1, MOST)
    }

    pub(super) fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let parse = |text: &String| text.parse().map_err(|_| Problem::field("after", "is not the `next` of a page"));
        self.after.as_ref().map(parse).transpose()
    }

    /// The `next` of a page with these entries.
    pub(super) fn next<T>(&self, entries: &[T], id: impl Fn(&T) -> String) -> Option<String> {
        (entries.len() >= self.limit() as usize).then(|| entries.last().map(id)).flatten()
    }
}
