//! Projects in the hub's database: an application, each controller's approver, and what they signed.

use chrono::{Duration, Utc};
use hub::{
    apply::{Actor, Applications, Screening},
    decide::PartState,
};
use policies::{
    application::{Application, ControllerForm, Decision, Form, Part, TableForm, UserForm},
    permit::{Permit, SignedPermit},
};
use proto::ids::ControllerId;
use runtime::sign::SigningKey;

/// Who vouches for the people in tests, unless a test says otherwise.
pub const ISSUER: &str = "https://id.example.org";

/// A user, and after a blank the issuer, when it is another.
fn vouched(user: &str) -> (&str, &str) {
    user.split_once(' ').unwrap_or((user, ISSUER))
}

/// A form for these users and controllers, valid from yesterday for a year.
pub fn form(project: &str, users: &[&str], controllers: &[String]) -> Form {
    let mut form = Form::from_toml(policies::application::EXAMPLE, "example").unwrap();
    let today = Utc::now().date_naive();
    form.project = project.to_owned();
    form.period.from = (today - Duration::days(1)).to_string();
    form.period.to = (today + Duration::days(365)).to_string();
    form.users = users
        .iter()
        .map(|user| {
            let (user, issuer) = vouched(user);
            UserForm { user: user.to_owned(), issuer: issuer.to_owned(), name: user.to_owned() }
        })
        .collect();
    form.lead = controllers[0].clone();
    form.deputy = None;
    form.controllers = controllers
        .iter()
        .map(|controller| ControllerForm {
            controller: controller.clone(),
            sealing: runtime::sign::fingerprint(format!("{controller} sealing").as_bytes()),
            signing: runtime::sign::fingerprint(format!("{controller} signing").as_bytes()),
            tables: vec![TableForm {
                name: "bef".to_owned(),
                columns: vec!["pnr".to_owned()],
                reason: Some("why".to_owned()),
                ..TableForm::default()
            }],
            ..ControllerForm::default()
        })
        .collect();
    form
}

/// The application of [`form`].
pub fn application(project: &str, users: &[&str], controllers: &[String]) -> Application {
    form(project, users, controllers).check().unwrap()
}

/// What an approver adds.
pub fn decision() -> Decision {
    Decision {
        approver: "Bente".to_owned(),
        reason: "within the law".to_owned(),
        at: Utc::now(),
        opt_out_version: 0,
        threshold: None,
    }
}

/// A person at the HTTP API.
pub fn person(user: &str) -> Actor {
    let (user, issuer) = vouched(user);
    Actor::Person { user: user.parse().unwrap(), issuer: Some(issuer.to_owned()) }
}

/// The part, granted as it was asked.
pub fn grant(part: &Part, key: &SigningKey) -> (Permit, String) {
    let permit = part.permit(decision());
    let compact = SignedPermit::sign(permit.clone(), key).unwrap().compact().to_owned();
    (permit, compact)
}

/// Opens a workspace: every controller has granted what was asked, signed by an approver that the hub knows.
pub async fn open(applications: &Applications, project: &str, users: &[&str], controllers: &[String]) {
    let application = application(project, users, controllers);
    let actor = person(users.first().copied().unwrap_or("nobody"));
    let now = Utc::now();
    let (record, _) = applications.submit(&application, &actor, None, Screening::Automatic, now).await.unwrap();
    for part in applications.parts(&record.id).await.unwrap() {
        let key = approver(applications, &part.controller).await;
        let (_, compact) = grant(&part.part, &key);
        assert_eq!(applications.take(&part.controller, &[compact], now).await.unwrap(), 1);
        // as if the spoke had it in its inbox
        applications.delivered(&part.id, now).await.unwrap();
    }
    assert!(applications.parts(&record.id).await.unwrap().iter().all(|p| p.state == PartState::Granted));
}

/// A new approver of a controller, registered at the hub.
pub async fn approver(applications: &Applications, controller: &ControllerId) -> SigningKey {
    let key = SigningKey::generate().unwrap();
    applications.add_approver(controller, &key.public(), "Bente", Utc::now()).await.unwrap();
    key
}
