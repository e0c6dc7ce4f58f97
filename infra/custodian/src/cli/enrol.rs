//! `custodian enrol`.

use super::ConfigFile;
use crate::enrol;
use clap::Args;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  custodian enrol request.json --out reply.json
  custodian enrol --config /etc/eger/custodian.toml region-h.json --out region-h.reply.json --days 180

The request comes from `spoke custodian request`, endorsed by the approver whose key was registered (custodian
controller add). An earlier key of the same controller may no longer ask. The reply holds no secret.";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct EnrolArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// What the spoke sent
    request: PathBuf,
    /// Where to write the reply for the spoke
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long the certificate lasts
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=1825))]
    days: u32,
}

impl EnrolArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let at = |path: &PathBuf| {
            let path = path.clone();
            move |error: std::io::Error| anyhow::anyhow!("{}: {error}", path.display())
        };
        let request = std::fs::read_to_string(&self.request).map_err(at(&self.request))?;
        let reply = enrol::enrol(&config, &request, self.days).await?;
        let mut text = serde_json::to_vec_pretty(&reply)?;
        text.push(b'\n');
        std::fs::write(&self.out, text).map_err(at(&self.out))?;
        println!("enrolled {} for {} days; reply in {}", reply.controller, self.days, self.out.display());
        println!("evaluation key  {}", reply.evaluation_key);
        println!(
            "Next: give the reply to the spoke's operator (spoke custodian install), and read them the evaluation key"
        );
        println!("      by another way, such as by telephone.");
        Ok(())
    }
}
