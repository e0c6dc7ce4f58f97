//! Cuts an application into parts, and an amendment into the parts of those whom it concerns.

use super::{Application, Change, ControllerAsked, Part, difference};
use crate::permit::Permit;
use chrono::{DateTime, NaiveDate, Utc};
use proto::ids::{ControllerId, PartId};
use std::collections::BTreeMap;

/// What a controller was asked before, and what came of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// the last part that it was sent
    pub part: Part,
    /// its live permit, if it gave one
    pub permit: Option<Permit>,
    /// whether the part is still waiting for its decision
    pub open: bool,
}

impl Application {
    /// One part for each controller.
    #[must_use]
    pub fn split(&self) -> Vec<Part> {
        self.controllers.iter().map(|asked| self.part(asked)).collect()
    }

    fn part(&self, asked: &ControllerAsked) -> Part {
        Part {
            version: Part::VERSION,
            id: PartId::new(),
            application: self.digest(),
            controller: asked.controller.clone(),
            project: self.project.clone(),
            title: self.title.clone(),
            group: self.group.clone(),
            users: self.users.clone(),
            purpose: self.purpose.clone(),
            pseudonymised_because: self.pseudonymised_because.clone(),
            population: self.population.clone(),
            tables: asked.tables.clone(),
            members: self.members(),
            lead: self.lead.clone(),
            deputy: self.deputy.clone(),
            output: self.output,
            caps: self.caps,
            client_signature: self.client_signature,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            key_lists_to: asked.key_lists_to.clone(),
            // Of who is not among the members nothing leaves at all.
            blind: self.blind.clone().filter(|blind| blind.members.contains(&asked.controller)),
            replaces: None,
            supersedes: None,
            changes: Vec::new(),
            complete_at: None,
            decide_by: None,
        }
    }
}

impl Part {
    /// The part with the day by which it is to be decided.
    #[must_use]
    pub fn due(mut self, complete_at: DateTime<Utc>, decide_by: NaiveDate) -> Self {
        self.complete_at = Some(complete_at);
        self.decide_by = Some(decide_by);
        self
    }

    /// What is asked now and was not asked before: of terms, and of what they rest on.
    fn asks_anew(&self, before: &Self) -> bool {
        difference(&before.terms(), &self.terms()).iter().any(|change| change.decide)
            || !self.rests_on(before).is_empty()
    }

    fn rests_on(&self, before: &Self) -> Vec<Change> {
        let mut all = Vec::new();
        if self.group.organisation != before.group.organisation {
            all.push(Change::new(
                "group.organisation",
                format!("the applicant is now {}", self.group.organisation),
                true,
            ));
        }
        if self.group.responsible != before.group.responsible {
            let text = format!("the person responsible is now {}", self.group.responsible);
            all.push(Change::new("group.responsible", text, false));
        }
        if self.population != before.population {
            all.push(Change::new("population", "the population is described in other words".to_owned(), true));
        }
        all
    }
}

/// The parts of an amended application: only for controllers that are asked something new. `before` is what each was
/// asked and gave. Changes are told against what was granted.
#[must_use]
pub fn amend(new: &Application, before: &BTreeMap<ControllerId, Asked>) -> Vec<Part> {
    new.split()
        .into_iter()
        .filter_map(|mut part| {
            let Some(asked) = before.get(&part.controller) else { return Some(part) };
            if !part.asks_anew(&asked.part) {
                return None;
            }
            if let Some(permit) = &asked.permit {
                part.replaces = Some(permit.id);
                part.changes = part.changes_from(permit);
                part.changes.extend(part.rests_on(&asked.part));
            }
            part.supersedes = asked.open.then_some(asked.part.id);
            Some(part)
        })
        .collect()
}
