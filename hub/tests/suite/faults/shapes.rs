//! The shapes of statements, and a house with three spokes to ask them of.

use super::cable::Cable;
use crate::{
    client::Client,
    house::{Build, House, lab, lmdb},
    spoke::Spoke,
};
use arrow::util::pretty::pretty_format_batches;
use policies::zone::Zone;
use proto::refusal::{Kind, Refusal};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Seconds that a statement may take.
pub const DEADLINE: u64 = 3;
/// What an error may take beyond that: the hub's own grace, and a busy machine.
pub const SLACK: Duration = Duration::from_millis(1500);

/// One shape of a statement.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub sql: &'static str,
    /// whom it asks
    pub spokes: &'static [&'static str],
    /// whose keys go to whom
    pub list: Option<(&'static str, &'static str)>,
}

const fn shape(name: &'static str, spokes: &'static [&'static str], sql: &'static str) -> Shape {
    Shape { name, sql, spokes, list: None }
}

pub const SHAPES: [Shape; 11] = [
    shape("scan of one spoke", &["sds"], "SELECT volume, atc FROM sds.lmdb WHERE volume >= 10"),
    shape("aggregate at one spoke", &["sds"], "SELECT atc, count(*) AS n, sum(volume) AS v FROM sds.lmdb GROUP BY atc"),
    shape(
        "join at one spoke",
        &["region-h"],
        "SELECT a.kom, count(*) AS n FROM \"region-h\".lab a JOIN \"region-h\".lab b ON a.pnr = b.pnr GROUP BY a.kom",
    ),
    Shape {
        list: Some(("sds", "region-h")),
        ..shape(
            "join with a key list",
            &["sds", "region-h"],
            "SELECT l.kom, count(*) AS n, sum(l.value) AS v FROM sds.lmdb m JOIN \"region-h\".lab l ON m.pnr = l.pnr \
             WHERE m.volume < 30 GROUP BY l.kom",
        )
    },
    shape(
        "join without a key list",
        &["region-m", "region-h"],
        "SELECT h.kom, count(*) AS n, sum(m.value) AS v FROM \"region-m\".lab m JOIN \"region-h\".lab h ON m.pnr = h.pnr \
         GROUP BY h.kom",
    ),
    shape(
        "aggregate over a national table",
        &["region-h", "region-m"],
        "SELECT kode, count(*) AS n, avg(value) AS mean FROM national.lab GROUP BY kode",
    ),
    shape(
        "people of overlapping spokes",
        &["region-h", "region-m"],
        "SELECT count(DISTINCT pnr) AS people FROM national.lab",
    ),
    shape(
        "first rows of several",
        &["region-h", "region-m"],
        "SELECT value, controller FROM national.lab ORDER BY value DESC, controller LIMIT 5",
    ),
    shape("union", &["sds", "region-h"], "SELECT volume AS x FROM sds.lmdb UNION SELECT value FROM \"region-h\".lab"),
    shape(
        "window function",
        &["region-h", "region-m"],
        "SELECT controller, value, rank() OVER (PARTITION BY controller ORDER BY value) AS r FROM national.lab",
    ),
    shape(
        "IN subquery",
        &["region-h", "sds"],
        "SELECT value FROM \"region-h\".lab WHERE pnr IN (SELECT pnr FROM sds.lmdb WHERE volume < 5)",
    ),
];

const NATIONAL: &str = r#"
persons = "overlapping"
description_en = "Laboratory results of both regions"

[[column]]
name = "pnr"
type = "person"

[[column]]
name = "kode"
type = "text"
codes = "NPU"

[[column]]
name = "value"
type = "float64"
unit = "mmol/mol"

[[member]]
controller = "region-h"
[member.columns]
kode = { from = "analysiscode" }

[[member]]
controller = "region-m"
[member.columns]
kode = { from = "analysiscode" }
"#;

/// Three spokes, each behind a cable that can be cut, and users who each meet their own faults.
pub struct Home {
    pub house: House,
    pub users: Vec<String>,
    /// in front of the spokes
    pub cables: BTreeMap<&'static str, Cable>,
    spokes: BTreeMap<&'static str, Spoke>,
    right: BTreeMap<&'static str, String>,
}

impl Home {
    /// `users` may ask at once, and no more. Every spoke's table has `scale` times its rows, in messages of `rows`.
    pub async fn new(users: usize, deadline: u64, scale: i64, rows: usize) -> Self {
        let users: Vec<String> = (0..users).map(|n| format!("u{n}@example.org")).collect();
        let offers = [
            ("sds", "lmdb", lmdb(0..40 * scale)),
            ("region-h", "lab", lab(0..60 * scale)),
            ("region-m", "lab", lab(50 * scale..80 * scale)),
        ];
        let mut build = Build::new();
        std::fs::create_dir(build.path().join("national")).unwrap();
        std::fs::write(build.path().join("national/lab.toml"), NATIONAL).unwrap();
        build.query = format!("timeout_seconds = {deadline}");
        build.patience = 1;
        build.profile.queries.slots = Some(users.len());
        build.profile.queries.queue = Some(0);
        let (mut spokes, mut cables) = (BTreeMap::new(), BTreeMap::new());
        for (controller, table, batches) in offers {
            let mut spoke = Spoke::new(controller).offer("diabetes", table, batches);
            spoke.rows = rows;
            let cable = Cable::to(spoke.serve(&build.tls(controller)).await).await;
            build = build.at(controller, cable.address);
            spokes.insert(controller, spoke);
            cables.insert(controller, cable);
        }
        spokes["sds"].terms.lock().unwrap().key_lists_to = vec!["region-h".to_owned()];
        let members: Vec<&str> = users.iter().map(String::as_str).collect();
        let house = build.start(&[("diabetes", &members)]).await;
        let mut home = Self { house, users, cables, spokes, right: BTreeMap::new() };
        home.right = home.answers().await;
        home.check_lists();
        home
    }

    /// All answers without a fault.
    async fn answers(&self) -> BTreeMap<&'static str, String> {
        let mut asker = self.asker(0).await;
        let mut right = BTreeMap::new();
        for shape in &SHAPES {
            let info = asker.client.announce(shape.sql).await.unwrap();
            let answer = asker.fetch(&info).await;
            right.insert(shape.name, answer.unwrap_or_else(|refusal| panic!("{}: {refusal}", shape.name)));
        }
        right
    }

    /// Key lists were sent exactly where the shapes say so: the phases that they give are there.
    fn check_lists(&self) {
        let with_lists = SHAPES.iter().filter(|shape| shape.list.is_some()).count();
        let sent = |controller: &str| {
            let scans = self.spokes[controller].seen.scans.lock().unwrap();
            scans.iter().filter(|scan| !scan.keys.is_empty()).count()
        };
        assert_eq!((sent("sds"), sent("region-m")), (0, 0));
        // The subquery's people, too, make a list.
        assert!(sent("region-h") >= with_lists, "no key list was sent");
    }

    pub fn spoke(&self, controller: &str) -> &Spoke {
        &self.spokes[controller]
    }

    pub fn spokes(&self) -> impl Iterator<Item = &Spoke> {
        self.spokes.values()
    }

    /// The right answer, as [`Asker::fetch`] gives it.
    pub fn right(&self, shape: &Shape) -> &str {
        &self.right[shape.name]
    }

    pub async fn asker(&self, user: usize) -> Asker {
        let user = self.users[user].clone();
        let client = self.house.client(&user, Zone::Enclave).await;
        Asker { client, user }
    }

    /// What came of a statement under a fault at `victim`: the right answer, or an error that names it in time.
    pub fn outcome(
        &self,
        shape: &Shape,
        victim: &str,
        answer: Result<String, Refusal>,
        took: Duration,
    ) -> Result<Outcome, String> {
        if took > Duration::from_secs(DEADLINE) + SLACK {
            return Err(format!("took {:.1} s", took.as_secs_f64()));
        }
        match answer {
            Ok(answer) if answer == self.right(shape) => Ok(Outcome::Right),
            Ok(answer) => Err(format!("a wrong answer:\n{answer}\ninstead of\n{}", self.right(shape))),
            Err(refusal) => {
                let said = &refusal.message;
                if !said.contains(&format!("'{victim}'")) {
                    return Err(format!("an error that doesn't name '{victim}': {said}"));
                }
                if let Some(other) =
                    self.spokes.keys().find(|other| said.contains(&format!("'{other}'")) && **other != victim)
                {
                    return Err(format!("names {other} for {victim}: {said}"));
                }
                if said.chars().count() > 1000 || said.chars().any(|c| c.is_control() || c == '\u{202e}') {
                    return Err(format!("passes on a text that drives terminals: {said:?}"));
                }
                Ok(Outcome::Named(refusal.kind))
            }
        }
    }
}

/// What may come of a statement under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Right,
    Named(Kind),
}

/// One user and their connection.
pub struct Asker {
    pub client: Client,
    pub user: String,
}

impl Asker {
    /// An answer's rows in an order of their own, or why there is none.
    pub async fn fetch(&mut self, info: &arrow_flight::FlightInfo) -> Result<String, Refusal> {
        let mut stream = self.client.stream(info.endpoint[0].ticket.clone().unwrap()).await?;
        let mut batches = Vec::new();
        while let Some(batch) = futures::StreamExt::next(&mut stream).await {
            batches.push(batch.map_err(|error| match error {
                arrow_flight::error::FlightError::Tonic(status) => Refusal::from(*status),
                other => Refusal::new(Kind::Internal, format!("the client can't read it: {other}")),
            })?);
        }
        let table = pretty_format_batches(&batches).unwrap().to_string();
        let mut lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('+')).collect();
        lines.sort_unstable();
        Ok(lines.join("\n"))
    }

    /// The whole way of a statement, and how long it took.
    pub async fn ask(&mut self, sql: &str) -> (Result<String, Refusal>, Duration) {
        let begun = Instant::now();
        let answer = match self.client.announce(sql).await {
            Ok(info) => self.fetch(&info).await,
            Err(refusal) => Err(refusal),
        };
        (answer, begun.elapsed())
    }
}
