//! Every fault of an answer in every phase of every shape: the right answer, or an error that names the controller in
//! time; and nothing is left afterwards.

use super::{
    broken::{Armed, Place, What},
    counted::{Counts, GONE},
    shapes::{Asker, DEADLINE, Home, Outcome, SHAPES, Shape},
};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Statements at once.
const ASKERS: usize = 16;

/// When, as the user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeGetFlightInfo,
    BeforeDoGet,
    BeforeFirstBatch,
    BetweenBatches,
    BeforeStatus,
    /// at the receiver of a list, while the list is collected
    WhileListing,
}

const PHASES: [Phase; 6] = [
    Phase::BeforeGetFlightInfo,
    Phase::BeforeDoGet,
    Phase::BeforeFirstBatch,
    Phase::BetweenBatches,
    Phase::BeforeStatus,
    Phase::WhileListing,
];

#[derive(Debug, Clone, Copy)]
struct Cell {
    shape: &'static Shape,
    victim: &'static str,
    phase: Phase,
    what: What,
}

impl Cell {
    /// Every fault in every phase of every shape, at each of its spokes in turn.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for shape in &SHAPES {
            for (p, phase) in PHASES.into_iter().enumerate() {
                for (w, what) in What::ALL.into_iter().enumerate() {
                    let victim = match (phase, shape.list) {
                        (Phase::WhileListing, None) => continue,
                        (Phase::WhileListing, Some((_, receiver))) => receiver,
                        _ => shape.spokes[(p + w) % shape.spokes.len()],
                    };
                    all.push(Self { shape, victim, phase, what });
                }
            }
        }
        // Those that wait for their deadline go first, side by side.
        all.sort_by_key(|cell| cell.what != What::Frozen);
        all
    }

    fn place(&self) -> Place {
        match self.phase {
            Phase::BeforeGetFlightInfo | Phase::BeforeDoGet => Place::Catalogue,
            Phase::BeforeFirstBatch | Phase::WhileListing => Place::Arrived,
            Phase::BetweenBatches => Place::Middle,
            Phase::BeforeStatus => Place::End,
        }
    }

    /// Whether the fault can be lived with.
    fn harmless(&self) -> bool {
        // The first message of a catalogue is the whole of it.
        self.what == What::Slow || (self.what == What::NoStatus && self.place() == Place::Catalogue)
    }

    async fn run(&self, home: &Home, asker: &mut Asker) -> Result<(Outcome, Duration), String> {
        let (faults, fault) = (&home.spoke(self.victim).faults, Armed::new(self.place(), self.what));
        if self.phase == Phase::BeforeGetFlightInfo {
            faults.arm(&asker.user, &fault);
        }
        let begun = Instant::now();
        let mut held = None;
        let answer = match asker.client.announce(self.shape.sql).await {
            Err(refusal) if self.phase == Phase::BeforeGetFlightInfo => Err(refusal),
            Err(refusal) => return Err(format!("can't be announced: {refusal}")),
            Ok(info) => match (self.phase, self.shape.list) {
                (Phase::WhileListing, Some((source, _))) => {
                    let gate = Armed::new(Place::Middle, What::Frozen);
                    home.spoke(source).faults.arm(&asker.user, &gate);
                    held = Some(source);
                    let user = asker.user.clone();
                    let break_it = async {
                        gate.until_reached().await;
                        faults.arm(&user, &fault);
                        gate.open();
                    };
                    tokio::join!(asker.fetch(&info), break_it).0
                }
                _ => {
                    faults.arm(&asker.user, &fault);
                    asker.fetch(&info).await
                }
            },
        };
        let took = begun.elapsed();
        faults.disarm(&asker.user);
        held.inspect(|source| home.spoke(source).faults.disarm(&asker.user));
        let outcome = home.outcome(self.shape, self.victim, answer, took)?;
        if (outcome == Outcome::Right) != self.harmless() {
            return Err(format!("{outcome:?} is not what this fault leads to"));
        }
        Ok((outcome, took))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_in_every_phase_of_every_shape_is_named_or_harmless() {
    let home = Home::new(ASKERS, DEADLINE, 1, 3).await;
    let mut askers = Vec::new();
    for user in 0..ASKERS {
        let mut asker = home.asker(user).await;
        let (answer, _) = asker.ask(SHAPES[user % SHAPES.len()].sql).await;
        answer.unwrap();
        askers.push(asker);
    }
    let before = Counts::of(&home);
    let cells = Cell::all();
    let (count, left) = (cells.len(), Mutex::new(cells.into_iter()));
    let (wrong, seen) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<String, (usize, Duration)>::new()));
    let (left, wrong, seen, home_ref) = (&left, &wrong, &seen, &home);
    let work = askers.into_iter().map(|mut asker| async move {
        loop {
            let Some(cell) = left.lock().unwrap().next() else { return asker };
            match cell.run(home_ref, &mut asker).await {
                Ok((outcome, took)) => {
                    let mut seen = seen.lock().unwrap();
                    let entry = seen.entry(format!("{:?}: {outcome:?}", cell.what)).or_default();
                    *entry = (entry.0 + 1, entry.1.max(took));
                }
                Err(why) => {
                    let Cell { shape, victim, phase, what } = cell;
                    wrong.lock().unwrap().push(format!("{what:?} at {victim} {phase:?} of '{}': {why}", shape.name));
                }
            }
        }
    });
    let askers = futures::future::join_all(work).await;
    let wrong = std::mem::take(&mut *wrong.lock().unwrap());
    assert!(wrong.is_empty(), "{} of {count} cells:\n{}", wrong.len(), wrong.join("\n"));
    for (what, (times, longest)) in seen.lock().unwrap().iter() {
        println!("{what}: {times} cells, at most {:.2} s", longest.as_secs_f64());
    }
    let took = before.back(&home, GONE).await.unwrap();
    println!("{count} cells; nothing left {:.2} s after the last; there are {before:?}", took.as_secs_f64());
    drop(askers);
}
