#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::zone::Zone;

mod cases;
mod golden;

fn anna() -> proto::ids::UserId {
    "anna@example.org".parse().unwrap()
}

#[test]
fn the_schema_and_the_list_of_actions_are_one_to_one() {
    let schema = load::schema(SCHEMA).unwrap();
    let mut said: Vec<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    let mut known: Vec<String> = Action::ALL.iter().map(|a| a.name().to_owned()).collect();
    said.sort();
    known.sort();
    assert_eq!(said, known);
}

#[test]
fn a_state_that_the_schema_does_not_know_is_found_when_policies_are_built() {
    let wrong = r#"@id("x") @reason("y") permit (principal is Eger::Person, action == Eger::Action::"hub.query.open",
        resource is Eger::Project) when { resource.state == Eger::ProjectState::"opne" };"#;
    assert!(matches!(Authorizer::of(&[("x.cedar", wrong)]), Err(PolicyProblem::Invalid(_))));
    let wrong = wrong.replace("resource.state == Eger::ProjectState::\"opne\"", "resource.owner == principal");
    assert!(matches!(Authorizer::of(&[("x.cedar", &wrong)]), Err(PolicyProblem::Invalid(_))));
}

#[test]
fn a_policy_without_name_or_reason_is_refused() {
    let bare = "permit (principal is Eger::Person, action == Eger::Action::\"hub.session\", resource is Eger::System);";
    for (text, missing) in [
        (bare.to_owned(), "@reason"),
        (format!("@id(\"x\") {bare}"), "@reason"),
        (format!("@id(\"x\") @reason(\" \") {bare}"), "@reason"),
        (format!("@reason(\"x\") {bare}"), "@id"),
    ] {
        let error = Authorizer::of(&[("x.cedar", &text)]).unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
    let twice = format!("@id(\"x\") @reason(\"y\") {bare}").repeat(2);
    assert!(matches!(Authorizer::of(&[("x.cedar", &twice)]), Err(PolicyProblem::Unusable { .. })));
}

fn session(user: &proto::ids::UserId) -> Request<'_> {
    let actor = Actor::Person { user, issuer: "https://id.example.org", proof: Proof::Issuer, roles: &[], bound: None };
    Request::new(actor, Action::HubSession, Resource::System).in_zone(Zone::Open)
}

#[test]
fn an_erring_forbid_denies_instead_of_being_skipped() {
    let permit = r#"@id("yes") @reason("y") permit (principal, action, resource);"#;
    let errs = r#"@id("errs") @reason("y") forbid (principal, action, resource) when { principal.nothing == 1 };"#;
    let schema = || load::schema(SCHEMA).unwrap();
    let set = |text: &str| load::policies(&[("x.cedar", text)]).unwrap();
    let user = anna();
    let sound = Authorizer::unvalidated(schema(), set(permit)).unwrap();
    assert!(sound.decide(&session(&user)).allows());
    // What Cedar itself says of it: allowed, since the forbid erred.
    let erring = Authorizer::unvalidated(schema(), set(&format!("{permit}\n{errs}"))).unwrap();
    assert_eq!(erring.ask(&session(&user)).unwrap().decision(), Verdict::Allow);
    let Decision::Deny(denial) = erring.decide(&session(&user)) else { panic!("an erring policy let somebody in") };
    assert!(denial.errors[0].contains("errs"), "{denial}");
    // And such a policy doesn't get past the strict validation in the first place.
    assert!(Authorizer::of(&[("x.cedar", errs)]).is_err());
}

#[test]
fn unknown_roles_are_no_roles() {
    for text in [
        "",
        "admin",
        "Operator",
        "operator ",
        "approver",
        "approver:",
        "approver:A B",
        "operator:dst",
        "checker",
        "checker:A B",
    ] {
        assert!(text.parse::<HubRole>().is_err(), "{text}");
    }
    assert_eq!("approver:dst".parse::<HubRole>().unwrap(), HubRole::Approver("dst".parse().unwrap()));
    assert_eq!("checker:ssi".parse::<HubRole>().unwrap(), HubRole::Checker("ssi".parse().unwrap()));
    let (authorizer, user) = (Authorizer::new().unwrap(), anna());
    let list = |roles| {
        let actor = Actor::Person { user: &user, issuer: "https://i", proof: Proof::Issuer, roles, bound: None };
        let request = Request::new(actor, Action::ControllersList, Resource::System);
        authorizer.decide(&request.in_zone(Zone::Open)).allows()
    };
    assert!(list(&[HubRole::Operator]) && list(&[HubRole::Coordinator]));
    assert!(!list(&[]));
    assert!(!list(&[HubRole::Approver("dst".parse().unwrap())]));
}

#[test]
fn a_role_that_the_schema_does_not_know_is_denied_by_cedar_too() {
    let authorizer = Authorizer::new().unwrap();
    let user = anna();
    let mut entity = authorizer.kinds.principal(&session(&user).actor).unwrap().to_json_value().unwrap();
    entity["attrs"]["roles"] = serde_json::json!([{ "__entity": { "type": "Eger::Role", "id": "admin" } }]);
    let entity = cedar_policy::Entity::from_json_value(entity, None).unwrap();
    assert!(Entities::from_entities([entity], Some(&authorizer.schema)).is_err());
}

#[test]
fn a_zone_that_was_not_stated_is_no_zone() {
    let user = anna();
    let mut request = session(&user);
    request.circumstances.zone = None;
    let Decision::Deny(denial) = Authorizer::new().unwrap().decide(&request) else { panic!("allowed without a zone") };
    assert!(denial.to_string().contains("zone"), "{denial}");
}

#[test]
fn people_are_told_apart_by_who_vouches_for_them() {
    let (authorizer, user) = (Authorizer::new().unwrap(), anna());
    let project = "diabetes".parse().unwrap();
    let ask = |issuer| {
        let actor = Actor::Person { user: &user, issuer, proof: Proof::Issuer, roles: &[], bound: None };
        let resource =
            Resource::Project { id: &project, members: vec![(&user, "https://one")], state: ProjectState::Open };
        authorizer.decide(&Request::new(actor, Action::HubQueryOpen, resource).in_zone(Zone::Open)).allows()
    };
    assert!(ask("https://one"));
    assert!(!ask("https://two"));
    assert!(!ask("https://one "));
}

#[test]
fn names_from_outside_are_ids_and_never_policy_text() {
    let (authorizer, user) = (Authorizer::new().unwrap(), anna());
    let issuer = "https://i\" || true || \"";
    let actor = Actor::Person { user: &user, issuer, proof: Proof::Issuer, roles: &[], bound: None };
    let resource = Resource::Token { owner: (&user, "https://i") };
    assert!(!authorizer.decide(&Request::new(actor, Action::TokenRevoke, resource).in_zone(Zone::Open)).allows());
}

#[test]
fn a_denial_says_which_policy_and_why() {
    let (authorizer, user) = (Authorizer::new().unwrap(), anna());
    let actor = Actor::Person { user: &user, issuer: "https://i", proof: Proof::Personal, roles: &[], bound: None };
    let request = Request::new(actor, Action::HubSession, Resource::System).in_zone(Zone::Open);
    let denial = authorizer.decide(&request).or_denied().unwrap_err();
    assert_eq!(denial.forbidden_by[0].0, "data-needs-an-issuer");
    assert!(denial.to_string().contains("access token of a trusted issuer"), "{denial}");
    let nobody = Request::new(Actor::Anonymous, Action::HubSession, Resource::System).in_zone(Zone::Open);
    let denial = authorizer.decide(&nobody).or_denied().unwrap_err();
    assert_eq!(denial.to_string(), "'hub.session' denied; no policy permits it");
}

#[test]
fn a_trail_shows_each_decision_and_its_answer_in_order() {
    let (trail, user) = (trail::Trail::default(), anna());
    let authorizer = Authorizer::new().unwrap();
    let _followed = tracing::dispatcher::set_default(&trail.dispatch());
    assert!(authorizer.decide(&session(&user)).allows());
    let nobody = Request::new(Actor::Anonymous, Action::LinkNudge, Resource::System);
    assert!(!authorizer.decide(&nobody).allows());
    assert_eq!(trail.taken(), [(Action::HubSession, true), (Action::LinkNudge, false)]);
    assert!(trail.taken().is_empty());
}
