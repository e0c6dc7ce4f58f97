//! The HTTP API, call by call.

use super::{asked, followed};
use crate::{
    house::{ANNA, House, two},
    workspace::form,
};
use hub::endpoints::HTTP;
use policies::{application::Form, authorize::trail::Trail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What the calls are about.
struct About {
    application: String,
    token: String,
    form: Form,
    submission: String,
}

fn body(name: &str, about: &About) -> Option<Value> {
    let form = |project: &str| Some(json!(Form { project: project.to_owned(), ..about.form.clone() }));
    match name {
        "POST /v1/applications" | "POST /v1/applications/check" => form("heart"),
        "POST /v1/projects/{project}/amendments" | "POST /v1/projects/{project}/amendments/check" => form("diabetes"),
        "POST /v1/applications/{id}/extend" => Some(json!({ "reason": "much to read" })),
        "POST /v1/applications/{id}/questions" => Some(json!({ "field": "purpose", "text": "why?" })),
        "POST /v1/applications/{id}/questions/{question}/answer" => Some(json!({ "text": "because" })),
        "POST /v1/airlock" => Some(json!(crate::airlock::simple().0)),
        "POST /v1/airlock/answers" => Some(json!(crate::airlock::counts())),
        "POST /v1/airlock/{id}/review" => Some(json!({ "files": [{ "file": "a.csv", "verdict": "APPROVED" }] })),
        "POST /v1/count" => Some(json!({ "by": ["sds.lmdb.atc"] })),
        "POST /v1/tokens" => Some(json!({ "days": 30 })),
        _ => None,
    }
}

async fn call(house: &House, token: &str, name: &str, about: &About) -> StatusCode {
    let (method, path) = name.split_once(' ').unwrap();
    let airlock = path.starts_with("/v1/airlock");
    let of = match path {
        _ if airlock => &about.submission,
        path if path.contains("tokens") => &about.token,
        _ => &about.application,
    };
    let path = path.replace("{id}", of).replace("{project}", "diabetes").replace("{question}", "1");
    let path = path.replace("{name}", "a.csv");
    // What is handed in is handed in inside.
    let at = if airlock && !path.ends_with("/answers") { house.at.api_enclave } else { house.at.api };
    let url = format!("http://{}{path}", at.unwrap());
    let call = reqwest::Client::new().request(Method::from_bytes(method.as_bytes()).unwrap(), url).bearer_auth(token);
    let call = match body(name, about) {
        _ if method == "PUT" => call.body(crate::airlock::TABLE),
        Some(body) => call.json(&body),
        None => call,
    };
    call.send().await.unwrap().status()
}

#[test]
fn every_call_of_the_http_api_asks_what_its_row_says() {
    let trail = Trail::default();
    followed(&trail, async {
        let two = two().await;
        let house = &two.house;
        let record = house.applications.latest(&"diabetes".parse().unwrap()).await.unwrap();
        let token = house.tokens.create(&ANNA.parse().unwrap(), None, 30).await.unwrap();
        let about = About {
            application: record.id.to_string(),
            token: token.id.to_string(),
            form: form("heart", &[ANNA], &["sds".to_owned()]),
            submission: crate::airlock::inside(house, ANNA).begin(&crate::airlock::simple().0).await.unwrap().id,
        };
        let anna = house.token(ANNA);
        for row in HTTP {
            trail.taken();
            let status = call(house, &anna, row.0, &about).await;
            // Whatever is answered, the call was read and came as far as the decision.
            let unread = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNAUTHORIZED];
            let known = row.0.ends_with("/answer") || row.0.ends_with("/review") || row.0.starts_with("DELETE");
            assert!(known || !unread.contains(&status), "{}: {status}", row.0);
            asked(&trail, row);
        }
        assert_eq!(call(house, &anna, "GET /openapi.json", &about).await, StatusCode::OK);
        asked(&trail, &("GET /openapi.json", &[]));
    });
}
