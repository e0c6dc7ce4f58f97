//! What release costs: counts, sums and means through the open zone beside the same statements with the people counted in SQL, and beside
//! plain ones; and how long a ledger takes to say what was released before.

mod ledger;

use crate::{
    Options,
    report::{median, spread},
    utility::released,
};
use anyhow::{Result, ensure};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int32Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    dataframe::DataFrame,
    datasource::MemTable,
    logical_expr::LogicalPlan,
    prelude::{SessionConfig, SessionContext},
};
use hub::release::{Caps, Ledgers};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::HashMap, path::Path, sync::Arc, time::Instant};

/// Release may take this much of the same statement with the people counted in SQL.
const MOST: f64 = 1.15;
const THREADS: usize = 2;
const BATCH: usize = 8192;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let options = options.clone();
    // On a thread of the executor, whose stack is a hub's.
    tokio::spawn(async move { Box::pin(all(&options)).await }).await?
}

async fn all(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.dir)?;
    let folder = tempfile::tempdir_in(&options.dir)?;
    let within = cost(options, folder.path()).await?;
    let quick = ledger::measure(options, folder.path())?;
    // Without optimisation everything is slower by a factor that says nothing.
    ensure!(
        within || cfg!(debug_assertions),
        "release takes more than {MOST} of the same with the people counted in SQL"
    );
    ensure!(quick || cfg!(debug_assertions), "a ledger takes too long");
    Ok(())
}

/// A statement of the measured table, as a researcher writes it and through release.
struct Measured {
    /// a letter, for the ratios
    called: char,
    sql: &'static str,
    released: bool,
    times: Vec<f64>,
}

const fn measured(called: char, sql: &'static str, released: bool) -> Measured {
    Measured { called, sql, released, times: Vec::new() }
}

const PEOPLE_OF: &str = "SELECT cell, count(DISTINCT pnr) AS n FROM t GROUP BY cell";
const ROWS_OF: &str = "SELECT cell, count(*) AS n FROM t GROUP BY cell";
const SUM_OF: &str = "SELECT cell, sum(x) AS s FROM t GROUP BY cell";
const MEAN_OF: &str = "SELECT cell, avg(x) AS m FROM t GROUP BY cell";

/// All of them, each of which is run in turn. What is released is compared with the same statement in which the people are counted in SQL.
fn statements() -> [Measured; 10] {
    [
        measured('a', ROWS_OF, false),
        measured('b', PEOPLE_OF, false),
        measured('c', PEOPLE_OF, true),
        measured('d', ROWS_OF, true),
        measured('e', "SELECT cell, count(*) AS n, count(DISTINCT pnr) AS people FROM t GROUP BY cell", false),
        measured('f', SUM_OF, true),
        measured('g', "SELECT cell, sum(x) AS s, count(DISTINCT pnr) AS people FROM t GROUP BY cell", false),
        measured('h', MEAN_OF, true),
        measured('i', "SELECT cell, avg(x) AS m, count(DISTINCT pnr) AS people FROM t GROUP BY cell", false),
        measured('j', SUM_OF, false),
    ]
}

/// Ratios of medians that are told: of which statement to which, and whether it has to be [`MOST`] at the most.
const RATIOS: [(char, char, bool); 10] = [
    ('c', 'b', true),
    ('d', 'b', true),
    ('d', 'e', true),
    ('f', 'g', true),
    ('h', 'i', true),
    ('f', 'b', false),
    ('h', 'b', false),
    ('c', 'a', false),
    ('d', 'a', false),
    ('f', 'j', false),
];

/// Whether it is within bounds.
async fn cost(options: &Options, folder: &Path) -> Result<bool> {
    let rows = options.rows.max(u64::from(options.people));
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(THREADS));
    session.register_table("t", Arc::new(table(options.people, rows, options.cells)?))?;
    println!(
        "release: {rows} rows of {} people in {} cells, in memory, {THREADS} threads; in turns",
        options.people, options.cells
    );
    let mut all = statements();
    for run in 0..=options.runs {
        // A ledger of its own each time: every cell is new, and has to get to the disk.
        let ledgers = Ledgers::new(folder.join(format!("run-{run}"))).with_caps(Caps::NONE);
        for one in &mut all {
            let plan = if one.released {
                let project = format!("project-{}", one.called).parse()?;
                released(&session, one.sql, &ledgers.of(&project, 1)).await?
            } else {
                session.state().create_logical_plan(one.sql).await?
            };
            let (seconds, cells) = run_once(&session, plan).await?;
            ensure!(cells >= options.cells as usize / 2, "{}: {cells} cells", one.sql);
            // The first of each warms up.
            if run > 0 {
                one.times.push(seconds);
            }
        }
    }
    for one in &all {
        let how = if one.released { " through release, its cells new to the ledger and on disk" } else { "" };
        println!("  {}) {}{how}: {}", one.called, one.sql, spread(&one.times, "s"));
    }
    let of = |called: char| all.iter().find(|one| one.called == called).map_or(0.0, |one| median(&one.times));
    let mut within = true;
    println!("  ratios of the medians:");
    for (released, to, bound) in RATIOS {
        let ratio = of(released) / of(to);
        let must = if bound { format!(", must be {MOST} at the most") } else { String::new() };
        println!("    {released}/{to}: {ratio:.2}{must}");
        within &= !bound || ratio <= MOST;
    }
    Ok(within)
}

async fn run_once(session: &SessionContext, plan: LogicalPlan) -> Result<(f64, usize)> {
    let frame = DataFrame::new(session.state(), plan);
    let started = Instant::now();
    let rows = frame.collect().await?.iter().map(RecordBatch::num_rows).sum();
    Ok((started.elapsed().as_secs_f64(), rows))
}

/// Everybody has a row; more rows are of people by chance. A person is in one cell; cells are of all sizes, the largest a hundred times
/// the smallest. `x` is another number in each row.
fn table(people: u32, rows: u64, cells: u32) -> Result<MemTable> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut values = ChaCha8Rng::seed_from_u64(12);
    let role = HashMap::from([(proto::schema::ROLE.to_owned(), proto::schema::PERSON.to_owned())]);
    let fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(role),
        Field::new("cell", DataType::Int32, false),
        Field::new("x", DataType::Float64, false),
    ];
    let schema = Arc::new(Schema::new(fields));
    let cell_of: Vec<i32> = (0..people)
        .map(|_| {
            let share: f64 = rng.random();
            // density falls as 1 / (1 + 99 x)
            let x = (100_f64.powf(share) - 1.0) / 99.0;
            ((x * f64::from(cells)) as i32).min(i32::try_from(cells).unwrap_or(i32::MAX) - 1)
        })
        .collect();
    let mut parts = vec![Vec::new(); THREADS];
    let mut done = 0;
    for turn in 0.. {
        let count = (BATCH as u64).min(rows - done);
        if count == 0 {
            break;
        }
        let mut who = FixedSizeBinaryBuilder::with_capacity(BATCH, 16);
        let mut cell = Vec::with_capacity(BATCH);
        let mut x = Vec::with_capacity(BATCH);
        for row in done..done + count {
            let person =
                u32::try_from(row).ok().filter(|row| *row < people).unwrap_or_else(|| rng.random_range(0..people));
            who.append_value(pseudonym(person))?;
            cell.push(cell_of.get(person as usize).copied().unwrap_or_default());
            x.push(values.random_range(0.0..1_000.0));
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(who.finish()), Arc::new(Int32Array::from(cell)), Arc::new(Float64Array::from(x))];
        if let Some(part) = parts.get_mut(turn % THREADS) {
            part.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
        }
        done += count;
    }
    Ok(MemTable::try_new(schema, parts)?)
}

/// As a project's are: as good as random.
fn pseudonym(person: u32) -> [u8; 16] {
    let half = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(n ^ (n >> 31))
    };
    let person = u64::from(person).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (half(person.wrapping_add(1)) << 64 | half(person.wrapping_add(2))).to_le_bytes()
}
