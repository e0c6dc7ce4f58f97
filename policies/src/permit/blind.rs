//! The clause of a permit that lets nothing out but blind totals.

use super::PermitProblem;
use proto::{
    blind::{MAX_MEMBERS, MIN_MEMBERS},
    ids::ControllerId,
};
use runtime::sealing::PublicSealingKey;

/// Over whom a project's blind totals are, and who adds up the masks. The same in every member's permit, and for as long as the
/// project lasts: totals over two sets would tell the difference between them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blind {
    /// all controllers whose numbers are added up, ascending; three or more
    pub members: Vec<ControllerId>,
    /// the custodian's public sealing key (`custodian sealing-key`), which controllers compare with the custodian themselves
    pub custodian: PublicSealingKey,
}

impl Blind {
    /// Checks the clause for a controller. `known`: whether somebody is a member of the project.
    ///
    /// # Errors
    /// When it could never be answered under.
    pub fn check(&self, controller: &ControllerId, known: impl Fn(&ControllerId) -> bool) -> Result<(), PermitProblem> {
        let wrong = |message: String| Err(PermitProblem { field: "blind.members".to_owned(), message });
        if !self.members.windows(2).all(|pair| pair.first() < pair.last()) {
            return wrong("must be in ascending order, none twice".to_owned());
        }
        if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&self.members.len()) {
            let why = "with two, each would learn the other's number";
            return wrong(format!("names {}; {MIN_MEMBERS} to {MAX_MEMBERS} are needed: {why}", self.members.len()));
        }
        if !self.members.contains(controller) {
            return wrong(format!("does not name '{controller}' itself"));
        }
        match self.members.iter().find(|member| !known(member)) {
            Some(stranger) => wrong(format!("'{stranger}' is not among the project's members")),
            None => Ok(()),
        }
    }
}
