//! The form as people fill it in (TOML) and as programs send it (JSON): texts, nothing checked yet, so that all problems
//! can be told at once.

use super::{Application, check::Problems};
use serde::{Deserialize, Deserializer};

/// An application as it is written.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ApplicationForm)]
pub struct Form {
    /// the project's id: a to z first, then a to z, 0 to 9, `_` and `-`
    pub project: String,
    /// the project's name for people
    pub title: String,
    /// why anonymous data are not enough
    pub pseudonymised_because: String,
    /// whose data, in words; row filters stand with the tables
    pub population: String,
    /// `spoke_aggregates`, `hub_aggregates` or `enclave_rows`
    pub output: String,
    /// the applicant knows the prohibited uses (EHDS Article 54) and will not use the data so
    pub prohibited_uses_acknowledged: bool,
    /// each question carries the user's own signature
    pub client_signature: bool,
    /// nothing leaves but totals over three or more controllers, of whom the hub sees no single one's number
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind: Option<BlindForm>,
    /// the controller whose spoke makes the project's key
    pub lead: String,
    /// the controller whose spoke makes it when the lead's is away
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deputy: Option<String>,
    /// from when to when
    pub period: PeriodForm,
    /// who wants the data
    pub group: GroupForm,
    /// who would ask
    pub users: Vec<UserForm>,
    /// what for
    pub purpose: PurposeForm,
    /// the most that would be asked; the platform's own when left out
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps: Option<CapsForm>,
    /// what is asked of whom
    pub controllers: Vec<ControllerForm>,
}

/// First and last day, as `2026-01-31`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = PeriodForm)]
pub struct PeriodForm {
    /// first day
    #[serde(deserialize_with = "day")]
    pub from: String,
    /// last day
    #[serde(deserialize_with = "day")]
    pub to: String,
}

/// Who wants the data.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupForm {
    /// the legal person that applies
    pub organisation: String,
    /// whether it is a public body
    pub public_body: bool,
    /// the natural person responsible
    pub responsible: String,
    /// how to reach that person
    pub contact: String,
}

/// One person who would ask.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserForm {
    /// the person's id at the platform
    pub user: String,
    /// who vouches for the person: the issuer's URL, exactly
    pub issuer: String,
    /// for people
    pub name: String,
}

/// What for.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PurposeForm {
    /// `public-health`, `policy-making`, `statistics`, `education`, `scientific-research` or `improving-care`
    pub ehds: String,
    /// codes of the Data Use Ontology, as `DUO:0000042`
    pub duo: Vec<String>,
    /// in a few sentences, for the approver
    pub summary: String,
}

/// The most that would be asked.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapsForm {
    /// rows in one answer
    pub rows: u64,
    /// bytes in one answer
    pub bytes: u64,
    /// questions in one day, over all users
    pub queries_per_day: u32,
}

/// Blind totals; goes with output `spoke_aggregates`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlindForm {
    /// whose numbers are added up: three or more of the application's controllers
    pub members: Vec<String>,
    /// the custodian's public sealing key, 64 hex digits as `custodian sealing-key` prints them
    pub custodian: String,
}

/// What is asked of one controller.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControllerForm {
    /// whom
    pub controller: String,
    /// fingerprint of the spoke's HPKE key
    pub sealing: String,
    /// fingerprint of the spoke's signing identity
    pub signing: String,
    /// whether the project makes no sense without this controller
    pub needed: bool,
    /// whose spokes may learn which of its people are in a cohort
    pub key_lists_to: Vec<String>,
    /// what is wanted
    pub tables: Vec<TableForm>,
}

impl Default for ControllerForm {
    fn default() -> Self {
        Self {
            controller: String::new(),
            sealing: String::new(),
            signing: String::new(),
            needed: true,
            key_lists_to: Vec::new(),
            tables: Vec::new(),
        }
    }
}

/// One table that is wanted.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TableForm {
    /// the published table
    pub name: String,
    /// the columns wanted
    pub columns: Vec<String>,
    /// why the table's columns are needed; counts for those without a reason of their own
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// why single columns are needed, by column
    pub reasons: std::collections::BTreeMap<String, String>,
    /// rows wanted: an SQL condition over the table's value columns
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_filter: Option<String>,
}

impl Form {
    /// Reads a form from TOML. `name` stands in errors.
    ///
    /// # Errors
    /// When it is no TOML, or has a field that is unknown or of another kind; names line and column.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, runtime::config::ConfigError> {
        runtime::config::parse(text, name)
    }
}

impl From<&Application> for Form {
    fn from(of: &Application) -> Self {
        Self {
            project: of.project.to_string(),
            title: of.title.clone(),
            pseudonymised_because: of.pseudonymised_because.clone(),
            population: of.population.clone(),
            output: serde_json::to_value(of.output)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default(),
            prohibited_uses_acknowledged: true,
            client_signature: of.client_signature,
            blind: of.blind.as_ref().map(|blind| BlindForm {
                members: blind.members.iter().map(ToString::to_string).collect(),
                custodian: blind.custodian.to_string(),
            }),
            lead: of.lead.to_string(),
            deputy: of.deputy.as_ref().map(ToString::to_string),
            period: PeriodForm { from: of.valid_from.to_string(), to: of.valid_to.to_string() },
            group: GroupForm {
                organisation: of.group.organisation.clone(),
                public_body: of.group.public_body,
                responsible: of.group.responsible.clone(),
                contact: of.group.contact.clone(),
            },
            users: of
                .users
                .iter()
                .map(|u| UserForm { user: u.user.to_string(), issuer: u.issuer.clone(), name: u.name.clone() })
                .collect(),
            purpose: PurposeForm {
                ehds: of.purpose.ehds.code().to_owned(),
                duo: of.purpose.duo.iter().map(ToString::to_string).collect(),
                summary: of.purpose.summary.clone(),
            },
            caps: Some(CapsForm { rows: of.caps.rows, bytes: of.caps.bytes, queries_per_day: of.caps.queries_per_day }),
            controllers: of
                .controllers
                .iter()
                .map(|asked| ControllerForm {
                    controller: asked.controller.to_string(),
                    sealing: asked.sealing.clone(),
                    signing: asked.signing.clone(),
                    needed: asked.needed,
                    key_lists_to: asked.key_lists_to.iter().map(ToString::to_string).collect(),
                    tables: asked
                        .tables
                        .iter()
                        .map(|table| TableForm {
                            name: table.name.to_string(),
                            columns: table.columns.iter().map(|c| c.name.clone()).collect(),
                            reason: None,
                            reasons: table.columns.iter().map(|c| (c.name.clone(), c.reason.clone())).collect(),
                            row_filter: table.row_filter.clone(),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

impl TryFrom<Form> for Application {
    type Error = Problems;

    fn try_from(form: Form) -> Result<Self, Problems> {
        form.check()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Date(toml::value::Datetime),
    Text(String),
}

/// A TOML date, or a text.
fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Written::deserialize(from) {
        Ok(Written::Date(date)) => Ok(date.to_string()),
        Ok(Written::Text(text)) => Ok(text),
        Err(_) => Err(serde::de::Error::custom("expected a day as 2026-01-31")),
    }
}
