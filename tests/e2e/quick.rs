//! Quick tests over spoke processes: without a project, people at several controllers once, as documented when repeated.

mod faults;

use crate::fixture::{Running, start, token};
use anyhow::{Context, Result, ensure};
use demo::{
    oracle::Oracle,
    platform::{Outcome, Part, Platform},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

const PEOPLE: u32 = 3_000;
/// Somebody who is in no project.
const STRANGER: &str = "bo@example.org";

/// Metformin at one controller, long-term blood sugar at two others.
const COHORTS: [(&str, &str); 3] = [
    ("sds.lmdb.atc", "A10BA02"),
    ("region-h.lab_forsker.analysiscode", "NPU27300"),
    ("region-m.lab_forsker.analysiscode", "NPU27300"),
];

struct Caller {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    fn new(platform: &Platform, token: &str) -> Result<Self> {
        let api = platform.api().context("the hub serves its API")?;
        Ok(Self { http: reqwest::Client::new(), url: format!("http://{api}/v1/count"), token: token.to_owned() })
    }

    async fn ask(&self, body: &Value) -> Result<(StatusCode, Option<u64>, Value)> {
        let answer = self.http.post(&self.url).bearer_auth(&self.token).json(body).send().await?;
        let status = answer.status();
        let again = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((status, again, answer.json().await?))
    }

    async fn counted(&self, body: &Value) -> Result<Value> {
        let (status, _, answer) = self.ask(body).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer)
    }
}

fn equal(column: &str, value: impl Into<Value>) -> Value {
    json!({ "column": column, "op": "=", "value": value.into() })
}

/// Cells of an answer: values, and people.
fn cells(answer: &Value) -> Result<BTreeMap<Vec<String>, Option<u64>>> {
    let all = answer["cells"].as_array().context("cells")?;
    let text = |value: &Value| value.as_str().unwrap_or("NULL").to_owned();
    Ok(all
        .iter()
        .map(|cell| {
            let values = cell["values"].as_array().into_iter().flatten().map(text).collect();
            (values, cell["people"].as_u64())
        })
        .collect())
}

/// The oracle's counts of ten people or more.
async fn expected(oracle: &Oracle, keys: usize, sql: &str) -> Result<BTreeMap<Vec<String>, u64>> {
    let mut all = BTreeMap::new();
    for mut row in crate::fixture::rows(&oracle.ask(sql).await?)? {
        let people: u64 = row.split_off(keys).first().context("a count")?.parse()?;
        if people >= 10 {
            all.insert(row, people);
        }
    }
    Ok(all)
}

/// Whether the answer shows just these cells, each rounded to one of the two tens beside it.
fn shows(answer: &Value, truth: &BTreeMap<Vec<String>, u64>) -> Result<()> {
    let shown = cells(answer)?;
    ensure!(shown.keys().eq(truth.keys()), "{shown:?} instead of {truth:?}");
    for (values, people) in &shown {
        let (people, truth) = (people.context("a number")?, truth.get(values).copied().unwrap_or_default());
        ensure!(people % 10 == 0 && people.abs_diff(truth) < 10, "{values:?}: {people} instead of {truth}");
    }
    Ok(())
}

fn cohort(at: usize) -> String {
    let (column, value) = COHORTS[at];
    let mut parts = column.split('.');
    let (controller, table, column) = (parts.next(), parts.next(), parts.next());
    format!(
        "SELECT pnr FROM \"{}\".{} WHERE {} = '{value}'",
        controller.unwrap_or_default(),
        table.unwrap_or_default(),
        column.unwrap_or_default()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn people_at_three_controllers_are_counted_once_by_a_stranger_to_every_project() -> Result<()> {
    let Running { platform, folder } = start(PEOPLE).await?;
    platform.quick_test().await?;
    let bo = Caller::new(&platform, &token(&platform, STRANGER, &[]).await?)?;
    let oracle = Oracle::open(&platform.registers_dir())?;
    let any: Vec<Value> = COHORTS.iter().map(|(column, value)| json!([equal(column, *value)])).collect();

    // One number: the union of three controllers' cohorts.
    let union = (0..3).map(cohort).collect::<Vec<_>>().join(" UNION ALL ");
    let truth = expected(&oracle, 0, &format!("SELECT COUNT(DISTINCT pnr) FROM ({union})")).await?;
    let apart = expected(
        &oracle,
        0,
        &format!(
            "SELECT COUNT(*) FROM (SELECT DISTINCT pnr, c FROM (SELECT pnr, 1 AS c FROM \
        ({}) UNION ALL SELECT pnr, 2 AS c FROM ({}) UNION ALL SELECT pnr, 3 AS c FROM ({})))",
            cohort(0),
            cohort(1),
            cohort(2)
        ),
    )
    .await?;
    let whole = |all: &BTreeMap<Vec<String>, u64>| all.values().sum::<u64>();
    ensure!(whole(&apart) > whole(&truth) + 20, "too few are at two controllers: {apart:?} and {truth:?}");
    let answer = bo.counted(&json!({ "any": any })).await?;
    shows(&answer, &truth).context("counted once")?;
    assert_eq!(answer["left_this_hour"], 99);

    // The same by sex and region of residence, which a fourth controller knows.
    let by = ["dst.bef.koen", "dst.bef.region"];
    let truth = expected(
        &oracle,
        2,
        &format!("SELECT b.koen, b.region, COUNT(DISTINCT b.pnr) FROM dst.bef b JOIN ({union}) u ON u.pnr = b.pnr GROUP BY 1, 2"),
    )
    .await?;
    ensure!(truth.len() > 3, "{truth:?}");
    shows(&bo.counted(&json!({ "any": any, "by": by })).await?, &truth)?;

    // Conditions over several controllers that all hold; those over one table hold for one row.
    let all =
        json!([[equal(COHORTS[0].0, COHORTS[0].1), equal(COHORTS[1].0, COHORTS[1].1), equal("dst.bef.year", 2024)]]);
    let truth = expected(
        &oracle,
        1,
        &format!(
            "SELECT b.koen, COUNT(DISTINCT b.pnr) FROM dst.bef b WHERE b.year = 2024 AND b.pnr IN ({}) AND b.pnr IN ({}) GROUP BY 1",
            cohort(0),
            cohort(1)
        ),
    )
    .await?;
    ensure!(!truth.is_empty(), "nobody has both");
    shows(&bo.counted(&json!({ "any": all, "by": ["dst.bef.koen"] })).await?, &truth)?;

    // Small cells are not there, and no answer says whether there were any.
    let by = json!({ "any": all, "by": ["dst.bef.kom", "sds.lmdb.atc", "dst.bef.koen"] });
    let shown = cells(&bo.counted(&by).await?)?;
    ensure!(shown.values().all(|people| people.is_some_and(|people| people >= 10 && people % 10 == 0)), "{shown:?}");
    let nobody = json!({ "any": [[equal("dst.bef.kom", -1)]] });
    assert_eq!(cells(&bo.counted(&nobody).await?)?, BTreeMap::from([(Vec::new(), None)]));

    // What the command line shows is what the API says.
    let args = ["--where", "sds.lmdb.atc = A10BA02", "--or", "region-h.lab_forsker.analysiscode = NPU27300", "--or"];
    let args = args.into_iter().chain(["region-m.lab_forsker.analysiscode = NPU27300"]);
    let args: Vec<PathBuf> = args.map(PathBuf::from).collect();
    let said = platform.hub_count(&args).await?;
    let people = answer["cells"][0]["people"].to_string();
    ensure!(said.success() && said.stdout.contains(&people), "{people}: {}", said.text);
    // Identifiers are neither counted by nor chosen by, and what isn't offered isn't there.
    for (column, why) in
        [("dst.bef.pnr", "identifies people"), ("dst.bef.nothing", "no such column"), ("x.y.z", "no controller")]
    {
        let (status, _, said) = bo.ask(&json!({ "any": [[equal(column, "1")]] })).await?;
        ensure!(status.is_client_error() && said["detail"].as_str().is_some_and(|text| text.contains(why)), "{said}");
    }
    // Every controller's log has each question with who asked; the hub's has the request.
    let log = async |role: &str, part: Part| -> Result<String> {
        let args = ["audit".into(), "show".into(), "--config".into(), platform.config(part)];
        let said = platform.run(role, &args).await?;
        ensure!(said.success(), "{role} audit show: {}", said.text);
        Ok(said.stdout)
    };
    let at_sds = log("spoke", Part::Spoke("sds")).await?;
    ensure!(at_sds.contains("quick-test") && at_sds.contains(STRANGER), "{at_sds}");
    let at_hub = log("hub", Part::Hub).await?;
    ensure!(at_hub.contains("quick test") && at_hub.contains(STRANGER), "{at_hub}");
    platform.stop().await?;
    drop(folder);
    Ok(())
}

/// `hub count` as somebody types it who is signed in.
async fn typed(platform: &Platform, user: &str, args: &[&str]) -> Result<Outcome> {
    let all: Vec<&str> = ["count"].into_iter().chain(args.iter().copied()).collect();
    Ok(platform.desk(user, false).await?.context("the hub serves its API")?.hub(&all).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_8th_identical_request_and_the_101st_in_an_hour_behave_as_documented() -> Result<()> {
    let Running { mut platform, folder } = start(500).await?;
    platform.quick_test().await?;
    let bo = Caller::new(&platform, &token(&platform, STRANGER, &[]).await?)?;
    let request = json!({ "any": [[equal("sds.lmdb.atc", "A10BA02")]], "by": ["dst.bef.koen"] });
    let first = bo.counted(&request).await?;
    assert_eq!((first["kept"].as_bool(), first["left_this_hour"].as_u64()), (Some(false), Some(99)));
    let mut ids = BTreeSet::from([first["query"].to_string()]);
    for nth in 2..=8 {
        // The last of them is typed.
        let again = if nth < 8 {
            bo.counted(&request).await?
        } else {
            let args = ["--where", "sds.lmdb.atc = A10BA02", "--by", "dst.bef.koen", "--json"];
            let said = typed(&platform, STRANGER, &args).await?;
            ensure!(said.success(), "{}", said.text);
            serde_json::from_str(&said.stdout)?
        };
        // The same answer, asked of nobody, and none of the hundred.
        assert_eq!(again["cells"], first["cells"]);
        assert_eq!((again["kept"].as_bool(), again["left_this_hour"].as_u64()), (Some(true), Some(99)));
        ids.insert(again["query"].to_string());
    }
    assert_eq!(ids.len(), 8, "each has an id of its own");
    // 99 others, each counted.
    for n in 0..99_u64 {
        let answer = bo.counted(&json!({ "any": [[equal("dst.bef.kom", n)]] })).await?;
        assert_eq!(answer["left_this_hour"].as_u64(), Some(98 - n));
    }
    let next = json!({ "any": [[equal("dst.bef.kom", 1_000)]] });
    let (status, again, said) = bo.ask(&next).await?;
    ensure!(status == StatusCode::TOO_MANY_REQUESTS, "{status}: {said}");
    ensure!(again.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{again:?}");
    ensure!(said["detail"].as_str().is_some_and(|text| text.contains("the next one is taken at")), "{said}");
    // The same at the command line: when the next one is taken, and another exit code than for a fault.
    let said = typed(&platform, STRANGER, &["--where", "dst.bef.kom = 1000"]).await?;
    ensure!(said.code == Some(5) && said.text.contains("the next one is taken at"), "{:?}: {}", said.code, said.text);
    // The same request as before is answered still, as long as it is kept; and somebody else has a share of their own.
    assert_eq!(bo.counted(&request).await?["cells"], first["cells"]);
    let anna = Caller::new(&platform, platform.token())?;
    assert_eq!(anna.counted(&next).await?["left_this_hour"], 99);
    // A restart forgets answers, and nobody's share.
    platform.stop_part(Part::Hub).await?;
    platform.start_part(Part::Hub).await?;
    platform.quick_test().await?;
    let bo = Caller::new(&platform, &bo.token)?;
    assert_eq!(bo.ask(&next).await?.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(bo.ask(&request).await?.0, StatusCode::TOO_MANY_REQUESTS);
    platform.stop().await?;
    drop(folder);
    Ok(())
}
