#![allow(clippy::unwrap_used)]
use super::*;
use crate::airlock::tests::{airlock, anna, day, log};
use chrono::TimeDelta;
use policies::airlock::{EXAMPLE, Form, Submission};
use std::collections::BTreeMap;

/// One table.
fn form() -> Submission {
    let mut form = Form::from_toml(EXAMPLE, "example").unwrap();
    form.files.truncate(1);
    form.check().unwrap()
}

async fn added(airlock: &Airlock, at: DateTime<Utc>) -> SubmissionId {
    let id = airlock.begin(&form(), &anna(), at).await.unwrap().id;
    let name = "table1.csv".parse().unwrap();
    airlock.add(&id, &name, b"kom,koen,n\n101,1,12\n".to_vec(), &anna(), at).await.unwrap();
    id
}

async fn state(airlock: &Airlock, id: &SubmissionId) -> State {
    airlock.get(id).await.unwrap().state
}

#[tokio::test]
async fn a_draft_that_nobody_changes_for_thirty_days_is_withdrawn_and_its_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let folder = |id: &SubmissionId| dir.path().join("airlock").join(id.to_string());
    // Four drafts of one day: left alone, checked later, sent, and empty.
    let [left, later, sent] =
        [added(&airlock, day(0)).await, added(&airlock, day(0)).await, added(&airlock, day(0)).await];
    let empty = airlock.begin(&form(), &anna(), day(0)).await.unwrap().id;
    airlock.check(&sent, &anna(), day(0)).await.unwrap();
    airlock.send(&sent, &BTreeMap::new(), &anna(), day(0)).await.unwrap();
    assert_eq!(airlock.check(&later, &anna(), day(20)).await.unwrap().state, State::Checked);
    let at = |record: SubmissionRecord| airlock.expires_at(&record);
    assert_eq!(at(airlock.get(&left).await.unwrap()), Some(day(30)));
    assert_eq!(at(airlock.get(&later).await.unwrap()), Some(day(50)));
    assert_eq!(at(airlock.get(&sent).await.unwrap()), None);

    let second = TimeDelta::seconds(1);
    assert_eq!(airlock.expire(day(30) - second).await.unwrap(), 0);
    assert_eq!((state(&airlock, &left).await, folder(&left).exists()), (State::Draft, true));
    assert_eq!(airlock.expire(day(30)).await.unwrap(), 2);
    for id in [&left, &empty] {
        assert_eq!((state(&airlock, id).await, folder(id).exists()), (State::Withdrawn, false));
        assert!(log(dir.path()).lines().any(|line| line.contains("\"expired\"") && line.contains(&id.to_string())));
    }
    // What was checked later has ten days more; what waits for people waits.
    assert_eq!((state(&airlock, &later).await, folder(&later).exists()), (State::Checked, true));
    assert_eq!(airlock.expire(day(50)).await.unwrap(), 1);
    assert_eq!((state(&airlock, &later).await, folder(&later).exists()), (State::Withdrawn, false));
    assert_eq!(airlock.expire(day(5_000)).await.unwrap(), 0);
    assert_eq!((state(&airlock, &sent).await, folder(&sent).exists()), (State::UnderReview, true));
    // Nobody goes on with one that is over, and is told why.
    let said = airlock.check(&left, &anna(), day(31)).await.unwrap_err().to_string();
    assert!(said.contains("WITHDRAWN") && said.contains("as a draft for too long"), "{said}");
}

#[tokio::test]
async fn the_operator_sets_the_days_and_a_full_project_has_room_again_when_they_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await.keeping_drafts(3);
    for _ in 0..20 {
        airlock.begin(&form(), &anna(), day(0)).await.unwrap();
    }
    assert!(airlock.begin(&form(), &anna(), day(2)).await.is_err());
    airlock.begin(&form(), &anna(), day(3)).await.unwrap();
}

#[tokio::test]
async fn attack_nothing_moves_that_can_not_be_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let id = added(&airlock, day(0)).await;
    std::fs::write(crate::audit::log_path(dir.path()), b"").unwrap();
    let said = [
        airlock.check(&id, &anna(), day(1)).await.map(drop),
        airlock.withdraw(&id, &anna(), day(1)).await.map(drop),
        airlock.expire(day(31)).await.map(drop),
        airlock.purge(&form().project, day(31)).await.map(drop),
        airlock.begin(&form(), &anna(), day(1)).await.map(drop),
    ];
    for said in said {
        assert!(said.unwrap_err().to_string().contains("audit log"));
    }
    assert_eq!(state(&airlock, &id).await, State::Draft);
    assert!(dir.path().join("airlock").join(id.to_string()).join("table1.csv.sealed").is_file());
}

#[tokio::test]
async fn what_can_not_be_written_down_does_not_expire_and_what_was_left_over_is_removed_later() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let (left, taken) = (added(&airlock, day(0)).await, added(&airlock, day(0)).await);
    let whole = log(dir.path());
    std::fs::write(crate::audit::log_path(dir.path()), b"").unwrap();
    assert!(airlock.expire(day(31)).await.unwrap_err().to_string().contains("audit log"));
    assert_eq!(state(&airlock, &left).await, State::Draft);
    // A hub that ended between the withdrawal and the removal.
    std::fs::write(crate::audit::log_path(dir.path()), whole).unwrap();
    drop(airlock);
    let airlock = crate::airlock::tests::airlock(dir.path()).await;
    let folder = dir.path().join("airlock").join(taken.to_string());
    airlock.withdraw(&taken, &anna(), day(1)).await.unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("table1.csv.sealed"), b"left over").unwrap();
    assert_eq!(airlock.expire(day(2)).await.unwrap(), 0);
    assert!(!folder.exists());
    assert!(dir.path().join("airlock").join(left.to_string()).exists());
}

struct Later;

impl Clock for Later {
    fn now(&self) -> DateTime<Utc> {
        day(31)
    }
}

#[tokio::test]
async fn a_hub_looks_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let id = added(&airlock, day(0)).await;
    let stop = CancellationToken::new();
    let looking = tokio::spawn(airlock.clone().keep_expiring(Arc::new(Later), stop.clone()));
    let gone = async {
        while state(&airlock, &id).await != State::Withdrawn {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    stop.cancel();
    looking.await.unwrap();
}
