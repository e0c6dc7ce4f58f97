//! The ordinary Python driver, unchanged, against the hub.

use crate::fixture::{hub_admin, start, token};
use anyhow::{Context, Result, ensure};
use demo::{oracle::Oracle, platform::Part, questions::QUESTIONS};
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
    let mut running = start(1_000).await?;
    let unbound = token(&running.platform, &[]).await?;
    let revoked = token(&running.platform, &[]).await?;
    let id = revoked.split('_').nth(1).context("eger_ID_SECRET")?;
    hub_admin(&running.platform, &["token", "revoke", id]).await?;
    // A project of somebody else.
    let projects = running.platform.hub_dir().join("projects");
    std::fs::write(
        projects.join("foreign.toml"),
        "project = \"foreign\"\ntitle = \"x\"\nmembers = [\"bo@example.org\"]\ncontrollers = [\"dst\"]\n",
    )?;
    running.platform.restart(Part::Hub).await?;
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
        "unbound": unbound,
        "revoked": revoked,
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
