//! The command line of `custodian`.

use crate::{
    config::Config,
    key::LinkageKey,
    serve::{ServeOptions, serve},
    setup,
};
use clap::{Parser, Subcommand};
use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::sync::oneshot;

/// The linkage key's keeper: evaluates pseudonyms blindly for spokes, sees neither person numbers nor data.
#[derive(Debug, Parser)]
#[command(
    name = "custodian",
    version,
    after_help = "Examples:
  custodian init /etc/eger/custodian --name national --listen 0.0.0.0:7100
  custodian issue --config /etc/eger/custodian/custodian.toml region-h --out /tmp/for-region-h
  custodian public-key --config /etc/eger/custodian/custodian.toml
  custodian serve --config /etc/eger/custodian/custodian.toml

Logging: EGER_LOG=debug (filter), EGER_LOG_FORMAT=json. Exit codes: 0 fine, 1 failed, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a custodian's folder: configuration, passphrase, sealed linkage key, own certificate authority
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
    },
    /// Make a spoke's certificate, and what else the spoke pins
    #[command(after_help = "Example:\n  custodian issue --config custodian.toml region-h --out /tmp/for-region-h\n\
        Copy the four files into the spoke's keys/ folder, over a trusted channel, and delete them here.")]
    Issue {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Id of the controller whose spoke it is
        controller: String,
        /// Folder to write custodian-link.crt, custodian-link.key, custodian-ca.crt and custodian.pub to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How long the certificate lasts
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=1825))]
        days: u32,
        /// Overwrite files of an earlier certificate
        #[arg(long)]
        replace: bool,
    },
    /// Make the custodian's own certificate anew, before it ends
    #[command(after_help = "Example:\n  custodian renew --config custodian.toml && systemctl restart custodian")]
    Renew {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Evaluate for spokes until told to stop (SIGINT, SIGTERM)
    #[command(
        after_help = "Example:\n  custodian serve --config custodian.toml --listen 127.0.0.1:0 --ready-file /run/custodian.json"
    )]
    Serve {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Listen here instead of where the configuration says
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// Write the bound address as JSON to this file once connections are accepted
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Print the public key that spokes pin, as hex
    #[command(after_help = "Example:\n  custodian public-key --config custodian.toml")]
    PublicKey {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
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
    runtime::crypto::install();
    runtime::telemetry::init("custodian");
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
        Command::Init { dir, name, listen } => {
            let (config, key) = setup::init(&dir, &name, listen)?;
            println!("custodian '{name}' is ready in {}", dir.display());
            println!("public key  {}", hex::encode(key.public_key()));
            println!("key id      {}", key.link_kid());
            println!("Next: custodian issue --config {} CONTROLLER --out DIR   (for every spoke)", config.display());
            println!("      custodian serve --config {}", config.display());
        }
        Command::Issue { config, controller, out, days, replace } => {
            let peer = setup::issue(&Config::load(&config)?, &controller, &out, days, replace)?;
            println!("certificate of {peer}, {days} days, in {}", out.display());
            println!("Next: copy custodian-link.crt, custodian-link.key, custodian-ca.crt and custodian.pub");
            println!("      into the spoke's keys/ folder over a trusted channel");
        }
        Command::Renew { config } => {
            setup::renew(&Config::load(&config)?)?;
            println!("the custodian's certificate is new; restart `custodian serve`");
        }
        Command::PublicKey { config } => {
            let config = Config::load(&config)?;
            let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
            println!("{}", hex::encode(LinkageKey::load(&config.keys.linkage, &pass)?.public_key()));
        }
        Command::Serve { config, listen, ready_file } => {
            let config = Config::load(&config)?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(|error| anyhow::anyhow!("the asynchronous runtime can't be started: {error}"))?
                .block_on(run_server(config, listen, ready_file))?;
        }
    }
    Ok(())
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
