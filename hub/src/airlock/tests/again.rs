//! The checks run again when something is sent and when it leaves.
use super::*;

/// A municipality of 120, and its women and men: 117, and a cell of 3 that is hidden.
const TOTALS: &str = "kom,n\n101,120\n147,45\n";
const PARTS: &str = "kom,koen,n\n101,1,117\n101,2,\n147,1,25\n147,2,20\n";

#[tokio::test]
async fn attack_a_total_and_its_parts_in_two_submissions_do_not_both_leave() {
    for (first, second) in [(TOTALS, PARTS), (PARTS, TOTALS)] {
        let dir = tempfile::tempdir().unwrap();
        let airlock = airlock(dir.path()).await;
        // Neither has left when both are checked.
        let (a, b) = (checked(&airlock, "a.csv", first).await, checked(&airlock, "b.csv", second).await);
        send(&airlock, &a).await.unwrap();
        assert_eq!(findings(&airlock, &a).await, []);
        send(&airlock, &b).await.unwrap();
        // Whoever checks the second sees that the first is on its way.
        let found = findings(&airlock, &b).await;
        let [(Rule::Total, Weight::ForPeople, message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(message.contains(&a.to_string()) && message.contains("has not left yet"), "{message}");
        for id in [&a, &b] {
            decided(&airlock, id, Verdict::Approved).await;
        }
        assert_eq!(release(&airlock, &a).await.unwrap(), State::Released);
        let said = release(&airlock, &b).await.unwrap_err().to_string();
        // It is asked for outside: no file, no row, no number.
        assert!(said.contains("hand in another one") && said.contains("hub airlock show"), "{said}");
        for hidden in ["b.csv", "a.csv", "row", "101"] {
            assert!(!said.replace(&b.to_string(), "").contains(hidden), "{said}");
        }
        assert_eq!(state(&airlock, &b).await, State::Approved);
        let found = findings(&airlock, &b).await;
        assert!(matches!(found.as_slice(), [(Rule::Total, Weight::Refused, _)]), "{found:?}");
        assert!(log(dir.path()).contains("\"release_refused\""));
        assert!(!dir.path().join("airlock").join(b.to_string()).join(".crate.sealed").exists());
    }
}

#[tokio::test]
async fn attack_what_was_checked_before_another_left_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let b = checked(&airlock, "b.csv", PARTS).await;
    let a = approved(&airlock, "a.csv", TOTALS).await;
    assert_eq!(release(&airlock, &a).await.unwrap(), State::Released);
    let said = send(&airlock, &b).await.unwrap_err().to_string();
    assert!(said.contains("ran again") && said.contains("hub airlock show"), "{said}");
    assert_eq!(state(&airlock, &b).await, State::Draft);
    let found = findings(&airlock, &b).await;
    assert!(matches!(found.as_slice(), [(Rule::Total, Weight::Refused, _)]), "{found:?}");
}

/// Two that are sent at the same moment: each is compared with the other, or is sent after it.
#[tokio::test(flavor = "multi_thread")]
async fn attack_two_that_are_sent_at_the_same_moment_are_told_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let (a, b) = (checked(&airlock, "a.csv", TOTALS).await, checked(&airlock, "b.csv", PARTS).await);
    let (one, two) = tokio::join!(send(&airlock, &a), send(&airlock, &b));
    one.unwrap();
    two.unwrap();
    let told = [findings(&airlock, &a).await.len(), findings(&airlock, &b).await.len()];
    assert_eq!(told.iter().sum::<usize>(), 1, "{told:?}");
}

#[tokio::test]
async fn attack_later_releases_push_no_earlier_one_out_of_the_comparison() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let a = approved(&airlock, "a.csv", TOTALS).await;
    release(&airlock, &a).await.unwrap();
    // Answers of the platform and others, all of them later.
    for nth in 0..300 {
        let copied = sqlx::query(
            "INSERT INTO submission (id, project, state, content, submitted_by, issuer, begun_at, changed_at, released_at, computed) \
             SELECT ?, project, state, content, submitted_by, issuer, begun_at, changed_at, '2100-01-01T00:00:00.000Z', ? \
             FROM submission WHERE id = ?",
        );
        let id = SubmissionId::of_day(day(2).date_naive()).to_string();
        copied.bind(id).bind(nth % 2).bind(a.to_string()).execute(&airlock.pool).await.unwrap();
    }
    let b = draft(&airlock, &form(&["b.csv"]), &[("b.csv", PARTS)]).await;
    assert_eq!(airlock.check(&b, &anna(), day(3)).await.unwrap().state, State::Draft);
}

/// Others hold all connections to the database but one.
#[tokio::test]
async fn a_release_needs_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let a = approved(&airlock, "a.csv", TOTALS).await;
    let mut held = Vec::new();
    for _ in 1..airlock.pool.options().get_max_connections() {
        held.push(airlock.pool.acquire().await.unwrap());
    }
    let released = tokio::time::timeout(std::time::Duration::from_secs(25), release(&airlock, &a)).await;
    assert_eq!(released.unwrap().unwrap(), State::Released);
}
