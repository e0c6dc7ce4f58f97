//! The clause of a standing permit under which people are counted without a project: the quick test.
//!
//! INVARIANT: such a permit names nobody who may ask and goes to no key list; whoever a trusted issuer vouches for may have
//! people counted under it, and nothing else.

use super::{Member, Output, Permit, PermitProblem};
use crate::{
    grant::TableGrant,
    purpose::{EhdsPurpose, Purpose},
};
use chrono::{DateTime, NaiveDate, Utc};
use proto::ids::{ControllerId, PartId, PermitId, ProjectId, TableName};
use std::collections::{BTreeMap, BTreeSet};

/// What people may be counted by. Columns of the permit's tables that aren't named here only choose people.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// columns, by table
    pub dimensions: BTreeMap<TableName, BTreeSet<String>>,
}

impl Quick {
    /// Whether people may be counted by a column.
    #[must_use]
    pub fn counts_by(&self, table: &TableName, column: &str) -> bool {
        self.dimensions.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Checks the clause within its permit.
    ///
    /// # Errors
    /// When the permit lets more out than counts, or names people or a project.
    pub(super) fn check(&self, permit: &Permit) -> Result<(), PermitProblem> {
        let wrong = |field: &str, message: &str| {
            Err(PermitProblem { field: field.to_owned(), message: format!("{message}, in a permit for quick tests") })
        };
        if !permit.project.is_quick_test() {
            return wrong("project", "must be 'quick-test'");
        }
        if permit.output != Output::HubAggregates {
            return wrong("output", "must be hub_aggregates: pseudonyms of one request reach the hub's memory");
        }
        if permit.blind.is_some() {
            return wrong("blind", "can't be");
        }
        if !permit.users.is_empty() {
            return wrong("users", "can't be: whoever a trusted issuer vouches for may count");
        }
        if !permit.key_lists_to.is_empty() {
            return wrong("key_lists_to", "can't be: no list of people is ever sent on");
        }
        if permit.client_signature {
            return wrong("client_signature", "can't be");
        }
        for (table, columns) in &self.dimensions {
            let granted = permit.table(table).map(|granted| &granted.columns);
            if !granted.is_some_and(|granted| columns.iter().all(|column| granted.contains(column))) {
                return wrong(&format!("quick.dimensions.{table}"), "names a column that 'tables' does not");
            }
        }
        Ok(())
    }
}

/// One table of the form.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountedTable {
    /// the published table
    pub name: TableName,
    /// its person column, and the columns by whose values people may be chosen
    pub columns: Vec<String>,
    /// those of them that people may be counted by
    #[serde(default)]
    pub by: BTreeSet<String>,
    /// rows that count: an SQL condition over the table's value columns
    #[serde(default)]
    pub row_filter: Option<String>,
}

/// What a controller writes down to let people be counted: `spoke quick-test FORM.toml`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuickForm {
    /// whose spoke makes the group's key
    pub lead: ControllerId,
    /// whose spoke makes it when the lead's is away
    #[serde(default)]
    pub deputy: Option<ControllerId>,
    /// first day
    pub valid_from: NaiveDate,
    /// last day
    pub valid_to: NaiveDate,
    /// smallest number of people shown, when larger than ten
    #[serde(default)]
    pub threshold: Option<u32>,
    /// legs answered in one day, over all who ask
    #[serde(default)]
    pub queries_per_day: Option<u32>,
    /// all controllers that take part, with the fingerprints that they told each other (`spoke identity`)
    #[serde(rename = "member")]
    pub members: Vec<Member>,
    /// what may be counted over
    #[serde(rename = "table")]
    pub tables: Vec<CountedTable>,
}

/// Who decided on a form, and when.
#[derive(Debug, Clone)]
pub struct QuickDecision {
    /// for people
    pub approver: String,
    /// why
    pub reason: String,
    /// when
    pub at: DateTime<Utc>,
    /// opt-outs up to this version of the controller's list are left out
    pub opt_out_version: u64,
    /// the permit that it takes the place of
    pub replaces: Option<PermitId>,
}

impl QuickForm {
    /// Reads a form.
    ///
    /// # Errors
    /// When it is no TOML of this form; says where.
    pub fn from_toml(text: &str) -> Result<Self, PermitProblem> {
        toml::from_str(text).map_err(|error| PermitProblem { field: "form".to_owned(), message: error.to_string() })
    }

    /// The permit of `controller`, not checked yet.
    #[must_use]
    pub fn permit(&self, controller: &ControllerId, decision: QuickDecision) -> Permit {
        let QuickDecision { approver, reason, at, opt_out_version, replaces } = decision;
        let mut caps = super::Caps::default();
        caps.queries_per_day = self.queries_per_day.unwrap_or(caps.queries_per_day);
        let granted = |table: &CountedTable| TableGrant {
            name: table.name.clone(),
            columns: table.columns.clone(),
            row_filter: table.row_filter.clone(),
        };
        let dimensions =
            self.tables.iter().filter(|table| !table.by.is_empty()).map(|table| (table.name.clone(), table.by.clone()));
        Permit {
            version: super::VERSION,
            id: PermitId::new(),
            controller: controller.clone(),
            project: ProjectId::quick_test(),
            title: "Quick tests".to_owned(),
            // Nobody applied: the id is of no part that there is.
            part: PartId::new(),
            replaces,
            purpose: Purpose {
                ehds: EhdsPurpose::ScientificResearch,
                duo: Vec::new(),
                summary: "rounded counts of people, before anybody applies".to_owned(),
            },
            members: self.members.clone(),
            lead: self.lead.clone(),
            deputy: self.deputy.clone(),
            users: Vec::new(),
            tables: self.tables.iter().map(granted).collect(),
            output: Output::HubAggregates,
            caps,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            key_lists_to: Vec::new(),
            opt_out_version,
            client_signature: false,
            threshold: self.threshold,
            blind: None,
            quick: Some(Quick { dimensions: dimensions.collect() }),
            approver,
            reason,
            decided_at: at,
        }
    }
}
