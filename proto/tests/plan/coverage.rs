//! Every kind of expression, every function, every measure and every node, one by one, in both forms.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, col, lit};
use proto::fragment::{Limits, build, functions};
use proto::plan::{
    Tables,
    contributions::{Tells, contributions_udaf},
    decode, encode_plan,
    persons::persons_udaf,
    say,
};
use proto::wire;

use crate::bench::{Form, Outcome, plan, rows, session, tables, there_and_back, travel};

/// Expressions over the columns of `t`.
const EXPRESSIONS: &[&str] = &[
    // comparisons, three-valued
    "i = 2",
    "i <> 2",
    "f < 1.5",
    "f <= 0",
    "dec > 1.25",
    "dec >= -3",
    "s = 'E11'",
    "v <> 'E11'",
    "b = true",
    "i IS DISTINCT FROM 2",
    "i IS NOT DISTINCT FROM NULL",
    "s IS NOT DISTINCT FROM v",
    "d >= DATE '2020-01-01'",
    "ts < TIMESTAMP '2020-01-05T12:00:00'",
    "tz < TIMESTAMP '2020-01-05T12:00:00Z'",
    "i > id",
    "f = i",
    "dec = f",
    "pid = X'01010101010101010101010101010101'",
    "d = '2020-03-01'",
    "i = '2'",
    // logic
    "b AND i > 0",
    "b OR i > 0",
    "NOT b",
    "NOT (b AND i > 0 OR f < 0)",
    "b AND i > 0 AND f < 1 AND s = 'E11'",
    "b OR (i > 0 OR (f < 1 OR s = 'E11'))",
    "b IS TRUE",
    "b IS FALSE",
    "b IS UNKNOWN",
    "b IS NOT TRUE",
    "b IS NOT FALSE",
    "b IS NOT UNKNOWN",
    "(i > 0) IS NOT TRUE",
    "NULL AND b",
    "NULL OR b",
    // arithmetic
    "i + 1",
    "i - id",
    "i * 2.5",
    "f / 2",
    "id / 7",
    "id % 7",
    "-i",
    "-(f + 1)",
    "dec + 1.5",
    "dec * dec",
    "dec / 3",
    "s || v",
    "s || '-' || i",
    "d + INTERVAL '1 month'",
    "d - INTERVAL '3 days'",
    "ts + INTERVAL '90 minutes'",
    "tz - INTERVAL '1 day'",
    "d - DATE '2020-01-01'",
    "ts - TIMESTAMP '2020-01-01T00:00:00'",
    "f % 2",
    "1 + NULL",
    // lists
    "i IN (1, 2, 3)",
    "i NOT IN (1, 2)",
    "i IN (1, NULL)",
    "i NOT IN (1, NULL)",
    "s IN ('E11', 'E119', 'x', 'y')",
    "v IN ('E11', 'E119', 'x', 'y')",
    "i IN (1, id, 3)",
    "i NOT IN (1, id)",
    "f IN (0.75, -0.75, 1, 2, 3)",
    "d IN (DATE '2019-05-22', DATE '2019-06-28')",
    "dec IN (1.25, 2.5, -1.25, 5, 6)",
    "i IN (-1, -2)",
    "pid IN (X'01010101010101010101010101010101', X'02020202020202020202020202020202', X'0a', NULL)",
    "tz IN (TIMESTAMP '2020-01-01T04:48:00Z')",
    "b IN (true)",
    "i IN (NULL)",
    // between, like, null
    "i BETWEEN -1 AND 2",
    "i NOT BETWEEN -1 AND 2",
    "f BETWEEN i AND id",
    "s BETWEEN 'E' AND 'F'",
    "d BETWEEN DATE '2019-06-01' AND DATE '2020-06-01'",
    "s LIKE 'E11%'",
    "s NOT LIKE 'E1_'",
    "s ILIKE 'e11%'",
    "v NOT ILIKE '%E11%'",
    "s LIKE '%\\%%'",
    "s LIKE 'A\\_1'",
    "s LIKE '%'",
    "s LIKE ''",
    "v LIKE '%b'",
    "s LIKE NULL",
    "s IS NULL",
    "i IS NOT NULL",
    "(i + f) IS NULL",
    "s ~ '^E1+'",
    "s !~ '^E1+'",
    "v ~* '^e1+'",
    "s !~* 'æ'",
    // case and casts
    "CASE WHEN i > 0 THEN 'up' WHEN i < 0 THEN 'down' ELSE 'flat' END",
    "CASE WHEN b THEN 1 END",
    "CASE i WHEN 1 THEN 'one' WHEN 2 THEN 'two' END",
    "CASE s WHEN 'E11' THEN i WHEN NULL THEN 0 ELSE f END",
    "CASE WHEN i = 0 THEN NULL ELSE id / i END",
    "CAST(i AS BIGINT)",
    "CAST(f AS INT)",
    "CAST(i AS VARCHAR)",
    "CAST(d AS VARCHAR)",
    "TRY_CAST(s AS INT)",
    "TRY_CAST(v AS DOUBLE)",
    "CAST(ts AS DATE)",
    "CAST(d AS TIMESTAMP)",
    "CAST(dec AS DOUBLE)",
    "CAST(f AS DECIMAL(12, 3))",
    "CAST(NULL AS INT)",
    "CAST('2020-02-29' AS DATE)",
    "CAST(i AS SMALLINT)",
    "CAST(i AS REAL)",
    "CAST(b AS INT)",
    "CAST(id AS BIGINT UNSIGNED)",
    "i::boolean",
    // constants
    "1",
    "-1",
    "1.50",
    "1e300",
    "'NaN'::double",
    "'text with ''quotes'''",
    "''",
    "true",
    "NULL",
    "DATE '1899-12-31'",
    "TIMESTAMP '2020-01-01T00:00:00.123456'",
    "TIMESTAMP '2020-01-01T00:00:00+02:00'",
    "INTERVAL '1 year 2 days'",
    "X'00ff'",
    "12345678901234567890",
    "CAST(1.5 AS DECIMAL(38, 10))",
    "CAST(3 AS TINYINT)",
];

/// Calls, by function.
const CALLS: &[(&str, &[&str])] = &[
    ("abs", &["abs(i)", "abs(f)", "abs(dec)"]),
    ("acos", &["acos(f / 10)"]),
    ("ascii", &["ascii(s)"]),
    ("asin", &["asin(f / 10)"]),
    ("atan", &["atan(f)"]),
    ("atan2", &["atan2(f, i)"]),
    ("bit_length", &["bit_length(s)"]),
    ("btrim", &["trim(s)", "btrim(v, 'E')"]),
    ("cbrt", &["cbrt(f)"]),
    ("ceil", &["ceil(f)", "ceil(dec)"]),
    ("character_length", &["length(s)", "char_length(v)"]),
    ("coarse", &["coarse(i)", "coarse(f)", "coarse(dec)", "coarse(ts)"]),
    ("coalesce", &["coalesce(i, id)", "coalesce(s, v, 'none')"]),
    ("concat", &["concat(s, '-', v)", "concat(s, i)"]),
    ("contains", &["contains(s, '11')"]),
    ("cos", &["cos(f)"]),
    ("date_part", &["date_part('year', d)", "extract(month FROM ts)", "date_part('dow', d)", "extract(hour FROM tz)"]),
    ("date_trunc", &["date_trunc('month', ts)", "date_trunc('year', d)", "date_trunc('week', tz)"]),
    ("degrees", &["degrees(f)"]),
    ("ends_with", &["ends_with(s, '1')"]),
    ("exp", &["exp(f)"]),
    ("floor", &["floor(f)", "floor(f / 10) * 10"]),
    ("greatest", &["greatest(i, id, 3)"]),
    ("initcap", &["initcap(s)"]),
    ("isnan", &["isnan(f)"]),
    ("iszero", &["iszero(f)"]),
    ("least", &["least(f, 0.5)"]),
    ("left", &["left(s, 2)", "left(v, 3)"]),
    ("ln", &["ln(id + 1)"]),
    ("log", &["log(2, id + 1)", "log(id + 1)"]),
    ("log10", &["log10(id + 1)"]),
    ("log2", &["log2(id + 1)"]),
    ("lower", &["lower(s)", "lower(v)"]),
    ("ltrim", &["ltrim(s)", "ltrim(s, 'E')"]),
    ("make_date", &["make_date(2020, 2, 29)", "make_date(2000 + i, 3, 1)"]),
    ("nanvl", &["nanvl(f, 0.0)"]),
    ("nullif", &["nullif(i, 0)", "nullif(s, '')"]),
    ("nvl", &["nvl(i, 7)", "ifnull(s, '-')"]),
    ("octet_length", &["octet_length(s)"]),
    ("pi", &["pi() * f"]),
    ("power", &["power(f, 2)", "pow(i, 2)"]),
    ("radians", &["radians(f)"]),
    ("regexp_like", &["regexp_like(s, '^E1')", "regexp_like(v, '^e1', 'i')"]),
    ("replace", &["replace(s, '1', '')", "replace(v, 'E11', 'x')"]),
    ("reverse", &["reverse(s)"]),
    ("right", &["right(s, 2)"]),
    ("round", &["round(f)", "round(f, 1)", "round(dec, 1)"]),
    ("rtrim", &["rtrim(s)", "rtrim(v, '1')"]),
    ("signum", &["signum(f)"]),
    ("sin", &["sin(f)"]),
    ("split_part", &["split_part(s, '1', 1)"]),
    ("sqrt", &["sqrt(id)"]),
    ("starts_with", &["starts_with(s, 'E11')"]),
    ("strpos", &["strpos(s, '1')", "position('1' IN v)"]),
    ("substr", &["substr(s, 2)", "substring(v FROM 1 FOR 2)"]),
    ("tan", &["tan(f)"]),
    ("to_date", &["to_date('2020-02-29')", "to_date(CAST(d AS VARCHAR))"]),
    ("trunc", &["trunc(f)", "trunc(f, 1)"]),
    ("upper", &["upper(s)", "upper(v)"]),
];

const MEASURES: &[&str] = &[
    "count(*)",
    "count(1)",
    "count(i)",
    "count(DISTINCT s)",
    "count(DISTINCT pid)",
    "sum(i)",
    "sum(f)",
    "sum(dec)",
    "min(i)",
    "min(s)",
    "max(d)",
    "max(ts)",
    "min(DISTINCT i)",
    "avg(i)",
    "avg(f)",
    "avg(dec)",
    "var(f)",
    "var_samp(i)",
    "var_pop(f)",
    "stddev(f)",
    "stddev_samp(i)",
    "stddev_pop(f)",
    "count(*) FILTER (WHERE b)",
    "sum(f) FILTER (WHERE i > 0 AND s LIKE 'E%')",
    "count(DISTINCT s) FILTER (WHERE i > 0)",
    "sum(i + 1)",
    "avg(CASE WHEN b THEN f END)",
    "max(length(s))",
    "sum(i) + count(*)",
    "count(NULL)",
    "count(*) > 2",
];

const QUERIES: &[&str] = &[
    "SELECT * FROM t",
    "SELECT id FROM t",
    "SELECT count(*) FROM t",
    "SELECT s AS code, i + 1 AS next, i FROM t AS x WHERE x.i > 0",
    "SELECT \"s\" AS \"Åben kode\", i AS \"A.B\" FROM t",
    "SELECT id FROM t WHERE s = 'E11' AND i > 0 AND d BETWEEN DATE '2019-01-01' AND DATE '2022-01-01'",
    "SELECT id FROM t WHERE false",
    "SELECT id FROM t WHERE NULL",
    "SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id",
    "SELECT id, i FROM t ORDER BY i NULLS FIRST, id DESC",
    "SELECT id FROM t ORDER BY i + 1, s, id LIMIT 5",
    "SELECT id FROM t ORDER BY id LIMIT 5 OFFSET 7",
    "SELECT id FROM t ORDER BY id OFFSET 35",
    "SELECT id FROM t ORDER BY id DESC LIMIT 0",
    "SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10) ORDER BY id DESC LIMIT 3",
    "SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 3) ORDER BY id LIMIT 20 OFFSET 2",
    "SELECT DISTINCT s, b FROM t",
    "SELECT s, count(*) AS n, avg(f) FROM t GROUP BY s",
    "SELECT s, count(*) AS n FROM t WHERE i IS NOT NULL GROUP BY s HAVING count(*) > 2 AND min(i) < 3",
    "SELECT date_trunc('month', d), left(s, 1), sum(i) FROM t GROUP BY 1, 2",
    "SELECT s FROM t GROUP BY s",
    "SELECT s, lower(s) AS l, count(i) AS n FROM t GROUP BY s, lower(s), s, 2",
    "SELECT s, count(*) AS a, count(*) AS b, sum(i), sum(i) AS c FROM t GROUP BY s, s",
    "SELECT s, b, count(DISTINCT pid), count(DISTINCT i), sum(f) FROM t GROUP BY s, b",
    "SELECT count(DISTINCT pid) FROM t",
    "SELECT s, n * 2 FROM (SELECT s, count(*) AS n FROM t GROUP BY s) WHERE n > 1",
    "SELECT n, count(*) FROM (SELECT pid, count(*) AS n FROM t GROUP BY pid) GROUP BY n ORDER BY n",
    "WITH x AS (SELECT id, CASE WHEN i > 0 THEN 'up' ELSE 'down' END AS dir FROM t) SELECT dir, count(*) FROM x GROUP BY dir",
    "SELECT max(n) FROM (SELECT count(*) AS n FROM t GROUP BY s, b)",
    "SELECT count(*) FROM t WHERE pid IN (X'01010101010101010101010101010101')",
    "SELECT sum(i) FROM (SELECT i FROM t ORDER BY id LIMIT 10)",
    "SELECT s, i, count(*) FROM t GROUP BY s, i ORDER BY count(*) DESC, s NULLS FIRST, i LIMIT 4",
];

/// Said after the engine has told keys from conditions.
const JOINS: &[&str] = &[
    "SELECT a.id, b.i FROM t a JOIN t b ON a.id = b.i",
    "SELECT a.id AS x, b.id AS y, a.s, b.v FROM t a JOIN t b ON a.s = b.s AND a.i = b.i",
    "SELECT a.id AS x, b.id AS y FROM t a JOIN t b ON a.i = b.i AND a.f < b.f",
    "SELECT a.id AS x, b.id AS y FROM t a LEFT JOIN t b ON a.id = b.i AND b.f > 0 WHERE a.id < 20",
    "SELECT a.id AS x, b.id AS y, b.s FROM t a RIGHT JOIN t b ON a.i = b.id AND a.b",
    "SELECT a.id AS x, c.id AS z, b.s FROM t a JOIN t b ON a.id = b.i JOIN t c ON c.id = b.id + 1",
    "SELECT a.s, count(*) AS n, sum(b.f) AS f FROM t a JOIN t b ON a.pid = b.pid GROUP BY a.s",
    "SELECT a.id AS x, b.id AS y FROM t a JOIN t b ON a.i IS NOT DISTINCT FROM b.i",
    "SELECT a.id AS x, n FROM t a JOIN (SELECT i, count(*) AS n FROM t GROUP BY i) b ON a.i = b.i",
    "SELECT a.id AS x, b.id AS y FROM t a JOIN t b ON a.id = b.i ORDER BY x, y LIMIT 5 OFFSET 1",
    "SELECT count(DISTINCT a.pid) AS n FROM t a JOIN t b ON a.pid = b.pid WHERE b.s LIKE 'E%'",
    // the engine makes joins of these
    "SELECT id FROM t WHERE i IN (SELECT i FROM t WHERE f > 0)",
    "SELECT id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.i = a.id AND b.f > a.f)",
    "SELECT id FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE b.i = a.id)",
    "SELECT s, count(*) AS n FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE b.i = a.id AND b.f < 0) GROUP BY s",
];

#[tokio::test]
async fn joins_of_one_spokes_tables_give_the_same_rows() {
    for sql in JOINS {
        match there_and_back(&session(), sql, Form::Optimised).await {
            Outcome::Same => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn columns_of_one_name_on_both_sides_are_told_apart() {
    let session = session();
    let sql = "SELECT a.*, b.* FROM t a JOIN t b ON a.id = b.i";
    let original = plan(&session, sql, Form::Optimised).await.unwrap();
    assert_eq!(encode_plan(&original).unwrap_err().what, "two columns of the same name");
    let said = say(&original).unwrap();
    assert_eq!(said.columns.len(), 22);
    assert_eq!((said.columns[0].as_str(), said.columns[11].as_str()), ("id", "id_2"));
    let decoded = decode(&travel(said.fragment).unwrap(), &tables(), &session.state(), &Limits::default()).unwrap();
    let (mut got, mut expected) = (rows(&session, decoded).await.unwrap(), rows(&session, original).await.unwrap());
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

/// The other side's engine counts its own from one again, and took the hub's for them.
#[tokio::test]
async fn names_that_the_engine_gives_to_what_it_computes_once_travel_as_others() {
    let session = session();
    let sql = "SELECT i + 1 AS \"__common_expr_1\", i * 2 AS \"__common_expr_2\", id AS expr FROM t";
    let original = plan(&session, sql, Form::Optimised).await.unwrap();
    assert_eq!(say(&original).unwrap().columns, ["expr", "expr_2", "expr_3"]);
}

#[tokio::test]
async fn people_are_counted_as_the_hub_counts_them() {
    let session = session();
    session.register_udaf(persons_udaf().as_ref().clone());
    for tells in Tells::ALL {
        session.register_udaf(contributions_udaf(tells).as_ref().clone());
    }
    for sql in [
        "SELECT s, contributions(pid, CAST(i AS double)) AS g, contributions(pid, 1.5) FILTER (WHERE i > 0) AS few \
         FROM t GROUP BY s",
        "SELECT contributions(pid, CAST(i AS double)) AS g FROM t WHERE i > 1000",
        "SELECT s, contributions_mean(pid, CAST(i AS double)) AS g, contributions_spread(pid, 1.5) FILTER (WHERE i > 0) AS few \
         FROM t GROUP BY s",
        "SELECT s, persons(pid) AS n, persons(pid) FILTER (WHERE i > 0) AS few FROM t GROUP BY s",
        "SELECT persons(pid) AS n FROM t WHERE i > 1000",
        "SELECT persons(pid) AS n FROM t WHERE pid IS NULL",
    ] {
        match there_and_back(&session, sql, Form::Optimised).await {
            Outcome::Same => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
}

async fn same(sql: &str) {
    let session = session();
    for form in [Form::Analysed, Form::Optimised] {
        match there_and_back(&session, sql, form).await {
            Outcome::Same => {}
            // the optimiser may know that nothing comes out, or that the answer is a constant
            Outcome::Unsayable(u) if form == Form::Optimised && u.what == "node EmptyRelation" => {}
            other => panic!("{form:?} {sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn every_expression_gives_the_same_rows() {
    for e in EXPRESSIONS {
        same(&format!("SELECT id, {e} AS x FROM t")).await;
        same(&format!("SELECT id FROM t WHERE ({e}) IS NULL")).await;
    }
}

#[tokio::test]
async fn every_condition_filters_the_same_rows() {
    let session = session();
    let mut filters = 0;
    for e in EXPRESSIONS {
        let sql = format!("SELECT id, s FROM t WHERE {e}");
        if plan(&session, &sql, Form::Analysed).await.is_err() {
            continue; // not a condition
        }
        filters += 1;
        same(&sql).await;
        same(&format!("SELECT id FROM t WHERE NOT ({e})")).await;
    }
    assert!(filters > 60, "{filters}");
}

#[tokio::test]
async fn every_function_on_the_list_gives_the_same_rows() {
    let listed: BTreeSet<_> = functions::all().iter().map(|f| f.name).collect();
    let covered: BTreeSet<_> = CALLS.iter().map(|(name, _)| *name).collect();
    assert_eq!(covered, listed, "each function has an example and each example a function");
    for (name, calls) in CALLS {
        for call in *calls {
            let session = session();
            let sql = format!("SELECT id, {call} AS x FROM t");
            let analysed = plan(&session, &sql, Form::Analysed).await.unwrap();
            let shown = format!("{}", analysed.display_indent());
            assert!(shown.contains(&format!("{name}(")), "{call} does not call {name}: {shown}");
            same(&sql).await;
            same(&format!("SELECT id FROM t WHERE {call} IS NOT NULL")).await;
        }
    }
}

#[test]
fn every_function_on_the_list_is_immutable() {
    let session = session();
    for f in functions::all() {
        let function = session.udf(f.name).unwrap();
        assert_eq!(function.name(), f.name, "aliases are not on the list");
        assert_eq!(function.signature().volatility, Volatility::Immutable, "{}", f.name);
    }
}

#[tokio::test]
async fn every_measure_gives_the_same_rows() {
    for m in MEASURES {
        same(&format!("SELECT {m} FROM t")).await;
        same(&format!("SELECT {m} FROM t WHERE id < 0")).await;
        same(&format!("SELECT s, {m} AS x FROM t GROUP BY s")).await;
    }
}

#[tokio::test]
async fn every_node_gives_the_same_rows() {
    for sql in QUERIES {
        same(sql).await;
    }
}

#[tokio::test]
async fn long_chains_and_lists_are_said() {
    let any: Vec<_> = (0..2_000).map(|n| format!("(i = {n} AND f > {n})")).collect();
    let all: Vec<_> = (0..2_000).map(|n| format!("id <> {}", n + 30)).collect();
    let list: Vec<_> = (0..5_000).map(|n| format!("'x{n}'")).collect();
    // as many brackets as the SQL parser of the engine takes without running out of stack
    let session = session();
    for sql in [
        format!("SELECT id FROM t WHERE {}", any[..300].join(" OR ")),
        format!("SELECT id FROM t WHERE {}", all[..300].join(" AND ")),
        format!("SELECT id FROM t WHERE s NOT IN ({})", list.join(", ")),
    ] {
        let outcome = there_and_back(&session, &sql, Form::Analysed).await;
        assert!(matches!(outcome, Outcome::Same), "{outcome:?}");
    }
}

#[tokio::test]
async fn filters_and_limits_inside_a_scan_travel() {
    let session = session();
    let source = tables().table("t").unwrap();
    // columns s and id, in this order; the filter is on others
    let scan = |filters: Vec<Expr>, fetch| {
        let scan = TableScanBuilder::new("t", Arc::clone(&source)).with_projection(Some(vec![3, 0]));
        LogicalPlan::TableScan(scan.with_filters(filters).with_fetch(fetch).build().unwrap())
    };
    let back = |plan: &LogicalPlan| {
        let fragment = travel(encode_plan(plan).unwrap()).unwrap();
        decode(&fragment, &tables(), &session.state(), &Limits::default()).unwrap()
    };
    let filters = || vec![col("t.b").is_true(), col("t.i").gt(lit(0_i32)), col("t.id").lt(lit(30_i64))];
    let decoded = back(&scan(filters(), None));
    let names: Vec<_> = decoded.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["s", "id"]);
    let sql = "SELECT s, id FROM t WHERE b AND i > 0 AND id < 30";
    let expected = plan(&session, sql, Form::Analysed).await.unwrap();
    let expected = rows(&session, expected).await.unwrap();
    assert!(!expected.is_empty());
    assert_eq!(rows(&session, decoded).await.unwrap(), expected);
    let first = rows(&session, back(&scan(filters(), Some(1)))).await.unwrap();
    assert_eq!(first, expected[..1], "the limit comes after the filter");
}

#[tokio::test]
async fn columns_come_in_the_order_that_was_asked_for() {
    let session = session();
    let rel = build::read(&"t".parse().unwrap(), &["s".into(), "id".into(), "b".into()]);
    let plan = decode(&build::fragment(rel), &tables(), &session.state(), &Limits::default()).unwrap();
    let LogicalPlan::TableScan(scan) = plan else {
        panic!("a scan");
    };
    assert_eq!(scan.projection, Some(vec![3, 0, 5]));
}

/// Were the functions given their names in place, the engine would count distinct values one by one.
#[tokio::test]
async fn counting_distinct_people_is_optimised_after_decoding() {
    let session = session();
    let sql = "SELECT x.s, count(DISTINCT x.pid) AS people FROM t AS x GROUP BY x.s";
    let analysed = plan(&session, sql, Form::Analysed).await.unwrap();
    let fragment = encode_plan(&analysed).unwrap();
    let decoded = decode(&fragment, &tables(), &session.state(), &Limits::default()).unwrap();
    let optimised = session.state().optimize(&decoded).unwrap().display_indent().to_string();
    assert!(!optimised.contains("DISTINCT t.pid)]"), "{optimised}");
    assert_eq!(optimised.matches("Aggregate:").count(), 2, "{optimised}");
}

/// One measure under two names, and a group that is named as a measure is by itself.
#[tokio::test]
async fn names_that_meet_are_kept_apart() {
    let session = session();
    let column = |name: &str| wire::Expr { kind: Some(wire::expr::Kind::Column(name.into())) };
    let count = |name: &str| build::measure(name, wire::MeasureKind::Count, None);
    let rel = build::read(&"t".parse().unwrap(), &["s".into()]);
    let rel = build::project(rel, vec![build::named("count(Int64(1))", column("s"))]);
    let groups = vec![build::named("g", column("count(Int64(1))")), build::named("h", column("count(Int64(1))"))];
    let rel = build::aggregate(rel, groups, vec![count("a"), count("b")]);
    let plan = decode(&build::fragment(rel), &tables(), &session.state(), &Limits::default()).unwrap();
    let names: Vec<_> = plan.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["g", "h", "a", "b"]);
    let rows = rows(&session, plan).await.unwrap();
    assert!(rows.contains(&"E11 | E11 | 4 | 4".to_owned()), "{rows:?}");
}
