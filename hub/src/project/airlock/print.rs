//! Submissions for people.

use super::super::print::{clean, minute, table};
use crate::{
    airlock::{FileChange, FileDifference, Verified, Weight},
    api::{SubmissionList, SubmissionView},
};
use chrono::{DateTime, NaiveTime, Utc};

pub(super) fn list(all: &SubmissionList) {
    let rows: Vec<Vec<String>> = all
        .items
        .iter()
        .map(|one| {
            let title = one.content.as_ref().map(|content| content.title.clone()).unwrap_or_default();
            vec![one.id.clone(), one.project.clone(), one.state.to_string(), moment(one.begun_at), title]
        })
        .collect();
    table(&["submission", "project", "state", "begun", "title"], &rows);
}

/// Outside only days are told.
fn moment(at: DateTime<Utc>) -> String {
    if at.time() == NaiveTime::MIN { at.date_naive().to_string() } else { format!("{} UTC", minute(at)) }
}

pub(super) fn status(view: &SubmissionView) {
    println!("{}  {}", view.id, view.project);
    println!("  state     {}", view.state);
    for (name, at) in [
        ("begun", Some(view.begun_at)),
        ("sent", view.sent_at),
        ("decided", view.decided_at),
        ("released", view.released_at),
        ("kept till", view.expires_at),
    ] {
        if let Some(at) = at {
            println!("  {name:<9} {}", moment(at));
        }
    }
}

pub(super) fn submission(view: &SubmissionView) {
    status(view);
    let Some(content) = &view.content else {
        println!("  what is in it is read inside the secure processing environment");
        return;
    };
    println!("  title     {}", clean(&content.title));
    if let Some(earlier) = &content.earlier {
        println!("  follows   {earlier}: hub airlock difference {}", view.id);
    }
    for file in &content.files {
        println!();
        let kind = file.kind.map_or_else(|| "not added yet".to_owned(), |kind| kind.to_string());
        let inside = if file.inside { ", stays inside" } else { "" };
        println!("{}: {kind}, {} bytes{inside}", clean(&file.name), file.bytes.unwrap_or(0));
        for (name, text) in [
            ("shows", Some(&file.description)),
            ("population", Some(&file.population)),
            ("counts", Some(&file.counts)),
            ("query", file.query.as_ref()),
            ("data", file.data.as_ref()),
            ("sha256", file.sha256.as_ref()),
        ] {
            if let Some(text) = text {
                println!("  {name:<10}  {}", clean(text));
            }
        }
        for finding in &file.findings {
            let weight = if finding.weight == Weight::Refused { "REFUSED" } else { "look" };
            let row = finding.row.map(|row| format!("row {row}, ")).unwrap_or_default();
            let column =
                finding.column.as_ref().map(|column| format!("column {}, ", clean(column))).unwrap_or_default();
            println!("  {weight:<10}  {row}{column}{}: {}", finding.rule.name(), clean(&finding.message));
        }
    }
    if !content.comments.is_empty() {
        println!();
        let rows: Vec<Vec<String>> = content
            .comments
            .iter()
            .map(|one| vec![one.file.clone(), one.verdict.to_string(), one.comment.clone()])
            .collect();
        table(&["file", "decision", "comment"], &rows);
    }
}

pub(super) fn differences(all: &[FileDifference]) {
    if all.is_empty() {
        println!("it follows no other submission");
    }
    for one in all {
        let size = |bytes: Option<u64>, hash: &Option<String>| {
            let hash = hash.as_deref().and_then(|hash| hash.get(..12)).unwrap_or_default();
            format!("{} bytes, sha256 {hash}..", bytes.unwrap_or(0))
        };
        let (before, after) = (size(one.bytes_before, &one.sha256_before), size(one.bytes_after, &one.sha256_after));
        let what = match one.change {
            FileChange::New => format!("new: {after}"),
            FileChange::Gone => format!("gone: {before}"),
            FileChange::Same => "the same".to_owned(),
            FileChange::Changed => format!("changed: {before} -> {after}"),
            FileChange::ChangedUnseen => format!("changed: {before} (removed) -> {after}"),
        };
        println!("{}  {what}", clean(&one.file));
        for cell in &one.cells {
            let of = |text: &Option<String>| text.as_deref().map_or_else(|| "(empty)".to_owned(), clean);
            println!("  {}, {}: {} -> {}", clean(&cell.row), clean(&cell.column), of(&cell.before), of(&cell.after));
        }
        if one.more > 0 {
            println!("  and {} more cells", one.more);
        }
    }
}

pub(super) fn verified(of: &Verified) {
    let release = &of.release;
    println!("released by hub '{}' on {} UTC", clean(&release.hub), minute(release.released_at));
    println!("  project     {}", release.project);
    println!("  submission  {}", release.submission);
    if release.computed {
        println!("  computed    by the platform, from the stated queries and by the open zone's rules");
    } else {
        println!("  approved    {}", clean(&release.approved_by.join(", ")));
    }
    for (path, bytes) in &of.files {
        println!("  {path}  {bytes} bytes");
    }
    println!("nothing was changed since");
}
