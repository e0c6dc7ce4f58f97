//! What time others have: by the `Date` of their HTTP answers.

use chrono::{DateTime, Utc};
use std::{path::Path, time::Duration};

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads an HTTP date (RFC 9110), as in `Sun, 22 Nov 2026 09:01:49 GMT`.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.with_timezone(&Utc))
}

/// The time of a web server; `ca` is its authority when it isn't a public one.
///
/// # Errors
/// When it can't be reached or says no time.
pub async fn of_server(url: &str, ca: Option<&Path>) -> Result<DateTime<Utc>, String> {
    let mut builder =
        reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    if let Some(path) = ca {
        let pem = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for cert in reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {e}", path.display()))? {
            builder = builder.add_root_certificate(cert);
        }
    }
    let client = builder.build().map_err(|e| e.to_string())?;
    let answer = client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).and_then(parse_http_date);
    date.ok_or_else(|| "its answer has no date".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let date = parse_http_date("Sun, 22 Nov 2026 09:01:49 GMT").unwrap();
        assert_eq!(date.to_rfc3339(), "2026-11-22T09:01:49+00:00");
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
