#![allow(clippy::unwrap_used)]
use super::*;
use crate::permit::Permit;
use std::collections::BTreeMap;

fn form() -> Form {
    Form::from_toml(EXAMPLE, "example.toml").unwrap()
}

fn application() -> Application {
    form().check().unwrap()
}

fn decision() -> Decision {
    Decision {
        approver: "Bente".to_owned(),
        reason: "within the law".to_owned(),
        at: "2026-11-22T12:00:00Z".parse().unwrap(),
        opt_out_version: 7,
        threshold: None,
    }
}

fn id(text: &str) -> ControllerId {
    text.parse().unwrap()
}

/// Everybody granted what was asked.
fn granted(application: &Application) -> BTreeMap<ControllerId, Asked> {
    let parts = application.split();
    let permit = |part: &Part| -> Permit { part.permit(decision()) };
    parts
        .into_iter()
        .map(|part| (part.controller.clone(), Asked { permit: Some(permit(&part)), part, open: false }))
        .collect()
}

#[test]
fn the_example_passes_and_comes_back_from_json_and_as_a_form() {
    let application = application();
    let json = serde_json::to_string(&application).unwrap();
    assert_eq!(serde_json::from_str::<Application>(&json).unwrap(), application);
    assert_eq!(Form::from(&application).check().unwrap(), application);
    assert_eq!(application.digest(), Form::from(&application).check().unwrap().digest());
    assert_eq!(
        application.controllers[0].tables[0].columns[0].reason,
        "Links the person's rows between tables (a pseudonym of this project)."
    );
    assert!(application.controllers[1].needed);
}

#[test]
fn toml_errors_name_line_and_field() {
    let wrong = EXAMPLE.replace("title = ", "tilte = ");
    let error = Form::from_toml(&wrong, "form.toml").unwrap_err().to_string();
    assert!(error.starts_with("form.toml, line 4") && error.contains("tilte"), "{error}");
    let wrong = EXAMPLE.replace("public_body = true", "public_body = \"yes\"");
    let error = Form::from_toml(&wrong, "form.toml").unwrap_err().to_string();
    assert!(error.contains("line 37") && error.contains("boolean"), "{error}");
    let wrong = EXAMPLE.replace("from = 2027-01-01", "from = 20270101");
    let error = Form::from_toml(&wrong, "form.toml").unwrap_err().to_string();
    assert!(error.contains("line 32") && error.contains("2026-01-31"), "{error}");
}

#[test]
fn each_problem_names_its_field() {
    type Change = fn(&mut Form);
    let changes: Vec<(&str, &str, Change)> = vec![
        ("project", "controller", |f| f.project = "Diabetes!".to_owned()),
        ("title", "is missing", |f| f.title = "  ".to_owned()),
        ("title", "person number", |f| f.title = "about 010101-1234".to_owned()),
        ("title", "control", |f| f.title = "a\u{1b}[31m".to_owned()),
        ("pseudonymised_because", "Article 66", |f| f.pseudonymised_because.clear()),
        ("population", "whose", |f| f.population.clear()),
        ("output", "hub_aggregates", |f| f.output = "rows".to_owned()),
        ("prohibited_uses_acknowledged", "Article 54", |f| f.prohibited_uses_acknowledged = false),
        ("lead", "not among", |f| f.lead = "sds".to_owned()),
        ("deputy", "lead itself", |f| f.deputy = Some("dst".to_owned())),
        ("period.from", "2027-01-31", |f| f.period.from = "soon".to_owned()),
        ("period.to", "before", |f| f.period.to = "2026-12-31".to_owned()),
        ("period.to", "ten years", |f| f.period.to = "2037-01-02".to_owned()),
        ("group.organisation", "missing", |f| f.group.organisation.clear()),
        ("group.responsible", "missing", |f| f.group.responsible.clear()),
        ("users", "nobody", |f| f.users.clear()),
        ("users[1].user", "twice", |f| f.users.push(f.users[0].clone())),
        ("users[0].user", "person number", |f| f.users[0].user = "0101011234".to_owned()),
        ("users[0].issuer", "https", |f| f.users[0].issuer = "login.example.org".to_owned()),
        ("purpose.ehds", "scientific-research", |f| f.purpose.ehds = "marketing".to_owned()),
        ("purpose.ehds", "public bodies only", |f| {
            f.purpose.ehds = "policy-making".to_owned();
            f.group.public_body = false;
        }),
        ("purpose.duo[1]", "DUO:0000042", |f| f.purpose.duo.push("DUO:42".to_owned())),
        ("purpose.duo[1]", "twice", |f| f.purpose.duo.push("DUO:0000007".to_owned())),
        ("purpose.summary", "missing", |f| f.purpose.summary.clear()),
        ("caps.rows", "is 0", |f| f.caps = Some(CapsForm { rows: 0, bytes: 1, queries_per_day: 1 })),
        ("controllers[1].controller", "twice", |f| f.controllers[1].controller = "dst".to_owned()),
        ("controllers[0].sealing", "spoke identity", |f| f.controllers[0].sealing = "abc".to_owned()),
        ("controllers[1].sealing", "another key", |f| f.controllers[1].sealing = f.controllers[0].sealing.clone()),
        ("controllers[0].key_lists_to[0]", "not among", |f| f.controllers[0].key_lists_to = vec!["sds".to_owned()]),
        ("controllers[0].tables", "none", |f| f.controllers[0].tables.clear()),
        ("controllers[0].tables[0].name", "table name", |f| f.controllers[0].tables[0].name = "../bef".to_owned()),
        ("controllers[0].tables[0].columns", "none", |f| {
            f.controllers[0].tables[0].columns.clear();
            f.controllers[0].tables[0].reasons.clear();
        }),
        ("controllers[0].tables[0].columns[3]", "twice", |f| {
            f.controllers[0].tables[0].columns.push("koen".to_owned())
        }),
        ("controllers[0].tables[0].columns[1]", "no reason", |f| {
            f.controllers[0].tables[0].reason = None;
            f.controllers[0].tables[0].columns.truncate(2);
        }),
        ("controllers[0].tables[0].reasons.pnr", "empty", |f| {
            f.controllers[0].tables[0].reasons.insert("pnr".to_owned(), " ".to_owned());
        }),
        ("controllers[0].tables[0].reasons.kom", "not asked for", |f| {
            f.controllers[0].tables[0].reasons.insert("kom".to_owned(), "why".to_owned());
        }),
        ("controllers[0].tables[0].row_filter", "empty", |f| {
            f.controllers[0].tables[0].row_filter = Some(String::new())
        }),
    ];
    for (field, says, change) in changes {
        let mut form = form();
        change(&mut form);
        let problems = form.check().expect_err(field).0;
        assert!(
            problems.iter().any(|p| p.field == field && (p.message.contains(says) || field == "project")),
            "{field}, {says}: {problems:?}"
        );
        assert!(!problems.iter().any(|p| p.message.contains("0101")), "{problems:?}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let problems = Form::default().check().unwrap_err().0;
    let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
    for field in [
        "project",
        "title",
        "group.organisation",
        "users",
        "purpose.ehds",
        "output",
        "period.from",
        "lead",
        "controllers",
    ] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
}

#[test]
fn each_controller_gets_its_own_part_and_nothing_of_others_tables() {
    let application = application();
    let parts = application.split();
    assert_eq!(parts.len(), 2);
    for part in &parts {
        assert_eq!(Part::from_json(&part.to_json()).unwrap(), *part);
        assert_eq!(part.application, application.digest());
        assert_eq!(part.members.len(), 2);
        let permit = part.permit(decision());
        permit.check().unwrap();
        assert_eq!((permit.part, permit.opt_out_version, &permit.controller), (part.id, 7, &part.controller));
        assert!(part.changes_from(&permit).is_empty());
    }
    let text = String::from_utf8(parts[1].to_json()).unwrap();
    assert!(text.contains("lab_forsker") && !text.contains("foed_dag"), "{text}");
}

#[test]
fn a_part_that_could_be_no_permit_is_none() {
    let part = application().split().remove(0);
    let mut other = part.clone();
    other.tables.clear();
    assert!(matches!(Part::from_json(&other.to_json()), Err(PartError::Field { field, .. }) if field == "tables"));
    let mut other = part.clone();
    other.version = 2;
    assert!(Part::from_json(&other.to_json()).is_err());
    let mut json = serde_json::to_value(&part).unwrap();
    json["surprise"] = 1.into();
    assert!(
        matches!(Part::from_json(&serde_json::to_vec(&json).unwrap()), Err(PartError::Form(m)) if m.contains("surprise"))
    );
    assert_eq!(Part::from_json(&vec![b' '; MAX_PART + 1]), Err(PartError::TooLarge));
}

fn asks(change: impl FnOnce(&mut Form)) -> Vec<Part> {
    let old = application();
    let mut form = Form::from(&old);
    change(&mut form);
    amend(&form.check().unwrap(), &granted(&old))
}

fn who(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|p| p.controller.as_ref()).collect()
}

#[test]
fn one_more_variable_asks_its_controller_alone() {
    let parts = asks(|f| {
        f.controllers[1].tables[0].columns.push("unit".to_owned());
        f.controllers[1].tables[0].reasons.insert("unit".to_owned(), "values have units".to_owned());
    });
    assert_eq!(who(&parts), ["region-h"]);
    assert!(parts[0].replaces.is_some());
    let texts: Vec<&str> = parts[0].changes.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["table 'lab_forsker': column 'unit' added"]);
    assert!(parts[0].changes[0].wider);
}

#[test]
fn one_more_controller_asks_everybody_since_people_get_linked_with_its_people() {
    let parts = asks(|f| {
        let mut third = f.controllers[1].clone();
        third.controller = "sds".to_owned();
        third.sealing = third.sealing.replace("2a1b", "4a1b");
        third.signing = third.signing.replace("3a1b", "5a1b");
        f.controllers.push(third);
    });
    assert_eq!(who(&parts), ["dst", "region-h", "sds"]);
    assert!(parts[0].changes[0].text.contains("'sds' joins"));
    assert!(parts[2].replaces.is_none() && parts[2].changes.is_empty());
}

#[test]
fn another_year_and_another_user_ask_everybody_and_no_change_asks_nobody() {
    let parts = asks(|f| f.period.to = "2030-12-31".to_owned());
    assert_eq!(who(&parts), ["dst", "region-h"]);
    assert_eq!(parts[0].changes[0].text, "ends on 2030-12-31 instead of 2029-12-31");
    let parts = asks(|f| {
        f.users.push(UserForm { user: "bo@example.org".to_owned(), ..f.users[0].clone() });
    });
    assert_eq!(who(&parts), ["dst", "region-h"]);
    assert!(parts[0].changes[0].text.contains("bo@example.org") && parts[0].changes[0].wider);
    assert!(asks(|_| ()).is_empty());
    assert!(asks(|f| f.controllers[0].tables[0].reasons.clear_and_say("koen")).is_empty());
}

trait Reword {
    fn clear_and_say(&mut self, column: &str);
}

impl Reword for BTreeMap<String, String> {
    fn clear_and_say(&mut self, column: &str) {
        self.insert(column.to_owned(), "in other words".to_owned());
    }
}

#[test]
fn a_controller_that_leaves_asks_nobody() {
    let parts = asks(|f| {
        f.controllers.pop();
        f.deputy = None;
        f.controllers[0].key_lists_to.clear();
    });
    // The deputy and the key lists are in the other's permit.
    assert_eq!(who(&parts), ["dst"]);
    let old = application();
    let mut form = Form::from(&old);
    form.deputy = None;
    form.controllers[0].key_lists_to.clear();
    let old = form.check().unwrap();
    form.controllers.pop();
    assert!(amend(&form.check().unwrap(), &granted(&old)).is_empty());
}

#[test]
fn what_was_asked_and_not_granted_is_not_asked_again_but_told_when_asked_anew() {
    let old = application();
    let mut before = granted(&old);
    // dst granted without the date of birth; region-h refused.
    before.get_mut(&id("dst")).unwrap().permit.as_mut().unwrap().tables[0].columns.pop();
    before.get_mut(&id("region-h")).unwrap().permit = None;
    assert!(amend(&old, &before).is_empty());
    let mut form = Form::from(&old);
    form.period.to = "2030-12-31".to_owned();
    let parts = amend(&form.check().unwrap(), &before);
    assert_eq!(who(&parts), ["dst", "region-h"]);
    let texts: Vec<&str> = parts[0].changes.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["table 'bef': column 'foed_dag' added", "ends on 2030-12-31 instead of 2029-12-31"]);
    assert!(parts[1].replaces.is_none());
    // still undecided: the new part takes its place
    before.get_mut(&id("region-h")).unwrap().open = true;
    let parts = amend(&form.check().unwrap(), &before);
    assert_eq!(parts[1].supersedes, Some(before[&id("region-h")].part.id));
}

#[test]
fn every_term_shows_when_it_changes() {
    let part = application().split().remove(0);
    let permit = part.permit(decision());
    type Change = fn(&mut Part);
    let changes: [(&str, bool, Change); 14] = [
        ("title", false, |p| p.title.push('x')),
        ("purpose.ehds", true, |p| p.purpose.ehds = crate::purpose::EhdsPurpose::Education),
        ("purpose.duo", true, |p| p.purpose.duo.clear()),
        ("purpose.summary", true, |p| p.purpose.summary.push('x')),
        ("controllers", true, |p| p.members[1].signing = "ffff".to_owned()),
        ("lead", false, |p| p.lead = id("region-h")),
        ("deputy", false, |p| p.deputy = None),
        ("output", true, |p| p.output = Output::EnclaveRows),
        ("output", false, |p| p.output = Output::SpokeAggregates),
        ("caps.rows", true, |p| p.caps.rows += 1),
        ("client_signature", false, |p| p.client_signature = true),
        ("period.from", true, |p| p.valid_from = "2026-12-01".parse().unwrap()),
        ("key_lists_to", false, |p| p.key_lists_to.clear()),
        ("tables.bef", true, |p| p.tables[0].row_filter = None),
    ];
    for (field, wider, change) in changes {
        let mut other = part.clone();
        change(&mut other);
        let found = other.changes_from(&permit);
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!((found[0].field.as_str(), found[0].wider), (field, wider), "{found:?}");
    }
}

#[test]
fn blind_totals_are_asked_of_their_members_and_only_with_totals_alone() {
    let custodian = runtime::sealing::SealingKey::generate().unwrap().public().to_string();
    let mut blind = form();
    for name in ["sds", "region-m"] {
        let mut third = blind.controllers[0].clone();
        third.controller = name.to_owned();
        third.sealing = runtime::sign::fingerprint(format!("{name} sealing").as_bytes());
        third.signing = runtime::sign::fingerprint(format!("{name} signing").as_bytes());
        blind.controllers.push(third);
    }
    blind.output = "spoke_aggregates".to_owned();
    let members = ["region-h", "sds", "dst"].map(str::to_owned).to_vec();
    blind.blind = Some(BlindForm { members, custodian: custodian.clone() });
    let application = blind.check().unwrap();
    assert_eq!(Form::from(&application).check().unwrap(), application);
    let parts = application.split();
    let of = |name: &str| parts.iter().find(|part| part.controller == id(name)).unwrap();
    let permit = of("sds").permit(decision());
    assert_eq!(permit.blind.as_ref().unwrap().members, [id("dst"), id("region-h"), id("sds")]);
    permit.check().unwrap();
    assert_eq!(Part::from_json(&of("sds").to_json()).unwrap(), *of("sds"));
    assert!(of("region-m").blind.is_none(), "nobody is asked for what it isn't in");
    // Another set is another thing to decide on.
    let mut wider = blind.clone();
    wider.blind.as_mut().unwrap().members.push("region-m".to_owned());
    let wider = wider.check().unwrap();
    let changed = amend(&wider, &granted(&application));
    assert_eq!(changed.len(), 4);
    assert!(
        changed[0].changes.iter().any(|change| change.field == "blind" && change.wider),
        "{:?}",
        changed[0].changes
    );
    let wrong = |change: fn(&mut Form)| {
        let mut form = blind.clone();
        change(&mut form);
        form.check().unwrap_err().to_string()
    };
    assert!(wrong(|form| form.output = "hub_aggregates".to_owned()).contains("blind: goes with output"));
    assert!(wrong(|form| form.blind.as_mut().unwrap().members.truncate(2)).contains("blind.members: names 2"));
    assert!(
        wrong(|form| form.blind.as_mut().unwrap().members[0] = "other".to_owned()).contains("'other' is not among")
    );
    assert!(
        wrong(|form| form.blind.as_mut().unwrap().custodian = "12".to_owned())
            .contains("blind.custodian: not a public")
    );
}
