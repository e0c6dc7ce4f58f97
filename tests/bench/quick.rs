//! How long a quick test takes: requests over one to four controllers, each asked anew, over the demo's registers.

use crate::{
    Options,
    report::{median, quantile},
};
use anyhow::{Context, Result, ensure};
use demo::platform::{self, Platform, Progress};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Half of the requests are answered within so many seconds, over so many people or more.
const MOST: (f64, u32) = (2.0, 1_000_000);

fn condition(column: &str, op: &str, value: impl Into<Value>) -> Value {
    json!({ "column": column, "op": op, "value": value.into() })
}

/// Twenty requests, no two the same.
fn requests() -> Vec<(String, Value)> {
    let lab = |region: &str| condition(&format!("{region}.lab_forsker.analysiscode"), "=", "NPU27300");
    let drug = |code: &str| condition("sds.lmdb.atc", "starts", code);
    let mut all = Vec::new();
    for code in ["A10", "A10BA02", "C09", "N06", "B01"] {
        all.push((format!("one controller: {code}"), json!({ "any": [[drug(code)]] })));
        all.push((
            format!("two, by sex and region: {code}"),
            json!({ "any": [[drug(code), condition("dst.bef.year", "=", 2024)]], "by": ["dst.bef.koen", "dst.bef.region"] }),
        ));
        all.push((
            format!("three, any of: {code}, blood sugar at two regions"),
            json!({ "any": [[drug(code)], [lab("region-h")], [lab("region-m")]] }),
        ));
        all.push((
            format!("four, any of, by sex, region and year: {code}"),
            json!({
                "any": [[drug(code)], [lab("region-h")], [lab("region-m")]],
                "by": ["dst.bef.koen", "dst.bef.region", "dst.bef.year"]
            }),
        ));
    }
    all
}

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let dir = options.dir.join(format!("quick-{}", options.people));
    let mut all = platform::Options::new(dir, std::env::current_exe()?, options.people);
    let step = Mutex::new((String::new(), Instant::now()));
    all.report = Arc::new(move |progress| {
        let mut before = step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Progress::Step(what) = progress {
            let seconds = before.1.elapsed().as_secs_f64();
            if seconds > 5.0 {
                println!("  {}: {seconds:.0} s", before.0);
            }
            *before = (what.to_owned(), Instant::now());
        }
    });
    let platform = Platform::start(all).await?;
    platform.quick_test().await?;
    let api = platform.api().context("the hub serves its API")?;
    let (http, url) = (reqwest::Client::new(), format!("http://{api}/v1/count"));
    let mut times: Vec<(f64, String)> = Vec::new();
    for (what, request) in requests() {
        let begun = Instant::now();
        let answer = http.post(&url).bearer_auth(platform.token()).json(&request).send().await?;
        let (status, answer) = (answer.status(), answer.json::<Value>().await?);
        ensure!(status.is_success(), "{what}: {status}: {answer}");
        ensure!(answer["kept"] == false, "{what}: was asked before; wait ten minutes");
        times.push((begun.elapsed().as_secs_f64(), what));
    }
    platform.stop().await?;
    let seconds: Vec<f64> = times.iter().map(|(seconds, _)| *seconds).collect();
    println!(
        "quick tests: {} different requests over registers of {} people at four controllers: p50 {:.2} s, p99 {:.2} s",
        seconds.len(),
        options.people,
        quantile(&seconds, 0.5),
        quantile(&seconds, 0.99)
    );
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (seconds, what) in times.iter().take(4) {
        println!("  {seconds:.2} s  {what}");
    }
    let (most, from) = MOST;
    ensure!(
        options.people < from || median(&seconds) < most,
        "half of the requests take longer than {most} s over {} people",
        options.people
    );
    Ok(())
}
