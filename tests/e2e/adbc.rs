//! The ordinary Python driver, unchanged, against the hub.

use crate::{
    fixture::{Running, hub_admin, options, token},
    provider::Provider,
};
use anyhow::{Context, Result, ensure};
use demo::{
    oracle::Oracle,
    platform::{Platform, USER},
    questions::QUESTIONS,
};
use std::{path::Path, process::Command};

/// Python with `adbc_driver_flightsql`; `tests/setup` installs it and `tests/run` says where.
pub(crate) fn python() -> String {
    std::env::var("EGER_TEST_PYTHON").unwrap_or_else(|_| {
        let cache = std::env::var("XDG_CACHE_HOME")
            .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap_or_default()));
        format!("{cache}/eger/tests/venv/bin/python")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_lists_asks_and_sees_clear_errors() -> Result<()> {
    let provider = Provider::start().await?;
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 1_000);
    options.issuers.push(provider.url.clone());
    let running = Running { platform: Platform::start(options).await?, folder };
    // Good for the HTTP API, not for data.
    let personal = hub_admin(&running.platform, &["token", "create", USER]).await?.trim().to_owned();
    let stranger = token(&running.platform, "eve@example.org", &[]).await?;
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut questions = Vec::new();
    for question in QUESTIONS {
        let path = running.folder.path().join(format!("{}.arrow", question.id));
        let truth = oracle.ask(question.sql).await?;
        let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(&path)?, &truth.schema())?;
        writer.write(&truth)?;
        writer.finish()?;
        questions.push(serde_json::json!({ "id": question.id, "sql": question.sql, "truth": path }));
    }
    let task = serde_json::json!({
        "enclave": format!("grpc://{}", running.platform.enclave().context("runs")?),
        "open": format!("grpc://{}", running.platform.open().context("runs")?),
        "token": running.platform.token(),
        "provider": provider.token(USER).await?,
        "user": USER,
        "personal": personal,
        "stranger": stranger,
        "project": demo::platform::PROJECT,
        "questions": questions,
    });
    let task_path = running.folder.path().join("task.json");
    std::fs::write(&task_path, task.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/adbc.py");
    let output = tokio::task::spawn_blocking(move || Command::new(python()).arg(script).arg(task_path).output())
        .await?
        .context("no Python; run tests/setup")?;
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    running.platform.stop().await?;
    Ok(())
}
