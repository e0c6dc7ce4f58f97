//! Takes requests in over Flight SQL. Planning is done when a client asks for information about a statement's answer,
//! running when it fetches the answer; what lies between is in the ticket.
//!
//! INVARIANT: every call identifies its caller again; nothing that runs is kept for a caller who may never come.

mod actions;
mod answer;
mod facts;
mod front;
mod metadata;
mod running;
mod service;
mod sessions;
mod ticket;

pub use front::Front;
pub use service::Service;
pub use ticket::{Body, Purpose, Sealer, TicketKeyError};

use crate::{
    config::{HubConfig, Projects},
    identify::{Caller, Identify, choose},
    plan::{Parameters, Planned, Planner, Prepared},
    request::RequestContext,
};
use answer::{Held, Log};
use arrow::datatypes::Schema;
use arrow_flight::FlightData;
use chrono::Utc;
use facts::Facts;
use futures::stream::BoxStream;
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use running::Running;
use sessions::Sessions;
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tonic::Status;

/// A prepared statement's handle is good this long.
const PREPARED: Duration = Duration::from_secs(12 * 3600);

/// What both listeners share.
pub struct Core {
    config: HubConfig,
    projects: RwLock<Arc<Projects>>,
    identify: Identify,
    planner: Planner,
    sealer: Sealer,
    running: Running,
    sessions: Sessions,
    facts: Facts,
}

impl Core {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Never in practice: the facts about the service can always be made.
    pub fn new(config: HubConfig, identify: Identify, planner: Planner, sealer: Sealer) -> Result<Self, Refusal> {
        Ok(Self {
            projects: RwLock::new(Arc::new(config.projects.clone())),
            config,
            identify,
            planner,
            sealer,
            running: Running::default(),
            sessions: Sessions::default(),
            facts: Facts::new()?,
        })
    }

    /// The projects as they are now.
    fn projects(&self) -> Arc<Projects> {
        Arc::clone(&self.projects.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes project files into use that were read again.
    pub fn replace_projects(&self, projects: Projects) {
        *self.projects.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(projects);
    }

    /// Statements that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.count()
    }

    /// Ends all statements that run.
    pub fn stop(&self) {
        self.running.stop();
    }

    fn context(&self, caller: Caller, project: crate::config::Project, query: QueryId) -> Arc<RequestContext> {
        Arc::new(RequestContext::new(caller, Arc::new(project), query, self.config.query.timeout()))
    }

    /// The project that a sealed body is about, if its caller is still a member.
    fn project_of(&self, body: &Body, caller: &Caller) -> Result<crate::config::Project, Refusal> {
        choose(caller, &self.projects(), Some(&body.project), None)
    }

    fn check_length(&self, sql: &str) -> Result<(), Refusal> {
        let most = self.config.query.max_statement_bytes;
        if sql.len() > most {
            return Err(Refusal::new(
                Kind::TooLarge,
                format!("the statement is {} bytes long; {most} are taken", sql.len()),
            ));
        }
        Ok(())
    }

    /// Plans a statement and seals what is needed to run it.
    async fn announce(
        &self,
        context: &Arc<RequestContext>,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<(Planned, Vec<u8>), Refusal> {
        self.check_length(sql)?;
        let planned = match self.planner.plan(context, sql, parameters, None).await {
            Ok(planned) => planned,
            Err(refusal) => {
                Log::new(Arc::clone(context)).refused(&refusal);
                return Err(refusal);
            }
        };
        let body = Body {
            query_id: context.query.to_string(),
            schema: digest(planned.schema()),
            ..self.body(context, sql, parameters, Duration::from_secs(self.config.query.ticket_seconds))?
        };
        let ticket = self.sealer.seal(Purpose::Ticket, &body)?;
        Ok((planned, ticket))
    }

    /// What a client wants to know of a statement before it binds values.
    async fn prepare(&self, context: &Arc<RequestContext>, sql: &str) -> Result<Prepared, Refusal> {
        let prepared = self.planner.prepare(context, sql).await;
        if let Err(refusal) = &prepared {
            Log::new(Arc::clone(context)).refused(refusal);
        }
        prepared
    }

    fn body(
        &self,
        context: &RequestContext,
        sql: &str,
        parameters: &Parameters,
        life: Duration,
    ) -> Result<Body, Refusal> {
        Ok(Body {
            user: context.caller.user.to_string(),
            zone: context.caller.zone.to_wire().into(),
            project: context.project.project.to_string(),
            query_id: String::new(),
            expires: Utc::now().timestamp().saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
            sql: sql.to_owned(),
            parameters: parameters.to_bytes()?,
            schema: Vec::new(),
        })
    }

    /// Runs what a ticket names.
    async fn redeem(
        &self,
        caller: Caller,
        ticket: &[u8],
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let body = self.sealer.open(Purpose::Ticket, ticket, &caller)?;
        let query: QueryId = body.query_id.parse().map_err(|_| Refusal::new(Kind::Internal, "a ticket without id"))?;
        self.run(caller, &body, query).await
    }

    /// Runs a statement and streams its answer.
    async fn run(
        &self,
        caller: Caller,
        body: &Body,
        query: QueryId,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let project = self.project_of(body, &caller)?;
        let context = self.context(caller, project, query);
        let mut log = Log::new(Arc::clone(&context));
        let place = self.running.enter(query, context.caller.user.clone());
        let started = tokio::select! {
            biased;
            refusal = place.ended() => Err(refusal),
            started = self.start(&context, body) => started,
        };
        match started {
            Ok((answer, slot, spill)) => Ok(answer::outgoing(answer, Held { place, spill, slot }, log)),
            Err(refusal) => {
                log.refused(&refusal);
                Err(refusal)
            }
        }
    }

    async fn start(
        &self,
        context: &Arc<RequestContext>,
        body: &Body,
    ) -> Result<(crate::plan::Answer, crate::compute::Slot, crate::compute::SpillFolder), Refusal> {
        let compute = self.planner.compute();
        let slot = compute.admission().slot(Duration::from_secs(self.config.query.queue_seconds)).await?;
        let (environment, spill) = compute.environment(&context.query)?;
        let parameters = Parameters::from_bytes(&body.parameters)?;
        let planned = self.planner.plan(context, &body.sql, &parameters, Some(environment)).await?;
        if !body.schema.is_empty() && body.schema != digest(planned.schema()) {
            return Err(Refusal::new(
                Kind::Unavailable,
                "the tables have changed since this statement was announced. Run it again",
            ));
        }
        Ok((planned.run().await?, slot, spill))
    }
}

fn digest(schema: &Schema) -> Vec<u8> {
    Sha256::digest(proto::schema::to_bytes(schema)).to_vec()
}
