//! Random questions over random small tables: what is shown is true and has people behind it, the rest is NULL.

use super::{pseudonyms, register, role, same};
use arrow::{
    array::{Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Row {
    person: u32,
    a: Option<i32>,
    b: Option<i32>,
    v: Option<i32>,
}

fn row() -> impl Strategy<Value = Row> {
    (
        0_u32..24,
        prop::option::weighted(0.9, 0..4_i32),
        prop::option::weighted(0.9, 0..3_i32),
        prop::option::weighted(0.8, prop_oneof![14 => -2..6_i32, 1 => 60..400_i32]),
    )
        .prop_map(|(person, a, b, v)| Row { person, a, b, v })
}

/// A question: its parts as SQL.
#[derive(Debug, Clone)]
struct Question {
    keys: Vec<&'static str>,
    measures: Vec<Measure>,
    from: Source,
    condition: Option<&'static str>,
}

/// How a measure is decided on, in SQL.
#[derive(Debug, Clone, Copy)]
enum By {
    /// the people of these rows
    People(&'static str),
    /// the people of these rows, who are some of the group's; where the subquery's join may leave them out
    Part(&'static str),
    PartWhereOuter(&'static str),
    /// people with a one, of people with a value
    Share(&'static str, &'static str),
    /// what everybody contributes: the value, and the rows
    Sum(&'static str, &'static str),
    Mean(&'static str, &'static str),
    Spread(&'static str, &'static str),
}
use By::{Mean, Part, PartWhereOuter, People, Share, Spread, Sum};

type Measure = (&'static str, By);

const MEASURES: [Measure; 17] = [
    ("count(*)", People("true")),
    ("count(v)", PartWhereOuter("v IS NOT NULL")),
    ("sum(v)", Sum("v", "true")),
    ("avg(v)", Mean("v", "true")),
    ("stddev_pop(v)", Spread("v", "true")),
    ("var_samp(v)", Spread("v", "true")),
    ("count(DISTINCT p)", People("true")),
    ("count(*) FILTER (WHERE v > 1)", Part("v > 1")),
    ("count(CASE WHEN v > 1 THEN a END)", Part("v > 1 AND a IS NOT NULL")),
    ("sum(v) FILTER (WHERE b = 1)", Sum("v", "b = 1")),
    ("avg(v * 2) FILTER (WHERE a < 3)", Mean("v * 2", "a < 3")),
    ("sum(CASE WHEN v > 2 THEN 1 ELSE 0 END)", Part("v > 2")),
    ("sum(CASE WHEN v > 2 THEN v ELSE 0 END)", Sum("CASE WHEN v > 2 THEN v ELSE 0 END", "true")),
    ("avg(CASE WHEN v > 2 THEN 1 ELSE 0 END)", Share("v > 2", "true")),
    ("avg(CAST(v > 0 AS int)) FILTER (WHERE b < 2)", Share("v > 0 AND b < 2", "v IS NOT NULL AND b < 2")),
    ("stddev(CASE WHEN v > 0 THEN 1.0 ELSE 0.0 END)", Share("v > 0", "true")),
    ("count(DISTINCT q)", PartWhereOuter("q IS NOT NULL")),
];

/// A subquery, and whether its join may leave `v` and `q` out.
type Source = (&'static str, bool);

const FROM: [Source; 6] = [
    ("(SELECT p, a, b, v, p AS q FROM t) x", false),
    ("(SELECT t.p, t.a, u.b, u.v, u.p AS q FROM t JOIN u ON t.p = u.p) x", false),
    ("(SELECT t.p, t.a, u.b, u.v, u.p AS q FROM t LEFT JOIN u ON u.p = t.p AND u.a = t.a) x", true),
    ("(SELECT u.p, t.a, t.b, t.v, t.p AS q FROM t RIGHT JOIN u ON u.p = t.p) x", true),
    ("(SELECT p, a, b, v, p AS q FROM t UNION ALL SELECT p, b, a, v, p AS q FROM u) x", false),
    ("(SELECT p, min(a) AS a, max(b) AS b, sum(v) AS v, p AS q FROM t GROUP BY p) x", false),
];

fn question() -> impl Strategy<Value = Question> {
    (
        prop::sample::subsequence(vec!["a", "b", "a + b", "v IS NULL"], 0..=2),
        prop::sample::subsequence(MEASURES.to_vec(), 1..=4),
        prop::sample::select(FROM.to_vec()),
        prop::option::of(prop::sample::select(vec![
            "v > 0",
            "a <> 1",
            "p IS NOT NULL",
            "p IN (SELECT p FROM u WHERE b = 1)",
            "p NOT IN (SELECT p FROM u WHERE b = 1 AND p IS NOT NULL) AND p IS NOT NULL",
        ])),
    )
        .prop_map(|(keys, measures, from, condition)| Question { keys, measures, from, condition })
}

impl Question {
    fn condition(&self) -> String {
        self.condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default()
    }

    fn select(&self) -> Vec<String> {
        self.keys.iter().enumerate().map(|(i, key)| format!("{key} AS k{i}")).collect()
    }

    fn group(&self, more: &[&str]) -> String {
        let all: Vec<&str> = self.keys.iter().chain(more).copied().collect();
        if all.is_empty() { String::new() } else { format!(" GROUP BY {}", all.join(", ")) }
    }

    fn sql(&self) -> String {
        let mut select = self.select();
        select.extend(self.measures.iter().enumerate().map(|(i, (measure, _))| format!("{measure} AS m{i}")));
        format!("SELECT {} FROM {}{}{}", select.join(", "), self.from.0, self.condition(), self.group(&[]))
    }

    /// The same with whatever decides on it: one subquery for the measures, and one for each that people contribute to.
    fn oracle(&self) -> String {
        let mut select = self.select();
        let people = |rows: &str| {
            format!(
                "CASE WHEN count(*) FILTER (WHERE {rows}) = 0 THEN -1 ELSE count(DISTINCT p) FILTER (WHERE {rows}) END"
            )
        };
        select.push(format!("{} AS people_", people("true")));
        let mut outer: Vec<String> = (0..self.keys.len()).map(|i| format!("x.k{i}")).collect();
        let mut joins = String::new();
        for (i, (measure, by)) in self.measures.iter().enumerate() {
            select.push(format!("{measure} AS m{i}"));
            outer.push(format!("m{i}"));
            let mut counted = |kind: &str, rows: &str| {
                select.push(format!("{} AS {kind}_m{i}", people(rows)));
                outer.push(format!("{kind}_m{i}"));
            };
            match by {
                People(rows) => counted("people", rows),
                Part(rows) => counted("part", rows),
                PartWhereOuter(rows) => counted(if self.from.1 { "part" } else { "people" }, rows),
                Share(ones, all) => {
                    select.push(format!("{} AS a{i}, {} AS b{i}", people(ones), people(all)));
                    outer.push(format!(
                        "CASE WHEN b{i} < 5 THEN 'fewer than 5 people' \
                         WHEN a{i} < 5 OR b{i} - a{i} < 5 THEN 'everybody or nobody in the group' END AS rule_m{i}"
                    ));
                }
                Sum(value, rows) | Mean(value, rows) | Spread(value, rows) => {
                    joins.push_str(&self.contributions(i, value, rows));
                    let alike = match by {
                        Sum(..) => "false".to_owned(),
                        Spread(..) => format!("abs(m{i}) < 1e-12"),
                        _ => {
                            let floats = format!("CAST({value} AS DOUBLE)");
                            select.push(format!("stddev_pop({floats}) FILTER (WHERE {rows}) AS apart{i}"));
                            format!("apart{i} < 1e-12")
                        }
                    };
                    outer.push(format!(
                        "CASE WHEN c{i}.k IS NULL OR c{i}.persons < 5 THEN 'fewer than 5 people' \
                         WHEN c{i}.sizes IS NULL OR c{i}.adding < 5 THEN 'fewer than 5 people' \
                         WHEN c{i}.adding < 10 THEN 'fewer than 10 contributors' \
                         WHEN c{i}.total > 0 AND (c{i}.sizes[1] + coalesce(c{i}.sizes[2], 0)) / c{i}.total >= 0.9 THEN 'dominated by two people' \
                         WHEN c{i}.sizes[1] = 0 OR (c{i}.total - c{i}.sizes[1] - coalesce(c{i}.sizes[2], 0)) / c{i}.sizes[1] < 0.1 \
                         THEN 'one contribution could be estimated' \
                         WHEN {alike} THEN 'everybody or nobody in the group' END AS rule_m{i}"
                    ));
                }
            }
        }
        outer.push("people_".to_owned());
        format!(
            "SELECT {} FROM (SELECT {} FROM {}{}{}) x{joins}",
            outer.join(", "),
            select.join(", "),
            self.from.0,
            self.condition(),
            self.group(&[])
        )
    }

    /// What everybody adds up to, sorted, joined by the keys.
    fn contributions(&self, i: usize, value: &str, rows: &str) -> String {
        let (mut select, mut keys, mut on) = (self.select(), String::new(), "true".to_owned());
        for key in 0..self.keys.len() {
            keys.push_str(&format!("k{key}, "));
            on.push_str(&format!(" AND (x.k{key} IS NOT DISTINCT FROM c{i}.k{key})"));
        }
        select.push(format!("p, sum({value}) AS s, bool_or({value} <> 0) AS adds"));
        let condition = self.condition.map(|condition| format!("({condition}) AND ")).unwrap_or_default();
        let group =
            if self.keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.trim_end_matches(", ")) };
        format!(
            " LEFT JOIN (SELECT {keys}count(*) AS k, count(p) AS persons, count(p) FILTER (WHERE adds) AS adding, \
             sum(abs(s)) FILTER (WHERE adds) AS total, array_agg(abs(s) ORDER BY abs(s) DESC) FILTER (WHERE adds) AS sizes \
             FROM (SELECT {} FROM {} WHERE {condition}({rows}) AND ({value}) IS NOT NULL{}) y{group}) c{i} ON {on} AND c{i}.k > 0",
            select.join(", "),
            self.from.0,
            self.group(&["p"])
        )
    }
}

fn tables(t: &[Row], u: &[Row]) -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    for (name, rows) in [("t", t), ("u", u)] {
        let number = |name: &str| Field::new(name, DataType::Int32, true);
        let people: Vec<u32> = rows.iter().map(|row| row.person).collect();
        register(
            &ctx,
            name,
            vec![role("p", "person"), number("a"), number("b"), Field::new("v", DataType::Float64, true)],
            vec![
                pseudonyms(&people),
                Arc::new(rows.iter().map(|row| row.a).collect::<Int32Array>()),
                Arc::new(rows.iter().map(|row| row.b).collect::<Int32Array>()),
                Arc::new(rows.iter().map(|row| row.v.map(f64::from)).collect::<Float64Array>()),
            ],
            false,
        );
    }
    ctx
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_shown_is_true_and_about_enough_people(
        t in prop::collection::vec(row(), 0..140),
        u in prop::collection::vec(row(), 0..80),
        question in question(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ctx = tables(&t, &u);
            same(&ctx, &question.sql(), &question.oracle()).await;
        });
    }
}
