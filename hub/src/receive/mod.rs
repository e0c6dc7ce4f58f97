//! Takes requests in over Flight SQL. Planning is done when a client asks for information about a statement's answer,
//! running when it fetches the answer; what lies between is in the ticket.
//!
//! INVARIANT: every call identifies its caller again; nothing that runs is kept for a caller who may never come.

mod actions;
mod anew;
mod answer;
mod counting;
mod facts;
mod front;
mod metadata;
mod released;
mod running;
mod service;
mod sessions;
mod sign;
mod ticket;
mod versions;

pub use actions::{ISSUERS, PROGRESS};

/// Types of the actions beside Flight SQL's own.
#[cfg(test)]
pub(crate) fn action_names() -> std::collections::BTreeSet<String> {
    actions::ACTIONS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

pub(crate) use counting::Counting;
pub use front::Front;
pub(crate) use service::ALLOW_PARTIAL;
pub use service::Service;
pub use sign::ToSign;
pub use ticket::{Body, Purpose, Sealer, TicketKeyError};

use crate::{
    assemble::keys::Members,
    audit::{Event, HubAudit, masked},
    config::{HubConfig, Projects},
    identify::{Caller, Identify, choose},
    plan::{Parameters, Planner, Prepared},
    request::RequestContext,
    watch::{Meters, Now, Watch},
};
use anew::Anew;
use answer::{Held, Log};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::FlightData;
use chrono::{DateTime, Utc};
use facts::Facts;
use futures::stream::BoxStream;
use proto::{
    envelope::Proof,
    ids::{ControllerId, ProjectId, QueryId},
    refusal::{Kind, Refusal},
};
use running::Running;
use runtime::telemetry::{TraceParent, spans::TARGET};
use sessions::Sessions;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tonic::Status;
use tracing::Instrument;

/// A prepared statement's handle is good this long.
const PREPARED: Duration = Duration::from_secs(12 * 3600);

/// What both listeners share.
pub struct Core {
    config: HubConfig,
    projects: watch::Receiver<Arc<Projects>>,
    identify: Identify,
    planner: Planner,
    sealer: Sealer,
    running: Running,
    sessions: Sessions,
    facts: Facts,
    audit: HubAudit,
    meters: Meters,
}

impl Core {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Never in practice: the facts about the service can always be made.
    pub fn new(
        config: HubConfig,
        projects: watch::Receiver<Arc<Projects>>,
        identify: Identify,
        planner: Planner,
        sealer: Sealer,
        audit: HubAudit,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            meters: Meters::default(),
            projects,
            config,
            identify,
            planner,
            sealer,
            running: Running::default(),
            sessions: Sessions::default(),
            facts: Facts::new()?,
            audit,
        })
    }

    /// The projects as they are now.
    fn projects(&self) -> Arc<Projects> {
        Arc::clone(&self.projects.borrow())
    }

    /// Forgets what a controller offered to a project.
    #[must_use]
    pub fn forget(&self, controller: &ControllerId, project: &ProjectId) -> u64 {
        self.planner.registry().forget(controller, project)
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

    /// The numbers of this hub.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// How things are at this moment, for the numbers.
    #[must_use]
    pub fn now(&self) -> Now {
        let compute = self.planner.compute();
        let mut permits = BTreeMap::<ControllerId, usize>::new();
        for controller in self.projects().all().flat_map(|project| project.controllers.keys()) {
            *permits.entry(controller.clone()).or_default() += 1;
        }
        Now {
            running: self.running.count(),
            waiting: compute.admission().waiting(),
            links: self.planner.registry().links().standing(),
            permits: permits.into_iter().collect(),
            memory: (compute.memory_used() as u64, compute.profile().pool_bytes()),
            spill: compute.spilled(),
        }
    }

    /// For questions that are no statement.
    fn unwatched(&self) -> Arc<Watch> {
        Arc::new(Watch::counting(self.meters.clone()))
    }

    fn context(
        &self,
        caller: Caller,
        project: crate::config::Project,
        allow_partial: bool,
        watch: Arc<Watch>,
    ) -> Arc<RequestContext> {
        let timeout = self.config.query.timeout();
        let context = RequestContext::new(caller, Arc::new(project), QueryId::new(), timeout, watch);
        Arc::new(RequestContext { allow_partial, ..context })
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
    ) -> Result<Announced, Refusal> {
        self.check_length(sql)?;
        let planned = async {
            let planned = self.planner.plan(context, sql, parameters, None).await?;
            let schema = Arc::clone(planned.schema());
            let questions =
                if planned.may_demand_signature() { planned.physical().await?.to_sign() } else { Vec::new() };
            sign::fits(&questions)?;
            Ok((schema, questions))
        };
        let plan = tracing::info_span!(target: TARGET, parent: &context.watch.span(), "plan");
        let (schema, questions) = match planned.instrument(plan).await {
            Ok(planned) => planned,
            Err(refusal) => {
                Log::new(Arc::clone(context)).refused(&refusal);
                self.audit
                    .record(Event::Refused {
                        query: context.query,
                        user: context.caller.user.clone(),
                        project: context.project.project.clone(),
                        sql_sha256: Event::hash(sql),
                        sql: masked(sql),
                        reason: masked(&refusal.message),
                    })
                    .await?;
                return Err(refusal);
            }
        };
        let body = Body {
            query_id: context.query.to_string(),
            schema: digest(&schema),
            digests: questions.iter().map(|question| question.digest.to_string()).collect(),
            traceparent: context.watch.parent().to_string(),
            ..self.body(context, sql, parameters, Duration::from_secs(self.config.query.ticket_seconds))?
        };
        let ticket = self.sealer.seal(Purpose::Ticket, &body)?;
        let facts = serde_json::to_vec(&ToSign::new(context.query, questions))
            .map_err(|_| Refusal::new(Kind::Internal, "the statement can't be described"))?;
        Ok(Announced { schema, ticket, facts })
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
        // Nothing that is sealed outlives the token that it was made with.
        let life = life.min(context.caller.left());
        Ok(Body {
            user: context.caller.user.to_string(),
            issuer: context.caller.issuer.clone(),
            zone: context.caller.zone.to_wire().into(),
            project: context.project.project.to_string(),
            query_id: String::new(),
            expires: Utc::now().timestamp().saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
            sql: sql.to_owned(),
            parameters: parameters.to_bytes()?,
            schema: Vec::new(),
            now: context.now.timestamp_micros(),
            digests: Vec::new(),
            allow_partial: context.allow_partial,
            traceparent: String::new(),
        })
    }

    /// Runs what a ticket names.
    async fn redeem(
        self: &Arc<Self>,
        caller: Caller,
        ticket: &[u8],
        signature: Proof,
        parent: TraceParent,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let body = self.sealer.open(Purpose::Ticket, ticket, &caller)?;
        let query: QueryId = body.query_id.parse().map_err(|_| Refusal::new(Kind::Internal, "a ticket without id"))?;
        self.run(caller, &body, query, signature, parent.or(&TraceParent::parse(&body.traceparent))).await
    }

    /// Runs a statement and streams its answer.
    async fn run(
        self: &Arc<Self>,
        caller: Caller,
        body: &Body,
        query: QueryId,
        signature: Proof,
        parent: TraceParent,
    ) -> Result<BoxStream<'static, Result<FlightData, Status>>, Refusal> {
        let project = self.project_of(body, &caller)?;
        let watch = Arc::new(Watch::new("do-get", parent, self.meters.clone()));
        let timeout = self.config.query.timeout();
        let mut context = RequestContext::new(caller, Arc::new(project), query, timeout, watch);
        context.signature = signature;
        context.allow_partial = body.allow_partial;
        // What was announced is run as of then; a prepared statement that is run at once, as of now.
        let announced = if body.query_id.is_empty() { None } else { DateTime::from_timestamp_micros(body.now) };
        context.now = announced.unwrap_or(context.now);
        let context = Arc::new(context);
        let mut log = Log::new(Arc::clone(&context));
        let place = self.running.enter(query, &context.caller, Arc::clone(&context.watch));
        let started = tokio::select! {
            biased;
            refusal = place.ended() => Err(refusal),
            started = self.start(&context, body, &mut log) => started,
        };
        match started {
            Ok(Started { answer, slot, spill, anew }) => {
                Ok(answer::outgoing(answer, anew, Held { place, spill, slot }, log))
            }
            Err(refusal) => {
                log.refused(&refusal);
                Err(refusal)
            }
        }
    }

    async fn start(
        self: &Arc<Self>,
        context: &Arc<RequestContext>,
        body: &Body,
        log: &mut Log,
    ) -> Result<Started, Refusal> {
        let compute = self.planner.compute();
        let patience = Duration::from_secs(self.config.query.queue_seconds);
        let begun = Instant::now();
        let queue = tracing::info_span!(target: TARGET, parent: &context.watch.span(), "queue");
        let slot = compute.admission().slot(&context.caller.user, &context.caller.issuer, patience);
        let slot = slot.instrument(queue).await?;
        self.meters.queued(begun.elapsed());
        let (environment, spill) = compute.environment(&context.query)?;
        let parameters = Parameters::from_bytes(&body.parameters)?;
        let begun = Instant::now();
        let plan = tracing::info_span!(target: TARGET, parent: &context.watch.span(), "plan");
        let planned = self.planner.plan(context, &body.sql, &parameters, Some(Arc::clone(&environment)));
        let planned = planned.instrument(plan.clone()).await?;
        if !body.schema.is_empty() && body.schema != digest(planned.schema()) {
            return Err(other_tables());
        }
        let controllers = planned.controllers().clone();
        let runnable = planned.physical().instrument(plan).await?;
        self.meters.planned(begun.elapsed());
        sign::check(context, &body.digests, &runnable.to_sign())?;
        let anew = Anew {
            core: Arc::clone(self),
            context: Arc::clone(context),
            body: body.clone(),
            environment,
            controllers: controllers.clone(),
            terms: runnable.terms(),
        };
        // On disk before a spoke is asked: what can't be written down is not answered.
        self.audit
            .record(Event::Asked {
                query: context.query,
                user: context.caller.user.clone(),
                project: context.project.project.clone(),
                zone: context.caller.zone.name(),
                sql_sha256: Event::hash(&body.sql),
                sql: masked(&body.sql),
                controllers,
            })
            .await?;
        log.audited(self.audit.clone());
        Ok(Started { answer: runnable.proven().await?.run()?, slot, spill, anew })
    }
}

/// A statement that runs.
struct Started {
    answer: crate::plan::Answer,
    slot: crate::compute::Slot,
    spill: crate::compute::SpillFolder,
    anew: Anew,
}

fn other_tables() -> Refusal {
    Refusal::new(Kind::Unavailable, "the tables have changed since this statement was announced. Run it again")
}

#[async_trait::async_trait]
impl Members for Core {
    async fn open(&self) -> BTreeMap<ProjectId, BTreeSet<ControllerId>> {
        self.projects()
            .all()
            .map(|project| (project.project.clone(), project.controllers.keys().cloned().collect()))
            .collect()
    }
}

/// A statement that was announced.
struct Announced {
    schema: SchemaRef,
    ticket: Vec<u8>,
    /// what the client may read: [`ToSign`] as JSON
    facts: Vec<u8>,
}

fn digest(schema: &Schema) -> Vec<u8> {
    Sha256::digest(proto::schema::to_bytes(schema)).to_vec()
}
