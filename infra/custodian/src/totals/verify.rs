//! Whether the sealed seeds of one request belong together: each opened, signed by the spoke that was enrolled, and all of one
//! total, fragment, project and set of members, with nobody missing.
//!
//! INVARIANT: what the request says by itself decides nothing; what counts is what each spoke signed, compared with every
//! other's.

use chrono::{DateTime, Utc};
use proto::{
    blind::{MAX_MEMBERS, SEED, SEED_INFO, SeedStatement, StatementProblem},
    ids::{ControllerId, IdError, ProjectId, QueryId},
    wire,
};
use runtime::{
    sealing::{Sealed, SealingKey},
    sign::{self, StatementError, VerifyingKey},
};
use std::collections::{BTreeMap, BTreeSet};

/// Why the seeds of a request are not summed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// The request itself.
    #[error(transparent)]
    Id(#[from] IdError),
    /// More seeds than a total may have.
    #[error("{0} seeds; a blind total has {MAX_MEMBERS} members at most")]
    TooMany(usize),
    /// Somebody's seed came twice.
    #[error("there are two seeds of '{0}'")]
    Twice(ControllerId),
    /// Nobody of that name may ask here.
    #[error("'{0}' is not enrolled at this custodian: its operator has to (spoke custodian request)")]
    Stranger(ControllerId),
    /// Not for this custodian, or changed.
    #[error("the seed of '{0}' can't be opened: it is sealed to another custodian, or was changed on its way")]
    Sealed(ControllerId),
    /// Not signed by that spoke.
    #[error("the seed of '{controller}' is not believed: {cause}. It must be signed by the key that was enrolled here")]
    Signature {
        /// whose it should be
        controller: ControllerId,
        /// what is wrong
        cause: StatementError,
    },
    /// Signed, but of another form.
    #[error("the seed of '{0}' has another form than this version reads; which of the two is older?")]
    Form(ControllerId),
    /// Signed, but it can't be so.
    #[error("the seed of '{controller}': {cause}")]
    Statement {
        /// whose
        controller: ControllerId,
        /// what is wrong
        cause: StatementProblem,
    },
    /// Signed for something else than the request says.
    #[error("the seed of '{controller}' was signed for another {what} than this request is about")]
    Other {
        /// whose
        controller: ControllerId,
        /// project, total, custodian or controller
        what: &'static str,
    },
    /// Two spokes say different things.
    #[error("'{one}' and '{two}' signed for different {what}: nothing of one can be added to the other's")]
    Differ {
        /// the first
        one: ControllerId,
        /// another
        two: ControllerId,
        /// fragments, members, tables or numbers of words
        what: &'static str,
    },
    /// Somebody is missing.
    #[error(
        "the total is over {members} members and the seeds of {missing} are missing: without them nothing is summed"
    )]
    Missing {
        /// how many members there are
        members: usize,
        /// whose
        missing: String,
    },
    /// Somebody is there who doesn't belong there.
    #[error("'{0}' is not among the members that it was signed for")]
    Outsider(ControllerId),
}

/// All that is needed to verify a request.
pub(super) struct Verifier<'a> {
    /// what seeds are sealed to
    pub(super) key: &'a SealingKey,
    /// the enrolled spokes' signing keys
    pub(super) spokes: &'a BTreeMap<ControllerId, VerifyingKey>,
    /// the custodian's clock
    pub(super) now: DateTime<Utc>,
}

impl Verifier<'_> {
    /// The statements of a request, one of each member, that belong together.
    pub(super) fn verify(&self, request: &wire::SumRequest) -> Result<Vec<SeedStatement>, Unsound> {
        if request.seeds.len() > MAX_MEMBERS {
            return Err(Unsound::TooMany(request.seeds.len()));
        }
        let project: ProjectId = request.project.parse()?;
        let total: QueryId = request.total.parse()?;
        let mut seen = BTreeSet::new();
        let mut statements: Vec<SeedStatement> = Vec::with_capacity(request.seeds.len());
        for seed in &request.seeds {
            let controller: ControllerId = seed.controller.parse()?;
            if !seen.insert(controller.clone()) {
                return Err(Unsound::Twice(controller));
            }
            let statement = self.open(&controller, seed)?;
            let other = |what| Err(Unsound::Other { controller: controller.clone(), what });
            if statement.project != project {
                return other("project");
            }
            if statement.total != total {
                return other("total");
            }
            if let Some(first) = statements.first() {
                alike(first, &statement)?;
            }
            statements.push(statement);
        }
        whole(&statements, &seen)?;
        Ok(statements)
    }

    /// One seed, by the spoke that signed it.
    fn open(&self, controller: &ControllerId, seed: &wire::SealedSeed) -> Result<SeedStatement, Unsound> {
        let spoke = self.spokes.get(controller).ok_or_else(|| Unsound::Stranger(controller.clone()))?;
        let sealed = Sealed { encapsulated: seed.encapsulated.clone(), ciphertext: seed.ciphertext.clone() };
        let plain = self.key.open(SEED_INFO, &[], &sealed).map_err(|_| Unsound::Sealed(controller.clone()))?;
        let form = || Unsound::Form(controller.clone());
        let text = std::str::from_utf8(&plain).map_err(|_| form())?;
        let signed = sign::verify(text, SEED, [spoke])
            .map_err(|cause| Unsound::Signature { controller: controller.clone(), cause })?;
        let payload = zeroize::Zeroizing::new(signed.payload);
        let statement: SeedStatement = serde_json::from_slice(&payload).map_err(|_| form())?;
        statement.check(self.now).map_err(|cause| Unsound::Statement { controller: controller.clone(), cause })?;
        let other = |what| Unsound::Other { controller: controller.clone(), what };
        if statement.controller != *controller {
            return Err(other("controller"));
        }
        // What was sealed to somebody else can't be handed on as if it were meant for this one.
        if statement.custodian != self.key.public().to_bytes() {
            return Err(other("custodian"));
        }
        Ok(statement)
    }
}

/// Two spokes answered the same question over the same members.
fn alike(one: &SeedStatement, two: &SeedStatement) -> Result<(), Unsound> {
    let differ = |what| Err(Unsound::Differ { one: one.controller.clone(), two: two.controller.clone(), what });
    if one.fragment != two.fragment {
        return differ("fragments");
    }
    if one.members != two.members {
        return differ("members");
    }
    if one.words != two.words {
        return differ("numbers of words");
    }
    if !one.snapshots.keys().eq(two.snapshots.keys()) {
        return differ("tables");
    }
    Ok(())
}

/// Exactly the members are there.
fn whole(statements: &[SeedStatement], seen: &BTreeSet<ControllerId>) -> Result<(), Unsound> {
    let members = statements.first().map_or(&[][..], |first| &first.members);
    let missing: Vec<&str> =
        members.iter().filter(|member| !seen.contains(*member)).map(ControllerId::as_str).collect();
    if members.is_empty() || !missing.is_empty() {
        let missing = if missing.is_empty() { "all".to_owned() } else { missing.join(", ") };
        return Err(Unsound::Missing { members: members.len(), missing });
    }
    match seen.iter().find(|controller| !members.contains(controller)) {
        Some(outsider) => Err(Unsound::Outsider(outsider.clone())),
        None => Ok(()),
    }
}
