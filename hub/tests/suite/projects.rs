//! Applications over the real HTTP API, parts and permits over real links.

use crate::{
    house::{ANNA, BO, Build, House},
    spoke::Spoke,
    terminal::run,
    workspace::{ISSUER, application, approver, decision, form, grant, person},
};
use chrono::{DateTime, Duration, Utc};
use hub::{
    api::{
        ApplicationList, ApplicationView, CheckView, EventList, PartView, PermitList, Problem, RefusalList,
        WorkspaceView,
    },
    apply::Screening,
    assemble::Clock,
    decide::{PartState, State},
};
use policies::{
    application::Form,
    permit::{Refusal, Revocation},
    zone::Zone,
};
use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Arc, Mutex};

struct Web {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Web {
    async fn of(house: &House, user: &str) -> Self {
        let token = house.token(user);
        Self { token: Some(token), ..Self::anybody(house) }
    }

    fn anybody(house: &House) -> Self {
        Self { http: reqwest::Client::new(), base: format!("http://{}", house.at.api.unwrap()), token: None }
    }

    fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let call = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.call(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> (StatusCode, T) {
        let answer = self.call(Method::POST, path).json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn no(&self, method: Method, path: &str) -> Problem {
        let answer = self.call(method, path).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let status = answer.status();
        let problem: Problem = answer.json().await.unwrap();
        assert_eq!(problem.status, status.as_u16());
        problem
    }

    /// Waits until the workspace is as wanted.
    async fn workspace(&self, project: &str, state: &str) -> WorkspaceView {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        for _ in 0..400 {
            tick.tick().await;
            let view: WorkspaceView = self.get(&format!("/v1/workspaces/{project}")).await;
            if view.state == state {
                return view;
            }
        }
        panic!("the workspace did not become {state}");
    }
}

async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    for _ in 0..400 {
        tick.tick().await;
        if let Some(value) = ask().await {
            return value;
        }
    }
    panic!("it did not come to be");
}

struct Set(Mutex<DateTime<Utc>>);

impl Clock for Set {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_form_to_an_open_workspace_and_back() {
    let (sds, region) = (Spoke::new("sds"), Spoke::new("region-h"));
    let clock = Arc::new(Set(Mutex::new(Utc::now())));
    let mut build = Build::new().spoke(&sds).await.spoke(&region).await;
    build.clock = Some(Arc::clone(&clock) as Arc<dyn Clock>);
    let house = build.start(&[]).await;
    let anna = Web::of(&house, ANNA).await;
    let controllers = names(&["sds", "region-h"]);
    let form = form("heart", &[ANNA], &controllers);

    let (status, view): (_, ApplicationView) = anna.post("/v1/applications", &form).await;
    assert_eq!((status, view.state, view.number), (StatusCode::CREATED, State::Processing, 1));
    assert!(view.deadlines.decide_by.is_some());
    // each spoke gets its own part
    let (of_sds, of_region) = until(async || {
        let first = |spoke: &Spoke| spoke.seen.parts.lock().unwrap().first().cloned();
        first(&sds).zip(first(&region))
    })
    .await;
    assert_eq!((of_sds.controller.as_ref(), of_region.controller.as_ref()), ("sds", "region-h"));
    assert_eq!(anna.workspace("heart", "preparing").await.reason, "waiting for sds, region-h");

    // one permit is not enough, both are
    let key = approver(&house.applications, &of_sds.controller).await;
    let (_, granted) = grant(&of_sds, &key);
    sds.seen.statements.lock().unwrap().push(granted);
    until(async || {
        let parts: Vec<PartView> = anna.get(&format!("/v1/applications/{}/parts", view.id)).await;
        parts.iter().any(|p| p.controller == "sds" && p.state == PartState::Granted).then_some(())
    })
    .await;
    until(async || (anna.workspace("heart", "preparing").await.reason == "waiting for region-h").then_some(())).await;
    let region_key = approver(&house.applications, &of_region.controller).await;
    let (permit, granted) = grant(&of_region, &region_key);
    region.seen.statements.lock().unwrap().push(granted.clone());
    anna.workspace("heart", "open").await;
    let now: ApplicationView = anna.get(&format!("/v1/applications/{}", view.id)).await;
    assert_eq!(now.state, State::DecisionIssued);
    let permits: PermitList = anna.get("/v1/projects/heart/permits").await;
    assert_eq!(permits.items.len(), 2);
    assert!(permits.items.iter().any(|p| p.statement.as_ref() == Some(&granted)));

    // a needed controller takes its permit back
    let revocation = Revocation {
        permit: permit.id,
        controller: permit.controller.clone(),
        project: permit.project.clone(),
        approver: "Bente".to_owned(),
        reason: "consent was withdrawn".to_owned(),
        decided_at: Utc::now(),
    };
    region.seen.statements.lock().unwrap().push(revocation.sign(&region_key).unwrap());
    let closed = anna.workspace("heart", "closed").await;
    assert_eq!(closed.reason, "the permit of 'region-h' was revoked");
    let events: EventList = anna.get(&format!("/v1/applications/{}/events?limit=200", view.id)).await;
    let kinds: Vec<&str> = events.items.iter().map(|e| e.kind.as_str()).collect();
    for kind in [
        "submitted",
        "screen",
        "complete",
        "part_delivered",
        "part_granted",
        "decide",
        "workspace_open",
        "permit_revoked",
        "workspace_closed",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_ask_while_it_is_open_and_expiry_closes_it() {
    let region = Spoke::new("region-h").offer("lungs", "lab_forsker", crate::house::lab(0..60));
    let clock = Arc::new(Set(Mutex::new(Utc::now())));
    let mut build = Build::new().spoke(&region).await;
    build.clock = Some(Arc::clone(&clock) as Arc<dyn Clock>);
    let house = build.start(&[("lungs", &[ANNA])]).await;
    let web = Web::of(&house, ANNA).await;
    web.workspace("lungs", "open").await;
    let count = "SELECT count(*) FROM \"region-h\".lab_forsker";
    let mut client = house.client(ANNA, Zone::Enclave).await;
    assert!(client.announce(count).await.is_ok());
    *clock.0.lock().unwrap() = Utc::now() + Duration::days(366);
    let over = web.workspace("lungs", "closed").await;
    assert!(over.reason.contains("has expired"), "{}", over.reason);
    let refusal = client.announce(count).await.unwrap_err();
    assert!(refusal.message.contains("member of no project"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_spokes_open_nothing() {
    let (sds, region) = (Spoke::new("sds"), Spoke::new("region-h"));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[]).await;
    let anna = Web::of(&house, ANNA).await;
    let form = form("heart", &[ANNA], &names(&["sds", "region-h"]));
    let (_, view): (_, ApplicationView) = anna.post("/v1/applications", &form).await;
    let parts = until(async || {
        let first = |spoke: &Spoke| spoke.seen.parts.lock().unwrap().first().cloned();
        first(&sds).zip(first(&region))
    })
    .await;
    let sds_key = approver(&house.applications, &parts.0.controller).await;
    approver(&house.applications, &parts.1.controller).await;
    let stranger = runtime::sign::SigningKey::generate().unwrap();
    // sds delivers region-h's permit: signed by its own approver, by nobody, and its own signed by nobody
    let forged = [grant(&parts.1, &sds_key).1, grant(&parts.1, &stranger).1, grant(&parts.0, &stranger).1];
    // and one of its own for a part that it was never sent
    let mut other = parts.0.clone();
    other.id = proto::ids::PartId::new();
    sds.seen.statements.lock().unwrap().extend(forged.into_iter().chain([grant(&other, &sds_key).1]));
    // region-h delivers a permit of sds that is good where it belongs
    region.seen.statements.lock().unwrap().push(grant(&parts.0, &sds_key).1);
    // when this refusal has come, all that was there before it has been looked at
    let refusal = Refusal {
        part: parts.0.id,
        controller: parts.0.controller.clone(),
        project: parts.0.project.clone(),
        approver: "Bente".to_owned(),
        reason: "no legal basis".to_owned(),
        decided_at: Utc::now(),
    };
    sds.seen.statements.lock().unwrap().push(refusal.sign(&sds_key).unwrap());
    until(async || {
        let refusals: RefusalList = Web::anybody(&house).get("/v1/published/refusals").await;
        refusals.items.first().map(|r| assert_eq!(r.reason, "no legal basis"))
    })
    .await;
    let states: Vec<PartView> = anna.get(&format!("/v1/applications/{}/parts", view.id)).await;
    let of = |controller: &str| states.iter().find(|p| p.controller == controller).unwrap().state;
    assert_eq!((of("sds"), of("region-h")), (PartState::Refused, PartState::Delivered));
    let why: Vec<_> = states.iter().filter_map(|part| part.reason.as_deref()).collect();
    assert_eq!(why, ["no legal basis"], "the applicant reads why");
    assert_eq!(anna.get::<PermitList>("/v1/projects/heart/permits").await.items.len(), 0);
    anna.workspace("heart", "preparing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_asks_those_concerned_and_the_workspace_goes_on() {
    let (sds, region) = (Spoke::new("sds"), Spoke::new("region-h"));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("heart", &[ANNA])]).await;
    let anna = Web::of(&house, ANNA).await;
    anna.workspace("heart", "open").await;
    let view: ApplicationList = anna.get("/v1/applications").await;
    let mut form: Form = view.items[0].application.clone();
    form.controllers[1].tables[0].columns.push("value".to_owned());
    form.controllers[1].tables[0].reasons.insert("value".to_owned(), "the outcome".to_owned());
    let (_, check): (_, CheckView) = anna.post("/v1/projects/heart/amendments/check", &form).await;
    assert_eq!(check.asked.len(), 1);
    assert_eq!(
        (check.asked[0].controller.as_str(), check.asked[0].changes[0].text.as_str()),
        ("region-h", "table 'bef': column 'value' added")
    );
    let (status, amended): (_, ApplicationView) = anna.post("/v1/projects/heart/amendments", &form).await;
    assert_eq!((status, amended.number, amended.state), (StatusCode::CREATED, 2, State::Processing));
    let part = until(async || region.seen.parts.lock().unwrap().first().cloned()).await;
    assert!(part.replaces.is_some() && sds.seen.parts.lock().unwrap().is_empty());
    anna.workspace("heart", "open").await;
    let key = approver(&house.applications, &part.controller).await;
    region.seen.statements.lock().unwrap().push(grant(&part, &key).1);
    until(async || {
        let permits: PermitList = anna.get("/v1/projects/heart/permits").await;
        let state = |s: hub::decide::PermitState| permits.items.iter().filter(|p| p.state == s).count();
        (state(hub::decide::PermitState::Amended) == 1 && state(hub::decide::PermitState::Granted) == 2).then_some(())
    })
    .await;
    anna.workspace("heart", "open").await;
    let (status, problem): (_, Problem) = anna.post("/v1/projects/heart/amendments", &form).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem.detail.contains("nothing is different"), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_see_only_their_own_and_everybody_what_is_published() {
    let sds = Spoke::new("sds");
    let house = Build::new().spoke(&sds).await.start(&[("heart", &[ANNA]), ("lungs", &[BO])]).await;
    let (anna, anybody) = (Web::of(&house, ANNA).await, Web::anybody(&house));
    let own: ApplicationList = anna.get("/v1/applications").await;
    assert_eq!(own.items.iter().map(|a| a.project.as_str()).collect::<Vec<_>>(), ["heart"]);
    let bo: ApplicationList = Web::of(&house, BO).await.get("/v1/applications").await;
    let other = &bo.items[0].id;
    let missing = anna.no(Method::GET, "/v1/applications/0197b0a0-0000-7000-8000-000000000000").await;
    for path in ["", "/parts", "/events", "/questions"] {
        assert_eq!(anna.no(Method::GET, &format!("/v1/applications/{other}{path}")).await, missing);
    }
    assert_eq!(anna.no(Method::POST, &format!("/v1/applications/{other}/withdraw")).await, missing);
    for path in ["/v1/workspaces/lungs", "/v1/projects/lungs/permits", "/v1/workspaces/none"] {
        assert_eq!(anna.no(Method::GET, path).await.status, 404, "{path}");
    }
    let mine: Vec<WorkspaceView> = anna.get("/v1/workspaces").await;
    assert_eq!(mine.len(), 1);
    assert_eq!(anybody.no(Method::GET, "/v1/applications").await.status, 401);
    let published: serde_json::Value = anybody.get("/v1/published/applications").await;
    assert_eq!(published["items"].as_array().unwrap().len(), 2);
    let permits: serde_json::Value = anybody.get("/v1/published/permits").await;
    assert_eq!(permits["items"].as_array().unwrap().len(), 2);
    for text in [published.to_string(), permits.to_string()] {
        assert!(!text.contains(ANNA) && !text.contains("statement"), "{text}");
    }
    let page: serde_json::Value = anybody.get("/v1/published/applications?limit=1").await;
    let next: serde_json::Value =
        anybody.get(&format!("/v1/published/applications?limit=1&after={}", page["next"].as_str().unwrap())).await;
    assert_ne!(page["items"][0]["id"], next["items"][0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_what_is_repeated_is_made_once() {
    let house = Build::new().start(&[]).await;
    let anna = Web::of(&house, ANNA).await;
    let controllers = names(&["sds"]);
    let good = form("heart", &[ANNA], &controllers);
    let mut wrong = good.clone();
    wrong.title.clear();
    wrong.purpose.duo = vec!["DUO:1".to_owned()];
    for path in ["/v1/applications", "/v1/applications/check"] {
        let (status, problem): (_, Problem) = anna.post(path, &wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let fields: Vec<&str> = problem.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["title", "purpose.duo[0]"]);
    }
    let (status, problem): (_, Problem) = anna.post("/v1/applications", &serde_json::json!({"tilte": "x"})).await;
    assert!(status == StatusCode::BAD_REQUEST && problem.detail.contains("tilte"), "{}", problem.detail);
    let big = serde_json::json!({"title": "x".repeat(2 << 20)});
    let (status, _): (_, Problem) = anna.post("/v1/applications", &big).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(anna.no(Method::GET, "/v1/nothing").await.status, 404);
    assert_eq!(anna.no(Method::DELETE, "/v1/applications").await.status, 405);

    let (status, check): (_, CheckView) = anna.post("/v1/applications/check", &good).await;
    assert_eq!((status, check.asked.len()), (StatusCode::OK, 1));
    let send = async |form: &Form| {
        let call = anna.call(Method::POST, "/v1/applications").header("idempotency-key", "k1").json(form);
        let answer = call.send().await.unwrap();
        (answer.status(), answer.headers().get("etag").cloned(), answer.text().await.unwrap())
    };
    let (status, tag, first) = send(&good).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _, again) = send(&good).await;
    assert_eq!((status, &again), (StatusCode::OK, &first));
    let mut other = good.clone();
    other.title.push('x');
    assert_eq!(send(&other).await.0, StatusCode::CONFLICT);
    // the name is taken
    let (status, problem): (_, Problem) = Web::of(&house, BO).await.post("/v1/applications", &other).await;
    assert!(status == StatusCode::CONFLICT && problem.detail.contains("taken"));

    let id = serde_json::from_str::<ApplicationView>(&first).unwrap().id;
    let withdraw = async |tag: &str| {
        let call = anna.call(Method::POST, &format!("/v1/applications/{id}/withdraw")).header("if-match", tag);
        call.send().await.unwrap().status()
    };
    assert_eq!(withdraw("\"999\"").await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(withdraw(tag.unwrap().to_str().unwrap()).await, StatusCode::OK);
    assert_eq!(withdraw("*").await, StatusCode::FORBIDDEN);
    // personal tokens make no tokens and see no controllers
    let wanted = serde_json::json!({"days": 1});
    let (status, made): (_, hub::api::NewTokenView) = anna.post("/v1/tokens", &wanted).await;
    assert_eq!(status, StatusCode::CREATED);
    let anna = Web { token: Some(made.token), ..Web::anybody(&house) };
    assert_eq!(anna.get::<ApplicationList>("/v1/applications").await.items.len(), 1);
    let (status, _): (_, Problem) = anna.post("/v1/tokens", &wanted).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(anna.no(Method::GET, "/v1/controllers").await.status, 403);
    let own: Vec<serde_json::Value> = anna.get("/v1/tokens").await;
    assert_eq!(own.len(), 1);
    let id = own[0]["id"].as_str().unwrap();
    assert_eq!(Web::of(&house, BO).await.no(Method::DELETE, &format!("/v1/tokens/{id}")).await.status, 404);
    let gone = anna.call(Method::DELETE, &format!("/v1/tokens/{id}")).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(anna.no(Method::GET, "/v1/tokens").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_every_route() {
    let house = Build::new().start(&[]).await;
    let document: serde_json::Value = Web::anybody(&house).get("/openapi.json").await;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation.get("security").is_none();
            routes.push(format!("{method} {path}{}", if open { " (everybody)" } else { "" }));
        }
    }
    routes.sort();
    insta::assert_snapshot!(routes.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_is_away_gets_its_part_when_it_is_back() {
    let sds = Spoke::new("sds");
    let build = Build::new();
    let tls = build.tls("sds");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let house = build.at("sds", address).start(&[]).await;
    let anna = Web::of(&house, ANNA).await;
    let (_, view): (_, ApplicationView) =
        anna.post("/v1/applications", &form("heart", &[ANNA], &names(&["sds"]))).await;
    let parts = format!("/v1/applications/{}/parts", view.id);
    until(async || anna.get::<Vec<PartView>>(&parts).await[0].trouble.clone()).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    sds.serve_on(listener, &tls);
    until(async || (anna.get::<Vec<PartView>>(&parts).await[0].state == PartState::Delivered).then_some(())).await;
    assert_eq!(sds.seen.parts.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_hands_in_follows_and_withdraws() {
    let house = Build::new().start(&[]).await;
    let (api, token) = (format!("http://{}", house.at.api.unwrap()), house.token(ANNA));
    let project = async |rest: &[&str]| {
        let mut args = vec!["project", "--api", &api, "--token", &token];
        args.extend(rest);
        run(&args).await
    };
    let (code, example, _) = project(&["example"]).await;
    assert_eq!(code, 0);
    let file = house.path().join("application.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, example.replace("title = ", "tilte = ")).unwrap();
    let (code, _, err) = project(&["apply", path]).await;
    assert!(code == 2 && err.contains("application.toml, line 4") && err.contains("tilte"), "{err}");
    std::fs::write(&file, example.replace("DUO:0000007", "DUO:7").replace("[\"pnr\", \"koen\"", "[\"pnr\", \"pnr\""))
        .unwrap();
    let (code, _, err) = project(&["apply", path]).await;
    assert!(
        code == 5 && err.contains("purpose.duo[0]: not a DUO code") && err.contains("columns[1]: stands twice"),
        "{err}"
    );
    std::fs::write(&file, &example).unwrap();
    let (code, out, err) = project(&["apply", path, "--check"]).await;
    assert_eq!((code, out.as_str()), (0, "no problems; it would ask:\n  dst\n  region-h\n"), "{err}");
    assert!(project(&["list"]).await.1.lines().count() == 1);
    let (code, out, err) = project(&["apply", path]).await;
    assert!(code == 0 && out.contains("PROCESSING") && out.contains("decision by"), "{out}{err}");
    let (_, out, _) = project(&["show", "diabetes"]).await;
    assert!(out.contains("workspace    preparing") && out.contains("region-h    WAITING"), "{out}");
    std::fs::write(&file, example.replace("2029-12-31", "2030-12-31")).unwrap();
    let (code, out, _) = project(&["amend", path, "--check"]).await;
    assert!(code == 0 && out.contains("dst"), "{out}");
    let (code, out, _) = project(&["withdraw", "diabetes", "--json"]).await;
    let view: ApplicationView = serde_json::from_str(&out).unwrap();
    assert_eq!((code, view.state), (0, State::Withdrawn));
    let (code, out, _) = project(&["events", "diabetes"]).await;
    assert!(code == 0 && out.contains("part_withdrawn") && out.contains(ANNA), "{out}");
    assert_eq!(project(&["show", "none"]).await.0, 4);
    assert_eq!(project(&["extend", "diabetes", "--reason", "x"]).await.0, 4);
    let (code, _, err) = run(&["project", "list", "--api", "http://127.0.0.1:9", "--token", "x"]).await;
    assert!(code == 3 && err.contains("--api"), "{err}");
    let (code, _, err) = run(&["project", "list", "--api", "http://hub.example.org", "--token", "x"]).await;
    assert!(code == 2 && err.contains("https://"), "{err}");
    // the operator registers an approver's key
    let config = house.path().join("hub.toml");
    let config = config.to_str().unwrap();
    let key = runtime::sign::SigningKey::generate().unwrap().public();
    let text = key.to_string();
    let (code, out, err) =
        run(&["admin", "approver", "add", "--config", config, "dst", &text, "--name", "Bente"]).await;
    assert!(code == 0 && out.contains(&key.fingerprint()), "{err}");
    assert!(run(&["admin", "approver", "list", "--config", config]).await.1.contains("Bente"));
    assert_eq!(run(&["admin", "approver", "remove", "--config", config, "dst", &text]).await.0, 0);
    assert_eq!(run(&["admin", "approver", "remove", "--config", config, "dst", &text]).await.0, 2);
}

/// The application's own rules, against the database alone.
#[tokio::test]
async fn questions_deadlines_and_the_log_that_only_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.db");
    let applications = hub::apply::Applications::open(&path).await.unwrap();
    let start: DateTime<Utc> = "2026-11-23T10:00:00Z".parse().unwrap();
    let application = application("heart", &[ANNA], &names(&["sds"]));
    let anna = person(ANNA);
    let (record, _) = applications.submit(&application, &anna, None, Screening::Manual, start).await.unwrap();
    assert_eq!(record.state, State::PreScreening);
    let part = async || applications.parts(&record.id).await.unwrap().remove(0);
    assert_eq!(part().await.state, PartState::Held);
    let clerk = person(BO);
    let question = applications.ask(&record.id, &clerk, "population", "which year?", start).await.unwrap();
    assert!(applications.complete(&record.id, &clerk, None, start).await.is_err());
    let back = applications.answer(&record.id, question.id, &anna, "2015 on", start).await.unwrap();
    assert_eq!(back.state, State::PreScreening);
    let complete = applications.complete(&record.id, &clerk, None, start).await.unwrap();
    assert_eq!((complete.state, part().await.state), (State::Processing, PartState::Waiting));
    assert_eq!(part().await.part.decide_by.unwrap().to_string(), "2027-02-23");
    // late, then extended once
    applications.pass_time("2027-02-24T00:00:00Z".parse().unwrap()).await.unwrap();
    assert!(applications.get(&record.id).await.unwrap().overdue);
    let extended = applications.extend(&record.id, &clerk, "complex", None, start).await.unwrap();
    assert_eq!(extended.deadlines().decide_by.unwrap().to_string(), "2027-05-24");
    assert!(!extended.overdue);
    assert!(
        applications.extend(&record.id, &clerk, "again", None, start).await.unwrap_err().to_string().contains("once")
    );
    // a question nobody answers ends it after four weeks
    applications.ask(&record.id, &clerk, "title", "is it right?", start).await.unwrap();
    applications.pass_time("2026-12-21T23:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(applications.get(&record.id).await.unwrap().state, State::AwaitingAdditionalInformation);
    applications.pass_time("2026-12-22T00:00:00Z".parse().unwrap()).await.unwrap();
    let ended = applications.get(&record.id).await.unwrap();
    assert!(ended.state == State::DecisionIssued && ended.lapsed && part().await.state == PartState::Withdrawn);
    // the log can't be changed, not even by whoever holds the file
    let log = applications.events(&application.project, 0, 100).await.unwrap();
    assert!(log.len() > 8 && log.windows(2).all(|w| w[0].seq < w[1].seq));
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    for change in ["UPDATE event SET actor = 'x'", "DELETE FROM event"] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err().to_string();
        assert!(error.contains("only added to"), "{error}");
    }
    assert_eq!(applications.events(&application.project, 0, 100).await.unwrap(), log);
}

/// A key that is taken away takes its permits along; an amendment's leftovers are superseded.
#[tokio::test]
async fn permits_count_while_their_approver_is_registered() {
    let dir = tempfile::tempdir().unwrap();
    let applications = hub::apply::Applications::open(&dir.path().join("hub.db")).await.unwrap();
    let (anna, now) = (person(ANNA), Utc::now());
    let application = application("heart", &[ANNA], &names(&["sds", "region-h"]));
    let (record, _) = applications.submit(&application, &anna, None, Screening::Automatic, now).await.unwrap();
    let mut keys = Vec::new();
    for part in applications.parts(&record.id).await.unwrap() {
        let key = approver(&applications, &part.controller).await;
        applications.take(&part.controller, &[grant(&part.part, &key).1], now).await.unwrap();
        keys.push((part.controller, key));
    }
    assert_eq!(applications.workspaces(now).await.unwrap().all().count(), 1);
    let project = applications.workspaces(now).await.unwrap();
    let project = project.all().next().unwrap();
    assert_eq!(project.controllers.len(), 2);
    assert!(
        project.has(&ANNA.parse().unwrap(), Some(ISSUER))
            && !project.has(&ANNA.parse().unwrap(), Some("https://other"))
    );
    // two amendments, the first of which nobody decides on
    let mut form = Form::from(&application);
    form.users.push(policies::application::UserForm { user: BO.to_owned(), ..form.users[0].clone() });
    let (second, _) = applications.amend(&form.check().unwrap(), &anna, None, Screening::Automatic, now).await.unwrap();
    form.title.push('!');
    let (third, _) = applications.amend(&form.check().unwrap(), &anna, None, Screening::Automatic, now).await.unwrap();
    let second_parts = applications.parts(&second.id).await.unwrap();
    assert!(second_parts.iter().all(|p| p.state == PartState::Superseded));
    assert_eq!(applications.get(&second.id).await.unwrap().state, State::DecisionIssued);
    let third_parts = applications.parts(&third.id).await.unwrap();
    assert!(third_parts.iter().all(|p| p.part.supersedes.is_some() && p.part.replaces.is_some()));
    // the new user sees what was granted with them, and only that
    let (controller, key) = &keys[0];
    let part = third_parts.iter().find(|p| p.controller == *controller).unwrap();
    let mut permit = part.part.permit(decision());
    permit.decided_at = now;
    let compact = policies::permit::SignedPermit::sign(permit, key).unwrap().compact().to_owned();
    assert_eq!(applications.take(controller, &[compact], now).await.unwrap(), 1);
    let projects = applications.workspaces(now).await.unwrap();
    assert!(projects.all().next().unwrap().has(&BO.parse().unwrap(), Some(ISSUER)));
    assert_eq!(projects.all().next().unwrap().controllers.len(), 2);
    assert!(applications.remove_approver(controller, &key.public(), now).await.unwrap());
    // it was needed
    assert_eq!(applications.workspaces(now).await.unwrap().all().count(), 0);
    let closed = applications.workspace(&application.project).await.unwrap().unwrap();
    assert!(closed.state == "closed" && closed.reason.contains("registered now"), "{closed:?}");
}
