//! Random questions from a grammar that reaches every expression, function and measure.

use proptest::prelude::*;

use crate::bench::{Form, Outcome, session, there_and_back};

/// Choices from a list of bytes; when they run out, the first (simplest) choice. So a failing question shrinks
/// with its bytes.
pub(crate) struct Dice {
    bytes: Vec<u8>,
    at: usize,
}

impl Dice {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// 0 .. n-1
    pub(crate) fn roll(&mut self, n: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % n
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// A template with each `?x` filled in by the grammar: b boolean, i integer, f float, m decimal, s text ..
fn fill(dice: &mut Dice, template: &str, depth: usize) -> String {
    let mut out = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '?' {
            out.push(c);
            continue;
        }
        let part = match chars.next() {
            Some('b') => boolean(dice, depth + 1),
            Some('i') => integer(dice, depth + 1),
            Some('f') => float(dice, depth + 1),
            Some('s') => text(dice, depth + 1),
            Some('d') => date(dice, depth + 1),
            Some('t') => time(dice, depth + 1),
            Some('m') => decimal(dice, depth + 1),
            Some('a') => anything(dice, depth + 1),
            other => panic!("{template}: {other:?}"),
        };
        out.push_str(&part);
    }
    out
}

const DEPTH: usize = 4;

fn choose(dice: &mut Dice, depth: usize, leaves: &[&str], more: &[&str]) -> String {
    if depth >= DEPTH || dice.roll(3) == 0 {
        return dice.one(leaves).to_owned();
    }
    let template = dice.one(more);
    fill(dice, template, depth)
}

fn boolean(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["b", "i > 0", "s IS NULL", "true", "NULL::boolean", "pid = X'01010101010101010101010101010101'"];
    let more = [
        "(?b AND ?b)",
        "(?b OR ?b)",
        "(NOT ?b)",
        "(?b AND ?b AND ?b)",
        "(?b OR (?b AND ?b))",
        "(?i = ?i)",
        "(?i <> ?f)",
        "(?f < ?f)",
        "(?f >= ?i)",
        "(?s = ?s)",
        "(?s > ?s)",
        "(?d <= ?d)",
        "(?t < ?t)",
        "(?m > ?f)",
        "(?i IS DISTINCT FROM ?i)",
        "(?s IS NOT DISTINCT FROM ?s)",
        "(?b IS TRUE)",
        "(?b IS NOT FALSE)",
        "(?b IS UNKNOWN)",
        "(?i IN (1, 2, -3))",
        "(?i NOT IN (1, NULL))",
        "(?i IN (1, ?i))",
        "(?s IN ('E11', 'x', ''))",
        "(?s NOT IN ('E11', 'E119', 'A_1', 'q'))",
        "(?d IN (DATE '2019-05-22', DATE '2020-03-01'))",
        "(?i BETWEEN ?i AND ?i)",
        "(?f NOT BETWEEN ?f AND ?f)",
        "(?s LIKE 'E%')",
        "(?s NOT LIKE '%\\_1')",
        "(?s ILIKE '%e1_%')",
        "(?s ~ '^E')",
        "(?s !~* 'e1')",
        "(?a IS NULL)",
        "(?a IS NOT NULL)",
        "(CASE WHEN ?b THEN ?b ELSE ?b END)",
        "starts_with(?s, 'E')",
        "ends_with(?s, ?s)",
        "contains(?s, '1')",
        "regexp_like(?s, '1+$')",
        "coalesce(?b, ?b)",
        "(nullif(?b, ?b))",
        "isnan(?f)",
        "iszero(?f)",
        "(pid IN (X'01010101010101010101010101010101', X'03030303030303030303030303030303'))",
        "(?b = ?b)",
    ];
    choose(dice, depth, &leaves, &more)
}

fn integer(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["i", "id", "1", "-2", "NULL::int", "7"];
    let more = [
        "(?i + ?i)",
        "(?i - ?i)",
        "(?i * 2)",
        "(?i / 3)",
        "(?i % 4)",
        "(-?i)",
        "abs(?i)",
        "length(?s)",
        "octet_length(?s)",
        "bit_length(?s)",
        "strpos(?s, '1')",
        "ascii(?s)",
        "date_part('year', ?d)",
        "extract(month FROM ?t)",
        "coalesce(?i, ?i)",
        "nullif(?i, 0)",
        "greatest(?i, ?i)",
        "least(?i, 3)",
        "nvl(?i, 5)",
        "(CASE WHEN ?b THEN ?i END)",
        "(CASE ?i WHEN 1 THEN ?i WHEN 2 THEN 0 ELSE ?i END)",
        "CAST(?i AS BIGINT)",
        "TRY_CAST(?s AS INT)",
        "CAST(?b AS INT)",
        "(?d - DATE '2020-01-01')",
    ];
    match choose(dice, depth, &leaves, &more) {
        // a difference of days is a duration: only its sign is used
        days if days.contains(" - DATE") => format!("(CASE WHEN {days} IS NULL THEN 0 ELSE 1 END)"),
        other => other,
    }
}

fn float(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["f", "0.75", "1.5e0", "-0.25", "NULL::double", "CAST(i AS DOUBLE)"];
    let more = [
        "(?f + ?f)",
        "(?f - ?i)",
        "(?f * ?f)",
        "(?f / 4.0e0)",
        "(-?f)",
        "abs(?f)",
        "round(?f)",
        "round(?f, 1)",
        "floor(?f)",
        "ceil(?f)",
        "trunc(?f)",
        "sqrt(abs(?f))",
        "cbrt(?f)",
        "exp(?f / 100)",
        "ln(abs(?f) + 1)",
        "log10(abs(?f) + 1)",
        "log2(abs(?f) + 1)",
        "log(2.0e0, abs(?f) + 1)",
        "power(?f, 2)",
        "signum(?f)",
        "sin(?f)",
        "cos(?f)",
        "tan(?f)",
        "atan(?f)",
        "atan2(?f, ?f)",
        "asin(sin(?f))",
        "acos(cos(?f))",
        "degrees(?f)",
        "radians(?f)",
        "pi()",
        "nanvl(?f, 0)",
        "coalesce(?f, ?f)",
        "greatest(?f, ?i)",
        "(CASE WHEN ?b THEN ?f ELSE ?i END)",
        "CAST(?i AS DOUBLE)",
        "CAST(?m AS DOUBLE)",
    ];
    choose(dice, depth, &leaves, &more)
}

fn decimal(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["dec", "CAST(1.25 AS DECIMAL(10, 2))", "CAST(i AS DECIMAL(10, 2))"];
    let more = ["(?m + dec)", "(dec - ?m)", "(dec * 2)", "abs(?m)", "coalesce(?m, dec)", "CAST(?m AS DECIMAL(20, 4))"];
    choose(dice, depth, &leaves, &more)
}

fn text(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["s", "v", "'E11'", "''", "NULL::varchar", "'a%'"];
    let more = [
        "(?s || ?s)",
        "concat(?s, '-', ?s)",
        "lower(?s)",
        "upper(?s)",
        "initcap(?s)",
        "trim(?s)",
        "ltrim(?s)",
        "rtrim(?s, '1')",
        "btrim(?s, 'E')",
        "left(?s, 2)",
        "right(?s, 3)",
        "substr(?s, 2)",
        "substr(?s, 1, 2)",
        "replace(?s, '1', '')",
        "reverse(?s)",
        "split_part(?s, '1', 1)",
        "coalesce(?s, ?s)",
        "nullif(?s, '')",
        "(CASE WHEN ?b THEN ?s ELSE 'other' END)",
        "(CASE ?s WHEN 'E11' THEN 'x' WHEN ?s THEN ?s END)",
        "CAST(?i AS VARCHAR)",
        "CAST(?d AS VARCHAR)",
        "greatest(?s, 'B')",
        "nvl(?s, 'none')",
    ];
    choose(dice, depth, &leaves, &more)
}

fn date(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["d", "DATE '2020-02-29'", "NULL::date", "make_date(2020, 1, 31)", "to_date('2019-12-31')"];
    let more = [
        "CAST(?t AS DATE)",
        "CAST(date_trunc('month', ?d) AS DATE)",
        "coalesce(?d, ?d)",
        "(CASE WHEN ?b THEN ?d END)",
        "least(?d, DATE '2020-06-01')",
        "CAST((?d + INTERVAL '1 month') AS DATE)",
        "CAST((?d - INTERVAL '3 days') AS DATE)",
    ];
    choose(dice, depth, &leaves, &more)
}

fn time(dice: &mut Dice, depth: usize) -> String {
    let leaves = ["ts", "TIMESTAMP '2020-01-03T12:30:00'", "CAST(d AS TIMESTAMP)", "CAST(tz AS TIMESTAMP)"];
    let more = [
        "date_trunc('week', ?t)",
        "(?t + INTERVAL '90 minutes')",
        "(?t - INTERVAL '1 day')",
        "coalesce(?t, ts)",
        "(CASE WHEN ?b THEN ?t ELSE ts END)",
    ];
    choose(dice, depth, &leaves, &more)
}

fn anything(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(9) {
        0 => integer(dice, depth),
        1 => boolean(dice, depth),
        2 => float(dice, depth),
        3 => text(dice, depth),
        4 => date(dice, depth),
        5 => time(dice, depth),
        6 => decimal(dice, depth),
        7 => "pid".to_owned(),
        _ => "tz".to_owned(),
    }
}

fn measure(dice: &mut Dice) -> String {
    let template = dice.one(&[
        "count(*)",
        "count(?a)",
        "sum(?i)",
        "sum(?f)",
        "sum(?m)",
        "min(?i)",
        "max(?s)",
        "min(?d)",
        "max(?t)",
        "avg(?i)",
        "avg(?f)",
        "avg(?m)",
        "var_samp(?f)",
        "var_pop(?f)",
        "stddev_samp(?f)",
        "stddev_pop(?i)",
        "count(DISTINCT ?s)",
        "count(DISTINCT pid)",
        "count(DISTINCT ?i)",
        "min(DISTINCT ?i)",
    ]);
    let mut sql = fill(dice, template, 2);
    if dice.roll(4) == 1 {
        sql = format!("{sql} FILTER (WHERE {})", boolean(dice, 2));
    }
    if dice.roll(6) == 1 {
        sql = format!("coalesce({sql}, NULL)");
    }
    sql
}

fn list(dice: &mut Dice, most: usize, one: impl Fn(&mut Dice) -> String) -> Vec<String> {
    let count = 1 + dice.roll(most);
    (0..count).map(|n| format!("{} AS x{n}", one(dice))).collect()
}

fn condition(dice: &mut Dice) -> String {
    match dice.roll(2) {
        0 => String::new(),
        _ => format!(" WHERE {}", boolean(dice, 0)),
    }
}

/// A question over `t`.
pub(crate) fn question(bytes: Vec<u8>) -> String {
    let mut dice = Dice::new(bytes);
    let dice = &mut dice;
    match dice.roll(6) {
        0 => {
            let columns = list(dice, 3, |d| anything(d, 0)).join(", ");
            format!("SELECT id, {columns} FROM t{}", condition(dice))
        }
        1 => {
            let columns = list(dice, 3, |d| anything(d, 0)).join(", ");
            let where_ = condition(dice);
            let key = anything(dice, 2);
            let order = dice.one(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            let limit = dice.one(&["", " LIMIT 5", " LIMIT 7 OFFSET 3", " OFFSET 30", " LIMIT 0"]);
            format!("SELECT id, {columns} FROM t{where_} ORDER BY {key}{order}, id{limit}")
        }
        2 => {
            let measures = list(dice, 3, measure).join(", ");
            format!("SELECT {measures} FROM t{}", condition(dice))
        }
        3 => {
            let (a, b) = (text(dice, 2), anything(dice, 2));
            let measures = list(dice, 3, measure).join(", ");
            let where_ = condition(dice);
            let having = match dice.roll(3) {
                0 => String::new(),
                _ => format!(" HAVING count(*) > {}", dice.roll(4)),
            };
            format!("SELECT {a} AS a, {b} AS b, {measures} FROM t{where_} GROUP BY {a}, {b}{having}")
        }
        4 => {
            let (a, b) = (anything(dice, 1), boolean(dice, 1));
            format!("SELECT DISTINCT {a} AS a, {b} AS b FROM t{}", condition(dice))
        }
        _ => {
            let (a, i, b) = (text(dice, 1), integer(dice, 1), boolean(dice, 1));
            let inner = format!("SELECT {a} AS s, {i} AS i, {b} AS b FROM t{}", condition(dice));
            let outer = dice.one(&[
                "SELECT s, sum(i) AS n FROM q GROUP BY s",
                "SELECT count(*) AS n FROM q WHERE b",
                "SELECT count(DISTINCT s) AS n, max(i) AS m FROM q WHERE i > 0",
                "SELECT s, i * 2 AS j FROM q WHERE b IS NOT TRUE",
            ]);
            format!("WITH q AS ({inner}) {outer}")
        }
    }
}

fn too_deep(what: &str) -> bool {
    what.contains("levels deep")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_questions_give_the_same_rows(bytes in proptest::collection::vec(any::<u8>(), 8..160)) {
        let sql = question(bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = session();
            for form in [Form::Analysed, Form::Optimised] {
                match there_and_back(&session, &sql, form).await {
                    // a cast or a date that cannot be: the engine says so, with or without us
                    Outcome::Same | Outcome::EngineRefuses(_) => {}
                    Outcome::Unsayable(u) if too_deep(&u.what) => {}
                    Outcome::Unsayable(u) if form == Form::Optimised && u.what == "node EmptyRelation" => {}
                    Outcome::Unsayable(u) => panic!("{form:?} {sql}: {u}"),
                }
            }
        });
    }
}

/// The grammar is worth nothing if most of what it makes is refused.
#[tokio::test]
async fn most_random_questions_are_answered() {
    let session = session();
    let mut seed = 7_u64;
    let (mut same, mut refused) = (0, Vec::new());
    for _ in 0..60 {
        let bytes = (0..120).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_be_bytes()[0]
        });
        let sql = question(bytes.collect());
        match there_and_back(&session, &sql, Form::Analysed).await {
            Outcome::Same => same += 1,
            Outcome::EngineRefuses(why) => refused.push(format!("{sql}: {why}")),
            Outcome::Unsayable(u) => refused.push(format!("{sql}: {u}")),
        }
    }
    assert!(same >= 45, "{same} of 60\n{}", refused.join("\n"));
}
