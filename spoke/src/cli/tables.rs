//! `spoke tables`: what is published, for the controller's own eyes.

use super::{ConfigFile, Failure, asynchronous};
use crate::publish::Store;
use clap::Args;
use policies::disclosure::thousands;
use proto::schema;

const AFTER: &str = "\
Examples:
  spoke tables
  spoke tables --columns";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Tables {
    #[command(flatten)]
    config: ConfigFile,
    /// Show columns too
    #[arg(long)]
    columns: bool,
}

impl Tables {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        asynchronous()?.block_on(async move {
            let store = Store::open(&config).map_err(Failure::usage)?;
            let names = store.tables().await.map_err(Failure::running)?;
            if names.is_empty() {
                println!("no table is published yet; run: spoke ingest");
                return Ok(());
            }
            println!("{:<24} {:>8} {:>16} {:>10} {:>6}", "table", "snapshot", "rows", "MiB", "files");
            for name in names {
                let Some(table) = store.snapshot(&name).await.map_err(Failure::running)? else { continue };
                let (rows, mib) = (thousands(table.rows), table.bytes.div_ceil(1 << 20));
                println!("{name:<24} {:>8} {rows:>16} {mib:>10} {:>6}", table.version, table.files.len());
                if self.columns {
                    for field in table.schema.fields() {
                        let role = field.metadata().get(schema::ROLE).map_or("", String::as_str);
                        println!("  {:<22} {:<24} {role}", field.name(), field.data_type().to_string());
                    }
                }
            }
            Ok(())
        })
    }
}
