//! `spoke audit`: what was asked and decided here, and whether the log is as it was written.

use super::{ConfigFile, Failure};
use crate::audit::{
    show::{self, Filter},
    verify::{Given, VerifyError, verify},
};
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Subcommand, ValueEnum};
use runtime::sign::VerifyingKey;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  spoke audit show --project diabetes --since 2026-11-01
  spoke audit export --format csv > audit.csv
  spoke audit verify
  spoke audit verify --checkpoint seen-by-hub.jws --witness 5b1f...c0 --key 77ac...01

`verify` finds a changed byte, a removed line and a changed order. That the end was cut shows against a checkpoint that another
party has countersigned: it takes those in audit/witnessed/, which hub and custodian gave, or the files that you name instead.
Keep copies of them elsewhere: who can cut the log can remove them too.
Exit codes: 0 fine, 1 the log was changed or can't be read, 2 wrong usage.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made, when the program starts")]
enum AuditCommand {
    /// Show entries
    Show {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        which: Which,
    },
    /// Check that nothing was changed, removed or moved
    Verify {
        #[command(flatten)]
        config: ConfigFile,
        /// Files with checkpoints that the log must lie on, instead of those in audit/witnessed/: countersigned by a witness, or
        /// the spoke's own
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
        /// The witness' public signing key (64 hex digits)
        #[arg(long, value_name = "KEY")]
        witness: Option<VerifyingKey>,
        /// This spoke's public signing key (64 hex digits, `spoke identity`), when its sealed file can't be opened here
        #[arg(long, value_name = "KEY")]
        key: Option<VerifyingKey>,
    },
    /// Print entries for other programs
    Export {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        which: Which,
        /// Form
        #[arg(long, value_enum, default_value_t = Form::Json)]
        format: Form,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// one JSON object a line, as in the log
    Json,
    /// comma-separated values
    Csv,
}

#[derive(Args)]
struct Which {
    /// Only of this project
    #[arg(long)]
    project: Option<String>,
    /// Only of this person
    #[arg(long)]
    user: Option<String>,
    /// Not older than this day or time (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    text.parse().map_err(|_| "write a day as 2026-01-31, or a time as 2026-01-31T12:00:00Z".to_owned())
}

impl Which {
    fn filter(self) -> Filter {
        Filter { project: self.project, user: self.user, since: self.since }
    }
}

impl AuditArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            AuditCommand::Show { config, which } => {
                let config = config.load()?;
                for entry in show::entries(&config.audit_log(), &which.filter()).map_err(Failure::running)? {
                    println!("{}", show::line(&entry));
                }
                Ok(())
            }
            AuditCommand::Export { config, which, format } => {
                let config = config.load()?;
                let entries = show::entries(&config.audit_log(), &which.filter()).map_err(Failure::running)?;
                if matches!(format, Form::Csv) {
                    println!("{}", show::csv_header());
                }
                for entry in entries {
                    match format {
                        Form::Csv => println!("{}", show::csv(&entry)),
                        Form::Json => println!("{}", serde_json::to_string(&entry).map_err(Failure::running)?),
                    }
                }
                Ok(())
            }
            AuditCommand::Verify { config, checkpoints, witness, key } => {
                let given = Given { checkpoints, witness, key };
                let verified = verify(&config.load()?, &given).map_err(|error| match error {
                    VerifyError::Given { .. } | VerifyError::Key(_) => Failure::usage(error),
                    VerifyError::Log(_) | VerifyError::Witness(_) => Failure::running(error),
                })?;
                println!("{verified}");
                Ok(())
            }
        }
    }
}
