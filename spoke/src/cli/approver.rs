//! `spoke approver`: the keys of the people who decide for this controller.

use super::{ConfigFile, Failure};
use crate::{
    approve::{APPROVER_CONTEXT, Approvers, approvers},
    audit::{self, Event},
};
use clap::{Args, Subcommand};
use runtime::{
    seal::Passphrase,
    sign::{SigningKey, VerifyingKey},
};
use std::path::{Path, PathBuf};

const AFTER: &str = "\
Examples:
  spoke approver create --key bente.key          on the approver's own machine; asks for a passphrase
  spoke approver trust bente 5b1f...c0           at the spoke, after comparing the fingerprint with Bente
  spoke approver list
  spoke approver untrust bente                   all that Bente signed counts no more, at once

Exit codes: 0 done, 1 failed while running, 2 wrong usage.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct ApproverArgs {
    #[command(subcommand)]
    command: ApproverCommand,
}

#[derive(Subcommand)]
enum ApproverCommand {
    /// Make an approver's key, sealed under a passphrase
    Create {
        #[command(flatten)]
        key: KeyFile,
    },
    /// Show whose decisions count here
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Let an approver's decisions count here
    Trust {
        #[command(flatten)]
        config: ConfigFile,
        /// A short name: lower-case letters, digits, '-', '_', '.'
        name: String,
        /// The public key: 64 hex digits, or @FILE
        key: String,
    },
    /// Let an approver's decisions count no more, those of the past too
    Untrust {
        #[command(flatten)]
        config: ConfigFile,
        /// The name
        name: String,
    },
}

/// An approver's private key and how it is opened.
#[derive(Args)]
pub(super) struct KeyFile {
    /// The approver's sealed private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with its passphrase (0600), instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl KeyFile {
    pub(super) fn new(key: PathBuf, passphrase_file: Option<PathBuf>) -> Self {
        Self { key, passphrase_file }
    }

    /// Opens the key.
    pub(super) fn open(&self) -> Result<SigningKey, Failure> {
        let pass = match &self.passphrase_file {
            Some(file) => Passphrase::from_file(file).map_err(Failure::usage)?,
            None => ask(&format!("Passphrase of {}: ", self.key.display()))?,
        };
        SigningKey::load(&self.key, APPROVER_CONTEXT, &pass).map_err(Failure::usage)
    }

    fn create(&self) -> Result<SigningKey, Failure> {
        let pass = match &self.passphrase_file {
            Some(file) => Passphrase::from_file(file).map_err(Failure::usage)?,
            None => twice(&self.key)?,
        };
        SigningKey::create(&self.key, APPROVER_CONTEXT, &pass).map_err(Failure::usage)
    }
}

fn twice(key: &Path) -> Result<Passphrase, Failure> {
    let first = zeroize::Zeroizing::new(secret(&format!("New passphrase for {}: ", key.display()))?);
    if first.chars().count() < 12 {
        return Err(Failure::usage("the passphrase has fewer than 12 characters; take a few words"));
    }
    let second = zeroize::Zeroizing::new(secret("The same again: ")?);
    if *first != *second {
        return Err(Failure::usage("the two passphrases differ; nothing was made"));
    }
    Ok(Passphrase::from_text(&first))
}

fn ask(prompt: &str) -> Result<Passphrase, Failure> {
    let text = zeroize::Zeroizing::new(secret(prompt)?);
    Ok(Passphrase::from_text(&text))
}

fn secret(prompt: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt)
        .map_err(|error| Failure::usage(format!("no passphrase could be read ({error}); use --passphrase-file")))
}

impl ApproverArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            ApproverCommand::Create { key } => {
                let made = key.create()?.public();
                println!("private key  {} (keep it and its passphrase away from the spoke)", key.key.display());
                show(&made);
                println!("\nAt the spoke: spoke approver trust NAME {made}");
                Ok(())
            }
            ApproverCommand::List { config } => {
                let config = config.load()?;
                let approvers = Approvers::load(&config.approvers_dir()).map_err(Failure::running)?;
                if approvers.known.is_empty() {
                    println!("nobody's decisions count here; see: spoke approver trust --help");
                }
                for approver in &approvers.known {
                    println!("{:<20} {}  {}", approver.name, approver.key.fingerprint(), approver.key);
                }
                for (file, reason) in &approvers.broken {
                    println!("{}: counts for nothing: {reason}", file.display());
                }
                Ok(())
            }
            ApproverCommand::Trust { config, name, key } => {
                let config = config.load()?;
                let key = public_key(&key)?;
                show(&key);
                note(&config, &name, &key, true)?;
                let path = approvers::trust(&config.approvers_dir(), &name, &key).map_err(Failure::usage)?;
                println!("trusted      {name} ({})", path.display());
                Ok(())
            }
            ApproverCommand::Untrust { config, name } => {
                let config = config.load()?;
                let approvers = Approvers::load(&config.approvers_dir()).map_err(Failure::running)?;
                let key = approvers.known.iter().find(|approver| approver.name == name).map(|approver| approver.key);
                approvers::untrust(&config.approvers_dir(), &name).map_err(Failure::usage)?;
                println!("{name} is trusted no more; permits under that key end within seconds");
                key.map_or(Ok(()), |key| note(&config, &name, &key, false))
            }
        }
    }
}

fn note(config: &crate::config::SpokeConfig, name: &str, key: &VerifyingKey, trusted: bool) -> Result<(), Failure> {
    let event = Event::Approver { name: name.to_owned(), fingerprint: key.fingerprint(), trusted };
    audit::note(config, &event).map_err(Failure::running)
}

fn show(key: &VerifyingKey) {
    println!("public key   {key}");
    println!("fingerprint  {}", key.fingerprint());
}

fn public_key(text: &str) -> Result<VerifyingKey, Failure> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{file}: {error}")))?,
    };
    text.parse().map_err(Failure::usage)
}
