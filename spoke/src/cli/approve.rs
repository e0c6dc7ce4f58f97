//! `spoke approve`, `spoke refuse`, `spoke revoke`: an approver's decisions.

use super::{ConfigFile, Failure, approver::KeyFile, asynchronous};
use crate::{
    approve::{
        Approvers, Book, Held, State, columns,
        decide::{self, Narrow},
        inbox::{self, Inbox},
        summary,
    },
    config::SpokeConfig,
    publish,
};
use chrono::{NaiveDate, Utc};
use clap::Args;
use policies::{
    application::{Decision, Part},
    permit::Output,
};
use proto::ids::{PartId, PermitId, ProjectId, TableName};
use runtime::sign::SigningKey;
use std::{
    io::{self, Write},
    path::Path,
};

const AFTER: &str = "\
Examples:
  spoke inbox
  spoke approve 0198f3c2-... --key bente.key
  spoke approve part.json --key bente.key --valid-to 2027-12-31 --drop-column lmdb.indo
  spoke approve part.json --show
  spoke approve part.json --key bente.key --passphrase-file pass --yes --reason 'within the law, least data'

Shows what would be granted, asks for the decision and its reason, signs and stores. What is asked can be narrowed,
never widened. Exit codes: 0 decided (or shown), 1 failed while running, 2 wrong usage, or it can't be granted.";

const AFTER_REFUSE: &str = "\
Examples:
  spoke refuse 0198f3c2-... --reason 'the purpose is not covered' --key bente.key

The applicant reads the reason. Exit codes: 0 refused, 1 failed while running, 2 wrong usage.";

const AFTER_REVOKE: &str = "\
Examples:
  spoke revoke diabetes --reason 'the contract has ended' --key bente.key       all permits of the project
  spoke revoke 0198f3c2-... --reason 'the user left the group' --key bente.key  one permit

Counts at once; running answers end within five seconds, with or without the hub.
Exit codes: 0 revoked, 1 failed while running, 2 wrong usage or nothing to revoke.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Approve {
    #[command(flatten)]
    config: ConfigFile,
    /// A part: its id in the inbox, or a file
    part: String,
    #[command(flatten)]
    key: OptionalKey,
    /// Show what would be granted, and stop
    #[arg(long, conflicts_with = "yes")]
    show: bool,
    /// Grant without asking; needs --reason
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// A later first day
    #[arg(long, value_name = "DAY")]
    valid_from: Option<NaiveDate>,
    /// An earlier last day
    #[arg(long, value_name = "DAY")]
    valid_to: Option<NaiveDate>,
    /// Less that leaves: spoke_aggregates, hub_aggregates, enclave_rows
    #[arg(long, value_parser = output)]
    output: Option<Output>,
    /// A column that is not granted; give it once for each
    #[arg(long = "drop-column", value_name = "TABLE.COLUMN", value_parser = table_column)]
    drop_columns: Vec<(TableName, String)>,
    /// Rows in one answer at most
    #[arg(long)]
    max_rows: Option<u64>,
    /// Bytes in one answer at most
    #[arg(long)]
    max_bytes: Option<u64>,
    /// Questions a day at most
    #[arg(long)]
    queries_per_day: Option<u32>,
    /// Smallest group that may be shown, when larger than the platform's
    #[arg(long)]
    threshold: Option<u32>,
    /// Demand the user's own signature over each question
    #[arg(long)]
    client_signature: bool,
}

/// The key is not needed for `--show`.
#[derive(Args)]
struct OptionalKey {
    /// The approver's sealed private key
    #[arg(long, value_name = "FILE", required_unless_present = "show")]
    key: Option<std::path::PathBuf>,
    /// File with its passphrase (0600), instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<std::path::PathBuf>,
}

#[derive(Args)]
#[command(after_help = AFTER_REFUSE)]
pub(super) struct Refuse {
    #[command(flatten)]
    config: ConfigFile,
    /// A part: its id in the inbox, or a file
    part: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
#[command(after_help = AFTER_REVOKE)]
pub(super) struct Revoke {
    #[command(flatten)]
    config: ConfigFile,
    /// A permit's id, or a project for all of its permits
    what: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    key: KeyFile,
}

fn output(text: &str) -> Result<Output, String> {
    serde_json::from_value(text.into()).map_err(|_| "write spoke_aggregates, hub_aggregates or enclave_rows".to_owned())
}

fn table_column(text: &str) -> Result<(TableName, String), String> {
    let (table, column) = text.split_once('.').ok_or("write TABLE.COLUMN")?;
    Ok((table.parse().map_err(|error: proto::ids::IdError| error.to_string())?, column.to_owned()))
}

/// A part by its id in the inbox, or from a file.
fn find(config: &SpokeConfig, text: &str) -> Result<Part, Failure> {
    let part = match text.parse::<PartId>() {
        Ok(id) => Inbox::from(config).part(id),
        Err(_) => inbox::read(Path::new(text)),
    }
    .map_err(Failure::usage)?;
    if part.controller != config.controller {
        return Err(Failure::usage(format!("the part is of controller '{}', not of this spoke's", part.controller)));
    }
    if Book::read(&config.into()).map_err(Failure::running)?.decided(part.id) {
        return Err(Failure::usage(format!("part {} was decided on already; see: spoke permits", part.id)));
    }
    Ok(part)
}

/// Under which name the key is trusted here.
pub(super) fn approver(config: &SpokeConfig, key: &SigningKey) -> Result<String, Failure> {
    let approvers = Approvers::load(&config.approvers_dir()).map_err(Failure::running)?;
    approvers.name_of(&key.public()).map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!(
            "this key's decisions don't count here (fingerprint {}); see: spoke approver trust --help",
            key.public().fingerprint()
        ))
    })
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let part = find(&config, &self.part)?;
        let book = Book::read(&(&config).into()).map_err(Failure::running)?;
        let (tables, version) = asynchronous()?.block_on(async {
            let tables = Box::pin(columns::tables(&config)).await.map_err(Failure::usage)?;
            let state = publish::State::open(&config.state_db()).await.map_err(Failure::running)?;
            Ok::<_, Failure>((tables, state.exclusion_version().await.map_err(Failure::running)?))
        })?;
        let narrow = Narrow {
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            output: self.output,
            drop_columns: self.drop_columns,
            rows: self.max_rows,
            bytes: self.max_bytes,
            queries_per_day: self.queries_per_day,
            threshold: self.threshold,
            client_signature: self.client_signature,
        };
        let decision = |approver: &str, reason: &str| Decision {
            approver: approver.to_owned(),
            reason: reason.to_owned(),
            at: Utc::now(),
            opt_out_version: version,
            threshold: None,
        };
        let proposed = decide::permit(&part, &narrow, decision("", "as shown")).map_err(Failure::usage)?;
        let misfits = columns::misfits(&proposed, &tables);
        let today = Utc::now().date_naive();
        let current =
            part.replaces.and_then(|id| book.permit(id)).or_else(|| book.live(&part.project, today)).map(Held::permit);
        print!("{}", summary::text(&part, &proposed, &tables, current, &misfits));
        if self.show {
            return Ok(());
        }
        if let Some(id) = part.replaces.filter(|id| book.permit(*id).is_none()) {
            return Err(Failure::usage(format!("it would replace permit {id}, which is not among this spoke's")));
        }
        if !misfits.is_empty() {
            return Err(Failure::usage("it can't be granted as it is; narrow it (--drop-column) or refuse it"));
        }
        let path = self.key.key.ok_or_else(|| Failure::usage("--key FILE is needed to decide"))?;
        let key = KeyFile::new(path, self.key.passphrase_file);
        let reason = match (self.yes, self.reason) {
            (true, Some(reason)) => reason,
            (_, reason) => match asked(reason)? {
                Answer::Grant(reason) => reason,
                Answer::Refuse(reason) => return refuse(&config, &part, &reason, &key),
                Answer::Later => {
                    println!("nothing was decided");
                    return Ok(());
                }
            },
        };
        let key = key.open()?;
        let name = approver(&config, &key)?;
        let permit = decide::permit(&part, &narrow, decision(&name, &reason)).map_err(Failure::usage)?;
        let signed = decide::grant(&config, permit, &key).map_err(Failure::running)?;
        Inbox::from(&config).settle(part.id).map_err(Failure::running)?;
        println!("signed: permit {} for project {}", signed.permit().id, signed.permit().project);
        Ok(())
    }
}

enum Answer {
    Grant(String),
    Refuse(String),
    Later,
}

fn asked(reason: Option<String>) -> Result<Answer, Failure> {
    let answer = line("\nGrant this? Type 'grant', 'refuse' or anything else for later: ")?;
    let grants = match answer.as_str() {
        "grant" => true,
        "refuse" => false,
        _ => return Ok(Answer::Later),
    };
    let reason = match reason {
        Some(reason) => reason,
        None => line("Reason (the applicant reads it): ")?,
    };
    if reason.is_empty() {
        return Err(Failure::usage("a decision has a reason; nothing was decided"));
    }
    Ok(if grants { Answer::Grant(reason) } else { Answer::Refuse(reason) })
}

fn line(prompt: &str) -> Result<String, Failure> {
    print!("{prompt}");
    io::stdout().flush().map_err(Failure::running)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::running)?;
    Ok(line.trim().to_owned())
}

fn refuse(config: &SpokeConfig, part: &Part, reason: &str, key: &KeyFile) -> Result<(), Failure> {
    let key = key.open()?;
    let name = approver(config, &key)?;
    decide::refuse(config, part, &name, reason, &key).map_err(Failure::running)?;
    Inbox::from(config).settle(part.id).map_err(Failure::running)?;
    println!("refused: part {} of project {}", part.id, part.project);
    Ok(())
}

impl Refuse {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("--reason is empty; a decision has a reason"));
        }
        let part = find(&config, &self.part)?;
        refuse(&config, &part, &self.reason, &self.key)
    }
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("--reason is empty; a decision has a reason"));
        }
        let book = Book::read(&(&config).into()).map_err(Failure::running)?;
        let today = Utc::now().date_naive();
        let ends: Vec<&Held> = match (self.what.parse::<PermitId>(), self.what.parse::<ProjectId>()) {
            (Ok(id), _) => book.permit(id).into_iter().collect(),
            (_, Ok(project)) => {
                let counts = |held: &&Held| {
                    held.permit().project == project
                        && matches!(book.state(held.permit(), today), State::Live | State::NotYet)
                };
                book.permits().filter(counts).collect()
            }
            _ => return Err(Failure::usage(format!("'{}' is neither a permit's id nor a project", self.what))),
        };
        if ends.is_empty() {
            return Err(Failure::usage(format!("no permit '{}' counts here; see: spoke permits", self.what)));
        }
        let key = self.key.open()?;
        let name = approver(&config, &key)?;
        for held in ends {
            let permit = held.permit();
            if book.state(permit, today) == State::Revoked {
                println!("revoked already: permit {} of project {}", permit.id, permit.project);
                continue;
            }
            decide::revoke(&config, held, &name, &self.reason, &key).map_err(Failure::running)?;
            println!("revoked: permit {} of project {}", permit.id, permit.project);
        }
        Ok(())
    }
}
