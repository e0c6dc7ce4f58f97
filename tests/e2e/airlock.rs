//! Results leave the secure environment as docs/airlock.md and docs/checkers.md say: their own lines, typed against a real
//! platform by people who signed in at a real OpenID provider; and the crate is read on "another machine", which has
//! nothing but the program and the key.

use crate::{
    fixture::{ROLES, options},
    provider::{Provider, cache},
    readme::walk::Walk,
};
use anyhow::{Context, Result, ensure};
use demo::platform::{Part, Platform, USER};
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::process::Command;

const CHECKERS: [(&str, &str); 3] =
    [("carl@example.org", "ssi"), ("dora@example.org", "ku"), ("finn@example.org", "auh")];
/// What the documents call a submission.
const SAMPLE: &str = "0193f0c2-..";

/// A table that the open zone answers.
const COUNTS: &str = r#"
project = "diabetes"
title = "People by sex"
[[files]]
name = "counts.csv"
description = "people by sex"
population = "everybody"
counts = "column n"
count_columns = ["n"]
query = "SELECT koen, count(DISTINCT pnr) AS n FROM dst.bef GROUP BY koen"
"#;

/// Somebody at a terminal of their own: a folder, a shell, a token.
struct Desk {
    folder: TempDir,
    api: String,
    token: String,
}

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    text: String,
}

impl Desk {
    fn new(api: Option<SocketAddr>, token: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let bin = folder.path().join("bin");
        fs::create_dir(&bin)?;
        for (name, script) in
            [("hub", format!("exec '{ROLES}' --role hub -- \"$@\"")), ("edit", "cp edited.toml \"$1\"".to_owned())]
        {
            let path = bin.join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        let api = api.map(|at| format!("http://{at}")).unwrap_or_default();
        Ok(Self { folder, api, token: token.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(name), text)?)
    }

    async fn try_to(&self, statement: &str) -> Result<Said> {
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", statement]).current_dir(self.folder.path()).env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", self.path("bin").display())).env("HOME", self.folder.path());
        shell.env("EDITOR", "edit");
        // Another machine knows of no hub.
        if !self.api.is_empty() {
            shell.env("EGER_API", &self.api).env("EGER_TOKEN", &self.token);
        }
        let output = shell.kill_on_drop(true).output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Ok(Said { code: output.status.code(), text: format!("{out}{err}"), out })
    }

    /// Types the lines of a paragraph, which have to succeed; gives what they wrote.
    async fn types(&self, walk: &mut Walk, about: &str, submission: &str) -> Result<String> {
        let mut all = String::new();
        for statement in walk.paragraph(about, "")? {
            let statement = statement.replace(SAMPLE, submission);
            let said = self.try_to(&statement).await?;
            ensure!(said.code == Some(0), "`{statement}`: {said:#?}");
            all += &said.text;
        }
        Ok(all)
    }

    /// Submits the form as it lies here; gives the submission's id.
    async fn submits(&self) -> Result<String> {
        let said = self.try_to("hub airlock submit outputs.toml --json").await?;
        ensure!(said.code == Some(0), "{said:#?}");
        let view: serde_json::Value = serde_json::from_str(&said.out)?;
        Ok(view["id"].as_str().context("an id")?.to_owned())
    }

    async fn state(&self, submission: &str) -> Result<String> {
        let said = self.try_to(&format!("hub airlock status {submission} --json")).await?;
        let view: serde_json::Value = serde_json::from_str(&said.out).with_context(|| said.text)?;
        Ok(view["state"].as_str().context("a state")?.to_owned())
    }
}

/// The hub of a running platform with a listener inside and with checkers; where it listens inside and outside.
async fn airlock(platform: &mut Platform, provider: &str) -> Result<(SocketAddr, SocketAddr)> {
    let path = platform.config(Part::Hub);
    let text = fs::read_to_string(&path)?;
    let line = "# enclave = \"127.0.0.1:7005\"";
    ensure!(text.contains(line), "hub.toml shows no listener of the airlock");
    let mut text = text.replace(line, "enclave = \"127.0.0.1:0\"");
    // A colleague of DORA's, too.
    for (user, organisation) in CHECKERS.into_iter().chain([("erik@example.org", "ku")]) {
        text += &format!("\n[[role]]\nuser = \"{user}\"\nissuer = \"{provider}\"\nrole = \"checker:{organisation}\"\n");
    }
    platform.stop_part(Part::Hub).await?;
    fs::write(&path, text)?;
    platform.start_part(Part::Hub).await?;
    let at = runtime::ready::read(&platform.dir().join("ready").join(format!("{}.json", Part::Hub)))?;
    let of = |name: &str| at.get(name).copied().with_context(|| format!("no listener '{name}'"));
    Ok((of("api_enclave")?, of("api")?))
}

fn submission(text: &str) -> Result<String> {
    let found = text.split_whitespace().find(|word| word.len() == 36 && word.matches('-').count() == 4);
    Ok(found.with_context(|| format!("no id of a submission in {text}"))?.to_owned())
}

/// The crate, read with the standard library of another language and the reference library of RO-Crates.
async fn read_elsewhere(crate_file: &Path) -> Result<serde_json::Value> {
    let python = std::env::var("EGER_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|_| cache().join("venv/bin/python"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/airlock.py");
    let output =
        Command::new(python).arg(script).arg(crate_file).output().await.context("no Python; run tests/setup")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Holds the crate against the published profiles, with a validator that is not ours, and sees that it finds what is broken.
async fn validates_elsewhere(crate_file: &Path) -> Result<()> {
    let python = cache().join("crate/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("crate/validate.py");
    let output =
        Command::new(python).arg(script).arg(crate_file).output().await.context("no validator; run tests/setup")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let whole = said["whole"].as_object().context("what is wrong, by profile")?;
    let profiles: BTreeSet<&str> = whole.keys().map(String::as_str).collect();
    assert_eq!(profiles, BTreeSet::from(["five-safes", "ro-crate-1.2", "workflow-ro-crate-1.0"]));
    for (profile, wrong) in whole {
        assert_eq!(*wrong, serde_json::json!([]), "{profile}: {}", crate_file.display());
    }
    let broken = said["broken"].as_object().context("what is wrong with broken ones")?;
    ensure!(broken.len() == 7, "{broken:?}");
    for (what, wrong) in broken {
        ensure!(wrong.as_array().is_some_and(|all| !all.is_empty()), "{what} is not found");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_leave_as_the_documents_say() -> Result<()> {
    let provider = Provider::start().await?;
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 300);
    options.issuers.push(provider.url.clone());
    let mut platform = Platform::start(options).await?;
    let (inside, outside) = airlock(&mut platform, &provider.url).await?;
    let anna = Desk::new(Some(inside), &provider.token(USER).await?)?;
    let out = Desk::new(Some(outside), &anna.token)?;
    let mut checkers = Vec::new();
    for (user, _) in CHECKERS {
        checkers.push(Desk::new(Some(inside), &provider.token(user).await?)?);
    }
    let [carl, dora, finn] = checkers.as_slice() else { unreachable!("three checkers") };
    let erik = Desk::new(Some(inside), &provider.token("erik@example.org").await?)?;
    let mut researchers = Walk::read("docs/airlock.md", "## From a file to a crate")?;
    let mut checking = Walk::read("docs/checkers.md", "# Checking what leaves")?;

    // The example form, as it is printed; the files that it names; and what the checks find in them.
    anna.write("edited.toml", policies::airlock::EXAMPLE)?;
    fs::create_dir(anna.path("out"))?;
    anna.write("out/table1.csv", "kom,koen,n\n101,1,120\n101,2,4\n")?;
    anna.write(
        "out/figure1.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"9\" height=\"9\"/></svg>\n",
    )?;
    anna.types(&mut researchers, "say what leaves", "").await?;
    ensure!(fs::read_to_string(anna.path("outputs.toml"))? == policies::airlock::EXAMPLE);
    let said = anna.try_to("hub airlock submit outputs.toml").await?;
    let told = said.text.contains("row 2, column n, threshold");
    ensure!(said.code == Some(5) && told, "a small cell is told where it stands: {said:#?}");
    anna.write("out/table1.csv", "kom,koen,n\n101,1,120\n101,2,\n")?;
    let said = anna.types(&mut researchers, "see what the checks would find", "").await?;
    ensure!(said.contains("CHECKED") && said.contains("compare the figure"), "{said}");
    let said = anna.types(&mut researchers, "hand it in", "").await?;
    ensure!(said.contains("UNDER_REVIEW"), "{said}");
    let first = submission(&said)?;
    // What is changed afterwards is not what was handed in.
    anna.write("out/table1.csv", "kom,koen,n\n101,1,999\n101,2,\n")?;

    // Nobody outside reads it, and nobody of the project decides.
    let said = out.try_to(&format!("hub airlock show {first}")).await?;
    ensure!(said.code == Some(0) && !said.text.contains("Metformin") && said.text.contains("read inside"), "{said:#?}");
    let said = anna.try_to(&format!("hub airlock review {first} --approve-all")).await?;
    ensure!(said.code == Some(4), "the submitter decides: {said:#?}");

    // One checker approves, the other doesn't; a colleague of the second has no say; the third decides.
    let said = carl.try_to(&format!("hub airlock review {first} --approve-all")).await?;
    ensure!(said.code == Some(0), "{said:#?}");
    let mut seen = String::new();
    for about in ["what waits for you", "what it is", "decide on every file"] {
        seen += &dora.types(&mut checking, about, &first).await?;
    }
    ensure!(seen.contains("101,1,120") && !seen.contains("999") && !seen.contains(USER), "{seen}");
    ensure!(anna.state(&first).await? == "CONFLICT");
    let said = erik.try_to(&format!("hub airlock review {first} --approve-all")).await?;
    ensure!(said.code == Some(4), "two of one organisation: {said:#?}");
    let change = "--approve table1.csv --change figure1.svg='name the axes'";
    let said = finn.try_to(&format!("hub airlock review {first} {change}")).await?;
    ensure!(said.code == Some(0), "{said:#?}");
    let said = anna.types(&mut researchers, "follow it", &first).await?;
    ensure!(said.contains("CHANGES_REQUESTED") && said.contains("name the axes"), "{said}");
    ensure!(!["carl", "dora", "finn", "ssi", "auh"].iter().any(|name| said.contains(name)), "{said}");

    // The resubmission shows what it changes, to both sides.
    anna.write("out/table1.csv", "kom,koen,n\n101,1,120\n101,2,\n")?;
    let form = policies::airlock::EXAMPLE.replace("# earlier = \"0193..\"", &format!("earlier = \"{first}\""));
    ensure!(form != policies::airlock::EXAMPLE);
    anna.write("outputs.toml", &form)?;
    anna.write("out/figure1.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"><text>people</text></svg>\n")?;
    let second = anna.submits().await?;
    for (desk, walk, about) in
        [(&anna, &mut researchers, "mended"), (carl, &mut checking, "what a resubmission changes")]
    {
        // The paragraph of the researchers submits as well: that one is withdrawn below.
        let said = desk.types(walk, about, &second).await?;
        ensure!(said.contains("figure1.svg  changed") && said.contains("table1.csv  the same"), "{said}");
    }
    let listed = anna.try_to("hub airlock list --json").await?;
    let listed: serde_json::Value = serde_json::from_str(&listed.out)?;
    let waiting: Vec<String> = listed["items"]
        .as_array()
        .context("submissions")?
        .iter()
        .filter(|one| one["state"] == "UNDER_REVIEW" && one["id"] != second.as_str())
        .filter_map(|one| one["id"].as_str().map(str::to_owned))
        .collect();
    let [third] = waiting.as_slice() else { anyhow::bail!("{waiting:?}") };
    let said = anna.types(&mut researchers, "taken back", third).await?;
    ensure!(said.contains("WITHDRAWN"), "{said}");

    // Two organisations approve: it leaves, and is what they saw.
    for desk in [dora, finn] {
        let said = desk.try_to(&format!("hub airlock review {second} --approve-all")).await?;
        ensure!(said.code == Some(0), "{said:#?}");
    }
    let said = out.types(&mut researchers, "approved", &second).await?;
    ensure!(said.contains("results.zip"), "{said}");
    ensure!(out.state(&second).await? == "RELEASED");
    // What the open zone answers leaves without anybody, and inside nobody gets it that way.
    out.write("counts.toml", COUNTS)?;
    out.types(&mut researchers, "outside, at once", "").await?;
    anna.write("counts.toml", COUNTS)?;
    let said = anna.try_to("hub airlock answer counts.toml --out counts.zip").await?;
    ensure!(said.code == Some(4) && !anna.path("counts.zip").exists(), "{said:#?}");
    platform.stop().await?;

    // Another machine: no hub, no configuration, no token.
    let other = Desk::new(None, "")?;
    for name in ["results.zip", "counts.zip", "hub.key"] {
        fs::copy(out.path(name), other.path(name))?;
    }
    let said = other.types(&mut researchers, "on any machine", "").await?;
    ensure!(said.contains("nothing was changed since") && said.contains("auh, ku"), "{said}");
    let read = read_elsewhere(&other.path("results.zip")).await?;
    assert_eq!(read["outputs"], serde_json::json!(["outputs/figure1.svg", "outputs/table1.csv"]));
    assert_eq!(read["organisations"], serde_json::json!(["auh", "ku"]));
    let snapshots = read["snapshots"].as_array().context("versions")?;
    ensure!(snapshots.iter().any(|table| table == "sds.lmdb"), "{read}");
    ensure!(read["queries"].as_str().is_some_and(|text| text.contains("FROM sds.lmdb GROUP BY kom, koen")), "{read}");
    let said = other.try_to("hub airlock verify counts.zip --key \"$(cat hub.key)\"").await?;
    ensure!(said.code == Some(0) && said.out.contains("by the platform, from the stated queries"), "{said:#?}");
    let computed = read_elsewhere(&other.path("counts.zip")).await?;
    assert_eq!(computed["outputs"], serde_json::json!(["outputs/counts.csv"]));
    assert_eq!(computed["organisations"], serde_json::json!([]));
    for name in ["results.zip", "counts.zip"] {
        validates_elsewhere(&other.path(name)).await?;
    }
    let mut bytes = fs::read(other.path("results.zip"))?;
    let at = bytes.windows(7).position(|w| w == b"101,1,1").context("the table")?;
    *bytes.get_mut(at).context("a byte")? = b'9';
    fs::write(other.path("results.zip"), bytes)?;
    let said = other.try_to("hub airlock verify results.zip --key \"$(cat hub.key)\"").await?;
    ensure!(said.code == Some(5), "a changed crate verifies: {said:#?}");
    researchers.all_typed()?;
    checking.all_typed()
}
