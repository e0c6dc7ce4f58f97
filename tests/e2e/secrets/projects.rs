//! What must not link two projects: values, row order, batch borders.

use crate::fixture::number;
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, FixedSizeBinaryArray, RecordBatch};
use arrow_flight::sql::client::FlightSqlServiceClient;
use demo::{
    client::Client,
    oracle::Oracle,
    platform::{PROJECT, Platform},
};
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};

/// The other project.
const OTHER: &str = "heart";

/// The batches of an answer as they came over the wire.
async fn batches(platform: &Platform, token: &str, project: &str, sql: &str) -> Result<Vec<RecordBatch>> {
    let address = platform.enclave().context("runs")?;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token.to_owned());
    client.set_header("x-eger-project", project);
    let info = client.execute(sql.to_owned(), None).await?;
    let ticket = info.endpoint.into_iter().next().and_then(|e| e.ticket).context("a ticket")?;
    Ok(client.do_get(ticket).await?.try_collect().await?)
}

fn values(batches: &[RecordBatch], column: &str) -> Result<Vec<Option<Vec<u8>>>> {
    let mut out = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).with_context(|| column.to_owned())?;
        let array = array.as_any().downcast_ref::<FixedSizeBinaryArray>().context("16 bytes")?;
        out.extend(array.iter().map(|v| v.map(<[u8]>::to_vec)));
    }
    Ok(out)
}

/// Spearman's rank correlation of two orders of the same things (ranks without ties).
fn rank_correlation(a: &[usize], b: &[usize]) -> f64 {
    let n = a.len() as f64;
    let d2: f64 = a.iter().zip(b).map(|(x, y)| (*x as f64 - *y as f64).powi(2)).sum();
    1.0 - 6.0 * d2 / (n * (n * n - 1.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_links_no_two_projects_by_value_order_or_batches() -> Result<()> {
    let running = crate::fixture::start(2_000).await?;
    running.platform.open_project(OTHER).await?;
    let platform = &running.platform;
    let here = |sql: &'static str| batches(platform, platform.token(), PROJECT, sql);
    let there = |sql: &'static str| batches(platform, platform.token(), OTHER, sql);

    // No value in common, for persons and for other identifiers.
    let contacts = "SELECT dw_ek_kontakt, pnr FROM sds.lpr_a_kontakt";
    let (one, two) = (here(contacts).await?, there(contacts).await?);
    for column in ["pnr", "dw_ek_kontakt"] {
        let ours: BTreeSet<_> = values(&one, column)?.into_iter().flatten().collect();
        let theirs: BTreeSet<_> = values(&two, column)?.into_iter().flatten().collect();
        ensure!(ours.len() > 100 && ours.len() == theirs.len(), "{column}: {} and {}", ours.len(), theirs.len());
        assert_eq!(ours.intersection(&theirs).count(), 0, "{column}");
    }

    // Within a project they match across spokes and tables.
    let mut client = Client::connect(platform.enclave().context("runs")?, platform.token(), OTHER).await?;
    let oracle = Oracle::open(&platform.registers_dir())?;
    for sql in [
        "SELECT COUNT(DISTINCT b.pnr) FROM dst.bef b JOIN sds.lmdb l ON b.pnr = l.pnr",
        "SELECT COUNT(DISTINCT h.pnr) FROM \"region-h\".lab_forsker h JOIN \"region-m\".lab_forsker m ON h.pnr = m.pnr \
         WHERE h.analysiscode = 'NPU27300' AND m.analysiscode = 'NPU27300'",
        "SELECT COUNT(*) FROM sds.lpr_a_kontakt k JOIN sds.lpr_a_diagnose d ON k.dw_ek_kontakt = d.dw_ek_kontakt",
    ] {
        let (asked, truth) = (number(&client.ask(sql).await?)?, number(&oracle.ask(sql).await?)?);
        assert_eq!(asked, truth, "{sql}");
        ensure!(truth > 0, "nothing matches: {sql}");
    }

    // Order: the content of a row names it here; its places in the two projects must not go together.
    let rows = "SELECT pnr, eksd, atc, volume, apk FROM sds.lmdb";
    let (one, two) = (here(rows).await?, there(rows).await?);
    let (first, second) = (places(&one)?, places(&two)?);
    let common: Vec<_> = first.iter().filter_map(|(k, a)| Some((*a, *second.get(k)?))).collect();
    ensure!(common.len() > 2_000, "only {} rows can be told apart", common.len());
    let (a, b): (Vec<_>, Vec<_>) = common.into_iter().unzip();
    let correlation = rank_correlation(&ranks(&a), &ranks(&b));
    // Standard error 1/sqrt(n): 0.1 is more than four of them.
    assert!(correlation.abs() < 0.1, "row order of two projects correlates: {correlation}");
    // The measure finds a correlation where there is one.
    let again = here(rows).await?;
    let places_again = places(&again)?;
    let same: Vec<_> = first.iter().filter_map(|(k, a)| Some((*a, *places_again.get(k)?))).collect();
    let (a, b): (Vec<_>, Vec<_>) = same.into_iter().unzip();
    assert!(rank_correlation(&ranks(&a), &ranks(&b)) > 0.99, "one project's order must not change by itself");

    let lengths = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
    ensure!(lengths(&one).len() >= 2, "too few batches to compare: {:?}", lengths(&one));
    assert_ne!(lengths(&one), lengths(&two), "batches of two projects are equally long");
    let (ours, theirs) = (inner_borders(&one), inner_borders(&two));
    let common = ours.intersection(&theirs).count();
    // Batches are some thousand rows long: one border in common may be chance, where there are several.
    assert!(common <= ours.len().min(theirs.len()) / 4, "{common} borders in common: {ours:?} and {theirs:?}");
    // The measure finds common borders where there are some.
    assert_eq!(inner_borders(&again), ours, "one project's batches must not change by themselves");
    running.platform.stop().await?;
    Ok(())
}

/// After how many rows a batch ends and another begins.
fn inner_borders(batches: &[RecordBatch]) -> BTreeSet<usize> {
    let ends = batches.iter().scan(0, |rows, batch| {
        *rows += batch.num_rows();
        Some(*rows)
    });
    ends.take(batches.len().saturating_sub(1)).collect()
}

/// Place of each row whose content is unique.
fn places(batches: &[RecordBatch]) -> Result<BTreeMap<String, usize>> {
    let (mut seen, mut twice, mut place) = (BTreeMap::new(), BTreeSet::new(), 0);
    for batch in batches {
        let content = batch.project(&[1, 2, 3, 4])?;
        for row in crate::fixture::rows(&content)? {
            let key = row.join("|");
            if seen.insert(key.clone(), place).is_some() {
                twice.insert(key);
            }
            place += 1;
        }
    }
    seen.retain(|key, _| !twice.contains(key));
    Ok(seen)
}

fn ranks(places: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|i| places[*i]);
    let mut ranks = vec![0; places.len()];
    for (rank, i) in order.into_iter().enumerate() {
        ranks[i] = rank;
    }
    ranks
}
