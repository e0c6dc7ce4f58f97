//! The policies as they are compiled in, read and validated.
//!
//! INVARIANT: policies that don't fit the schema are no policies: the process doesn't start with them.

use cedar_policy::{ParseErrors, PolicyId, PolicySet, Schema, ValidationMode, Validator};

/// The schema's text.
pub const SCHEMA: &str = include_str!("../../cedar/schema.cedarschema");

/// The policies' texts, by file.
pub const POLICIES: [(&str, &str); 7] = [
    ("questions.cedar", include_str!("../../cedar/questions.cedar")),
    ("quick.cedar", include_str!("../../cedar/quick.cedar")),
    ("applications.cedar", include_str!("../../cedar/applications.cedar")),
    ("airlock.cedar", include_str!("../../cedar/airlock.cedar")),
    ("operation.cedar", include_str!("../../cedar/operation.cedar")),
    ("links.cedar", include_str!("../../cedar/links.cedar")),
    ("spoke.cedar", include_str!("../../cedar/spoke.cedar")),
];

/// Why policies can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyProblem {
    /// A file is no Cedar.
    #[error("policies/cedar/{file} can't be read: {cause}")]
    Unreadable {
        /// which
        file: String,
        /// what Cedar says
        cause: String,
    },
    /// A policy doesn't say what it is called or what for.
    #[error(
        "policies/cedar/{file}: each policy needs @id(\"..\") and @reason(\"..\"); this one has no {missing}: {policy}"
    )]
    Nameless {
        /// in which file
        file: String,
        /// what is missing
        missing: &'static str,
        /// the policy's first line
        policy: String,
    },
    /// Two policies have one name, or one has slots.
    #[error("policies/cedar/{file}: {cause}")]
    Unusable {
        /// in which file
        file: String,
        /// what Cedar says
        cause: String,
    },
    /// A policy names something that the schema doesn't know, or compares what can't be compared.
    #[error("the policies don't fit policies/cedar/schema.cedarschema: {0}")]
    Invalid(String),
}

pub(super) fn schema(text: &str) -> Result<Schema, PolicyProblem> {
    let unreadable = |cause: String| PolicyProblem::Unreadable { file: "schema.cedarschema".to_owned(), cause };
    let (schema, warnings) = Schema::from_cedarschema_str(text).map_err(|error| unreadable(error.to_string()))?;
    match warnings.map(|w| w.to_string()).reduce(|all, w| format!("{all}; {w}")) {
        Some(warnings) => Err(unreadable(warnings)),
        None => Ok(schema),
    }
}

/// All policies, each under the name that its `@id` gives it.
pub(super) fn policies(files: &[(&str, &str)]) -> Result<PolicySet, PolicyProblem> {
    let mut all = PolicySet::new();
    for (file, text) in files {
        let file = (*file).to_owned();
        let read: PolicySet = text
            .parse()
            .map_err(|error: ParseErrors| PolicyProblem::Unreadable { file: file.clone(), cause: error.to_string() })?;
        if read.num_of_templates() > 0 {
            return Err(PolicyProblem::Unusable { file, cause: "templates are not used here".to_owned() });
        }
        for policy in read.policies() {
            let named = |name| policy.annotation(name).filter(|text| !text.trim().is_empty());
            let nameless = |missing| PolicyProblem::Nameless {
                file: file.clone(),
                missing,
                policy: policy.to_string().lines().next().unwrap_or_default().to_owned(),
            };
            named("reason").ok_or_else(|| nameless("@reason"))?;
            let id = PolicyId::new(named("id").ok_or_else(|| nameless("@id"))?);
            all.add(policy.new_id(id))
                .map_err(|error| PolicyProblem::Unusable { file: file.clone(), cause: error.to_string() })?;
        }
    }
    Ok(all)
}

/// Strictly: warnings count as errors.
pub(super) fn validate(schema: &Schema, policies: &PolicySet) -> Result<(), PolicyProblem> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    if result.validation_passed_without_warnings() {
        return Ok(());
    }
    let errors = result.validation_errors().map(ToString::to_string);
    let warnings = result.validation_warnings().map(ToString::to_string);
    Err(PolicyProblem::Invalid(errors.chain(warnings).collect::<Vec<_>>().join("; ")))
}
