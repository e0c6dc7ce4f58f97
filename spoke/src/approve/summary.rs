//! What an approver reads before deciding: plain words, the spoke's own descriptions, and nothing left out that the
//! signature would cover.

use super::columns::Tables;
use policies::{
    application::Part,
    disclosure::thousands,
    permit::{Output, Permit},
};
use std::fmt::Write;

/// The whole part in words. `current` is the project's permit that counts now.
#[must_use]
pub fn text(part: &Part, permit: &Permit, tables: &Tables, current: Option<&Permit>, misfits: &[String]) -> String {
    let mut out = String::new();
    let mut say = |line: String| {
        out.push_str(&printable(&line));
        out.push('\n');
    };
    say(format!("Part {} of an application for the project '{}': {}", part.id, part.project, part.title));
    if let Some(day) = part.decide_by {
        say(format!("To be decided by {day}."));
    }
    say(String::new());
    say("WHO".to_owned());
    say(format!("  {}, responsible: {} ({})", part.group.organisation, part.group.responsible, part.group.contact));
    say(format!("  {}", if part.group.public_body { "a public body" } else { "not a public body" }));
    for user in &part.users {
        say(format!("  may ask: {} = {}, as {} says", user.name, user.user, user.issuer));
    }
    say(String::new());
    say("WHY".to_owned());
    say(format!("  {}", permit.purpose.ehds));
    say(format!("  {}", permit.purpose.summary));
    for code in &permit.purpose.duo {
        say(format!("  {code}"));
    }
    say(format!("  not anonymous because: {}", part.pseudonymised_because));
    say(String::new());
    say("WHICH DATA".to_owned());
    say(format!("  about: {}", part.population));
    for granted in &permit.tables {
        let known = tables.get(&granted.name);
        let state =
            known.map_or("NOT KNOWN HERE", |k| if k.published { "published" } else { "declared, not published" });
        let about = known.map_or("", |known| {
            if known.description.en.is_empty() { &known.description.da } else { &known.description.en }
        });
        say(format!("  table {} ({state}): {about}", granted.name));
        let asked = part.tables.iter().find(|asked| asked.name == granted.name);
        for column in &granted.columns {
            let described = known.map(|known| known.describe(column)).unwrap_or_default();
            let reason = asked.and_then(|asked| asked.columns.iter().find(|asked| asked.name == *column));
            say(format!("    {column:<20} {described}"));
            if let Some(reason) = reason {
                say(format!("    {:<20} needed: {}", "", reason.reason));
            }
        }
        match &granted.row_filter {
            Some(filter) => say(format!("    only rows where: {filter}")),
            None => say("    ALL ROWS of the table".to_owned()),
        }
    }
    say(String::new());
    say("HOW LONG".to_owned());
    say(format!("  {} to {}, both days included", permit.valid_from, permit.valid_to));
    say(String::new());
    say("WHAT LEAVES".to_owned());
    match &permit.blind {
        None => say(format!("  {}", output(permit.output))),
        Some(blind) => {
            let members: Vec<_> = blind.members.iter().map(ToString::to_string).collect();
            say(format!(
                "  only totals over {} together: nobody learns your number alone (blind totals)",
                members.join(", ")
            ));
            say(format!("  added up with the custodian whose key is {}", blind.custodian.fingerprint()));
            say("  Compare this fingerprint with the custodian, by telephone: whoever has that key and the hub learns your \
                 numbers."
                .to_owned());
        }
    }
    say(format!(
        "  at most {} rows and {} MiB in one answer, {} questions a day",
        thousands(permit.caps.rows),
        thousands(permit.caps.bytes >> 20),
        thousands(u64::from(permit.caps.queries_per_day))
    ));
    if permit.client_signature {
        say("  each question must carry the user's own signature".to_owned());
    }
    if permit.opt_out_version > 0 {
        say(format!("  opt-outs up to version {} of your list are left out", permit.opt_out_version));
    }
    say(String::new());
    say("WITH WHOM".to_owned());
    for member in &permit.members {
        let role = match (member.controller == permit.lead, permit.deputy.as_ref() == Some(&member.controller)) {
            (true, _) => ", makes the project's key",
            (_, true) => ", makes the project's key when the lead is away",
            _ => "",
        };
        say(format!("  {}{role}", member.controller));
        say(format!("    sealing {}", member.sealing));
        say(format!("    signing {}", member.signing));
    }
    say("  Compare these fingerprints with the other controllers, by telephone: the hub could have changed them."
        .to_owned());
    match permit.key_lists_to.as_slice() {
        [] => say("  nobody learns which of your people are in a cohort".to_owned()),
        some => {
            let names: Vec<_> = some.iter().map(ToString::to_string).collect();
            say(format!("  LEARN WHICH OF YOUR PEOPLE ARE IN A COHORT: {}", names.join(", ")));
        }
    }
    if let Some(current) = current {
        say(String::new());
        let replaces = part.replaces == Some(current.id);
        say(format!(
            "WHAT CHANGES against the permit of {} ({})",
            current.decided_at.date_naive(),
            if replaces { "this one takes its place" } else { "it is NOT named as replaced; the newer one counts" }
        ));
        let changes = part.changes_from(current);
        if changes.is_empty() {
            say("  nothing".to_owned());
        }
        for change in changes {
            say(format!("  {} {}", if change.wider { "MORE:" } else { "      " }, change.text));
        }
    }
    if !misfits.is_empty() {
        say(String::new());
        say("CAN'T BE GRANTED AS IT IS".to_owned());
        misfits.iter().for_each(|wrong| say(format!("  {wrong}")));
    }
    out
}

fn output(output: Output) -> &'static str {
    match output {
        Output::SpokeAggregates => {
            "only cells that this spoke itself has checked: no small group, no row, no raw sum (spoke_aggregates)"
        }
        Output::HubAggregates => {
            "pseudonymised rows reach the hub's memory; only released results leave it. You trust the hub with that \
             (hub_aggregates)"
        }
        Output::EnclaveRows => {
            "PSEUDONYMISED ROWS are seen by the people named above, inside the secure processing environment (enclave_rows)"
        }
    }
}

/// Foreign text on a terminal: nothing that it would act on.
#[must_use]
pub fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}
