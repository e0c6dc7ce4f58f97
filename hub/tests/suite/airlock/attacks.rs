//! What goes wrong on purpose.

use super::*;
use crate::workspace;
use chrono::Utc;
use policies::{
    airlock::State,
    application::Decision,
    permit::{Permit, SignedPermit},
};

#[tokio::test(flavor = "multi_thread")]
async fn attack_nobody_checks_what_they_may_not() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let id = anna.sent(&form, &files).await;
    let yes = [("a.csv", None)];
    // The submitter, who is a checker and a member; a member of another project, who is no checker.
    for who in [ANNA, BO, "eve@example.org"] {
        assert_eq!(inside(&house, who).review(&id, &yes).await, StatusCode::NOT_FOUND, "{who}");
    }
    // A checker outside.
    assert_eq!(at(&house, CARL, Zone::Open).review(&id, &yes).await, StatusCode::NOT_FOUND);
    assert_eq!(at(&house, CARL, Zone::Open).list().await, Vec::<String>::new());
    // One organisation twice: by the same person and by a colleague, who sees nothing of it any more.
    assert_eq!(inside(&house, DORA).review(&id, &yes).await, StatusCode::NO_CONTENT);
    for who in [DORA, ERIK] {
        assert_eq!(inside(&house, who).review(&id, &yes).await, StatusCode::NOT_FOUND, "{who}");
        assert_eq!(inside(&house, who).list().await, Vec::<String>::new());
        let path = format!("/v1/airlock/{id}");
        assert_eq!(inside(&house, who).call(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(anna.show(&id).await.state, State::UnderReview);
    // Not every file, or others.
    for wrong in [&[][..], &[("b.csv", None)][..], &[("a.csv", None), ("a.csv", None)][..], &[("a.csv", Some(" "))][..]]
    {
        assert_eq!(inside(&house, CARL).review(&id, wrong).await, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
    assert_eq!(inside(&house, CARL).review(&id, &yes).await, StatusCode::NO_CONTENT);
    // A fourth and a third opinion, when it is decided.
    for who in [FINN, GRETE] {
        assert_eq!(inside(&house, who).review(&id, &[("a.csv", Some("no"))]).await, StatusCode::NOT_FOUND, "{who}");
    }
    assert_eq!(anna.show(&id).await.state, State::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_two_of_one_organisation_at_the_same_moment_count_once() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let id = anna.sent(&form, &files).await;
    let yes = [("a.csv", None)];
    let (dora, erik) = (inside(&house, DORA), inside(&house, ERIK));
    let (one, two) = tokio::join!(dora.review(&id, &yes), erik.review(&id, &yes));
    let taken = [one, two].iter().filter(|status| **status == StatusCode::NO_CONTENT).count();
    assert_eq!((taken, anna.show(&id).await.state), (1, State::UnderReview), "{one} {two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_nobody_else_reads_or_moves_a_submission() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let checked = anna.checked(&form, &files).await;
    let id = checked.id.clone();
    let path = |below: &str| format!("/v1/airlock/{id}{below}");
    let none = "/v1/airlock/01890000-0000-7000-8000-000000000000".to_owned();
    // Somebody of another project, a checker before it was sent, a stranger; from both sides.
    for who in [BO, CARL, "eve@example.org"] {
        for zone in [Zone::Open, Zone::Enclave] {
            let at = at(&house, who, zone);
            for below in ["", "/files/a.csv", "/difference"] {
                let (status, said) = at.call(Method::GET, &path(below), None).await;
                let (_, missing) = at.call(Method::GET, &none, None).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{who} {below}");
                assert_eq!(said, missing, "it is told from one that doesn't exist");
            }
            for below in ["/check", "/send", "/withdraw", "/release"] {
                assert_eq!(at.post(&path(below), &()).await.0, StatusCode::NOT_FOUND, "{who} {below}");
            }
            assert_eq!(at.add(&id, "a.csv", b"kom,n\n1,99\n").await.0, StatusCode::NOT_FOUND);
            assert_eq!(at.list().await, Vec::<String>::new());
        }
    }
    let bo = inside(&house, BO);
    assert_eq!(bo.begin(&form).await.unwrap_err().status, StatusCode::NOT_FOUND.as_u16());
    // Nor does one project follow another's submission.
    let mut of_bo = super::form("cancer", vec![file("a.csv", &["n"])]);
    of_bo.earlier = Some(id.clone());
    assert_eq!(bo.begin(&of_bo).await.unwrap_err().status, StatusCode::CONFLICT.as_u16());
    // A personal token is good for none of it.
    let token = house.tokens.create_for(&ANNA.parse().unwrap(), Some(crate::issuer::ISSUER), None, 30).await.unwrap();
    let personal = At { token: token.text.to_string(), ..inside(&house, ANNA) };
    assert_eq!(personal.call(Method::GET, &path(""), None).await.0, StatusCode::NOT_FOUND);
    assert!(personal.begin(&form).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_outside_a_member_reads_nothing_that_was_written_inside() {
    let (house, _sds) = house().await;
    let (anna, outside) = (inside(&house, ANNA), at(&house, ANNA, Zone::Open));
    let (form, files) = simple();
    assert_eq!(outside.begin(&form).await.unwrap_err().status, StatusCode::FORBIDDEN.as_u16());
    let id = anna.checked(&form, &files).await.id;
    let view = outside.show(&id).await;
    assert_eq!((view.state, view.content), (State::Checked, None));
    let path = format!("/v1/airlock/{id}/files/a.csv");
    assert_eq!(outside.call(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(outside.add(&id, "a.csv", b"kom,n\n1,9\n").await.0, StatusCode::FORBIDDEN);
    assert_eq!(outside.send(&id).await, StatusCode::FORBIDDEN);
    assert_eq!(anna.send(&id).await, StatusCode::OK);
    // And what may be written inside doesn't come out: no application, no token.
    let (status, _) = anna.post("/v1/tokens", &serde_json::json!({ "days": 30 })).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_file_is_frozen_when_it_was_taken() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let id = anna.checked(&form, &files).await.id;
    let (status, said) = anna.add(&id, "a.csv", b"kom,n\n101,1\n").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said.contains("frozen"), "{said}");
    assert_eq!(anna.send(&id).await, StatusCode::OK);
    assert_eq!(anna.add(&id, "a.csv", b"kom,n\n101,1\n").await.0, StatusCode::FORBIDDEN);
    let path = format!("/v1/airlock/{id}/files/a.csv");
    assert_eq!(inside(&house, CARL).call(Method::GET, &path, None).await.1, TABLE.as_bytes());
    // Whoever changes it on disk changes nothing unseen: nobody reads another file, and nothing leaves.
    let sealed = house.path().join("airlock").join(&id).join("a.csv.sealed");
    let mut bytes = std::fs::read(&sealed).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&sealed, bytes).unwrap();
    let (status, body) = inside(&house, CARL).call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{}", String::from_utf8_lossy(&body));
    for who in [CARL, DORA] {
        assert_eq!(inside(&house, who).review(&id, &[("a.csv", None)]).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(anna.release(&id).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(anna.show(&id).await.state, State::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_names_and_contents_that_are_none() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    for name in ["../a.csv", "a/b.csv", "/etc/a.csv", "..", "a.csv\u{0}", ".a.csv", "0101011234.csv", "con.csv"] {
        let wrong = anna.begin(&form("diabetes", vec![file(name, &["n"])])).await.unwrap_err();
        assert_eq!((wrong.status, wrong.errors[0].field.as_str()), (422, "files[0].name"), "{name:?}");
    }
    let (form, _) = simple();
    let id = anna.begin(&form).await.unwrap().id;
    for name in ["..%2Fa.csv", "%2e%2e%2fkeys%2fairlock.key", "a.csv%00", "b.csv"] {
        let (status, _) = anna.add(&id, name, TABLE.as_bytes()).await;
        assert!([StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY].contains(&status), "{name}: {status}");
    }
    for bytes in [&b""[..], b"PK\x03\x04", b"<html><script>1</script></html>", b"%PDF-1.7", b"\x7fELF"] {
        assert_eq!(anna.add(&id, "a.csv", bytes).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{bytes:?}");
    }
    let large = vec![b'a'; hub::airlock::MOST_FILE + 1];
    let (status, _) = anna.add(&id, "a.csv", &large).await;
    assert!(!status.is_success(), "{status}");
    // Without its files nothing is checked, and nothing is sent unchecked.
    assert_eq!(anna.post(&format!("/v1/airlock/{id}/check"), &()).await.0, StatusCode::CONFLICT);
    assert_eq!(anna.send(&id).await, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_what_the_checks_refuse_is_not_sent() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>";
    let mut drawing = file("f.svg", &[]);
    drawing.data = Some("a.csv".to_owned());
    let table = || file("a.csv", &["n"]);
    for (files, text, rule) in [
        (vec![table()], vec![("a.csv", "kom,n\n101,120\n147,4\n")], "threshold"),
        (vec![table()], vec![("a.csv", "kom,n\n0101011234,120\n")], "person_number"),
        (vec![table()], vec![("a.csv", "kom,n\n101,120\n147,\ntotal,123\n")], "total"),
        (vec![table(), drawing], vec![("a.csv", TABLE), ("f.svg", svg)], "svg"),
    ] {
        let view = anna.checked(&form("diabetes", files), &text).await;
        assert_eq!(view.state, State::Draft, "{rule}");
        let found = view.content.unwrap().files.into_iter().flat_map(|file| file.findings);
        assert!(found.into_iter().any(|finding| finding.rule.name() == rule), "{rule}");
        assert_eq!(anna.send(&view.id).await, StatusCode::CONFLICT, "{rule}");
        let (status, _) = anna.post(&format!("/v1/airlock/{}/withdraw", view.id), &()).await;
        assert_eq!(status, StatusCode::OK);
    }
    // Adding a file later takes the checks back.
    let view = anna.checked(&form("diabetes", vec![table()]), &[("a.csv", TABLE)]).await;
    assert_eq!(view.state, State::Checked);
}

/// A controller that asks for ten people where its numbers are about people.
#[tokio::test(flavor = "multi_thread")]
async fn attack_a_cell_of_fewer_people_than_a_permit_asks_for_is_not_sent() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let text = "kom,n\n101,120\n147,9\n";
    let (table, files) = (form("diabetes", vec![file("a.csv", &["n"])]), [("a.csv", text)]);
    let check = async || anna.checked(&table, &files).await;
    let passed = check().await;
    assert_eq!(passed.state, State::Checked, "the platform's own threshold lets it out");
    let approved = anna.approved(&house, &table, &files).await;
    let project = "diabetes".parse().unwrap();
    let of = &house.applications;
    let before = of.permits(Some(&project), None, 10).await.unwrap().remove(0).permit;
    let part = of.project_parts(&project).await.unwrap().into_iter().find(|part| part.id == before.part).unwrap();
    let key = workspace::approver(of, &before.controller).await;
    let decision = Decision { threshold: Some(10), ..workspace::decision() };
    let permit = Permit { replaces: Some(before.id), ..part.part.permit(decision) };
    let compact = SignedPermit::sign(permit, &key).unwrap().compact().to_owned();
    assert_eq!(of.take(&before.controller, &[compact], Utc::now()).await.unwrap(), 1);
    let view = check().await;
    assert_eq!(view.state, State::Draft);
    let found: Vec<_> = view.content.unwrap().files.into_iter().flat_map(|file| file.findings).collect();
    assert!(found.iter().any(|finding| finding.message.contains("fewer than 10 people")), "{found:?}");
    // What was checked before isn't sent, and what was approved before doesn't leave.
    assert_eq!(anna.send(&passed.id).await, StatusCode::CONFLICT);
    assert_eq!(anna.show(&passed.id).await.state, State::Draft);
    let (status, told) = at(&house, ANNA, Zone::Open).release(&approved).await;
    assert_eq!(status, StatusCode::CONFLICT, "{}", String::from_utf8_lossy(&told));
    assert_eq!(anna.show(&approved).await.state, State::Approved);
    // What is checked by ten says so when it leaves.
    let (form, files) = simple();
    let id = anna.approved(&house, &form, &files).await;
    let (status, made) = anna.release(&id).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&made));
    let release = said(&made);
    assert_eq!(
        (&release["threshold"], release["rules"]["threshold"].as_str()),
        (&10.into(), Some("a count of people is 0 or at least 10"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_nothing_moves_or_leaves_that_can_not_be_written_down() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, files) = simple();
    let draft = anna.begin(&form).await.unwrap().id;
    let id = anna.sent(&form, &files).await;
    assert_eq!(inside(&house, CARL).review(&id, &[("a.csv", None)]).await, StatusCode::NO_CONTENT);
    let path = hub::audit::log_path(house.path());
    let spoiled = || {
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"").unwrap();
        whole
    };
    let whole = spoiled();
    let (no, yes) = (StatusCode::SERVICE_UNAVAILABLE, [("a.csv", None)]);
    assert_eq!(anna.add(&draft, "a.csv", TABLE.as_bytes()).await.0, no);
    assert_eq!(inside(&house, DORA).review(&id, &yes).await, no);
    assert_eq!(inside(&house, DORA).call(Method::GET, &format!("/v1/airlock/{id}/files/a.csv"), None).await.0, no);
    assert_eq!(anna.post(&format!("/v1/airlock/{id}/withdraw"), &()).await.0, no);
    assert_eq!(at(&house, ANNA, Zone::Open).post("/v1/airlock/answers", &counts()).await.0, no);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!((anna.show(&draft).await.state, anna.show(&id).await.state), (State::Draft, State::UnderReview));
    assert_eq!(anna.add(&draft, "a.csv", TABLE.as_bytes()).await.0, StatusCode::CREATED);
    assert_eq!(inside(&house, DORA).review(&id, &yes).await, StatusCode::NO_CONTENT);
    let whole = spoiled();
    let (status, said) = anna.release(&id).await;
    assert_eq!(status, no);
    assert!(String::from_utf8_lossy(&said).contains("audit log") && !said.starts_with(b"PK"));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(anna.show(&id).await.state, State::Approved);
    assert_eq!(anna.release(&id).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_project_cannot_fill_the_airlock() {
    let (house, _sds) = house().await;
    let anna = inside(&house, ANNA);
    let (form, _) = simple();
    let mut begun = 0;
    let full = loop {
        match anna.begin(&form).await {
            Ok(_) => begun += 1,
            Err(problem) => break problem,
        }
        assert!(begun < 100);
    };
    assert_eq!((begun, full.status), (20, StatusCode::CONFLICT.as_u16()));
    assert!(full.detail.contains("withdraw one"), "{}", full.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_nothing_else_than_the_platforms_answer_leaves_at_once() {
    let (house, _sds) = house().await;
    let (anna, outside) = (inside(&house, ANNA), at(&house, ANNA, Zone::Open));
    let ask = async |at: &At, form: &Form| at.post("/v1/airlock/answers", form).await.0;
    // From inside, by others, with rows, without a query, or another file beside it.
    assert_eq!(ask(&anna, &counts()).await, StatusCode::FORBIDDEN);
    for who in [BO, CARL, "eve@example.org"] {
        assert_eq!(ask(&at(&house, who, Zone::Open), &counts()).await, StatusCode::NOT_FOUND, "{who}");
    }
    for query in ["SELECT * FROM sds.lmdb", "SELECT pnr, count(*) AS n FROM sds.lmdb GROUP BY pnr", "no statement"] {
        let mut rows = counts();
        rows.files[0].query = Some(query.to_owned());
        assert!(ask(&outside, &rows).await.is_client_error(), "{query}");
    }
    let mut none = counts();
    none.files[0].query = None;
    assert_eq!(ask(&outside, &none).await, StatusCode::UNPROCESSABLE_ENTITY);
    let mut drawn = counts();
    drawn.files.push(FileForm {
        name: "f.svg".to_owned(),
        data: Some("counts.csv".to_owned()),
        ..drawn.files[0].clone()
    });
    assert_eq!(ask(&outside, &drawn).await, StatusCode::UNPROCESSABLE_ENTITY);
    // Nobody of whom anything is released.
    let mut few = counts();
    few.files[0].query =
        Some("SELECT atc, count(DISTINCT pnr) AS n FROM sds.lmdb WHERE volume < 3 GROUP BY atc".to_owned());
    assert_eq!(ask(&outside, &few).await, StatusCode::UNPROCESSABLE_ENTITY);
    // What was made inside differs in one cell: nothing is told of it before checkers have approved it, and then not where.
    let text = "atc,n\nA10BA02,20\nC09AA05,999\n";
    let mut again = counts();
    again.earlier = Some(anna.checked(&counts(), &[("counts.csv", text)]).await.id);
    let (status, said) = outside.post("/v1/airlock/answers", &again).await;
    let none = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(status, StatusCode::CONFLICT, "{none}");
    again.earlier = Some("01890000-0000-7000-8000-000000000000".to_owned());
    assert_eq!(outside.post("/v1/airlock/answers", &again).await.1, none.as_bytes());
    let earlier = anna.approved(&house, &counts(), &[("counts.csv", text)]).await;
    again.earlier = Some(earlier.clone());
    let (status, said) = outside.post("/v1/airlock/answers", &again).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
    assert!(said.contains("counts.csv") && !said.contains("999") && !said.contains("row "), "{said}");
    assert!(logged(&house, "compared_outside", &earlier, Some(ANNA)));
}
