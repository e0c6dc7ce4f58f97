//! What an operator sees of one statement: one trace over hub and spokes, and numbers that move. Nothing of the statement.

use crate::fixture::{Running, options};
use anyhow::{Context, Result, ensure};
use arrow_flight::sql::client::FlightSqlServiceClient;
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use demo::platform::{PROJECT, Part, Platform, USER};
use futures::TryStreamExt;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// The trace that the client says it is in.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALL: &str = "b7ad6b7169203331";
/// Stands in the statement as a constant, and in no data.
const PLANTED: &str = "PLANTED7QX";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
    more: Arc<Notify>,
}

impl Collector {
    /// Listens; gives its base address.
    async fn start(&self) -> Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{at}"))
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// All spans so far with the service that made them.
    fn spans(&self) -> Result<Vec<(String, Span)>> {
        let mut all = Vec::new();
        for body in self.bodies() {
            for resource in ExportTraceServiceRequest::decode(body)?.resource_spans {
                let about = resource.resource.context("a resource")?;
                let named = |key: &str| {
                    about.attributes.iter().find(|a| a.key == key).and_then(|a| text(a.value.as_ref()?.value.as_ref()))
                };
                let service = format!(
                    "{} {}",
                    named("service.name").unwrap_or_default(),
                    named("service.instance.id").unwrap_or_default()
                );
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                all.extend(spans.map(|span| (service.clone(), span)));
            }
        }
        Ok(all)
    }

    /// Waits until the spans satisfy `enough`.
    async fn until(&self, enough: impl Fn(&[(String, Span)]) -> bool) -> Result<Vec<(String, Span)>> {
        let waited = async {
            loop {
                let more = self.more.notified();
                let spans = self.spans()?;
                if enough(&spans) {
                    return Ok(spans);
                }
                more.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), waited).await {
            Ok(spans) => spans,
            Err(_) => anyhow::bail!("not all spans came: {:?}", names(&self.spans()?)),
        }
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> &'static str {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    collector.bodies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(body);
    collector.more.notify_waiters();
    collector.more.notify_one();
    ""
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::StringValue(text)) => Some(text.clone()),
        Some(Value::IntValue(n)) => Some(n.to_string()),
        _ => None,
    }
}

fn names(spans: &[(String, Span)]) -> Vec<String> {
    spans.iter().map(|(service, span)| format!("{service}: {}", span.name)).collect()
}

fn said(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|a| a.key == key).and_then(|a| text(a.value.as_ref()?.value.as_ref()))
}

/// A platform whose parts send traces to `collector` and tell metrics.
async fn start(folder: tempfile::TempDir, collector: &str) -> Result<Running> {
    let mut options = options(&folder, 300);
    options.environment.extend([
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "50".to_owned()),
    ]);
    let prepared = Platform::prepare(options.clone()).await?;
    for part in [Part::Hub, Part::Spoke("dst"), Part::Spoke("sds")] {
        let mut file = std::fs::OpenOptions::new().append(true).open(prepared.config(part))?;
        file.write_all(b"\n[metrics]\nlisten = \"127.0.0.1:0\"\n")?;
    }
    drop(prepared);
    let platform = Platform::start(options).await?;
    Ok(Running { platform, folder })
}

/// Asks one statement as a client that is being traced itself.
async fn ask(running: &Running, zone: &str, sql: &str) -> Result<usize> {
    let platform = &running.platform;
    let address = if zone == "open" { platform.open() } else { platform.enclave() }.context("the hub runs")?;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(platform.token().to_owned());
    client.set_header("x-eger-project", PROJECT);
    client.set_header("traceparent", format!("00-{TRACE}-{CALL}-01"));
    let info = client.execute(sql.to_owned(), None).await?;
    let ticket = info.endpoint.into_iter().next().and_then(|e| e.ticket).context("a ticket")?;
    let batches: Vec<_> = client.do_get(ticket).await?.try_collect().await?;
    Ok(batches.iter().map(arrow::array::RecordBatch::num_rows).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_statement_is_one_trace_and_says_nothing_of_it() -> Result<()> {
    let collector = Collector::default();
    let at = collector.start().await?;
    let running = start(tempfile::tempdir()?, &at).await?;
    let sql = format!(
        "SELECT b.koen, COUNT(*) AS n FROM dst.bef b JOIN sds.lmdb l ON l.pnr = b.pnr \
         WHERE l.atc = 'A10BA02' OR l.atc = '{PLANTED}' GROUP BY b.koen"
    );
    ensure!(ask(&running, "enclave", &sql).await? > 0, "an answer");

    let ours = |spans: &[(String, Span)]| -> Vec<(String, Span)> {
        spans.iter().filter(|(_, span)| hex::encode(&span.trace_id) == TRACE).cloned().collect()
    };
    let count = |spans: &[(String, Span)], name: &str| spans.iter().filter(|(_, span)| span.name == name).count();
    let spans = collector
        .until(|spans| {
            let ours = ours(spans);
            count(&ours, "question") == 2 && count(&ours, "receive") == 2 && count(&ours, "dispatch") == 2
        })
        .await?;
    let spans = ours(&spans);
    let by_id: BTreeMap<&[u8], &(String, Span)> = spans.iter().map(|s| (s.1.span_id.as_slice(), s)).collect();
    for (service, span) in &spans {
        let above =
            by_id.get(span.parent_span_id.as_slice()).map(|(service, span)| (service.as_str(), span.name.as_str()));
        let spoke = service.starts_with("eger-spoke");
        let expected = match span.name.as_str() {
            "receive" => {
                assert_eq!(hex::encode(&span.parent_span_id), CALL, "below the client's own span");
                continue;
            }
            "identify" | "queue" | "plan" | "dispatch" | "release" => ("eger-hub main", "receive"),
            "gather" => ("eger-hub main", "dispatch"),
            "question" => ("eger-hub main", "dispatch"),
            "admit" | "scan" | "reply" => (service.as_str(), "question"),
            other => anyhow::bail!("an unknown span {other}"),
        };
        assert_eq!(above, Some(expected), "{service}: {}", span.name);
        assert_eq!(spoke, ["question", "admit", "scan", "reply"].contains(&span.name.as_str()), "{service}");
    }
    // Each of the two spokes hangs below the dispatch that names it.
    let mut asked = Vec::new();
    for (service, question) in spans.iter().filter(|(_, span)| span.name == "question") {
        let (_, dispatch) = by_id.get(question.parent_span_id.as_slice()).context("a parent")?;
        let controller = said(dispatch, "controller").context("a controller")?;
        assert_eq!(*service, format!("eger-spoke {controller}"));
        assert_eq!(said(question, "outcome").as_deref(), Some("whole"));
        asked.push(controller);
    }
    asked.sort();
    assert_eq!(asked, ["dst", "sds"]);
    for name in ["identify", "queue", "plan", "release", "gather", "admit", "scan", "reply"] {
        ensure!(count(&spans, name) > 0, "no span {name}: {:?}", names(&spans));
    }

    let mut secrets = vec![PLANTED.to_owned(), USER.to_owned(), "A10BA02".to_owned(), "lmdb".to_owned()];
    secrets.push(running.platform.token().split('.').nth(1).context("a token")?.to_owned());
    for body in collector.bodies() {
        for secret in &secrets {
            let found = body.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret.as_bytes()));
            assert!(!found, "{secret} was exported");
        }
    }

    moves(&running, &sql).await?;
    // The same statement in the open zone: no span has a number that could be one of people.
    let before: Vec<Vec<u8>> = spans.iter().map(|(_, span)| span.span_id.clone()).collect();
    let all =
        collector.until(|spans| count(&ours(spans), "question") == 4 && count(&ours(spans), "receive") == 4).await?;
    let coarse: Vec<u64> = ours(&all)
        .iter()
        .filter(|(_, span)| !before.contains(&span.span_id))
        .flat_map(|(_, span)| ["rows", "bytes", "keys"].map(|key| said(span, key)))
        .flatten()
        .map(|n| n.parse().unwrap_or(0))
        .collect();
    ensure!(coarse.len() > 6 && coarse.iter().all(|n| *n == 1_000 || n.is_power_of_two() && *n > 1_000), "{coarse:?}");
    running.platform.stop().await?;
    Ok(())
}

/// In the open zone no small number shows, and a spoke's and the hub's numbers move by a statement.
async fn moves(running: &Running, sql: &str) -> Result<()> {
    let parts = [Part::Hub, Part::Spoke("dst"), Part::Spoke("sds")];
    let scrape = || async {
        let mut all = BTreeMap::new();
        for part in parts {
            let at = metrics_at(&running.platform.log(part))?;
            let text = reqwest::get(format!("http://{at}/metrics")).await?.error_for_status()?.text().await?;
            ensure!(!text.contains(USER) && !text.contains(PLANTED), "{text}");
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
                all.insert(format!("{part} {name}"), value.parse::<f64>().with_context(|| line.to_owned())?);
            }
        }
        anyhow::Ok(all)
    };
    let before = scrape().await?;
    ask(running, "open", sql).await?;
    let grown = async {
        loop {
            let after = scrape().await?;
            let more = |name: &str| after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0);
            let hub = more("hub eger_hub_statements_total{zone=\"open\",outcome=\"answered\"}");
            let spokes: Vec<f64> = ["spoke-dst", "spoke-sds"]
                .iter()
                .map(|part| more(&format!("{part} eger_spoke_questions_total{{zone=\"open\",outcome=\"whole\"}}")))
                .collect();
            if hub == 1.0 && spokes == [1.0, 1.0] {
                return anyhow::Ok(after);
            }
            tokio::task::yield_now().await;
        }
    };
    let after = tokio::time::timeout(Duration::from_secs(20), grown).await.context("the numbers didn't move")??;
    for (name, value) in &after {
        let counts_rows = name.contains("_rows_total") || name.contains("_bytes_total");
        ensure!(!counts_rows || *value == 0.0 || *value >= 1_000.0, "{name} {value} could be a number of people");
    }
    assert_eq!(after["spoke-dst eger_spoke_permits"], 1.0);
    assert_eq!(after["hub eger_hub_permits{controller=\"dst\"}"], 1.0);
    ensure!(after["hub eger_hub_links{controller=\"sds\"}"] >= 1.0);
    Ok(())
}

/// Where a part tells its metrics, as its log says.
fn metrics_at(log: &Path) -> Result<String> {
    let text = std::fs::read_to_string(log)?;
    let line = text.lines().rfind(|line| line.contains("metrics can be scraped")).context("no metrics in the log")?;
    let (_, at) = line.split_once("address=").context("an address")?;
    Ok(at.split_whitespace().next().context("an address")?.to_owned())
}
