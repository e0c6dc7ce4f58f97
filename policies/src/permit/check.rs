//! What must hold within one permit.

use super::{Output, Permit, VERSION};
use std::collections::BTreeSet;

/// A permit lasts at most so many days: ten years (EHDS Article 68(12)).
const LONGEST: i64 = 3653;

/// Something in a permit that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("permit, field {field}: {message}")]
pub struct PermitProblem {
    /// which field
    pub field: String,
    /// what is wrong and what to do
    pub message: String,
}

impl Permit {
    /// Checks the fields against one another.
    ///
    /// # Errors
    /// The first field that can't be as it is.
    pub fn check(&self) -> Result<(), PermitProblem> {
        let wrong = |field: &str, message: String| Err(PermitProblem { field: field.to_owned(), message });
        if self.version != VERSION {
            return wrong("version", format!("{} is not known here; this side reads version {VERSION}", self.version));
        }
        if self.valid_to < self.valid_from {
            return wrong("valid_to", format!("{} is before valid_from, {}", self.valid_to, self.valid_from));
        }
        if (self.valid_to - self.valid_from).num_days() > LONGEST {
            return wrong("valid_to", "a permit lasts ten years at most (EHDS Article 68(12))".to_owned());
        }
        match &self.quick {
            Some(quick) => quick.check(self)?,
            None if self.project.is_quick_test() => {
                return wrong(
                    "project",
                    "'quick-test' is the name of no project: people are counted under it".to_owned(),
                );
            }
            None if self.users.is_empty() => return wrong("users", "names nobody".to_owned()),
            None => {}
        }
        if self.users.iter().collect::<BTreeSet<_>>().len() != self.users.len() {
            return wrong("users", "somebody stands twice".to_owned());
        }
        if self.reason.trim().is_empty() {
            return wrong("reason", "is empty; a decision has a reason".to_owned());
        }
        if self.caps.rows == 0 || self.caps.bytes == 0 || self.caps.queries_per_day == 0 {
            return wrong("caps", "0 would answer nothing; refuse instead".to_owned());
        }
        self.check_members()?;
        if let Some(blind) = &self.blind {
            if self.output != Output::SpokeAggregates {
                return wrong("blind", "goes with output spoke_aggregates alone: the others let more out".to_owned());
            }
            blind.check(&self.controller, |member| self.member(member).is_some())?;
        }
        self.check_tables()
    }

    fn check_members(&self) -> Result<(), PermitProblem> {
        let wrong = |field: &str, message: String| Err(PermitProblem { field: field.to_owned(), message });
        let names: BTreeSet<_> = self.members.iter().map(|m| &m.controller).collect();
        if names.len() != self.members.len() {
            return wrong("members", "a controller stands twice".to_owned());
        }
        // One key for two names would let one spoke answer for both.
        for keys in [|m: &super::Member| m.sealing.clone(), |m: &super::Member| m.signing.clone()] {
            let keys: BTreeSet<_> = self.members.iter().map(keys).collect();
            if keys.len() != self.members.len() || keys.contains("") {
                return wrong("members", "each controller needs fingerprints of its own".to_owned());
            }
        }
        for (field, controller) in
            [("controller", Some(&self.controller)), ("lead", Some(&self.lead)), ("deputy", self.deputy.as_ref())]
        {
            if let Some(controller) = controller.filter(|c| !names.contains(c)) {
                return wrong(field, format!("'{controller}' is not among the members"));
            }
        }
        if self.deputy.as_ref() == Some(&self.lead) {
            return wrong("deputy", "is the lead itself".to_owned());
        }
        if let Some(stranger) = self.key_lists_to.iter().find(|c| !names.contains(c)) {
            return wrong("key_lists_to", format!("'{stranger}' is not among the members"));
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), PermitProblem> {
        let wrong = |field: String, message: &str| Err(PermitProblem { field, message: message.to_owned() });
        if self.tables.is_empty() {
            return wrong("tables".to_owned(), "names none");
        }
        let mut names = BTreeSet::new();
        for table in &self.tables {
            let field = |name: &str| format!("tables.{}.{name}", table.name);
            if !names.insert(&table.name) {
                return wrong(format!("tables.{}", table.name), "stands twice");
            }
            if table.columns.is_empty() {
                return wrong(field("columns"), "names none");
            }
            if table.columns.iter().collect::<BTreeSet<_>>().len() != table.columns.len() {
                return wrong(field("columns"), "a column stands twice");
            }
            if table.row_filter.as_ref().is_some_and(|f| f.trim().is_empty()) {
                return wrong(field("row_filter"), "is empty; leave it out to grant all rows");
            }
        }
        Ok(())
    }
}
