//! What EXPLAIN ANALYZE and progress tell of one person in the open zone, by all numbers in them together.
//!
//! Numbers are told in classes that begin at another place for each statement, one place for all numbers of it. So what a statement tells is
//! one of 256 answers, which follow from the exact numbers; those the enclave tells. An answer that is none of them would tell more than its
//! classes do, and how many of them are others with one person more says what that person changes.

use crate::{
    checked::hashed,
    client::Client,
    house::{ANNA, Build, House, people},
    spoke::{Manner, Spoke},
};
use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hub::{
    receive::{PROGRESS, ToSign},
    watch::Progress,
};
use policies::{
    disclosure::{coarse, moved},
    zone::Zone,
};
use proto::{schema, wire};
use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Duration};

/// Rows of a table: so few that they travel in one message.
const ALL: i64 = 8_000;
/// With the one whose `nr` is 0, and without.
const TABLES: [&str; 2] = ["uden", "med"];
/// So often each is asked in the open zone.
const ASKED: usize = 3;

/// People, each with a row and a number of their own.
fn numbered(range: Range<i64>) -> Vec<RecordBatch> {
    let person = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("nr", DataType::Int64, true),
        Field::new("kode", DataType::Utf8, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        people(range.clone()),
        Arc::new(Int64Array::from_iter_values(range.clone())),
        Arc::new(StringArray::from_iter_values(range.map(|_| "NPU27300"))),
    ];
    hashed(vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()])
}

async fn house() -> (House, Spoke) {
    let mut sds =
        Spoke::new("sds").offer("diabetes", "med", numbered(0..ALL)).offer("diabetes", "uden", numbered(1..ALL));
    sds.rows = 100_000;
    let house = Build::new().spoke(&sds).await.start(&[("diabetes", &[ANNA])]).await;
    (house, sds)
}

/// A statement whose rows travel, since a fragment can't say its condition: of `most` people, and of one more where they are.
fn statement(table: &str, most: i64) -> String {
    format!(
        "SELECT count(DISTINCT pnr) AS n FROM sds.{table} WHERE nr <= {most} AND regexp_replace(kode, 'N', 'M') = 'MPU27300'"
    )
}

/// What is told beside the answer, but for how long the hub waited.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    rows: String,
    bytes: String,
    at_spoke: String,
    result: String,
}

impl Told {
    /// The columns that differ.
    fn differs(&self, other: &Self) -> Vec<&'static str> {
        let all = [
            ("rows", &self.rows, &other.rows),
            ("bytes", &self.bytes, &other.bytes),
            ("at_spoke", &self.at_spoke, &other.at_spoke),
            ("result", &self.result, &other.result),
        ];
        all.into_iter().filter(|(_, a, b)| a != b).map(|(name, ..)| name).collect()
    }

    /// What the open zone tells of these exact numbers where classes begin at this place.
    fn coarsened(&self, by: u8) -> Self {
        let of = |text: &String| coarsened(text, by);
        Self { rows: of(&self.rows), bytes: of(&self.bytes), at_spoke: of(&self.at_spoke), result: of(&self.result) }
    }

    /// All 256 of it.
    fn all(&self) -> Vec<Self> {
        (0..=255).map(|by| self.coarsened(by)).collect()
    }
}

/// A text with its numbers in classes.
fn coarsened(text: &str, by: u8) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.char_indices().find(|(at, c)| {
            let within = *c == ',' && from[at + 1..].starts_with(|next: char| next.is_ascii_digit());
            !within && !c.is_ascii_digit()
        });
        let (number, after) = from.split_at(end.map_or(from.len(), |(at, _)| at));
        out.push_str(before);
        out.push_str(&coarse(moved(number.replace(',', "").parse().unwrap(), by)));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn explained(batches: &[RecordBatch], column: &str, row: usize) -> String {
    batches[0].column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned()
}

/// What EXPLAIN ANALYZE tells of `most` people, or of one more.
async fn analysed(client: &mut Client, sds: &Spoke, one_more: bool, most: i64, zone: Zone) -> Told {
    let rows = u64::try_from(most + i64::from(one_more)).unwrap();
    sds.set(Manner::Measures(wire::Measured {
        exact: true,
        waited_ms: 2,
        worked_ms: 31,
        rows_read: rows,
        bytes_read: 24 * rows,
        groups_read: 3,
        groups_skipped: 8,
    }));
    let sql = format!("EXPLAIN ANALYZE {}", statement(TABLES[usize::from(one_more)], most));
    for _ in 0..20 {
        let batches = client.sql(&sql).await.unwrap();
        let hub = (0..batches[0].num_rows()).find(|row| {
            explained(&batches, "runs_at", *row) == "hub" && !explained(&batches, "what", *row).starts_with('(')
        });
        let told = Told {
            rows: explained(&batches, "rows", 0),
            bytes: explained(&batches, "bytes", 0),
            at_spoke: explained(&batches, "at_spoke", 0),
            result: explained(&batches, "rows", hub.unwrap()),
        };
        // How long a busy machine took tells of the machine.
        if zone == Zone::Enclave || explained(&batches, "waited", 0) == "up to 1,000 ms" {
            return told;
        }
    }
    panic!("no statement of twenty was answered within a second");
}

/// The most people whose rows take so many bytes at the most.
async fn within(client: &mut Client, sds: &Spoke, bytes: u64) -> i64 {
    let (mut fits, mut too_many) = (1, ALL);
    while too_many - fits > 1 {
        let middle = i64::midpoint(fits, too_many);
        let told = analysed(client, sds, false, middle, Zone::Enclave).await;
        if told.bytes.replace(',', "").parse::<u64>().unwrap() <= bytes {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    fits
}

/// Learns: that there is one more, by five statements in 256 at the worst edge: bytes come in steps of 64 and 128, and several numbers are near an edge at
/// once. Off (classes that always begin at the same number): at once, at each edge.
#[tokio::test(flavor = "multi_thread")]
async fn attack_explain_analyze_at_many_edges_with_and_without_a_person() {
    let (house, sds) = house().await;
    let mut inside = house.client(ANNA, Zone::Enclave).await;
    let mut outside = house.client(ANNA, Zone::Open).await;
    let mut edges: Vec<i64> = vec![1_000, 1_024, 1_365, 1_500, 2_048, 2_730, 4_096, 6_000];
    for power in 14..=17 {
        edges.push(within(&mut inside, &sds, 1 << power).await);
    }
    let (mut by_column, mut most, mut asked, mut at_once) = ([0_usize; 4], 0, 0, BTreeSet::new());
    for edge in &edges {
        let mut exact = Vec::new();
        for one_more in [false, true] {
            let told = analysed(&mut inside, &sds, one_more, *edge, Zone::Enclave).await;
            let possible = told.all();
            for _ in 0..ASKED {
                let shown = analysed(&mut outside, &sds, one_more, *edge, Zone::Open).await;
                assert!(
                    possible.contains(&shown),
                    "{shown:?} doesn't follow from {told:?} by one place of all classes"
                );
                asked += 1;
            }
            exact.push((told, possible));
        }
        let [(without, shown_without), (with, shown_with)] = exact.try_into().unwrap();
        assert_ne!(without, with, "nobody is left out");
        // At their usual places classes begin just there.
        at_once.extend(shown_without[0].differs(&shown_with[0]));
        let places: Vec<_> = shown_without.iter().zip(&shown_with).map(|(a, b)| a.differs(b)).collect();
        let differ = places.iter().filter(|columns| !columns.is_empty()).count();
        for column in places.iter().flatten() {
            let at = ["rows", "bytes", "at_spoke", "result"].iter().position(|name| name == column).unwrap();
            by_column[at] += 1;
        }
        println!(
            "{edge} people or one more, {} or {} bytes: answers differ at {differ} of 256 places",
            without.bytes, with.bytes
        );
        most = most.max(differ);
    }
    let places = 256 * edges.len();
    let told = 1.0 - most as f64 / 256.0;
    println!(
        "{} edges, {asked} statements answered as their classes say. Of {places} places one person changes rows at {}, bytes at {}, what the \
         spoke measured at {}, rows of the result at {}; at the worst edge {most} of 256: told 19 times in 20 after {:.0} statements",
        edges.len(),
        by_column[0],
        by_column[1],
        by_column[2],
        by_column[3],
        0.05_f64.ln() / told.ln()
    );
    assert!(at_once.contains("rows") && at_once.contains("bytes"), "the attack doesn't work by itself: {at_once:?}");
    assert!(by_column.iter().sum::<usize>() > 0 && most <= 6, "{by_column:?} {most}");
}

/// How many rows a running statement has got so far, as its client is told.
async fn rows_so_far(house: &House, sds: &Spoke, zone: Zone, one_more: bool, most: i64) -> u64 {
    sds.set(Manner::Stalls(1));
    let mut asking = house.client(ANNA, zone).await;
    let info = asking.announce(&statement(TABLES[usize::from(one_more)], most)).await.unwrap();
    let told: ToSign = serde_json::from_slice(&info.app_metadata).unwrap();
    let running = tokio::spawn(async move { drop(asking.fetch(&info).await) });
    let mut watching = house.client(ANNA, zone).await;
    let seen = async {
        loop {
            let said = watching.action(PROGRESS, told.query_id.to_string().into_bytes()).await;
            let all: Vec<Progress> = said.map(|json| serde_json::from_slice(&json).unwrap()).unwrap_or_default();
            // In the open zone there are "up to 1,000" rows before any came.
            if let Some(spoke) = all.first()
                && spoke.rows > 1_000
            {
                return spoke.rows;
            }
            tokio::task::yield_now().await;
        }
    };
    let rows = tokio::time::timeout(Duration::from_secs(20), seen).await.expect("rows");
    running.abort();
    sds.idle().await;
    rows
}

/// Learns: at most, by one statement in 256, that there is one more. Off (the enclave's numbers): at once.
#[tokio::test(flavor = "multi_thread")]
async fn attack_progress_at_many_edges_with_and_without_a_person() {
    let (house, sds) = house().await;
    let mut most = 0;
    for edge in [1_024, 1_365, 2_048, 4_096, 6_000_i64] {
        let mut exact = Vec::new();
        for one_more in [false, true] {
            let rows = rows_so_far(&house, &sds, Zone::Enclave, one_more, edge).await;
            let told = rows_so_far(&house, &sds, Zone::Open, one_more, edge).await;
            let possible: Vec<u64> = (0..=255)
                .map(|by| coarsened(&rows.to_string(), by).replace("up to ", "").replace(',', "").parse().unwrap())
                .collect();
            assert!(possible.contains(&told), "{told} of {rows}");
            exact.push((rows, possible));
        }
        assert_eq!(exact[1].0, exact[0].0 + 1, "the attack doesn't work by itself");
        let differ = exact[0].1.iter().zip(&exact[1].1).filter(|(a, b)| a != b).count();
        println!("progress of {edge} people or one more differs at {differ} of 256 places");
        most = most.max(differ);
    }
    assert_eq!(most, 1);
}
