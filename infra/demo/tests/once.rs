//! The demo as README says to start it: what it shows, that a second start makes nothing anew, and that the lines that it
//! prints to be pasted work.

use anyhow::{Context, Result, ensure};
use demo::{platform::PROJECT, questions::QUESTIONS};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

/// Enough for figures that may be shown, few enough for a debug build.
const PEOPLE: &str = "3000";

fn demo(dir: &Path) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.args(["--people", PEOPLE, "--dir"]).arg(dir).stdin(Stdio::null());
    demo
}

fn once(dir: &Path) -> Result<String> {
    let output = demo(dir).args(["--once", "--check"]).output()?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}: {said}{errors}", output.status);
    Ok(said.into_owned())
}

/// What stands below a heading.
fn below<'a>(said: &'a str, heading: &str) -> Result<&'a str> {
    let at = said.find(&format!("━━ {heading}")).with_context(|| format!("no heading '{heading}' in: {said}"))?;
    let rest = said[at..].split_once('\n').map_or("", |(_, rest)| rest);
    Ok(rest.split("\n━━ ").next().unwrap_or(rest))
}

/// The rows of tables, by the heading of their question.
fn tables(said: &str) -> Result<BTreeMap<&'static str, Vec<&str>>> {
    let mut all = BTreeMap::new();
    for (number, question) in (1..).zip(QUESTIONS) {
        let shown = below(said, &format!("{number}. {}", question.title))?;
        ensure!(shown.contains(&format!("\n{}\n", question.sql)), "the statement, flush left: {shown}");
        ensure!(question.sql.starts_with("SELECT"), "{}", question.sql);
        let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with('|')).collect();
        ensure!(rows.len() > 1 && rows.first().is_some_and(|head| head.contains("release_status")), "a table: {shown}");
        let moved = |line: &&str| line.contains("-> ") && line.contains(" rows, ") && line.ends_with(" bytes");
        let ran = shown.split("what ran at the controllers").nth(1).unwrap_or_default();
        ensure!(ran.lines().filter(moved).count() >= 2, "what moved from several controllers: {shown}");
        ensure!(ran.contains('█') || ran.contains("nothing to draw"), "a chart: {shown}");
        all.insert(question.id, rows);
    }
    Ok(all)
}

/// What becomes of numbers before they leave.
fn on_the_way_out(said: &str) -> Result<()> {
    let quick = below(said, "A quick test, before anybody applies")?;
    let numbers = quick.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).filter(|n| *n >= 10);
    ensure!(quick.matches("$ hub count").count() == 2 && numbers.filter(|n| n % 10 == 0).count() >= 3, "{quick}");
    let cell = below(said, "A suppressed cell, and why")?;
    for says in [
        "| · ",
        "suppressed: fewer than 5 people: So few people could be recognised",
        "Use coarser groups or a longer period.",
        "EXPLAIN RELEASE",
    ] {
        ensure!(cell.contains(says), "'{says}' is not in: {cell}");
    }
    let difference = below(said, "A difference by one person says nothing")?;
    let of = |zone: &str| -> Result<Vec<u64>> {
        let line = difference.lines().find(|line| line.trim_start().starts_with(zone));
        let line = line.with_context(|| format!("no {zone} in: {difference}"))?;
        Ok(line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    };
    let (inside, outside) = (of("enclave zone")?, of("open zone")?);
    ensure!(inside.len() == 2 && inside[0] == inside[1] + 1, "one person is left out: {inside:?}");
    ensure!(outside.len() == 2 && outside[0] == outside[1], "and doesn't show: {outside:?}");
    ensure!(outside[0].abs_diff(inside[0]) <= 17, "{inside:?} {outside:?}");
    let airlock = below(said, "Results leave through the airlock")?;
    let mut rest = airlock;
    for says in [
        "hub airlock submit",
        "UNDER_REVIEW",
        "of ssi",
        "of ku",
        "APPROVED",
        "hub airlock release",
        "hub airlock verify",
    ] {
        rest = rest.split_once(says).with_context(|| format!("'{says}' is not in, or not in its place: {airlock}"))?.1;
    }
    ensure!(rest.contains("nothing was changed since") && rest.contains("ku, ssi"), "{airlock}");
    Ok(())
}

/// At a first start nobody has applied, nor has anybody decided, when people are counted.
fn counted_before_anybody_applies(said: &str) -> Result<()> {
    let at = |words: &str| said.find(words).with_context(|| format!("'{words}' is not in: {said}"));
    let counted = at("$ hub count")?;
    ensure!(at("A quick test, before anybody applies")? < counted, "{said}");
    for later in ["hub project apply", "spoke approve at"] {
        ensure!(counted < at(later)?, "'{later}' comes before people are counted: {said}");
    }
    // all of it, not the first request alone
    let last = said.rfind("$ hub count").unwrap_or(counted);
    ensure!(last < at("hub project apply")?, "{said}");
    Ok(())
}

/// Every file that holds published data, and when it was written.
fn published(dir: &Path) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut all = BTreeMap::new();
    let mut left: Vec<PathBuf> = Vec::new();
    for spoke in std::fs::read_dir(dir.join("spokes"))? {
        left.push(spoke?.path().join("data"));
    }
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                all.insert(entry.path(), entry.metadata()?.modified()?);
            }
        }
    }
    Ok(all)
}

/// A demo that stays up; told to stop when it goes out of scope.
struct Staying(Child);

impl Staying {
    fn tell_to_stop(&self) -> Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        ensure!(told.success(), "kill -TERM");
        Ok(())
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        // What it started ends with it: their standard input does.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The two lines for a terminal, typed as they are printed; the question comes on standard input.
fn pasted(dir: &Path) -> Result<()> {
    let mut staying = Staying(demo(dir).stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(staying.0.stdout.take().context("standard output")?).lines();
    let mut paste = Vec::new();
    while paste.len() < 2 {
        let line = lines.next().context("it ended before it said what to paste")??;
        paste.extend(line.contains(" --role hub -- ").then_some(line));
    }
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-c", &paste.join("\n")]).env("HOME", dir).env_remove("XDG_CONFIG_HOME");
    for name in ["EGER_TOKEN", "EGER_SERVER", "EGER_PROJECT", "EGER_CA"] {
        shell.env_remove(name);
    }
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    shell.stdin.take().context("standard input")?.write_all(b"SELECT COUNT(DISTINCT pnr) AS people FROM dst.bef;\n")?;
    let output = shell.wait_with_output()?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() && said.contains("perturbed"), "{}: {said}{errors}", paste.join("\n"));
    ensure!(paste.iter().all(|line| !line.starts_with(' ')) && paste[1].contains(PROJECT), "{paste:?}");
    staying.tell_to_stop()?;
    while lines.next().transpose()?.is_some() {}
    ensure!(staying.0.wait()?.success(), "it stops in order");
    Ok(())
}

#[test]
fn a_first_start_shows_everything_and_later_ones_make_nothing_anew() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("demo");
    let first = once(&dir)?;
    let shown = tables(&first)?;
    let drawn = shown.len() - first.matches("nothing to draw").count();
    ensure!(drawn >= 3, "charts of {drawn} questions: {first}");
    ensure!(first.contains("ingest at region-h") && first.contains("spoke approve at region-h"), "{first}");
    ensure!(
        below(&first, "Checked against the raw files")?.matches("cells equal").count() == QUESTIONS.len(),
        "{first}"
    );
    on_the_way_out(&first)?;
    counted_before_anybody_applies(&first)?;
    let before = published(&dir)?;
    ensure!(!before.is_empty(), "something was published");

    let second = once(&dir)?;
    for says in ["reuse the registers of an earlier start", "nothing is ingested"] {
        ensure!(second.contains(says), "'{says}' is not in: {second}");
    }
    for anew in ["generate the registers", "ingest at", "spoke init", "hub project apply", "spoke approve at"] {
        ensure!(!second.contains(anew), "'{anew}' is in: {second}");
    }
    on_the_way_out(&second)?;
    ensure!(published(&dir)? == before, "published files were written again");
    ensure!(tables(&second)? == shown, "another answer at the second start: {second}");

    pasted(&dir)
}
