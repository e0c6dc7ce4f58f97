//! Every answer, as a file that people review: `policies/golden/matrix.txt`.
//!
//! `EGER_BLESS=1 cargo nextest run -p policies -E 'test(golden)'` writes it anew; the change is then for review.

use super::{cases::World, *};
use std::{collections::BTreeMap, fmt::Write, path::Path};

const HEAD: &str = "\
Who may do what: every answer of the policies in policies/cedar/.

Below each action stand groups of roles (A, B, ..) that get the same answers, then one line for each situation. A role that
isn't named in a group is denied in every situation; those roles are listed, too, so that nobody is forgotten.
'named person' is who the question is about: the member of the project, the applicant, the token's owner, the user named
in the permit. docs/permissions.md explains roles and states, and what the custodian answers. This file is written by a test and reviewed by people:
EGER_BLESS=1 cargo nextest run -p policies -E 'test(golden)'
";

/// All answers: action -> situation -> role -> allowed.
type Answers = BTreeMap<(Action, String, &'static str), bool>;

fn answers(authorizer: &Authorizer, world: &World) -> Answers {
    let mut all = Answers::new();
    for &action in Action::ALL {
        for (situation, resource, circumstances) in world.situations(action) {
            for (role, actor) in world.roles() {
                let request = Request { actor, action, resource: resource.clone(), circumstances };
                let before = all.insert((action, situation.clone(), role), authorizer.decide(&request).allows());
                assert!(before.is_none(), "{action}: '{situation}' stands twice");
            }
        }
    }
    all
}

fn wrapped(text: &mut String, label: &str, names: &[&str]) {
    let mut line = format!("  {label} ");
    let indent = " ".repeat(6);
    for (index, name) in names.iter().enumerate() {
        let piece = if index + 1 < names.len() { format!("{name}; ") } else { (*name).to_owned() };
        if line.len() + piece.trim_end().len() > 118 {
            let _ = writeln!(text, "{}", line.trim_end());
            line.clone_from(&indent);
        }
        line.push_str(&piece);
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn matrix(answers: &Answers, world: &World) -> String {
    let mut text = HEAD.to_owned();
    let mut party = None;
    for &action in Action::ALL {
        if party != Some(action.party()) {
            party = Some(action.party());
            let title = match action.party() {
                Party::Hub => "AT THE HUB",
                Party::Spoke => "AT A CONTROLLER'S SPOKE",
            };
            let _ = write!(text, "\n\n{title}\n{}\n", "=".repeat(title.len()));
        }
        let _ = write!(text, "\n{} [{}]\n", action.what(), action.name());
        let situations: Vec<_> = world.situations(action).into_iter().map(|(name, ..)| name).collect();
        let mut groups: Vec<(Vec<bool>, Vec<&str>)> = Vec::new();
        for (role, _) in world.roles() {
            let column: Vec<_> = situations.iter().map(|s| answers[&(action, s.clone(), role)]).collect();
            match groups.iter_mut().find(|(other, _)| *other == column) {
                Some((_, roles)) => roles.push(role),
                None => groups.push((column, vec![role])),
            }
        }
        let (some, none): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(column, _)| column.contains(&true));
        for (letter, (_, roles)) in ('A'..).zip(&some) {
            wrapped(&mut text, &format!("{letter} ="), roles);
        }
        for (_, roles) in &none {
            wrapped(&mut text, "denied always:", roles);
        }
        if some.is_empty() {
            wrapped(&mut text, "situations:", &situations.iter().map(String::as_str).collect::<Vec<_>>());
            continue;
        }
        let width = situations.iter().map(String::len).max().unwrap_or_default() + 2;
        let letters: Vec<_> = ('A'..).take(some.len()).map(|letter| format!("{letter:<7}")).collect();
        let _ = writeln!(text, "    {:width$}{}", "", letters.concat().trim_end());
        for (index, situation) in situations.iter().enumerate() {
            let cells: Vec<_> =
                some.iter().map(|(column, _)| if column[index] { "allow  " } else { "deny   " }).collect();
            let _ = writeln!(text, "    {situation:width$}{}", cells.concat().trim_end());
        }
    }
    text
}

#[test]
fn golden_matrix() {
    let world = World::new();
    let found = matrix(&answers(&Authorizer::new().unwrap(), &world), &world);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/matrix.txt");
    if std::env::var_os("EGER_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (reviewed, found)) in reviewed.lines().zip(found.lines()).enumerate() {
        assert_eq!(reviewed, found, "golden/matrix.txt, line {}: the policies say otherwise", number + 1);
    }
    assert_eq!(reviewed.len(), found.len(), "golden/matrix.txt is shorter or longer than what the policies say");
}

#[test]
fn every_action_and_every_state_has_rows_in_the_reviewed_matrix() {
    let reviewed = include_str!("../../../golden/matrix.txt");
    for action in Action::ALL {
        assert!(reviewed.contains(&format!(" [{}]\n", action.name())), "{action} has no rows");
    }
    let states = PermitState::ALL.iter().map(|s| s.name());
    let states = states.chain(ProjectState::ALL.iter().map(|s| s.name()));
    let states = states.chain(ApplicationState::ALL.iter().map(|s| s.name()));
    let states = states.chain(AirlockState::ALL.iter().map(|s| s.name()));
    for state in states.chain(ControllerState::ALL.iter().map(|s| s.name())) {
        assert!(reviewed.contains(state), "{state} has no rows");
    }
}

#[test]
fn without_any_one_policy_the_matrix_differs() {
    let world = World::new();
    let whole = Authorizer::new().unwrap();
    // By policy: the requests that it had a part in deciding. No other answer can depend on it.
    let mut decided: BTreeMap<String, Vec<(Request<'_>, bool)>> = BTreeMap::new();
    for &action in Action::ALL {
        for (_, resource, circumstances) in world.situations(action) {
            for (_, actor) in world.roles() {
                let request = Request { actor, action, resource: resource.clone(), circumstances };
                let (policies, allowed) = match whole.decide(&request) {
                    Decision::Allow { policies } => (policies, true),
                    Decision::Deny(denial) => (denial.forbidden_by.into_iter().map(|(id, _)| id).collect(), false),
                };
                for policy in policies {
                    decided.entry(policy).or_default().push((request.clone(), allowed));
                }
            }
        }
    }
    let ids: Vec<_> = whole.policies.policies().map(|policy| policy.id().clone()).collect();
    assert!(ids.len() > 30, "{} policies", ids.len());
    for id in ids {
        let mut fewer = whole.policies.clone();
        fewer.remove_static(id.clone()).unwrap();
        let fewer = Authorizer::unvalidated(load::schema(SCHEMA).unwrap(), fewer).unwrap();
        let asked = decided.get(&id.to_string()).map(Vec::as_slice).unwrap_or_default();
        let differs = asked.iter().any(|(request, allowed)| fewer.decide(request).allows() != *allowed);
        assert!(differs, "the matrix doesn't show that '{id}' is there");
    }
}

/// What must be true whatever the policies say later; it is no copy of them.
#[test]
fn lines_that_no_policy_may_cross() {
    let world = World::new();
    let answers = answers(&Authorizer::new().unwrap(), &world);
    for ((action, situation, role), allowed) in answers.iter().filter(|(_, allowed)| **allowed) {
        let told = format!("{action}, {situation}, {role}: {allowed}");
        if *action == Action::ApplicationDecide {
            assert!(*role == "the controller's approver, by signature", "the hub decides on nothing: {told}");
        }
        if *role == "command on the hub's machine" {
            assert!(["token.", "controller", "hub.audit"].iter().any(|own| action.name().starts_with(own)), "{told}");
        }
        assert!(!role.contains("before its expulsion"), "{told}");
        if matches!(
            action,
            Action::SpokeScanOpen
                | Action::SpokeScanEnclave
                | Action::SpokeScanChecked
                | Action::SpokeScanBlind
                | Action::SpokeCatalogue
                | Action::SpokeKeyList
        ) {
            assert!(situation.contains("live"), "an answer without a live permit: {told}");
            let catalogue = *action == Action::SpokeCatalogue && situation.contains("for quick tests");
            assert!(catalogue || role.starts_with("named person"), "an answer to somebody not named: {told}");
        }
        if *action == Action::SpokeScanQuick {
            assert!(
                situation.starts_with("open zone: live, for quick tests"),
                "people counted under no such permit: {told}"
            );
            assert!(!role.contains("personal token") && !role.contains("not signed in"), "{told}");
        } else {
            assert!(!situation.contains("names people"), "more than a count under a standing permit: {told}");
        }
        if *action == Action::HubCount {
            assert!(situation == "open zone" && !role.contains("personal token"), "{told}");
        }
        if action.name().starts_with("hub.query") || *action == Action::HubCatalogue {
            assert!(role.starts_with("named person"), "no role opens data: {told}");
        }
        if *action == Action::HubQueryEnclave || *action == Action::SpokeScanEnclave {
            assert!(situation.contains("enclave"), "{told}");
        }
        if action.party() == Party::Spoke && role.contains("hub") {
            assert!(*role == "own hub" && !action.name().starts_with("spoke.scan"), "{told}");
        }
        let decides = *action == Action::AirlockReview || *action == Action::AirlockExamine;
        if decides {
            assert!(*role == "checker" && situation.starts_with("enclave"), "a check that is none: {told}");
        }
        if action.name().starts_with("airlock.") && !decides {
            assert!(role.starts_with("named person") && !situation.contains("has left"), "{told}");
        }
        if matches!(action, Action::AirlockSubmit | Action::AirlockRead | Action::AirlockChange) {
            assert!(situation.starts_with("enclave"), "something written inside is seen outside: {told}");
        }
        if *action == Action::AirlockAnswer {
            assert!(situation.starts_with("open zone"), "something written inside leaves at once: {told}");
        }
        if *action == Action::AirlockRelease {
            assert!(situation.contains(": approved") || situation.contains(": released"), "{told}");
        }
        if action.name().starts_with("spoke.epoch") || *action == Action::SpokeAcceptance {
            assert!(situation.starts_with("live"), "a key without a live permit: {told}");
        }
    }
}
