//! A spoke's process killed, frozen and slowed in each phase of each shape, all shapes at once: the right answer, or an
//! error that names it within the deadline. One platform for all of it, and at its end nothing is left over.

use super::{
    home::{Asker, Counts, DEADLINE, Home, WAIT, id, until},
    shapes::{COHORT, OTHER, SHAPES, VICTIM},
};
use anyhow::{Context, Result, ensure};
use arrow_flight::FlightInfo;
use demo::platform::Part;
use futures::future::join_all;
use std::time::{Duration, Instant};
use tests::{
    process::{memory, signal},
    relay::Line,
};

const SPOKE: Part = Part::Spoke(VICTIM);
/// What an error may take beyond the deadline.
const SLACK: Duration = Duration::from_secs(2);
const STOP: u8 = 19;
const CONT: u8 = 18;
/// Of what the victim says: headers of the answers and some bytes of their rows.
const SOME: usize = 2_000;
/// Statements given up one after the other, and what the processes may grow by meanwhile.
const REPEATED: usize = 200;
const GROWTH: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeGetFlightInfo,
    BeforeDoGet,
    BeforeFirstBatch,
    BetweenBatches,
    WhileListing,
}

const PHASES: [Phase; 5] = [
    Phase::BeforeGetFlightInfo,
    Phase::BeforeDoGet,
    Phase::BeforeFirstBatch,
    Phase::BetweenBatches,
    Phase::WhileListing,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
}

type Ended = (usize, Result<String, String>, Instant);

/// Asks all shapes at once; `infos` of those that are announced.
fn ask_all(askers: Vec<Asker>, infos: Vec<Option<FlightInfo>>) -> Vec<tokio::task::JoinHandle<Ended>> {
    let all = askers.into_iter().zip(infos).enumerate();
    all.map(|(number, (mut asker, info))| {
        tokio::spawn(async move {
            let info = match info {
                Some(info) => Ok(info),
                None => asker.announce(SHAPES.get(number).map_or("", |shape| shape.sql)).await,
            };
            let answer = match info {
                Ok(info) => asker.fetch(&info).await,
                Err(error) => Err(error),
            };
            (number, answer, Instant::now())
        })
    })
    .collect()
}

async fn askers(home: &Home) -> Result<Vec<Asker>> {
    join_all(SHAPES.iter().map(|_| home.asker())).await.into_iter().collect()
}

async fn announced(askers: &mut [Asker]) -> Result<Vec<FlightInfo>> {
    let all = askers.iter_mut().zip(&SHAPES).map(|(asker, shape)| asker.announce(shape.sql));
    join_all(all).await.into_iter().collect::<Result<_, _>>().map_err(anyhow::Error::msg)
}

async fn strike(home: &mut Home, fault: Fault) -> Result<Instant> {
    match fault {
        Fault::Killed => home.running.platform.kill(SPOKE).await,
        Fault::Frozen => signal(home.pid(SPOKE)?, STOP)?,
    }
    Ok(Instant::now())
}

async fn mend(home: &mut Home, fault: Fault) -> Result<()> {
    for relay in home.relays.values() {
        relay.set(Line::default());
    }
    match fault {
        Fault::Killed => home.running.platform.start_part(SPOKE).await?,
        Fault::Frozen => signal(home.pid(SPOKE)?, CONT)?,
    }
    all_right(home).await
}

/// Waits until every shape is answered, and right.
async fn all_right(home: &Home) -> Result<()> {
    let begun = Instant::now();
    loop {
        let ended = join_all(ask_all(askers(home).await?, vec![None; SHAPES.len()])).await;
        let mut why = String::new();
        for ended in ended {
            let (number, answer, _) = ended?;
            match answer {
                Ok(answer) => ensure!(Some(&answer) == home.right.get(number), "wrong after a fault: {number}"),
                Err(error) => why = error,
            }
        }
        if why.is_empty() {
            return Ok(());
        }
        ensure!(begun.elapsed() < WAIT, "no answer after a fault: {why}");
    }
}

/// One fault in one phase, for all shapes; what is not as it should be.
async fn round(home: &mut Home, phase: Phase, fault: Fault) -> Result<Vec<String>> {
    let mut askers = askers(home).await?;
    let (struck, asked);
    if phase == Phase::BeforeGetFlightInfo {
        struck = strike(home, fault).await?;
        asked = ask_all(askers, vec![None; SHAPES.len()]);
    } else {
        let infos = announced(&mut askers).await?;
        let ids: Vec<String> = infos.iter().map(id).collect::<Result<_>>()?;
        let cohort = SHAPES.iter().position(|shape| shape.name == COHORT.name).context("a join")?;
        let infos = infos.into_iter().map(Some).collect();
        match phase {
            Phase::BeforeFirstBatch | Phase::BetweenBatches => {
                let may_say = if phase == Phase::BetweenBatches { SOME } else { 0 };
                home.relay(VICTIM)?.set(Line { may_say: Some(may_say), ..Line::default() });
                asked = ask_all(askers, infos);
                until("every question is at the spoke", || Ok(home.at_spoke(VICTIM, "asked", &ids)? == ids.len()))
                    .await?;
                ensure!(home.relay(VICTIM)?.holds(WAIT).await, "nothing is held");
                struck = strike(home, fault).await?;
            }
            Phase::WhileListing => {
                home.relay(OTHER)?.set(Line { may_say: Some(0), ..Line::default() });
                let cohort = ids.get(cohort..=cohort).context("an id")?.to_vec();
                asked = ask_all(askers, infos);
                until("the list's source is asked", || Ok(home.at_spoke(OTHER, "asked", &cohort)? == 1)).await?;
                ensure!(
                    home.at_spoke(VICTIM, "asked", &cohort)? == 0,
                    "the list's receiver is asked before there is a list"
                );
                struck = strike(home, fault).await?;
                home.relay(OTHER)?.set(Line::default());
            }
            Phase::BeforeGetFlightInfo | Phase::BeforeDoGet => {
                struck = strike(home, fault).await?;
                asked = ask_all(askers, infos);
            }
        }
    }
    let (mut wrong, mut named, mut longest) = (Vec::new(), 0, Duration::ZERO);
    for ended in join_all(asked).await {
        let (number, answer, at) = ended?;
        let took = at.saturating_duration_since(struck);
        longest = longest.max(took);
        let why = match answer {
            Ok(answer) if Some(&answer) == home.right.get(number) => None,
            Ok(answer) => Some(format!("a wrong answer: {answer}")),
            Err(error) if !error.contains(&format!("'{VICTIM}'")) => Some(format!("doesn't name it: {error}")),
            Err(_) => {
                named += 1;
                None
            }
        };
        let late = (took > Duration::from_secs(DEADLINE) + SLACK).then(|| format!("took {took:?}"));
        let name = SHAPES.get(number).map_or("", |shape| shape.name);
        wrong.extend(why.into_iter().chain(late).map(|why| format!("{fault:?} {phase:?}, '{name}': {why}")));
    }
    println!("{fault:?} {phase:?}: {named} of {} name it, at most {:.1} s", SHAPES.len(), longest.as_secs_f64());
    if named == 0 {
        wrong.push(format!("{fault:?} {phase:?}: no statement met the fault"));
    }
    Ok(wrong)
}

/// A late line changes nothing; one that is too narrow is an error that names who is behind it.
async fn slowed(home: &Home) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let late = Line { delay: Duration::from_millis(60), bytes_per_second: Some(4 << 20), may_say: None };
    let narrow = Line { bytes_per_second: Some(1_000), ..late };
    for (line, must) in [(late, true), (narrow, false)] {
        let mut askers = askers(home).await?;
        let infos = announced(&mut askers).await?;
        home.relay(VICTIM)?.set(line);
        let begun = Instant::now();
        let mut named = 0;
        for ended in join_all(ask_all(askers, infos.into_iter().map(Some).collect())).await {
            let (number, answer, at) = ended?;
            let name = SHAPES.get(number).map_or("", |shape| shape.name);
            match answer {
                Ok(answer) if Some(&answer) == home.right.get(number) => {}
                Ok(_) => wrong.push(format!("slowed, '{name}': a wrong answer")),
                Err(error) if must || !error.contains(&format!("'{VICTIM}'")) => {
                    wrong.push(format!("slowed, '{name}': {error}"));
                }
                Err(_) => named += 1,
            }
            if at.saturating_duration_since(begun) > Duration::from_secs(DEADLINE) + SLACK {
                wrong.push(format!("slowed, '{name}': late"));
            }
        }
        println!("slowed, {line:?}: {named} of {} name it", SHAPES.len());
        if !must && named == 0 {
            wrong.push("nothing was too much for a narrow line".to_owned());
        }
        home.relay(VICTIM)?.set(Line::default());
        all_right(home).await?;
    }
    Ok(wrong)
}

/// A client goes away while every spoke is at work: each writes down that it stopped.
async fn given_up(home: &Home, before: &Counts) -> Result<()> {
    let mut askers = askers(home).await?;
    let infos = announced(&mut askers).await?;
    home.relay(VICTIM)?.set(Line { may_say: Some(0), ..Line::default() });
    for ((asker, info), shape) in askers.iter_mut().zip(&infos).zip(&SHAPES) {
        let ids = [id(info)?];
        tokio::select! {
            answer = asker.fetch(info) => anyhow::bail!("'{}' answered without {VICTIM}: {answer:?}", shape.name),
            there = until("the question is at the spoke", || Ok(home.at_spoke(VICTIM, "asked", &ids)? == 1)) => drop(there?),
        }
        let took = until("hub and spokes have stopped", || {
            Ok(home.counts()?.running.iter().zip(&before.running).all(|(now, before)| now <= before))
        })
        .await?;
        println!("given up, '{}': hub and spokes have stopped after {:.0} ms", shape.name, took.as_secs_f64() * 1e3);
    }
    home.relay(VICTIM)?.set(Line::default());
    Ok(())
}

/// Many statements given up half-way: memory stays what it was.
async fn repeated(home: &Home) -> Result<()> {
    let scan = SHAPES.first().context("a scan")?;
    let many = async |times: usize| -> Result<()> {
        let mut asker = home.asker().await?;
        let relay = home.relay(VICTIM)?;
        for _ in 0..times {
            let info = asker.announce(scan.sql).await.map_err(anyhow::Error::msg)?;
            let ids = [id(&info)?];
            relay.set(Line { may_say: Some(0), ..Line::default() });
            tokio::select! {
                answer = asker.fetch(&info) => anyhow::bail!("answered: {answer:?}"),
                there = until("the question is at the spoke", || Ok(home.at_spoke(VICTIM, "asked", &ids)? == 1)) => drop(there?),
            }
            relay.set(Line::default());
        }
        Ok(())
    };
    let size = || -> Result<Vec<u64>> { [Part::Hub, SPOKE].into_iter().map(|part| memory(home.pid(part)?)).collect() };
    many(REPEATED / 4).await?;
    let before = size()?;
    many(REPEATED).await?;
    let after = size()?;
    println!("{REPEATED} statements given up: hub and spoke {before:?} bytes before, {after:?} after");
    for (before, after) in before.iter().zip(&after) {
        ensure!(after.saturating_sub(*before) < GROWTH, "{before} bytes before, {after} after");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_killed_frozen_or_slowed_in_each_phase_of_each_shape_is_a_fault_that_names_it() -> Result<()> {
    let begun = Instant::now();
    let mut home = Home::start().await?;
    println!("the platform stands after {:.1} s", begun.elapsed().as_secs_f64());
    let mut wrong = Vec::new();
    for phase in PHASES {
        wrong.extend(round(&mut home, phase, Fault::Killed).await?);
        mend(&mut home, Fault::Killed).await?;
    }
    // Answers of a process that was killed have no end in its log; from here on it lives.
    let before = home.counts()?;
    for phase in PHASES {
        wrong.extend(round(&mut home, phase, Fault::Frozen).await?);
        mend(&mut home, Fault::Frozen).await?;
    }
    wrong.extend(slowed(&home).await?);
    given_up(&home, &before).await?;
    repeated(&home).await?;
    ensure!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    home.back(&before).await?;
    println!("all of it took {:.1} s", begun.elapsed().as_secs_f64());
    home.running.platform.stop().await?;
    Ok(())
}
