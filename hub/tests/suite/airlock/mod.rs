//! The airlock over the real HTTP API, inside and outside: hand in, check, review, release; and who may not.

mod attacks;
mod drafts;
mod story;

use crate::{
    house::{ANNA, BO, Build, House, lmdb},
    issuer::ISSUER,
    spoke::Spoke,
};
use hub::api::{Problem, SubmissionList, SubmissionView};
use policies::{
    airlock::{FileForm, FileReview, Form, Review, Verdict},
    zone::Zone,
};
use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

pub const CARL: &str = "carl@example.org";
pub const DORA: &str = "dora@example.org";
pub const ERIK: &str = "erik@example.org";
pub const FINN: &str = "finn@example.org";
/// A checker of no organisation that CARL, DORA and FINN check for.
pub const GRETE: &str = "grete@example.org";

const ROLES: [(&str, &str); 6] = [
    (CARL, "checker:ssi"),
    (DORA, "checker:ku"),
    // of the same organisation as DORA
    (ERIK, "checker:ku"),
    (FINN, "checker:auh"),
    (GRETE, "checker:sdu"),
    // a member of the project
    (ANNA, "checker:rh"),
];

/// `diabetes` is ANNA's, `cancer` BO's.
pub async fn house() -> (House, Spoke) {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let mut build = Build::new().spoke(&sds).await;
    for (user, role) in ROLES {
        build.more.push_str(&format!("[[role]]\nuser = \"{user}\"\nissuer = \"{ISSUER}\"\nrole = \"{role}\"\n"));
    }
    let house = build.start(&[("diabetes", &[ANNA]), ("cancer", &[BO])]).await;
    (house, sds)
}

/// Somebody at a listener of the API.
pub struct At {
    http: reqwest::Client,
    base: String,
    token: String,
}

pub fn at(house: &House, user: &str, zone: Zone) -> At {
    let address = match zone {
        Zone::Open => house.at.api,
        Zone::Enclave => house.at.api_enclave,
    };
    At { http: reqwest::Client::new(), base: format!("http://{}", address.unwrap()), token: house.token(user) }
}

pub fn inside(house: &House, user: &str) -> At {
    at(house, user, Zone::Enclave)
}

impl At {
    pub async fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> (StatusCode, Vec<u8>) {
        let call = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let call = match body {
            Some(body) => call.body(body),
            None => call,
        };
        let answer = call.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub async fn post<B: Serialize>(&self, path: &str, body: &B) -> (StatusCode, Vec<u8>) {
        let call = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        let answer = call.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    pub async fn show(&self, id: &str) -> SubmissionView {
        self.get(&format!("/v1/airlock/{id}")).await
    }

    pub async fn list(&self) -> Vec<String> {
        let list: SubmissionList = self.get("/v1/airlock").await;
        list.items.into_iter().map(|one| one.id).collect()
    }

    /// A draft of the form, without its files.
    pub async fn begin(&self, form: &Form) -> Result<SubmissionView, Problem> {
        let (status, body) = self.post("/v1/airlock", form).await;
        if status == StatusCode::CREATED {
            Ok(serde_json::from_slice(&body).unwrap())
        } else {
            Err(serde_json::from_slice(&body).unwrap())
        }
    }

    pub async fn add(&self, id: &str, name: &str, bytes: &[u8]) -> (StatusCode, String) {
        let path = format!("/v1/airlock/{id}/files/{name}");
        let (status, body) = self.call(Method::PUT, &path, Some(bytes.to_vec())).await;
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The form with its files, checked.
    pub async fn checked(&self, form: &Form, files: &[(&str, &str)]) -> SubmissionView {
        let begun = self.begin(form).await.unwrap();
        for (name, text) in files {
            let (status, said) = self.add(&begun.id, name, text.as_bytes()).await;
            assert_eq!(status, StatusCode::CREATED, "{name}: {said}");
        }
        let (status, body) = self.post(&format!("/v1/airlock/{}/check", begun.id), &()).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub async fn send(&self, id: &str) -> StatusCode {
        self.post(&format!("/v1/airlock/{id}/send"), &()).await.0
    }

    /// The same, sent to the checkers.
    pub async fn sent(&self, form: &Form, files: &[(&str, &str)]) -> String {
        let checked = self.checked(form, files).await;
        assert_eq!(self.send(&checked.id).await, StatusCode::OK, "{checked:?}");
        checked.id
    }

    /// The same, approved by two.
    pub async fn approved(&self, house: &House, form: &Form, files: &[(&str, &str)]) -> String {
        let id = self.sent(form, files).await;
        let leaving = form.files.iter().filter(|file| !file.inside);
        let yes: Vec<(&str, Option<&str>)> = leaving.map(|file| (file.name.as_str(), None)).collect();
        for who in [CARL, DORA] {
            assert_eq!(inside(house, who).review(&id, &yes).await, StatusCode::NO_CONTENT);
        }
        id
    }

    pub async fn review(&self, id: &str, verdicts: &[(&str, Option<&str>)]) -> StatusCode {
        let files = verdicts.iter().map(|(file, change)| FileReview {
            file: (*file).to_owned(),
            verdict: if change.is_some() { Verdict::ChangesRequested } else { Verdict::Approved },
            comment: change.unwrap_or_default().to_owned(),
        });
        self.post(&format!("/v1/airlock/{id}/review"), &Review { files: files.collect() }).await.0
    }

    pub async fn release(&self, id: &str) -> (StatusCode, Vec<u8>) {
        self.post(&format!("/v1/airlock/{id}/release"), &()).await
    }
}

/// Whether the hub's log has that `who` did `what` with a submission; nobody: the hub itself.
pub fn logged(house: &House, what: &str, submission: &str, who: Option<&str>) -> bool {
    let entries = runtime::audit::read(&hub::audit::log_path(house.path())).unwrap();
    entries.map(|entry| entry.unwrap().0.event).any(|event| {
        event["event"] == "airlock"
            && event["what"] == what
            && event["submission"] == submission
            && event["user"].as_str() == who
    })
}

pub fn file(name: &str, count: &[&str]) -> FileForm {
    FileForm {
        name: name.to_owned(),
        description: "people by municipality".to_owned(),
        population: "adults".to_owned(),
        counts: "column n".to_owned(),
        count_columns: count.iter().map(|name| (*name).to_owned()).collect(),
        query: Some("SELECT kom, count(DISTINCT pnr) AS n FROM sds.lmdb GROUP BY kom".to_owned()),
        ..FileForm::default()
    }
}

pub fn form(project: &str, files: Vec<FileForm>) -> Form {
    Form { project: project.to_owned(), title: "Table 1".to_owned(), earlier: None, files }
}

/// A table that the open zone answers.
pub fn counts() -> Form {
    let mut table = file("counts.csv", &["n"]);
    table.query = Some("SELECT atc, count(DISTINCT pnr) AS n FROM sds.lmdb GROUP BY atc".to_owned());
    form("diabetes", vec![table])
}

/// What a crate says of its release. Crates are stored, not packed: the text stands in the archive as it is.
pub fn said(made: &[u8]) -> serde_json::Value {
    let begin = b"data/release.json{";
    let at = made.windows(begin.len()).position(|name| name == begin).unwrap() + begin.len() - 1;
    serde_json::Deserializer::from_slice(&made[at..]).into_iter().next().unwrap().unwrap()
}

pub const TABLE: &str = "kom,n\n101,120\n147,45\n";

/// One table that passes.
pub fn simple() -> (Form, [(&'static str, &'static str); 1]) {
    (form("diabetes", vec![file("a.csv", &["n"])]), [("a.csv", TABLE)])
}
