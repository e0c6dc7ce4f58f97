//! How long it takes from a statement's text to the plan that runs: over spokes that only say what they offer, in this
//! process, over links as in use. With what they offer known already, and with every spoke asked anew.

mod offering;

use crate::{
    Options,
    report::{median, quantile},
};
use anyhow::{Context, Result, ensure};
use hub::{
    compute::Compute,
    config::{Project, SpokeAddress},
    identify::Caller,
    plan::{Parameters, Planner},
    registry::{Links, Nationals, Registry},
    release::Ledgers,
    request::RequestContext,
};
use offering::{Offering, TABLES};
use policies::{permit::User, zone::Zone};
use proto::{
    envelope::Proof,
    ids::{ControllerId, PermitId, QueryId},
};
use runtime::{
    ca::Authority,
    peer::Peer,
    profile::Profile,
    tls::{Tls, TlsFiles},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

const USER: &str = "anna@example.org";
const ISSUER: &str = "https://id.example.org";
/// The most milliseconds that it may take.
const MOST: f64 = 50.0;
/// Runs that warm up and aren't counted; as many statements of one run as make a 99th percentile.
const WARM_UP: usize = 10;
const STATEMENTS: usize = 100;
/// Spokes of the largest project.
const SPOKES: usize = 50;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    let options = options.clone();
    // On a thread of the executor, whose stack is a hub's.
    tokio::spawn(async move { Box::pin(all(&options)).await }).await?
}

async fn all(options: &Options) -> Result<()> {
    // `EGER_LOG=debug` tells how long each step took.
    runtime::telemetry::init("bench");
    std::fs::create_dir_all(&options.dir)?;
    let folder = tempfile::tempdir_in(&options.dir)?;
    println!("planning, from text to the plan that runs; must: median under {MOST:.0} ms");
    let [one, many] =
        [Bench::start(&folder.path().join("one"), 1).await?, Bench::start(&folder.path().join("many"), SPOKES).await?];
    let statements: [(&str, &Bench, String); 5] = [
        ("2 tables of 1 spoke", &one, join(&at_one(2))),
        ("8 tables of 1 spoke", &one, join(&at_one(8))),
        ("8 tables of 8 spokes, of 50", &many, join(&apart())),
        ("a table of 50 spokes joined to 7 of 7 others", &many, join(&national())),
        ("the same, by group", &many, grouped(&national())),
    ];
    let mut slow = Vec::new();
    for (what, bench, sql) in statements {
        for zone in [Zone::Enclave, Zone::Open] {
            // Rows don't leave in the open zone.
            if zone == Zone::Open && !sql.contains("GROUP BY") {
                continue;
            }
            for (offers, planner) in [("known", &bench.known), ("asked for", &bench.anew)] {
                let times = bench.plan(planner, &sql, zone, options.runs).await.with_context(|| sql.clone())?;
                let whole: Vec<f64> = times.iter().map(|t| t.bound + t.planned).collect();
                let part = |of: fn(&Time) -> f64| median(&times.iter().map(of).collect::<Vec<_>>());
                println!(
                    "  {what}, {}, offers {offers}: median {:.1} ms, p99 {:.1} ms (bound and released {:.1} ms, optimised and cut {:.1} ms)",
                    zone.name(),
                    median(&whole),
                    quantile(&whole, 0.99),
                    part(|t| t.bound),
                    part(|t| t.planned)
                );
                if offers == "known" && median(&whole) >= MOST {
                    slow.push(format!("{what}: {:.1} ms", median(&whole)));
                }
            }
        }
    }
    // Without optimisation everything is slower by a factor that says nothing.
    ensure!(slow.is_empty() || cfg!(debug_assertions), "planned in more than {MOST:.0} ms: {}", slow.join("; "));
    Ok(())
}

/// What lies at which spoke, in the order in which a statement names it.
type Tables = Vec<(String, &'static str)>;

fn at_one(count: usize) -> Tables {
    TABLES.into_iter().take(count).map(|table| (offering::name(1), table)).collect()
}

fn apart() -> Tables {
    (1..).zip(TABLES).map(|(n, table)| (offering::name(n * 6), table)).collect()
}

fn national() -> Tables {
    std::iter::once(("national".to_owned(), TABLES[0])).chain(apart().into_iter().skip(1)).collect()
}

/// Each of the tables joined to the first by person, with a condition, some columns of each.
fn from(tables: &Tables) -> String {
    let mut sql = String::new();
    for (n, (spoke, table)) in tables.iter().enumerate() {
        let on = format!(" ON t{n}.pnr = t0.pnr AND t{n}.day >= t0.day");
        let (join, on) = if n == 0 { (" FROM ", "") } else { (" JOIN ", on.as_str()) };
        sql.push_str(&format!("{join}\"{spoke}\".{table} t{n}{on}"));
    }
    let conditions: Vec<String> = (0..tables.len()).map(|n| format!("t{n}.code LIKE 'A1{n}%'")).collect();
    format!("{sql} WHERE {}", conditions.join(" AND "))
}

fn join(tables: &Tables) -> String {
    let columns: Vec<String> = (0..tables.len()).map(|n| format!("t{n}.value AS v{n}, t{n}.c_{n} AS c{n}")).collect();
    format!("SELECT t0.pnr, {}{}", columns.join(", "), from(tables))
}

fn grouped(tables: &Tables) -> String {
    let sums: Vec<String> = (0..tables.len()).map(|n| format!("avg(t{n}.value) AS v{n}")).collect();
    format!("SELECT t0.kom, count(*) AS n, {}{} GROUP BY t0.kom", sums.join(", "), from(tables))
}

/// Milliseconds.
struct Time {
    bound: f64,
    planned: f64,
}

/// A project with so many spokes.
struct Bench {
    project: Arc<Project>,
    known: Planner,
    anew: Planner,
}

impl Bench {
    async fn start(folder: &Path, spokes: usize) -> Result<Self> {
        std::fs::create_dir_all(folder.join("national"))?;
        let authority = Authority::create("bench")?;
        let identity = |who: &Peer| -> Result<Tls> {
            let issued = authority.issue(who, 1)?;
            let at = |name: &str| folder.join(format!("{}.{name}", who.name));
            let files = TlsFiles { cert: at("crt"), key: at("key"), ca: at("ca") };
            std::fs::write(&files.cert, issued.cert_pem)?;
            std::fs::write(&files.ca, authority.cert_pem())?;
            runtime::seal::write_private(&files.key, issued.key_pem.as_bytes())?;
            Ok(Tls::load(&files)?)
        };
        let names: Vec<String> = (1..=spokes).map(offering::name).collect();
        // Of one member alone there is no national table.
        if spokes > 1 {
            std::fs::write(folder.join("national").join(format!("{}.toml", TABLES[0])), offering::national(&names))?;
        }
        let (mut addresses, mut controllers) = (BTreeMap::new(), BTreeMap::new());
        for name in &names {
            let address = Offering::new(name, &names)?.serve(&identity(&Peer::spoke(name)?)?).await?.to_string();
            let id: ControllerId = name.parse()?;
            addresses.insert(id.clone(), SpokeAddress { address });
            controllers.insert(id, PermitId::new());
        }
        let links = Arc::new(Links::new(&addresses, &identity(&Peer::hub("main")?)?)?);
        let planner = |keep| -> Result<Planner> {
            let mut profile = Profile::detect();
            profile.scratch.dir = folder.join("scratch");
            let nationals = Nationals::load(folder)?;
            let registry = Registry::new(Arc::clone(&links), nationals, Duration::from_secs(10), keep);
            Ok(Planner::new(registry, Arc::new(Compute::new(profile)?), 2_000_000, Ledgers::default()))
        };
        let member = User { user: USER.parse()?, issuer: ISSUER.to_owned() };
        let project =
            Project { project: "bench".parse()?, title: "Planning".to_owned(), members: [member].into(), controllers };
        let hour = Duration::from_secs(3600);
        Ok(Self { project: Arc::new(project), known: planner(hour)?, anew: planner(Duration::ZERO)? })
    }

    async fn plan(&self, planner: &Planner, sql: &str, zone: Zone, runs: u32) -> Result<Vec<Time>> {
        let mut times = Vec::new();
        for n in 0..WARM_UP + STATEMENTS * usize::try_from(runs)? {
            let caller = Caller {
                user: USER.parse()?,
                issuer: ISSUER.to_owned(),
                token: Proof::default(),
                token_id: "none".to_owned(),
                expires: SystemTime::now() + Duration::from_secs(3600),
                key: None,
                zone,
            };
            let minute = Duration::from_secs(60);
            let context = Arc::new(RequestContext::new(
                caller,
                Arc::clone(&self.project),
                QueryId::new(),
                minute,
                Arc::default(),
            ));
            let started = Instant::now();
            let planned = planner.plan(&context, sql, &Parameters::default(), None).await?;
            let bound = started.elapsed().as_secs_f64() * 1e3;
            let runnable = planned.physical().await?;
            let whole = started.elapsed().as_secs_f64() * 1e3;
            drop(runnable);
            if n >= WARM_UP {
                times.push(Time { bound, planned: whole - bound });
            }
        }
        Ok(times)
    }
}
