//! What is different between what a controller grants now and what it is asked to grant, in words.

use crate::{
    grant::TableGrant,
    permit::{Blind, Caps, Member, Output, Permit, User},
    purpose::Purpose,
};
use chrono::NaiveDate;
use proto::ids::ControllerId;

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// which field of the application
    pub field: String,
    /// in words
    pub text: String,
    /// whether more would be allowed than now
    pub wider: bool,
    /// whether the controller has to sign for it. A controller that leaves needs no new signatures of the others
    pub decide: bool,
}

impl Change {
    /// A change that the controller has to sign for.
    #[must_use]
    pub fn new(field: &str, text: String, wider: bool) -> Self {
        Self { field: field.to_owned(), text, wider, decide: true }
    }
}

/// What a permit grants, or a part asks for, without who decided and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// the project's name for people
    pub title: String,
    /// what for
    pub purpose: Purpose,
    /// all controllers of the project
    pub members: Vec<Member>,
    /// whose spoke makes the project's key
    pub lead: ControllerId,
    /// whose spoke makes it when the lead's is away
    pub deputy: Option<ControllerId>,
    /// who may ask
    pub users: Vec<User>,
    /// what may be read
    pub tables: Vec<TableGrant>,
    /// what leaves
    pub output: Output,
    /// the most that may be asked
    pub caps: Caps,
    /// each question carries the user's own signature
    pub client_signature: bool,
    /// first day
    pub valid_from: NaiveDate,
    /// last day
    pub valid_to: NaiveDate,
    /// whose spokes may learn who is in a cohort
    pub key_lists_to: Vec<ControllerId>,
    /// nothing leaves but shares of totals over these members
    pub blind: Option<Blind>,
}

impl From<&Permit> for Terms {
    fn from(permit: &Permit) -> Self {
        Self {
            title: permit.title.clone(),
            purpose: permit.purpose.clone(),
            members: permit.members.clone(),
            lead: permit.lead.clone(),
            deputy: permit.deputy.clone(),
            users: permit.users.clone(),
            tables: permit.tables.clone(),
            output: permit.output,
            caps: permit.caps,
            client_signature: permit.client_signature,
            valid_from: permit.valid_from,
            valid_to: permit.valid_to,
            key_lists_to: permit.key_lists_to.clone(),
            blind: permit.blind.clone(),
        }
    }
}

/// What would change from `old` to `new`, most important first.
#[must_use]
pub fn difference(old: &Terms, new: &Terms) -> Vec<Change> {
    let mut all = Vec::new();
    tables(old, new, &mut all);
    users(old, new, &mut all);
    period(old, new, &mut all);
    members(old, new, &mut all);
    if old.output != new.output {
        all.push(Change::new(
            "output",
            format!("output: from {} to {}", words(old.output), words(new.output)),
            new.output > old.output,
        ));
    }
    if old.purpose.ehds != new.purpose.ehds {
        all.push(Change::new(
            "purpose.ehds",
            format!("purpose: from {} to {}", old.purpose.ehds, new.purpose.ehds),
            true,
        ));
    }
    if old.purpose.duo != new.purpose.duo {
        let codes = |p: &Purpose| p.duo.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("codes of use: from [{}] to [{}]", codes(&old.purpose), codes(&new.purpose));
        all.push(Change::new("purpose.duo", text, true));
    }
    if old.purpose.summary != new.purpose.summary {
        all.push(Change::new("purpose.summary", "the purpose is described in other words".to_owned(), true));
    }
    caps(old, new, &mut all);
    for controller in new.key_lists_to.iter().filter(|c| !old.key_lists_to.contains(c)) {
        let text = format!("key lists: '{controller}' may learn which of your people are in a cohort");
        all.push(Change::new("key_lists_to", text, true));
    }
    for controller in old.key_lists_to.iter().filter(|c| !new.key_lists_to.contains(c)) {
        let text = format!("key lists: '{controller}' no longer learns which of your people are in a cohort");
        all.push(Change::new("key_lists_to", text, false));
    }
    if old.blind != new.blind {
        let over = |blind: &Option<Blind>| match blind {
            None => "none".to_owned(),
            Some(blind) => {
                let members: Vec<_> = blind.members.iter().map(ControllerId::as_str).collect();
                format!("over {} by the custodian with key {}", members.join(", "), blind.custodian.fingerprint())
            }
        };
        let text = format!("blind totals: from {} to {}", over(&old.blind), over(&new.blind));
        all.push(Change::new("blind", text, true));
    }
    if old.client_signature != new.client_signature {
        let text = if new.client_signature {
            "each question must carry the user's own signature"
        } else {
            "questions no longer carry the user's own signature"
        };
        all.push(Change::new("client_signature", text.to_owned(), old.client_signature));
    }
    if old.title != new.title {
        all.push(Change::new("title", format!("title: now \"{}\"", new.title), false));
    }
    all
}

fn tables(old: &Terms, new: &Terms, all: &mut Vec<Change>) {
    for table in &new.tables {
        let field = format!("tables.{}", table.name);
        let Some(before) = old.tables.iter().find(|t| t.name == table.name) else {
            let text = format!("table '{}' added: columns {}", table.name, table.columns.join(", "));
            all.push(Change::new(&field, text, true));
            continue;
        };
        for column in table.columns.iter().filter(|c| !before.columns.contains(c)) {
            all.push(Change::new(&field, format!("table '{}': column '{column}' added", table.name), true));
        }
        for column in before.columns.iter().filter(|c| !table.columns.contains(c)) {
            all.push(Change::new(&field, format!("table '{}': column '{column}' removed", table.name), false));
        }
        if before.row_filter != table.row_filter {
            let shown = |filter: &Option<String>| filter.as_ref().map_or("all rows".to_owned(), |f| format!("`{f}`"));
            let text = format!(
                "table '{}': rows from {} to {}",
                table.name,
                shown(&before.row_filter),
                shown(&table.row_filter)
            );
            // Which of two conditions lets more rows through is not decided here.
            all.push(Change::new(&field, text, before.row_filter.is_some()));
        }
    }
    for table in old.tables.iter().filter(|t| !new.tables.iter().any(|n| n.name == t.name)) {
        all.push(Change::new(&format!("tables.{}", table.name), format!("table '{}' removed", table.name), false));
    }
}

fn users(old: &Terms, new: &Terms, all: &mut Vec<Change>) {
    for user in new.users.iter().filter(|u| !old.users.contains(u)) {
        all.push(Change::new("users", format!("user {} (of {}) added", user.user, user.issuer), true));
    }
    for user in old.users.iter().filter(|u| !new.users.contains(u)) {
        all.push(Change::new("users", format!("user {} (of {}) removed", user.user, user.issuer), false));
    }
}

fn period(old: &Terms, new: &Terms, all: &mut Vec<Change>) {
    if old.valid_from != new.valid_from {
        let text = format!("begins on {} instead of {}", new.valid_from, old.valid_from);
        all.push(Change::new("period.from", text, new.valid_from < old.valid_from));
    }
    if old.valid_to != new.valid_to {
        let text = format!("ends on {} instead of {}", new.valid_to, old.valid_to);
        all.push(Change::new("period.to", text, new.valid_to > old.valid_to));
    }
}

fn members(old: &Terms, new: &Terms, all: &mut Vec<Change>) {
    for member in &new.members {
        match old.members.iter().find(|m| m.controller == member.controller) {
            None => {
                let text = format!(
                    "controller '{}' joins: your people can be linked with its people (its fingerprints: sealing {}, signing {})",
                    member.controller, member.sealing, member.signing
                );
                all.push(Change::new("controllers", text, true));
            }
            Some(before) if before != member => {
                let text = format!(
                    "controller '{}' has other keys (fingerprints: sealing {}, signing {}): compare them with that controller",
                    member.controller, member.sealing, member.signing
                );
                all.push(Change::new("controllers", text, true));
            }
            Some(_) => {}
        }
    }
    for member in old.members.iter().filter(|m| !new.members.iter().any(|n| n.controller == m.controller)) {
        let text = format!("controller '{}' leaves", member.controller);
        all.push(Change { decide: false, ..Change::new("controllers", text, false) });
    }
    if old.lead != new.lead {
        let text = format!("'{}' makes the project's key instead of '{}'", new.lead, old.lead);
        all.push(Change::new("lead", text, false));
    }
    if old.deputy != new.deputy {
        let name = |c: &Option<ControllerId>| c.as_ref().map_or("nobody".to_owned(), |c| format!("'{c}'"));
        let text = format!("deputy: from {} to {}", name(&old.deputy), name(&new.deputy));
        all.push(Change::new("deputy", text, false));
    }
}

fn caps(old: &Terms, new: &Terms, all: &mut Vec<Change>) {
    let pairs = [
        ("caps.rows", "rows in one answer", old.caps.rows, new.caps.rows),
        ("caps.bytes", "bytes in one answer", old.caps.bytes, new.caps.bytes),
        ("caps.queries_per_day", "questions a day", old.caps.queries_per_day.into(), new.caps.queries_per_day.into()),
    ];
    for (field, what, before, after) in pairs {
        if before != after {
            all.push(Change::new(field, format!("{what}: at most {after} instead of {before}"), after > before));
        }
    }
}

fn words(output: Output) -> &'static str {
    match output {
        Output::SpokeAggregates => "checked cells of each controller alone",
        Output::HubAggregates => "released aggregates over several controllers",
        Output::EnclaveRows => "pseudonymised rows in the secure environment",
    }
}
