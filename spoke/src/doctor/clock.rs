//! The clock, against the times that others say. Tokens, permits and certificates all depend on it.

use super::Report;
use chrono::{DateTime, TimeDelta, Utc};

/// Others' times, with ours when they were heard.
#[derive(Debug, Default)]
pub(super) struct Dates {
    heard: Vec<(String, TimeDelta)>,
}

impl Dates {
    /// Notes a time that was just heard.
    pub(super) fn note(&mut self, who: &str, theirs: DateTime<Utc>) {
        self.heard.push((who.to_owned(), Utc::now() - theirs));
    }

    /// Notes the `date` of a gRPC answer, if it has one.
    pub(super) fn note_metadata(&mut self, who: &str, metadata: &tonic::metadata::MetadataMap) {
        let date = metadata.get("date").and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(runtime::clock::parse_http_date) {
            self.note(who, date);
        }
    }
}

/// More than this breaks tokens.
const LIMIT: TimeDelta = TimeDelta::seconds(30);
/// More than this will soon.
const NEAR: TimeDelta = TimeDelta::seconds(10);

pub(super) fn judge(dates: &Dates, report: &mut Report) {
    let advice = "set the clock and keep it right with NTP (timedatectl set-ntp true; chronyc tracking)";
    if dates.heard.is_empty() {
        let advice = "bring one of custodian, gateway and issuer into reach, then run this again";
        return report.warn("clock", "nobody could be asked for the time", advice);
    }
    // The first to differ may itself be wrong: each is named.
    for (who, ahead) in &dates.heard {
        let (size, way) = if *ahead < TimeDelta::zero() { (-*ahead, "behind") } else { (*ahead, "ahead of") };
        let found = format!("{} s {way} {who}", size.num_seconds());
        if size > LIMIT {
            report.fail("clock", found, advice);
        } else if size > NEAR {
            report.warn("clock", found, advice);
        } else {
            report.ok("clock", found);
        }
    }
}
