//! Random questions over registers that lie at one, two and five spokes get the answer that one engine gives over all
//! the data in one place.
//!
//! `EGER_DIFFERENTIAL=5000` asks more of them than the usual 300; `EGER_SEED=..` asks a failing one again.

use crate::{
    grammar::{Dice, Registers, Source, ordered, placed, question, seeds, shown},
    house::{ANNA, Build, House},
    spoke::Spoke,
};
use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
        StringArray,
    },
    datatypes::{Field, Schema},
};
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use policies::zone::Zone;
use proto::schema;
use std::{collections::BTreeMap, sync::Arc};

const QUESTIONS: u64 = 300;
const TABLES: &[&str] = &["bef", "lmdb", "kontakt", "diagnose", "lab_h", "lab_m", "lab_n"];

const REGISTERS: Registers = Registers {
    tables: TABLES,
    sources: SOURCES,
    text: "A10BA02",
    like: "A10%",
    texts: "'DE11', 'NPU27300', '101', 'C09AA05'",
    pattern: "^[A-D]",
    day: "2020-01-01",
    cohort: "SELECT pnr FROM {lmdb} WHERE atc LIKE 'A10%'",
    event: "SELECT 1 FROM {lab_h} e WHERE e.pnr = {p} AND e.value > 40",
    number: "SELECT avg(value) FROM {lab_m}",
};

/// NULL once in `every`.
fn some<T>(dice: &mut Dice, every: u64, value: T) -> Option<T> {
    (dice.roll(every) != 0).then_some(value)
}

fn id(n: u64, salt: u8) -> [u8; 16] {
    let mut id = [salt; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn ids(values: Vec<Option<[u8; 16]>>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).unwrap())
}

fn table(columns: Vec<(&str, Option<&str>, ArrayRef)>) -> RecordBatch {
    let field = |(name, role, array): &(&str, Option<&str>, ArrayRef)| {
        let metadata = role.map(|role| [(schema::ROLE.to_owned(), role.to_owned())].into()).unwrap_or_default();
        Field::new(*name, array.data_type().clone(), true).with_metadata(metadata)
    };
    let fields: Vec<Field> = columns.iter().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, _, a)| a).collect()).unwrap()
}

/// Small registers with NULLs, ties, people in several of them and people in none.
fn registers() -> BTreeMap<&'static str, RecordBatch> {
    let mut dice = Dice(7);
    let person = schema::PERSON;
    let people = |dice: &mut Dice, n: usize, of: u64| -> ArrayRef {
        ids((0..n)
            .map(|_| {
                let who = dice.roll(of);
                some(dice, 25, id(who, 1))
            })
            .collect())
    };
    let texts = |dice: &mut Dice, n: usize, of: &[&'static str]| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let t = dice.one(of);
                    some(dice, 12, t)
                })
                .collect::<StringArray>(),
        )
    };
    let days = |dice: &mut Dice, n: usize| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let d = 18_000 + i32::try_from(dice.roll(900)).unwrap();
                    some(dice, 15, d)
                })
                .collect::<Date32Array>(),
        )
    };
    let small = |dice: &mut Dice, n: usize, of: u64| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let v = i32::try_from(dice.roll(of)).unwrap() - 2;
                    some(dice, 10, v)
                })
                .collect::<Int32Array>(),
        )
    };
    let reals = |dice: &mut Dice, n: usize| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let v = dice.roll(400) as f64 / 4.0 - 20.0;
                    some(dice, 9, v)
                })
                .collect::<Float64Array>(),
        )
    };
    let decimals = |dice: &mut Dice, n: usize| -> ArrayRef {
        let values = (0..n).map(|_| {
            let v = i128::from(dice.roll(100_000)) - 30_000;
            some(dice, 9, v)
        });
        Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(12, 2).unwrap())
    };
    let keys = |dice: &mut Dice, n: usize| -> ArrayRef {
        ids((0..n)
            .map(|_| {
                let k = dice.roll(120);
                some(dice, 30, id(k, 9))
            })
            .collect())
    };
    let koms = ["101", "147", "751", "851"];
    let d = &mut dice;
    let mut all = BTreeMap::new();
    let everybody = ids((0..150).map(|n| Some(id(n, 1))).collect());
    all.insert(
        "bef",
        table(vec![
            ("pnr", Some(person), everybody),
            ("koen", None, small(d, 150, 5)),
            ("kom", None, texts(d, 150, &koms)),
            ("foed", None, days(d, 150)),
        ]),
    );
    all.insert(
        "lmdb",
        table(vec![
            ("pnr", Some(person), people(d, 400, 180)),
            ("atc", None, texts(d, 400, &["A10BA02", "A10BB01", "C09AA05", "", "N02B"])),
            ("eksd", None, days(d, 400)),
            ("volume", None, decimals(d, 400)),
            ("apk", None, small(d, 400, 6)),
        ]),
    );
    all.insert(
        "kontakt",
        table(vec![
            ("kid", Some(schema::KEY), ids((0..120).map(|n| Some(id(n, 9))).collect())),
            ("pnr", Some(person), people(d, 120, 160)),
            ("aar", None, small(d, 120, 9)),
            ("kost", None, reals(d, 120)),
        ]),
    );
    all.insert(
        "diagnose",
        table(vec![
            ("kid", Some(schema::KEY), keys(d, 260)),
            ("kode", None, texts(d, 260, &["DE11", "DE10", "DI10", "DK35"])),
            ("aar", None, small(d, 260, 9)),
        ]),
    );
    for (name, rows, of) in [("lab_h", 200, 90), ("lab_m", 150, 170), ("lab_n", 0, 10)] {
        all.insert(
            name,
            table(vec![
                ("pnr", Some(person), people(d, rows, of)),
                ("kode", None, texts(d, rows, &["NPU27300", "NPU18016", "NPU01568"])),
                ("dag", None, days(d, rows)),
                ("value", None, reals(d, rows)),
                ("antal", None, small(d, rows, 7)),
                ("pris", None, decimals(d, rows)),
            ]),
        );
    }
    all
}

/// Which controller has which table.
fn layout(spokes: usize, table: &str) -> &'static str {
    match (spokes, table) {
        (1, _) => "one",
        (2, "bef" | "kontakt" | "diagnose" | "lab_n") => "one",
        (2, _) => "two",
        (_, "bef") => "one",
        (_, "lmdb" | "kontakt" | "diagnose") => "two",
        (_, "lab_h") => "three",
        (_, "lab_m") => "four",
        _ => "five",
    }
}

/// `query`: more of hub.toml's `[query]`.
async fn house(spokes: usize, registers: &BTreeMap<&'static str, RecordBatch>, query: &str) -> (House, Vec<Spoke>) {
    let mut all: BTreeMap<&str, Spoke> = BTreeMap::new();
    for name in TABLES {
        let controller = layout(spokes, name);
        let spoke = all.remove(controller).unwrap_or_else(|| Spoke::new(controller));
        all.insert(controller, spoke.offer("diabetes", name, vec![registers[name].clone()]));
    }
    if spokes > 2 {
        // Here each permit lets key lists go to all others.
        let names: Vec<String> = all.keys().map(|name| (*name).to_owned()).collect();
        for spoke in all.values() {
            spoke.terms.lock().unwrap().key_lists_to = names.clone();
        }
    }
    let mut build = Build::new();
    build.cache = 600;
    build.query = query.to_owned();
    for spoke in all.values() {
        build = build.spoke(spoke).await;
    }
    (build.start(&[("diabetes", &[ANNA])]).await, all.into_values().collect())
}

const LABS: &str = "(SELECT * FROM {lab_h} UNION ALL SELECT * FROM {lab_m} UNION ALL SELECT * FROM {lab_n}) l";

const SOURCES: &[Source] = &[
    // The larger side keeps its rows: the engine turns the join round.
    Source {
        text: "{lmdb} m LEFT JOIN {bef} b ON b.pnr = m.pnr AND b.koen > 0",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.kom"],
        whole: &["m.apk", "b.koen"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    Source {
        text: "{lmdb} m",
        person: &["m.pnr"],
        text_columns: &["m.atc"],
        whole: &["m.apk"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    Source {
        text: "{kontakt} k JOIN {diagnose} d ON k.kid = d.kid",
        person: &["k.pnr", "d.kid"],
        text_columns: &["d.kode"],
        whole: &["k.aar", "d.aar"],
        real: &["k.kost"],
        day: &[],
    },
    Source {
        text: "{kontakt} k LEFT JOIN {diagnose} d ON k.kid = d.kid AND d.aar = k.aar",
        person: &["k.pnr", "d.kid"],
        text_columns: &["d.kode"],
        whole: &["k.aar", "d.aar"],
        real: &["k.kost"],
        day: &[],
    },
    Source {
        text: "{bef} b JOIN {lmdb} m ON b.pnr = m.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "m.atc"],
        whole: &["b.koen", "m.apk"],
        real: &["m.volume"],
        day: &["b.foed", "m.eksd"],
    },
    Source {
        text: "{bef} b LEFT JOIN {lab_m} l ON b.pnr = l.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "l.kode"],
        whole: &["b.koen", "l.antal"],
        real: &["l.value", "l.pris"],
        day: &["b.foed", "l.dag"],
    },
    Source {
        text: LABS,
        person: &["l.pnr"],
        text_columns: &["l.kode"],
        whole: &["l.antal"],
        real: &["l.value", "l.pris"],
        day: &["l.dag"],
    },
    Source {
        text: "{bef} b JOIN (SELECT * FROM {lab_h} UNION ALL SELECT * FROM {lab_m}) l ON b.pnr = l.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "l.kode"],
        whole: &["b.koen", "l.antal"],
        real: &["l.value", "l.pris"],
        day: &["l.dag"],
    },
    Source {
        text: "{bef} b JOIN {kontakt} k ON b.pnr = k.pnr JOIN {diagnose} d ON d.kid = k.kid JOIN {lab_h} l ON l.pnr = b.pnr",
        person: &["b.pnr", "d.kid"],
        text_columns: &["b.kom", "d.kode", "l.kode"],
        whole: &["k.aar", "l.antal"],
        real: &["k.kost", "l.value"],
        day: &["l.dag"],
    },
    Source {
        text: "(SELECT pnr, atc, count(*) AS n, sum(volume) AS v FROM {lmdb} GROUP BY pnr, atc) m JOIN {bef} b ON b.pnr = m.pnr",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.kom"],
        whole: &["m.n"],
        real: &["m.v"],
        day: &["b.foed"],
    },
    Source {
        text: "{lab_h} a JOIN {lab_h} l ON a.pnr = l.pnr AND a.dag < l.dag",
        person: &["a.pnr"],
        text_columns: &["a.kode", "l.kode"],
        whole: &["l.antal"],
        real: &["a.value", "l.pris"],
        day: &["a.dag"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn differential_random_questions_on_one_two_and_five_spokes_equal_the_local_answer() {
    let registers = registers();
    let mut houses = Vec::new();
    for spokes in [1, 2, 5] {
        houses.push((spokes, house(spokes, &registers, "").await.0));
    }
    compare(&registers, &houses, seeds(QUESTIONS)).await;
}

/// Keys of joins travel as Bloom filters, which find strangers too: nobody is lost, and no stranger is in an answer.
#[tokio::test(flavor = "multi_thread")]
async fn differential_questions_whose_keys_travel_as_bloom_filters_equal_the_local_answer() {
    let registers = registers();
    let (house, spokes) = house(5, &registers, "key_list = 1").await;
    compare(&registers, &[(5, house)], 1..101).await;
    let mut sent = [0, 0];
    for spoke in &spokes {
        for list in spoke.seen.scans.lock().unwrap().iter().flat_map(|scan| &scan.keys) {
            sent[usize::from(matches!(list.kind, Some(proto::wire::key_list::Kind::Bloom(_))))] += 1;
        }
    }
    println!("{} filters and {} lists travelled", sent[1], sent[0]);
    assert!(sent[1] >= 10, "{sent:?}");
}

async fn compare(
    registers: &BTreeMap<&'static str, RecordBatch>,
    houses: &[(usize, House)],
    seeds: std::ops::Range<u64>,
) {
    let local = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, batch) in registers {
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        local.register_table(*name, Arc::new(memory)).unwrap();
    }
    let (mut answered, mut wrong) = (0, Vec::new());
    for seed in seeds {
        let sql = question(&REGISTERS, seed);
        #[allow(clippy::disallowed_methods)] // the engine by itself, which knows only these tables
        let frame = local.sql(&placed(&REGISTERS, &sql, str::to_owned)).await;
        let Ok(truth) = frame.unwrap_or_else(|e| panic!("seed {seed}: {sql}: {e}")).collect().await else { continue };
        let ordered = ordered(&sql);
        let truth = shown(&truth, ordered);
        for (spokes, house) in houses {
            let mut anna = house.client(ANNA, Zone::Enclave).await;
            eprintln!("ASK {seed} {spokes} {sql}");
            let sql = placed(&REGISTERS, &sql, |table| format!("{}.{table}", layout(*spokes, table)));
            match anna.sql(&sql).await {
                Ok(answer) if shown(&answer, ordered) == truth => answered += 1,
                Ok(answer) => wrong.push(format!(
                    "seed {seed}, {spokes} spokes: {sql}\n  got  {:?}\n  want {truth:?}",
                    shown(&answer, ordered)
                )),
                Err(refusal) => wrong.push(format!("seed {seed}, {spokes} spokes: {sql}\n  refused: {refusal}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong of {}:\n{}",
        wrong.len(),
        answered + wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    println!("{answered} answers equal the local one");
    assert!(answered > 0);
}
