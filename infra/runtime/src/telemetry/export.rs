//! Traces on their way to a collector: OTLP over HTTP, protobuf.
//!
//! INVARIANT: nothing leaves but what `spans` lists: each span is looked at here, after everything that could have written
//! into it. Events, links, states' texts and code locations are dropped whoever made them.

use super::{TelemetryConfig, sample::OwnShare, spans};
use async_trait::async_trait;
use opentelemetry::{KeyValue, Value, trace::Status, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::runtime::Handle;
use tracing_opentelemetry::OpenTelemetryLayer;

/// How long one batch may take.
const SEND: Duration = Duration::from_secs(10);
/// How long the last batch may take when the process ends.
const LAST: Duration = Duration::from_secs(3);
/// The standard's variable, for when the configuration says nothing.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Why traces can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The address is none, or would send traces over a network in clear.
    #[error(
        "[telemetry] otlp = \"{0}\" can't be used: write http://127.0.0.1:PORT for a collector on this machine, or \
         https://HOST[:PORT]"
    )]
    Address(String),
    /// The share is none.
    #[error("[telemetry] sample = {0} can't be used: write a number from 0 to 1")]
    Share(f64),
    /// The exporter can't be made.
    #[error("traces can't be sent: {0}")]
    Exporter(String),
}

/// Traces that are being sent; nothing when they aren't asked for.
#[derive(Debug, Default)]
pub struct Tracing(Option<SdkTracerProvider>);

impl Tracing {
    /// Sends what is left, for three seconds at the most.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        match ending.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces were not sent"),
            Err(_) => tracing::warn!("the last traces were not sent"),
        }
    }
}

/// Where spans go, and what sends them on.
type Exporting<S> = (OpenTelemetryLayer<S, SdkTracer>, Tracing);

/// What sends traces, if they are asked for.
pub(super) fn exporting<S>(
    service: &'static str,
    name: &str,
    config: &TelemetryConfig,
) -> Result<Option<Exporting<S>>, OtlpError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let environment = || std::env::var(ENDPOINT).ok().filter(|text| !text.is_empty());
    let Some(base) = config.otlp.clone().or_else(environment) else { return Ok(None) };
    let share = config.sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        return Err(OtlpError::Share(share));
    }
    let failed = |error: &dyn std::fmt::Display| OtlpError::Exporter(error.to_string());
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(SEND)
        .build()
        .map_err(|error| failed(&error))?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Courier { client, runtime: Handle::current() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address(&base)?)
        .with_timeout(SEND)
        .build()
        .map_err(|error| failed(&error))?;
    let about = [KeyValue::new("service.namespace", "eger"), KeyValue::new("service.instance.id", name.to_owned())];
    let resource = Resource::builder().with_attributes(about).with_service_name(format!("eger-{service}")).build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(OwnShare::new(share))
        .with_resource(resource)
        .with_batch_exporter(Gate { exporter, broken: AtomicBool::new(false) })
        .build();
    let layer = OpenTelemetryLayer::new(provider.tracer("eger"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_error_records_to_exceptions(false)
        .with_context_activation(false);
    Ok(Some((layer, Tracing(Some(provider)))))
}

/// Where traces are posted.
fn address(base: &str) -> Result<String, OtlpError> {
    let wrong = || OtlpError::Address(base.to_owned());
    let parsed = url::Url::parse(base).map_err(|_| wrong())?;
    let near = match parsed.host().ok_or_else(wrong)? {
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
        url::Host::Domain(name) => name == "localhost",
    };
    let plain = parsed.username().is_empty() && parsed.password().is_none() && parsed.query().is_none();
    match parsed.scheme() {
        _ if !plain => Err(wrong()),
        "https" => Ok(()),
        "http" if near => Ok(()),
        _ => Err(wrong()),
    }?;
    Ok(format!("{}/v1/traces", base.trim_end_matches('/')))
}

/// Sends on the process's runtime: the batches come from a thread that has none.
#[derive(Debug)]
struct Courier {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let answer = self.runtime.spawn(async move { request.send().await }).await??;
        Ok(Response::builder().status(answer.status()).body(Bytes::new())?)
    }
}

/// See the module.
#[derive(Debug)]
struct Gate<E> {
    exporter: E,
    /// whether the last batch went astray, so that it is said once
    broken: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Gate<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let batch: Vec<SpanData> = batch.into_iter().filter_map(let_out).collect();
        let sent = if batch.is_empty() { Ok(()) } else { self.exporter.export(batch).await };
        let broke = self.broken.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !broke => {
                tracing::warn!(%error, "traces can't be sent: is the collector of [telemetry] otlp running?")
            }
            Ok(()) if broke => tracing::info!("traces are sent again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The span with nothing but what it may say; none when it is no span of ours.
fn let_out(mut span: SpanData) -> Option<SpanData> {
    if !spans::SPANS.iter().any(|(name, ..)| span.name == *name) {
        return None;
    }
    span.attributes.retain(|said| {
        spans::allowed(&span.name, said.key.as_str())
            && match &said.value {
                Value::I64(_) | Value::F64(_) | Value::Bool(_) => true,
                Value::String(text) => spans::fits(text.as_str()),
                _ => false,
            }
    });
    span.events = Default::default();
    span.links = Default::default();
    if let Status::Error { description } = &mut span.status {
        *description = "".into();
    }
    Some(span)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind};
    use std::time::SystemTime;

    fn span(name: &'static str, attributes: Vec<KeyValue>) -> SpanData {
        let mut events = opentelemetry_sdk::trace::SpanEvents::default();
        events.events = vec![Event::with_name("0101701234")];
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes,
            dropped_attributes_count: 0,
            events,
            links: Default::default(),
            status: Status::error("0101701234"),
            instrumentation_scope: Default::default(),
        }
    }

    #[test]
    fn what_is_not_listed_does_not_leave() {
        let out = let_out(span(
            "gather",
            vec![
                KeyValue::new("controller", "region-h"),
                KeyValue::new("rows", 1_000),
                KeyValue::new("sql", "select"),
                KeyValue::new("controller", "pnr = '0101701234'"),
            ],
        ))
        .unwrap();
        assert_eq!(out.attributes, [KeyValue::new("controller", "region-h"), KeyValue::new("rows", 1_000)]);
        assert!(!format!("{out:?}").contains("0101701234"), "{out:?}");
        assert_eq!(let_out(span("statement", Vec::new())), None);
    }

    #[test]
    fn traces_go_to_this_machine_or_over_tls() {
        assert_eq!(address("http://127.0.0.1:4318").unwrap(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(address("https://traces.example.org/").unwrap(), "https://traces.example.org/v1/traces");
        for bad in
            ["http://traces.example.org:4318", "traces.example.org", "ftp://127.0.0.1", "https://a:b@example.org"]
        {
            assert!(address(bad).unwrap_err().to_string().contains("https://HOST"), "{bad}");
        }
    }
}
