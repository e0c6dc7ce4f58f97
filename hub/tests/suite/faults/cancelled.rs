//! A client that goes away stops every spoke, whatever the statement's shape.

use super::{
    broken::{Armed, Place, What},
    counted::{Counts, GONE, running},
    shapes::{Home, SHAPES},
};
use std::time::{Duration, Instant};

/// Within this every spoke has stopped.
const SOON: Duration = Duration::from_secs(1);
/// No statement may end by its own deadline here.
const LONG: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stops_every_spoke_within_a_second_in_each_shape_without_a_fault() {
    let home = Home::new(1, LONG, 1, 3).await;
    let mut asker = home.asker(0).await;
    // Each connection stands before they are counted.
    for shape in &SHAPES {
        asker.ask(shape.sql).await.0.unwrap();
    }
    let before = Counts::of(&home);
    for shape in &SHAPES {
        for victim in shape.spokes {
            for place in [Place::Arrived, Place::Middle, Place::End] {
                let gate = Armed::new(place, What::Frozen);
                home.spoke(victim).faults.arm(&asker.user, &gate);
                let info = asker.client.announce(shape.sql).await.unwrap();
                // Counted while the client still waits: it may all be gone at once afterwards.
                let reached = async {
                    gate.until(|| running(&home) > 0).await;
                    running(&home)
                };
                let at_work = tokio::select! {
                    answer = asker.fetch(&info) => panic!("'{}' answered without {victim}: {answer:?}", shape.name),
                    at_work = reached => at_work,
                };
                // The stream was dropped just now, the connection stands.
                assert!(at_work > 0, "nothing runs at {victim} that could be stopped");
                let gone = Instant::now();
                let took = before.back(&home, GONE).await.unwrap();
                println!(
                    "'{}', {victim} {place:?}: {at_work} answers and everything else gone after {:.0} ms",
                    shape.name,
                    took.as_secs_f64() * 1e3
                );
                assert!(gone.elapsed() < SOON, "'{}' at {victim} {place:?}: {took:?}", shape.name);
                home.spoke(victim).faults.disarm(&asker.user);
            }
        }
    }
}

/// The deadline travels: a spoke knows by when nobody waits any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_carries_its_deadline_to_each_spoke_so_that_a_hubs_fault_stops_it_too() {
    let home = Home::new(1, LONG, 1, 3).await;
    let mut asker = home.asker(0).await;
    home.spokes().for_each(|spoke| spoke.seen.scans.lock().unwrap().clear());
    let begun = std::time::SystemTime::now();
    for shape in &SHAPES {
        asker.ask(shape.sql).await.0.unwrap();
    }
    let at = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let (from, to) = (at(begun) + LONG * 1000, at(std::time::SystemTime::now()) + LONG * 1000 + 1);
    for spoke in home.spokes() {
        let scans = spoke.seen.scans.lock().unwrap();
        assert!(!scans.is_empty());
        for scan in scans.iter() {
            let deadline = scan.envelope.as_ref().unwrap().deadline_unix_ms.cast_unsigned();
            assert!((from..=to).contains(&deadline), "{}: {deadline} is not in {from}..{to}", spoke.controller);
        }
    }
}
