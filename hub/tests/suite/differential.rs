//! Random questions over registers that lie at one, two and five spokes get the answer that one engine gives over all
//! the data in one place.
//!
//! `EGER_DIFFERENTIAL=5000` asks more of them than the usual 300; `EGER_SEED=..` asks a failing one again.

use crate::{
    house::{ANNA, Build, House},
    spoke::Spoke,
};
use arrow::{
    array::{
        Array, ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
        StringArray,
    },
    datatypes::{DataType, Field, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use policies::zone::Zone;
use proto::schema;
use std::{collections::BTreeMap, sync::Arc};

const QUESTIONS: u64 = 300;
const TABLES: [&str; 7] = ["bef", "lmdb", "kontakt", "diagnose", "lab_h", "lab_m", "lab_n"];

/// SplitMix64: one number gives the question, so that a failing one can be asked again.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn roll(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    /// NULL once in `every`.
    fn some<T>(&mut self, every: u64, value: T) -> Option<T> {
        (self.roll(every) != 0).then_some(value)
    }
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
                dice.some(25, id(who, 1))
            })
            .collect())
    };
    let texts = |dice: &mut Dice, n: usize, of: &[&'static str]| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let t = dice.one(of);
                    dice.some(12, t)
                })
                .collect::<StringArray>(),
        )
    };
    let days = |dice: &mut Dice, n: usize| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let d = 18_000 + i32::try_from(dice.roll(900)).unwrap();
                    dice.some(15, d)
                })
                .collect::<Date32Array>(),
        )
    };
    let small = |dice: &mut Dice, n: usize, of: u64| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let v = i32::try_from(dice.roll(of)).unwrap() - 2;
                    dice.some(10, v)
                })
                .collect::<Int32Array>(),
        )
    };
    let reals = |dice: &mut Dice, n: usize| -> ArrayRef {
        Arc::new(
            (0..n)
                .map(|_| {
                    let v = dice.roll(400) as f64 / 4.0 - 20.0;
                    dice.some(9, v)
                })
                .collect::<Float64Array>(),
        )
    };
    let decimals = |dice: &mut Dice, n: usize| -> ArrayRef {
        let values = (0..n).map(|_| {
            let v = i128::from(dice.roll(100_000)) - 30_000;
            dice.some(9, v)
        });
        Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(12, 2).unwrap())
    };
    let keys = |dice: &mut Dice, n: usize| -> ArrayRef {
        ids((0..n)
            .map(|_| {
                let k = dice.roll(120);
                dice.some(30, id(k, 9))
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

async fn house(spokes: usize, registers: &BTreeMap<&'static str, RecordBatch>) -> House {
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
    for spoke in all.values() {
        build = build.spoke(spoke).await;
    }
    build.start(&[("diabetes", &[ANNA])]).await
}

/// The question with each `{table}` as it is called here.
fn placed(sql: &str, name: impl Fn(&str) -> String) -> String {
    TABLES.iter().fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{table}}}"), &name(table)))
}

/// What may stand in FROM: its text, and columns by kind: people, texts, whole numbers, numbers, days.
struct From {
    text: &'static str,
    person: &'static [&'static str],
    text_columns: &'static [&'static str],
    whole: &'static [&'static str],
    real: &'static [&'static str],
    day: &'static [&'static str],
}

const LABS: &str = "(SELECT * FROM {lab_h} UNION ALL SELECT * FROM {lab_m} UNION ALL SELECT * FROM {lab_n}) l";

const SOURCES: &[From] = &[
    // The larger side keeps its rows: the engine turns the join round.
    From {
        text: "{lmdb} m LEFT JOIN {bef} b ON b.pnr = m.pnr AND b.koen > 0",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.kom"],
        whole: &["m.apk", "b.koen"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    From {
        text: "{lmdb} m",
        person: &["m.pnr"],
        text_columns: &["m.atc"],
        whole: &["m.apk"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    From {
        text: "{kontakt} k JOIN {diagnose} d ON k.kid = d.kid",
        person: &["k.pnr", "d.kid"],
        text_columns: &["d.kode"],
        whole: &["k.aar", "d.aar"],
        real: &["k.kost"],
        day: &[],
    },
    From {
        text: "{kontakt} k LEFT JOIN {diagnose} d ON k.kid = d.kid AND d.aar = k.aar",
        person: &["k.pnr", "d.kid"],
        text_columns: &["d.kode"],
        whole: &["k.aar", "d.aar"],
        real: &["k.kost"],
        day: &[],
    },
    From {
        text: "{bef} b JOIN {lmdb} m ON b.pnr = m.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "m.atc"],
        whole: &["b.koen", "m.apk"],
        real: &["m.volume"],
        day: &["b.foed", "m.eksd"],
    },
    From {
        text: "{bef} b LEFT JOIN {lab_m} l ON b.pnr = l.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "l.kode"],
        whole: &["b.koen", "l.antal"],
        real: &["l.value", "l.pris"],
        day: &["b.foed", "l.dag"],
    },
    From {
        text: LABS,
        person: &["l.pnr"],
        text_columns: &["l.kode"],
        whole: &["l.antal"],
        real: &["l.value", "l.pris"],
        day: &["l.dag"],
    },
    From {
        text: "{bef} b JOIN (SELECT * FROM {lab_h} UNION ALL SELECT * FROM {lab_m}) l ON b.pnr = l.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom", "l.kode"],
        whole: &["b.koen", "l.antal"],
        real: &["l.value", "l.pris"],
        day: &["l.dag"],
    },
    From {
        text: "{bef} b JOIN {kontakt} k ON b.pnr = k.pnr JOIN {diagnose} d ON d.kid = k.kid JOIN {lab_h} l ON l.pnr = b.pnr",
        person: &["b.pnr", "d.kid"],
        text_columns: &["b.kom", "d.kode", "l.kode"],
        whole: &["k.aar", "l.antal"],
        real: &["k.kost", "l.value"],
        day: &["l.dag"],
    },
    From {
        text: "(SELECT pnr, atc, count(*) AS n, sum(volume) AS v FROM {lmdb} GROUP BY pnr, atc) m JOIN {bef} b ON b.pnr = m.pnr",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.kom"],
        whole: &["m.n"],
        real: &["m.v"],
        day: &["b.foed"],
    },
    From {
        text: "{lab_h} a JOIN {lab_h} l ON a.pnr = l.pnr AND a.dag < l.dag",
        person: &["a.pnr"],
        text_columns: &["a.kode", "l.kode"],
        whole: &["l.antal"],
        real: &["a.value", "l.pris"],
        day: &["a.dag"],
    },
];

fn condition(dice: &mut Dice, from: &From) -> String {
    let t = dice.one(from.text_columns);
    let w = dice.one(from.whole);
    let r = dice.one(from.real);
    let p = dice.one(from.person);
    let n = i64::try_from(dice.roll(8)).unwrap() - 2;
    match dice.roll(14) {
        0 => format!("{t} = 'A10BA02'"),
        1 => format!("{t} LIKE 'A10%'"),
        2 => format!("{t} IN ('DE11', 'NPU27300', '101', 'C09AA05')"),
        3 => format!("{w} > {n}"),
        4 => format!("{w} BETWEEN {n} AND {}", n + 3),
        5 => format!("{r} >= {n}.5"),
        6 => format!("{t} IS NOT NULL AND {r} IS NOT NULL"),
        7 => format!("({w} = {n} OR {r} < 0)"),
        8 => format!("{p} IN (SELECT pnr FROM {{lmdb}} WHERE atc LIKE 'A10%')"),
        9 => format!("NOT EXISTS (SELECT 1 FROM {{lab_h}} e WHERE e.pnr = {p} AND e.value > 40)"),
        10 => format!("regexp_like({t}, '^[A-D]')"),
        11 => match from.day.first() {
            Some(day) => format!("{day} >= DATE '2020-01-01'"),
            None => format!("{w} IS NULL"),
        },
        12 => format!("{r} > (SELECT avg(value) FROM {{lab_m}})"),
        _ => format!("coalesce({w}, 0) + 1 <> {n}"),
    }
}

fn measure(dice: &mut Dice, from: &From) -> String {
    let (w, r, t, p) = (dice.one(from.whole), dice.one(from.real), dice.one(from.text_columns), dice.one(from.person));
    let filter = if dice.roll(4) == 0 { format!(" FILTER (WHERE {w} > 1)") } else { String::new() };
    match dice.roll(12) {
        0 | 1 => format!("count(*){filter}"),
        2 => format!("count({r}){filter}"),
        3 => format!("sum({w}){filter}"),
        4 => format!("sum({r}){filter}"),
        5 => format!("avg({r}){filter}"),
        6 => format!("avg({w}){filter}"),
        7 => format!("min({t}){filter}"),
        8 => format!("max({r}){filter}"),
        9 => format!("stddev({w})"),
        10 => format!("var_pop({r})"),
        _ => format!("count(DISTINCT {p}){filter}"),
    }
}

fn group(dice: &mut Dice, from: &From) -> String {
    match (dice.roll(5), from.day.first()) {
        (0, Some(day)) => format!("date_trunc('month', {day})"),
        (1, _) => format!("CASE WHEN {} > 1 THEN 'many' ELSE 'few' END", dice.one(from.whole)),
        (2, _) => dice.one(from.whole).to_owned(),
        _ => dice.one(from.text_columns).to_owned(),
    }
}

fn question(seed: u64) -> String {
    let dice = &mut Dice(seed);
    let from = &SOURCES[usize::try_from(dice.roll(SOURCES.len() as u64)).unwrap()];
    let conditions: Vec<String> = (0..dice.roll(3)).map(|_| condition(dice, from)).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let text = from.text;
    match dice.roll(8) {
        // rows in a full order
        0 => {
            let columns: Vec<&str> =
                from.person.iter().chain(from.text_columns).chain(from.whole).chain(from.real).copied().collect();
            let order: Vec<String> = (1..=columns.len())
                .map(|i| if dice.roll(3) == 0 { format!("{i} DESC") } else { i.to_string() })
                .collect();
            let offset = if dice.roll(3) == 0 { format!(" OFFSET {}", dice.roll(9)) } else { String::new() };
            format!(
                "SELECT {} FROM {text}{filter} ORDER BY {} LIMIT {}{offset}",
                columns.join(", "),
                order.join(", "),
                1 + dice.roll(30)
            )
        }
        1 => format!("SELECT DISTINCT {}, {} FROM {text}{filter}", dice.one(from.text_columns), dice.one(from.whole)),
        2 => {
            let measures: Vec<String> =
                (0..1 + dice.roll(4)).map(|i| format!("{} AS m{i}", measure(dice, from))).collect();
            format!("SELECT {} FROM {text}{filter}", measures.join(", "))
        }
        3 => {
            let (a, b) = (dice.one(from.text_columns), dice.one(from.whole));
            let sets = dice
                .one(&["ROLLUP (@a, @b)", "CUBE (@a, @b)", "GROUPING SETS ((@a), (@b), ())"])
                .replace("@a", a)
                .replace("@b", b);
            format!("SELECT {a} AS a, {b} AS b, {} AS m FROM {text}{filter} GROUP BY {sets}", measure(dice, from))
        }
        4 => {
            let g = group(dice, from);
            format!(
                "SELECT g, n, row_number() OVER (ORDER BY n DESC, g) AS place FROM (SELECT {g} AS g, {} AS n FROM {text}{filter} GROUP BY 1) q",
                dice.one(&["count(*)", "count(*) + 1"])
            )
        }
        _ => {
            let groups: Vec<String> = (0..1 + dice.roll(2)).map(|i| format!("{} AS g{i}", group(dice, from))).collect();
            let numbers: Vec<String> = (1..=groups.len()).map(|i| i.to_string()).collect();
            let measures: Vec<String> =
                (0..1 + dice.roll(4)).map(|i| format!("{} AS m{i}", measure(dice, from))).collect();
            let having = if dice.roll(4) == 0 { " HAVING count(*) > 2" } else { "" };
            let order = if dice.roll(4) == 0 {
                let all: Vec<String> = (1..=groups.len() + measures.len()).map(|i| i.to_string()).collect();
                format!(" ORDER BY {} LIMIT {}", all.join(", "), 1 + dice.roll(6))
            } else {
                String::new()
            };
            format!(
                "SELECT {}, {} FROM {text}{filter} GROUP BY {}{having}{order}",
                groups.join(", "),
                measures.join(", "),
                numbers.join(", ")
            )
        }
    }
}

/// Rows as text, floats to eight digits: a sum's last digits depend on its order.
pub fn shown(batches: &[RecordBatch], ordered: bool) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().zip(batch.columns()).map(|(c, array)| {
                let text = c.value(row).to_string();
                match (array.data_type(), text.parse::<f64>()) {
                    (DataType::Float64, Ok(f)) if f.abs() < 1e-9 => "0".to_owned(),
                    (DataType::Float64, Ok(f)) => format!("{f:.8e}"),
                    _ => text,
                }
            });
            rows.push(cells.collect::<Vec<_>>().join(" | "));
        }
    }
    if !ordered {
        rows.sort();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn differential_random_questions_on_one_two_and_five_spokes_equal_the_local_answer() {
    let registers = registers();
    let local = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, batch) in &registers {
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        local.register_table(*name, Arc::new(memory)).unwrap();
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("EGER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("EGER_DIFFERENTIAL").unwrap_or(QUESTIONS),
    };
    let (mut answered, mut wrong) = (0, Vec::new());
    let mut houses = Vec::new();
    for spokes in [1, 2, 5] {
        houses.push((spokes, house(spokes, &registers).await));
    }
    for seed in seeds {
        let sql = question(seed);
        #[allow(clippy::disallowed_methods)] // the engine by itself, which knows only these tables
        let frame = local.sql(&placed(&sql, str::to_owned)).await;
        let Ok(truth) = frame.unwrap_or_else(|e| panic!("seed {seed}: {sql}: {e}")).collect().await else { continue };
        let ordered = sql.contains("ORDER BY") && !sql.contains("OVER");
        let truth = shown(&truth, ordered);
        for (spokes, house) in &houses {
            let mut anna = house.client(ANNA, Zone::Enclave).await;
            eprintln!("ASK {seed} {spokes} {sql}");
            let sql = placed(&sql, |table| format!("{}.{table}", layout(*spokes, table)));
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
