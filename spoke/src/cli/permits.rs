//! `spoke permits` and `spoke inbox`: what was decided, and what waits.

use super::{ConfigFile, Failure};
use crate::approve::{Book, inbox::Inbox, summary::printable};
use chrono::Utc;
use clap::Args;
use serde_json::json;

const AFTER: &str = "\
Examples:
  spoke permits
  spoke permits --json

States: live (questions are answered), not yet, expired, revoked, replaced.";

const AFTER_INBOX: &str = "\
Examples:
  spoke inbox
  spoke approve PART --show      read one";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Permits {
    #[command(flatten)]
    config: ConfigFile,
    /// Print everything as JSON, one line a permit or refusal
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = AFTER_INBOX)]
pub(super) struct InboxArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Print each part as a line of JSON
    #[arg(long)]
    json: bool,
}

impl Permits {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let book = Book::read(&(&config).into()).map_err(Failure::running)?;
        let today = Utc::now().date_naive();
        if self.json {
            for held in book.permits() {
                let state = book.state(held.permit(), today);
                let revoked = book.revocation(held.permit().id).map(|revocation| &revocation.reason);
                println!(
                    "{}",
                    json!({ "state": state, "approver": held.approver, "permit": held.permit(), "revoked": revoked })
                );
            }
            for refusal in book.refusals() {
                println!("{}", json!({ "state": "refused", "refusal": refusal }));
            }
        } else {
            println!("{:<36}  {:<9} {:<20} {:<10} {:<10} approver", "permit", "state", "project", "from", "to");
            for held in book.permits() {
                let permit = held.permit();
                let (id, project, from, to) = (permit.id, &permit.project, permit.valid_from, permit.valid_to);
                let state = book.state(permit, today).to_string();
                println!("{id:<36}  {state:<9} {project:<20} {from} {to} {}", held.approver);
            }
            for refusal in book.refusals() {
                println!("part {} of {}: refused: {}", refusal.part, refusal.project, printable(&refusal.reason));
            }
        }
        for (file, reason) in book.broken() {
            eprintln!("{}: counts for nothing: {reason}", file.display());
        }
        Ok(())
    }
}

impl InboxArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let (parts, broken) = Inbox::from(&config).waiting().map_err(Failure::running)?;
        if parts.is_empty() && !self.json {
            println!("nothing waits for a decision");
        }
        for part in &parts {
            if self.json {
                println!("{}", json!(part));
            } else {
                let by = part.decide_by.map(|day| format!(", by {day}")).unwrap_or_default();
                let what = if part.replaces.is_some() { "amendment" } else { "application" };
                println!("{}  {}{by}: {what}, {}", part.id, part.project, printable(&part.title));
            }
        }
        for (file, reason) in broken {
            eprintln!("{}: {reason}", file.display());
        }
        Ok(())
    }
}
