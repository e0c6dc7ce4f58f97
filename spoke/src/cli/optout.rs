//! `spoke optout`: people whose data are left out.

use super::{ConfigFile, Failure, asynchronous};
use crate::{
    audit::{self, Event},
    config::SpokeConfig,
    optout::{Change, Kind, numbers},
    publish::State,
};
use clap::{Args, Subcommand};
use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

const AFTER: &str = "\
Examples:
  spoke optout import optouts.txt                 said no to secondary use: counts for permits signed from now on
  spoke optout add --kind withdrawn < numbers     took a consent back: counts at once, whatever was permitted
  spoke optout add --kind erased --file numbers   must be erased: counts at once, and stays
  spoke optout remove --file numbers              changed their minds
  spoke optout list

Numbers come from a file or standard input, one a line; never from the command line. They are linked as at ingest, and
only stored pseudonyms are kept. Run it as the user that runs `spoke ingest`.
Exit codes: 0 done, 1 failed while running, 2 wrong usage, or a line that is no person number (nothing is changed).";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct OptOutArgs {
    #[command(subcommand)]
    command: OptOutCommand,
}

#[derive(Subcommand)]
enum OptOutCommand {
    /// Put people on a list
    Add(People),
    /// Take people off a list
    Remove(People),
    /// Show how many people stand on the lists, and their versions
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Put the people of a file on a list
    Import {
        #[command(flatten)]
        config: ConfigFile,
        /// The file: one person number a line
        file: PathBuf,
        /// Which list
        #[arg(long, value_enum, default_value_t = Kind::OptOut)]
        kind: Kind,
    },
}

#[derive(Args)]
struct People {
    #[command(flatten)]
    config: ConfigFile,
    /// Which list
    #[arg(long, value_enum, default_value_t = Kind::OptOut)]
    kind: Kind,
    /// File with one person number a line; standard input otherwise
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl OptOutArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            OptOutCommand::Add(people) => change(&people.config.load()?, people.file.as_deref(), people.kind, true),
            OptOutCommand::Remove(people) => {
                if people.kind == Kind::Erased {
                    return Err(Failure::usage("an erasure can't be taken back"));
                }
                change(&people.config.load()?, people.file.as_deref(), people.kind, false)
            }
            OptOutCommand::Import { config, file, kind } => change(&config.load()?, Some(&file), kind, true),
            OptOutCommand::List { config, json } => list(&config.load()?, json),
        }
    }
}

fn change(config: &SpokeConfig, file: Option<&Path>, kind: Kind, add: bool) -> Result<(), Failure> {
    let numbers = match file {
        Some(path) => std::fs::File::open(path)
            .map_err(numbers::NumbersError::from)
            .and_then(|file| numbers::read(BufReader::new(file)))
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
        None => numbers::read(std::io::stdin().lock())
            .map_err(|error| Failure::usage(format!("standard input: {error}")))?,
    };
    let Change { version, added, removed } = asynchronous()?.block_on(async {
        let (people, kid) = Box::pin(numbers::link(config, &numbers)).await.map_err(Failure::running)?;
        let state = State::open(&config.state_db()).await.map_err(Failure::running)?;
        if add { state.exclude(&people, kind, &kid).await } else { state.include(&people, kind, &kid).await }
            .map_err(Failure::running)
    })?;
    if added + removed > 0 {
        audit::note(config, &Event::OptOuts { kind: kind.to_string(), added, removed, version })
            .map_err(Failure::running)?;
    }
    println!("{kind}: {added} added, {removed} removed; the lists are at version {version}");
    if added > 0 && kind != Kind::OptOut {
        println!(
            "`spoke serve` asks the hub to remove what it holds of the projects that go on; receipts come into receipts/"
        );
    }
    Ok(())
}

fn list(config: &SpokeConfig, json: bool) -> Result<(), Failure> {
    let overview = asynchronous()?.block_on(async {
        let state = State::open(&config.state_db()).await.map_err(Failure::running)?;
        state.exclusions().await.map_err(Failure::running)
    })?;
    if json {
        println!("{}", serde_json::to_string(&overview).map_err(Failure::running)?);
        return Ok(());
    }
    println!("version {}", overview.version);
    for (kind, people) in &overview.people {
        println!("{kind:<10} {people} people");
    }
    for (version, at, kind, added, removed) in &overview.history {
        println!("{version:>6}  {at}  {kind:<10} +{added} -{removed}");
    }
    Ok(())
}
