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
        0_u32..18,
        prop::option::weighted(0.9, 0..4_i32),
        prop::option::weighted(0.9, 0..3_i32),
        prop::option::weighted(0.7, -2..6_i32),
    )
        .prop_map(|(person, a, b, v)| Row { person, a, b, v })
}

/// A question: its parts as SQL.
#[derive(Debug, Clone)]
struct Question {
    keys: Vec<&'static str>,
    measures: Vec<(&'static str, &'static str)>,
    from: &'static str,
    condition: Option<&'static str>,
}

/// A measure, and the rows that it is made of.
const MEASURES: [(&str, &str); 12] = [
    ("count(*)", "true"),
    ("count(v)", "v IS NOT NULL"),
    ("sum(v)", "v <> 0"),
    ("avg(v)", "v <> 0"),
    ("stddev_pop(v)", "v <> 0"),
    ("count(DISTINCT v)", "v IS NOT NULL"),
    ("count(DISTINCT p)", "true"),
    ("count(*) FILTER (WHERE v > 1)", "v > 1"),
    ("sum(v) FILTER (WHERE b = 1)", "b = 1 AND v <> 0"),
    ("avg(v * 2) FILTER (WHERE a < 3)", "a < 3 AND v * 2 <> 0"),
    ("sum(CASE WHEN v > 2 THEN 1 ELSE 0 END)", "v > 2"),
    ("count(DISTINCT q)", "q IS NOT NULL"),
];

const FROM: [&str; 6] = [
    "(SELECT p, a, b, v, p AS q FROM t) x",
    "(SELECT t.p, t.a, u.b, u.v, u.p AS q FROM t JOIN u ON t.p = u.p) x",
    "(SELECT t.p, t.a, u.b, u.v, u.p AS q FROM t LEFT JOIN u ON u.p = t.p AND u.a = t.a) x",
    "(SELECT u.p, t.a, t.b, t.v, t.p AS q FROM t RIGHT JOIN u ON u.p = t.p) x",
    "(SELECT p, a, b, v, p AS q FROM t UNION ALL SELECT p, b, a, v, p AS q FROM u) x",
    "(SELECT p, min(a) AS a, max(b) AS b, sum(v) AS v, p AS q FROM t GROUP BY p) x",
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
        ])),
    )
        .prop_map(|(keys, measures, from, condition)| Question { keys, measures, from, condition })
}

impl Question {
    fn sql(&self, oracle: bool) -> String {
        let mut select: Vec<String> = self.keys.iter().enumerate().map(|(i, key)| format!("{key} AS k{i}")).collect();
        let mut counts = vec!["CASE WHEN count(*) = 0 THEN -1 ELSE count(DISTINCT p) END AS people_".to_owned()];
        for (i, (measure, rows)) in self.measures.iter().enumerate() {
            select.push(format!("{measure} AS m{i}"));
            counts.push(format!(
                "CASE WHEN count(*) FILTER (WHERE {rows}) = 0 THEN -1 \
                 ELSE count(DISTINCT p) FILTER (WHERE {rows}) END AS people_m{i}"
            ));
        }
        if oracle {
            select.extend(counts);
        }
        let condition = self.condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        let group = if self.keys.is_empty() { String::new() } else { format!(" GROUP BY {}", self.keys.join(", ")) };
        format!("SELECT {} FROM {}{condition}{group}", select.join(", "), self.from)
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
        t in prop::collection::vec(row(), 0..90),
        u in prop::collection::vec(row(), 0..60),
        question in question(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ctx = tables(&t, &u);
            same(&ctx, &question.sql(false), &question.sql(true)).await;
        });
    }
}
