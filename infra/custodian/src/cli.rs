//! The command line of `custodian`.

mod audit;
mod backup;
mod controller;
mod enrol;
mod hub;

use crate::{
    config::Config,
    key::LinkageKey,
    serve::{ServeOptions, serve},
    setup,
};
use clap::{Args, Parser, Subcommand};
use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::sync::oneshot;

/// The linkage key's keeper: evaluates pseudonyms blindly for spokes, sees neither person numbers nor data.
#[derive(Debug, Parser)]
#[command(
    name = "custodian",
    version,
    after_help = "Examples:
  custodian init /etc/eger/custodian --name national --listen 0.0.0.0:7100
  custodian controller add --config custodian.toml region-h --approver 5b1f..c0 --population 1900000
  custodian enrol --config custodian.toml request.json --out reply.json
  custodian backup --config custodian.toml --out /media/shares
  custodian serve --config custodian.toml

Logging: EGER_LOG=debug (filter), EGER_LOG_FORMAT=json. Exit codes: 0 fine, 1 failed, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Which configuration; the same for all commands.
#[derive(Debug, Args)]
struct ConfigFile {
    /// Configuration file
    #[arg(long, short = 'c', default_value = "custodian.toml", env = "EGER_CUSTODIAN_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a custodian's folder: configuration, passphrase, sealed keys, own certificate authority
    #[command(after_help = "Example:\n  custodian init /etc/eger/custodian --name national --listen 0.0.0.0:7100")]
    Init {
        /// Folder to make; must not hold a custodian already
        dir: PathBuf,
        /// Name of the custodian, as spokes write it in spoke.toml
        #[arg(long, default_value = "national")]
        name: String,
        /// Where it will listen
        #[arg(long, default_value = "127.0.0.1:7100")]
        listen: SocketAddr,
        /// Make no linkage key: it will come back from its shares (custodian restore)
        #[arg(long)]
        without_key: bool,
    },
    /// Register, list and remove the controllers whose spokes may ask
    Controller(controller::ControllerArgs),
    /// Certify, list and remove the hubs that may ask for sums of masks of blind totals
    Hub(hub::HubArgs),
    /// Certify the key of a spoke that its controller's approver endorsed
    Enrol(enrol::EnrolArgs),
    /// Show who came near its quota or was refused
    Alarms(controller::AlarmsArgs),
    /// Show, check and hand on the audit log
    Audit(audit::AuditArgs),
    /// Write the linkage key as three shares, of which any two make it again
    Backup(backup::BackupArgs),
    /// Make the linkage key again from two of its three shares
    Restore(backup::RestoreArgs),
    /// Make the custodian's own certificate anew, before it ends
    #[command(after_help = "Example:\n  custodian renew --config custodian.toml && systemctl restart eger-custodian")]
    Renew(ConfigFile),
    /// Evaluate for spokes until told to stop (SIGINT, SIGTERM)
    #[command(
        after_help = "Example:\n  custodian serve --config custodian.toml --listen 127.0.0.1:0 --ready-file /run/custodian.json"
    )]
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Listen here instead of where the configuration says
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Write the bound address as JSON to this file once connections are accepted
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Print the public key that spokes pin, as hex
    #[command(after_help = "Example:\n  custodian public-key --config custodian.toml")]
    PublicKey(ConfigFile),
    /// Print the public key that permits name for blind totals, as hex, and its fingerprint
    #[command(after_help = "Example:\n  custodian sealing-key --config custodian.toml")]
    SealingKey(ConfigFile),
}

/// Runs the program with these arguments (the first is its name).
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    runtime::telemetry::init("custodian");
    runtime::hardening::protect_memory();
    runtime::crypto::install();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("custodian: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { dir, name, listen, without_key } => init(&dir, &name, listen, without_key)?,
        Command::Controller(args) => asynchronous()?.block_on(args.run())?,
        Command::Hub(args) => asynchronous()?.block_on(args.run())?,
        Command::Enrol(args) => asynchronous()?.block_on(args.run())?,
        Command::Alarms(args) => asynchronous()?.block_on(args.run())?,
        Command::Audit(args) => asynchronous()?.block_on(args.run())?,
        Command::Backup(args) => args.run()?,
        Command::Restore(args) => args.run()?,
        Command::Renew(config) => {
            setup::renew(&config.load()?)?;
            println!("the custodian's certificate is new; restart `custodian serve`");
        }
        Command::PublicKey(config) => {
            let config = config.load()?;
            let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
            println!("{}", hex::encode(LinkageKey::load(&config.keys.linkage, &pass)?.public_key()));
        }
        Command::SealingKey(config) => {
            let config = config.load()?;
            let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
            let key = setup::sealing_key(&config, &pass)?;
            println!("{}", key.public());
            println!("fingerprint {}", key.public().fingerprint());
        }
        Command::Serve { config, listen, ready_file } => {
            let config = config.load()?;
            asynchronous()?.block_on(run_server(config, listen, ready_file))?;
        }
    }
    Ok(())
}

fn init(dir: &std::path::Path, name: &str, listen: SocketAddr, without_key: bool) -> anyhow::Result<()> {
    let config = if without_key {
        let config = setup::init_without_key(dir, name, listen)?;
        println!("custodian '{name}' is ready in {}, but has no linkage key", dir.display());
        println!("Next: write its public key to {}/keys/custodian.pub", dir.display());
        println!("      custodian restore --config {} SHARE SHARE", config.display());
        config
    } else {
        let (config, key) = setup::init(dir, name, listen)?;
        println!("custodian '{name}' is ready in {}", dir.display());
        println!("public key  {}", hex::encode(key.public_key()));
        println!("key id      {}", key.link_kid());
        println!("Next: custodian backup --config {} --out DIR", config.display());
        config
    };
    println!("      custodian controller add --config {} CONTROLLER --approver HEX --population N", config.display());
    println!("      custodian serve --config {}", config.display());
    Ok(())
}

fn asynchronous() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::anyhow!("the asynchronous runtime can't be started: {error}"))
}

async fn run_server(config: Config, listen: Option<SocketAddr>, ready_file: Option<PathBuf>) -> anyhow::Result<()> {
    let shutdown = runtime::shutdown::on_signal();
    let (ready, bound) = oneshot::channel();
    let tell = async {
        if let (Ok(address), Some(file)) = (bound.await, &ready_file) {
            runtime::ready::write(file, &[("listen", address)])
                .map_err(|error| anyhow::anyhow!("{}: can't be written: {error}", file.display()))?;
        }
        anyhow::Ok(())
    };
    let options = ServeOptions { config, listen, ready: Some(ready), tap: None, shutdown: shutdown.clone() };
    let serving = async { serve(options).await.map_err(anyhow::Error::from) };
    tokio::try_join!(serving, tell)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_takes_no_passphrase() {
        Arguments::command().debug_assert();
        let mut left = vec![Arguments::command()];
        while let Some(command) = left.pop() {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(!id.contains("pass") || id.ends_with("_file"), "{}: {id}", command.get_name());
            }
            left.extend(command.get_subcommands().cloned());
        }
    }
}
