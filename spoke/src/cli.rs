//! The command line of `spoke`: what can be asked of it, and what its exit codes mean.

mod approve;
mod approver;
mod audit;
mod check;
mod custodian;
mod doctor;
mod ingest;
mod join;
mod keys;
mod optout;
mod permits;
mod quick;
mod serve;
mod tables;

use crate::{
    config::SpokeConfig,
    init::{self, InitOptions},
};
use clap::{Args, Parser, Subcommand};
use proto::ids::ControllerId;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

const AFTER: &str = "\
Examples:
  spoke init /srv/eger --controller region-h --title-en 'Capital Region'
  spoke join   --config /srv/eger/spoke.toml
  spoke ingest --config /srv/eger/spoke.toml
  spoke serve  --config /srv/eger/spoke.toml

Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration; `spoke ingest --help` lists its own.
Environment: EGER_SPOKE_CONFIG (configuration file), EGER_LOG (log filter, such as debug), EGER_LOG_FORMAT=json.";

const AFTER_INIT: &str = "\
Examples:
  spoke init . --controller region-h
  spoke init /srv/eger --controller sds --title-da Sundhedsdatastyrelsen --title-en 'Danish Health Data Authority'

Nothing that exists is overwritten; running it again is safe.";

#[derive(Parser)]
#[command(name = "spoke", version, about = "A controller's own data, pseudonymised, behind its own permits", after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new spoke's folder: configuration, keys, examples
    #[command(after_help = AFTER_INIT)]
    Init(Init),
    /// Read source files and publish them as pseudonymised tables
    Ingest(ingest::Ingest),
    /// Join a hub with the one-time code that its operator gave
    Join(join::Join),
    /// Answer the hub's questions
    Serve(serve::Serve),
    /// Print this spoke's public keys and fingerprints, for other controllers
    Identity(keys::IdentityArgs),
    /// Get to ask the custodian: request and install its certificate
    Custodian(custodian::CustodianArgs),
    /// Check everything that a first day goes wrong with, and say what to do
    Doctor(doctor::Doctor),
    /// List published tables
    Tables(tables::Tables),
    /// Make, trust or untrust the keys of the people who decide here
    Approver(approver::ApproverArgs),
    /// List parts of applications that wait for a decision
    Inbox(permits::InboxArgs),
    /// Read a part of an application and decide on it
    Approve(Box<approve::Approve>),
    /// Say no to a part of an application
    Refuse(approve::Refuse),
    /// Let people be counted without a project: a standing permit for quick tests
    #[command(after_help = quick::AFTER)]
    QuickTest(quick::QuickTest),
    /// End a permit, at once
    Revoke(approve::Revoke),
    /// List what was decided
    Permits(permits::Permits),
    /// People whose data are left out: opt-outs, withdrawn consent, erasure
    #[command(name = "optout")]
    OptOut(optout::OptOutArgs),
    /// Read and check the log of what was asked and decided
    Audit(Box<audit::AuditArgs>),
    /// Check configuration, certificates, keys, table declarations and permits
    CheckConfig(check::CheckConfig),
}

#[derive(Args)]
struct Init {
    /// Folder of the spoke; made when it is missing
    folder: PathBuf,
    /// Whose data: the controller's id at the hub
    #[arg(long)]
    controller: ControllerId,
    /// The controller's name in Danish
    #[arg(long, default_value = "")]
    title_da: String,
    /// The controller's name in English
    #[arg(long, default_value = "")]
    title_en: String,
    /// Where `spoke serve` will listen
    #[arg(long, default_value = "127.0.0.1:7101", value_name = "IP:PORT")]
    listen: String,
    /// Name of the hub that may ask
    #[arg(long, default_value = "main")]
    hub: String,
    /// Address of the custodian
    #[arg(long, default_value = "127.0.0.1:7100", value_name = "HOST:PORT")]
    custodian: String,
    /// Name of the custodian
    #[arg(long, default_value = "national")]
    custodian_name: String,
    /// `ingest` will run as another user than `serve`: keys and a passphrase of its own (see infra/deploy/install-spoke)
    #[arg(long)]
    separate_ingest: bool,
}

/// Which configuration; the same for all commands.
#[derive(Args)]
struct ConfigFile {
    /// Configuration file
    #[arg(long, short = 'c', default_value = "spoke.toml", env = "EGER_SPOKE_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> Result<SpokeConfig, Failure> {
        SpokeConfig::load(&self.config).map_err(Failure::usage)
    }
}

/// An error for the terminal, with its exit code.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Wrong usage or configuration: exit code 2.
    fn usage(error: impl ToString) -> Self {
        Self { code: 2, message: error.to_string() }
    }

    /// Failed while running: exit code 1.
    fn running(error: impl ToString) -> Self {
        Self { code: 1, message: error.to_string() }
    }
}

/// Runs the program with `args`, the first of which is its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which stream and code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    runtime::crypto::install();
    // `serve` starts logging itself: its configuration says whether there are traces too.
    if !matches!(cli.command, Command::Serve(_)) {
        runtime::telemetry::init("spoke");
    }
    runtime::hardening::protect_memory();
    let done = match cli.command {
        Command::Init(args) => run_init(args),
        Command::Ingest(args) => args.run(),
        Command::Join(args) => args.run(),
        Command::Serve(args) => args.run(),
        Command::Identity(args) => args.run(),
        Command::Custodian(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Tables(args) => args.run(),
        Command::Approver(args) => args.run(),
        Command::Inbox(args) => args.run(),
        Command::Approve(args) => args.run(),
        Command::Refuse(args) => args.run(),
        Command::QuickTest(args) => args.run(),
        Command::Revoke(args) => args.run(),
        Command::Permits(args) => args.run(),
        Command::OptOut(args) => args.run(),
        Command::Audit(args) => args.run(),
        Command::CheckConfig(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}

fn run_init(args: Init) -> Result<(), Failure> {
    let options = InitOptions {
        folder: args.folder,
        controller: args.controller,
        title_da: args.title_da,
        title_en: args.title_en,
        listen: args.listen,
        hub: args.hub,
        custodian: args.custodian,
        custodian_name: args.custodian_name,
        separate_ingest: args.separate_ingest,
    };
    let made = init::run(&options).map_err(Failure::usage)?;
    for path in &made.new {
        println!("new   {}", path.display());
    }
    for path in &made.kept {
        println!("kept  {}", path.display());
    }
    println!("\nNext: read {}", options.folder.join("README.md").display());
    Ok(())
}

/// The asynchronous runtime of a command.
fn asynchronous() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::running)
}

#[cfg(test)]
mod tests;
