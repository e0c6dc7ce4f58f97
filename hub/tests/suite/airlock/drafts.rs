//! Drafts that nobody goes on with.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};
use hub::{airlock::day, assemble::Clock};
use policies::airlock::State;
use std::sync::{Arc, Mutex};

struct Set(Mutex<DateTime<Utc>>);

impl Clock for Set {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_kept_for_the_days_that_the_operator_says_and_takes_no_place_after() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let clock = Arc::new(Set(Mutex::new(Utc::now())));
    let mut build = Build::new().spoke(&sds).await;
    build.clock = Some(Arc::clone(&clock) as Arc<dyn Clock>);
    build.more.push_str("[airlock]\ndraft_days = 2\n");
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let (anna, outside) = (inside(&house, ANNA), at(&house, ANNA, Zone::Open));
    let (form, files) = simple();
    let sent = anna.sent(&form, &files).await;
    let checked = anna.checked(&form, &files).await;
    let mut last = checked.id.clone();
    while let Ok(view) = anna.begin(&form).await {
        last = view.id;
    }
    // Also outside it is told when a draft goes, so that somebody can see to it.
    let kept = anna.show(&checked.id).await.expires_at.unwrap();
    assert!((TimeDelta::days(2)..TimeDelta::days(3)).contains(&(kept - checked.begun_at)));
    let told = outside.show(&checked.id).await;
    assert_eq!((told.expires_at, told.begun_at), (Some(day(kept)), day(checked.begun_at)), "no more than the day");
    assert_eq!(outside.show(&sent).await.expires_at, None);

    *clock.0.lock().unwrap() += TimeDelta::days(1);
    assert_eq!(anna.begin(&form).await.unwrap_err().status, StatusCode::CONFLICT.as_u16());
    let path = format!("/v1/airlock/{last}/files/a.csv");
    assert_eq!(anna.call(Method::PUT, &path, Some(TABLE.as_bytes().to_vec())).await.0, StatusCode::CREATED);
    *clock.0.lock().unwrap() += TimeDelta::days(1) + TimeDelta::seconds(1);
    let new = anna.begin(&form).await.unwrap().id;
    let state = async |id: &str| outside.show(id).await.state;
    assert_eq!(state(&checked.id).await, State::Withdrawn);
    assert!(!house.path().join("airlock").join(&checked.id).exists());
    // One that somebody went on with, one that was sent, one that is new.
    assert_eq!((state(&last).await, state(&sent).await), (State::Draft, State::UnderReview));
    assert_eq!(state(&new).await, State::Draft);
    // What was written down: for the operator with the submission, for the project without a person's name.
    assert!(logged(&house, "expired", &checked.id, None));
    let application = house.applications.latest(&"diabetes".parse().unwrap()).await.unwrap().id;
    let path = format!("/v1/applications/{application}/events?limit=200");
    let (_, events) = outside.call(Method::GET, &path, None).await;
    assert!(String::from_utf8(events).unwrap().contains("airlock_expired"));
}
