//! What fragments say, as the controller reads it: with constants, and without.

use proto::fragment::{Literals, text};
use proto::plan::encode_plan;

use crate::bench::{Form, plan, session};

async fn says(sql: &str, form: Form) -> String {
    let plan = plan(&session(), sql, form).await.unwrap();
    let fragment = encode_plan(&plan).unwrap();
    format!("{}\n{}", text(&fragment, Literals::Shown), text(&fragment, Literals::Hidden))
}

#[tokio::test]
async fn scan() {
    let sql = "SELECT id, s FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT id, s FROM t
    SELECT id, s FROM t
    "#);
}

#[tokio::test]
async fn count_without_columns() {
    let sql = "SELECT count(*) FROM t";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT count(*) AS "count(*)" FROM t
    SELECT count(*) AS "expr 2" FROM t
    "#);
}

#[tokio::test]
async fn filter_on_pseudonym() {
    let sql = "SELECT id, d FROM t WHERE pid = X'01010101010101010101010101010101' AND d >= DATE '2020-01-01'";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT id, d FROM t WHERE pid = X'01010101010101010101010101010101' AND d >= DATE '2020-01-01'
    SELECT id, d FROM t WHERE pid = ? AND d >= ?
    "#);
}

#[tokio::test]
async fn in_list_of_pseudonyms() {
    let sql = "SELECT count(*) AS n FROM t WHERE pid IN (X'01010101010101010101010101010101', X'02020202020202020202020202020202', X'03030303030303030303030303030303', X'04040404040404040404040404040404')";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT count(*) AS n FROM t WHERE pid IN (X'01010101010101010101010101010101', X'02020202020202020202020202020202', X'03030303030303030303030303030303', X'04040404040404040404040404040404')
    SELECT count(*) AS n FROM t WHERE pid IN (4 values)
    "#);
}

#[tokio::test]
async fn coercion_is_said() {
    let sql = "SELECT id FROM t WHERE i = id AND f > i AND s <> v";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT id FROM t WHERE CAST(i AS INT64) = id AND f > CAST(i AS FLOAT64) AND CAST(s AS UTF8_VIEW) <> v
    SELECT id FROM t WHERE CAST(i AS INT64) = id AND f > CAST(i AS FLOAT64) AND CAST(s AS UTF8_VIEW) <> v
    "#);
}

#[tokio::test]
async fn projection_with_names() {
    let sql = r#"SELECT i + 1 AS "Næste", s AS code FROM t AS x WHERE x.b"#;
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT CAST(i AS INT64) + 1 AS "Næste", s AS code FROM t WHERE b
    SELECT CAST(i AS INT64) + ? AS "Næste", s AS code FROM t WHERE b
    "#);
}

#[tokio::test]
async fn precedence() {
    let sql = "SELECT (i + id) * 2 - (i - (id - 3)) AS x FROM t WHERE (b OR i > 0) AND NOT (b AND i IS NULL)";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT (CAST(i AS INT64) + id) * 2 - (CAST(i AS INT64) - (id - 3)) AS x FROM t WHERE (b OR CAST(i AS INT64) > 0) AND NOT (b AND i IS NULL)
    SELECT (CAST(i AS INT64) + id) * ? - (CAST(i AS INT64) - (id - ?)) AS x FROM t WHERE (b OR CAST(i AS INT64) > ?) AND NOT (b AND i IS NULL)
    "#);
}

#[tokio::test]
async fn three_valued() {
    let sql = "SELECT b IS TRUE AS x, i IS NOT DISTINCT FROM NULL AS y, b IS UNKNOWN AS z FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT b IS NOT DISTINCT FROM true AS x, i IS NOT DISTINCT FROM NULL AS y, b IS NULL AS z FROM t
    SELECT b IS NOT DISTINCT FROM ? AS x, i IS NOT DISTINCT FROM ? AS y, b IS NULL AS z FROM t
    "#);
}

#[tokio::test]
async fn like_and_between() {
    let sql = r#"SELECT id FROM t WHERE s LIKE 'E11%' AND v NOT ILIKE '%x\_y' AND d BETWEEN DATE '2019-01-01' AND DATE '2020-01-01'"#;
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT id FROM t WHERE s LIKE 'E11%' AND v NOT ILIKE '%x\_y' AND d BETWEEN DATE '2019-01-01' AND DATE '2020-01-01'
    SELECT id FROM t WHERE s LIKE ? AND v NOT ILIKE ? AND d BETWEEN ? AND ?
    "#);
}

#[tokio::test]
async fn case_forms() {
    let sql = "SELECT CASE i WHEN 1 THEN 'one' ELSE 'more' END AS a, CASE WHEN b THEN f END AS c FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT CASE CAST(i AS INT64) WHEN 1 THEN 'one' ELSE 'more' END AS a, CASE WHEN b THEN f END AS c FROM t
    SELECT CASE CAST(i AS INT64) WHEN ? THEN ? ELSE ? END AS a, CASE WHEN b THEN f END AS c FROM t
    "#);
}

#[tokio::test]
async fn casts() {
    let sql = "SELECT CAST(f AS DECIMAL(12, 3)) AS a, TRY_CAST(s AS INT) AS c, CAST(NULL AS INT) AS n, CAST(d AS TIMESTAMP) AS x FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT CAST(f AS DECIMAL(12, 3)) AS a, TRY_CAST(s AS INT32) AS c, NULL AS n, CAST(d AS TIMESTAMP(ns)) AS x FROM t
    SELECT CAST(f AS DECIMAL(12, 3)) AS a, TRY_CAST(s AS INT32) AS c, ? AS n, CAST(d AS TIMESTAMP(ns)) AS x FROM t
    "#);
}

#[tokio::test]
async fn constants() {
    let sql = "SELECT 1.50 AS a, -7 AS c, 'it''s' AS x, DATE '1899-12-31' AS y, TIMESTAMP '2020-01-01T00:00:00.5' AS z, 1e300 AS w FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT 1.5 AS a, -7 AS c, 'it''s' AS x, DATE '1899-12-31' AS y, TIMESTAMP '2020-01-01 00:00:00.500' AS z, 1e300 AS w FROM t
    SELECT ? AS a, ? AS c, ? AS x, ? AS y, ? AS z, ? AS w FROM t
    "#);
}

#[tokio::test]
async fn dates() {
    let sql = "SELECT d + INTERVAL '1 month' AS a, date_trunc('month', tz) AS c, extract(year FROM d) AS y FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT d + INTERVAL '1 months' AS a, date_trunc('month', tz) AS c, date_part('YEAR', d) AS y FROM t
    SELECT d + ? AS a, date_trunc(?, tz) AS c, date_part(?, d) AS y FROM t
    "#);
}

#[tokio::test]
async fn aggregate() {
    let sql = "SELECT s, count(*) AS n, avg(i) AS m, count(DISTINCT pid) AS people FROM t WHERE b GROUP BY s";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT s, count(*) AS n, avg(CAST(i AS FLOAT64)) AS m, count(DISTINCT pid) AS people FROM t WHERE b GROUP BY s
    SELECT s, count(*) AS n, avg(CAST(i AS FLOAT64)) AS m, count(DISTINCT pid) AS people FROM t WHERE b GROUP BY s
    "#);
}

#[tokio::test]
async fn measures_with_filter() {
    let sql = "SELECT sum(f) FILTER (WHERE i > 0) AS a, stddev_pop(f) AS c, var_samp(f) AS x, min(d) AS y FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT sum(f) FILTER (WHERE CAST(i AS INT64) > 0) AS a, stddev_pop(f) AS c, var_samp(f) AS x, min(d) AS y FROM t
    SELECT sum(f) FILTER (WHERE CAST(i AS INT64) > ?) AS a, stddev_pop(f) AS c, var_samp(f) AS x, min(d) AS y FROM t
    "#);
}

#[tokio::test]
async fn having() {
    let sql = "SELECT s, count(*) FROM t GROUP BY s HAVING count(*) > 2";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT s, count(*) AS "count(*)" FROM t GROUP BY s HAVING count(*) > 2
    SELECT s, count(*) AS "expr 2" FROM t GROUP BY s HAVING count(*) > ?
    "#);
}

#[tokio::test]
async fn sort_and_limit() {
    let sql = "SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7
    SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7
    "#);
}

#[tokio::test]
async fn top_k() {
    let sql = "SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7
    SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7
    "#);
}

#[tokio::test]
async fn limit_inside() {
    let sql = "SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 3) ORDER BY id DESC LIMIT 2";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 3) ORDER BY id DESC LIMIT 2
    SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 3) ORDER BY id DESC LIMIT 2
    "#);
}

#[tokio::test]
async fn distinct() {
    let sql = "SELECT DISTINCT s, b FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT s, b FROM t GROUP BY s, b
    SELECT s, b FROM t GROUP BY s, b
    "#);
}

#[tokio::test]
async fn distinct_people_per_group() {
    let sql = "SELECT s, count(DISTINCT pid) AS people FROM t GROUP BY s";
    insta::assert_snapshot!(says(sql, Form::Optimised).await, @r#"
    SELECT s, count(alias1) AS people FROM (SELECT s, pid AS alias1 FROM t GROUP BY s, pid) GROUP BY s
    SELECT s, count(alias1) AS people FROM (SELECT s, pid AS alias1 FROM t GROUP BY s, pid) GROUP BY s
    "#);
}

#[tokio::test]
async fn functions() {
    let sql = "SELECT replace(upper(left(s, 3)), '.', '') AS a, coalesce(f, 0) AS c, regexp_like(s, '^E1') AS x FROM t";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT replace(upper(left(s, 3)), '.', '') AS a, coalesce(f, CAST(0 AS FLOAT64)) AS c, regexp_like(s, '^E1') AS x FROM t
    SELECT replace(upper(left(s, ?)), ?, ?) AS a, coalesce(f, CAST(? AS FLOAT64)) AS c, regexp_like(s, ?) AS x FROM t
    "#);
}

#[tokio::test]
async fn aggregate_of_an_aggregate() {
    let sql = "SELECT n, count(*) AS people FROM (SELECT pid, count(*) AS n FROM t GROUP BY pid) GROUP BY n ORDER BY n";
    insta::assert_snapshot!(says(sql, Form::Analysed).await, @r#"
    SELECT n, count(*) AS people FROM (SELECT pid, count(*) AS n FROM t GROUP BY pid) GROUP BY n ORDER BY n
    SELECT n, count(*) AS people FROM (SELECT pid, count(*) AS n FROM t GROUP BY pid) GROUP BY n ORDER BY n
    "#);
}
