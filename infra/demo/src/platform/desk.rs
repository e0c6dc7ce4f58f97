//! Somebody at a terminal: commands of `hub`, as that person.

use super::{
    PlatformError,
    child::{Outcome, Program},
};
use std::{net::SocketAddr, path::PathBuf};

/// A terminal, where somebody is signed in.
pub struct Desk {
    program: Program,
    api: String,
    token: String,
}

impl Desk {
    pub(super) fn new(program: Program, api: SocketAddr, token: String) -> Self {
        Self { program, api: format!("http://{api}"), token }
    }

    /// Runs a command of `hub` to its end, whatever that is.
    ///
    /// # Errors
    /// When the program can't be started.
    pub async fn hub(&self, args: &[&str]) -> Result<Outcome, PlatformError> {
        let args: Vec<PathBuf> = args.iter().map(PathBuf::from).collect();
        let environment = [("EGER_API", self.api.as_str()), ("EGER_TOKEN", self.token.as_str())];
        self.program.run_with("hub", &args, &environment)?.wait().await
    }

    /// The same on a machine that knows of no hub.
    ///
    /// # Errors
    /// When the program can't be started.
    pub async fn elsewhere(&self, args: &[&str]) -> Result<Outcome, PlatformError> {
        let args: Vec<PathBuf> = args.iter().map(PathBuf::from).collect();
        self.program.run("hub", &args, false)?.wait().await
    }
}
