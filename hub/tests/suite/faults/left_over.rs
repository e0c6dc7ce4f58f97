//! Nothing is left over after many faults: memory, slots; and the counting itself is tested.

use super::{
    broken::{Armed, Place, What},
    counted::{Counts, GONE, memory, running},
    shapes::{Home, SHAPES},
};
use futures::StreamExt;
use std::time::Duration;

/// Faults after which memory is looked at, and before which.
const REPEATED: usize = 200;
/// What memory may grow by: one answer that is kept a fault would make ten times that.
const GROWTH: u64 = 32 << 20;
/// Rows of an answer are so many times those of the other tests: about half a megabyte a spoke.
const SCALE: i64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn memory_after_200_faults_more_is_what_it_was() {
    let home = Home::new(4, 60, SCALE, 2_000).await;
    let mut askers = Vec::new();
    for user in 0..4 {
        askers.push(home.asker(user).await);
    }
    let shapes: Vec<_> = SHAPES.iter().filter(|shape| shape.name != "IN subquery").collect();
    let fault = async |asker: &mut super::shapes::Asker, number: usize| {
        let shape = shapes[number % shapes.len()];
        let victim = shape.spokes[number % shape.spokes.len()];
        let faults = &home.spoke(victim).faults;
        let kinds = [What::Frozen, What::Garbage, What::NoStatus, What::Truncated];
        let (place, what) = ([Place::Middle, Place::End][number % 2], kinds[number % kinds.len()]);
        let fault = Armed::new(place, what);
        faults.arm(&asker.user, &fault);
        let info = asker.client.announce(shape.sql).await.unwrap();
        // A frozen one is given up by its user.
        tokio::select! {
            answer = asker.fetch(&info) => assert!(answer.is_err(), "{what:?} at {victim} of '{}'", shape.name),
            () = fault.until_reached(), if what == What::Frozen => {}
        }
        faults.disarm(&asker.user);
    };
    let many = async |askers: &mut Vec<super::shapes::Asker>| {
        for number in 0..REPEATED / askers.len() {
            let work = askers.iter_mut().enumerate().map(|(n, asker)| fault(asker, number * 4 + n));
            futures::future::join_all(work).await;
        }
    };
    many(&mut askers).await;
    let (counts, before) = (Counts::of(&home), memory());
    many(&mut askers).await;
    counts.back(&home, GONE).await.unwrap();
    let after = memory();
    println!("{REPEATED} faults: {} MB before, {} MB after", before >> 20, after >> 20);
    assert!(after.saturating_sub(before) < GROWTH, "{before} bytes before, {after} after");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_slots_can_be_taken_after_faults_at_every_one() {
    const SLOTS: usize = 4;
    let home = Home::new(SLOTS, 60, 1, 3).await;
    let mut askers = Vec::new();
    for user in 0..SLOTS {
        askers.push(home.asker(user).await);
    }
    let shape = &SHAPES[0];
    let faults = &home.spoke("sds").faults;
    for what in [What::Garbage, What::NoStatus, What::Hostile, What::Truncated] {
        for asker in &mut askers {
            faults.arm(&asker.user, &Armed::new(Place::Middle, what));
            assert!(asker.ask(shape.sql).await.0.is_err());
        }
    }
    // There is no queue: one slot that is still taken would be a refusal.
    let gates: Vec<_> = askers.iter().map(|_| Armed::new(Place::Middle, What::Frozen)).collect();
    let work = askers.iter_mut().zip(&gates).map(|(asker, gate)| {
        faults.arm(&asker.user, gate);
        asker.ask(shape.sql)
    });
    let open = async {
        for gate in &gates {
            gate.until_reached().await;
        }
        gates.iter().for_each(|gate| gate.open());
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(work), open);
    for (answer, _) in answers {
        assert_eq!(answer.unwrap(), home.right(shape));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_kept_after_a_fault_is_counted() {
    let home = Home::new(1, 60, 1, 3).await;
    let mut asker = home.asker(0).await;
    for shape in &SHAPES {
        asker.ask(shape.sql).await.0.unwrap();
    }
    let before = Counts::of(&home);
    before.back(&home, GONE).await.unwrap();
    let gate = Armed::new(Place::Middle, What::Frozen);
    home.spoke("sds").faults.arm(&asker.user, &gate);
    let info = asker.client.announce(SHAPES[0].sql).await.unwrap();
    let mut kept = asker.client.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    kept.next().await.unwrap().unwrap();
    gate.until_reached().await;
    let missed = before.back(&home, Duration::from_millis(200)).await.unwrap_err();
    let now = Counts::of(&home);
    assert!(now.tasks > before.tasks && now.folders > before.folders && running(&home) > before.answers, "{missed}");
    let file = std::fs::File::open("/dev/null").unwrap();
    drop(kept);
    // The stream is gone; the file is found as well.
    let missed = before.back(&home, Duration::from_millis(500)).await.unwrap_err();
    assert!(Counts::of(&home).files > before.files, "{missed}");
    drop(file);
    before.back(&home, GONE).await.unwrap();
}
