//! `spoke quick-test`: an approver lets people be counted without a project, by a standing permit.

use super::{ConfigFile, Failure, approve, approver::KeyFile, asynchronous};
use crate::{
    approve::{Book, columns, decide, summary::printable},
    config::SpokeConfig,
    publish,
};
use chrono::Utc;
use clap::Args;
use policies::permit::{Permit, PermitError, QuickDecision, QuickForm};
use proto::{ids::ProjectId, schema};
use std::path::PathBuf;

pub(super) const AFTER: &str = "\
Examples:
  spoke quick-test counts.toml --show
  spoke quick-test counts.toml --key bente.key --reason 'rounded counts, ten people at least'
  spoke revoke quick-test --reason 'no longer' --key bente.key

The form:
  lead = \"dst\"                       # whose spoke makes the group's key; the same at all controllers
  deputy = \"sds\"
  valid_from = \"2026-01-01\"
  valid_to = \"2027-12-31\"
  threshold = 20                     # left out: ten
  [[member]]                         # all controllers that take part, as `spoke identity` prints them there
  controller = \"dst\"
  sealing = \"...\"
  signing = \"...\"
  [[table]]
  name = \"bef\"
  columns = [\"pnr\", \"koen\", \"kom\"] # the person column, and what people may be chosen by
  by = [\"koen\", \"kom\"]             # and what they may be counted by

Whoever a trusted issuer vouches for may then have people counted over these tables: ten at least, rounded to tens, at
most three columns at once. It takes the place of the standing permit that counts now. docs/quick-test.md says more.
Exit codes: 0 signed (or shown), 1 failed while running, 2 wrong usage, or it can't be granted.";

#[derive(Args)]
pub(super) struct QuickTest {
    #[command(flatten)]
    config: ConfigFile,
    /// The form, TOML
    form: PathBuf,
    /// The approver's sealed private key
    #[arg(long, value_name = "FILE", required_unless_present = "show")]
    key: Option<PathBuf>,
    /// File with its passphrase (0600), instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Show what would be signed, and stop
    #[arg(long)]
    show: bool,
    /// Why
    #[arg(long, required_unless_present = "show")]
    reason: Option<String>,
}

impl QuickTest {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let unread = |error: std::io::Error| Failure::usage(format!("{}: {error}", self.form.display()));
        let form =
            QuickForm::from_toml(&std::fs::read_to_string(&self.form).map_err(unread)?).map_err(Failure::usage)?;
        let (tables, version) = asynchronous()?.block_on(async {
            let tables = Box::pin(columns::tables(&config)).await.map_err(Failure::usage)?;
            let state = publish::State::open(&config.state_db()).await.map_err(Failure::running)?;
            Ok::<_, Failure>((tables, state.exclusion_version().await.map_err(Failure::running)?))
        })?;
        let permit = |approver: &str, reason: &str| -> Result<Permit, Failure> {
            let decision = QuickDecision {
                approver: approver.to_owned(),
                reason: reason.to_owned(),
                at: Utc::now(),
                opt_out_version: version,
                replaces: current(&config)?,
            };
            let permit = form.permit(&config.controller, decision);
            permit.check().map_err(|problem| Failure::usage(PermitError::from(problem)))?;
            Ok(permit)
        };
        let proposed = permit("-", "as shown")?;
        print!("{}", text(&proposed));
        let mut misfits = columns::misfits(&proposed, &tables);
        misfits.extend(people(&proposed, &tables));
        if !misfits.is_empty() {
            return Err(Failure::usage(format!("it can't be granted: {}", misfits.join("; "))));
        }
        if self.show {
            return Ok(());
        }
        let reason = self.reason.unwrap_or_default();
        let path = self.key.ok_or_else(|| Failure::usage("--key FILE is needed to sign"))?;
        let key = KeyFile::new(path, self.passphrase_file).open()?;
        let name = approve::approver(&config, &key)?;
        let signed = decide::grant(&config, permit(&name, &reason)?, &key).map_err(Failure::running)?;
        println!("signed: permit {} for quick tests", signed.permit().id);
        Ok(())
    }
}

/// The standing permit that counts now.
fn current(config: &SpokeConfig) -> Result<Option<proto::ids::PermitId>, Failure> {
    let book = Book::read(&config.into()).map_err(Failure::running)?;
    Ok(book.live(&ProjectId::quick_test(), Utc::now().date_naive()).map(|held| held.permit().id))
}

/// What is wrong with the roles of columns: people are counted by one person column, and by nothing that identifies.
fn people(permit: &Permit, tables: &columns::Tables) -> Vec<String> {
    let mut wrong = Vec::new();
    for granted in &permit.tables {
        let Some(known) = tables.get(&granted.name) else { continue };
        let role = |column: &String| {
            let field = known.schema.field_with_name(column).ok()?;
            field.metadata().get(schema::ROLE).cloned()
        };
        let persons = granted.columns.iter().filter(|column| role(column).is_some_and(|role| role == schema::PERSON));
        if persons.count() != 1 {
            wrong.push(format!("table '{}': names not one person column", granted.name));
        }
        let quick = permit.quick.as_ref();
        let by = granted.columns.iter().filter(|column| quick.is_some_and(|q| q.counts_by(&granted.name, column)));
        for column in by.filter(|column| role(column).is_some()) {
            wrong.push(format!("table '{}': '{column}' identifies, and nobody is counted by it", granted.name));
        }
    }
    wrong
}

fn text(permit: &Permit) -> String {
    let mut out = format!(
        "A standing permit to count people without a project, from {} to {}.\nWhoever a trusted issuer vouches for may ask; \
         shown are {} people or more, rounded to tens.\n",
        permit.valid_from,
        permit.valid_to,
        permit.threshold.map_or(10, |least| least.max(10))
    );
    for granted in &permit.tables {
        out.push_str(&format!("  table {}\n", granted.name));
        for column in &granted.columns {
            let by = permit.quick.as_ref().is_some_and(|quick| quick.counts_by(&granted.name, column));
            out.push_str(&format!("    {column:<20} {}\n", if by { "counted by" } else { "chosen by" }));
        }
        if let Some(filter) = &granted.row_filter {
            out.push_str(&format!("    only rows where: {filter}\n"));
        }
    }
    out.push_str(&format!("Its key is made by {}", permit.lead));
    if let Some(deputy) = &permit.deputy {
        out.push_str(&format!(", or {deputy} when it is away"));
    }
    out.push_str("; it is shared with:\n");
    for member in &permit.members {
        out.push_str(&format!("  {:<20} sealing {}  signing {}\n", member.controller, member.sealing, member.signing));
    }
    out.lines().map(|line| format!("{}\n", printable(line))).collect()
}
