//! The certificates of both links: there, fitting together, for this spoke, and good for a while.

use super::Report;
use crate::config::SpokeConfig;
use chrono::{TimeDelta, Utc};
use runtime::{
    ca::CertFacts,
    peer::{Peer, Role},
    seal,
    tls::TlsFiles,
};
use std::io::ErrorKind;

pub(super) fn all(config: &SpokeConfig, report: &mut Report) {
    let own = Peer { role: Role::Spoke, name: config.controller.to_string() };
    let join = "get one from the hub's operator: hub admin invite, spoke join";
    let request = "get one from the custodian: spoke custodian request, then spoke custodian install";
    one("certificate for the hub", &config.link_tls(), &own, join, report);
    if let Some(custodian) = &config.custodian {
        one("certificate for the custodian", &custodian.tls(), &own, request, report);
    }
}

fn one(what: &str, files: &TlsFiles, own: &Peer, get: &str, report: &mut Report) {
    let read = |path: &std::path::Path| std::fs::read_to_string(path).map_err(|e| (path.to_owned(), e));
    let (cert, ca) = match read(&files.cert).and_then(|cert| Ok((cert, read(&files.ca)?))) {
        Ok(both) => both,
        Err((path, error)) if error.kind() == ErrorKind::PermissionDenied => {
            return report.warn(what, format!("{}: {error}", path.display()), "run this as the user that owns it");
        }
        Err((path, error)) => return report.fail(what, format!("{}: {error}", path.display()), get),
    };
    let facts = match CertFacts::read(&cert) {
        Ok(facts) => facts,
        Err(error) => return report.fail(what, format!("{}: {error}", files.cert.display()), get),
    };
    if facts.peer.as_ref() != Some(own) {
        let name = facts.peer.map_or("nobody".to_owned(), |peer| peer.to_string());
        return report.fail(what, format!("{}: names {name}, this spoke is {own}", files.cert.display()), get);
    }
    let key = match seal::read_private(&files.key) {
        Ok(key) => key,
        Err(error) => return report.fail(what, error.to_string(), get),
    };
    let fits = std::str::from_utf8(&key).ok().and_then(|key| facts.belongs_to(key).ok()).unwrap_or(false);
    if !fits {
        let found = format!("{} is not the key of {}", files.key.display(), files.cert.display());
        return report.fail(what, found, format!("the files were mixed up; {get}"));
    }
    if !facts.issued_by(&ca) {
        let found = format!("{} is not of the authority in {}", files.cert.display(), files.ca.display());
        return report.fail(what, found, format!("the authority was changed or the files were mixed up; {get}"));
    }
    let now = Utc::now();
    let (from, until) = (facts.not_before, facts.not_after);
    if now < from {
        return report.fail(what, format!("is good only from {} on", from.format("%Y-%m-%d %H:%M")), "set the clock");
    }
    if now > until {
        return report.fail(what, format!("ended on {}", until.format("%Y-%m-%d")), get);
    }
    // A third of its life is left when it should be renewed.
    if until - now < (until - from) / 6 || until - now < TimeDelta::days(1) {
        return report.warn(what, format!("ends on {}", until.format("%Y-%m-%d")), get);
    }
    report.ok(what, format!("{own}, until {}", until.format("%Y-%m-%d")));
}
