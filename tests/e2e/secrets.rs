//! What must never be anywhere but at its own controller: person numbers and linkage pseudonyms P. And what must not
//! link two projects: values, row order, batch borders.

use crate::fixture::{ROLES, Running, number};
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, FixedSizeBinaryArray, RecordBatch, StringArray};
use arrow_flight::sql::client::FlightSqlServiceClient;
use demo::{
    client::Client,
    oracle::Oracle,
    platform::{Options, PROJECT, Part, Platform},
    questions::QUESTIONS,
    registers::CONTROLLERS,
};
use futures::TryStreamExt;
use runtime::seal::{self, Passphrase};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use tests::{process, search::Secrets, tap::TAP};
use voprf::{Ristretto255, VoprfServer};

const OTHER: &str = "heart";

/// All person numbers that the controllers hold.
async fn person_numbers(platform: &Platform) -> Result<Vec<String>> {
    let oracle = Oracle::open(&platform.registers_dir())?;
    let mut numbers = BTreeSet::new();
    for table in ["dst.bef", "sds.lpr_a_kontakt", "sds.lmdb", "\"region-h\".lab_forsker", "\"region-m\".lab_forsker"] {
        let answer = oracle.ask(&format!("SELECT DISTINCT pnr FROM {table} WHERE pnr IS NOT NULL")).await?;
        let texts = arrow::compute::cast(answer.column(0), &arrow::datatypes::DataType::Utf8)?;
        let texts = texts.as_any().downcast_ref::<StringArray>().context("text")?.clone();
        numbers.extend(texts.iter().flatten().map(str::to_owned));
    }
    Ok(numbers.into_iter().collect())
}

/// P of each person number, computed with the custodian's own key: what no other party can do.
fn pseudonyms(platform: &Platform, numbers: &[String]) -> Result<Vec<[u8; 16]>> {
    let folder = platform.custodian_dir();
    let pass = Passphrase::from_file(&folder.join("passphrase"))?;
    let file = seal::read_private(&folder.join("keys/linkage.key"))?;
    let secret = seal::open(&pass, "eger/custodian/linkage-key/v1", &file)?;
    let server = VoprfServer::<Ristretto255>::new_with_key(&secret).ok().context("a linkage key")?;
    numbers
        .iter()
        .map(|number| {
            let output = server.evaluate(number.as_bytes()).ok().context("an evaluation")?;
            Ok(output.as_slice()[..16].try_into()?)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_and_custodian_hold_no_person_number_and_no_linkage_pseudonym() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taps = folder.path().join("taps");
    std::fs::create_dir(&taps)?;
    let mut options = Options::new(folder.path().join("platform"), ROLES, 600);
    options.environment.push((TAP.to_owned(), taps.display().to_string()));
    options.environment.push(("EGER_LOG".to_owned(), "debug".to_owned()));
    let running = Running { platform: Platform::start(options).await?, folder };
    let numbers = person_numbers(&running.platform).await?;
    ensure!(numbers.len() >= 600, "too few person numbers to look for");
    let secrets = Secrets::new(&numbers, &pseudonyms(&running.platform, &numbers)?)?;

    // Work of every kind, rows included.
    let (mut enclave, mut open) = (running.enclave().await?, running.open().await?);
    for question in QUESTIONS {
        enclave.ask(question.sql).await?;
        open.ask(question.sql).await?;
    }
    let received = running.folder.path().join("received.arrow");
    for table in ["dst.bef", "sds.lpr_a_kontakt", "sds.lpr_a_diagnose", "sds.lmdb", "\"region-h\".lab_forsker"] {
        let rows = enclave.ask(&format!("SELECT * FROM {table}")).await?;
        ensure!(rows.num_rows() > 100, "{table} is almost empty");
        let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(&received)?, &rows.schema())?;
        writer.write(&rows)?;
        writer.finish()?;
        assert_eq!(secrets.in_file(&received)?, None, "in an answer from {table}");
        // A pseudonym as a constant makes the spoke go back to what is stored.
        let first = rows.column_by_name("pnr").context("pnr")?;
        let first = first.as_any().downcast_ref::<FixedSizeBinaryArray>().context("16 bytes")?;
        let row = (0..first.len()).find(|row| first.is_valid(*row)).context("a person")?;
        let one = format!("SELECT COUNT(*) FROM {table} WHERE pnr = X'{}'", hex::encode(first.value(row)));
        ensure!(number(&enclave.ask(&one).await?)? > 0, "a pseudonym doesn't find its rows in {table}");
    }
    for wrong in [format!("SELECT * FROM dst.bef WHERE pnr = '{}'", numbers[0]), "SELECT nosuch FROM dst.bef".into()] {
        let _ = enclave.ask(&wrong).await;
    }

    // Memory of every process that serves.
    let in_memory = Secrets::in_memory(&numbers, &pseudonyms(&running.platform, &numbers)?)?;
    for controller in CONTROLLERS {
        let pid = running.platform.pid(Part::Spoke(controller.id)).context("runs")?;
        let core = process::core(pid, running.folder.path())?;
        ensure!(std::fs::metadata(&core)?.len() > 10_000_000, "the image of {} is too small", controller.id);
        assert_eq!(in_memory.in_file(&core)?, None, "in the memory of spoke serve at {}", controller.id);
        std::fs::remove_file(core)?;
    }
    let hub = process::core(running.platform.pid(Part::Hub).context("runs")?, running.folder.path())?;
    // The statement above with a person number in it went through the hub's memory; pseudonyms P never may.
    let only_p = Secrets::new(&[], &pseudonyms(&running.platform, &numbers)?)?;
    assert_eq!(only_p.in_file(&hub)?, None, "in the hub's memory");
    std::fs::remove_file(hub)?;

    let (spokes, dir) = (running.platform.dir().join("spokes"), running.platform.dir().to_owned());
    running.platform.stop().await?;

    // Published files, decoded; hub and custodian stores; logs; what went over every link.
    for controller in CONTROLLERS {
        let (found, searched) = secrets.in_folder(&spokes.join(controller.id).join("data"), &|_| false)?;
        ensure!(searched > 0, "nothing published at {}", controller.id);
        assert_eq!(found, [], "published by {}", controller.id);
        // Rejected rows name file, line and column, never a value.
        let rejects = spokes.join(controller.id).join("rejects");
        if rejects.is_dir() {
            assert_eq!(secrets.in_folder(&rejects, &|_| false)?.0, [], "in the rejects of {}", controller.id);
        }
        // The cache holds both, sealed.
        assert_eq!(secrets.in_folder(&spokes.join(controller.id).join("cache"), &|_| false)?.0, []);
    }
    for part in ["hub", "custodian", "logs", "handover", "ready"] {
        let (found, searched) = secrets.in_folder(&dir.join(part), &|_| false)?;
        ensure!(searched > 0 || part == "handover", "nothing to search in {part}");
        assert_eq!(found, [], "in {part}");
    }
    let (found, recordings) = secrets.in_folder(&taps, &|_| false)?;
    ensure!(recordings >= 12, "links were not recorded: {recordings} files");
    let bytes: u64 = std::fs::read_dir(&taps)?.map(|f| Ok(f?.metadata()?.len())).sum::<Result<u64>>()?;
    ensure!(bytes > 1_000_000, "only {bytes} bytes went over all links");
    assert_eq!(found, [], "on a link");

    // The search itself: a planted one is found in each kind of place.
    let planted = spokes.join("sds").join("data").join("planted");
    for (place, content) in [
        (planted, numbers[7].clone().into_bytes()),
        (
            dir.join("logs/planted.log"),
            format!("user asked for {}-{}", &numbers[8][..6], &numbers[8][6..]).into_bytes(),
        ),
        (taps.join("planted"), pseudonyms_of(&secrets_of(&dir)?, &numbers[9])?.to_vec()),
    ] {
        std::fs::write(&place, content)?;
        assert!(secrets.in_file(&place)?.is_some(), "a planted secret is not found in {}", place.display());
    }
    Ok(())
}

fn secrets_of(dir: &Path) -> Result<VoprfServer<Ristretto255>> {
    let pass = Passphrase::from_file(&dir.join("custodian/passphrase"))?;
    let file = seal::read_private(&dir.join("custodian/keys/linkage.key"))?;
    let secret = seal::open(&pass, "eger/custodian/linkage-key/v1", &file)?;
    VoprfServer::new_with_key(&secret).ok().context("a linkage key")
}

fn pseudonyms_of(server: &VoprfServer<Ristretto255>, number: &str) -> Result<[u8; 16]> {
    let output = server.evaluate(number.as_bytes()).ok().context("an evaluation")?;
    Ok(output.as_slice()[..16].try_into()?)
}

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
    let again = places(&here(rows).await?)?;
    let same: Vec<_> = first.iter().filter_map(|(k, a)| Some((*a, *again.get(k)?))).collect();
    let (a, b): (Vec<_>, Vec<_>) = same.into_iter().unzip();
    assert!(rank_correlation(&ranks(&a), &ranks(&b)) > 0.99, "one project's order must not change by itself");

    let borders = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
    ensure!(borders(&one).len() >= 2, "too few batches to compare: {:?}", borders(&one));
    assert_ne!(borders(&one), borders(&two), "batches of two projects end at the same rows");
    running.platform.stop().await?;
    Ok(())
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
