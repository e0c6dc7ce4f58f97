//! Logging: one line an event, to standard error.
//!
//! INVARIANT: callers log names, counts and durations. Data values, person numbers, tokens and keys never.

use tracing_subscriber::EnvFilter;

/// Starts logging for `service` (a name such as `spoke`). `EGER_LOG` filters (default `info`, libraries `warn`),
/// `EGER_LOG_FORMAT=json` gives one JSON object a line. A second call in one process does nothing.
pub fn init(service: &'static str) {
    let filter = EnvFilter::try_from_env("EGER_LOG").unwrap_or_else(|_| {
        EnvFilter::new("warn,hub=info,spoke=info,custodian=info,runtime=info,demo=info")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let json = std::env::var("EGER_LOG_FORMAT").is_ok_and(|v| v.eq_ignore_ascii_case("json"));
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    if started.is_ok() {
        tracing::debug!(service, "logging started");
    }
}
