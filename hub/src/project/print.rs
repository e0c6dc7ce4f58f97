//! Answers for people: tables; or the API's JSON.
//!
//! INVARIANT: no control character that came from elsewhere reaches the terminal.

use super::client::Failure;
use crate::{
    api::{ApplicationList, ApplicationView, CheckView, EventList, PartView, PermitList, WorkspaceView},
    apply::Question,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::io::Write;

/// JSON, or what `table` prints.
pub(super) fn show<T: Serialize>(json: bool, value: &T, table: impl FnOnce(&T)) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string_pretty(value).map_err(Failure::output)?;
        writeln!(std::io::stdout(), "{text}").map_err(Failure::output)?;
    } else {
        table(value);
    }
    Ok(())
}

pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// Columns as wide as their widest cell.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, name)| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).fold(name.len(), usize::max)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(head.iter().map(|name| (*name).to_owned()).collect());
    for row in rows {
        line(row.iter().map(|cell| clean(cell)).collect());
    }
}

pub(super) fn application(view: &ApplicationView) {
    let number = if view.number == 1 { String::new() } else { format!(", amendment {}", view.number - 1) };
    println!("{}{number}: {}", view.project, clean(&view.application.title));
    println!("  application  {}", view.id);
    println!("  state        {}", view.state);
    println!("  handed in    {} UTC by {}", minute(view.submitted_at), clean(&view.submitted_by));
    let days = &view.deadlines;
    let late = if view.overdue { " (late)" } else { "" };
    for (name, day, note) in [
        ("answer by", days.answer_by, ""),
        ("decision by", days.decide_by.filter(|_| view.decided_at.is_none()), late),
        ("data by", days.data_by, ""),
        ("delete by", days.delete_by, ""),
    ] {
        if let Some(day) = day {
            println!("  {name:<11}  {day}{note}");
        }
    }
    if view.lapsed {
        println!("  it ended because the questions were not answered in time");
    }
}

pub(super) fn workspace(view: &WorkspaceView) {
    let why = if view.reason.is_empty() { String::new() } else { format!(": {}", clean(&view.reason)) };
    println!("  workspace    {}{why}", view.state);
    println!();
    parts(&view.parts);
}

pub(super) fn applications(list: &ApplicationList) {
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|one| {
            vec![
                one.project.clone(),
                one.number.to_string(),
                one.state.to_string(),
                minute(one.submitted_at),
                one.deadlines.decide_by.map(|day| day.to_string()).unwrap_or_default(),
                one.application.title.clone(),
            ]
        })
        .collect();
    table(&["project", "no", "state", "handed in (UTC)", "decision by", "title"], &rows);
}

pub(super) fn parts(parts: &[PartView]) {
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let at = part.decided_at.or(part.delivered_at).map(minute).unwrap_or_default();
            let why = part.reason.as_ref().or(part.trouble.as_ref()).cloned().unwrap_or_default();
            vec![part.controller.clone(), part.state.to_string(), at, why]
        })
        .collect();
    table(&["controller", "state", "since (UTC)", "why"], &rows);
}

pub(super) fn check(checked: &CheckView, head: &str) {
    if checked.asked.is_empty() {
        println!("nobody has to be asked");
        return;
    }
    println!("{head}:");
    for one in &checked.asked {
        println!("  {}", clean(&one.controller));
        for change in &one.changes {
            println!("    {} {}", if change.wider { "+" } else { "-" }, clean(&change.text));
        }
    }
}

pub(super) fn events(list: &EventList) {
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|event| {
            let detail = match event.detail.as_object() {
                Some(map) => map
                    .iter()
                    .map(|(name, value)| match value.as_str() {
                        Some(text) => format!("{name} {text}"),
                        None => format!("{name} {value}"),
                    })
                    .collect::<Vec<_>>()
                    .join(", "),
                None => String::new(),
            };
            vec![
                event.seq.to_string(),
                event.at.format("%Y-%m-%d %H:%M:%S").to_string(),
                event.kind.clone(),
                event.controller.clone().unwrap_or_default(),
                event.actor.clone(),
                detail,
            ]
        })
        .collect();
    table(&["no", "at (UTC)", "what", "controller", "who", "detail"], &rows);
}

pub(super) fn permits(list: &PermitList) {
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|permit| {
            vec![
                permit.controller.clone(),
                permit.state.to_string(),
                permit.valid_from.to_string(),
                permit.valid_to.to_string(),
                permit.tables.join(" "),
                permit.id.clone(),
            ]
        })
        .collect();
    table(&["controller", "state", "from", "to", "tables", "permit"], &rows);
}

pub(super) fn questions(all: &[Question]) {
    for question in all {
        println!("{}  {}: {}", question.id, clean(&question.field), clean(&question.text));
        match &question.answer {
            Some(answer) => println!("   answered: {}", clean(answer)),
            None => println!("   open"),
        }
    }
}
