//! `spoke join`.

use super::{ConfigFile, Failure, asynchronous};
use crate::link::{self, JoinError};
use clap::Args;
use runtime::invite::Invite;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const AFTER: &str = "\
Examples:
  spoke join eger1.eyJnIjoi...
  spoke join --code-file code.txt --config /srv/eger/spoke.toml
  pass show eger/code | spoke join -

The hub's operator gives the code (hub admin invite). The key is made here and stays here; keys/link.* are written, and
[link] hub, gateway and mode in spoke.toml. Only outgoing traffic to the gateway is needed.
Exit codes: 0 joined, 1 the hub can't be reached or refuses, 2 wrong code, usage or configuration.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Join {
    #[command(flatten)]
    config: ConfigFile,
    /// The one-time code; `-` reads it from standard input, where `ps` doesn't show it
    #[arg(required_unless_present = "code_file")]
    code: Option<String>,
    /// A file that holds the code
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    code_file: Option<PathBuf>,
}

impl Join {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let code = match (self.code.map(Zeroizing::new), self.code_file) {
            (Some(code), _) if code.as_str() == "-" => read(Path::new("/dev/stdin"))?,
            (Some(code), _) => code,
            (None, Some(path)) => read(&path)?,
            (None, None) => return Err(Failure::usage("give the code, or --code-file FILE")),
        };
        let invite: Invite = code.parse().map_err(Failure::usage)?;
        let joined = asynchronous()?.block_on(link::join(&self.config.config, &config, &invite)).map_err(failure)?;
        println!("joined {} at {}", joined.hub, joined.gateway);
        println!(
            "certificate for {} until {}; `spoke serve` renews it",
            invite.spoke,
            joined.certificate.not_after.format("%Y-%m-%d")
        );
        println!("\nNext: spoke serve --config {}", self.config.config.display());
        Ok(())
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn failure(error: JoinError) -> Failure {
    match error {
        JoinError::Gateway { .. } | JoinError::Refused(_) | JoinError::Answer(_) => Failure::running(error),
        _ => Failure::usage(error),
    }
}
