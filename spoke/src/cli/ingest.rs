//! `spoke ingest`.

use super::{ConfigFile, Failure, asynchronous};
use crate::ingest::{self, IngestOptions};
use clap::Args;
use proto::ids::TableName;

const AFTER: &str = "\
Examples:
  spoke ingest                       all declared tables
  spoke ingest lmdb lpr_a_kontakt    these two
  spoke ingest lmdb --max-reject-share 0.05

Exit codes: 0 published, or nothing new; 2 wrong usage or configuration; 3 too many rows rejected; 4 a source can't be
read or is malformed; 5 the custodian can't be reached or refused; 6 storage failed (disk full); 7 another ingest
is running; 130 stopped by Ctrl-C; 1 anything else. Unless it is 0, the tables served are those from before.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Ingest {
    #[command(flatten)]
    config: ConfigFile,
    /// Tables to ingest; all that are declared when none is named
    tables: Vec<TableName>,
    /// Publish nothing when more than this share of the rows is rejected
    #[arg(long, value_name = "0..1", value_parser = share)]
    max_reject_share: Option<f64>,
    /// Print the summary of each table as a line of JSON
    #[arg(long)]
    json: bool,
    /// Show no progress bar
    #[arg(long)]
    no_progress: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("write a number from 0 to 1".to_owned()),
    }
}

impl Ingest {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let options = IngestOptions {
            tables: self.tables,
            max_reject_share: self.max_reject_share,
            progress: !self.no_progress,
            ..IngestOptions::default()
        };
        let summaries = asynchronous()?
            .block_on(async {
                let options = IngestOptions { cancel: runtime::shutdown::on_signal(), ..options };
                Box::pin(ingest::run(&config, options)).await
            })
            .map_err(|error| Failure { code: error.exit_code(), message: error.to_string() })?;
        for summary in summaries {
            if self.json {
                println!("{}", summary.to_json());
            } else {
                println!("{summary}");
            }
        }
        Ok(())
    }
}
