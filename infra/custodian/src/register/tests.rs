//! Counting, with the clock given.
#![allow(clippy::unwrap_used)]

use super::*;
use runtime::sign::SigningKey;
use sha2::{Digest, Sha256};

fn digest(n: u64) -> [u8; 32] {
    Sha256::digest(n.to_be_bytes()).into()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn register(folder: &Path, population: u64) -> Register {
    let register = Register::open(&folder.join("custodian.db")).await.unwrap();
    let approver = SigningKey::generate().unwrap().public();
    register.add("region-h", &approver, population, false).await.unwrap();
    register.enrol("region-h", "k1", &approver, at("2026-11-01T00:00:00Z")).await.unwrap();
    register
}

/// Charges without looking at alarms.
async fn charge(register: &Register, batch: u64, elements: u64, now: &str) -> Charge {
    register.charge("region-h", "k1", &digest(batch), elements, at(now)).await.unwrap().0
}

#[tokio::test]
async fn the_population_and_five_percent_once_then_2000_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let register = register(folder.path(), 1000).await;
    let (monday, late, tuesday) = ("2026-11-23T10:00:00Z", "2026-11-23T23:59:59Z", "2026-11-24T00:00:00Z");
    assert_eq!(charge(&register, 1, 1050, monday).await, Charge::Counted);
    assert_eq!(charge(&register, 2, 1999, monday).await, Charge::Counted);
    let Charge::Refused { quota, from } = charge(&register, 3, 2, late).await else { unreachable!() };
    assert_eq!((quota.once, quota.used, quota.today, quota.left()), (1050, 3049, 1999, 1));
    assert_eq!(from, at(tuesday));
    // what was refused was not counted
    assert_eq!(charge(&register, 4, 1, late).await, Charge::Counted);
    assert!(matches!(charge(&register, 5, 1, late).await, Charge::Refused { .. }));
    assert_eq!(charge(&register, 5, 2000, tuesday).await, Charge::Counted);
    assert!(matches!(charge(&register, 6, 1, tuesday).await, Charge::Refused { .. }));
    // a clock that is set back opens no second day
    assert!(matches!(charge(&register, 6, 1, monday).await, Charge::Refused { .. }));
    assert_eq!(register.quota("region-h", at(tuesday)).await.unwrap().used, 5050);
    // nor does a population that is too large for numbers
    assert_eq!(Quota::of(u64::MAX), u64::MAX);
}

#[tokio::test]
async fn counts_survive_the_process_removal_and_a_new_registration() {
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-11-23T10:00:00Z";
    let first = register(folder.path(), 100).await;
    assert_eq!(charge(&first, 1, 105, now).await, Charge::Counted);
    assert_eq!(charge(&first, 2, 2000, now).await, Charge::Counted);
    drop(first);
    let second = Register::open(&folder.path().join("custodian.db")).await.unwrap();
    assert!(matches!(charge(&second, 3, 1, now).await, Charge::Refused { .. }));
    let approver = SigningKey::generate().unwrap().public();
    assert!(matches!(second.add("region-h", &approver, 100, false).await, Err(RegisterError::Exists(_))));
    second.remove("region-h").await.unwrap();
    assert_eq!(charge(&second, 3, 1, now).await, Charge::Unknown);
    second.add("region-h", &approver, 100, false).await.unwrap();
    assert_eq!(charge(&second, 3, 1, now).await, Charge::Unknown, "its key has to be enrolled again");
    second.enrol("region-h", "k1", &approver, at("2026-11-23T00:00:00Z")).await.unwrap();
    assert!(matches!(charge(&second, 3, 1, now).await, Charge::Refused { .. }));
}

#[tokio::test]
async fn only_the_key_enrolled_last_is_counted_for_and_no_endorsement_twice() {
    let folder = tempfile::tempdir().unwrap();
    let register = register(folder.path(), 100).await;
    let signing = SigningKey::generate().unwrap().public();
    let now = at("2026-11-23T10:00:00Z");
    register.enrol("region-h", "k2", &signing, at("2026-11-02T00:00:00Z")).await.unwrap();
    assert_eq!(register.charge("region-h", "k1", &digest(1), 1, now).await.unwrap().0, Charge::Unknown);
    assert_eq!(register.charge("region-h", "k2", &digest(1), 1, now).await.unwrap().0, Charge::Counted);
    assert_eq!(register.charge("nobody", "k2", &digest(1), 1, now).await.unwrap().0, Charge::Unknown);
    for earlier in ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"] {
        assert!(matches!(register.enrol("region-h", "k1", &signing, at(earlier)).await, Err(RegisterError::Used)));
    }
    assert!(matches!(register.enrol("sds", "k", &signing, now).await, Err(RegisterError::Unknown(_))));
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_not_counted_again() {
    let folder = tempfile::tempdir().unwrap();
    let register = register(folder.path(), 100).await;
    assert_eq!(charge(&register, 1, 100, "2026-11-23T10:00:00Z").await, Charge::Counted);
    assert_eq!(charge(&register, 1, 100, "2026-11-23T10:00:01Z").await, Charge::Again);
    assert_eq!(register.quota("region-h", at("2026-11-23T10:00:00Z")).await.unwrap().used, 100);
    // what was counted long ago is forgotten
    assert_eq!(charge(&register, 2, 1, "2026-11-26T10:00:00Z").await, Charge::Counted);
    assert_eq!(charge(&register, 1, 100, "2026-11-26T10:00:00Z").await, Charge::Counted);
}

#[tokio::test]
async fn operators_are_told_at_80_and_100_percent_and_once_a_day_of_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let register = register(folder.path(), 1000).await;
    let mut told = Vec::new();
    let days = ["2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"];
    for (batch, elements, day) in [
        (1, 839, 0), // below four fifths of 1050
        (2, 1, 0),
        (3, 209, 0),
        (4, 1, 0), // the last one of the quota
        (5, 2000, 0),
        (6, 1, 0),
        (7, 1, 0),
        (8, 2001, 1),
        (9, 2001, 1),
    ] {
        let (_, alarms) = register.charge("region-h", "k1", &digest(batch), elements, at(days[day])).await.unwrap();
        told.extend(alarms.into_iter().map(|alarm| (batch, alarm.kind)));
    }
    use AlarmKind::{Near, Refused, Spent};
    assert_eq!(told, [(2, Near), (4, Spent), (6, Refused), (8, Refused)]);
    let kept: Vec<_> = register.alarms(10).await.unwrap().into_iter().map(|alarm| alarm.kind).collect();
    assert_eq!(kept, [Refused, Refused, Spent, Near]);
}
