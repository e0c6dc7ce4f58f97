//! An application for health data: what a researcher group asks of several controllers at once, and the part of it that
//! each controller decides on.
//!
//! [`Form`] is what people write and what travels to the hub; [`Form::check`] reads all of it and names every problem.
//! [`Application`] is a form without problems. [`Application::split`] cuts it into one [`Part`] per controller;
//! [`difference`] says in words what one controller would let happen that it doesn't now.
//!
//! INVARIANT: no message repeats a value of a free text; somebody may have written a person number there.

mod change;
mod check;
mod example;
mod form;
mod part;
mod person;
mod split;

pub use change::{Change, Terms, difference};
pub use check::{LONGEST_DAYS, Problem, Problems};
pub use example::EXAMPLE;
pub use form::{BlindForm, CapsForm, ControllerForm, Form, GroupForm, PeriodForm, PurposeForm, TableForm, UserForm};
pub use part::{ColumnAsked, Decision, MAX_PART, Part, PartError, TableAsked};
pub use person::looks_like_person_number;
pub use split::{Asked, amend};

use crate::{
    permit::{Blind, Caps, Member, Output, User},
    purpose::Purpose,
};
use chrono::NaiveDate;
use proto::ids::{ControllerId, ProjectId, UserId};
use sha2::{Digest, Sha256};

/// Who wants the data.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// the legal person that applies
    pub organisation: String,
    /// whether it is a public body (EHDS Article 53(2) leaves some purposes to those)
    pub public_body: bool,
    /// the natural person responsible
    pub responsible: String,
    /// how to reach that person
    pub contact: String,
}

/// One person who would ask.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applicant {
    /// the internal person id that the issuer's claims map to
    pub user: UserId,
    /// who vouches for the person: the issuer's URL, exactly
    pub issuer: String,
    /// for people
    pub name: String,
}

impl Applicant {
    /// The person as a permit names them.
    #[must_use]
    pub fn permitted(&self) -> User {
        User { user: self.user.clone(), issuer: self.issuer.clone() }
    }
}

/// What is asked of one controller.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerAsked {
    /// whom
    pub controller: ControllerId,
    /// fingerprint of its spoke's HPKE key, as that controller's `spoke identity` prints it
    pub sealing: String,
    /// fingerprint of its spoke's signing identity
    pub signing: String,
    /// whether the project makes no sense without this controller: the workspace opens with its permit, and closes
    /// when the permit ends
    pub needed: bool,
    /// whose spokes may learn which of its people are in a cohort
    pub key_lists_to: Vec<ControllerId>,
    /// what is wanted
    pub tables: Vec<TableAsked>,
}

/// A whole application without problems.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// the project; the name of its catalog in SQL
    pub project: ProjectId,
    /// for people
    pub title: String,
    /// who wants the data
    pub group: Group,
    /// who would ask
    pub users: Vec<Applicant>,
    /// what for
    pub purpose: Purpose,
    /// why anonymous data are not enough (EHDS Article 66)
    pub pseudonymised_because: String,
    /// whose data, in words
    pub population: String,
    /// first day
    pub valid_from: NaiveDate,
    /// last day
    pub valid_to: NaiveDate,
    /// what would leave the controllers
    pub output: Output,
    /// the most that would be asked
    pub caps: Caps,
    /// each question carries the user's own signature
    pub client_signature: bool,
    /// nothing would leave but totals over these members
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blind>,
    /// whose spoke makes the project's key
    pub lead: ControllerId,
    /// whose spoke makes it when the lead's is away
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<ControllerId>,
    /// what is asked of whom
    pub controllers: Vec<ControllerAsked>,
}

impl Application {
    /// SHA-256 of the application, hex: the same text, the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        // A struct of texts, numbers and lists always has a JSON form.
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// What is asked of `controller`.
    #[must_use]
    pub fn asked_of(&self, controller: &ControllerId) -> Option<&ControllerAsked> {
        self.controllers.iter().find(|asked| asked.controller == *controller)
    }

    /// All controllers with their spokes' fingerprints, as permits name them.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.controllers
            .iter()
            .map(|asked| Member {
                controller: asked.controller.clone(),
                sealing: asked.sealing.clone(),
                signing: asked.signing.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
