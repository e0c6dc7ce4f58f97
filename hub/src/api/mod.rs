//! The HTTP API: applications, permits, workspaces, tokens. What pages and programs use; `hub project` does too.
//! `/openapi.json` describes it, `docs/api.md` shows how to use it.
//!
//! INVARIANT: no data of a controller come through here but what researchers hand in to the airlock; every call but those for everybody names a caller, and every
//! call asks [`policies::authorize`] before it looks at anything else.

mod airlock;
mod applications;
mod authorize;
mod body;
mod controllers;
mod count;
mod moves;
mod page;
mod permits;
mod problem;
mod published;
mod serve;
mod submissions;
mod tokens;
mod views;
mod workspaces;

pub use count::Columns;
pub use problem::Problem;
pub use serve::serve;
pub use submissions::{CommentView, ContentView, KeyView, SubmissionList, SubmissionView, SubmittedFile};
pub use views::{
    AmendmentView, Answer, ApplicationList, ApplicationView, Ask, CheckView, ControllerView, EventList, Extend,
    NewTokenView, PartView, PermitList, PermitView, PublishedList, RefusalList, TokenRequest, TokenView, WorkspaceView,
};

use crate::{
    airlock::{Airlock, MOST_FILE},
    apply::{Applications, Screening},
    assemble::{Clock, Nudge},
    config::{HubConfig, Projects, RoleConfig},
    count::{Counter, Share},
    identify::{Identify, TokenStore},
    receive::Core,
};
use axum::{Json, Router, extract::DefaultBodyLimit, routing::get};
use policies::{
    authorize::{Authorizer, HubRole, PolicyProblem, UnknownRole},
    zone::Zone,
};
use proto::ids::{ControllerId, UserId};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The largest body taken, bytes.
const MAX_BODY: usize = 1 << 20;

/// Why the API can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The policies that are compiled in don't fit.
    #[error(transparent)]
    Policies(#[from] PolicyProblem),
    /// A role in the configuration is none.
    #[error("hub.toml, field role of user '{user}': {cause}")]
    Role {
        /// whose
        user: UserId,
        /// what is wrong
        cause: UnknownRole,
    },
    /// One person would check for two.
    #[error("hub.toml, field role of user '{user}': checks for two organisations; a person checks for one")]
    TwoOrganisations {
        /// whose
        user: UserId,
    },
}

/// What the calls need, and where their answers are shown. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>, Zone);

/// What the API is put together of.
pub struct Parts {
    /// applications and their workspaces
    pub applications: Applications,
    /// what leaves the secure processing environment
    pub airlock: Airlock,
    /// personal tokens
    pub tokens: TokenStore,
    /// who callers are
    pub identify: Identify,
    /// makes the reconciler look
    pub nudge: Nudge,
    /// the projects that are open
    pub projects: watch::Receiver<Arc<Projects>>,
    /// asks the spokes
    pub core: Arc<Core>,
    /// what time it is
    pub clock: Arc<dyn Clock>,
}

struct Inner {
    applications: Applications,
    airlock: Airlock,
    tokens: TokenStore,
    identify: Identify,
    nudge: Nudge,
    projects: watch::Receiver<Arc<Projects>>,
    core: Arc<Core>,
    counter: Counter,
    clock: Arc<dyn Clock>,
    authorizer: Authorizer,
    roles: Vec<(UserId, String, HubRole)>,
    screening: Screening,
    controllers: BTreeSet<ControllerId>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Eger hub",
        description = "Applications for health data, what controllers decided on them, the workspaces that follow, and what leaves them.",
        license(name = "Apache-2.0")
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

impl Api {
    /// Puts it together.
    ///
    /// # Errors
    /// When a role is none, or the policies don't fit.
    pub fn new(config: &HubConfig, parts: Parts) -> Result<Self, ApiError> {
        let Parts { applications, airlock, tokens, identify, nudge, projects, core, clock } = parts;
        let role = |one: &RoleConfig| {
            let role = one.role.parse().map_err(|cause| ApiError::Role { user: one.user.clone(), cause })?;
            Ok((one.user.clone(), one.issuer.clone(), role))
        };
        let roles: Vec<(UserId, String, HubRole)> = config.roles.iter().map(role).collect::<Result<_, ApiError>>()?;
        let checker = |role: &HubRole| matches!(role, HubRole::Checker(_));
        for (at, (user, issuer, role)) in roles.iter().enumerate() {
            let same = |other: &&(UserId, String, HubRole)| other.0 == *user && other.1 == *issuer;
            if checker(role) && roles.iter().skip(at + 1).filter(same).any(|(_, _, other)| checker(other)) {
                return Err(ApiError::TwoOrganisations { user: user.clone() });
            }
        }
        let inner = Inner {
            counter: Counter::new(Arc::clone(&core), Share::new(&tokens)),
            applications,
            airlock,
            tokens,
            identify,
            nudge,
            projects,
            core,
            clock,
            authorizer: Authorizer::new()?,
            roles,
            screening: config.api.as_ref().map(|api| api.screening).unwrap_or_default(),
            controllers: config.spokes.keys().cloned().collect(),
        };
        Ok(Self(Arc::new(inner), Zone::Open))
    }

    /// The same, for a listener of another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self(Arc::clone(&self.0), zone)
    }

    /// The calls and their description.
    pub fn parts() -> (Router<Self>, utoipa::openapi::OpenApi) {
        OpenApiRouter::with_openapi(Document::openapi())
            .routes(routes!(applications::submit, applications::list))
            .routes(routes!(applications::check))
            .routes(routes!(applications::show))
            .routes(routes!(applications::parts))
            .routes(routes!(applications::events))
            .routes(routes!(applications::amend))
            .routes(routes!(applications::check_amendment))
            .routes(routes!(moves::complete))
            .routes(routes!(moves::withdraw))
            .routes(routes!(moves::extend))
            .routes(routes!(moves::questions, moves::ask))
            .routes(routes!(moves::answer))
            .routes(routes!(workspaces::list))
            .routes(routes!(workspaces::show))
            .routes(routes!(permits::list))
            .routes(routes!(published::applications))
            .routes(routes!(published::permits))
            .routes(routes!(published::refusals))
            .routes(routes!(tokens::list, tokens::create))
            .routes(routes!(tokens::revoke))
            .routes(routes!(controllers::list))
            .routes(routes!(count::columns, count::count))
            .routes(routes!(airlock::begin, airlock::list))
            .routes(routes!(airlock::answer))
            .routes(routes!(airlock::show))
            .routes(routes!(airlock::check))
            .routes(routes!(airlock::send))
            .routes(routes!(airlock::difference))
            .routes(routes!(airlock::review))
            .routes(routes!(airlock::withdraw))
            .routes(routes!(airlock::release))
            .routes(routes!(airlock::key))
            .merge(
                OpenApiRouter::new()
                    .routes(routes!(airlock::add, airlock::file))
                    .layer(DefaultBodyLimit::max(MOST_FILE)),
            )
            .split_for_parts()
    }

    /// The service.
    pub fn router(self) -> Router {
        let (router, document) = Self::parts();
        router
            .route("/openapi.json", get(async move || Json(document)))
            .fallback(async || Problem::not_found("call"))
            .method_not_allowed_fallback(async || Problem::method())
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }

    /// A member's change is to be seen at once.
    fn nudge(&self) {
        self.0.nudge.nudge();
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.clock.now()
    }
}
