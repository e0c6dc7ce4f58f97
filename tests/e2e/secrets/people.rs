//! What must never be anywhere but at its own controller: person numbers and linkage pseudonyms P.

use super::holds;
use crate::fixture::{ROLES, Running, number};
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, FixedSizeBinaryArray, RecordBatch, StringArray};
use demo::{
    oracle::Oracle,
    platform::{Options, PROJECT, Part, Platform},
    questions::QUESTIONS,
    registers::CONTROLLERS,
};
use runtime::seal::{self, Passphrase};
use std::{collections::BTreeSet, path::Path};
use tests::{
    process,
    search::Secrets,
    tap::{self, TAP},
};
use voprf::{Ristretto255, VoprfServer};

/// Tables with people, and one that knows them through another.
const TABLES: [&str; 6] = [
    "dst.bef",
    "sds.lpr_a_kontakt",
    "sds.lpr_a_diagnose",
    "sds.lmdb",
    "\"region-h\".lab_forsker",
    "\"region-m\".lab_forsker",
];

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

/// Writes an answer as a client would keep it.
fn keep(file: &Path, answer: &RecordBatch) -> Result<()> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(file)?, &answer.schema())?;
    writer.write(answer)?;
    Ok(writer.finish()?)
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
    let received = running.folder.path().join("received.arrow");
    for question in QUESTIONS {
        for (zone, client) in [("enclave", &mut enclave), ("open", &mut open)] {
            keep(&received, &client.ask(question.sql).await?)?;
            assert_eq!(secrets.in_file(&received)?, None, "in the {zone}'s answer to {}", question.sql);
        }
    }
    for table in TABLES {
        let rows = enclave.ask(&format!("SELECT * FROM {table}")).await?;
        ensure!(rows.num_rows() > 100, "{table} is almost empty");
        keep(&received, &rows)?;
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
        ensure!(holds(&core, PROJECT)?, "the image of {} lacks what must be in it", controller.id);
        std::fs::remove_file(core)?;
    }
    let hub = process::core(running.platform.pid(Part::Hub).context("runs")?, running.folder.path())?;
    // The statement above with a person number in it went through the hub's memory; pseudonyms P never may.
    let only_p = Secrets::new(&[], &pseudonyms(&running.platform, &numbers)?)?;
    assert_eq!(only_p.in_file(&hub)?, None, "in the hub's memory");
    ensure!(holds(&hub, PROJECT)?, "the hub's image lacks what must be in it");
    std::fs::remove_file(hub)?;

    let (spokes, dir) = (running.platform.dir().join("spokes"), running.platform.dir().to_owned());
    running.platform.stop().await?;

    // Published files, decoded; hub and custodian stores; logs; what went over every link.
    for controller in CONTROLLERS {
        let own = spokes.join(controller.id);
        let (_, published) = secrets.in_folder(&own.join("data"), &|_| false)?;
        ensure!(published > 0, "nothing published at {}", controller.id);
        // All of it: published files decoded, the log, the database, the inbox, permits, what was rejected (file, line and
        // column, never a value), and the cache, which holds both, sealed.
        let (found, searched) = secrets.in_folder(&own, &|_| false)?;
        ensure!(searched > published + 10, "only {searched} files at {}", controller.id);
        assert_eq!(found, [], "at {}", controller.id);
    }
    for part in ["hub", "custodian", "logs", "handover", "ready"] {
        let (found, searched) = secrets.in_folder(&dir.join(part), &|_| false)?;
        ensure!(searched > 0 || part == "handover", "nothing to search in {part}");
        assert_eq!(found, [], "in {part}");
    }
    let (found, _) = secrets.in_folder(&taps, &|_| false)?;
    let (recordings, bytes) = tap::recorded(&taps)?;
    ensure!(recordings >= 12, "links were not recorded: {recordings} files with content");
    ensure!(bytes > 1_000_000, "only {bytes} bytes went over all links");
    assert_eq!(found, [], "on a link or a command line");

    // The search itself: a planted one is found in each kind of place.
    let planted = spokes.join("sds").join("data").join("planted");
    for (place, content) in [
        (spokes.join("dst/audit/planted"), numbers[10].clone().into_bytes()),
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
