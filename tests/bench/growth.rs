//! How cost grows: the same rows at one spoke, at five, twenty and fifty, each a process, asked by one, eight and sixty-four
//! researchers at once; and what somebody who sends many statements does to the others.
//!
//! Every researcher sends the same statements, one after another, under a name and over a connection of their own. Fails when
//! somebody doesn't finish, waits far longer than the others, or is refused, and when the hub takes more memory than its profile
//! gives it.

mod crowd;

use crate::Options;
use anyhow::{Context, Result, ensure};
use crowd::{Crowd, Run};
use demo::{
    platform::{self, PROJECT, Part, Platform, Progress},
    sites::{self, CENTRAL, COHORT, SPREADS},
};
use std::{path::Path, sync::Arc};
use tests::process;

/// Researchers at once.
const RESEARCHERS: [usize; 3] = [1, 8, 64];
/// More people and rows than this take minutes to be made and published.
const MOST: (u32, u64) = (20_000, 1_000_000);
/// Memory of the hub's profile, bytes: as little as a hub needs to run several statements.
const MEMORY: u64 = 2 << 30;
/// What a spoke process may need, for telling whether this machine has room for all of them, bytes.
const SPOKE: u64 = 150 << 20;
/// Statements that one researcher sends at once, next to seven who send one after another.
const MANY: usize = 32;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let (people, rows) = (options.people.min(MOST.0), options.rows.min(MOST.1));
    let cast = sites::cast(rows, options.sites);
    let (need, free) = (cast.controllers.len() as u64 * SPOKE, available()?);
    ensure!(
        need < free,
        "{} spoke processes may need {} MiB, {} MiB are free: ask for fewer with --sites",
        cast.controllers.len(),
        need >> 20,
        free >> 20
    );
    let spokes: Vec<&'static str> = cast.controllers.iter().map(|c| c.id).collect();
    let dir = options.dir.join(format!("growth-{people}-{rows}-{}", spokes.len() - 1));
    let mut all = platform::Options::new(&dir, std::env::current_exe()?, people);
    all.cast = cast;
    all.researchers = (1..RESEARCHERS[2]).map(|n| format!("researcher-{n:02}@example.org")).collect();
    let names = std::iter::once(platform::USER.to_owned()).chain(all.researchers.clone()).collect::<Vec<_>>();
    all.profile = Some(dir.join("profile.toml"));
    all.report = Arc::new(|progress| {
        if let Progress::Step(what) = progress {
            eprintln!("  {what}");
        }
    });
    let mut platform = Platform::prepare(all).await?;
    declare(&platform, &dir, options.sites)?;
    platform.start_all().await?;
    let tokens = futures::future::try_join_all(names.iter().map(|name| platform.token_of(name))).await?;
    let crowd = Crowd { address: platform.enclave().context("the hub runs")?, project: PROJECT, tokens };
    println!(
        "the same {rows} rows of {people} people over more and more spoke processes; a hub of 2 cores and {} MiB, 2 statements \
         at once; each researcher sends a scan, an aggregate and a join, {} times",
        MEMORY >> 20,
        options.runs
    );
    for sites in SPREADS.into_iter().filter(|sites| *sites <= options.sites) {
        let statements = statements(sites);
        crowd.warm_up(&statements).await?;
        for researchers in RESEARCHERS {
            let run = crowd.ask(researchers, options.runs, &statements).await?;
            tell(&format!("{sites} spokes, {researchers} at once"), &run, &platform)?;
            run.starved_nobody()?;
        }
    }
    let last = SPREADS.into_iter().rev().find(|sites| *sites <= options.sites).unwrap_or(1);
    let (alone, beside) = crowd.beside_one_who_sends(MANY, options.runs, &statements(last)).await?;
    tell(&format!("{last} spokes, 7 researchers"), &alone, &platform)?;
    tell(&format!("  beside one who sends {MANY} at once"), &beside, &platform)?;
    beside.starved_nobody()?;
    let memory =
        spokes.iter().copied().map(|spoke| process::peak_memory(platform.pid(Part::Spoke(spoke)).context("runs")?));
    let memory = memory.collect::<Result<Vec<_>>>()?;
    println!(
        "  peak memory of a spoke process: {} MiB at the most, {} MiB all {} together",
        memory.iter().max().unwrap_or(&0) >> 20,
        memory.iter().sum::<u64>() >> 20,
        spokes.len()
    );
    platform.stop().await?;
    Ok(())
}

/// Whole rows of a twentieth of all, groups of all rows, and a hundredth of the people with all their rows.
fn statements(sites: usize) -> [(&'static str, String); 3] {
    let table = sites::table(sites);
    [
        ("scan", format!("SELECT pnr, day, value FROM {table} WHERE kom = 107")),
        ("aggregate", format!("SELECT code, kom, count(*) AS n, avg(value) AS mean FROM {table} GROUP BY code, kom")),
        (
            "join",
            format!(
                "SELECT c.sex, count(*) AS n, sum(o.value) AS s FROM {CENTRAL}.{COHORT} c JOIN {table} o ON o.pnr = c.pnr \
                 WHERE c.arm = 7 GROUP BY c.sex"
            ),
        ),
    ]
}

fn declare(platform: &Platform, dir: &Path, most: usize) -> Result<()> {
    let folder = platform.hub_dir().join("national");
    std::fs::create_dir_all(&folder)?;
    for sites in SPREADS.into_iter().filter(|sites| *sites > 1 && *sites <= most) {
        std::fs::write(folder.join(format!("obs_{sites}.toml")), sites::national(sites))?;
    }
    let scratch = dir.join("scratch");
    std::fs::create_dir_all(&scratch)?;
    let profile = format!(
        "name = \"growth\"\n[cpu]\ncores = 2\n[memory]\nsize = \"{}MiB\"\n[scratch]\ndir = \"{}\"\nsize = \"2GiB\"\n",
        MEMORY >> 20,
        scratch.display()
    );
    Ok(std::fs::write(dir.join("profile.toml"), profile)?)
}

fn tell(what: &str, run: &Run, platform: &Platform) -> Result<()> {
    let hub = process::peak_memory(platform.pid(Part::Hub).context("the hub runs")?)?;
    println!("  {what}: {run}; hub so far at most {} MiB", hub >> 20);
    ensure!(hub <= MEMORY, "the hub took {} MiB, its profile gives {} MiB", hub >> 20, MEMORY >> 20);
    Ok(())
}

/// Memory that is free on this machine, bytes.
fn available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("MemAvailable")?;
    Ok(line.split_whitespace().next().context("a number")?.parse::<u64>()? * 1024)
}
