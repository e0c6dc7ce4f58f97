//! What a permit shows, and that nothing else exists.

use super::fixture::{
    Fixture, LMDB, count, direct, envelope, filtered, numbers, permit, question, read, read_of, request, token,
};
use datafusion::prelude::{col, lit};
use proto::{
    plan,
    refusal::Kind,
    schema,
    wire::{ColumnRole, Zone},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_the_permit_and_nothing_else() {
    let spoke = Fixture::new().await;
    spoke.publish("secret", 3_000, 3_000).await;
    let server = spoke.serve().await;
    let reply = spoke.hub(&server).catalogue(envelope()).await.unwrap();
    assert_eq!(reply.controller, "region-h");
    assert_eq!(reply.zone(), Zone::Enclave);
    assert_eq!(reply.tables.len(), 1);
    let table = &reply.tables[0];
    assert_eq!((table.name.as_str(), table.event_date.as_str()), ("lmdb", "eksd"));
    // 48,000 rows about 3,000 people, told in classes; no row's number, and years only of days
    assert!((30_000..70_000).contains(&table.rows) && table.rows % 1_000 == 0, "{}", table.rows);
    assert!((1_900..4_800).contains(&table.persons) && table.persons % 100 == 0, "{}", table.persons);
    let years: Vec<_> = table.columns.iter().map(|c| c.first_year.zip(c.last_year)).collect();
    assert_eq!(years, [None, None, Some((2019, 2020)), None, None]);
    assert_eq!(table.description.as_ref().unwrap().da, "Medicin");
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["pnr", "kontakt", "eksd", "atc", "row"]);
    let roles: Vec<_> = table.columns.iter().map(|column| column.role()).collect();
    use ColumnRole::{Key, Person, Value};
    assert_eq!(roles, [Person, Key, Value, Value, Value]);
    assert_eq!(table.columns[3].code_system, "ATC");
    let columns = schema::from_bytes(&table.arrow_schema).unwrap();
    assert_eq!(columns.fields().len(), 5);
    assert_eq!(schema::fingerprint(&columns).to_vec(), table.schema_fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_permitted_does_not_exist() {
    let spoke = Fixture::new().await;
    spoke.publish("secret", 3_000, 3_000).await;
    let admission = spoke.admission().await;
    let mut said = Vec::new();
    for table in ["secret", "nowhere"] {
        let refusal = direct(&admission, question("diabetes", read_of(table, &["row"]))).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::NotFound);
        said.push(refusal.message.replace(table, "T"));
    }
    assert_eq!(said[0], said[1]);
    for column in ["volume", "nowhere"] {
        for root in [read(&["row", column]), filtered(&["row"], &col(column).gt(lit(1.0)))] {
            let refusal = direct(&admission, question("diabetes", root)).await.unwrap_err();
            assert_eq!(refusal.kind, Kind::NotFound);
            assert_eq!(refusal.message, format!("column {column} does not exist here"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_for_a_no_reads_the_same() {
    let spoke = Fixture::new().await;
    spoke.grant("cancer", "open", &["anna@example.org"], LMDB);
    let mut old = permit("old");
    old.valid_to = "2021-12-31".parse().unwrap();
    spoke.sign(old);
    let mut early = permit("early");
    early.valid_from = "2029-01-01".parse().unwrap();
    spoke.sign(early);
    spoke.revoke(spoke.sign(permit("revoked")));
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut said = Vec::new();
    for (project, user, zone) in [
        ("unknown", "anna@example.org", Zone::Enclave),
        ("diabetes", "bo@example.org", Zone::Enclave),
        ("old", "anna@example.org", Zone::Enclave),
        ("early", "anna@example.org", Zone::Enclave),
        ("revoked", "anna@example.org", Zone::Enclave),
        // A permit for released aggregates does not cover the enclave.
        ("cancer", "anna@example.org", Zone::Enclave),
    ] {
        let mut asked = request(read(&["row"]));
        let envelope = asked.envelope.as_mut().unwrap();
        envelope.project = project.to_owned();
        envelope.user = user.to_owned();
        envelope.token = token(user);
        envelope.zone = zone.into();
        said.push(hub.catalogue(envelope.clone()).await.unwrap_err());
        said.push(hub.ask(&asked).await.unwrap_err());
    }
    assert_eq!(said[0].kind, Kind::Denied);
    assert!(said.iter().all(|refusal| *refusal == said[0]), "{said:?}");
    let mut asked = request(read(&["row"]));
    asked.envelope.as_mut().unwrap().project = "cancer".to_owned();
    asked.envelope.as_mut().unwrap().zone = Zone::Open.into();
    assert_eq!(count(&hub.ask(&asked).await.unwrap()), 48_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_filter_holds_whatever_is_asked() {
    let spoke = Fixture::new().await;
    let filtered_grant = format!("{LMDB}row_filter = \"volume < 1000 and atc = 'A00'\"\n");
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &filtered_grant);
    let admission = spoke.admission().await;
    // Rows whose number ends in 0 have no volume, and a row without volume does not fulfil the condition.
    let expected: Vec<i64> = (0..1000).filter(|row| row % 10 != 0).collect();
    for root in [
        read(&["row"]),
        filtered(&["row"], &col("row").gt_eq(lit(0_i64)).or(col("atc").not_eq(lit("A00")))),
        filtered(&["row"], &lit(true)),
        filtered(&["row"], &col("pnr").is_null().or(col("pnr").is_not_null())),
    ] {
        let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
        let mut numbers = numbers(&rows);
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
    }
    let root =
        plan::aggregate(read(&["row"]), Vec::new(), vec![plan::measure("n", proto::wire::MeasureKind::Count, None)]);
    let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    assert!(shown.contains("900"), "{shown}");
    // A condition that fails on a row outside the grant must not tell that there is one.
    let root = filtered(&["row"], &(lit(1_i64) / (col("row") - lit(5_000_i64))).gt(lit(100_i64)));
    let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
    assert_eq!(count(&rows), 0);
    let root = filtered(&["row"], &(lit(1_i64) / (col("row") - lit(501_i64))).gt(lit(100_i64)));
    let refusal = direct(&admission, question("diabetes", root)).await.unwrap_err();
    assert!(refusal.message.contains("division by zero"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_filter_refuses_its_project_only() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    for wrong in [
        "nosuch = 1",
        "pnr is not null",
        "volume",
        "volume <",
        "volume in (select volume from lmdb)",
        "count(*) > 1",
        "random() > 0.5",
    ] {
        let tables = format!("{LMDB}row_filter = \"{wrong}\"\n");
        spoke.grant("cancer", "enclave", &["anna@example.org"], &tables);
        let refusal = direct(&admission, question("cancer", read(&["row"]))).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Unavailable, "{wrong}: {refusal}");
        assert!(refusal.message.contains("permit"), "{refusal}");
        assert!(!refusal.message.contains("volume"), "{refusal}");
    }
    assert!(direct(&admission, question("diabetes", read(&["row"]))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_and_a_removed_key_count_from_the_next_question_on() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let asked = || request(plan::limit(read(&["row"]), 1));
    assert!(hub.ask(&asked()).await.is_ok());
    let id = spoke.grant("diabetes", "enclave", &["anna@example.org"], LMDB);
    assert!(hub.ask(&asked()).await.is_ok());
    spoke.revoke(id);
    // The one before it was never replaced, and counts again.
    assert!(hub.ask(&asked()).await.is_ok());
    let other = spoke.grant("diabetes", "enclave", &["other@example.org"], LMDB);
    assert_eq!(hub.ask(&asked()).await.unwrap_err().kind, Kind::Denied);
    std::fs::remove_file(spoke.permit_file(other)).unwrap();
    assert!(hub.ask(&asked()).await.is_ok());
    let key = spoke.config.approvers_dir().join("bente.pub");
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert_eq!(hub.ask(&asked()).await.unwrap_err().kind, Kind::Denied);
    std::fs::write(&key, text).unwrap();
    assert!(hub.ask(&asked()).await.is_ok());
    std::fs::remove_file(spoke.config.project_key(&"diabetes".parse().unwrap())).unwrap();
    let refusal = hub.ask(&asked()).await.unwrap_err();
    assert!(refusal.message.contains("does not hold the project's key"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_is_noticed() {
    let spoke = Fixture::new().await;
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let told = hub.catalogue(envelope()).await.unwrap().tables.remove(0);
    let mut asked = request(plan::limit(read(&["row"]), 1));
    asked.schema_fingerprint = told.schema_fingerprint;
    assert!(hub.ask(&asked).await.is_ok());
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &LMDB.replace("\"atc\", ", ""));
    asked.envelope = Some(envelope());
    let refusal = hub.ask(&asked).await.unwrap_err();
    assert!(refusal.message.contains("plan it again"), "{refusal}");
}
