//! Who may do what: Cedar decides, at the hub and at the spoke, by one schema and one set of policies that are compiled
//! in (`policies/cedar/`). `docs/permissions.md` explains the roles, `policies/golden/matrix.txt` shows every answer.
//!
//! Whoever asks has verified the facts first: a certificate, a token, a permit's signature. Cedar weighs facts, it
//! doesn't find them.
//!
//! INVARIANT: no is the answer unless a policy says yes, no policy says no, and nothing went wrong while deciding. Cedar
//! skips a policy that errs, so an erring `forbid` would open what it closes: any error makes the answer no.
//! INVARIANT: what the outside reads doesn't come from here; [`Denial`] is for logs.

mod action;
mod entities;
mod facts;
mod load;
pub mod trail;

pub use action::{Action, Party};
pub use facts::{
    Actor, AirlockState, ApplicationState, Circumstances, ControllerState, HubRole, PartState, PermitFacts,
    PermitState, ProjectState, Proof, Request, Resource, UnknownRole, Whom,
};
pub use load::{POLICIES, PolicyProblem, SCHEMA};

use cedar_policy::{Decision as Verdict, Entities, PolicyId, PolicySet, Schema};
use entities::{Kinds, Untold};
use std::sync::LazyLock;

/// The policies that are compiled in: a constant of the program, read once.
static COMPILED_IN: LazyLock<Result<Authorizer, PolicyProblem>> = LazyLock::new(Authorizer::new);

/// May `request` be done, by the policies that are compiled in? Without policies nothing may.
pub fn decide(request: &Request<'_>) -> Decision {
    match &*COMPILED_IN {
        Ok(authorizer) => authorizer.decide(request),
        Err(problem) => Decision::Deny(Denial {
            action: request.action,
            forbidden_by: Vec::new(),
            errors: vec![problem.to_string()],
        }),
    }
}

/// Reads and validates the policies that are compiled in; for the start of a process.
///
/// # Errors
/// When they don't fit the schema; the process must not start then.
pub fn ready() -> Result<(), &'static PolicyProblem> {
    COMPILED_IN.as_ref().map(|_| ())
}

/// Decides. One for a process; it is cheap to ask and holds nothing of a request.
pub struct Authorizer {
    engine: cedar_policy::Authorizer,
    schema: Schema,
    policies: PolicySet,
    kinds: Kinds,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Yes.
    Allow {
        /// names of the policies that say so
        policies: Vec<String>,
    },
    /// No.
    Deny(Denial),
}

/// Why not, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    /// what was asked for
    pub action: Action,
    /// names and reasons of the policies that say no
    pub forbidden_by: Vec<(String, String)>,
    /// what went wrong while deciding
    pub errors: Vec<String>,
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{}' denied", self.action)?;
        for (name, reason) in &self.forbidden_by {
            write!(f, "; {name}: {reason}")?;
        }
        for error in &self.errors {
            write!(f, "; while deciding: {error}")?;
        }
        if self.forbidden_by.is_empty() && self.errors.is_empty() {
            f.write_str("; no policy permits it")?;
        }
        Ok(())
    }
}

impl Decision {
    /// Whether the answer is yes.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// Nothing, or why not.
    ///
    /// # Errors
    /// When the answer is no.
    pub fn or_denied(self) -> Result<(), Denial> {
        match self {
            Self::Allow { .. } => Ok(()),
            Self::Deny(denial) => Err(denial),
        }
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").field("policies", &self.policies.num_of_policies()).finish_non_exhaustive()
    }
}

impl Authorizer {
    /// Reads the policies that are compiled in and validates them strictly against the schema.
    ///
    /// # Errors
    /// When they don't fit; a process must not start then.
    pub fn new() -> Result<Self, PolicyProblem> {
        Self::of(&POLICIES)
    }

    /// The same for other texts than those compiled in: what a policy is good for shows when it is taken away.
    ///
    /// # Errors
    /// When they don't fit.
    pub fn of(files: &[(&str, &str)]) -> Result<Self, PolicyProblem> {
        let schema = load::schema(SCHEMA)?;
        let policies = load::policies(files)?;
        load::validate(&schema, &policies)?;
        Self::unvalidated(schema, policies)
    }

    fn unvalidated(schema: Schema, policies: PolicySet) -> Result<Self, PolicyProblem> {
        let kinds = Kinds::new().map_err(|error| PolicyProblem::Invalid(error.to_string()))?;
        Ok(Self { engine: cedar_policy::Authorizer::new(), schema, policies, kinds })
    }

    /// May `request` be done?
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let decision = self.weigh(request);
        trail::leave(request.action, decision.allows());
        decision
    }

    fn weigh(&self, request: &Request<'_>) -> Decision {
        let action = request.action;
        match self.ask(request) {
            Ok(response) => {
                let errors: Vec<_> = response.diagnostics().errors().map(ToString::to_string).collect();
                let because = response.diagnostics().reason();
                if errors.is_empty() && response.decision() == Verdict::Allow {
                    let mut policies: Vec<_> = because.map(ToString::to_string).collect();
                    policies.sort();
                    return Decision::Allow { policies };
                }
                let denied = response.decision() == Verdict::Deny;
                let mut forbidden_by: Vec<_> =
                    because.filter(|_| denied).map(|id| (id.to_string(), self.reason(id))).collect();
                forbidden_by.sort();
                Decision::Deny(Denial { action, forbidden_by, errors })
            }
            Err(error) => Decision::Deny(Denial { action, forbidden_by: Vec::new(), errors: vec![error.to_string()] }),
        }
    }

    fn ask(&self, request: &Request<'_>) -> Result<cedar_policy::Response, Untold> {
        let principal = self.kinds.principal(&request.actor)?;
        let resource = self.kinds.resource(&request.resource)?;
        let question = cedar_policy::Request::new(
            principal.uid(),
            self.kinds.action(request.action)?,
            resource.uid(),
            self.kinds.context(request)?,
            Some(&self.schema),
        )
        .map_err(Untold::new)?;
        let entities = Entities::from_entities([principal, resource], Some(&self.schema)).map_err(Untold::new)?;
        Ok(self.engine.is_authorized(&question, &self.policies, &entities))
    }

    fn reason(&self, id: &PolicyId) -> String {
        self.policies.annotation(id, "reason").unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests;
