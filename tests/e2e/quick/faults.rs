//! What somebody reads when a quick test fails, and that the next one is answered: no good token, a controller's spoke that dies
//! while it answers, a permit that is withdrawn between two requests, a full disk under the hub.

use super::{COHORTS, Caller, STRANGER, cells, equal};
use crate::{
    faults::SmallDisk,
    fixture::{ROLES, Running, start, token},
};
use anyhow::{Context, Result, ensure};
use demo::platform::{Part, Platform};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use tests::relay::{Line, Relay};

const VICTIM: &str = "sds";
const WAIT: Duration = Duration::from_secs(60);
/// What a controller was promised of a withdrawal.
const PROMISE: Duration = Duration::from_secs(5);

/// Prescriptions of the victim or results of another controller, by a code of the first.
fn request(atc: &str) -> Value {
    json!({ "any": [[equal(COHORTS[0].0, atc)], [equal(COHORTS[1].0, COHORTS[1].1)]] })
}

/// Legs that were asked for at a spoke so far.
fn legs(platform: &Platform, controller: &str) -> Result<usize> {
    let path = platform.spoke_dir(controller).join("audit/spoke.log");
    let mut all = 0;
    for entry in runtime::audit::read(&path)? {
        let event = entry?.0.event;
        all += usize::from(event["stage"] == "asked" && event["project"] == "quick-test");
    }
    Ok(all)
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    let (begun, mut look) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
    while !so().await? {
        ensure!(begun.elapsed() < WAIT, "waited in vain: {what}");
        look.tick().await;
    }
    Ok(begun.elapsed())
}

/// An access token that was good a day ago.
fn yesterdays(platform: &Platform) -> Result<String> {
    let mut command = Command::new("faketime");
    command.args(["1 day ago", ROLES, "--role", "issuer", "--", "token", "--user", STRANGER, "--config"]);
    let said = command.arg(platform.config(Part::Issuer)).output().context("no faketime; run tests/setup")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// The victim's links go through a relay from now on.
async fn relayed(platform: &mut Platform) -> Result<Relay> {
    let relay = Relay::to(platform.gateway().context("a gateway")?).await?;
    platform.stop_part(Part::Spoke(VICTIM)).await?;
    let path = platform.config(Part::Spoke(VICTIM));
    let text = std::fs::read_to_string(&path)?;
    let line = text.lines().find(|line| line.trim_start().starts_with("gateway")).context("a gateway")?;
    std::fs::write(&path, text.replace(line, &format!("gateway = \"{}\"", relay.address())))?;
    platform.start_part(Part::Spoke(VICTIM)).await?;
    Ok(relay)
}

fn detail(said: &Value) -> &str {
    said["detail"].as_str().unwrap_or_default()
}

async fn revoke(platform: &Platform) -> Result<()> {
    let approver = |end: &str| platform.dir().join("approvers").join(format!("{VICTIM}.{end}"));
    let said = ["revoke", "quick-test", "--reason", "not any more", "--config"];
    let mut args: Vec<PathBuf> = said.into_iter().map(PathBuf::from).collect();
    args.extend([platform.config(Part::Spoke(VICTIM)), "--key".into(), approver("key")]);
    args.extend(["--passphrase-file".into(), approver("passphrase")]);
    let said = platform.run("spoke", &args).await?;
    ensure!(said.success(), "{}", said.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_test_that_fails_says_why_and_the_next_one_is_answered() -> Result<()> {
    let Running { mut platform, folder } = start(500).await?;
    let relay = relayed(&mut platform).await?;
    platform.quick_test().await?;
    let bo = Caller::new(&platform, &token(&platform, STRANGER, &[]).await?)?;
    let first = bo.counted(&request("A10BA02")).await?;
    assert_eq!(first["left_this_hour"], 99);

    // No good token: nobody is asked, and nobody's share gets smaller.
    let before = legs(&platform, VICTIM)?;
    for wrong in ["nonsense", "", &format!("{}x", bo.token), &yesterdays(&platform)?] {
        let (status, _, said) = Caller::new(&platform, wrong)?.ask(&request("C09AA05")).await?;
        ensure!(status == StatusCode::UNAUTHORIZED, "{status}: {said}");
        ensure!(detail(&said).contains("hub login") || detail(&said).contains("token"), "{said}");
    }
    assert_eq!(legs(&platform, VICTIM)?, before);

    // The victim has the question and can't say a byte; then it dies.
    relay.set(Line { may_say: Some(0), ..Line::default() });
    let asked = tokio::spawn({
        let bo = Caller::new(&platform, &bo.token)?;
        async move { bo.ask(&request("C09AA05")).await }
    });
    until("the question is at the spoke", async || Ok(legs(&platform, VICTIM)? > before)).await?;
    platform.kill(Part::Spoke(VICTIM)).await;
    relay.set(Line::default());
    let (status, _, said) = tokio::time::timeout(WAIT, asked).await.context("the caller hangs")???;
    ensure!(status == StatusCode::SERVICE_UNAVAILABLE && detail(&said).contains(VICTIM), "{status}: {said}");
    // The same at the command line, while it is away; those who don't need it count.
    let by = ["--where".into(), "sds.lmdb.atc = C09AA05".into()];
    let typed = platform.hub_count(&by).await?;
    ensure!(!typed.success() && typed.text.contains(VICTIM) && !typed.text.contains("panicked"), "{}", typed.text);
    bo.counted(&json!({ "by": ["dst.bef.koen"] })).await?;
    platform.start_part(Part::Spoke(VICTIM)).await?;
    platform.quick_test().await?;
    let again = bo.counted(&request("C09AA05")).await?;
    ensure!(cells(&again)?.values().all(Option::is_some), "{again}");
    // Those that were asked count, answered or not: the first, the broken one, the one without the victim, this one.
    assert_eq!(again["left_this_hour"], 96);

    // A controller withdraws between two requests: the answer that is kept is over, too.
    assert_eq!(bo.counted(&request("C09AA05")).await?["kept"], true);
    revoke(&platform).await?;
    let mut last = Value::Null;
    let took = until("the withdrawal counts", async || {
        let (status, _, said) = bo.ask(&request("C09AA05")).await?;
        let over = !status.is_success();
        last = said;
        Ok(over)
    })
    .await?;
    println!("nobody is counted {} ms after the withdrawal: {last}", took.as_millis());
    ensure!(took < PROMISE, "still answered {took:?} after the withdrawal");
    ensure!(detail(&last).contains(VICTIM), "{last}");
    bo.counted(&json!({ "by": ["dst.bef.koen"] })).await?;
    platform.stop().await?;
    drop(folder);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_hub_is_said_to_who_counts_and_is_over_when_there_is_room() -> Result<()> {
    let Running { mut platform, folder } = start(300).await?;
    platform.quick_test().await?;
    platform.stop_part(Part::Hub).await?;
    let (hub, kept) = (platform.hub_dir(), folder.path().join("kept"));
    std::fs::rename(&hub, &kept)?;
    let disk = SmallDisk::mount(&hub, "64m")?;
    ensure!(Command::new("cp").arg("-a").arg(kept.join(".")).arg(&hub).status()?.success(), "cp");
    platform.start_part(Part::Hub).await?;
    platform.quick_test().await?;
    let bo = Caller::new(&platform, &token(&platform, STRANGER, &[]).await?)?;
    bo.counted(&request("A10BA02")).await?;
    let before = legs(&platform, VICTIM)?;

    let filler = hub.join("filler");
    let full = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output()?;
    ensure!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "the disk is not full");
    // Some requests may find room in files that have grown before; then comes the error, and nobody is asked for it.
    let mut answered = 0;
    let refused = loop {
        let (status, _, said) = bo.ask(&json!({ "any": [[equal("sds.lmdb.atc", format!("A{answered:02}"))]] })).await?;
        if !status.is_success() {
            break (status, said);
        }
        answered += 1;
        ensure!(answered < 50, "a full disk hinders nobody");
    };
    println!("after {answered} that found room: {} {}", refused.0, refused.1);
    ensure!(refused.0 == StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    let why = detail(&refused.1);
    ensure!(why.contains("database") || why.contains("audit log"), "{why}");
    assert_eq!(legs(&platform, VICTIM)?, before + answered);
    let typed = platform.hub_count(&["--by".into(), "dst.bef.koen".into()]).await?;
    ensure!(typed.code == Some(1) && typed.text.contains("the hub can't"), "{:?}: {}", typed.code, typed.text);

    std::fs::remove_file(&filler)?;
    bo.counted(&request("C09AA05")).await?;
    platform.stop().await?;
    drop(disk);
    drop(folder);
    Ok(())
}
