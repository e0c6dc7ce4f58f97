//! What is seen of a statement: numbers for the operator, what spokes measured, progress for whoever asked.

use crate::{
    house::{ANNA, BO, Build, House, lab, lmdb, two},
    spoke::{Manner, Spoke},
    terminal::hub as command,
};
use arrow_flight::FlightInfo;
use hub::{
    receive::{PROGRESS, ToSign},
    watch::{METRICS, Progress, Stage},
};
use policies::zone::Zone;
use proto::{refusal::Kind, wire};
use std::{collections::BTreeMap, process::Stdio, time::Duration};
use tokio::io::{AsyncBufReadExt, BufReader};

const JOIN: &str = "SELECT l.kom, count(DISTINCT l.pnr) AS people FROM sds.lmdb m JOIN \"region-h\".lab_forsker l \
                    ON m.pnr = l.pnr WHERE m.atc = 'A10BA02' GROUP BY l.kom";

/// Every sample of a scrape, after each line was looked at.
async fn scrape(house: &House) -> BTreeMap<String, f64> {
    let at = house.at.metrics.unwrap();
    let answer = reqwest::get(format!("http://{at}/metrics")).await.unwrap().error_for_status().unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let kind = about.split(' ').next().unwrap();
            assert!(["HELP", "TYPE", "EOF"].contains(&kind), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        let known = METRICS.iter().find(|(known, ..)| {
            bare == *known || ["_total", "_bucket", "_sum", "_count"].iter().any(|end| bare == format!("{known}{end}"))
        });
        let (_, labels, _) = known.unwrap_or_else(|| panic!("an unknown metric: {line}"));
        let inside = name.strip_prefix(bare).unwrap().trim_matches(['{', '}']);
        for label in inside.split("\",").filter(|label| !label.is_empty()) {
            let label = label.split('=').next().unwrap();
            assert!(label == "le" || labels.split(", ").any(|known| known == label), "an unknown label: {line}");
        }
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_by_a_statement_and_show_no_person() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let mut build = Build::new().spoke(&sds).await.spoke(&region).await;
    build.more = "[metrics]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let before = scrape(&house).await;
    assert_eq!(before["eger_hub_permits{controller=\"sds\"}"], 1.0);
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    anna.sql(JOIN).await.unwrap();
    anna.refused("SELECT * FROM sds.nothing").await;
    let after = scrape(&house).await;
    let of = |name: &str| after.get(name).copied().unwrap_or_else(|| panic!("no {name} in {after:?}"));
    assert_eq!(of("eger_hub_statements_total{zone=\"enclave\",outcome=\"answered\"}"), 1.0);
    assert_eq!(of("eger_hub_refusals_total{kind=\"not found\"}"), 1.0);
    assert_eq!((of("eger_hub_plan_seconds_count"), of("eger_hub_queue_seconds_count")), (1.0, 1.0));
    // 20 people at one, 60 at the other: neither number shows.
    assert_eq!(of("eger_hub_rows_total{controller=\"sds\"}"), 1_000.0);
    assert_eq!(of("eger_hub_rows_total{controller=\"region-h\"}"), 1_000.0);
    assert!(of("eger_hub_bytes_total{controller=\"sds\",direction=\"in\"}") >= 1_000.0);
    let told: Vec<String> = after.keys().cloned().chain([ANNA.to_owned()]).collect();
    assert!(!told[..told.len() - 1].iter().any(|name| name.contains(ANNA) || name.contains("diabetes")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_spoke_measured_stands_in_explain_analyze() {
    let two = two().await;
    let exact = wire::Measured {
        exact: true,
        waited_ms: 2,
        worked_ms: 31,
        rows_read: 20,
        bytes_read: 7_654,
        groups_read: 3,
        groups_skipped: 8,
    };
    two.sds.set(Manner::Measures(exact));
    let mut anna = two.house.client(ANNA, Zone::Enclave).await;
    let shown = anna.shown(&format!("EXPLAIN ANALYZE {JOIN}")).await;
    let row = |name: &str| shown.lines().find(|line| line.starts_with(&format!("| {name}"))).unwrap().to_owned();
    assert!(
        row("sds").contains("waited 2 ms, worked 31 ms, read 20 rows, 7,654 bytes, row groups 3, skipped 8"),
        "{shown}"
    );
    // The other one is of a version that measures nothing.
    assert!(!row("region-h").contains("worked") && row("region-h").contains(" ms"), "{shown}");
    // What a spoke of the open zone must not say is coarse at the hub again.
    let mut anna = two.house.client(ANNA, Zone::Open).await;
    let shown = anna.shown(&format!("EXPLAIN ANALYZE {JOIN}")).await;
    // Where a class begins is another place for each statement.
    let coarse = ["up to 8,192 bytes", "up to 16,384 bytes"].iter().any(|bytes| shown.contains(bytes));
    assert!(!shown.contains("7,654") && !shown.contains(" 20 rows") && coarse, "{shown}");
}

/// A statement that waits in the middle of an answer, and its client's FlightInfo.
async fn stalled(house: &House, region: &Spoke, zone: Zone) -> (FlightInfo, tokio::task::JoinHandle<()>) {
    region.set(Manner::Stalls(2));
    let mut anna = house.client(ANNA, zone).await;
    let sql = if zone == Zone::Enclave {
        "SELECT value FROM \"region-h\".lab_forsker"
    } else {
        "SELECT kom, count(*) AS n FROM \"region-h\".lab_forsker WHERE regexp_replace(analysiscode, 'N', 'M') = 'MPU27300' \
         GROUP BY kom"
    };
    let info = anna.announce(sql).await.unwrap();
    let announced = info.clone();
    let running = tokio::spawn(async move { drop(anna.fetch(&announced).await) });
    (info, running)
}

async fn progress(house: &House, user: &str, zone: Zone, info: &FlightInfo) -> Result<Vec<Progress>, Kind> {
    let told: ToSign = serde_json::from_slice(&info.app_metadata).unwrap();
    let body = told.query_id.to_string().into_bytes();
    let said = house.client(user, zone).await.action(PROGRESS, body).await;
    said.map(|json| serde_json::from_slice(&json).unwrap()).map_err(|refusal| refusal.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asked_is_told_how_far_a_statement_is() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..50_000));
    let house = Build::new().spoke(&region).await.start(&[("diabetes", &[ANNA, BO])]).await;
    // In the open zone the next class, or the one above it: where classes begin is another place for each statement.
    for (zone, told, exact) in [(Zone::Enclave, [2_000, 2_000], true), (Zone::Open, [2_048, 4_096], false)] {
        let (info, running) = stalled(&house, &region, zone).await;
        let until = async {
            loop {
                if let Ok(all) = progress(&house, ANNA, zone, &info).await
                    && all.first().is_some_and(|spoke| spoke.rows >= told[0])
                {
                    return all;
                }
                tokio::task::yield_now().await;
            }
        };
        let all = tokio::time::timeout(Duration::from_secs(20), until).await.expect("rows");
        let controller = "region-h".parse().unwrap();
        let rows = all.first().map(|spoke| spoke.rows).unwrap();
        assert!(told.contains(&rows), "{all:?}");
        assert_eq!(all, [Progress { controller, stage: Stage::Rows, rows, exact }]);
        assert_eq!(progress(&house, BO, zone, &info).await, Err(Kind::NotFound), "another member of the project");
        running.abort();
        region.idle().await;
        let over = async {
            while progress(&house, ANNA, zone, &info).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), over).await.expect("it is over");
    }
    let refused = house.client(ANNA, Zone::Open).await.action(PROGRESS, b"nonsense".to_vec()).await.unwrap_err();
    assert!(refused.kind == Kind::Invalid && refused.message.contains("FlightInfo"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_each_spoke_and_ctrl_c_stops_them() {
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..50_000));
    region.set(Manner::Stalls(2));
    let house = Build::new().spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let (server, token) = (format!("grpc://{}", house.at.enclave), house.token(ANNA));
    // A program on a terminal of its own, as `script` makes one. The answer goes elsewhere: lines of progress end with it.
    let sql = "SELECT count(*) FROM \\\"region-h\\\".lab_forsker WHERE regexp_replace(analysiscode, 'N', 'M') = 'M'";
    let line = format!("{} sql --server {server} -c \"{sql}\"", env!("CARGO_BIN_EXE_hub"));
    let mut on_terminal = tokio::process::Command::new("script");
    on_terminal.args(["-qec", &line, "/dev/null"]).env("EGER_TOKEN", token).env("TERM", "xterm");
    let mut child = on_terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let shown = async {
        while !String::from_utf8_lossy(&seen).contains("region-h: 2,000 rows so far") {
            let chunk = screen.fill_buf().await.unwrap().to_vec();
            assert!(!chunk.is_empty(), "it ended: {}", String::from_utf8_lossy(&seen));
            screen.consume(chunk.len());
            seen.extend(chunk);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), shown).await.expect("progress on the terminal");
    assert_eq!(region.seen.running.load(std::sync::atomic::Ordering::SeqCst), 1);
    // What the keys Ctrl-C send to a terminal.
    let mut keys = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut keys, &[3]).await.unwrap();
    region.idle().await;
    assert_eq!(child.wait().await.unwrap().code(), Some(130));

    // Without a terminal nothing is shown, however long it takes.
    let token = house.token(ANNA);
    let mut quiet =
        command(&["sql", "--server", &server, "--token", &token, "-c", "SELECT value FROM \"region-h\".lab_forsker"]);
    let mut child = quiet.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = tokio::time::timeout(Duration::from_secs(3), lines.next_line());
    assert!(said.await.is_err(), "nothing on standard error");
}

#[test]
fn the_operators_document_lists_every_metric() {
    let text = include_str!("../../../docs/operate.md");
    let listed: Vec<&str> = text.lines().filter(|line| line.starts_with("| `eger_hub_")).collect();
    let known: Vec<String> = METRICS.iter().map(|(n, l, w)| format!("| `{n}` | {l} | {w} |")).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let text = include_str!("../../../infra/deploy/grafana/eger.json");
    serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut found = 0;
    for (at, _) in text.match_indices("eger_hub_") {
        let name: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let bare = ["_total", "_bucket", "_sum", "_count"].iter().fold(name.as_str(), |n, end| n.trim_end_matches(end));
        assert!(METRICS.iter().any(|(known, ..)| *known == bare), "{name}");
        found += 1;
    }
    assert!(found > 6);
}
