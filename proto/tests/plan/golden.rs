//! What fragments say, as the controller reads it.

use proto::fragment::{Literals, text};
use proto::plan::encode_plan;

use crate::bench::{Form, plan, session};

async fn says(sql: &str, form: Form) -> String {
    let plan = plan(&session(), sql, form).await.unwrap();
    let fragment = encode_plan(&plan).unwrap();
    format!("{}\n{}", text(&fragment, Literals::Shown), text(&fragment, Literals::Hidden))
}

#[tokio::test]
async fn dump() {
    println!("@@scan\n{}", says("SELECT id, s FROM t", Form::Analysed).await);
    println!("@@count_without_columns\n{}", says("SELECT count(*) FROM t", Form::Optimised).await);
    println!("@@filter_on_pseudonym\n{}", says("SELECT id, d FROM t WHERE pid = X'01010101010101010101010101010101' AND d >= DATE '2020-01-01'", Form::Optimised).await);
    println!("@@in_list_of_pseudonyms\n{}", says("SELECT count(*) AS n FROM t WHERE pid IN (X'01010101010101010101010101010101', X'02020202020202020202020202020202', X'03030303030303030303030303030303', X'04040404040404040404040404040404')", Form::Optimised).await);
    println!("@@coercion_is_said\n{}", says("SELECT id FROM t WHERE i = id AND f > i AND s <> v", Form::Analysed).await);
    println!("@@projection_with_names\n{}", says("SELECT i + 1 AS \"Næste\", s AS code FROM t AS x WHERE x.b", Form::Analysed).await);
    println!("@@precedence\n{}", says("SELECT (i + id) * 2 - (i - (id - 3)) AS x FROM t WHERE (b OR i > 0) AND NOT (b AND i IS NULL)", Form::Analysed).await);
    println!("@@three_valued\n{}", says("SELECT b IS TRUE AS x, i IS NOT DISTINCT FROM NULL AS y, b IS UNKNOWN AS z FROM t", Form::Analysed).await);
    println!("@@like_and_between\n{}", says("SELECT id FROM t WHERE s LIKE 'E11%' AND v NOT ILIKE '%x\\_y' AND d BETWEEN DATE '2019-01-01' AND DATE '2020-01-01'", Form::Analysed).await);
    println!("@@case_forms\n{}", says("SELECT CASE i WHEN 1 THEN 'one' ELSE 'more' END AS a, CASE WHEN b THEN f END AS c FROM t", Form::Analysed).await);
    println!("@@casts\n{}", says("SELECT CAST(f AS DECIMAL(12, 3)) AS a, TRY_CAST(s AS INT) AS c, CAST(NULL AS INT) AS n, CAST(d AS TIMESTAMP) AS x FROM t", Form::Analysed).await);
    println!("@@constants\n{}", says("SELECT 1.50 AS a, -7 AS c, 'it''s' AS x, DATE '1899-12-31' AS y, TIMESTAMP '2020-01-01T00:00:00.5' AS z, 1e300 AS w FROM t", Form::Analysed).await);
    println!("@@dates\n{}", says("SELECT d + INTERVAL '1 month' AS a, date_trunc('month', tz) AS c, extract(year FROM d) AS y FROM t", Form::Analysed).await);
    println!("@@aggregate\n{}", says("SELECT s, count(*) AS n, avg(i) AS m, count(DISTINCT pid) AS people FROM t WHERE b GROUP BY s", Form::Optimised).await);
    println!("@@measures_with_filter\n{}", says("SELECT sum(f) FILTER (WHERE i > 0) AS a, stddev_pop(f) AS c, var_samp(f) AS x, min(d) AS y FROM t", Form::Analysed).await);
    println!("@@having\n{}", says("SELECT s, count(*) FROM t GROUP BY s HAVING count(*) > 2", Form::Analysed).await);
    println!("@@sort_and_limit\n{}", says("SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7", Form::Analysed).await);
    println!("@@top_k\n{}", says("SELECT id, i FROM t ORDER BY i DESC NULLS LAST, id LIMIT 5 OFFSET 7", Form::Optimised).await);
    println!("@@limit_inside\n{}", says("SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 3) ORDER BY id DESC LIMIT 2", Form::Analysed).await);
    println!("@@distinct\n{}", says("SELECT DISTINCT s, b FROM t", Form::Analysed).await);
    println!("@@distinct_people_per_group\n{}", says("SELECT s, count(DISTINCT pid) AS people FROM t GROUP BY s", Form::Optimised).await);
    println!("@@functions\n{}", says("SELECT replace(upper(left(s, 3)), '.', '') AS a, coalesce(f, 0) AS c, regexp_like(s, '^E1') AS x FROM t", Form::Analysed).await);
    println!("@@aggregate_of_an_aggregate\n{}", says("SELECT n, count(*) AS people FROM (SELECT pid, count(*) AS n FROM t GROUP BY pid) GROUP BY n ORDER BY n", Form::Analysed).await);
}
