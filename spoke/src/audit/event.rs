//! The kinds of entries in a spoke's log.

use policies::purpose::EhdsPurpose;
use proto::ids::{PartId, PermitId, ProjectId, QueryId, UserId};
use serde::Serialize;

/// Longer texts of questions are cut in the log; their digest stays whole.
const MAX_SQL: usize = 200_000;

/// One entry.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// a question, before its first row and after its last
    Scan(Box<Scan>),
    /// somebody was told which tables there are
    Catalogue {
        /// the request
        query: QueryId,
        /// for whom
        user: UserId,
        /// who vouched for them
        issuer: String,
        /// the project
        project: ProjectId,
        /// under which permit
        permit: PermitId,
        /// how many tables
        tables: usize,
    },
    /// an approver said yes
    PermitSigned {
        /// the permit
        permit: PermitId,
        /// what it decides on
        part: PartId,
        /// the project
        project: ProjectId,
        /// whose name stands in it
        approver: String,
        /// why
        reason: String,
    },
    /// an approver said no
    PartRefused {
        /// which part
        part: PartId,
        /// the project
        project: ProjectId,
        /// whose name stands in it
        approver: String,
        /// why
        reason: String,
    },
    /// a permit ended
    PermitRevoked {
        /// the permit
        permit: PermitId,
        /// the project
        project: ProjectId,
        /// whose name stands in it
        approver: String,
        /// why
        reason: String,
    },
    /// an approver's key is trusted from now on, or no more
    Approver {
        /// whose
        name: String,
        /// the key's fingerprint
        fingerprint: String,
        /// trusted, or not
        trusted: bool,
    },
    /// the lists of people who are left out changed
    OptOuts {
        /// opt_out, withdrawn or erased
        kind: String,
        /// people that came in
        added: u64,
        /// people that went
        removed: u64,
        /// version of the lists after it
        version: u64,
    },
    /// a part of an application came in
    PartReceived {
        /// which
        part: PartId,
        /// for which project
        project: ProjectId,
    },
}

/// How far a question has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// admitted; no row has left yet
    Asked,
    /// over, whole or not
    Answered,
    /// asked under a permit, but naming what is not in it
    Refused,
}

/// A question.
#[derive(Debug, Clone, Serialize)]
pub struct Scan {
    /// how far
    pub stage: Stage,
    /// the same on every side
    pub query: QueryId,
    /// who asked, from the token
    pub user: UserId,
    /// who vouched for them
    pub issuer: String,
    /// a name of the token
    pub token: String,
    /// the project
    pub project: ProjectId,
    /// the permit
    pub permit: PermitId,
    /// what the permit is for
    pub purpose: EhdsPurpose,
    /// where the answer is shown
    pub zone: String,
    /// digest of the fragment, as a client's signature names it
    pub digest: String,
    /// the blind total of which a share leaves, and nothing else
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind: Option<QueryId>,
    /// the question, constants included
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// rows that left
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// bytes that left, in memory form
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// how it ended
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// how long it took
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

impl Scan {
    /// The entry for the end of this question.
    #[must_use]
    pub fn answered(mut self, rows: u64, bytes: u64, outcome: &str, ms: u64) -> Self {
        self.stage = Stage::Answered;
        self.sql = None;
        (self.rows, self.bytes, self.ms) = (Some(rows), Some(bytes), Some(ms));
        self.outcome = Some(outcome.to_owned());
        self
    }

    /// The entry for a question that named what it may not.
    #[must_use]
    pub fn refused(mut self, why: &str) -> Self {
        self.stage = Stage::Refused;
        self.outcome = Some(why.to_owned());
        self
    }

    /// A question's text as it stands in the log.
    #[must_use]
    pub fn text(mut sql: String) -> String {
        if sql.len() > MAX_SQL {
            let end = (0..=MAX_SQL).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
            sql.truncate(end);
            sql.push_str(" ... (cut)");
        }
        sql
    }
}
