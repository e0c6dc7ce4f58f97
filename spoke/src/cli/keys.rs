//! `spoke identity`: who this spoke is to other spokes.

use super::{ConfigFile, Failure};
use crate::pseudonym::identity::{Identity, signing};
use clap::Args;

const AFTER: &str = "\
Controllers give one another the two fingerprints themselves, by telephone or on paper; they stand in every permit.
What came through the hub alone proves nothing.

Examples:
  spoke identity
  spoke identity --json > region-h.identity.json
  spoke identity --member          the lines for an application's or a permit's list of members";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct IdentityArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON
    #[arg(long, conflicts_with = "member")]
    json: bool,
    /// Print a [[member]] table with the fingerprints (TOML)
    #[arg(long)]
    member: bool,
}

impl IdentityArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let pass = config.passphrase().map_err(Failure::usage)?;
        let sealing = Identity::load(&config.identity_key(), &pass).map_err(Failure::usage)?;
        let signing = signing::load_or_create(&config.signing_key(), &pass).map_err(Failure::usage)?.public();
        if self.json {
            let shown = serde_json::json!({
                "controller": config.controller,
                "sealing": { "key": sealing.public().to_string(), "fingerprint": sealing.fingerprint() },
                "signing": { "key": signing.to_string(), "fingerprint": signing.fingerprint() },
            });
            println!("{shown:#}");
        } else if self.member {
            println!("[[member]]\ncontroller = \"{}\"", config.controller);
            println!("sealing = \"{}\"", sealing.fingerprint());
            println!("signing = \"{}\"", signing.fingerprint());
        } else {
            println!("controller  {}", config.controller);
            println!("sealing     {}", sealing.fingerprint());
            println!("            key {}", sealing.public());
            println!("signing     {}", signing.fingerprint());
            println!("            key {signing}");
        }
        Ok(())
    }
}
