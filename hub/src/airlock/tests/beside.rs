//! What a submission is put beside: earlier ones whose files are gone, answers that carry noise; and what is told of moments.
use super::*;

#[tokio::test]
async fn a_resubmission_is_told_from_one_whose_file_went_with_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let names = ["a.csv", "inside.csv"];
    let table = ("a.csv", "kom,n\n101,120\n");
    let a = draft(&airlock, &form(&names), &[table, ("inside.csv", "kom,n\n101,7\n")]).await;
    airlock.check(&a, &anna(), day(0)).await.unwrap();
    send(&airlock, &a).await.unwrap();
    decided(&airlock, &a, Verdict::Approved).await;
    release(&airlock, &a).await.unwrap();
    airlock.purge(&form(&names).project, day(1)).await.unwrap();
    let b = draft(&airlock, &following(&a, &names), &[("a.csv", "kom,n\n101,130\n"), ("inside.csv", "kom,n\n101,8\n")])
        .await;
    let told = airlock.difference(&airlock.get(&b).await.unwrap()).await.unwrap();
    let told: Vec<(FileChange, usize)> = told.into_iter().map(|one| (one.change, one.cells.len())).collect();
    assert_eq!(told, [(FileChange::Changed, 1), (FileChange::ChangedUnseen, 0)]);
    let gone = airlock.content(&a, "inside.csv").await.unwrap_err();
    assert!(matches!(gone, AirlockError::Stored(ApplyError::NotFound(_))), "{gone}");
    // What has left and is missing is a fault.
    std::fs::remove_file(dir.path().join("airlock").join(a.to_string()).join("a.csv.sealed")).unwrap();
    assert!(matches!(airlock.content(&a, "a.csv").await.unwrap_err(), AirlockError::Vault(_)));
    assert!(airlock.difference(&airlock.get(&b).await.unwrap()).await.is_err());
}

#[tokio::test]
async fn answers_with_noise_refuse_nothing_and_are_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    // Counts of the same people, and of their parts, each with noise of its own.
    let groups: Vec<(String, i64)> = (0..150).map(|kom| (format!("{}", 101 + kom), 120 + kom % 3)).collect();
    for _ in 0..2 {
        let id = answers::answered(&airlock, &form(&["a.csv"]), &groups).await.unwrap().id;
        release(&airlock, &id).await.unwrap();
    }
    let text: String = groups.iter().map(|(kom, n)| format!("{kom},1,{}\n", n - 1)).collect();
    let parts = checked(&airlock, "b.csv", &format!("kom,koen,n\n{text}")).await;
    let found = findings(&airlock, &parts).await;
    let [(Rule::Difference, Weight::ForPeople, message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        message.contains("300 numbers") && message.contains("noise") && message.contains("'a.csv' of"),
        "{message}"
    );
    send(&airlock, &parts).await.unwrap();
    decided(&airlock, &parts, Verdict::Approved).await;
    assert_eq!(release(&airlock, &parts).await.unwrap(), State::Released);
}

/// Whoever is inside chooses when something is done there, and reads the day of it outside.
#[tokio::test]
async fn attack_no_moment_that_was_chosen_inside_is_read_outside() {
    let dir = tempfile::tempdir().unwrap();
    let airlock = airlock(dir.path()).await;
    let project = form(&["a.csv"]).project;
    let at = |seconds: i64| day(0) + TimeDelta::milliseconds(seconds * 1_000 + 7 * seconds);
    let today: DateTime<Utc> = "2027-01-15T00:00:00Z".parse().unwrap();
    let mut told = Vec::new();
    for seconds in [1, 4_000] {
        let id = airlock.begin(&form(&["a.csv"]), &anna(), at(seconds)).await.unwrap().id;
        let name = "a.csv".parse().unwrap();
        airlock.add(&id, &name, b"kom,n\n101,120\n".to_vec(), &anna(), at(seconds + 1)).await.unwrap();
        // How often somebody looks is nobody's matter, either.
        for more in 0..seconds.min(3) {
            airlock.check(&id, &anna(), at(seconds + 2 + more)).await.unwrap();
        }
        let of = airlock.applications.events(&project, 0, 100).await.unwrap();
        let of = of.into_iter().filter(|event| event.detail["submission"] == id.to_string());
        told.push(of.map(|event| (event.kind, event.at)).collect::<Vec<_>>());
        // The id is read outside as well.
        let bytes = hex::decode(&id.to_string().replace('-', "")[..12]).unwrap();
        let made = bytes.into_iter().fold(0_i64, |all, byte| all << 8 | i64::from(byte));
        assert_eq!(DateTime::from_timestamp_millis(made).unwrap(), today);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].len(), 2, "begun and checked: {told:?}");
    assert!(told[0].iter().all(|(_, at)| *at == today));
}
