//! What a process tells about itself: log lines to standard error, and traces (OTLP) and metrics (Prometheus) where its
//! operator asks for them.
//!
//! INVARIANT: callers log names, counts and durations. Data values, person numbers, tokens and keys never.
//! INVARIANT: a trace holds only what stands in [`spans::SPANS`]; events, and all other spans, are in the log alone.

pub mod metrics;
pub mod spans;

mod export;
mod parent;
mod sample;

pub use export::{OtlpError, Tracing};
pub use parent::TraceParent;

use export::exporting;
use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt,
};

/// The crates of the platform. Libraries log statements and what is in them once they are asked for details.
const OWN: [&str; 6] = ["hub", "spoke", "custodian", "runtime", "demo", "policies"];

/// `[telemetry]` of `hub.toml` and `spoke.toml`: where traces go. Nowhere, unless it says so, or the environment
/// (`OTEL_EXPORTER_OTLP_ENDPOINT`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// base address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`
    pub otlp: Option<String>,
    /// share of the traces that is written, from 0 to 1; all when left out. Whoever asks can make it less, never more
    pub sample: Option<f64>,
}

/// Starts logging for `service` (a name such as `spoke`). `EGER_LOG` is a level for the platform's own code (default
/// `info`; libraries stay at `warn`, since at finer levels they log the constants of statements), or a filter in
/// full such as `warn,spoke::scan=debug`. `EGER_LOG_FORMAT=json` gives one JSON object a line. A second call in one
/// process does nothing.
pub fn init(service: &'static str) {
    if tracing_subscriber::registry().with(lines()).try_init().is_ok() {
        tracing::debug!(service, "logging started");
    }
}

/// Starts logging, as [`init`], and traces if they are asked for. `name`: which one of several such services this is.
/// To be called on the process's own threads' runtime, which sends the traces; what this gives is to be ended last.
///
/// # Errors
/// When traces can't be sent to where they should go.
pub fn serve(service: &'static str, name: &str, config: &TelemetryConfig) -> Result<Tracing, OtlpError> {
    let Some((traces, tracing)) = exporting(service, name, config)? else {
        init(service);
        return Ok(Tracing::default());
    };
    let ours = filter_fn(|about| about.is_span() && about.target() == spans::TARGET);
    if tracing_subscriber::registry().with(lines()).with(traces.with_filter(ours)).try_init().is_ok() {
        tracing::debug!(service, "logging and traces started");
    }
    Ok(tracing)
}

/// Log lines, each layer with its own filter, so that neither logs nor traces say more because of the other.
fn lines() -> Box<dyn Layer<Registry> + Send + Sync> {
    let asked = std::env::var("EGER_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(directives(&asked)).unwrap_or_else(|_| EnvFilter::new(directives("")));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let json = std::env::var("EGER_LOG_FORMAT").is_ok_and(|v| v.eq_ignore_ascii_case("json"));
    if json {
        layer.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_filter(filter).boxed()
    }
}

/// The filter for what stands in `EGER_LOG`.
fn directives(asked: &str) -> String {
    let asked = asked.trim();
    if asked.contains(['=', ',']) {
        return asked.to_owned();
    }
    let level = if asked.is_empty() { "info" } else { asked };
    OWN.iter().fold("warn".to_owned(), |all, name| format!("{all},{name}={level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_our_own_code_only() {
        assert!(directives("").starts_with("warn,hub=info,spoke=info"));
        let debug = directives("debug");
        assert!(debug.starts_with("warn,") && debug.contains("spoke=debug"));
        assert_eq!(directives("warn,spoke::scan=trace"), "warn,spoke::scan=trace");
        assert!(EnvFilter::try_new(directives("nonsense")).is_err() || !directives("nonsense").starts_with("nonsense"));
    }
}
