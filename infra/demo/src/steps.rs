//! What happens to numbers on their way out: counts before there is a project, a small cell, a difference by one person, files
//! through the airlock.

use anyhow::Context;
use arrow::array::RecordBatch;
use demo::client::Client;
use demo::platform::{Desk, Outcome, PROJECT, Platform, USER};
use policies::disclosure::{Rule, STATUS_COLUMN};
use std::path::PathBuf;

use crate::show;

/// Who looks at what leaves, and for whom.
pub(crate) const CHECKERS: [(&str, &str); 2] = [("carl@example.org", "ssi"), ("dora@example.org", "ku")];

/// A large town and small islands.
const ISLANDS: &str = "\
SELECT kom_navn AS municipality,
       (2024 - date_part('year', foed_dag)) / 20 * 20 AS age_from,
       COUNT(DISTINCT pnr) AS people
FROM dst.bef
WHERE year = 2024 AND kom_navn IN ('København', 'Fanø', 'Læsø', 'Samsø', 'Ærø')
GROUP BY 1, 2
ORDER BY 1, 2";
/// Somebody who is told apart by a municipality and a day of birth.
const SOMEBODY: &str = "\
SELECT kom_navn, CAST(foed_dag AS VARCHAR) AS foed_dag
FROM dst.bef
WHERE year = 2024 AND koen = 2
ORDER BY 1, 2
LIMIT 1";
/// Rows that are printed.
const ROWS: usize = 30;

/// People at their terminals.
pub(crate) struct Desks {
    inside: Desk,
    outside: Desk,
    checkers: Vec<(Desk, String)>,
    folder: PathBuf,
}

impl Desks {
    pub(crate) async fn new(platform: &Platform) -> anyhow::Result<Desks> {
        let at = async |user: &str, inside: bool| {
            platform.desk(user, inside).await?.context("the hub's API has not said where it listens")
        };
        let mut checkers = Vec::new();
        for (user, organisation) in CHECKERS {
            checkers.push((at(user, true).await?, format!("{user} of {organisation}, inside")));
        }
        let folder = platform.dir().join("airlock");
        Ok(Desks { inside: at(USER, true).await?, outside: at(USER, false).await?, checkers, folder })
    }
}

/// Requests of a quick test: one over two controllers, one whose people may be at both of two.
const COUNTS: [&[&str]; 2] = [
    &["--where", "sds.lmdb.atc starts A10", "--by", "dst.bef.koen"],
    &[
        "--where",
        "region-h.lab_forsker.analysiscode = NPU27300",
        "--or",
        "region-m.lab_forsker.analysiscode = NPU27300",
    ],
];

/// How many people there are, asked without a project.
pub(crate) async fn quick_test(platform: &Platform) -> anyhow::Result<()> {
    platform.quick_test().await?;
    show::heading("A quick test, before anybody applies");
    println!(
        "{}\n",
        show::wrapped(
            "Each controller has signed a standing permit under which anybody who is signed in has people counted, ten at least and rounded. \
             Each request has pseudonyms of its own; who is at several controllers is counted once."
        )
    );
    for args in COUNTS {
        println!("  {USER}, outside, without a project\n  $ hub count {}", shown(args, ""));
        let args: Vec<PathBuf> = args.iter().map(PathBuf::from).collect();
        let asked = std::time::Instant::now();
        spoken(&ended(platform.hub_count(&args).await?)?);
        println!("    in {:.2} s\n", asked.elapsed().as_secs_f64());
    }
    Ok(())
}

/// What is not shown, and what the platform says about it, before and after.
pub(crate) async fn suppressed(open: &mut Client) -> anyhow::Result<()> {
    show::heading("A suppressed cell, and why");
    println!("{ISLANDS}\n");
    let answer = open.ask(ISLANDS).await?;
    show::answer(&answer, ROWS)?;
    let mut told: Vec<String> = show::texts(&answer, STATUS_COLUMN)?;
    told.sort();
    told.dedup();
    println!("\nwhat release_status says:");
    for status in &told {
        let rule = Rule::ALL.into_iter().find(|rule| status.contains(&rule.to_string()));
        let (why, instead) = rule
            .map_or(("The number is right on average, and off by five people at most.", ""), |rule| {
                (rule.why(), rule.instead())
            });
        println!("{}", show::indented(&show::wrapped(&format!("{status}: {why} {instead}"))));
    }
    if !told.iter().any(|status| status.contains("suppressed: ")) {
        println!(
            "{}",
            show::indented("among so many people none of these cells is small; start with fewer: --people 3000")
        );
    }
    println!("\nand before it is asked, EXPLAIN RELEASE reads nothing and says which rules it will meet:");
    let rules = open.ask(&format!("EXPLAIN RELEASE {ISLANDS}")).await?;
    for row in rows(&rules, &["about", "rule", "what"])? {
        println!("{}", show::indented(&show::wrapped(&row.join(": "))));
    }
    Ok(())
}

/// The same group with and without one person: other numbers inside, one number outside.
pub(crate) async fn difference(open: &mut Client, enclave: &mut Client) -> anyhow::Result<()> {
    show::heading("A difference by one person says nothing");
    let somebody = rows(&enclave.ask(SOMEBODY).await?, &["kom_navn", "foed_dag"])?;
    let [place, day] = somebody.first().map(Vec::as_slice).context("nobody lives anywhere")? else {
        anyhow::bail!("two columns")
    };
    let with = "SELECT COUNT(DISTINCT pnr) AS people FROM dst.bef WHERE year = 2024 AND koen = 2";
    let without = format!("{with}\n  AND NOT (kom_navn = '{place}' AND foed_dag = DATE '{day}')");
    println!(
        "All women, and all but the one whose municipality and day of birth somebody knows:\n\n{with}\n\n{without}\n"
    );
    let mut shown = Vec::new();
    for (zone, client) in [("enclave zone", enclave), ("open zone", open)] {
        let mut both = Vec::new();
        for sql in [with, &without] {
            both.push(show::texts(&client.ask(sql).await?, "people")?.into_iter().next().context("a row")?);
        }
        println!("  {zone:<13} {} and {}", both[0], both[1]);
        shown.push(both);
    }
    anyhow::ensure!(shown[0][0] != shown[0][1], "leaving somebody out changes nothing inside");
    anyhow::ensure!(shown[1][0] == shown[1][1], "leaving one person out shows outside");
    println!(
        "\n{}",
        show::wrapped(
            "Outside both are the same number: a count whose people differ by fewer than ten from an earlier one of the project is shown as \
             that one was. Subtracting tells nothing, not even that somebody was left out."
        )
    );
    Ok(())
}

/// A table from inside, past two checkers, to a file that anybody can verify.
pub(crate) async fn airlock(desks: &Desks, enclave: &mut Client) -> anyhow::Result<()> {
    show::heading("Results leave through the airlock");
    let sql = "SELECT koen, COUNT(DISTINCT pnr) AS n FROM dst.bef WHERE year = 2024 GROUP BY koen ORDER BY koen";
    let mut table = "koen,n\n".to_owned();
    for row in rows(&enclave.ask(sql).await?, &["koen", "n"])? {
        table.push_str(&format!("{}\n", row.join(",")));
    }
    std::fs::create_dir_all(&desks.folder).with_context(|| format!("{}", desks.folder.display()))?;
    let file = |name: &str| desks.folder.join(name).to_string_lossy().into_owned();
    let (form, results) = (file("outputs.toml"), file("results.zip"));
    std::fs::write(file("table1.csv"), table)?;
    std::fs::write(&form, declared(sql))?;
    if std::fs::exists(&results)? {
        std::fs::remove_file(&results)?;
    }
    println!(
        "{}\n",
        show::wrapped(
            "Inside, exact numbers may be made of the rows. What leaves is frozen, checked cell by cell, and looked at by people of two organisations."
        )
    );
    let said = typed(&desks.inside, &format!("{USER}, inside"), &["airlock", "submit", &form, "--json"], &form).await?;
    let submission: serde_json::Value = serde_json::from_str(&said.stdout)?;
    let id = submission["id"].as_str().context("a submission has an id")?;
    println!("    {}", submission["state"].as_str().unwrap_or_default());
    for (desk, who) in &desks.checkers {
        spoken(&typed(desk, who, &["airlock", "review", id, "--approve-all"], &form).await?);
    }
    let outside = format!("{USER}, outside");
    spoken(&typed(&desks.outside, &outside, &["airlock", "status", id], &form).await?);
    spoken(&typed(&desks.outside, &outside, &["airlock", "release", id, "--out", &results], &form).await?);
    let key = typed(&desks.outside, &outside, &["airlock", "key"], &form).await?;
    spoken(&key);
    let args = ["airlock", "verify", &results, "--key", key.stdout.trim()];
    println!("  anybody, on any machine, without a hub\n  $ hub {}", shown(&args, &form));
    spoken(&ended(desks.outside.elsewhere(&args).await?)?);
    Ok(())
}

/// What is said of the file.
fn declared(sql: &str) -> String {
    format!(
        "project = \"{PROJECT}\"\ntitle = \"Women and men\"\n[[files]]\nname = \"table1.csv\"\ndescription = \"People by sex, 2024\"\n\
         population = \"Everybody who lived in Denmark in 2024\"\ncounts = \"different people in column n\"\n\
         count_columns = [\"n\"]\nquery = \"{sql}\"\n"
    )
}

/// Shows a command and who types it, and runs it.
async fn typed(desk: &Desk, who: &str, args: &[&str], form: &str) -> anyhow::Result<Outcome> {
    println!("  {who}\n  $ hub {}", shown(args, form));
    ended(desk.hub(args).await?)
}

fn ended(outcome: Outcome) -> anyhow::Result<Outcome> {
    anyhow::ensure!(outcome.success(), "{}", outcome.text);
    Ok(outcome)
}

/// Without the folder, which is the same for all.
fn shown(args: &[&str], form: &str) -> String {
    let folder = form.strip_suffix("outputs.toml").unwrap_or_default();
    args.iter().map(|arg| show::quoted(arg.strip_prefix(folder).unwrap_or(arg))).collect::<Vec<_>>().join(" ")
}

fn spoken(outcome: &Outcome) {
    println!("{}", show::indented(outcome.text.trim_end()));
}

fn rows(batch: &RecordBatch, columns: &[&str]) -> anyhow::Result<Vec<Vec<String>>> {
    let columns = columns.iter().map(|name| show::texts(batch, name)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}
