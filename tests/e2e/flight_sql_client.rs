//! The command-line client of Arrow's own Flight SQL library, unchanged, with a token of a real OpenID provider, against
//! hub and spokes.

use crate::{
    fixture::{options, token},
    provider::{Provider, cache},
};
use anyhow::{Context, Result, ensure};
use demo::{
    oracle::Oracle,
    platform::{PROJECT, Platform, USER},
};
use std::net::SocketAddr;
use tokio::process::Command;

const QUESTION: &str = "SELECT koen, COUNT(*) AS n FROM dst.bef WHERE year = 2024 GROUP BY koen ORDER BY koen";

/// What the client printed, when it ended well, else what it complained of.
async fn client(address: SocketAddr, token: &str, more: &[&str]) -> Result<std::result::Result<String, String>> {
    let mut command = Command::new(cache().join("tools/bin/flight_sql_client"));
    command.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string(), "--token", token]);
    command.args(["--header", &format!("x-eger-project={PROJECT}")]).args(more).kill_on_drop(true);
    let output = command.output().await.context("no flight_sql_client; run tests/setup")?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// The rows of a printed table, each cell for itself; the first are the columns' names.
fn cells(printed: &str) -> Vec<Vec<String>> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn arrows_own_client_asks_with_a_token_of_a_real_provider_and_sees_clear_errors() -> Result<()> {
    let provider = Provider::start().await?;
    let folder = tempfile::tempdir()?;
    let mut options = options(&folder, 300);
    options.issuers.push(provider.url.clone());
    let platform = Platform::start(options).await?;
    let (enclave, open) = (platform.enclave().context("runs")?, platform.open().context("runs")?);
    let anna = provider.token(USER).await?;
    let asked = async |address, token: &str, more: &[&str]| -> Result<Vec<Vec<String>>> {
        let printed = client(address, token, more).await?;
        Ok(cells(&printed.map_err(|said| anyhow::anyhow!("{more:?}: {said}"))?))
    };

    assert_eq!(asked(enclave, &anna, &["catalogs"]).await?, [["catalog_name"], [PROJECT]]);
    let tables = asked(enclave, &anna, &["tables", PROJECT, "--db-schema-filter", "dst"]).await?;
    ensure!(tables.len() == 2 && tables[1].contains(&"bef".to_owned()), "{tables:?}");

    // As many as there are, by a reader that knows nothing of the platform.
    let truth = crate::fixture::rows(&Oracle::open(&platform.registers_dir())?.ask(QUESTION).await?)?;
    ensure!(truth.len() == 2, "{truth:?}");
    let answer = asked(enclave, &anna, &["statement-query", QUESTION]).await?;
    assert_eq!(answer[0], ["koen", "n"]);
    assert_eq!(answer[1..], truth);
    let issuers_own = asked(enclave, platform.token(), &["statement-query", QUESTION]).await?;
    assert_eq!(issuers_own, answer, "the same person of another issuer");

    let prepared = "SELECT COUNT(*) AS n FROM dst.bef WHERE year = 2024 AND koen = $1";
    for row in &truth {
        let value = format!("$1={}", row[0]);
        let answer = asked(enclave, &anna, &["prepared-statement-query", "-p", &value, prepared]).await?;
        assert_eq!(answer, [["n"], [row[1].as_str()]]);
    }
    let plain = asked(enclave, &anna, &["prepared-statement-query", QUESTION]).await?;
    assert_eq!(plain, answer, "nothing to fill in");

    let released = asked(open, &anna, &["statement-query", "SELECT COUNT(DISTINCT pnr) AS n FROM dst.bef"]).await?;
    assert_eq!(released[0], ["n", "release_status"]);
    ensure!(released.len() == 2 && released[1][0].parse::<u64>().is_ok_and(|n| n > 0), "{released:?}");

    // Signed by nobody, changed, of a stranger to the project.
    let (signed, _) = anna.rsplit_once('.').context("a signed token")?;
    for wrong in ["nobody", signed, &format!("{signed}.AAAA")] {
        let said = client(enclave, wrong, &["statement-query", QUESTION]).await?.err().context("let in")?;
        ensure!(said.contains("this access token is not valid here") && said.contains("hub login"), "{said}");
        ensure!(!said.contains(signed), "the error repeats the token");
    }
    let eve = token(&platform, "eve@example.org", &[]).await?;
    let said = client(enclave, &eve, &["statement-query", QUESTION]).await?.err().context("let in")?;
    ensure!(said.contains("member"), "{said}");
    let said =
        client(enclave, &anna, &["statement-query", "SELECT nosuch FROM dst.bef"]).await?.err().context("ran")?;
    ensure!(said.contains("nosuch"), "{said}");
    platform.stop().await?;
    Ok(())
}
