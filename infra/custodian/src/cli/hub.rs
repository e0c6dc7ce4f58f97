//! `custodian hub`.

use super::ConfigFile;
use crate::{enrol, register::Register};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  custodian hub add main --request hub.csr --out hub.json
  custodian hub list
  custodian hub remove main

A hub may ask for one thing: sums of masks of blind totals, whose seeds spokes have signed. The request is a certificate
request (PKCS#10, PEM) of the hub's own key. Nobody's word comes with it: compare the digest of the key that is printed
here with what the hub's operator reads.";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct HubArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: HubCommand,
}

#[derive(Debug, Subcommand)]
enum HubCommand {
    /// Certify a hub's key; an earlier one may no longer ask
    Add {
        /// The hub's name
        name: String,
        /// Its certificate request (PEM)
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Where to write the reply for the hub
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How long the certificate lasts
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=1825))]
        days: u32,
    },
    /// List hubs: enrolled since when, with which key
    List,
    /// Remove a hub: it gets nothing from now on
    Remove {
        /// The hub's name
        name: String,
    },
}

impl HubArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        match self.command {
            HubCommand::Add { name, request, out, days } => {
                let at = |path: &PathBuf| {
                    let path = path.clone();
                    move |error: std::io::Error| anyhow::anyhow!("{}: {error}", path.display())
                };
                let csr = std::fs::read_to_string(&request).map_err(at(&request))?;
                let reply = enrol::enrol_hub(&config, &name, &csr, days).await?;
                let mut text = serde_json::to_vec_pretty(&reply)?;
                text.push(b'\n');
                std::fs::write(&out, text).map_err(at(&out))?;
                println!("enrolled hub {name} for {days} days; reply in {}", out.display());
                println!("key (SHA-256)  {}", reply.key);
            }
            HubCommand::List => {
                for hub in Register::open(&config.register()).await?.hubs().await? {
                    println!("{:<20} since {}  key {}", hub.name, hub.enrolled.format("%Y-%m-%d %H:%M"), hub.key);
                }
            }
            HubCommand::Remove { name } => {
                if !enrol::remove_hub(&config, &name).await? {
                    anyhow::bail!("hub '{name}' is not enrolled here; see: custodian hub list");
                }
                println!("hub {name} gets nothing from now on");
            }
        }
        Ok(())
    }
}
