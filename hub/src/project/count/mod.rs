//! `hub count`: quick tests over the HTTP API, as whoever signed in.
//!
//! INVARIANT: nothing here opens the hub's database; what a caller may do is decided by the API alone.

mod parse;

use super::{
    Connect,
    client::{Client, Failure},
    print::{clean, show, table},
};
use crate::{
    api::Columns,
    count::{Condition, Counted, Form},
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// What `--help` says after the options.
pub const HELP: &str = "\
Examples:
  hub count --columns
  hub count --where \"sds.lmdb.atc starts A10\" --by dst.bef.koen
  hub count --where \"sds.lmdb.atc starts A10 and dst.bef.kom in (101, 147)\" --by dst.bef.koen --by dst.bef.kom
  hub count --where \"region-h.lab_forsker.analysiscode = NPU27300\" --or \"sds.lmdb.atc starts A10\"
  hub count --file request.json --json

Conditions are COLUMN OP VALUE, with = != < <= > >= starts in, joined by 'and'; a column is controller.table.column, a
value with spaces stands in 'quotes', days are 2026-01-31. Conditions over one table hold for one and the same row. --or
adds the people of another group; whoever is in several, at whatever controllers, is counted once.

Numbers are rounded to a neighbouring ten; cells of fewer than ten people are left out, and so are those of nobody. A person
may ask 100 requests in an hour; the same one within ten minutes gets the same answer and counts for none. docs/quick-test.md
says more.

Exit codes: 0 counted, 1 failed, 2 usage, or the file can't be read, 3 can't connect, 4 token refused, not permitted or not
there,\n5 the request is wrong, or this hour's requests are used up";

/// `hub count ...`
#[derive(Debug, Args)]
pub struct CountArgs {
    #[command(flatten)]
    connect: Connect,
    /// conditions that all hold; may be given several times
    #[arg(long = "where", value_name = "CONDITIONS", value_parser = parse::conditions)]
    wheres: Vec<parse::Conditions>,
    /// conditions of another group, whose people are added; may be given several times
    #[arg(long = "or", value_name = "CONDITIONS", requires = "wheres", value_parser = parse::conditions)]
    ors: Vec<parse::Conditions>,
    /// a column to count by, controller.table.column; up to three
    #[arg(long, value_name = "COLUMN")]
    by: Vec<String>,
    /// the request as the API takes it, JSON, instead
    #[arg(long, conflicts_with_all = ["wheres", "ors", "by"])]
    file: Option<PathBuf>,
    /// list the columns that can be asked about
    #[arg(long, conflicts_with_all = ["wheres", "ors", "by", "file"])]
    columns: bool,
}

/// Runs the command.
pub async fn run(args: CountArgs) -> ExitCode {
    match counted(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            eprintln!("error: {}", clean(&message));
            ExitCode::from(code)
        }
    }
}

async fn counted(args: CountArgs) -> Result<(), Failure> {
    let json = args.connect.json;
    if args.columns {
        let columns: Columns = Client::new(&args.connect).await?.get("/v1/count").await?;
        return show(json, &columns, listed);
    }
    let form = form(&args)?;
    let counted: Counted = Client::new(&args.connect).await?.post("/v1/count", &form).await?;
    show(json, &counted, printed)
}

fn form(args: &CountArgs) -> Result<Form, Failure> {
    if let Some(path) = &args.file {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("--file {}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        return serde_json::from_str(&text).map_err(|error| wrong(&error));
    }
    if args.wheres.is_empty() && args.by.is_empty() {
        return Err(Failure::usage("say whom to count (--where) or what by (--by); `hub count --help` has examples"));
    }
    let first: Vec<Condition> = args.wheres.iter().flat_map(|all| all.0.clone()).collect();
    let others = args.ors.iter().map(|all| all.0.clone());
    let any = if first.is_empty() { Vec::new() } else { std::iter::once(first).chain(others).collect() };
    Ok(Form { any, by: args.by.clone() })
}

fn listed(columns: &Columns) {
    let rows: Vec<Vec<String>> = columns
        .items
        .iter()
        .map(|one| {
            let by = if one.by { "count by" } else { "choose" };
            [one.column.as_str(), &one.kind, by, &one.codes, &one.description].map(clean).to_vec()
        })
        .collect();
    table(&["column", "type", "for", "codes", "what"], &rows);
}

fn printed(counted: &Counted) {
    let head: Vec<&str> = counted.by.iter().map(String::as_str).chain(["people"]).collect();
    let least = counted.least;
    let rows: Vec<Vec<String>> = counted
        .cells
        .iter()
        .map(|cell| {
            let values = cell.values.iter().map(|value| value.as_deref().map_or_else(|| "-".to_owned(), clean));
            let people = cell.people.map_or_else(|| format!("fewer than {least}"), |people| people.to_string());
            values.chain([people]).collect()
        })
        .collect();
    table(&head, &rows);
    println!(
        "\nrounded to tens; cells of fewer than {least} people are left out. {} of this hour's requests are left{}",
        counted.left_this_hour,
        if counted.kept { " (this one was answered before, and counts for none)" } else { "" }
    );
}
