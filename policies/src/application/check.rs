//! Reads a form and names everything that is wrong with it at once.

use super::{
    Applicant, Application, ColumnAsked, ControllerAsked, Form, Group, TableAsked,
    form::{ControllerForm, TableForm},
    looks_like_person_number,
};
use crate::{
    permit::{Blind, Caps, Output},
    purpose::{DuoCode, EhdsPurpose, Purpose},
};
use chrono::NaiveDate;
use proto::ids::ControllerId;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// An application asks for ten years at most (EHDS Article 68(12)).
pub const LONGEST_DAYS: i64 = 3653;
/// The longest text of a field, characters.
const LONGEST_TEXT: usize = 8000;
/// Users, controllers, or tables of one controller, at most.
const MOST: usize = 500;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// path of the field, as `controllers[0].tables[1].columns[2]`
    pub field: String,
    /// what is wrong and what to do
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    /// A text that people read: there, not too long, without person numbers.
    fn text(&mut self, field: &str, text: &str, missing: &str) -> String {
        let text = text.trim();
        if text.is_empty() {
            self.add(field, missing);
        } else if text.chars().count() > LONGEST_TEXT {
            self.add(field, format!("is longer than {LONGEST_TEXT} characters"));
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.add(field, "has control characters; write plain text");
        } else {
            self.no_person(field, text);
        }
        text.to_owned()
    }

    fn no_person(&mut self, field: &str, text: &str) {
        if looks_like_person_number(text) {
            self.add(field, "holds what looks like a person number; an application names no patients, and users by their id at the platform");
        }
    }

    /// An id; what is typed is not repeated.
    fn id<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.trim().is_empty() {
            self.add(field, "is missing");
            return None;
        }
        match text.trim().parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.add(field, format!("{error}"));
                None
            }
        }
    }
}

impl Form {
    /// Reads the form.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check(&self) -> Result<Application, Problems> {
        let mut found = Found::default();
        let project = found.id("project", &self.project);
        if project.as_ref().is_some_and(proto::ids::ProjectId::is_quick_test) {
            found.add("project", "is the name under which people are counted without a project; choose another");
        }
        let title = found.text("title", &self.title, "is missing; name the project for people");
        let group = self.group(&mut found);
        let users = self.users(&mut found);
        let purpose = self.purpose(&mut found);
        let pseudonymised_because = found.text(
            "pseudonymised_because",
            &self.pseudonymised_because,
            "is missing; say why anonymous data are not enough (EHDS Article 66)",
        );
        let population = found.text("population", &self.population, "is missing; say in words whose data are needed");
        let output = output(&mut found, &self.output);
        if !self.prohibited_uses_acknowledged {
            found.add(
                "prohibited_uses_acknowledged",
                "must be true: data may never be used for decisions against a person, in insurance, credit or jobs, \
                 for marketing, or for harmful products (EHDS Article 54)",
            );
        }
        let period = self.period(&mut found);
        let caps = self.caps(&mut found);
        let controllers = self.controllers(&mut found);
        let named: BTreeSet<_> = controllers.iter().map(|c| c.controller.clone()).collect();
        let known = self.controllers.len() == controllers.len();
        let mut member = |field: &str, text: &str| -> Option<ControllerId> {
            let id: ControllerId = found.id(field, text)?;
            if known && !named.contains(&id) {
                found.add(field, format!("'{id}' is not among the application's controllers"));
                return None;
            }
            Some(id)
        };
        let lead = member("lead", &self.lead);
        let deputy = self.deputy.as_ref().map(|deputy| member("deputy", deputy));
        for (at, asked) in self.controllers.iter().enumerate() {
            for (nth, receiver) in asked.key_lists_to.iter().enumerate() {
                member(&format!("controllers[{at}].key_lists_to[{nth}]"), receiver);
            }
        }
        if let (Some(lead), Some(Some(deputy))) = (&lead, &deputy)
            && lead == deputy
        {
            found.add("deputy", "is the lead itself; name another controller, or leave it out");
        }
        let blind = self.blind(&mut found, output, &named);
        match (project, purpose, output, period, lead, caps) {
            (Some(project), Some(purpose), Some(output), Some((valid_from, valid_to)), Some(lead), Some(caps))
                if found.0.is_empty() =>
            {
                Ok(Application {
                    project,
                    title,
                    group,
                    users,
                    purpose,
                    pseudonymised_because,
                    population,
                    valid_from,
                    valid_to,
                    output,
                    caps,
                    client_signature: self.client_signature,
                    blind,
                    lead,
                    deputy: deputy.flatten(),
                    controllers,
                })
            }
            _ => Err(Problems(found.0)),
        }
    }

    fn blind(&self, found: &mut Found, output: Option<Output>, named: &BTreeSet<ControllerId>) -> Option<Blind> {
        let of = self.blind.as_ref()?;
        if output.is_some_and(|output| output != Output::SpokeAggregates) {
            found.add("blind", "goes with output = \"spoke_aggregates\" alone: the others let more out");
        }
        let members = of.members.iter().enumerate();
        let members = members.filter_map(|(at, one)| found.id::<ControllerId>(&format!("blind.members[{at}]"), one));
        // The order in which they are written has no meaning.
        let members: BTreeSet<ControllerId> = members.collect();
        let custodian = found.id("blind.custodian", &of.custodian)?;
        let blind = Blind { members: members.into_iter().collect(), custodian };
        let first = blind.members.first()?;
        if let Err(problem) = blind.check(first, |member| named.contains(member)) {
            found.add(problem.field, problem.message);
        }
        Some(blind)
    }

    fn group(&self, found: &mut Found) -> Group {
        let of = &self.group;
        Group {
            organisation: found.text("group.organisation", &of.organisation, "is missing; who applies?"),
            public_body: of.public_body,
            responsible: found.text(
                "group.responsible",
                &of.responsible,
                "is missing; name the person who answers for the project",
            ),
            contact: found.text("group.contact", &of.contact, "is missing; how is that person reached?"),
        }
    }

    fn users(&self, found: &mut Found) -> Vec<Applicant> {
        if self.users.is_empty() {
            found.add("users", "names nobody; add [[users]] with user, issuer and name");
        }
        if self.users.len() > MOST {
            found.add("users", format!("names more than {MOST} people"));
        }
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for (at, one) in self.users.iter().enumerate().take(MOST) {
            let field = |name: &str| format!("users[{at}].{name}");
            let user = found.id::<proto::ids::UserId>(&field("user"), &one.user);
            found.no_person(&field("user"), &one.user);
            let name = found.text(&field("name"), &one.name, "is missing; who is it?");
            let issuer = one.issuer.trim().to_owned();
            if !is_issuer(&issuer) {
                found.add(
                    field("issuer"),
                    "is the address of whoever vouches for the person, as https://login.example.org",
                );
            }
            let Some(user) = user else { continue };
            if !seen.insert((user.clone(), issuer.clone())) {
                found.add(field("user"), "stands twice with this issuer; remove one");
            }
            all.push(Applicant { user, issuer, name });
        }
        all
    }

    fn purpose(&self, found: &mut Found) -> Option<Purpose> {
        let of = &self.purpose;
        let summary = found.text("purpose.summary", &of.summary, "is missing; what are the data needed for?");
        let ehds = EhdsPurpose::ALL.into_iter().find(|p| p.code() == of.ehds.trim());
        match ehds {
            None => {
                let names: Vec<&str> = EhdsPurpose::ALL.iter().map(|p| p.code()).collect();
                found.add("purpose.ehds", format!("is none of {}", names.join(", ")));
            }
            Some(purpose) if purpose.public_bodies_only() && !self.group.public_body => found.add(
                "purpose.ehds",
                format!(
                    "{purpose} is for public bodies only (EHDS Article 53(2)): choose another purpose, or set \
                     group.public_body when the applicant is one"
                ),
            ),
            Some(_) => {}
        }
        let mut duo: Vec<DuoCode> = Vec::new();
        for (at, code) in of.duo.iter().enumerate() {
            match DuoCode::try_from(code.clone()) {
                Ok(code) if duo.contains(&code) => found.add(format!("purpose.duo[{at}]"), "stands twice; remove one"),
                Ok(code) => duo.push(code),
                Err(error) => found.add(format!("purpose.duo[{at}]"), error.to_string()),
            }
        }
        Some(Purpose { ehds: ehds?, duo, summary })
    }

    fn period(&self, found: &mut Found) -> Option<(NaiveDate, NaiveDate)> {
        let mut day = |field: &str, text: &str| {
            let day = text.trim().parse::<NaiveDate>().ok();
            if day.is_none() {
                found.add(field, "is not a day; write it as 2027-01-31");
            }
            day
        };
        let (from, to) = (day("period.from", &self.period.from), day("period.to", &self.period.to));
        let (from, to) = (from?, to?);
        if to < from {
            found.add("period.to", format!("{to} is before period.from, {from}"));
        } else if (to - from).num_days() > LONGEST_DAYS {
            found.add(
                "period.to",
                "is more than ten years after period.from; a permit lasts ten years at most (EHDS Article 68(12))",
            );
        }
        Some((from, to))
    }

    fn caps(&self, found: &mut Found) -> Option<Caps> {
        let Some(asked) = &self.caps else { return Some(Caps::default()) };
        for (field, value) in [
            ("caps.rows", asked.rows),
            ("caps.bytes", asked.bytes),
            ("caps.queries_per_day", asked.queries_per_day.into()),
        ] {
            if value == 0 {
                found.add(field, "is 0, with which nothing could be answered; leave [caps] out for the platform's own");
            }
        }
        Some(Caps { rows: asked.rows, bytes: asked.bytes, queries_per_day: asked.queries_per_day })
    }

    fn controllers(&self, found: &mut Found) -> Vec<ControllerAsked> {
        if self.controllers.is_empty() {
            found.add("controllers", "names nobody; add [[controllers]] with the tables that are wanted");
        }
        if self.controllers.len() > MOST {
            found.add("controllers", format!("names more than {MOST}"));
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let mut all = Vec::new();
        for (at, asked) in self.controllers.iter().enumerate().take(MOST) {
            let field = |name: &str| format!("controllers[{at}].{name}");
            let id = found.id::<ControllerId>(&field("controller"), &asked.controller);
            if id.as_ref().is_some_and(|id| !names.insert(id.clone())) {
                found.add(field("controller"), "stands twice; put its tables under one");
            }
            for (name, key) in [("sealing", &asked.sealing), ("signing", &asked.signing)] {
                if !is_fingerprint(key.trim()) {
                    found.add(
                        field(name),
                        "is no fingerprint: eight groups of four hex digits, as that controller's `spoke identity` prints them",
                    );
                } else if !keys.insert(key.trim()) {
                    found.add(
                        field(name),
                        "is the fingerprint of another key in this application; each key has its own",
                    );
                }
            }
            let tables = tables(found, at, asked);
            let Some(controller) = id else { continue };
            all.push(ControllerAsked {
                controller,
                sealing: asked.sealing.trim().to_owned(),
                signing: asked.signing.trim().to_owned(),
                needed: asked.needed,
                key_lists_to: asked.key_lists_to.iter().filter_map(|c| c.trim().parse().ok()).collect(),
                tables,
            });
        }
        all
    }
}

fn output(found: &mut Found, text: &str) -> Option<Output> {
    let output = serde_json::from_value(serde_json::Value::String(text.trim().to_owned())).ok();
    if output.is_none() {
        found.add(
            "output",
            "is none of spoke_aggregates (checked cells of each controller alone), hub_aggregates (released aggregates), \
             enclave_rows (rows in the secure environment)",
        );
    }
    output
}

fn tables(found: &mut Found, at: usize, asked: &ControllerForm) -> Vec<TableAsked> {
    if asked.tables.is_empty() {
        found.add(format!("controllers[{at}].tables"), "names none; say what is wanted of this controller");
    }
    if asked.tables.len() > MOST {
        found.add(format!("controllers[{at}].tables"), format!("names more than {MOST}"));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (nth, table) in asked.tables.iter().enumerate().take(MOST) {
        let path = format!("controllers[{at}].tables[{nth}]");
        let name = found.id::<proto::ids::TableName>(&format!("{path}.name"), &table.name);
        if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
            found.add(format!("{path}.name"), "stands twice; put its columns under one");
        }
        let columns = columns(found, &path, table);
        let row_filter = table.row_filter.as_ref().map(|filter| {
            found.text(&format!("{path}.row_filter"), filter, "is empty; leave it out to ask for all rows")
        });
        let Some(name) = name else { continue };
        all.push(TableAsked { name, columns, row_filter });
    }
    all
}

fn columns(found: &mut Found, path: &str, table: &TableForm) -> Vec<ColumnAsked> {
    if table.columns.is_empty() {
        found.add(format!("{path}.columns"), "names none; ask for single columns, not for tables");
    }
    let shared = table.reason.as_ref().map(|reason| {
        found.text(&format!("{path}.reason"), reason, "is empty; say why the columns are needed, or leave it out")
    });
    for name in table.reasons.keys().filter(|name| !table.columns.contains(name)) {
        // The key may be anything; it is not repeated unless it could be a column's name.
        let shown = if is_column(name) { format!("reasons.{name}") } else { "reasons".to_owned() };
        found.add(format!("{path}.{shown}"), "is a reason for a column that is not asked for");
    }
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (nth, column) in table.columns.iter().enumerate() {
        let field = format!("{path}.columns[{nth}]");
        if !is_column(column) {
            found.add(field, "is no column's name");
            continue;
        }
        if !seen.insert(column) {
            found.add(field, "stands twice; remove one");
            continue;
        }
        let reason = match (table.reasons.get(column), &shared) {
            (Some(own), _) => {
                found.text(&format!("{path}.reasons.{column}"), own, "is empty; say why the column is needed")
            }
            (None, Some(shared)) => shared.clone(),
            (None, None) => {
                found.add(
                    field,
                    format!("has no reason: add `{column} = \"why\"` to the table's reasons, or a reason for the whole table"),
                );
                continue;
            }
        };
        all.push(ColumnAsked { name: column.clone(), reason });
    }
    all
}

fn is_column(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !looks_like_person_number(name)
}

fn is_fingerprint(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 8
        && groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

fn is_issuer(text: &str) -> bool {
    // http is for tests on one machine; which issuers count is decided by hub and spokes.
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty()) && text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic())
}
