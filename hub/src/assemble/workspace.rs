//! A project's workspace: the union of what its controllers granted, while they grant it.
//!
//! It opens when the last *needed* controller's permit counts. Once it has been open, what is only being asked for (an
//! amendment, a new controller) doesn't close it; it closes when a needed controller's permit ends without another in its
//! place, or when nothing is granted any more. A controller that the application doesn't need (`needed = false`) comes
//! and goes with its tables alone.
//!
//! INVARIANT: nothing is in a workspace that no permit names; whoever the newest application leaves out is out at once,
//! though permits may still name them.

use crate::{
    apply::{Applications, ApplyError},
    config::{Project, Projects},
    decide::{PermitState, Settled, settle},
};
use chrono::{DateTime, NaiveDate, Utc};
use policies::{
    application::Application,
    permit::{Permit, User},
};
use proto::ids::{ControllerId, PermitId, ProjectId};
use std::collections::{BTreeMap, BTreeSet};

/// How a workspace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkspaceState {
    /// a needed permit is missing
    Preparing,
    /// questions are answered
    Open,
    /// over: revoked, expired or withdrawn
    Closed,
}

impl WorkspaceState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What a controller has signed for a project.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// its permits, of any age
    pub permits: Vec<Permit>,
    /// permits that it took back
    pub revoked: BTreeSet<PermitId>,
    /// whether it has granted a part, whatever is believed of it today
    pub ever: bool,
}

/// A workspace on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// how it is
    pub state: WorkspaceState,
    /// why, for people
    pub reason: String,
    /// the permit of each controller that counts today, also while the workspace is not open
    pub permits: BTreeMap<ControllerId, PermitId>,
    /// who may ask
    pub members: BTreeSet<User>,
}

/// The workspace of `application` on the day `today`.
#[must_use]
pub fn compute(
    application: &Application,
    given: &BTreeMap<ControllerId, Given>,
    opened_before: bool,
    today: NaiveDate,
) -> Workspace {
    let mut permits = BTreeMap::new();
    let mut named: BTreeSet<User> = BTreeSet::new();
    let (mut missing, mut lost) = (Vec::new(), Vec::new());
    for asked in &application.controllers {
        let of = given.get(&asked.controller);
        let settled = of.map(|of| settle(&of.permits, &of.revoked, today)).unwrap_or_default();
        match of.and_then(|of| settled.live(&of.permits, today)) {
            Some(permit) => {
                permits.insert(asked.controller.clone(), permit.id);
                named.extend(permit.users.iter().cloned());
            }
            None if asked.needed => {
                missing.push(asked.controller.as_ref());
                if let Some(why) = ended(&settled, of.is_some_and(|of| of.ever)) {
                    lost.push(format!("the permit of '{}' {why}", asked.controller));
                }
            }
            None => {}
        }
    }
    let applied: BTreeSet<User> = application.users.iter().map(policies::application::Applicant::permitted).collect();
    let members = named.intersection(&applied).cloned().collect();
    let (state, reason) = if !lost.is_empty() {
        (WorkspaceState::Closed, lost.join("; "))
    } else if opened_before && permits.is_empty() {
        (WorkspaceState::Closed, "no permit counts any more".to_owned())
    } else if permits.is_empty() || (!opened_before && !missing.is_empty()) {
        (WorkspaceState::Preparing, format!("waiting for {}", missing.join(", ")))
    } else {
        (WorkspaceState::Open, String::new())
    };
    Workspace { state, reason, permits, members }
}

/// Why a controller that has given permits has none that counts; none when it never gave any, or the day is still to come.
fn ended(settled: &Settled, ever: bool) -> Option<&'static str> {
    let has = |state| settled.0.values().any(|s| *s == state);
    if has(PermitState::Granted) {
        None
    } else if has(PermitState::Revoked) {
        Some("was revoked")
    } else if has(PermitState::Expired) {
        Some("has expired")
    } else if ever {
        Some("was signed by nobody whom the controller has registered now")
    } else {
        None
    }
}

impl Applications {
    /// The workspace of every project, and the projects that are open now.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn workspaces(&self, now: DateTime<Utc>) -> Result<Projects, ApplyError> {
        let mut open: Vec<Project> = self.counting(now).await?.into_iter().collect();
        for id in self.projects().await? {
            self.settle(&id, now).await?;
            let latest = self.latest(&id).await?;
            let given = self.given(&id).await?;
            let before = self.workspace(&id).await?;
            let opened = before.is_some_and(|w| w.opened_at.is_some());
            let workspace = if latest.state == crate::decide::State::Withdrawn {
                Workspace {
                    state: WorkspaceState::Closed,
                    reason: "the application was withdrawn".to_owned(),
                    permits: BTreeMap::new(),
                    members: BTreeSet::new(),
                }
            } else {
                compute(&latest.application, &given, opened, now.date_naive())
            };
            if self.remember_workspace(&id, workspace.state.name(), &workspace.reason, now).await? {
                tracing::info!(project = %id, state = workspace.state.name(), reason = workspace.reason, "workspace");
            }
            if workspace.state == WorkspaceState::Open {
                open.push(Project {
                    project: id,
                    title: latest.application.title,
                    members: workspace.members,
                    controllers: workspace.permits,
                });
            }
        }
        Ok(open.into_iter().collect())
    }

    /// The standing group of the controllers that let people be counted without a project: those whose permits count on that
    /// day. Nobody is a member of it. None: there are none.
    async fn counting(&self, now: DateTime<Utc>) -> Result<Option<Project>, ApplyError> {
        let (id, today) = (ProjectId::quick_test(), now.date_naive());
        self.settle(&id, now).await?;
        let mut controllers = BTreeMap::new();
        for (controller, permits, revoked) in self.standing(&id).await? {
            if let Some(permit) = settle(&permits, &revoked, today).live(&permits, today) {
                controllers.insert(controller, permit.id);
            }
        }
        let title = "Quick tests".to_owned();
        let group = Project { project: id, title, members: BTreeSet::new(), controllers };
        Ok((!group.controllers.is_empty()).then_some(group))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use policies::application::{Decision, EXAMPLE, Form};

    fn application() -> Application {
        Form::from_toml(EXAMPLE, "x").unwrap().check().unwrap()
    }

    fn permits(application: &Application) -> BTreeMap<ControllerId, Given> {
        application
            .split()
            .iter()
            .map(|part| {
                let permit = part.permit(Decision {
                    approver: "Bente".to_owned(),
                    reason: "within the law".to_owned(),
                    at: "2026-12-01T12:00:00Z".parse().unwrap(),
                    opt_out_version: 0,
                    threshold: None,
                });
                (part.controller.clone(), Given { permits: vec![permit], revoked: BTreeSet::new(), ever: true })
            })
            .collect()
    }

    fn id(text: &str) -> ControllerId {
        text.parse().unwrap()
    }

    fn on(application: &Application, given: &BTreeMap<ControllerId, Given>, opened: bool, day: &str) -> Workspace {
        compute(application, given, opened, day.parse().unwrap())
    }

    const DAY: &str = "2027-06-01";

    #[test]
    fn it_opens_with_the_last_needed_permit_and_on_its_first_day() {
        let application = application();
        let mut given = permits(&application);
        let region = given.remove(&id("region-h")).unwrap();
        let before = on(&application, &given, false, DAY);
        assert_eq!((before.state, before.reason.as_str()), (WorkspaceState::Preparing, "waiting for region-h"));
        given.insert(id("region-h"), region);
        assert_eq!(on(&application, &given, false, "2026-12-31").state, WorkspaceState::Preparing);
        let open = on(&application, &given, false, "2027-01-01");
        assert_eq!((open.state, open.permits.len(), open.members.len()), (WorkspaceState::Open, 2, 1));
    }

    #[test]
    fn it_closes_at_expiry_and_when_a_needed_permit_is_revoked() {
        let application = application();
        let mut given = permits(&application);
        assert_eq!(on(&application, &given, true, "2029-12-31").state, WorkspaceState::Open);
        let over = on(&application, &given, true, "2030-01-01");
        assert_eq!(over.state, WorkspaceState::Closed);
        assert!(over.reason.contains("has expired") && over.permits.is_empty(), "{over:?}");
        let dst = given.get_mut(&id("dst")).unwrap();
        dst.revoked.insert(dst.permits[0].id);
        let revoked = on(&application, &given, true, DAY);
        assert_eq!(
            (revoked.state, revoked.reason.as_str()),
            (WorkspaceState::Closed, "the permit of 'dst' was revoked")
        );
    }

    #[test]
    fn a_controller_that_is_not_needed_comes_and_goes_alone() {
        let mut application = application();
        application.controllers[1].needed = false;
        let mut given = permits(&application);
        let region = given.get_mut(&id("region-h")).unwrap();
        region.revoked.insert(region.permits[0].id);
        for opened in [true, false] {
            let rest = on(&application, &given, opened, DAY);
            assert_eq!((rest.state, rest.permits.len()), (WorkspaceState::Open, 1));
            assert!(rest.permits.contains_key(&id("dst")));
        }
    }

    #[test]
    fn what_is_only_asked_for_closes_nothing() {
        let old = application();
        let given = permits(&old);
        let mut form = Form::from(&old);
        let mut third = form.controllers[1].clone();
        third.controller = "sds".to_owned();
        third.sealing = third.sealing.replace("2a1b", "4a1b");
        third.signing = third.signing.replace("3a1b", "5a1b");
        form.controllers.push(third);
        form.users.push(policies::application::UserForm { user: "bo@example.org".to_owned(), ..form.users[0].clone() });
        let amended = form.check().unwrap();
        let meanwhile = on(&amended, &given, true, DAY);
        assert_eq!((meanwhile.state, meanwhile.permits.len(), meanwhile.members.len()), (WorkspaceState::Open, 2, 1));
        // nobody who was never open opens with less than what is needed
        assert_eq!(on(&amended, &given, false, DAY).state, WorkspaceState::Preparing);
    }

    #[test]
    fn whoever_the_newest_application_leaves_out_is_out_at_once() {
        let mut application = application();
        let given = permits(&application);
        application.users[0].user = "bo@example.org".parse().unwrap();
        application.controllers[0].key_lists_to.clear();
        application.controllers.pop();
        let left = on(&application, &given, true, DAY);
        assert_eq!((left.state, left.permits.len(), left.members.len()), (WorkspaceState::Open, 1, 0));
    }
}
