//! The facts of one request: who, what, to what, in which circumstances. Whoever asks for a decision states what it has
//! verified itself.
//!
//! INVARIANT: a person stands here only after a token was verified; who couldn't prove anything is [`Actor::Anonymous`].

use super::Action;
use crate::{
    permit::{Output, User},
    zone::Zone,
};
use proto::ids::{ControllerId, OrganisationId, ProjectId, UserId};

/// Declares a closed list whose names are the schema's.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the schema.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

list! {
    /// How a person proved who they are.
    Proof {
        /// an access token signed by a trusted issuer
        Issuer = "issuer",
        /// a personal token of this hub
        Personal = "personal",
    }
}

list! {
    /// How far a project's workspace is.
    ProjectState {
        /// a needed permit is missing
        Preparing = "preparing",
        /// questions are answered
        Open = "open",
        /// over: expired, revoked or withdrawn
        Closed = "closed",
    }
}

list! {
    /// How far an application is.
    ApplicationState {
        /// handed in
        Submitted = "submitted",
        /// looked at for completeness
        PreScreening = "pre_screening",
        /// with the controllers
        Processing = "processing",
        /// the applicant owes an answer
        AwaitingInformation = "awaiting_information",
        /// all parts are decided
        Decided = "decided",
        /// taken back
        Withdrawn = "withdrawn",
    }
}

list! {
    /// How far a submission to the airlock is.
    AirlockState {
        /// files are being added
        Draft = "draft",
        /// the automatic checks let it pass
        Checked = "checked",
        /// with the checkers
        UnderReview = "under_review",
        /// two checkers disagree
        Conflict = "conflict",
        /// it may leave
        Approved = "approved",
        /// it may not leave as it is
        ChangesRequested = "changes_requested",
        /// it left
        Released = "released",
        /// taken back
        Withdrawn = "withdrawn",
    }
}

list! {
    /// How far a controller's part of an application is, at its spoke.
    PartState {
        /// not delivered before
        New = "new",
        /// in the inbox
        Waiting = "waiting",
        /// granted or refused
        Decided = "decided",
    }
}

list! {
    /// What becomes of a question under a permit, today.
    PermitState {
        /// there is none
        None = "none",
        /// asked for, not decided
        Pending = "pending",
        /// counts
        Live = "live",
        /// signed, counts from a later day on
        NotYet = "not_yet",
        /// its last day is over
        Expired = "expired",
        /// taken back by the controller
        Revoked = "revoked",
        /// a newer one took its place
        Replaced = "replaced",
    }
}

list! {
    /// How a controller stands to the hub.
    ControllerState {
        /// never heard of
        Unknown = "unknown",
        /// has a code, no certificate
        Invited = "invited",
        /// has a link certificate
        Joined = "joined",
        /// put out
        Expelled = "expelled",
    }
}

/// A role at the hub. None of them opens data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HubRole {
    /// runs the hub
    Operator,
    /// of the data access body
    Coordinator,
    /// decides for this controller
    Approver(ControllerId),
    /// checks for this organisation what leaves the secure processing environment
    Checker(OrganisationId),
}

/// Not the name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: write 'operator', 'coordinator', 'approver:CONTROLLER' or 'checker:ORGANISATION'")]
pub struct UnknownRole;

impl std::str::FromStr for HubRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text.split_once(':') {
            None if text == "operator" => Ok(Self::Operator),
            None if text == "coordinator" => Ok(Self::Coordinator),
            Some(("approver", controller)) => controller.parse().map(Self::Approver).map_err(|_| UnknownRole),
            Some(("checker", organisation)) => organisation.parse().map(Self::Checker).map_err(|_| UnknownRole),
            _ => Err(UnknownRole),
        }
    }
}

/// Somebody with a name and whoever vouches for it.
pub type Whom<'a> = (&'a UserId, &'a str);

/// Who asks.
#[derive(Debug, Clone)]
pub enum Actor<'a> {
    /// nobody that is known
    Anonymous,
    /// a person who proved who they are
    Person {
        /// the internal person id
        user: &'a UserId,
        /// who vouches: the issuer's URL
        issuer: &'a str,
        /// by what
        proof: Proof,
        /// at the hub
        roles: &'a [HubRole],
        /// the only project that the token is good for
        bound: Option<&'a ProjectId>,
    },
    /// a command on the hub's own machine: whoever may open the hub's folder
    Console,
    /// a statement, signed with a key that is registered for this controller
    Signer {
        /// for whom the key speaks
        controller: &'a ControllerId,
    },
    /// whoever holds a live one-time code
    Invitee {
        /// that the code was made for
        controller: &'a ControllerId,
    },
    /// a hub, by its link certificate
    Hub {
        /// its name
        name: &'a str,
        /// whether it is the one that the configuration names
        pinned: bool,
    },
    /// another process of the same hub
    HubProcess {
        /// its name
        name: &'a str,
    },
    /// a spoke, by its certificate
    Spoke {
        /// whose
        controller: &'a ControllerId,
        /// enrolled, and the certificate is not from before an expulsion
        current: bool,
    },
    /// a custodian, by its certificate
    Custodian {
        /// its name
        name: &'a str,
        /// whether it is the one that the configuration names
        pinned: bool,
    },
}

/// What is asked about.
#[derive(Debug, Clone)]
pub enum Resource<'a> {
    /// the party itself
    System,
    /// the party's audit log
    Audit,
    /// a controller's place at the hub
    Controller {
        /// which
        id: &'a ControllerId,
        /// how it stands to the hub
        state: ControllerState,
    },
    /// a project's workspace
    Project {
        /// which
        id: &'a ProjectId,
        /// who may ask, by permits
        members: Vec<Whom<'a>>,
        /// how far it is
        state: ProjectState,
    },
    /// an application
    Application {
        /// which
        id: &'a str,
        /// the applicants
        owners: Vec<Whom<'a>>,
        /// whose data it asks for
        controllers: &'a [ControllerId],
        /// how far it is
        state: ApplicationState,
    },
    /// a submission to the airlock
    Submission {
        /// which
        id: &'a str,
        /// of which project
        project: &'a ProjectId,
        /// the project's members, today
        members: Vec<Whom<'a>>,
        /// whoever is or was named in the project, and whoever handed it in
        involved: Vec<Whom<'a>>,
        /// organisations whose checkers have decided on it
        decided: &'a [OrganisationId],
        /// how far it is
        state: AirlockState,
    },
    /// a personal token, or all tokens of one person
    Token {
        /// whose
        owner: Whom<'a>,
    },
    /// a running query
    Query {
        /// who asked it
        owner: Whom<'a>,
    },
    /// a part of an application, at its spoke
    Part {
        /// whether it is addressed to this spoke's controller
        own: bool,
        /// how far it is
        state: PartState,
    },
    /// this controller's permit for one project
    Permit(PermitFacts<'a>),
}

/// What counts of a permit when somebody asks.
#[derive(Debug, Clone)]
pub struct PermitFacts<'a> {
    /// how it stands today
    pub state: PermitState,
    /// what leaves; `None` when there is no permit
    pub output: Option<Output>,
    /// who may ask
    pub users: &'a [User],
    /// this spoke is the project's lead or deputy
    pub leads: bool,
    /// each question must carry the user's own signature
    pub client_signature: bool,
    /// who may learn key lists
    pub key_lists_to: &'a [ControllerId],
    /// a standing permit to count people without a project
    pub quick: bool,
}

impl<'a> PermitFacts<'a> {
    /// Of a permit at its controller's own spoke.
    #[must_use]
    pub fn of(permit: &'a crate::permit::Permit, state: PermitState) -> Self {
        Self {
            state,
            output: Some(permit.output),
            users: &permit.users,
            leads: permit.lead == permit.controller || permit.deputy.as_ref() == Some(&permit.controller),
            client_signature: permit.client_signature,
            key_lists_to: &permit.key_lists_to,
            quick: permit.quick.is_some(),
        }
    }

    /// Where there is no permit.
    #[must_use]
    pub fn none() -> Self {
        Self {
            state: PermitState::None,
            output: None,
            users: &[],
            leads: false,
            client_signature: false,
            key_lists_to: &[],
            quick: false,
        }
    }
}

/// Under which circumstances. What an action needs and isn't stated makes the answer no.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// where the answer will be shown
    pub zone: Option<Zone>,
    /// whether the user's own signature over the question was verified
    pub signed: bool,
    /// to whom a key list would go
    pub receiver: Option<&'a ControllerId>,
}

/// One request for a decision.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// who asks
    pub actor: Actor<'a>,
    /// what for
    pub action: Action,
    /// about what
    pub resource: Resource<'a>,
    /// under which circumstances
    pub circumstances: Circumstances<'a>,
}

impl<'a> Request<'a> {
    /// A request of a machine: no zone, no signature.
    #[must_use]
    pub fn new(actor: Actor<'a>, action: Action, resource: Resource<'a>) -> Self {
        Self { actor, action, resource, circumstances: Circumstances::default() }
    }

    /// The same, shown in `zone`.
    #[must_use]
    pub fn in_zone(mut self, zone: Zone) -> Self {
        self.circumstances.zone = Some(zone);
        self
    }

    /// The same, with or without the user's verified signature.
    #[must_use]
    pub fn signed(mut self, signed: bool) -> Self {
        self.circumstances.signed = signed;
        self
    }

    /// The same, about a key list for `receiver`.
    #[must_use]
    pub fn to(mut self, receiver: &'a ControllerId) -> Self {
        self.circumstances.receiver = Some(receiver);
        self
    }
}
