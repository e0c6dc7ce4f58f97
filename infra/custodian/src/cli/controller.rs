//! `custodian controller` and `custodian alarms`.

use super::ConfigFile;
use crate::{enrol, register::Register};
use clap::{Args, Subcommand};
use runtime::sign::VerifyingKey;

const AFTER: &str = "\
Examples:
  custodian controller add region-h --approver 5b1f..c0 --population 1900000
  custodian controller add region-h --approver 77aa..01 --population 1950000 --replace
  custodian controller list
  custodian controller remove region-h

The approver's public key (64 hex digits; `spoke approver create` prints it there) is exchanged by hand: take it from the
approver in person or compare its fingerprint by telephone. The population decides the quota: population x 1.05 once,
then 2,000 evaluations a day (UTC).";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: ControllerCommand,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "made once, from the command line")]
enum ControllerCommand {
    /// Register a controller with its approver's public key
    Add {
        /// The controller's id
        name: String,
        /// Public key of its approver, 64 hex digits
        #[arg(long, value_name = "HEX")]
        approver: VerifyingKey,
        /// How many people its tables may be about
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
        population: u64,
        /// Change the approver or the population of one that is registered; its counts stay
        #[arg(long)]
        replace: bool,
    },
    /// List controllers: enrolled since when, how much they have had
    List,
    /// Remove a controller: nothing is evaluated for it from now on
    Remove {
        /// The controller's id
        name: String,
    },
}

impl ControllerArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        match self.command {
            ControllerCommand::Add { name, approver, population, replace } => {
                enrol::register(&config, &name, &approver, population, replace).await?;
                println!("{name}: approver {}", approver.fingerprint());
                println!("Compare the fingerprint with the approver by telephone.");
            }
            ControllerCommand::Remove { name } => {
                enrol::remove(&config, &name).await?;
                println!("{name}: removed; nothing is evaluated for it from now on");
            }
            ControllerCommand::List => {
                let register = Register::open(&config.register()).await?;
                println!(
                    "{:<24} {:>12} {:>12} {:>12}  {:<10} approver",
                    "controller", "quota", "used", "left today", "enrolled"
                );
                for c in register.list().await? {
                    let quota = register.quota(&c.name, chrono::Utc::now()).await?;
                    let enrolled = match (c.removed, c.enrolled) {
                        (Some(_), _) => "removed".to_owned(),
                        (None, Some(at)) => at.date_naive().to_string(),
                        (None, None) => "not yet".to_owned(),
                    };
                    println!(
                        "{:<24} {:>12} {:>12} {:>12}  {enrolled:<10} {}",
                        c.name,
                        quota.once,
                        quota.used,
                        quota.left(),
                        c.approver.fingerprint()
                    );
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custodian alarms\n  custodian alarms --last 200\n\nExit code 0 also when there are some."
)]
pub(super) struct AlarmsArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// So many, newest first
    #[arg(long, default_value_t = 50)]
    last: u32,
}

impl AlarmsArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let register = Register::open(&self.config.load()?.register()).await?;
        let alarms = register.alarms(self.last).await?;
        if alarms.is_empty() {
            println!("no alarm");
        }
        for alarm in alarms {
            println!(
                "{}  {:<24} {} ({} of {})",
                alarm.at.format("%Y-%m-%d %H:%M:%S"),
                alarm.controller,
                alarm.kind.sentence(),
                alarm.used,
                alarm.quota
            );
        }
        Ok(())
    }
}
