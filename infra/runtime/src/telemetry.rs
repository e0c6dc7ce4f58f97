//! Logging: one line an event, to standard error.
//!
//! INVARIANT: callers log names, counts and durations. Data values, person numbers, tokens and keys never.

use tracing_subscriber::EnvFilter;

/// The crates of the platform. Libraries log statements and what is in them once they are asked for details.
const OWN: [&str; 6] = ["hub", "spoke", "custodian", "runtime", "demo", "policies"];

/// Starts logging for `service` (a name such as `spoke`). `EGER_LOG` is a level for the platform's own code (default
/// `info`; libraries stay at `warn`, since at finer levels they log the constants of statements), or a filter in
/// full such as `warn,spoke::scan=debug`. `EGER_LOG_FORMAT=json` gives one JSON object a line. A second call in one
/// process does nothing.
pub fn init(service: &'static str) {
    let asked = std::env::var("EGER_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(directives(&asked)).unwrap_or_else(|_| EnvFilter::new(directives("")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
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
