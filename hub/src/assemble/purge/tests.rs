#![allow(clippy::unwrap_used)]
use super::*;
use policies::epoch::EpochRecord;

async fn purger(folder: &Path) -> (Purger, EpochStore, Arc<SigningKey>) {
    let key = Arc::new(crate::audit::signing_key(folder).unwrap());
    let store = EpochStore::open(&folder.join("hub.db")).await.unwrap();
    let audit = HubAudit::open(folder).unwrap();
    let tokens = crate::identify::TokenStore::open(&folder.join("hub.db")).await.unwrap();
    let airlock = Airlock::open(folder, "main", &tokens, audit.clone(), Arc::clone(&key)).unwrap();
    let ledgers = Ledgers::new(folder.join("ledger"));
    let held = Held { store: store.clone(), airlock, ledgers, forget: Box::new(|_, _| 2) };
    let purger = Purger::new("main".to_owned(), folder, Arc::clone(&key), audit, held);
    (purger, store, key)
}

fn ids() -> (ControllerId, ProjectId) {
    ("dst".parse().unwrap(), "diabetes".parse().unwrap())
}

fn record(lead: &ControllerId, project: &ProjectId, key: &SigningKey) -> EpochRecord {
    EpochRecord {
        project: project.clone(),
        epoch: 1,
        key_id: "k".to_owned(),
        members: Vec::new(),
        lead: lead.clone(),
        sealing: String::new(),
        signing: key.public(),
        at: Utc::now(),
    }
}

#[tokio::test]
async fn a_planted_extract_is_gone_before_there_is_a_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let (purger, store, key) = purger(dir.path()).await;
    let (dst, diabetes) = ids();
    let extract = dir.path().join("workspaces/diabetes/2026-11");
    std::fs::create_dir_all(&extract).unwrap();
    std::fs::write(extract.join("lmdb.parquet"), b"rows of people").unwrap();
    std::fs::write(dir.path().join("workspaces/diabetes/list.json"), b"{}").unwrap();
    let other = dir.path().join("workspaces/cancer/lmdb.parquet");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, b"rows").unwrap();
    let record = record(&dst, &diabetes, &key);
    let text = record.sign(&key).unwrap();
    store.replace(&record, &text, &[(dst.clone(), vec![1]), ("sds".parse().unwrap(), vec![2])]).await.unwrap();

    let since = Utc::now();
    let receipt = purger.purge(&dst, &diabetes, Reason::Revoked).await.unwrap();
    let receipt = Receipt::verify(&receipt, &key.public(), &dst, &diabetes, Reason::Revoked, since).unwrap();
    assert_eq!((receipt.files, receipt.bytes, receipt.catalogues, receipt.sealed_keys), (2, 16, 2, 1));
    assert!(!dir.path().join("workspaces/diabetes").exists());
    assert!(other.exists());
    assert_eq!(store.sealed(&diabetes, &dst).await.unwrap(), None);
    assert!(store.sealed(&diabetes, &"sds".parse().unwrap()).await.unwrap().is_some());
    // again: nothing is left to remove, and the receipt says so
    let again = purger.purge(&dst, &diabetes, Reason::Revoked).await.unwrap();
    let again = Receipt::verify(&again, &key.public(), &dst, &diabetes, Reason::Revoked, since).unwrap();
    assert_eq!((again.files, again.sealed_keys), (0, 0));
}

#[tokio::test]
async fn extracts_go_when_people_withdrew_and_the_project_keeps_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (purger, store, key) = purger(dir.path()).await;
    let (dst, diabetes) = ids();
    let record = record(&dst, &diabetes, &key);
    store.replace(&record, &record.sign(&key).unwrap(), &[(dst.clone(), vec![1])]).await.unwrap();
    for reason in [Reason::Withdrawn, Reason::Erased] {
        let extract = dir.path().join("workspaces/diabetes");
        std::fs::create_dir_all(&extract).unwrap();
        std::fs::write(extract.join("lmdb.parquet"), b"rows of people").unwrap();
        let since = Utc::now();
        let receipt = purger.purge(&dst, &diabetes, reason).await.unwrap();
        let receipt = Receipt::verify(&receipt, &key.public(), &dst, &diabetes, reason, since).unwrap();
        assert_eq!((receipt.files, receipt.catalogues, receipt.sealed_keys), (1, 2, 0));
        assert!(!extract.exists());
        // A spoke that hasn't got its key yet still gets it.
        assert!(store.sealed(&diabetes, &dst).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_can_not_be_removed_or_written_down_gets_no_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let (purger, _store, _key) = purger(dir.path()).await;
    let (dst, diabetes) = ids();
    // a file where the folder of extracts should be
    std::fs::create_dir_all(dir.path().join("workspaces")).unwrap();
    std::fs::write(dir.path().join("workspaces/diabetes"), b"rows").unwrap();
    let refusal = purger.purge(&dst, &diabetes, Reason::Withdrawn).await.unwrap_err();
    assert!(refusal.message.contains("the extracts"), "{refusal}");
    std::fs::remove_file(dir.path().join("workspaces/diabetes")).unwrap();
    purger.audit.record(Event::Server { what: "started" }).await.unwrap();
    std::fs::write(crate::audit::log_path(dir.path()), b"").unwrap();
    let refusal = purger.purge(&dst, &diabetes, Reason::Withdrawn).await.unwrap_err();
    assert!(refusal.message.contains("audit log"), "{refusal}");
}

#[tokio::test]
async fn what_lies_in_the_airlock_and_has_not_left_is_gone_before_there_is_a_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let (purger, _store, key) = purger(dir.path()).await;
    let (dst, diabetes) = ids();
    let who = crate::airlock::Who { user: "anna@example.org".parse().unwrap(), issuer: "https://id".to_owned() };
    let mut form = policies::airlock::Form::from_toml(policies::airlock::EXAMPLE, "example").unwrap();
    form.files.truncate(1);
    let handed_in = async |form: &policies::airlock::Form| {
        let record = purger.held.airlock.begin(&form.check().unwrap(), &who, Utc::now()).await.unwrap();
        let name = "table1.csv".parse().unwrap();
        purger.held.airlock.add(&record.id, &name, b"kom,n\n101,12\n".to_vec(), &who, Utc::now()).await.unwrap();
        record.id
    };
    let id = handed_in(&form).await;
    form.project = "cancer".to_owned();
    let other = handed_in(&form).await;
    let since = Utc::now();
    let receipt = purger.purge(&dst, &diabetes, Reason::Revoked).await.unwrap();
    let receipt = Receipt::verify(&receipt, &key.public(), &dst, &diabetes, Reason::Revoked, since).unwrap();
    assert_eq!((receipt.files, receipt.bytes), (1, 13));
    let folder = |id: &proto::ids::SubmissionId| dir.path().join("airlock").join(id.to_string());
    assert!(!folder(&id).exists() && folder(&other).exists());
    assert_eq!(purger.held.airlock.get(&id).await.unwrap().state, policies::airlock::State::Withdrawn);
    let again = purger.purge(&dst, &diabetes, Reason::Revoked).await.unwrap();
    let again = Receipt::verify(&again, &key.public(), &dst, &diabetes, Reason::Revoked, since).unwrap();
    assert_eq!(again.files, 0);
}

#[tokio::test]
async fn the_ledger_goes_with_the_last_member_and_no_sooner() {
    let dir = tempfile::tempdir().unwrap();
    let (purger, store, key) = purger(dir.path()).await;
    let (dst, diabetes) = ids();
    let sds: ControllerId = "sds".parse().unwrap();
    let record = record(&dst, &diabetes, &key);
    let text = record.sign(&key).unwrap();
    store.replace(&record, &text, &[(dst.clone(), vec![1]), (sds.clone(), vec![2])]).await.unwrap();
    let mut cell = proto::plan::persons::Summary::default();
    (0..20_u8).for_each(|person| cell.add(&[person; 16]));
    let cell = [Some(cell)];
    let path = |name: &str| dir.path().join("ledger").join(name);
    let ledgers = purger.held.ledgers.clone();
    let ledger = ledgers.of(&diabetes, 1);
    let shown = ledger.shown(&cell).unwrap();
    ledgers.of(&diabetes, 0).shown(&cell).unwrap();
    for other in ["cancer", "diabetes-2"] {
        ledgers.of(&other.parse().unwrap(), 1).shown(&cell).unwrap();
    }
    purger.purge(&dst, &diabetes, Reason::Withdrawn).await.unwrap();
    purger.purge(&dst, &diabetes, Reason::Revoked).await.unwrap();
    assert!(path("diabetes-1.cells").exists(), "another member still has the key");
    assert_eq!(ledger.shown(&cell).unwrap(), shown);

    let since = Utc::now();
    let length = std::fs::metadata(path("diabetes-1.cells")).unwrap().len();
    let receipt = purger.purge(&sds, &diabetes, Reason::Expired).await.unwrap();
    let receipt = Receipt::verify(&receipt, &key.public(), &sds, &diabetes, Reason::Expired, since).unwrap();
    assert_eq!((receipt.files, receipt.bytes), (2, 2 * length));
    assert!(!path("diabetes-0.cells").exists() && !path("diabetes-1.cells").exists());
    assert!(path("cancer-1.cells").exists() && path("diabetes-2-1.cells").exists());
    // A statement that still runs makes no new one.
    assert!(ledger.shown(&cell).unwrap_err().to_string().contains("has ended"));
    assert!(!path("diabetes-1.cells").exists());
}
