//! The binary, as people and scripts use it.

use crate::{
    house::{ANNA, Build, Two, lab, two},
    spoke::{Manner, Spoke},
};
use std::process::{Output, Stdio};
use tokio::process::Command;

pub fn hub(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hub"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in ["EGER_TOKEN", "EGER_SERVER", "EGER_PROJECT", "EGER_CA", "EGER_API"] {
        command.env_remove(name);
    }
    command
}

pub async fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = hub(args).output().await.unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

async fn ask(two: &Two, zone: &str, rest: &[&str]) -> (i32, String, String) {
    let at = if zone == "open" { two.house.at.open } else { two.house.at.enclave };
    let (server, token) = (format!("grpc://{at}"), two.house.token(ANNA));
    let mut args = vec!["sql", "--server", &server, "--token", &token];
    args.extend(rest);
    run(&args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_every_format() {
    let two = two().await;
    let sql = "SELECT atc, count(*) AS n FROM sds.lmdb GROUP BY atc ORDER BY atc";
    let (code, out, err) = ask(&two, "enclave", &["-c", sql]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out);
    let (_, out, _) = ask(&two, "enclave", &["-c", sql, "--format", "csv"]).await;
    assert_eq!(out, "atc,n\nA10BA02,20\nC09AA05,20\n");
    let (_, out, _) = ask(&two, "enclave", &["-c", sql, "--format", "json"]).await;
    assert_eq!(out.lines().next().unwrap(), r#"{"atc":"A10BA02","n":20}"#);
    let folded = "SELECT kom, count(*) AS n FROM \"region-h\".lab_forsker GROUP BY kom ORDER BY kom";
    let (_, out, _) = ask(&two, "open", &["-c", folded]).await;
    assert!(out.contains("\n· suppressed: fewer than 5 people\nperturbed: counts, and what is made of them,"), "{out}");
    let file = two.house.path().join("questions.sql");
    std::fs::write(&file, "SELECT 1 AS a; -- one\nSELECT 2 AS b;").unwrap();
    let (code, out, _) = ask(&two, "enclave", &["--format", "csv", "-f", file.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (0, "a\n1\nb\n2\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_messages() {
    let two = two().await;
    let (code, out, err) = ask(&two, "enclave", &["-c", "SELECT * FROM sds.nothing"]).await;
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(err.starts_with("error: there is no table sds.nothing"), "{err}");
    let (code, _, err) = ask(&two, "open", &["-c", "SELECT pnr FROM sds.lmdb"]).await;
    assert_eq!(code, 4);
    assert!(err.contains("This works"), "{err}");
    two.sds.set(Manner::Refuses(proto::refusal::Kind::Unavailable));
    assert_eq!(ask(&two, "enclave", &["-c", "SELECT sum(volume) FROM sds.lmdb"]).await.0, 6);
    let server = format!("grpc://{}", two.house.at.open);
    let (code, _, err) = run(&["sql", "--server", &server, "--token", "x", "-c", "SELECT 1"]).await;
    assert_eq!(code, 4);
    assert!(err.contains("this access token is not valid here"), "{err}");
    let (code, _, err) = run(&["sql", "--server", "grpc://127.0.0.1:9", "-c", "SELECT 1"]).await;
    assert_eq!(code, 3);
    assert!(err.contains("grpc://127.0.0.1:9: can't connect") && err.contains("Is the hub running"), "{err}");
    let (code, _, err) = run(&["sql", "--server", "grpc://hub.example.org:7001", "-c", "SELECT 1"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("must not cross a network in clear"), "{err}");
    assert_eq!(run(&["sql", "--format", "xml"]).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_here_and_at_the_spoke() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..50_000));
    region.set(Manner::Stalls(2));
    let house = Build::new().spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let (server, token) = (format!("grpc://{}", house.at.enclave), house.token(ANNA));
    let child =
        hub(&["sql", "--server", &server, "--token", &token, "-c", "SELECT value FROM \"region-h\".lab_forsker"])
            .spawn()
            .unwrap();
    while region.seen.running.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    region.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_tokens_certificates_and_a_hub_that_serves_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("hub");
    let config = folder.join("hub.toml").to_str().unwrap().to_owned();
    let (code, _, err) = run(&["init", folder.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(run(&["init", folder.to_str().unwrap()]).await.0, 2);
    let out = dir.path().join("region-h");
    let (code, printed, _) =
        run(&["admin", "ca", "issue", "spoke", "region-h", "--config", &config, "--out", out.to_str().unwrap()]).await;
    assert_eq!((code, printed.lines().count()), (0, 3));
    let (code, token, err) = run(&["admin", "token", "create", "--config", &config, ANNA, "--days", "2"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(token.starts_with("eger_") && token.lines().count() == 1 && err.contains("can't be shown again"));
    let (_, listed, _) = run(&["admin", "token", "list", "--config", &config]).await;
    assert!(listed.contains(ANNA) && listed.contains("good") && !listed.contains(token.trim()));
    let (code, _, err) = run(&["admin", "token", "create", "--config", &config, ANNA, "--project", "none"]).await;
    assert!(code == 2 && err.contains("nobody has applied"), "{err}");
    let (code, profile, _) = run(&["profile", "detect"]).await;
    assert!(code == 0 && profile.contains("[memory]"));
    let ready = dir.path().join("ready.json");
    let any = [
        "--listen-open",
        "127.0.0.1:0",
        "--listen-enclave",
        "127.0.0.1:0",
        "--listen-api",
        "127.0.0.1:0",
        "--listen-gateway",
        "127.0.0.1:0",
    ];
    let mut serve = hub(&["serve", "--config", &config, "--ready-file", ready.to_str().unwrap()]);
    let mut child = serve.args(any).spawn().unwrap();
    while !ready.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the hub ended");
        tokio::task::yield_now().await;
    }
    let at = runtime::ready::read(&ready).unwrap();
    // What the operator makes is good for the HTTP API, not for data.
    let (code, _, err) =
        run(&["sql", "--server", &format!("grpc://{}", at["open"]), "--token", token.trim(), "-c", "SELECT 1"]).await;
    assert!(code == 4 && err.contains("only by the HTTP API"), "{err}");
    assert_eq!(run(&["admin", "token", "revoke", "--config", &config, token.trim()]).await.0, 0);
    let (_, listed, _) = run(&["admin", "token", "list", "--config", &config]).await;
    assert!(listed.contains("revoked"), "{listed}");
    assert!(Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().await.unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
    std::fs::write(folder.join("hub.toml"), "name = 1\n").unwrap();
    let (code, _, err) = run(&["serve", "--config", &config]).await;
    assert!(code == 2 && err.contains("hub.toml, line 1"), "{err}");
}
