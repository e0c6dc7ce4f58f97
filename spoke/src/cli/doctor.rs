//! `spoke doctor`.

use super::{Failure, asynchronous};
use crate::doctor::{self, Verdict};
use clap::Args;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  spoke doctor --config /srv/eger/spoke.toml
  sudo -u eger-serve spoke doctor && sudo -u eger-ingest spoke doctor
  spoke doctor --json | jq '.[] | select(.verdict == \"fail\")'

Looks at configuration, folders, disks, keys, certificates, the audit log, approvers, the ways to custodian, gateway and issuers,
and the clock. One line each: ok, warn or fail, and what to do.
Exit codes: 0 nothing failed, 1 something did.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Doctor {
    /// Configuration file
    #[arg(long, short = 'c', default_value = "spoke.toml", env = "EGER_SPOKE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<(), Failure> {
        let checks = asynchronous()?.block_on(Box::pin(doctor::examine(&self.config)));
        let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&checks).map_err(Failure::running)?);
        } else {
            for check in &checks {
                let verdict = match check.verdict {
                    Verdict::Ok => "ok  ",
                    Verdict::Warn => "warn",
                    Verdict::Fail => "fail",
                };
                println!("{verdict}  {}: {}", check.what, check.found);
                if !check.advice.is_empty() {
                    println!("      -> {}", check.advice);
                }
            }
        }
        match failed {
            0 => Ok(()),
            1 => Err(Failure::running("one check failed")),
            n => Err(Failure::running(format!("{n} checks failed"))),
        }
    }
}
