//! Signing in at the platform's own issuer, with the programs that people use.

use crate::fixture::{ROLES, options};
use anyhow::{Context, Result, ensure};
use demo::platform::{PROJECT, Platform};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_is_all_that_it_takes_to_ask() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 300);
    let home = folder.path().join("config").to_string_lossy().into_owned();
    options.environment.push(("XDG_CONFIG_HOME".to_owned(), home));
    ensure!(PathBuf::from(ROLES).is_file());
    let platform = Platform::start(options).await?;
    let server = format!("grpc://{}", platform.open().context("runs")?);
    let hub = async |args: &[&str]| {
        let args: Vec<PathBuf> = args.iter().chain(&["--server", &server]).map(PathBuf::from).collect();
        platform.run("hub", &args).await
    };
    let question =
        ["sql", "--project", PROJECT, "--format", "csv", "-c", "SELECT COUNT(DISTINCT pnr) AS n FROM dst.bef"];
    let before = hub(&question).await?;
    ensure!(before.code == Some(4) && before.text.contains("hub login"), "{}", before.text);
    let login = hub(&["login", "--print-token"]).await?;
    ensure!(login.success() && login.text.contains(platform.issuer()), "{}", login.text);
    ensure!(login.stdout.trim().split('.').count() == 3, "one token on standard output");
    let answer = hub(&question).await?;
    ensure!(answer.success() && answer.stdout.starts_with("n,release_status\n"), "{}", answer.text);
    ensure!(hub(&["logout"]).await?.success());
    let after = hub(&question).await?;
    ensure!(after.code == Some(4), "{}", after.text);
    platform.stop().await?;
    Ok(())
}
