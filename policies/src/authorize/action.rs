//! What may be done on the platform: one list for hub and spoke. The custodian decides in code (docs/permissions.md).
//!
//! INVARIANT: the names are those of the schema, one to one; a test compares them.

macro_rules! actions {
    ($($(#[$group:meta])* $variant:ident => $name:literal, $party:ident, $what:literal;)*) => {
        /// Something that somebody wants to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(#[doc = $what] $variant,)*
        }

        impl Action {
            /// All there are, in the order in which people read them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in policies, logs and the golden matrix.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is, for people.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }

            /// Who decides about it.
            #[must_use]
            pub fn party(self) -> Party {
                match self { $(Self::$variant => Party::$party,)* }
            }
        }
    };
}

/// Where a decision is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// at the hub
    Hub,
    /// at a controller's spoke
    Spoke,
}

actions! {
    HubSession => "hub.session", Hub, "sign in, keep a session, learn what the service can do";
    HubProjectsList => "hub.projects.list", Hub, "list one's own projects";
    HubCatalogue => "hub.catalogue", Hub, "see a project's tables and columns";
    HubExplain => "hub.explain", Hub, "see how a statement would run";
    HubQueryOpen => "hub.query.open", Hub, "ask for released statistics";
    HubQueryEnclave => "hub.query.enclave", Hub, "see pseudonymised rows in the secure processing environment";
    HubCount => "hub.count", Hub, "have people counted without a project (quick test)";
    HubQueryCancel => "hub.query.cancel", Hub, "cancel a running query";

    ApplicationSubmit => "application.submit", Hub, "hand in an application";
    ApplicationRead => "application.read", Hub, "read an application";
    ApplicationEvents => "application.events", Hub, "read an application's events";
    ApplicationAmend => "application.amend", Hub, "amend an application";
    ApplicationWithdraw => "application.withdraw", Hub, "withdraw an application";
    ApplicationExtend => "application.extend", Hub, "extend an application's deadline";
    ApplicationDecide => "application.decide", Hub, "decide on an application, by a statement that the hub takes in";
    PublishedRead => "published.read", Hub, "read what is published";

    AirlockSubmit => "airlock.submit", Hub, "begin a submission to the airlock";
    AirlockAnswer => "airlock.answer", Hub, "take answers of the open zone out at once, as a crate that the platform writes";
    AirlockStatus => "airlock.status", Hub, "learn how far a submission is";
    AirlockRead => "airlock.read", Hub, "read one's project's submission, its files, findings and comments";
    AirlockChange => "airlock.change", Hub, "add files to a submission, have it checked, send it to the checkers";
    AirlockWithdraw => "airlock.withdraw", Hub, "take a submission back";
    AirlockRelease => "airlock.release", Hub, "take an approved submission out";
    AirlockExamine => "airlock.examine", Hub, "read a submission as a checker";
    AirlockReview => "airlock.review", Hub, "decide on a submission as a checker";

    TokenCreate => "token.create", Hub, "make a personal token";
    TokenList => "token.list", Hub, "list personal tokens";
    TokenRevoke => "token.revoke", Hub, "revoke a personal token";
    ControllersList => "controllers.list", Hub, "list the controllers, their links and their approvers' keys";
    ControllerInvite => "controller.invite", Hub, "invite a controller";
    ControllerExpel => "controller.expel", Hub, "expel a controller";
    ControllerApprover => "controller.approver", Hub, "register or remove an approver's public key";
    HubAuditRead => "hub.audit.read", Hub, "read the hub's audit log";

    LinkJoin => "link.join", Hub, "join: get a controller's first link certificate";
    LinkOpen => "link.open", Hub, "open a link, over which the hub asks a controller's spoke";
    LinkRenew => "link.renew", Hub, "renew a link certificate";
    LinkNudge => "link.nudge", Hub, "nudge the hub to look at a controller's decisions";
    LinkPurge => "link.purge", Hub, "have extracts of a controller's data removed from the hub";
    LinkRelay => "link.relay", Hub, "have a fetch relayed to a controller's spoke";

    SpokeCall => "spoke.call", Spoke, "come in at a spoke with a call of any kind";
    SpokeCatalogue => "spoke.catalogue", Spoke, "be told the tables under a permit";
    SpokeScanOpen => "spoke.scan.open", Spoke, "have rows counted into released statistics";
    SpokeScanEnclave => "spoke.scan.enclave", Spoke, "have rows shown in the secure processing environment";
    SpokeScanChecked => "spoke.scan.checked", Spoke, "have cells released that the spoke has checked itself";
    SpokeScanBlind => "spoke.scan.blind", Spoke, "have a share of a blind total made";
    SpokeScanQuick => "spoke.scan.quick", Spoke, "have people counted without a project (quick test)";
    SpokeKeyList => "spoke.keylist", Spoke, "have a cohort's key list sent to another controller";
    SpokePart => "spoke.part", Spoke, "deliver a part of an application";
    SpokeDecisions => "spoke.decisions", Spoke, "be given the approver's signed decisions";
    SpokeAcceptance => "spoke.acceptance", Spoke, "be given the spoke's acceptance of a project's members";
    SpokeEpochMake => "spoke.epoch.make", Spoke, "have a project key made";
    SpokeEpochTake => "spoke.epoch.take", Spoke, "have a project key taken";
    SpokeCheckpoint => "spoke.checkpoint", Spoke, "exchange checkpoints of audit logs with a spoke";
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
