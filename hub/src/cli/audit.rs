//! `hub audit`: the hub's own log.

use super::{Failure, Folder, fault, folder, usage};
use crate::{
    admin,
    audit::{self, Filter},
    config::HubConfig,
};
use clap::Subcommand;
use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Shows entries: who asked what, and what came of it
    #[command(
        after_help = "Examples:\n  hub audit show --last 20\n  hub audit show --event asked --user anna@example.org --json\n\nExit codes: 0 shown, 1 the log was changed or can't be read, 2 usage"
    )]
    Show {
        #[command(flatten)]
        at: Folder,
        /// only this kind: asked, answered, refused, login, project, airlock, admin, epoch, purged, alarm, server
        #[arg(long)]
        event: Option<String>,
        /// only about this project
        #[arg(long)]
        project: Option<String>,
        /// only of this user
        #[arg(long)]
        user: Option<String>,
        /// only the last so many
        #[arg(long)]
        last: Option<usize>,
        /// as JSON, one entry a line
        #[arg(long)]
        json: bool,
    },
    /// Checks every line, and that nothing is missing that another party has witnessed
    #[command(
        after_help = "Examples:\n  hub audit verify\n  hub audit verify --checkpoint seen-by-region-h.jws      (audit/seen/hub.main.jws at that spoke)\n\nExit codes: 0 nothing was changed, 1 something was, 2 usage or configuration"
    )]
    Verify {
        #[command(flatten)]
        at: Folder,
        /// a checkpoint of this log that another party kept; may be given several times
        #[arg(long)]
        checkpoint: Vec<PathBuf>,
    },
    /// Writes the whole log with its hashes, for another party
    #[command(
        after_help = "Example:\n  hub audit export --out hub-2026-11.log\n\nExit codes: 0 written, 1 the log was changed or can't be read, 2 usage"
    )]
    Export {
        #[command(flatten)]
        at: Folder,
        /// file to write; standard output without it
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(command: Audit) -> Result<(), Failure> {
    admin::rules::read_audit().map_err(usage)?;
    match command {
        Audit::Show { at, event, project, user, last, json } => {
            let filter = Filter { event, project, user, last };
            let mut out = BufWriter::new(std::io::stdout().lock());
            audit::show(&folder(&at.config), &filter, json, &mut out).map_err(fault)?;
            out.flush().map_err(fault)
        }
        Audit::Verify { at, checkpoint } => {
            let config = HubConfig::load(&at.config).map_err(usage)?;
            let (head, witnessed) = audit::verify(&config.folder, &config.name, &checkpoint).map_err(fault)?;
            println!("{} entries, none changed, none missing; {witnessed} checkpoints of witnesses", head.seq);
            println!("last line {}", head.hash);
            Ok(())
        }
        Audit::Export { at, out } => {
            let from = folder(&at.config);
            let entries = match &out {
                Some(path) => {
                    let file = std::fs::File::create(path).map_err(|e| usage(format!("{}: {e}", path.display())))?;
                    let mut file = BufWriter::new(file);
                    let entries = audit::export(&from, &mut file).map_err(fault)?;
                    file.flush().map_err(fault)?;
                    entries
                }
                None => audit::export(&from, &mut std::io::stdout().lock()).map_err(fault)?,
            };
            eprintln!("{entries} entries");
            Ok(())
        }
    }
}
