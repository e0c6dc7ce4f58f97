//! The log, and what must never be learnt.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_has_a_line_of_the_log_removed() {
    let (spoke, server, mut hub) = with_permit().await;
    for _ in 0..3 {
        hub.ask(&few()).await.unwrap();
    }
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    let log = spoke.config.audit_log();
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let questions = lines.iter().filter(|line| line.contains("\"stage\"")).count();
    assert_eq!(questions, 6, "asked and answered, three times");
    assert!(runtime::audit::checkpoint::verify_log(&log, &[]).is_ok());
    let without: String =
        lines.iter().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| format!("{line}\n")).collect();
    std::fs::write(&log, without).unwrap();
    assert!(runtime::audit::checkpoint::verify_log(&log, &[]).is_err());
    // And nothing is answered on such a log.
    let options = crate::serve::ServeOptions {
        config: spoke.config.clone(),
        listen: None,
        ready: None,
        tap: None,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let error = crate::serve::run(options).await.unwrap_err().to_string();
    assert!(error.contains("removed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_learns_no_stored_pseudonym_from_rows_or_errors() {
    let (spoke, _server, mut hub) = with_permit().await;
    let stored: std::collections::HashSet<[u8; 16]> = spoke.stored.iter().copied().collect();
    let rows = hub.ask(&request(read(&["pnr", "kontakt"]))).await.unwrap();
    for column in ["pnr", "kontakt"] {
        assert!(pseudonyms(&rows, column).iter().all(|shown| !stored.contains(shown)));
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
        let Ok(predicate) = plan::encode_expr(&filter) else { continue };
        let answer = hub.ask(&request(plan::filter(read(&["pnr"]), predicate))).await;
        if let Err(refusal) = answer {
            assert!(!texts.iter().any(|text| refusal.message.contains(text)), "{refusal}");
            assert!(!refusal.message.contains("\\x"), "{refusal}");
        }
    }
    // Nor does the controller's own log hold one.
    let log = std::fs::read_to_string(spoke.config.audit_log()).unwrap();
    assert!(!texts.iter().any(|text| log.contains(text)));
}
