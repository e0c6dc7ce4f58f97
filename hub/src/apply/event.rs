//! What happened, in order.

use super::{
    Applications, ApplyError,
    record::{Row, stamp},
};
use chrono::{DateTime, Utc};
use proto::ids::{ApplicationId, ControllerId, ProjectId, UserId};
use serde_json::Value;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// a person
    Person {
        /// the user
        user: UserId,
        /// who vouches; none with a personal access token
        issuer: Option<String>,
    },
    /// a controller, by what its approver signed
    Controller(ControllerId),
    /// the hub itself: a deadline, a delivery
    Hub,
    /// the hub's operator, at its command line
    Operator,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person { user, .. } => write!(f, "{user}"),
            Self::Controller(controller) => write!(f, "controller {controller}"),
            Self::Hub => f.write_str("hub"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct EventRecord {
    /// its number, over all projects
    pub seq: i64,
    /// when (UTC)
    pub at: DateTime<Utc>,
    /// in which project
    pub project: String,
    /// with which application
    pub application: Option<String>,
    /// concerning which controller
    pub controller: Option<String>,
    /// who did it
    pub actor: String,
    /// what
    pub kind: String,
    /// more about it
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// What is to be written down.
pub(crate) struct NewEvent<'a> {
    pub(crate) project: &'a str,
    pub(crate) application: Option<&'a ApplicationId>,
    pub(crate) controller: Option<&'a ControllerId>,
    pub(crate) actor: &'a Actor,
    pub(crate) kind: &'static str,
    pub(crate) detail: Value,
}

/// Writes it down.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    event: NewEvent<'_>,
) -> Result<(), ApplyError> {
    sqlx::query(
        "INSERT INTO event (at, project, application, controller, actor, kind, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(stamp(now))
    .bind(event.project)
    .bind(event.application.map(ToString::to_string))
    .bind(event.controller.map(ToString::to_string))
    .bind(event.actor.to_string())
    .bind(event.kind)
    .bind(event.detail.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<EventRecord, ApplyError> {
    let row = Row::of(row, "event");
    Ok(EventRecord {
        seq: row.number("seq")?,
        at: row.time("at")?,
        project: row.text("project")?,
        application: row.maybe("application")?,
        controller: row.maybe("controller")?,
        actor: row.text("actor")?,
        kind: row.text("kind")?,
        detail: serde_json::from_str(&row.text("detail")?).map_err(|_| row.corrupt("detail"))?,
    })
}

impl Applications {
    /// What happened in a project after event number `after`, oldest first.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn events(&self, project: &ProjectId, after: i64, limit: u32) -> Result<Vec<EventRecord>, ApplyError> {
        let rows = sqlx::query("SELECT * FROM event WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?")
            .bind(project.to_string())
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The number of the newest event; changes with everything that matters to workspaces.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn head(&self) -> Result<i64, ApplyError> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM event").fetch_one(&self.pool).await?)
    }
}
