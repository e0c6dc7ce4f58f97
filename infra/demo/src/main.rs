//! `demo`: the whole platform on one machine, one command.
//!
//! Plays every role itself when asked (`--role hub -- ARGUMENTS`), so that one program is all it takes.

mod show;
mod steps;
mod tour;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use demo::generate;
use demo::platform::{self, PROJECT, Platform};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AFTER: &str = "\
Examples:
  demo                       20,000 people; stays up until Ctrl-C
  demo --once                shows everything, then stops
  demo --people 2000 --seed 7 --dir /tmp/eger-demo
  demo --role hub -- sql --help     any command of custodian, spoke or hub

Synthetic data only. Exit codes: 0 fine, 1 failed, 2 wrong usage.";

/// A federated health data platform on this machine: one custodian, four controllers' spokes, one hub, five questions
#[derive(Debug, Parser)]
#[command(name = "demo", version, after_help = AFTER)]
struct Arguments {
    /// How many people the synthetic registers hold
    #[arg(long, default_value_t = 20_000)]
    people: u32,
    /// The same seed gives the same registers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where everything is kept [default: $XDG_DATA_HOME/eger-demo/PEOPLE-SEED, or below ~/.local/share]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Remove what an earlier start left there, and begin anew
    #[arg(long)]
    fresh: bool,
    /// Compare every answer, in both zones, with one computed over the raw files with person numbers in clear
    #[arg(long)]
    check: bool,
    /// Stop after the questions
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    if let Some(code) = demo::role::play(std::env::args_os()) {
        return code;
    }
    let arguments = Arguments::parse();
    let executor = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => {
            eprintln!("demo: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match executor.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("where this program lies can't be found out")?;
    let dir = match arguments.dir.clone() {
        Some(dir) => dir,
        None => default_dir(arguments.people, arguments.seed)?,
    };
    println!("Everything is kept in {}  (synthetic data, nobody's)\n", dir.display());
    if arguments.fresh {
        platform::wipe(&dir)?;
    }
    let steps = Arc::new(show::Steps::new(arguments.people));
    let options = platform::Options {
        registers: generate::Options { people: arguments.people, seed: arguments.seed },
        live: true,
        // not before people were counted without it
        apply: false,
        checkers: steps::CHECKERS.map(|(user, organisation)| (user.to_owned(), organisation.to_owned())).into(),
        report: Arc::new(move |progress| steps.show(progress)),
        ..platform::Options::new(dir, program.clone(), arguments.people)
    };
    let stopping = runtime::shutdown::on_signal();
    // dropped in the middle of a start, the platform kills what it has started
    let mut platform = tokio::select! {
        started = Platform::start(options) => started?,
        () = stopping.cancelled() => anyhow::bail!("stopped while starting; the next start goes on from here"),
    };
    let shown = visit(&mut platform, &program, &arguments, &stopping).await;
    println!("\nstopping ...");
    let stopped = platform.stop().await;
    shown?;
    Ok(stopped?)
}

/// Asks the questions, then stays until it is told to stop or a part dies.
async fn visit(
    platform: &mut Platform,
    program: &Path,
    arguments: &Arguments,
    stopping: &CancellationToken,
) -> anyhow::Result<()> {
    let guide = tour::Guide::new(platform).await?;
    tokio::select! {
        opened = counted_then_opened(platform) => opened?,
        () = stopping.cancelled() => return Ok(()),
    }
    let dead = tokio::select! {
        asked = guide.show(arguments.check) => match asked {
            Ok(()) => None,
            // a dead part explains more than the answer that it did not give
            Err(error) => match tokio::time::timeout(std::time::Duration::from_millis(200), platform.died()).await {
                Ok(died) => Some(died),
                Err(_) => return Err(error),
            },
        },
        died = platform.died() => Some(died),
        () = stopping.cancelled() => return Ok(()),
    };
    if let Some(died) = dead {
        return Err(died.into());
    }
    if arguments.once {
        return Ok(());
    }
    guide.invite(program);
    tokio::select! {
        died = platform.died() => Err(died.into()),
        () = stopping.cancelled() => Ok(()),
    }
}

/// People are counted as anybody may who considers to apply; then there is a project.
async fn counted_then_opened(platform: &Platform) -> anyhow::Result<()> {
    steps::quick_test(platform).await?;
    show::heading("From an application to an open workspace");
    platform.open_project(PROJECT).await?;
    Ok(())
}

fn default_dir(people: u32, seed: u64) -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    let data = data.context("neither XDG_DATA_HOME nor HOME is set; say where with --dir DIR")?;
    Ok(data.join("eger-demo").join(format!("{people}-{seed}")))
}
