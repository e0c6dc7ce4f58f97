//! The five questions, asked the way that a researcher would ask them, and what becomes of numbers before they leave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use arrow::array::RecordBatch;
use demo::client::Client;
use demo::oracle::{self, Oracle};
use demo::platform::{PROJECT, Platform, USER};
use demo::questions::{QUESTIONS, Question};

use crate::{show, steps};

/// Rows of one answer that are printed.
const ROWS: usize = 14;
/// The question whose answer is drawn over time.
const CURVE: &str = "hba1c-around-metformin";
/// Rows of people: only inside the secure environment.
const ROWS_OF_PEOPLE: &str = "\
SELECT pnr, samplingdate, value
FROM \"region-h\".lab_forsker
WHERE analysiscode = 'NPU27300'
LIMIT 3";

/// Knows where the hub listens.
pub(crate) struct Guide {
    open: SocketAddr,
    enclave: SocketAddr,
    token: String,
    registers: PathBuf,
    desks: steps::Desks,
}

impl Guide {
    pub(crate) async fn new(platform: &Platform) -> anyhow::Result<Guide> {
        let listens = "the hub has not said where it listens";
        let (open, enclave) = (platform.open().context(listens)?, platform.enclave().context(listens)?);
        let (token, registers) = (platform.token().to_owned(), platform.registers_dir());
        Ok(Guide { open, enclave, token, registers, desks: steps::Desks::new(platform).await? })
    }

    /// Asks, shows, and compares when asked to.
    pub(crate) async fn show(&self, check: bool) -> anyhow::Result<()> {
        self.questions().await?;
        self.on_the_way_out().await?;
        if check {
            self.check().await?;
        }
        Ok(())
    }

    /// Compares every answer in both zones with the oracle's.
    async fn check(&self) -> anyhow::Result<()> {
        show::heading("Checked against the raw files");
        let oracle = Oracle::open(&self.registers)?;
        let mut open = Client::connect(self.open, &self.token, PROJECT).await?;
        let mut enclave = Client::connect(self.enclave, &self.token, PROJECT).await?;
        for question in QUESTIONS {
            let truth = oracle.ask(question.sql).await?;
            let inside = oracle::cells(&enclave.ask(question.sql).await?)?;
            let outside = oracle::cells(&open.ask(question.sql).await?)?;
            anyhow::ensure!(inside == oracle::enclave(&truth)?, "'{}' differs in the enclave", question.id);
            let wanted = oracle::open(&question, &oracle.ask(&question.counted()).await?)?;
            oracle::near(&question, &wanted, &outside, &truth.schema())
                .map_err(|why| anyhow::anyhow!("'{}' differs in the open zone: {why}", question.id))?;
            let small = oracle::small_cells(&truth)?.len();
            println!(
                "  {:<34} {:>4} cells equal, {small} of them suppressed in the open zone, the others within their noise",
                question.id,
                truth.num_rows()
            );
        }
        Ok(())
    }

    async fn questions(&self) -> anyhow::Result<()> {
        println!(
            "\nFive questions from {USER} in project '{PROJECT}', asked in the open zone: only aggregates over at least\n\
             five people are shown, with a little noise. The controllers' permits allow output 'enclave_rows': rows of people under project\n\
             pseudonyms, inside the enclave; the open listener gives released aggregates only, whoever asks."
        );
        let mut open = Client::connect(self.open, &self.token, PROJECT).await?;
        for (number, question) in (1..).zip(QUESTIONS) {
            show::heading(&format!("{number}. {}", question.title));
            println!("{}\n", show::wrapped(question.explanation));
            // flush left, to be copied
            println!("{}\n", question.sql);
            let asked = Instant::now();
            let answer = open.ask(question.sql).await.with_context(|| format!("question '{}'", question.id))?;
            let took = asked.elapsed();
            show::answer(&answer, ROWS)?;
            println!("answered in {:.2} s\n", took.as_secs_f64());
            explain(&mut open, &question).await?;
            if question.id == CURVE {
                show::chart(&answer)?;
            } else {
                show::bars(&answer, question.keys, ROWS)?;
            }
        }
        self.contrast(&mut open).await
    }

    /// What happens to numbers before they leave.
    async fn on_the_way_out(&self) -> anyhow::Result<()> {
        let mut open = Client::connect(self.open, &self.token, PROJECT).await?;
        let mut enclave = Client::connect(self.enclave, &self.token, PROJECT).await?;
        steps::suppressed(&mut open).await?;
        steps::difference(&mut open, &mut enclave).await?;
        steps::airlock(&self.desks, &mut enclave).await
    }

    /// The same statement in both zones.
    async fn contrast(&self, open: &mut Client) -> anyhow::Result<()> {
        show::heading("Rows of people stay inside");
        println!("{ROWS_OF_PEOPLE}\n");
        match open.ask(ROWS_OF_PEOPLE).await {
            Ok(_) => anyhow::bail!("the open zone gave rows of people"),
            Err(refused) => println!("open zone: {}\n", show::wrapped(&refused.to_string())),
        }
        let mut enclave = Client::connect(self.enclave, &self.token, PROJECT).await?;
        println!("enclave zone:");
        show::answer(&enclave.ask(ROWS_OF_PEOPLE).await?, ROWS)?;
        Ok(())
    }

    /// Lines to paste, flush left: Python takes no others.
    pub(crate) fn invite(&self, program: &Path) {
        let Guide { open, enclave, token, .. } = self;
        let program = show::quoted(&program.to_string_lossy());
        show::heading("Your turn");
        println!(
            "open zone {open}, enclave zone {enclave}; Ctrl-C stops everything\n\n\
             In a terminal:\n\n\
             {program} --role hub -- login --server grpc://{open}\n\
             {program} --role hub -- sql --server grpc://{open} --project {PROJECT}\n\n\
             In Python (pip install adbc-driver-flightsql pyarrow):\n\n\
             import adbc_driver_flightsql.dbapi as flightsql\n\
             hub = flightsql.connect(\"grpc://{open}\", db_kwargs={{\n    \
             \"adbc.flight.sql.authorization_header\": \"Bearer {token}\",\n    \
             \"adbc.flight.sql.rpc.call_header.x-eger-project\": \"{PROJECT}\"}})\n\
             cursor = hub.cursor()\n\
             cursor.execute(\"SELECT koen, COUNT(DISTINCT pnr) AS people FROM dst.bef WHERE year = 2024 GROUP BY koen\")\n\
             print(cursor.fetch_arrow_table().to_pandas())\n\n\
             With grpc://{enclave} instead, the same lines work inside the enclave zone."
        );
    }
}

/// What each spoke was asked to do, and what came back.
async fn explain(open: &mut Client, question: &Question) -> anyhow::Result<()> {
    let plan = open.ask(&format!("EXPLAIN {}", question.sql)).await.context("EXPLAIN")?;
    let measured = open.ask(&format!("EXPLAIN ANALYZE {}", question.sql)).await.context("EXPLAIN ANALYZE")?;
    println!("what ran at the controllers (EXPLAIN), and what moved (EXPLAIN ANALYZE, coarse in the open zone):");
    let asked = spokes(&plan, &["runs_at", "what"])?;
    let moved = spokes(&measured, &["runs_at", "rows", "bytes"])?;
    for (i, row) in asked.iter().enumerate() {
        let [at, what] = row.as_slice() else { continue };
        println!("  {at}");
        println!("{}", show::indented(&show::wrapped(what)));
        if let Some([_, rows, bytes]) = moved.get(i).map(Vec::as_slice) {
            println!("      -> {rows} rows, {bytes} bytes");
        }
    }
    Ok(())
}

/// The rows of a plan that ran at a spoke.
fn spokes(plan: &RecordBatch, columns: &[&str]) -> anyhow::Result<Vec<Vec<String>>> {
    let columns = columns.iter().map(|name| show::texts(plan, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let rows = (0..plan.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect::<Vec<_>>());
    Ok(rows.filter(|row| row.first().is_some_and(|at| at != "hub")).collect())
}
