//! A certified OpenID provider (npm `oidc-provider`, installed by `tests/setup`), a person in a browser, and the programs
//! that people use: `hub login`, `hub sql`, Python with the ordinary driver.

use crate::{
    client::Client,
    house::{ANNA, Build, House, lmdb},
    spoke::Spoke,
    terminal::hub,
};
use hub::login::{Http, Issuer, LoginConfig, browser, device};
use policies::zone::Zone;
use proto::{ids::PermitId, refusal::Kind, wire};
use runtime::token::binding::BindingKey;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("EGER_TEST_CACHE").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap().join(".cache"));
        cache.join("eger/tests")
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oidc").join(name)
}

struct Provider {
    url: String,
    _stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
    _process: Child,
}

impl Provider {
    async fn start() -> Self {
        let modules = cache().join("oidc");
        assert!(modules.join("node_modules").is_dir(), "no OpenID provider in {}; run tests/setup", modules.display());
        let mut command = Command::new("node");
        // As an argument, so that its modules are looked for where they are installed.
        command.args(["--input-type=module", "-e", &std::fs::read_to_string(script("provider.mjs")).unwrap()]);
        command.current_dir(modules).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.kill_on_drop(true).spawn().expect("node; run tests/setup");
        let stdin = process.stdin.take().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).await.unwrap();
        let said: Value = serde_json::from_str(&line).expect("the provider says where it listens");
        Self { url: said["issuer"].as_str().unwrap().to_owned(), _stdin: stdin, _stdout: stdout, _process: process }
    }

    fn login(&self, resource: Option<&str>) -> LoginConfig {
        LoginConfig {
            issuer: self.url.clone(),
            client_id: "eger-cli".to_owned(),
            scopes: Vec::new(),
            resource: resource.map(str::to_owned),
        }
    }

    async fn tell(&self, path: &str) {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap().error_for_status().unwrap();
    }

    /// A token of a person who signs in by device flow, for a resource.
    async fn token(&self, name: &str, resource: Option<&str>) -> String {
        let http = Http::new(&self.url, None, None).unwrap();
        let issuer = Issuer::discover(&self.url, None).await.unwrap();
        let page = std::sync::Mutex::new(None);
        let name = name.to_owned();
        let granted = device(&issuer, &self.login(resource), &http, |shown| {
            let url = shown.complete.clone().unwrap();
            *page.lock().unwrap() = Some(tokio::spawn(async move { person(&url, &name, false).await }));
        })
        .await
        .unwrap();
        granted.access.to_string()
    }
}

/// Lets a person open a page and do what is asked there; gives where the browser ended.
async fn person(url: &str, name: &str, deny: bool) -> Value {
    let mut command = Command::new("node");
    command.arg(script("person.mjs")).args([url, name]).args(deny.then_some("deny"));
    let output = command.output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

struct Fixture {
    provider: Provider,
    house: House,
    sds: Spoke,
    config: tempfile::TempDir,
}

/// A hub that trusts the provider. `login`: more lines of `[[login]]`.
async fn fixture(login: &str) -> Fixture {
    let provider = Provider::start().await;
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let mut build = Build::new().spoke(&sds).await;
    let url = &provider.url;
    build.more = format!("[[issuer]]\nurl = \"{url}\"\n[[login]]\nissuer = \"{url}\"\n{login}\n");
    let house = build.start(&[("diabetes", &[&format!("{ANNA} {url}")])]).await;
    Fixture { provider, house, sds, config: tempfile::tempdir().unwrap() }
}

impl Fixture {
    fn server(&self) -> String {
        format!("grpc://{}", self.house.at.enclave)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = hub(args);
        command.env("XDG_CONFIG_HOME", self.config.path()).env("EGER_SERVER", self.server()).env_remove("EGER_TOKEN");
        command.kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Begins `hub login`; gives the page that it shows.
    async fn begin(&self, args: &[&str]) -> (Child, BufReader<ChildStderr>, String) {
        let mut child = self.command(&[&["login"], args].concat()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let page = loop {
            line.clear();
            assert!(said.read_line(&mut line).await.unwrap() > 0, "it ended without showing a page");
            if let Some(url) = line.strip_prefix("or open ") {
                break url.trim().to_owned();
            }
            assert!(!line.starts_with("error"), "{line}");
        };
        (child, said, page)
    }

    async fn login(&self, args: &[&str], deny: bool) -> (i32, String, String) {
        let (child, mut said, page) = self.begin(args).await;
        let ended = person(&page, ANNA, deny).await;
        assert!(deny || ended["page"].as_str().is_some_and(|page| page.contains("Success")), "{ended}");
        let mut rest = String::new();
        said.read_to_string(&mut rest).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap(), rest)
    }

    /// The file that the token is kept in.
    fn kept(&self) -> PathBuf {
        let mut files: Vec<_> = std::fs::read_dir(self.config.path().join("eger")).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        files.remove(0).path()
    }
}

const SQL: &[&str] = &["sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM sds.lmdb"];

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_asks_and_signs_out() {
    use std::os::unix::fs::PermissionsExt;
    let all = fixture("resource = \"urn:eger:data\"").await;
    let (code, token, said) = all.login(&["--issuer", &all.provider.url, "--print-token"], false).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Signed in at") && said.contains("until") && token.lines().count() == 1, "{said}");
    let kept = all.kept();
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, answer, said) = all.run(SQL).await;
    assert_eq!((code, answer.as_str()), (0, "n\n40\n"), "{said}");
    let envelope = all.sds.seen.scans.lock().unwrap().pop().unwrap().envelope.unwrap();
    assert_eq!(
        (envelope.user.as_str(), envelope.token.as_str()),
        (ANNA, token.trim()),
        "the spoke gets the token itself"
    );

    // A permit that demands signatures: the token is bound to the key that was kept with it.
    *all.sds.terms.lock().unwrap() =
        wire::CatalogueReply { permit: PermitId::new().to_string(), client_signature: true, ..Default::default() };
    let (code, answer, said) = all.run(SQL).await;
    assert_eq!((code, answer.as_str()), (0, "n\n40\n"), "{said}");
    let scan = all.sds.seen.scans.lock().unwrap().pop().unwrap();
    assert!(!scan.envelope.unwrap().signature.is_empty());
    // Given as a token, without its key, it can't sign.
    let (code, _, said) = all.run(&[SQL, &["--token", token.trim()]].concat()).await;
    assert!(code == 2 && said.contains("demands your signature"), "{said}");

    // Others may not read the file.
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, said) = all.run(SQL).await;
    assert!(code == 2 && said.contains("others can read this file"), "{said}");
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(all.run(&["logout"]).await.0, 0);
    let (code, _, said) = all.run(SQL).await;
    assert!(code == 4 && said.contains("no token was sent") && said.contains("hub login"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_handed_in_as_whoever_signed_in() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    let api = format!("http://{}", all.house.at.api.unwrap());
    let list = ["project", "list", "--api", &api];
    let (code, _, said) = all.run(&list).await;
    assert!(code == 4 && said.contains("nobody is signed in at grpc://") && said.contains("hub login"), "{said}");
    assert_eq!(all.login(&[], false).await.0, 0);
    let (code, out, said) = all.run(&list).await;
    assert!(code == 0 && out.starts_with("project"), "{said}");
    // A token that is given goes before the one that is kept.
    let (code, _, said) = all.run(&[&list[..], &["--token", "x"]].concat()).await;
    assert!(code == 4 && said.contains("not valid"), "{said}");
    // What is kept for this hub goes nowhere else.
    let elsewhere = ["project", "list", "--api", "https://localhost:9"];
    let (code, _, said) = all.run(&elsewhere).await;
    assert!(code == 2 && said.contains("another host"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_says_no_or_gives_up_is_not_signed_in() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    let (code, _, said) = all.login(&[], true).await;
    assert!(code == 4 && said.contains("not signed in") && said.contains("denied"), "{said}");
    let (child, _said, _) = all.begin(&[]).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(130));
    assert!(!all.config.path().join("eger").exists());
    let (code, _, said) = all.run(&["login", "--issuer", "https://nobody.example.org"]).await;
    assert!(code == 2 && said.contains(&all.provider.url), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_tokens_of_a_trusted_issuer_that_are_not_meant_for_this_platform() {
    let all = fixture("resource = \"urn:eger:elsewhere\"").await;
    // `hub login` itself says that such a token is of no use here, and keeps none.
    let (code, _, said) = all.login(&[], false).await;
    assert!(code == 4 && said.contains("doesn't take") && said.contains("audience"), "{said}");
    assert!(!all.config.path().join("eger").exists());

    let good = all.provider.token(ANNA, Some("urn:eger:data")).await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let more = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap())
            .unwrap()
            .replace("anna", "bodi"),
    );
    let (elsewhere, past, identity) = tokio::join!(
        all.provider.token(ANNA, Some("urn:eger:elsewhere")),
        all.provider.token(ANNA, Some("urn:eger:past")),
        identity_token(&all.provider),
    );
    let attacks = [
        ("another audience", elsewhere),
        ("over", past),
        ("identity token", identity),
        ("another person's claims", format!("{header}.{more}.{signature}")),
        ("no signature", format!("{signed}.")),
    ];
    for (name, token) in attacks {
        for headers in ["Bearer", "Basic"] {
            let mut client = Client::connect(all.house.at.enclave, &token).await;
            if headers == "Basic" {
                client.headers = vec![("authorization", basic(&token))];
            }
            let refusal = client.announce("SELECT 1").await.unwrap_err();
            assert_eq!(refusal.kind, Kind::Unauthenticated, "{name}: {refusal}");
            assert!(refusal.message.contains("not valid here"), "{name}: {refusal}");
        }
    }
    assert!(all.sds.asked().is_empty());
    for headers in [format!("Bearer {good}"), basic(&good)] {
        let mut client = Client::connect(all.house.at.enclave, "").await;
        client.headers = vec![("authorization", headers)];
        client.announce("SELECT 1").await.unwrap();
    }
}

fn basic(token: &str) -> String {
    let text = format!("{ANNA}:{token}");
    format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text))
}

/// What a page gets beside the access token, at the provider by hand.
async fn identity_token(provider: &Provider) -> String {
    let client = reqwest::Client::new();
    let post = async |path: &str, body: String| -> Value {
        let request = client.post(format!("{}{path}", provider.url)).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    };
    let begun = post("/device/auth", "client_id=eger-cli&scope=openid".to_owned()).await;
    person(begun["verification_uri_complete"].as_str().unwrap(), ANNA, false).await;
    let code = begun["device_code"].as_str().unwrap();
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let answer = post("/token", format!("client_id=eger-cli&grant_type={grant}&device_code={code}")).await;
    answer["id_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_at_the_issuer() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    let old = all.provider.token(ANNA, Some("urn:eger:data")).await;
    let mut client = Client::connect(all.house.at.enclave, &old).await;
    client.announce("SELECT 1").await.unwrap();
    all.provider.tell("/-/rotate").await;
    let new = all.provider.token(ANNA, Some("urn:eger:data")).await;
    let mut client = Client::connect(all.house.at.enclave, &new).await;
    // The hub asks the issuer for keys again, but not at every stranger's beck.
    let mut again = tokio::time::interval(std::time::Duration::from_millis(250));
    while client.announce("SELECT 1").await.is_err() {
        again.tick().await;
    }
    let mut late = Client::connect(all.house.at.enclave, &old).await;
    assert_eq!(late.announce("SELECT 1").await.unwrap_err().kind, Kind::Unauthenticated, "the old key was taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_soon_is_renewed_and_stays_bound_to_its_key() {
    let all = fixture("resource = \"urn:eger:brief\"").await;
    let (code, first, said) = all.login(&["--print-token"], false).await;
    assert_eq!(code, 0, "{said}");
    *all.sds.terms.lock().unwrap() =
        wire::CatalogueReply { permit: PermitId::new().to_string(), client_signature: true, ..Default::default() };
    let (code, answer, said) = all.run(SQL).await;
    assert_eq!((code, answer.as_str()), (0, "n\n40\n"), "{said}");
    let used = all.sds.seen.scans.lock().unwrap().pop().unwrap().envelope.unwrap().token;
    assert_ne!(used, first.trim());
    let kept = std::fs::read_to_string(all.kept()).unwrap();
    assert!(kept.contains(&used) && !kept.contains(first.trim()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_key_binding_at_the_issuer_a_token_is_bound_to_nothing() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    all.provider.tell("/-/dpop?on=0").await;
    let (code, _, said) = all.login(&[], false).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(all.run(SQL).await.0, 0);
    *all.sds.terms.lock().unwrap() =
        wire::CatalogueReply { permit: PermitId::new().to_string(), client_signature: true, ..Default::default() };
    let (code, _, said) = all.run(SQL).await;
    assert!(code == 2 && said.contains("demands your signature"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_signs_somebody_in_by_code_and_pkce() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    let login = all.provider.login(Some("urn:eger:data"));
    let issuer = Issuer::discover(&all.provider.url, None).await.unwrap();
    let key = Arc::new(BindingKey::generate(issuer.binding().unwrap()).unwrap());
    let http = Http::new(&all.provider.url, None, Some(Arc::clone(&key))).unwrap();
    let begin = || browser::begin(&issuer, &login, "http://127.0.0.1/back").unwrap();
    let back = async |begun: &browser::Begun| {
        let ended = person(begun.url.as_str(), ANNA, false).await;
        let url = url::Url::parse(ended["url"].as_str().unwrap()).unwrap();
        let field = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
        (field("code").unwrap(), field("state").unwrap())
    };
    let begun = begin();
    let (code, state) = back(&begun).await;
    let signed_in = browser::finish(&issuer, &login, &http, begun, &code, &state).await.unwrap();
    assert_eq!(signed_in.subject, ANNA);
    let mut client = Client::connect(all.house.address(Zone::Open), &signed_in.granted.access).await;
    client.announce("SELECT 1").await.unwrap();

    // Another's state; another's code: the verifier that began it never left this server.
    let (mine, theirs) = (begin(), begin());
    let (code, state) = back(&theirs).await;
    let refused = browser::finish(&issuer, &login, &http, mine, &code, &state).await.err().unwrap().to_string();
    assert!(refused.contains("no sign-in that was begun here"), "{refused}");
    let mine = begin();
    let (_, own) = back(&mine).await;
    let refused = browser::finish(&issuer, &login, &http, mine, &code, &own).await.err().unwrap().to_string();
    assert!(refused.contains("not signed in") && refused.contains("invalid_grant"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ordinary_python_driver_with_bearer_and_with_a_password() {
    let all = fixture("resource = \"urn:eger:data\"").await;
    let token = all.provider.token(ANNA, Some("urn:eger:data")).await;
    let python = std::env::var("EGER_TEST_PYTHON").map_or_else(|_| cache().join("venv/bin/python"), PathBuf::from);
    let other = all.provider.token(ANNA, Some("urn:eger:elsewhere")).await;
    let script = r#"
import os, adbc_driver_manager, adbc_driver_flightsql.dbapi as flight_sql
server, user, token, other = (os.environ[name] for name in ("SERVER", "PERSON", "TOKEN", "OTHER"))
bearer = lambda t: {"adbc.flight.sql.authorization_header": "Bearer " + t}
password = lambda t: {"username": user, "password": t}
for way in (bearer, password):
    with flight_sql.connect(server, db_kwargs=way(token)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM sds.lmdb WHERE atc = ?", ("A10BA02",))
        assert cursor.fetchone() == (20,)
        assert [c["catalog_name"] for c in connection.adbc_get_objects(depth="catalogs").read_all().to_pylist()] == ["diabetes"]
    try:
        with flight_sql.connect(server, db_kwargs=way(other)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        raise SystemExit("let in with a token for another audience")
    except adbc_driver_manager.Error as error:
        assert "not valid here" in str(error), error
print("ok")
"#;
    let mut command = Command::new(&python);
    command.args(["-c", script]).env("SERVER", all.server()).env("PERSON", ANNA);
    command.env("TOKEN", token).env("OTHER", other);
    let output = command.output().await.unwrap_or_else(|e| panic!("{}: {e}; run tests/setup", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
