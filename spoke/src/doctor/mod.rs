//! `spoke doctor`: everything that a controller's first day goes wrong with, looked at one by one, each with what to do.
//!
//! INVARIANT: it changes nothing but the trial files that it removes again, sends nothing of the data, and prints no secret.

mod certificates;
mod clock;
mod files;
mod reach;
mod records;

use crate::config::SpokeConfig;
use serde::Serialize;
use std::path::Path;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// nothing to do
    Ok,
    /// works, but not for long or not as well as it should
    Warn,
    /// doesn't work
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// what was looked at
    pub what: String,
    /// how it came out
    pub verdict: Verdict,
    /// what was found
    pub found: String,
    /// what to do; empty when it is well
    pub advice: String,
}

/// The checks so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(crate) fn ok(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add(what, Verdict::Ok, found, "");
    }

    pub(crate) fn warn(&mut self, what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(what, Verdict::Warn, found, advice);
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(what, Verdict::Fail, found, advice);
    }

    fn add(&mut self, what: impl Into<String>, verdict: Verdict, found: impl Into<String>, advice: impl Into<String>) {
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (found, advice) = (one_line(found.into()), one_line(advice.into()));
        self.checks.push(Check { what: what.into(), verdict, found, advice });
    }
}

/// Looks at everything that the configuration file names.
pub async fn examine(path: &Path) -> Vec<Check> {
    let mut report = Report::default();
    let config = match SpokeConfig::load(path) {
        Ok(config) => config,
        Err(error) => {
            report.fail("configuration", error.to_string(), "correct that line, or make a folder with: spoke init");
            return report.checks;
        }
    };
    report.ok("configuration", format!("controller {}", config.controller));
    files::folders(&config, &mut report);
    files::secrets(&config, &mut report);
    files::keys(&config, &mut report);
    certificates::all(&config, &mut report);
    records::audit(&config, &mut report);
    records::approvers(&config, &mut report);
    let mut dates = clock::Dates::default();
    Box::pin(reach::custodian(&config, &mut report, &mut dates)).await;
    Box::pin(reach::gateway(&config, config.link.gateway.as_deref(), &mut report, &mut dates)).await;
    Box::pin(reach::issuers(&config, &mut report, &mut dates)).await;
    clock::judge(&dates, &mut report);
    report.checks
}

#[cfg(test)]
mod tests;
