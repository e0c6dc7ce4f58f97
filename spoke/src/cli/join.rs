//! `spoke join`.
//!
//! INVARIANT: the code is taken from a file, standard input or a prompt alone. As an argument it would stand in the process
//! list and the shell's history, so there it is refused.

use super::{ConfigFile, Failure, asynchronous};
use crate::link::{self, JoinError};
use clap::Args;
use runtime::invite::Invite;
use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A code is one word of some hundred characters; what is longer is none.
const MAX_CODE: u64 = 64 << 10;

const AFTER: &str = "\
Examples:
  spoke join                               asks for the code and doesn't show it
  pass show eger/code | spoke join -
  spoke join --code-file code.txt --config /srv/eger/spoke.toml

The hub's operator gives the code (hub admin invite). It is a secret: on the command line everybody on this machine could
read it, so there it is refused. The key is made here and stays here; keys/link.* are written, and [link] hub,
gateway and mode in spoke.toml. Only outgoing traffic to the gateway is needed.
Exit codes: 0 joined, 1 the hub can't be reached or refuses, 2 wrong code, usage or configuration.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Join {
    #[command(flatten)]
    config: ConfigFile,
    /// `-` reads the one-time code from standard input; with nothing, the terminal asks for it
    #[arg(value_name = "-", conflicts_with = "code_file")]
    code: Option<String>,
    /// A file that holds the code
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
}

impl Join {
    pub(super) fn run(self) -> Result<(), Failure> {
        let code = code(self.code.map(Zeroizing::new), self.code_file.as_deref())?;
        let config = self.config.load()?;
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

fn code(argument: Option<Zeroizing<String>>, file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let input = || std::io::stdin().lock();
    match (argument, file) {
        (Some(dash), _) if dash.as_str() == "-" => read(input(), "standard input"),
        (Some(_), _) => Err(Failure::usage(
            "a code on the command line shows in the process list. Leave it away, and it is asked for; or use `spoke join -` \
             or --code-file FILE. If others work on this machine, ask the hub's operator for another code",
        )),
        (None, Some(path)) => {
            let file = std::fs::File::open(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
            read(file, &path.display().to_string())
        }
        (None, None) if input().is_terminal() => rpassword::prompt_password("Code of `hub admin invite`: ")
            .map(Zeroizing::new)
            .map_err(|error| Failure::usage(format!("no code could be read ({error}); use --code-file FILE"))),
        (None, None) => {
            Err(Failure::usage("there is no terminal to ask for the code: use `spoke join -` or --code-file FILE"))
        }
    }
}

fn read(from: impl Read, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut code = Zeroizing::new(String::with_capacity(4096));
    match from.take(MAX_CODE).read_to_string(&mut code) {
        Ok(_) => Ok(code),
        Err(error) => Err(Failure::usage(format!("{what}: {error}"))),
    }
}

fn failure(error: JoinError) -> Failure {
    match error {
        JoinError::Gateway { .. } | JoinError::Refused(_) | JoinError::Answer(_) => Failure::running(error),
        _ => Failure::usage(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_is_read_from_a_file_and_refused_as_an_argument_without_being_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("code");
        std::fs::write(&file, "eger1.abc\n").unwrap();
        assert_eq!(code(None, Some(&file)).ok().unwrap().as_str(), "eger1.abc\n");

        let refused = code(Some(Zeroizing::new("eger1.abc".to_owned())), None).err().unwrap();
        assert_eq!(refused.code, 2);
        assert!(refused.message.contains("--code-file") && !refused.message.contains("eger1."), "{}", refused.message);

        let missing = code(None, Some(&folder.path().join("nosuch"))).err().unwrap();
        assert!(missing.message.contains("nosuch"), "{}", missing.message);
    }
}
