//! Asking for more than the permit holds, or at another time.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_under_another_key_epoch() {
    let (_spoke, _server, mut hub) = with_permit().await;
    let told = hub.catalogue(envelope()).await.unwrap();
    assert_eq!((told.epoch, told.key_id.len()), (1, 16));
    for (epoch, fine) in [(1, true), (2, false), (7, false)] {
        let mut asked = few();
        asked.envelope.as_mut().unwrap().epoch = epoch;
        let answer = hub.ask(&asked).await;
        assert_eq!(answer.is_ok(), fine, "{epoch}");
        assert!(answer.err().is_none_or(|refusal| refusal.message.contains("another epoch")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_names_what_is_outside_the_permit() {
    let (spoke, _server, mut hub) = with_permit().await;
    spoke.publish("secret", 3_000, 3_000).await;
    let volume = || plan::encode_expr(&col("volume")).unwrap();
    let sort = |expr| proto::wire::SortKey { expr: Some(expr), descending: false, nulls_first: false };
    let measure = |kind| plan::measure("m", kind, Some(volume()));
    for root in [
        read_of("secret", &["row"]),
        read(&["row", "volume"]),
        filtered(&["row"], &col("volume").gt(lit(1.0))),
        plan::filter(read(&["row"]), plan::encode_expr(&col("volume").gt(lit(1.0))).unwrap()),
        plan::sort(read(&["row"]), vec![sort(volume())], Some(5)),
        plan::project(read(&["row"]), vec![plan::named("x", volume())]),
        plan::aggregate(read(&["row"]), vec![plan::named("g", volume())], vec![]),
        plan::aggregate(read(&["row"]), vec![], vec![measure(MeasureKind::Sum)]),
    ] {
        let refusal = hub.ask(&request(root)).await.unwrap_err();
        assert!(matches!(refusal.kind, Kind::NotFound | Kind::Invalid), "{refusal:?}");
        assert!(refusal.message.contains("does not exist here"), "{refusal}");
    }
    // All of that stands in the controller's log, as refused.
    let refused = || spoke.audit().iter().filter(|event| event["stage"] == "refused").count();
    let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
    for _ in 0..500 {
        if refused() == 8 {
            return;
        }
        look.tick().await;
    }
    panic!("{} refusals stand in the log, not 8", refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_names_files_and_functions() {
    let (_spoke, _server, mut hub) = with_permit().await;
    for table in ["/etc/passwd", "data/lmdb", "lmdb.parquet", "information_schema.tables", "file:///etc/passwd"] {
        let mut root = read(&["row"]);
        if let Some(proto::wire::rel::Kind::Read(read)) = &mut root.kind {
            read.table = table.to_owned();
        }
        let refusal = hub.ask(&request(root)).await.unwrap_err();
        assert!(matches!(refusal.kind, Kind::NotFound | Kind::Invalid), "{refusal:?}");
    }
    for function in ["read_parquet", "version", "random", "now", "arrow_cast", "array_agg", "struct"] {
        let call = proto::wire::Call { function: function.to_owned(), args: Vec::new() };
        let expr = proto::wire::Expr { kind: Some(proto::wire::expr::Kind::Call(call)) };
        let root = plan::project(read(&["row"]), vec![plan::named("x", expr)]);
        let refusal = hub.ask(&request(root)).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Invalid, "{function}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_after_a_revocation() {
    let (spoke, _server, mut hub) = without_permit().await;
    let id = spoke.sign(permit("diabetes"));
    assert!(hub.ask(&few()).await.is_ok());
    spoke.revoke(id);
    denied(&mut hub).await;
    // A revocation that somebody spoiled ends the permit all the same.
    std::fs::write(spoke.config.permits_dir().join(format!("{id}.revoked.jws")), "nothing").unwrap();
    denied(&mut hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_outside_the_permits_days() {
    let (spoke, _server, mut hub) = without_permit().await;
    let today = chrono::Utc::now().date_naive();
    let mut over = permit("diabetes");
    over.valid_to = today - chrono::Days::new(1);
    spoke.sign(over);
    denied(&mut hub).await;
    let mut early = permit("diabetes");
    early.valid_from = today + chrono::Days::new(2);
    spoke.sign(early);
    denied(&mut hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_under_a_permit_that_was_replaced() {
    let (spoke, _server, mut hub) = without_permit().await;
    let wide = spoke.sign(permit("diabetes"));
    let mut narrow = permit("diabetes");
    narrow.replaces = Some(wide);
    narrow.tables[0].columns = vec!["row".to_owned()];
    let narrow = spoke.sign(narrow);
    let refusal = hub.ask(&request(read(&["atc"]))).await.unwrap_err();
    assert_eq!(refusal.message, "column atc does not exist here");
    let mut asked = few();
    asked.envelope.as_mut().unwrap().permit = wide.to_string();
    assert_eq!(hub.ask(&asked).await.unwrap_err().message, DENIED);
    // What was replaced doesn't come back when its successor ends.
    spoke.revoke(narrow);
    denied(&mut hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_for_more_than_the_caps() {
    let (spoke, _server, mut hub) = without_permit().await;
    let mut capped = permit("diabetes");
    capped.caps.rows = 1_000;
    spoke.sign(capped);
    for max_rows in [0, 1_000_000] {
        let mut asked = request(read(&["row"]));
        asked.envelope.as_mut().unwrap().max_rows = max_rows;
        let refusal = hub.ask(&asked).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::TooLarge);
        assert!(refusal.message.contains("more than 1000 rows"), "{refusal}");
    }
    let mut capped = permit("diabetes");
    capped.caps.bytes = 10_000;
    spoke.sign(capped);
    let refusal = hub.ask(&request(read(&["row"]))).await.unwrap_err();
    assert!(refusal.message.contains("more than 10000 bytes"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_more_questions_than_a_day_has_by_reconnecting() {
    let (spoke, server, mut hub) = without_permit().await;
    let mut capped = permit("diabetes");
    capped.caps.queries_per_day = 3;
    spoke.sign(capped);
    assert!(hub.ask(&few()).await.is_ok());
    // Another connection, and a question that is wrong, count too.
    assert!(spoke.hub(&server).ask(&request(read(&["volume"]))).await.is_err());
    assert!(spoke.hub(&server).ask(&few()).await.is_ok());
    let refusal = spoke.hub(&server).ask(&few()).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Exhausted);
    assert!(refusal.message.contains("3 questions a day"), "{refusal}");
    // So does a spoke that was started again.
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    let again = spoke.serve().await;
    assert_eq!(spoke.hub(&again).ask(&few()).await.unwrap_err().kind, Kind::Exhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_for_the_enclave_under_a_permit_for_aggregates() {
    let (spoke, _server, mut hub) = without_permit().await;
    spoke.grant("diabetes", "open", &[ANNA], LMDB);
    denied(&mut hub).await;
    let mut asked = few();
    asked.envelope.as_mut().unwrap().zone = Zone::Open.into();
    assert!(hub.ask(&asked).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_asks_for_rows_under_a_permit_for_the_spokes_own_totals() {
    let (spoke, _server, mut hub) = without_permit().await;
    let mut totals = permit("diabetes");
    totals.output = Output::SpokeAggregates;
    spoke.sign(totals);
    let mut asked = few();
    asked.envelope.as_mut().unwrap().zone = Zone::Open.into();
    let refusal = hub.ask(&asked).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Denied);
    assert!(refusal.message.contains("only cells out that its spoke has checked"), "{refusal}");
    denied(&mut hub).await;
}
