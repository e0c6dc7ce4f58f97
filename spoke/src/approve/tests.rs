#![allow(clippy::unwrap_used)]
//! From a part to a decision that counts.

use super::{
    approvers,
    book::{Book, State},
    columns::{self, Known, Tables},
    decide::{self, DecideError, Narrow},
    inbox::{Inbox, Received},
    summary,
};
use crate::{config::SpokeConfig, declare};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::{NaiveDate, Utc};
use policies::{
    application::{Decision, EXAMPLE, Form, Part},
    permit::Output,
    receipt::Reason,
};
use proto::ids::PartId;
use runtime::sign::SigningKey;
use std::{collections::HashMap, sync::Arc};

struct Desk {
    _folder: tempfile::TempDir,
    config: SpokeConfig,
    key: SigningKey,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = SpokeConfig::parse("controller = \"region-h\"\n", "spoke.toml", folder.path()).unwrap();
        let key = SigningKey::generate().unwrap();
        approvers::trust(&config.approvers_dir(), "bente", &key.public()).unwrap();
        Self { _folder: folder, config, key }
    }

    fn book(&self) -> Book {
        Book::read(&(&self.config).into()).unwrap()
    }
}

fn part() -> Part {
    let form: Form = toml::from_str(EXAMPLE).unwrap();
    form.check().unwrap().split().into_iter().find(|part| part.controller.as_str() == "region-h").unwrap()
}

fn decision() -> Decision {
    Decision {
        approver: "bente".to_owned(),
        reason: "within the law".to_owned(),
        at: Utc::now(),
        opt_out_version: 3,
        threshold: None,
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn tables() -> Tables {
    let mut fields: Vec<Field> = ["samplingdate", "analysiscode", "value"]
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect();
    let about = [(proto::schema::ROLE, proto::schema::PERSON), (proto::schema::EN, "Person number")];
    let about: HashMap<_, _> = about.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    fields.push(Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(about));
    let description = declare::Text { da: String::new(), en: "Laboratory results".to_owned() };
    let known = Known { schema: Arc::new(Schema::new(fields)), description, published: true };
    Tables::from([("lab_forsker".parse().unwrap(), known)])
}

#[test]
fn what_is_asked_can_be_narrowed_and_never_widened() {
    let part = part();
    let narrow = Narrow {
        valid_to: Some(day("2027-06-30")),
        drop_columns: vec![("lab_forsker".parse().unwrap(), "value".to_owned())],
        rows: Some(1_000),
        queries_per_day: Some(u32::MAX),
        threshold: Some(10),
        client_signature: true,
        ..Narrow::default()
    };
    let permit = decide::permit(&part, &narrow, decision()).unwrap();
    assert_eq!(permit.valid_to, day("2027-06-30"));
    assert_eq!(permit.tables[0].columns, ["pnr", "samplingdate", "analysiscode"]);
    assert_eq!((permit.caps.rows, permit.caps.queries_per_day), (1_000, part.caps.queries_per_day));
    assert_eq!((permit.threshold, permit.client_signature, permit.opt_out_version), (Some(10), true, 3));
    let refused = |narrow: Narrow| {
        let error = decide::permit(&part, &narrow, decision()).unwrap_err();
        assert!(matches!(error, DecideError::Narrow(_) | DecideError::Permit(_)), "{error}");
        error.to_string()
    };
    assert!(refused(Narrow { valid_to: Some(day("2035-01-01")), ..Narrow::default() }).contains("--valid-to"));
    assert!(refused(Narrow { valid_from: Some(day("2020-01-01")), ..Narrow::default() }).contains("--valid-from"));
    assert!(refused(Narrow { output: Some(Output::EnclaveRows), ..Narrow::default() }).contains("--output"));
    let lab = || "lab_forsker".parse().unwrap();
    let unknown = vec![(lab(), "volume".to_owned())];
    assert!(refused(Narrow { drop_columns: unknown, ..Narrow::default() }).contains("is not asked for"));
    let all = part.tables[0].columns.iter().map(|column| (lab(), column.name.clone())).collect();
    assert!(refused(Narrow { drop_columns: all, ..Narrow::default() }).contains("nothing would be left"));
}

#[test]
fn the_approver_reads_all_that_is_signed() {
    let mut part = part();
    part.title = "Good\u{1b}[31m red \u{202e}title".to_owned();
    part.key_lists_to = vec!["dst".parse().unwrap()];
    let permit = decide::permit(&part, &Narrow::default(), decision()).unwrap();
    let text = summary::text(&part, &permit, &tables(), None, &[]);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    for needed in [
        "University of Example",
        "anna@example.org",
        "scientific research (EHDS Art. 53(1)(e))",
        "Laboratory results",
        "Person number; person, as a pseudonym of the project",
        "HbA1c over time is the outcome.",
        "only rows where: analysiscode = 'NPU27300'",
        "2027-01-01 to 2029-12-31",
        "hub_aggregates",
        "LEARN WHICH OF YOUR PEOPLE ARE IN A COHORT: dst",
        "opt-outs up to version 3",
        "2a1b-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9",
    ] {
        assert!(text.contains(needed), "{needed} is missing in:\n{text}");
    }
    // Of an amendment: what is different, from the permit that is held here and not from what the hub says.
    let mut before = permit.clone();
    before.tables[0].columns.retain(|column| column != "value");
    part.changes.clear();
    let text = summary::text(&part, &permit, &tables(), Some(&before), &[]);
    assert!(text.contains("MORE: table 'lab_forsker': column 'value' added"), "{text}");
}

#[test]
fn what_the_tables_do_not_have_cannot_be_granted() {
    let part = part();
    let mut permit = decide::permit(&part, &Narrow::default(), decision()).unwrap();
    assert_eq!(columns::misfits(&permit, &tables()), Vec::<String>::new());
    permit.tables[0].columns.push("nowhere".to_owned());
    permit.tables[0].row_filter = Some("pnr is not null".to_owned());
    let wrong = columns::misfits(&permit, &tables());
    assert!(wrong[0].contains("no column 'nowhere'") && wrong[1].contains("row_filter"), "{wrong:?}");
    permit.tables[0].name = "other".parse().unwrap();
    assert!(columns::misfits(&permit, &tables())[0].contains("neither published nor declared"));
}

#[test]
fn a_decision_is_kept_counts_and_stands_in_the_log() {
    let desk = Desk::new();
    let (part, today) = (part(), day("2027-06-01"));
    let permit = decide::permit(&part, &Narrow::default(), decision()).unwrap();
    let first = decide::grant(&desk.config, permit, &desk.key).unwrap().permit().clone();
    assert_eq!(desk.book().live(&part.project, today).unwrap().approver, "bente");
    assert!(desk.book().decided(part.id) && desk.book().has_future(&part.project, Utc::now().date_naive()));
    // An amendment takes its place, from its first day on.
    let mut amended = self::part();
    amended.replaces = Some(first.id);
    let narrow = Narrow { valid_from: Some(day("2027-07-01")), ..Narrow::default() };
    let second = decide::permit(&amended, &narrow, decision()).unwrap();
    let second = decide::grant(&desk.config, second, &desk.key).unwrap().permit().clone();
    let book = desk.book();
    assert_eq!(book.live(&part.project, today).unwrap().permit().id, first.id);
    assert_eq!(book.state(&second, today), State::NotYet);
    assert_eq!(book.live(&part.project, day("2027-07-01")).unwrap().permit().id, second.id);
    assert_eq!(book.state(&first, day("2027-07-01")), State::Replaced);
    assert_eq!(book.state(&second, day("2030-01-01")), State::Expired);
    decide::revoke(&desk.config, book.permit(second.id).unwrap(), "bente", "the contract has ended", &desk.key)
        .unwrap();
    let book = desk.book();
    assert_eq!(book.state(&second, day("2027-07-01")), State::Revoked);
    assert!(book.live(&part.project, day("2027-07-01")).is_none());
    let refused = self::part();
    decide::refuse(&desk.config, &refused, "bente", "another purpose", &desk.key).unwrap();
    let book = desk.book();
    assert!(book.decided(refused.id));
    assert_eq!(book.statements().len(), 4);
    let events: Vec<String> = runtime::audit::read(&desk.config.audit_log())
        .unwrap()
        .map(|item| item.unwrap().0.event["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["permit_signed", "permit_signed", "permit_revoked", "part_refused"]);
    // Whoever is trusted no more has decided nothing; a revocation still ends its permit.
    approvers::untrust(&desk.config.approvers_dir(), "bente").unwrap();
    let book = desk.book();
    assert_eq!((book.permits().count(), book.statements().len(), book.broken().len()), (0, 0, 4));
    assert_eq!(book.state(&second, day("2027-07-01")), State::Revoked);
}

#[test]
fn a_project_that_is_over_was_taken_back_or_its_last_day_is_over() {
    let desk = Desk::new();
    let grant = |from: &str, to: &str, replaces| {
        let mut part = part();
        (part.id, part.replaces) = (PartId::new(), replaces);
        let narrow = Narrow { valid_from: Some(day(from)), valid_to: Some(day(to)), ..Narrow::default() };
        let permit = decide::permit(&part, &narrow, decision()).unwrap();
        decide::grant(&desk.config, permit, &desk.key).unwrap().permit().clone()
    };
    let revoke = |permit| {
        decide::revoke(&desk.config, desk.book().permit(permit).unwrap(), "bente", "over", &desk.key).unwrap();
    };
    let project = part().project;
    assert!(desk.book().ongoing(day("2027-06-01")).is_empty());
    assert_eq!(desk.book().end(&project, day("2027-06-01")), Reason::Revoked, "no permit counts any more");
    let first = grant("2027-02-01", "2027-06-30", None);
    assert!(desk.book().ongoing(day("2027-01-31")).is_empty(), "nothing was answered yet");
    assert!(desk.book().ongoing(day("2027-02-01")).contains(&project));
    assert!(desk.book().ongoing(day("2027-07-01")).is_empty());
    assert_eq!(desk.book().end(&project, day("2027-07-01")), Reason::Expired);
    // It goes on in autumn: until then there is what was answered in spring.
    let second = grant("2027-09-01", "2027-12-31", None);
    assert!(desk.book().ongoing(day("2027-07-01")).contains(&project));
    assert_eq!(desk.book().end(&project, day("2028-01-01")), Reason::Expired);
    // Taken back before its day; seen later, that is still why it ended.
    revoke(second.id);
    assert_eq!(desk.book().end(&project, day("2027-09-01")), Reason::Revoked);
    assert_eq!(desk.book().end(&project, day("2028-01-01")), Reason::Revoked);
    // One in the place of another has taken over its end.
    let third = grant("2027-02-01", "2028-06-30", Some(first.id));
    let fourth = grant("2027-03-01", "2028-03-31", Some(third.id));
    assert_eq!(desk.book().end(&project, day("2028-04-01")), Reason::Expired);
    revoke(fourth.id);
    assert_eq!(desk.book().end(&project, day("2028-04-01")), Reason::Revoked);
}

#[test]
fn a_part_waits_until_it_is_decided_on() {
    let desk = Desk::new();
    let inbox = Inbox::from(&desk.config);
    let mut part = part();
    assert_eq!(inbox.receive(&part.to_json()).unwrap().1, Received::New);
    assert_eq!(inbox.receive(&part.to_json()).unwrap().1, Received::Known);
    // One that takes its place while it waits.
    let earlier = part.id;
    part.id = PartId::new();
    part.supersedes = Some(earlier);
    inbox.receive(&part.to_json()).unwrap();
    let (waiting, broken) = inbox.waiting().unwrap();
    assert_eq!((waiting.len(), broken.len()), (1, 0));
    assert_eq!(waiting[0].id, part.id);
    assert!(inbox.part(earlier).is_err());
    inbox.settle(part.id).unwrap();
    assert_eq!(inbox.waiting().unwrap().0.len(), 0);
    assert_eq!(inbox.receive(&part.to_json()).unwrap().1, Received::Known);
}

#[test]
fn an_approvers_name_holds_one_key() {
    let desk = Desk::new();
    let folder = desk.config.approvers_dir();
    approvers::trust(&folder, "bente", &desk.key.public()).unwrap();
    let other = SigningKey::generate().unwrap();
    assert!(approvers::trust(&folder, "bente", &other.public()).unwrap_err().to_string().contains("untrust bente"));
    for name in ["", "../x", "Bente", "a/b", ".hidden"] {
        assert!(approvers::trust(&folder, name, &other.public()).is_err(), "{name}");
    }
    assert!(approvers::untrust(&folder, "nobody").is_err());
}
