//! A certified OpenID provider (npm `oidc-provider`, installed by `tests/setup`), and people who sign in at it.

use anyhow::{Context, Result, ensure};
use hub::login::{Http, Issuer, LoginConfig, device};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Where `tests/setup` installs what the tests need.
pub(crate) fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("EGER_TEST_CACHE").unwrap_or_else(|| {
        let cache = set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
        cache.join("eger/tests")
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc").join(name)
}

/// A provider on loopback; it ends with this value.
pub(crate) struct Provider {
    pub(crate) url: String,
    _stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
    _process: Child,
}

impl Provider {
    pub(crate) async fn start() -> Result<Self> {
        let modules = cache().join("oidc");
        ensure!(modules.join("node_modules").is_dir(), "no OpenID provider in {}; run tests/setup", modules.display());
        let mut command = Command::new("node");
        // As an argument, so that its modules are looked for where they are installed.
        command.args(["--input-type=module", "-e", &std::fs::read_to_string(script("provider.mjs"))?]);
        command.current_dir(modules).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.kill_on_drop(true).spawn().context("no node; run tests/setup")?;
        let stdin = process.stdin.take().context("its input")?;
        let mut stdout = BufReader::new(process.stdout.take().context("its output")?);
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let said: serde_json::Value = serde_json::from_str(&line).context("the provider says where it listens")?;
        let url = said["issuer"].as_str().context("its issuer")?.to_owned();
        Ok(Self { url, _stdin: stdin, _stdout: stdout, _process: process })
    }

    /// An access token for the platform, of a person who signs in by device flow.
    pub(crate) async fn token(&self, name: &str) -> Result<String> {
        let login = LoginConfig {
            issuer: self.url.clone(),
            client_id: "eger-cli".to_owned(),
            scopes: Vec::new(),
            resource: Some("urn:eger:data".to_owned()),
        };
        let issuer = Issuer::discover(&self.url, None).await?;
        let http = Http::new(&self.url, None, None)?;
        let mut browser = None;
        let granted = device(&issuer, &login, &http, |shown| {
            let mut person = Command::new("node");
            person.arg(script("person.mjs")).args([shown.complete.as_deref().unwrap_or(&shown.uri), name]);
            // It goes on while the token is waited for, and ends with this function.
            browser = Some(person.stdout(Stdio::null()).kill_on_drop(true).spawn());
        })
        .await?;
        browser.context("nobody was shown a page")?.context("no node; run tests/setup")?;
        Ok(granted.access.to_string())
    }
}
