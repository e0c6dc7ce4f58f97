//! `spoke custodian`: getting to ask the custodian.

use super::{ConfigFile, Failure};
use crate::pseudonym::enrol;
use clap::{Args, Subcommand};
use runtime::{
    enrolment::{APPROVER_CONTEXT, Reply, SPOKE_SIGNING_CONTEXT},
    seal::Passphrase,
    sign::SigningKey,
};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const AFTER: &str = "\
Examples:
  1. the approver's public key goes to the custodian's operator by hand (custodian controller add region-h --approver HEX ..)
  2. spoke custodian request --key /media/approver.key --out request.json
  3. at the custodian: custodian enrol request.json --out reply.json
  4. spoke custodian install reply.json, and compare the evaluation key with the custodian's operator by telephone

The TLS key is made here and stays here; request and reply hold no secret. Do it again before the certificate ends.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct CustodianArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: CustodianCommand,
}

#[derive(Subcommand)]
enum CustodianCommand {
    /// Make a key and a request for its certificate, endorsed by this controller's approver
    Request {
        /// The approver's sealed key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File with the approver's passphrase, instead of asking
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Where to write the request
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How long the endorsement may be used
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
    /// Put the custodian's reply in place
    Install {
        /// The custodian's reply
        reply: PathBuf,
    },
}

impl CustodianArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        match self.command {
            CustodianCommand::Request { key, passphrase_file, out, days } => {
                let approver = SigningKey::load(&key, APPROVER_CONTEXT, &approver_pass(passphrase_file.as_deref())?)
                    .map_err(Failure::usage)?;
                let pass = config.ingest_passphrase().map_err(Failure::usage)?;
                let path = config.ingest_keys_dir().join("signing.key");
                let signing = if path.exists() {
                    SigningKey::load(&path, SPOKE_SIGNING_CONTEXT, &pass)
                } else {
                    SigningKey::create(&path, SPOKE_SIGNING_CONTEXT, &pass)
                }
                .map_err(Failure::usage)?;
                let request = enrol::request(&config, &approver, signing.public(), days).map_err(Failure::usage)?;
                let text = serde_json::to_string_pretty(&request).map_err(Failure::running)?;
                std::fs::write(&out, text + "\n").map_err(at(&out))?;
                println!("request of {} in {}, good for {days} days", config.controller, out.display());
                println!("endorsed by  {}", approver.public().fingerprint());
                println!(
                    "\nNext: give it to the custodian's operator (custodian enrol), then: spoke custodian install REPLY"
                );
            }
            CustodianCommand::Install { reply } => {
                let text = std::fs::read_to_string(&reply).map_err(at(&reply))?;
                let reply: Reply = serde_json::from_str(&text).map_err(|error| {
                    Failure::usage(format!("{}: this is no reply of `custodian enrol`: {error}", reply.display()))
                })?;
                let installed = enrol::install(&config, &reply).map_err(Failure::usage)?;
                println!("certificate good until {}", installed.certificate.not_after.format("%Y-%m-%d"));
                println!("evaluation key  {}", installed.evaluation_key);
                println!(
                    "\nCompare the evaluation key with the custodian's operator by another way, such as by telephone."
                );
            }
        }
        Ok(())
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::usage(format!("{}: {error}", path.display()))
}

/// From the file, else typed on the terminal.
fn approver_pass(file: Option<&Path>) -> Result<Passphrase, Failure> {
    if let Some(file) = file {
        return Passphrase::from_file(file).map_err(Failure::usage);
    }
    rpassword::prompt_password("Passphrase of the approver's key: ")
        .map(Zeroizing::new)
        .map(|text| Passphrase::from_text(text.trim()))
        .map_err(|error| {
            Failure::usage(format!("no passphrase can be read from the terminal ({error}); give --passphrase-file"))
        })
}
