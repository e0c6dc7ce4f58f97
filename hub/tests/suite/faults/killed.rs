//! A spoke whose machine is gone, in each phase of each shape; and one that is back at once.

use super::{
    broken::{Armed, Place, What},
    counted::{Counts, GONE},
    shapes::{Asker, DEADLINE, Home, Outcome, SHAPES, Shape},
};
use arrow_flight::FlightInfo;
use std::time::Instant;

/// The place at which its machine goes: none before the statement is announced or run.
const PHASES: [(&str, Option<Place>); 5] = [
    ("before GetFlightInfo", None),
    ("before DoGet", None),
    ("before the first batch", Some(Place::Arrived)),
    ("between batches", Some(Place::Middle)),
    ("before the final status", Some(Place::End)),
];

/// All shapes that ask this spoke.
fn shapes_of(victim: &str) -> Vec<&'static Shape> {
    SHAPES.iter().filter(|shape| shape.spokes.contains(&victim)).collect()
}

/// The statements of all shapes at once, each at the same place of the victim when it goes.
async fn kill(home: &Home, askers: &mut [Asker], victim: &str, phase: (&str, Option<Place>)) -> Vec<String> {
    let (name, place) = phase;
    let shapes = shapes_of(victim);
    let before_all = place.is_none() && name == PHASES[0].0;
    let mut infos: Vec<Option<FlightInfo>> = vec![None; shapes.len()];
    if !before_all {
        for ((shape, asker), info) in shapes.iter().zip(askers.iter_mut()).zip(&mut infos) {
            *info = Some(asker.client.announce(shape.sql).await.unwrap());
        }
    }
    let faults = &home.spoke(victim).faults;
    let gates: Vec<_> = place.iter().cycle().take(shapes.len()).map(|place| Armed::new(*place, What::Frozen)).collect();
    for (gate, asker) in gates.iter().zip(askers.iter()) {
        faults.arm(&asker.user, gate);
    }
    if place.is_none() {
        home.cables[victim].cut();
    }
    let cut = async {
        for gate in &gates {
            gate.until_reached().await;
        }
        home.cables[victim].cut();
        Instant::now()
    };
    let ask = shapes.iter().zip(askers.iter_mut()).zip(infos).map(|((shape, asker), info)| async move {
        let answer = match info {
            Some(info) => asker.fetch(&info).await,
            None => asker.ask(shape.sql).await.0,
        };
        (shape, answer, Instant::now())
    });
    let (cut, answers) = tokio::join!(cut, futures::future::join_all(ask));
    askers.iter().for_each(|asker| faults.disarm(&asker.user));
    gates.iter().for_each(|gate| gate.open());
    home.cables[victim].mend();
    let wrong = answers.into_iter().filter_map(|(shape, answer, at)| {
        let why = match home.outcome(shape, victim, answer, at.saturating_duration_since(cut)) {
            Ok(Outcome::Named(_)) => return None,
            Ok(Outcome::Right) => "answered without it".to_owned(),
            Err(why) => why,
        };
        Some(format!("{victim} killed {name} of '{}': {why}", shape.name))
    });
    wrong.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_killed_in_each_phase_of_each_shape_is_a_fault_that_names_it() {
    let home = Home::new(SHAPES.len(), DEADLINE, 1, 3).await;
    let mut askers = Vec::new();
    for user in 0..SHAPES.len() {
        askers.push(home.asker(user).await);
    }
    let mut wrong = Vec::new();
    let mut before = None;
    for phase in PHASES {
        for victim in ["sds", "region-h", "region-m"] {
            wrong.extend(kill(&home, &mut askers, victim, phase).await);
            // It is back, and so is everything.
            for (shape, asker) in SHAPES.iter().zip(&mut askers) {
                let (answer, _) = asker.ask(shape.sql).await;
                if answer.as_deref() != Ok(home.right(shape)) {
                    wrong.push(format!("'{}' after {victim} was killed and is back: {answer:?}", shape.name));
                }
            }
            // After the first, every connection has been made anew once.
            before.get_or_insert_with(|| Counts::of(&home));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    before.unwrap().back(&home, GONE).await.unwrap();
}

/// The receiver of a key list is killed while the list is collected, and the source too.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_killed_while_a_key_list_is_collected_is_a_fault_that_names_it() {
    let home = Home::new(1, DEADLINE, 1, 3).await;
    let mut asker = home.asker(0).await;
    let shape = SHAPES.iter().find(|shape| shape.list.is_some()).unwrap();
    let (source, receiver) = shape.list.unwrap();
    for victim in [source, receiver] {
        let gate = Armed::new(Place::Middle, What::Frozen);
        home.spoke(source).faults.arm(&asker.user, &gate);
        let info = asker.client.announce(shape.sql).await.unwrap();
        let begun = Instant::now();
        let cut = async {
            gate.until_reached().await;
            home.cables[victim].cut();
            gate.open();
        };
        let (answer, ()) = tokio::join!(asker.fetch(&info), cut);
        let outcome = home.outcome(shape, victim, answer, begun.elapsed()).unwrap();
        assert!(matches!(outcome, Outcome::Named(_)), "{victim}: {outcome:?}");
        home.spoke(source).faults.disarm(&asker.user);
        home.cables[victim].mend();
        assert_eq!(asker.ask(shape.sql).await.0.unwrap(), home.right(shape));
    }
}

/// What broke before it gave a row is asked for once more; what gave rows never is.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_before_the_first_row_is_asked_again_in_each_shape_and_one_after_it_never() {
    let home = Home::new(1, DEADLINE, 1, 3).await;
    let mut asker = home.asker(0).await;
    for shape in &SHAPES {
        for victim in shape.spokes {
            let spoke = home.spoke(victim);
            for (place, what) in [
                (Place::Arrived, What::Away),
                (Place::Arrived, What::NoStatus),
                (Place::Middle, What::NoStatus),
                (Place::End, What::NoStatus),
            ] {
                spoke.faults.arm(&asker.user, &Armed::times(place, what, 1));
                let asked = spoke.seen.scans.lock().unwrap().len();
                let (answer, took) = asker.ask(shape.sql).await;
                spoke.faults.disarm(&asker.user);
                let outcome = home.outcome(shape, victim, answer, took).unwrap();
                let again = place == Place::Arrived;
                assert_eq!(outcome == Outcome::Right, again, "{what:?} at {place:?} of '{}' {victim}", shape.name);
                let times = spoke.seen.scans.lock().unwrap().len() - asked;
                // A spoke that says it is away never comes to read the question.
                let expected = 1 + usize::from(what == What::NoStatus && again);
                assert!(times >= expected, "asked {times} times: {what:?} at {place:?} of '{}'", shape.name);
            }
            // Its connection breaks once, with the question there, and is back at once.
            let gate = Armed::times(Place::Arrived, What::Frozen, 1);
            spoke.faults.arm(&asker.user, &gate);
            let info = asker.client.announce(shape.sql).await.unwrap();
            let cut = async {
                gate.until_reached().await;
                home.cables[victim].cut();
                home.cables[victim].mend();
                gate.open();
            };
            let (answer, ()) = tokio::join!(asker.fetch(&info), cut);
            spoke.faults.disarm(&asker.user);
            assert_eq!(answer.unwrap(), home.right(shape), "'{}' when {victim} was away for a moment", shape.name);
        }
    }
}
