//! `spoke identity` and `spoke project-key`: who this spoke is to other spokes, and the keys that they share.

use super::{ConfigFile, Failure};
use crate::{
    config::SpokeConfig,
    pseudonym::{
        identity::{Identity, PublicKey},
        project_key::{self, Own, Shared},
    },
};
use clap::{Args, Subcommand};
use proto::ids::{ControllerId, ProjectId};
use std::path::PathBuf;

const AFTER_IDENTITY: &str = "\
Give the public key to the controller that makes a project's key, and compare fingerprints by telephone:
a key that came through the hub alone proves nothing.

Examples:
  spoke identity
  spoke identity --public-only > region-h.pub";

const AFTER_KEY: &str = "\
Examples:
  at the lead:   spoke project-key create diabetes --member region-m=5b1f...c0 --member sds=@sds.pub --out handover
  at a member:   spoke project-key import handover/diabetes.region-m.projectkey --lead 9a3c...11
  a newcomer:    spoke project-key share diabetes --member dst=@dst.pub --out handover

The files are sealed to their receivers; the hub may carry them.";

#[derive(Args)]
#[command(after_help = AFTER_IDENTITY)]
pub(super) struct IdentityArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Print the public key alone, for scripts
    #[arg(long)]
    public_only: bool,
}

#[derive(Args)]
#[command(after_help = AFTER_KEY)]
pub(super) struct ProjectKeyArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make the project's key here and seal it to the members
    Create {
        #[command(flatten)]
        to: HandOver,
        /// Replace an existing key by the next epoch's: all pseudonyms change
        #[arg(long)]
        new_epoch: bool,
    },
    /// Seal the project's present key to further members
    Share {
        #[command(flatten)]
        to: HandOver,
    },
    /// Take in a key that the lead sealed to this spoke
    Import {
        /// The file from the lead
        file: PathBuf,
        /// The lead's public key (hex, or @FILE), as its controller told you
        #[arg(long, value_name = "KEY")]
        lead: Option<String>,
    },
}

#[derive(Args)]
struct HandOver {
    /// The project
    project: ProjectId,
    /// A member and its public key (hex, or @FILE); give it once for each member
    #[arg(long = "member", value_name = "CONTROLLER=KEY")]
    members: Vec<String>,
    /// Folder for the sealed files
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

impl IdentityArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let identity = open(&config)?;
        if self.public_only {
            println!("{}", identity.public());
        } else {
            println!("controller   {}", config.controller);
            println!("public key   {}", identity.public());
            println!("fingerprint  {}", identity.fingerprint());
        }
        Ok(())
    }
}

impl ProjectKeyArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let identity = open(&config)?;
        let pass = config.passphrase().map_err(Failure::usage)?;
        let projects = config.projects_dir();
        let own = Own { controller: &config.controller, identity: &identity, projects: &projects, pass: &pass };
        match self.command {
            KeyCommand::Create { to, new_epoch } => {
                let members = to.members()?;
                project_key::create(&to.project, own, &members, &to.out, new_epoch)
                    .map(|shared| shared_out(&to.project, &shared))
            }
            KeyCommand::Share { to } => {
                let members = to.members()?;
                project_key::share(&to.project, own, &members, &to.out).map(|shared| shared_out(&to.project, &shared))
            }
            KeyCommand::Import { file, lead } => {
                let lead = lead.as_deref().map(public_key).transpose()?;
                project_key::import(&file, own, lead.as_ref()).map(|key| {
                    let what = if key.new { "imported" } else { "already here" };
                    println!("{what}: project {}, epoch {}, key {}", key.project, key.epoch, key.kid);
                    println!("made by {}, fingerprint {}", key.lead, key.lead_fingerprint);
                })
            }
        }
        .map_err(Failure::usage)
    }
}

fn open(config: &SpokeConfig) -> Result<Identity, Failure> {
    let pass = config.passphrase().map_err(Failure::usage)?;
    Identity::load(&config.identity_key(), &pass).map_err(Failure::usage)
}

fn shared_out(project: &ProjectId, shared: &Shared) {
    println!("project {project}, epoch {}, key {}", shared.epoch, shared.kid);
    for (member, file) in &shared.members {
        println!("for {member}: {}", file.display());
    }
}

impl HandOver {
    fn members(&self) -> Result<Vec<(ControllerId, PublicKey)>, Failure> {
        self.members
            .iter()
            .map(|text| {
                let (controller, key) = text
                    .split_once('=')
                    .ok_or_else(|| Failure::usage(format!("--member {text}: write CONTROLLER=KEY")))?;
                let controller =
                    controller.parse().map_err(|error| Failure::usage(format!("--member {text}: {error}")))?;
                Ok((controller, public_key(key)?))
            })
            .collect()
    }
}

/// A public key written out, or `@FILE` that holds it.
fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{file}: {error}")))?,
    };
    text.parse().map_err(Failure::usage)
}
