//! The grammar of random questions, over whatever registers there are: one number gives a question. Used by the hub's
//! tests over simulated spokes and by the end-to-end tests over real ones.
//!
//! `EGER_DIFFERENTIAL=5000` asks that many; `EGER_SEED=..` asks a failing one again.

#![allow(clippy::unwrap_used, reason = "for tests only")]

use arrow::{
    array::{Array, RecordBatch},
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use std::ops::Range;

/// SplitMix64: one number gives the question, so that a failing one can be asked again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn roll(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }
}

/// What may stand in FROM, and its columns by kind. Each list but `day` holds one at least.
pub(crate) struct Source {
    /// its text; `{table}` stands for a register
    pub(crate) text: &'static str,
    /// what people and links are known by
    pub(crate) person: &'static [&'static str],
    pub(crate) text_columns: &'static [&'static str],
    /// whole numbers
    pub(crate) whole: &'static [&'static str],
    pub(crate) real: &'static [&'static str],
    pub(crate) day: &'static [&'static str],
}

/// Registers that questions can be asked of.
pub(crate) struct Registers {
    /// names that stand in braces in a question
    pub(crate) tables: &'static [&'static str],
    pub(crate) sources: &'static [Source],
    /// a text that some rows have
    pub(crate) text: &'static str,
    /// a pattern that some texts match, for LIKE
    pub(crate) like: &'static str,
    /// some texts, as they stand in IN (..)
    pub(crate) texts: &'static str,
    /// a pattern that some texts match, for regexp_like
    pub(crate) pattern: &'static str,
    /// a day in the middle
    pub(crate) day: &'static str,
    /// statement that gives a cohort's people
    pub(crate) cohort: &'static str,
    /// statement that has rows for some people, `{p}`
    pub(crate) event: &'static str,
    /// statement that gives one number
    pub(crate) number: &'static str,
}

/// The question with each `{table}` as it is called here.
pub(crate) fn placed(registers: &Registers, sql: &str, name: impl Fn(&str) -> String) -> String {
    registers.tables.iter().fold(sql.to_owned(), |sql, table| sql.replace(&format!("{{{table}}}"), &name(table)))
}

/// The seeds to ask: `EGER_SEED` alone, else as many as `EGER_DIFFERENTIAL` or `usual` says.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("EGER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("EGER_DIFFERENTIAL").unwrap_or(usual),
    }
}

/// Whether the rows of a question's answer have an order.
pub(crate) fn ordered(sql: &str) -> bool {
    sql.contains("ORDER BY") && !sql.contains("OVER")
}

fn condition(dice: &mut Dice, registers: &Registers, from: &Source) -> String {
    let t = dice.one(from.text_columns);
    let w = dice.one(from.whole);
    let r = dice.one(from.real);
    let p = dice.one(from.person);
    let n = i64::try_from(dice.roll(8)).unwrap() - 2;
    match dice.roll(14) {
        0 => format!("{t} = '{}'", registers.text),
        1 => format!("{t} LIKE '{}'", registers.like),
        2 => format!("{t} IN ({})", registers.texts),
        3 => format!("{w} > {n}"),
        4 => format!("{w} BETWEEN {n} AND {}", n + 3),
        5 => format!("{r} >= {n}.5"),
        6 => format!("{t} IS NOT NULL AND {r} IS NOT NULL"),
        7 => format!("({w} = {n} OR {r} < 0)"),
        8 => format!("{p} IN ({})", registers.cohort),
        9 => format!("NOT EXISTS ({})", registers.event.replace("{p}", p)),
        10 => format!("regexp_like({t}, '{}')", registers.pattern),
        11 => match from.day.first() {
            Some(day) => format!("{day} >= DATE '{}'", registers.day),
            None => format!("{w} IS NULL"),
        },
        12 => format!("{r} > ({})", registers.number),
        _ => format!("coalesce({w}, 0) + 1 <> {n}"),
    }
}

fn measure(dice: &mut Dice, from: &Source) -> String {
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

fn group(dice: &mut Dice, from: &Source) -> String {
    match (dice.roll(5), from.day.first()) {
        (0, Some(day)) => format!("date_trunc('month', {day})"),
        (1, _) => format!("CASE WHEN {} > 1 THEN 'many' ELSE 'few' END", dice.one(from.whole)),
        (2, _) => dice.one(from.whole).to_owned(),
        _ => dice.one(from.text_columns).to_owned(),
    }
}

/// The question of a seed, tables in braces.
pub(crate) fn question(registers: &Registers, seed: u64) -> String {
    let dice = &mut Dice(seed);
    let from = &registers.sources[usize::try_from(dice.roll(registers.sources.len() as u64)).unwrap()];
    let conditions: Vec<String> = (0..dice.roll(3)).map(|_| condition(dice, registers, from)).collect();
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

/// Moves a number by an odd part of the last digit that is shown. Means and variances of amounts with two digits often lie just
/// between two numbers of nine digits (35.85546875), where the order of adding would decide which is shown.
const NUDGE: f64 = 1.0 + 1.732e-9;

/// Rows as text, floats to nine digits: a sum's last digits depend on its order.
pub(crate) fn shown(batches: &[RecordBatch], ordered: bool) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().zip(batch.columns()).map(|(c, array)| {
                let text = c.value(row).to_string();
                match (array.data_type(), text.parse::<f64>()) {
                    (DataType::Float64, Ok(f)) if f.abs() < 1e-9 => "0".to_owned(),
                    (DataType::Float64, Ok(f)) => format!("{:.8e}", f * NUDGE),
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
