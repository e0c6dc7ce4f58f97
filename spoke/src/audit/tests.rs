#![allow(clippy::unwrap_used)]
//! The group writer and the reading side.

use super::{
    Audit, Event,
    show::{self, Filter},
};
use proto::ids::{PartId, PermitId};
use runtime::audit::checkpoint::verify_log;

fn refused(project: &str, reason: &str) -> Event {
    Event::PartRefused {
        part: PartId::new(),
        project: project.parse().unwrap(),
        approver: "bente".to_owned(),
        reason: reason.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_written_whole_and_in_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit").join("spoke.log");
    let audit = Audit::open(&path).unwrap();
    let writers: Vec<_> = (0..200)
        .map(|n| {
            let audit = audit.clone();
            tokio::spawn(async move { audit.write(&refused("diabetes", &format!("reason {n}"))).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    audit.send(&refused("cancer", "the last"));
    audit.flush().await;
    assert_eq!(verify_log(&path, &[]).unwrap().seq, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_entry_that_is_too_long_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoke.log");
    let audit = Audit::open(&path).unwrap();
    let long = refused("diabetes", &"x".repeat(runtime::audit::MAX_ENTRY));
    let writers: Vec<_> = (0..40)
        .map(|n| {
            let (audit, event) = (audit.clone(), if n == 20 { long.clone() } else { refused("diabetes", "fine") });
            tokio::spawn(async move { audit.write(&event).await })
        })
        .collect();
    let mut written = 0;
    for writer in writers {
        written += usize::from(writer.await.unwrap().is_ok());
    }
    assert_eq!((written, verify_log(&path, &[]).unwrap().seq), (39, 39));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_shown_by_project_and_exported_safely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoke.log");
    let audit = Audit::open(&path).unwrap();
    audit.write(&refused("diabetes", "=1+1, \"quoted\"\n\u{1b}[31m")).await.unwrap();
    let revoked = Event::PermitRevoked {
        permit: PermitId::new(),
        project: "cancer".parse().unwrap(),
        approver: "bente".to_owned(),
        reason: "over".to_owned(),
    };
    audit.write(&revoked).await.unwrap();
    let of = |project: &str| Filter { project: Some(project.to_owned()), ..Filter::default() };
    let entries = show::entries(&path, &of("diabetes")).unwrap();
    assert_eq!(entries.len(), 1);
    let line = show::line(&entries[0]);
    assert!(line.contains("part_refused") && !line.contains('\u{1b}') && !line.contains('\n'), "{line}");
    let csv = show::csv(&entries[0]);
    assert!(csv.contains("\"'=1+1, \"\"quoted\"\"\n"), "{csv}");
    assert_eq!(show::csv_header().split(',').count(), 19);
    let late = Filter { since: Some(chrono::Utc::now() + chrono::TimeDelta::seconds(60)), ..Filter::default() };
    assert!(show::entries(&path, &late).unwrap().is_empty());
    // Reading checks: a changed line is no entry.
    let text = std::fs::read_to_string(&path).unwrap().replace("over", "done");
    std::fs::write(&path, text).unwrap();
    assert!(show::entries(&path, &of("cancer")).is_err());
}
