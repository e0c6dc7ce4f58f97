//! The log, and what must never be learnt.

use super::*;
use std::collections::HashSet;

/// The spoke's log after three questions, changed while the spoke doesn't run: it is found, and nothing is answered on
/// such a log.
async fn changed(change: impl Fn(&mut Vec<&str>)) {
    let (spoke, server, mut hub) = with_permit().await;
    for _ in 0..3 {
        hub.ask(&few()).await.unwrap();
    }
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    let log = spoke.config.audit_log();
    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let questions = lines.iter().filter(|line| line.contains("\"stage\"")).count();
    assert_eq!(questions, 6, "asked and answered, three times");
    assert!(runtime::audit::checkpoint::verify_log(&log, &[]).is_ok());
    change(&mut lines);
    std::fs::write(&log, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(runtime::audit::checkpoint::verify_log(&log, &[]).is_err());
    let options = crate::serve::ServeOptions {
        config: spoke.config.clone(),
        listen: None,
        ready: None,
        tap: None,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let error = crate::serve::run(options).await.unwrap_err().to_string();
    assert!(error.contains("removed, added or moved"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_has_a_line_of_the_log_removed() {
    changed(|lines| {
        lines.remove(2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_has_lines_of_the_log_swapped() {
    changed(|lines| lines.swap(2, 3)).await;
    // At the end, where nothing follows.
    changed(|lines| {
        let last = lines.len() - 1;
        lines.swap(last - 1, last);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_learns_no_stored_pseudonym_from_rows_or_errors() {
    let (spoke, _server, mut hub) = with_permit().await;
    let stored: HashSet<[u8; 16]> = spoke.stored.iter().copied().collect();
    let rows = hub.ask(&request(read(&["pnr", "kontakt"]))).await.unwrap();
    for column in ["pnr", "kontakt"] {
        let shown = pseudonyms(&rows, column);
        assert!(!shown.is_empty() && shown.iter().all(|shown| !stored.contains(shown)));
    }
    // Errors that quote values would quote them; these fail on a pseudonym.
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::cast;
    let texts: Vec<String> = spoke.stored.iter().take(200).map(hex::encode).collect();
    for filter in [
        cast(col("pnr"), DataType::Utf8).eq(lit("x")),
        cast(cast(col("pnr"), DataType::Binary), DataType::Utf8).eq(lit("x")),
        cast(cast(cast(col("pnr"), DataType::Binary), DataType::Utf8), DataType::Int64).eq(lit(1_i64)),
    ] {
        let predicate = plan::encode_expr(&filter).unwrap();
        let refusal = hub.ask(&request(plan::filter(read(&["pnr"]), predicate))).await.unwrap_err();
        assert!(!texts.iter().any(|text| refusal.message.contains(text)), "{refusal}");
        assert!(!refusal.message.contains("\\x"), "{refusal}");
    }
    // Nor does the controller's own log hold one.
    let log = std::fs::read_to_string(spoke.config.audit_log()).unwrap();
    assert!(log.contains("\"stage\"") && !texts.iter().any(|text| log.contains(text)));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_links_no_two_projects_by_value() {
    let spoke = Fixture::new().await;
    spoke.grant("cancer", "enclave", &[ANNA], LMDB);
    let server = spoke.serve().await;
    let mut hub = spoke.hub(&server);
    let mut seen = Vec::new();
    for project in ["diabetes", "cancer"] {
        let mut asked = request(read(&["pnr", "kontakt"]));
        asked.envelope.as_mut().unwrap().project = project.to_owned();
        seen.push(hub.ask(&asked).await.unwrap());
    }
    for column in ["pnr", "kontakt"] {
        let [one, other] =
            [&seen[0], &seen[1]].map(|rows| pseudonyms(rows, column).into_iter().collect::<HashSet<_>>());
        assert!(one.len() > 1_000 && one.len() == other.len(), "{column}: {} and {}", one.len(), other.len());
        assert_eq!(one.intersection(&other).count(), 0, "{column}");
    }
}
