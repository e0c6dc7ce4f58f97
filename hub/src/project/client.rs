//! Calls of the HTTP API, as whoever signed in.
//!
//! INVARIANT: a token that `hub login` keeps goes to the host that it was kept for, and to no other.

use super::{Connect, exit};
use crate::{api::Problem, login::signed_in};
use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use zeroize::Zeroizing;

/// A call may take so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn usage(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), code: exit::USAGE }
    }

    pub(super) fn output(error: impl std::fmt::Display) -> Self {
        Self { message: format!("the answer can't be written: {error}"), code: exit::FAILED }
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Zeroizing<String>,
}

impl Client {
    pub(super) async fn new(connect: &Connect) -> Result<Self, Failure> {
        let base = connect.api.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base).map_err(|e| Failure::usage(format!("--api {base}: {e}")))?;
        let loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(Failure::usage(format!(
                "--api {base}: a token is sent in clear over http:// to this machine only; use https://"
            )));
        }
        let mut builder =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).user_agent("hub");
        if let Some(path) = &connect.ca {
            let pem = std::fs::read(path).map_err(|e| Failure::usage(format!("--ca {}: {e}", path.display())))?;
            let ca = reqwest::Certificate::from_pem(&pem)
                .map_err(|_| Failure::usage(format!("--ca {}: no PEM certificate", path.display())))?;
            builder = builder.add_root_certificate(ca);
        }
        let http = builder.build().map_err(|e| Failure { message: e.to_string(), code: exit::FAILED })?;
        let token = match &connect.token {
            Some(token) => Zeroizing::new(token.clone()),
            None => kept(&connect.server, &url).await?,
        };
        Ok(Self { http, base, token })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(self.send(self.call(Method::GET, path)).await?).await
    }

    pub(super) async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failure> {
        read(self.send(self.call(Method::POST, path).json(body)).await?).await
    }

    /// A call that makes something: repeated once when its answer got lost, with the same key.
    pub(super) async fn submit<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failure> {
        let key = uuid::Uuid::now_v7().to_string();
        let call = || self.call(Method::POST, path).header("idempotency-key", &key).json(body);
        let answer = match call().send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => return Err(self.away(&error)),
            Err(_) => self.send(call()).await?,
        };
        read(answer).await
    }

    /// A call whose answer is nothing but that it was done.
    pub(super) async fn done<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Failure> {
        whole(self.send(self.call(Method::POST, path).json(body)).await?).await.map(drop)
    }

    /// Sends the bytes of a file.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> Result<T, Failure> {
        read(self.send(self.call(Method::PUT, path).body(bytes)).await?).await
    }

    /// The bytes of a file.
    pub(super) async fn bytes(&self, method: Method, path: &str) -> Result<Vec<u8>, Failure> {
        whole(self.send(self.call(method, path)).await?).await
    }

    fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.token.as_str())
    }

    async fn send(&self, call: reqwest::RequestBuilder) -> Result<Response, Failure> {
        call.send().await.map_err(|error| self.away(&error))
    }

    fn away(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() { "no answer in time" } else { "can't connect" };
        Failure {
            message: format!(
                "{}: {why}. Is the hub running, with [api] in hub.toml, and is this its address (--api)?",
                self.base
            ),
            code: exit::CONNECT,
        }
    }
}

/// The token of whoever signed in at `server`, for the API at `api`.
async fn kept(server: &str, api: &url::Url) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: crate::login::LoginError| Failure { message: error.to_string(), code: error.exit_code() };
    let Some(session) = signed_in(server).await.map_err(failed)? else {
        return Err(Failure {
            message: format!(
                "nobody is signed in at {server}. Sign in (hub login), say at which hub you did (--server, EGER_SERVER), or \
                 give a token (EGER_TOKEN)"
            ),
            code: exit::DENIED,
        });
    };
    let there = url::Url::parse(server).ok();
    let host = there.as_ref().and_then(url::Url::host_str);
    if !host.zip(api.host_str()).is_some_and(|(there, here)| there.eq_ignore_ascii_case(here)) {
        return Err(Failure::usage(format!(
            "--api {api} is on another host than {server}, where you signed in: your token is not sent there by itself. Give \
             the address of that hub's API, or the token (EGER_TOKEN)"
        )));
    }
    Ok(Zeroizing::new(session.token().to_owned()))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Failure> {
    serde_json::from_slice(&whole(answer).await?)
        .map_err(|e| Failure { message: format!("the hub's answer can't be read: {e}"), code: exit::FAILED })
}

/// The answer's bytes, or what the hub says is wrong.
async fn whole(answer: Response) -> Result<Vec<u8>, Failure> {
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|_| Failure {
        message: "the hub's answer broke off. Look with `hub project list` whether it was done".to_owned(),
        code: exit::FAILED,
    })?;
    if status.is_success() {
        return Ok(bytes.to_vec());
    }
    let code = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => exit::DENIED,
        status if status.is_client_error() => exit::REFUSED,
        _ => exit::FAILED,
    };
    let message = match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) if problem.errors.is_empty() => problem.detail,
        Ok(problem) => {
            let lines: Vec<String> = problem.errors.iter().map(|field| format!("  {field}")).collect();
            format!("these fields are wrong:\n{}", lines.join("\n"))
        }
        Err(_) => format!("the hub answered {status}"),
    };
    Err(Failure { message, code })
}
