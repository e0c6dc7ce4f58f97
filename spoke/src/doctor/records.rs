//! The audit log and the approvers' keys.

use super::Report;
use crate::config::SpokeConfig;
use runtime::{audit, sign::VerifyingKey};
use std::io::ErrorKind;

pub(super) fn audit(config: &SpokeConfig, report: &mut Report) {
    let path = config.audit_log();
    if !path.exists() {
        return report.ok("audit log", "none yet; the first entry makes it");
    }
    let whole = audit::read(&path).and_then(|items| {
        let mut entries = 0u64;
        for item in items {
            item?;
            entries += 1;
        }
        Ok(entries)
    });
    match whole {
        Ok(entries) => report.ok("audit log", format!("{entries} entries, whole")),
        Err(error) => report.fail(
            "audit log",
            error.to_string(),
            "nothing is answered on a changed log: find out who changed it, keep it aside as evidence, compare it with the \
             checkpoints that hub and custodian countersigned",
        ),
    }
}

pub(super) fn approvers(config: &SpokeConfig, report: &mut Report) {
    let folder = config.approvers_dir();
    let how = "put each approver's public key (64 hex digits) into approvers/NAME.pub; the approver makes the key";
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return report.fail("approvers", format!("{}: there is no such folder", folder.display()), how);
        }
        Err(error) => return report.fail("approvers", format!("{}: {error}", folder.display()), "check its rights"),
    };
    let mut names = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_none_or(|e| e != "pub") {
            continue;
        }
        let key = std::fs::read_to_string(&path).ok().and_then(|text| text.parse::<VerifyingKey>().ok());
        match (key, path.file_stem().and_then(|stem| stem.to_str())) {
            (Some(_), Some(name)) => names.push(name.to_owned()),
            _ => return report.fail("approvers", format!("{}: holds no public key", path.display()), how),
        }
    }
    names.sort();
    if names.is_empty() {
        report.fail("approvers", "no approver is pinned: no permit will count", how);
    } else {
        report.ok("approvers", names.join(", "));
    }
}
