//! What stands in the hub's log.

use proto::ids::{ControllerId, ProjectId, QueryId, SubmissionId, UserId};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Something that happened at the hub. No token, no value of an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// a statement is about to run
    Asked {
        /// the same on every side
        query: QueryId,
        /// who asks
        user: UserId,
        /// for which project
        project: ProjectId,
        /// where the answer is shown
        zone: &'static str,
        /// SHA-256 of the statement, hex
        sql_sha256: String,
        /// the statement
        sql: String,
        /// whose tables it names
        controllers: BTreeSet<ControllerId>,
    },
    /// a statement is over
    Answered {
        /// the same on every side
        query: QueryId,
        /// who asked
        user: UserId,
        /// for which project
        project: ProjectId,
        /// rows that were released
        rows: u64,
        /// how it ended
        outcome: String,
        /// how long it took
        ms: u64,
    },
    /// a statement was refused before it ran
    Refused {
        /// the same on every side
        query: QueryId,
        /// who asked
        user: UserId,
        /// for which project
        project: ProjectId,
        /// SHA-256 of the statement, hex
        sql_sha256: String,
        /// the statement
        sql: String,
        /// what the user read
        reason: String,
    },
    /// somebody signed in
    Login {
        /// who
        user: UserId,
        /// how they proved it
        how: &'static str,
    },
    /// something happened to a project or an application
    Project {
        /// which project
        project: ProjectId,
        /// what
        what: String,
        /// by whom
        by: String,
    },
    /// something happened to a submission to the airlock, or somebody read a file of one
    Airlock {
        /// of which project
        project: ProjectId,
        /// which submission
        submission: SubmissionId,
        /// who did it; checkers stand here and nowhere else. Nobody: the hub did it by itself
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        /// who vouches for that person
        #[serde(skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        /// what
        what: &'static str,
        /// more about it: names, hashes and verdicts, never what is in a file
        detail: serde_json::Value,
    },
    /// the operator ran a command
    Admin {
        /// which
        command: String,
        /// about whom or what
        subject: String,
    },
    /// a project has another key
    Epoch {
        /// which project
        project: ProjectId,
        /// from 1
        epoch: u32,
        /// public id of the key
        key_id: String,
        /// who made it
        lead: ControllerId,
        /// who has it
        members: Vec<ControllerId>,
    },
    /// what the hub held of a controller in a project was removed
    Purged {
        /// whose
        controller: ControllerId,
        /// of which project
        project: ProjectId,
        /// why
        reason: String,
        /// files of extracts
        files: u64,
        /// their bytes
        bytes: u64,
    },
    /// another party's log or key is not what it was
    Alarm {
        /// whose
        party: String,
        /// what
        what: String,
    },
    /// the server started or stopped
    Server {
        /// `started` or `stopped`
        what: &'static str,
    },
}

impl Event {
    /// The hash of a statement, as it stands in the log.
    #[must_use]
    pub fn hash(sql: &str) -> String {
        // Of what is written down: of the statement itself, a person number could be found by trying them all.
        hex::encode(Sha256::digest(super::masked(sql)))
    }
}
