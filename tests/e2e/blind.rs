//! Blind totals over spoke processes: exact, and of no member's number there is a trace in the hub.

use crate::{
    faults::SmallDisk,
    fixture::{ROLES, number},
};
use anyhow::{Context, Result, ensure};
use arrow::{array::AsArray, datatypes::Int64Type};
use demo::{
    client::Client,
    platform::{Options, PROJECT, Part, Platform},
    sites,
};
use policies::application::BlindForm;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::Command,
};
use tests::{process, search::Secrets};

const SITES: usize = 5;
const ROWS: u64 = 5_000;
const PEOPLE: u32 = 400;
/// Makes of each site's sum a number that stands nowhere by chance, and of five a total within 63 bits.
const TIMES: i64 = 9_876_543_210_123;

/// Rows of a site, the sum of their `kom`, and people.
struct Site {
    rows: i64,
    sum: i64,
    people: i64,
}

/// Of a site, from the file that was generated for it.
fn plain(platform: &Platform, site: &str) -> Result<Site> {
    let path = platform.registers_dir().join(site).join(format!("obs_{SITES}.csv"));
    let mut file = csv::Reader::from_path(&path).with_context(|| path.display().to_string())?;
    let headers = file.headers()?.clone();
    let place = |name: &str| headers.iter().position(|column| column == name).context("a column");
    let (kom, pnr) = (place("kom")?, place("pnr")?);
    let (mut rows, mut sum, mut people) = (0, 0, HashSet::new());
    for record in file.records() {
        let record = record?;
        rows += 1;
        sum += record.get(kom).context("a value")?.parse::<i64>()?;
        people.insert(record.get(pnr).context("a person")?.to_owned());
    }
    Ok(Site { rows, sum, people: i64::try_from(people.len())? })
}

impl Site {
    /// What its part can be: its sum by the rules of release, with the noise of up to twelve people, in steps of a tenth of one.
    fn parts(&self) -> Vec<i64> {
        let (whole, each) = (self.sum * TIMES, self.sum * TIMES / self.people);
        let mut parts = Vec::new();
        // Limits may take a little away, so that the step is the next one.
        for each in [each - each / 8, each] {
            let unit = each.unsigned_abs().div_ceil(10);
            let powers = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
            let step = powers.filter(|step| *step >= unit).min().and_then(|step| i64::try_from(step).ok());
            let Some(step) = step else { continue };
            parts.extend(((whole - 12 * each) / step..=(whole + 12 * each) / step).map(|steps| steps * step));
        }
        parts.sort_unstable();
        parts.dedup();
        // What is made of twos and fives alone stands in every program that prints numbers.
        parts.retain(|part| {
            let without = |mut number: i64, prime: i64| {
                while number > 0 && number % prime == 0 {
                    number /= prime;
                }
                number
            };
            without(without(*part, 2), 5) != 1
        });
        parts
    }
}

/// The operators of hub and custodian, and the declaration of the table.
async fn introduce(platform: &mut Platform) -> Result<()> {
    platform.start_part(Part::Custodian).await?;
    let (hub, custodian) = (platform.config(Part::Hub), platform.config(Part::Custodian));
    let run = async |role: &str, args: &[&str], config: &Path| -> Result<String> {
        let mut all: Vec<PathBuf> = args.iter().map(PathBuf::from).collect();
        all.extend(["--config".into(), config.to_owned()]);
        let said = platform.run(role, &all).await?;
        ensure!(said.success(), "{role} {args:?}: {}", said.text);
        Ok(said.stdout)
    };
    let handed = |name: &str| platform.dir().join("handover").join(name).display().to_string();
    let (csr, reply) = (handed("hub.csr"), handed("hub.json"));
    let digest = run("hub", &["admin", "custodian", "request", "--out", &csr], &hub).await?;
    let mut add: Vec<PathBuf> = vec!["hub".into(), "--config".into(), custodian.clone()];
    add.extend(["add", "main", "--request", &csr, "--out", &reply].map(PathBuf::from));
    let said = platform.run("custodian", &add).await?;
    ensure!(said.success(), "custodian hub add: {}", said.text);
    let key = said.stdout.lines().find(|line| line.starts_with("key")).context("a digest")?;
    ensure!(digest.contains(key), "the two operators read the same digest");
    let address = platform.address(Part::Custodian).context("it runs")?.to_string();
    let said = run("hub", &["admin", "custodian", "install", &reply, "--address", &address], &hub).await?;
    let (_, table) = said.split_once("\n\n").context("a table")?;
    std::fs::write(&hub, format!("{}\n{table}", std::fs::read_to_string(&hub)?))?;
    let declared = platform.hub_dir().join("national");
    std::fs::create_dir_all(&declared)?;
    let text = sites::national(SITES).replace("\"overlapping\"", "\"disjoint\"");
    std::fs::write(declared.join(format!("obs_{SITES}.toml")), text)?;
    let said = run("custodian", &["sealing-key"], &custodian).await?;
    let members = (1..=SITES).map(|n| format!("site-{n:02}")).collect();
    platform.blind_totals(BlindForm { members, custodian: said.lines().next().context("a key")?.to_owned() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_the_memory_and_logs_of_a_hub_over_five_spoke_processes_hold_no_sites_number() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut options = Options::new(folder.path().join("platform"), ROLES, PEOPLE);
    options.cast = sites::cast(ROWS, SITES);
    options.environment.push(("EGER_LOG".to_owned(), "debug".to_owned()));
    let mut platform = Platform::prepare(options).await?;
    introduce(&mut platform).await?;
    platform.start_all().await?;

    let mut own = Vec::new();
    for n in 1..=SITES {
        own.push(plain(&platform, &format!("site-{n:02}"))?);
    }
    let (rows, sum): (i64, i64) = own.iter().fold((0, 0), |all, one| (all.0 + one.rows, all.1 + one.sum));
    ensure!(rows == i64::try_from(ROWS)?, "{rows} rows were generated");
    let mut anna = Client::connect(platform.open().context("runs")?, platform.token(), PROJECT).await?;
    let asked = format!(
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people, sum(CAST(kom AS BIGINT) * {TIMES}) AS total \
         FROM national.obs_{SITES}"
    );
    for _ in 0..3 {
        let answer = anna.ask(&asked).await?;
        let total = |name: &str| -> Result<i64> {
            Ok(answer.column_by_name(name).context("a column")?.as_primitive::<Int64Type>().value(0))
        };
        // Which noise they have is the key's matter: the total's own, and in sums and rows that of a few people of each site.
        let people = total("people")?;
        ensure!(people.abs_diff(PEOPLE.into()) <= 5, "{people} people");
        let few = u64::try_from(9 * (SITES + 1))?;
        for (name, plain) in [("n", rows), ("total", sum * TIMES)] {
            let each = plain.unsigned_abs() / u64::from(PEOPLE);
            println!("{name}: {} of {plain}", total(name)?);
            ensure!(total(name)?.abs_diff(plain) <= few * each, "{name}: {} of {plain}", total(name)?);
        }
    }
    // One site alone, in either way, is refused.
    for one in [format!("\"site-01\".obs_{SITES}"), format!("national.obs_{SITES} WHERE controller = 'site-01'")] {
        let error = anna.ask(&format!("SELECT count(*) AS n FROM {one}")).await.err().context("is refused")?;
        ensure!(error.to_string().contains("lets nothing out but totals over"), "{error}");
    }

    // The exact sums, and what was masked of them.
    let mut numbers: Vec<i64> = own.iter().map(|site| site.sum * TIMES).collect();
    numbers.extend(own.iter().flat_map(Site::parts));
    ensure!(numbers.len() > 500, "{} numbers", numbers.len());
    let secret =
        |number: &i64| [("number", number.to_le_bytes().to_vec()), ("digits", number.to_string().into_bytes())];
    let secrets = Secrets::of(&numbers.iter().flat_map(secret).collect::<Vec<_>>())?;
    let pid = platform.pid(Part::Hub).context("it runs")?;
    let image = process::core(pid, folder.path())?;
    assert_eq!(secrets.in_file(&image)?, None, "in the hub's memory");
    // A planted one is found by the same search: the hub knows what it was asked.
    let planted = numbers[0];
    let filtered = format!("SELECT count(*) AS n FROM national.obs_{SITES} WHERE CAST(kom AS BIGINT) <> {planted}");
    ensure!(number(&anna.ask(&filtered).await?)? > 0, "nothing is answered");
    std::fs::remove_file(&image)?;
    let found = secrets.in_file(&process::core(pid, folder.path())?)?;
    ensure!(found.is_some(), "a planted number is not found in the hub's memory");

    platform.stop_part(Part::Hub).await?;
    let others = Secrets::of(&numbers[1..].iter().flat_map(secret).collect::<Vec<_>>())?;
    for place in [platform.hub_dir(), platform.dir().join("logs")] {
        let (found, searched) = others.in_folder(&place, &|_| false)?;
        ensure!(searched > 3, "only {searched} files in {}", place.display());
        assert_eq!(found, [], "on disk");
        let file = place.join("planted.log");
        std::fs::write(&file, format!("sum {}\n", numbers[1]))?;
        ensure!(!others.in_folder(&place, &|_| false)?.0.is_empty(), "a planted number is not found on disk");
        std::fs::remove_file(&file)?;
    }
    platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custodian_that_is_away_or_has_no_room_gives_no_total_and_the_next_one_is_whole() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut options = Options::new(folder.path().join("platform"), ROLES, PEOPLE);
    options.cast = sites::cast(ROWS, SITES);
    let mut platform = Platform::prepare(options).await?;
    introduce(&mut platform).await?;
    platform.start_all().await?;
    let mut anna = Client::connect(platform.open().context("runs")?, platform.token(), PROJECT).await?;
    let asked = format!("SELECT count(*) AS n FROM national.obs_{SITES}");
    let whole = number(&anna.ask(&asked).await?)?;

    // Away: by name, soon, and no part of a total; then it is there again.
    platform.kill(Part::Custodian).await;
    let said = anna.ask(&asked).await.err().context("a total without its masks")?.to_string();
    println!("away: {said}");
    ensure!(said.contains("custodian") && said.contains("can't be reached"), "{said}");
    // Its folder on a small disk, and no room left.
    let (home, kept) = (platform.custodian_dir(), folder.path().join("kept"));
    std::fs::rename(&home, &kept)?;
    let disk = SmallDisk::mount(&home, "8m")?;
    ensure!(Command::new("cp").arg("-a").arg(kept.join(".")).arg(&home).status()?.success(), "cp");
    platform.start_part(Part::Custodian).await?;
    assert_eq!(number(&anna.ask(&asked).await?)?, whole);
    let filler = home.join("filler");
    let full = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output()?;
    ensure!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "the disk is not full");
    // Some totals may find room in files that have grown before.
    let mut summed = 0;
    let said = loop {
        match anna.ask(&asked).await {
            Ok(total) => assert_eq!(number(&total)?, whole),
            Err(error) => break error.to_string(),
        }
        summed += 1;
        ensure!(summed < 200, "a full disk hinders nobody");
    };
    println!("full after {summed} that found room: {said}");
    ensure!(said.contains("the custodian can't") && said.contains("tell its operator"), "{said}");
    // Room again: it goes on by itself.
    std::fs::remove_file(&filler)?;
    assert_eq!(number(&anna.ask(&asked).await?)?, whole);
    platform.stop().await?;
    drop(disk);
    Ok(())
}
