//! Which versions of a project's tables there are now, for whoever writes down what a result was made from.

use super::Core;
use crate::identify::{Caller, choose};
use proto::{ids::ProjectId, refusal::Refusal};
use std::collections::BTreeMap;

impl Core {
    /// Versions of the tables that the project's controllers offer to the caller, by `controller.table`. A spoke that can't be
    /// asked tells none.
    ///
    /// # Errors
    /// When the caller is no member.
    pub async fn versions(&self, caller: Caller, project: &ProjectId) -> Result<BTreeMap<String, i64>, Refusal> {
        let project = choose(&caller, &self.projects(), Some(project.as_str()), None)?;
        let context = self.context(caller, project, true, self.unwatched());
        let catalogue = self.planner.registry().catalogue(&context).await;
        let own = catalogue.tables().filter(|table| table.parts.is_empty());
        Ok(own.map(|table| (format!("{}.{}", table.controller, table.name), table.snapshot)).collect())
    }

    /// The epoch of the key under which the project's people have their pseudonyms; none where no table that is offered has people.
    ///
    /// # Errors
    /// When the caller is no member.
    pub async fn key_epoch(&self, caller: Caller, project: &ProjectId) -> Result<Option<u32>, Refusal> {
        let project = choose(&caller, &self.projects(), Some(project.as_str()), None)?;
        let context = self.context(caller, project, true, self.unwatched());
        let catalogue = self.planner.registry().catalogue(&context).await;
        Ok(catalogue.tables().filter_map(|table| table.terms.epoch).max())
    }
}
