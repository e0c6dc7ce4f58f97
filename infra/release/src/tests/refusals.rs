//! What is refused, word for word. `refusal` runs each example too.

use super::refusal;

macro_rules! refused {
    ($($name:ident: $sql:expr, @$text:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let text = refusal($sql).await;
            insta::assert_snapshot!(text, @$text);
        })*
    };
}

refused! {
    rows:
        "SELECT * FROM bef",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    rows_without_the_person:
        "SELECT kom FROM bef",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    rows_with_a_limit:
        "SELECT kom FROM bef ORDER BY kom LIMIT 1",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    rows_of_a_join:
        "SELECT b.kom, l.vaerdi FROM bef b JOIN lab l ON b.pnr = l.pnr",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    rows_with_a_window:
        "SELECT kom, row_number() OVER (ORDER BY kom) AS r FROM bef",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    rows_per_person:
        "SELECT pnr, count(*) AS n FROM lab GROUP BY pnr",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kode, count(*) AS n, count(DISTINCT pnr) AS people FROM lab GROUP BY kode"#;

    distinct_people:
        "SELECT DISTINCT pnr FROM bef",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    distinct_keys:
        "SELECT DISTINCT kontakt_id FROM kontakt",
        @r#"Column kontakt.kontakt_id identifies people and can't be shown.
This works: SELECT afd, count(*) AS n, count(DISTINCT pnr) AS people FROM kontakt GROUP BY afd"#;

    distinct_on:
        "SELECT DISTINCT ON (kom) kom, koen FROM bef",
        @r#"The release rules don't cover DISTINCT ON, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    grouped_by_the_person_and_shown:
        "SELECT kom, pnr, sum(indkomst) FROM bef GROUP BY kom, pnr",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    grouped_by_a_key:
        "SELECT kontakt_id, count(*) FROM kontakt GROUP BY kontakt_id",
        @r#"Column kontakt.kontakt_id identifies people and can't be grouped by. To aggregate per person first, group by kontakt.pnr in a WITH or a subquery, and count the result.
This works: WITH each AS (SELECT pnr, count(*) AS n FROM kontakt GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    grouped_by_an_optional_person:
        "SELECT l.pnr, count(*) FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr GROUP BY l.pnr",
        @r#"Column l.pnr identifies people and can't be grouped by. To aggregate per person first, group by b.pnr in a WITH or a subquery, and count the result.
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    person_in_a_cast:
        "SELECT arrow_cast(pnr, 'Binary') AS p, count(*) FROM bef GROUP BY arrow_cast(pnr, 'Binary')",
        @r#"Column bef.pnr identifies people and can't be used in arrow_cast(). It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_in_a_case:
        "SELECT count(*) FROM bef GROUP BY CASE WHEN koen = 1 THEN pnr END",
        @r#"Column bef.pnr identifies people and can't be used in CASE. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_in_a_simple_case:
        "SELECT count(CASE pnr WHEN pnr THEN 1 END) FROM bef",
        @r#"Column bef.pnr identifies people and can't be used in CASE. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_in_a_list:
        "SELECT count(*) FROM (SELECT make_array(pnr) AS p FROM bef) x GROUP BY p",
        @r#"Column bef.pnr identifies people and can't be used in make_array(). It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_in_a_function:
        "SELECT count(*) FROM bef WHERE coalesce(pnr, pnr) IS NOT NULL",
        @r#"Column bef.pnr identifies people and can't be used in coalesce(). It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_compared_with_a_value:
        "SELECT count(*) FROM bef WHERE pnr = X'00112233445566778899aabbccddeeff'",
        @r#"Column bef.pnr identifies people and can't be used in a cast or a comparison with a value. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_compared_in_a_filter:
        "SELECT count(*) FILTER (WHERE pnr = X'00112233445566778899aabbccddeeff') FROM bef",
        @r#"Column bef.pnr identifies people and can't be used in a cast or a comparison with a value. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_in_a_list_of_values:
        "SELECT count(*) FROM bef WHERE pnr IN (X'00112233445566778899aabbccddeeff', X'ff')",
        @r#"Column bef.pnr identifies people and can't be used in a cast or a comparison with a value. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    key_compared_with_a_value:
        "SELECT count(*) FROM kontakt WHERE kontakt_id = X'00112233445566778899aabbccddeeff'",
        @r#"Column kontakt.kontakt_id identifies people and can't be used in a cast or a comparison with a value. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT afd, count(*) AS n, count(DISTINCT pnr) AS people FROM kontakt GROUP BY afd"#;

    person_compared_with_a_parameter:
        "SELECT count(*) FROM bef WHERE pnr = $1",
        @r#"Column bef.pnr identifies people and can't be compared with a value: that would ask about one person. Compare it with a column of the same kind in another table.
This works: SELECT count(DISTINCT pnr) AS people FROM bef WHERE pnr IN (SELECT pnr FROM bef)"#;

    person_put_in_an_order:
        "SELECT count(*) FROM bef a JOIN bef b ON a.pnr = b.pnr AND a.pnr < b.pnr",
        @r#"Column a.pnr identifies people and can't be used in the operator <. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_compared_with_a_key:
        "SELECT count(*) FROM kontakt WHERE pnr = kontakt_id",
        @r#"Columns kontakt.pnr and kontakt.kontakt_id identify different things and can't be compared.
This works: SELECT count(DISTINCT pnr) AS people FROM kontakt WHERE pnr IN (SELECT pnr FROM kontakt)"#;

    person_joined_with_a_list:
        "SELECT count(*) FROM bef b JOIN (VALUES (arrow_cast(X'00112233445566778899aabbccddeeff', 'FixedSizeBinary(16)'))) AS v(p) ON v.p = b.pnr",
        @r#"Column b.pnr identifies people and can't be compared with a value: that would ask about one person. Compare it with a column of the same kind in another table.
This works: SELECT count(DISTINCT pnr) AS people FROM bef WHERE pnr IN (SELECT pnr FROM bef)"#;

    person_between:
        "SELECT count(*) FROM bef a JOIN lab l ON a.pnr BETWEEN l.pnr AND l.pnr",
        @r#"Column a.pnr identifies people and can't be used in BETWEEN. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    smallest_person:
        "SELECT min(pnr) FROM bef",
        @r#"Column bef.pnr identifies people and can't be used in min(). It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    minimum:
        "SELECT min(indkomst) FROM bef",
        @r#"min() shows the value of a single person. Use avg() and stddev(), or count people above a limit: count(*) FILTER (WHERE ..).
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    maximum:
        "SELECT kom, max(foed_dag) FROM bef GROUP BY kom",
        @r#"max() shows the value of a single person. Use avg() and stddev(), or count people above a limit: count(*) FILTER (WHERE ..).
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    median:
        "SELECT median(indkomst) FROM bef",
        @r#"median() shows the value of a single person. Ask in which range it is: quantile_range(x, 0.5) is the median's, with at least 10 people in it, below it and above it; quantile_low and quantile_high are its ends as numbers.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    percentile:
        "SELECT approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY indkomst) FROM bef",
        @r#"approx_percentile_cont() shows the value of a single person. Ask in which range it is: quantile_range(x, 0.5) is the median's, with at least 10 people in it, below it and above it; quantile_low and quantile_high are its ends as numbers.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    percentile_of_the_own_column:
        "SELECT kode, percentile_cont(0.9) WITHIN GROUP (ORDER BY v) FROM (SELECT pnr, kode, vaerdi AS v FROM lab) l JOIN bef b USING (pnr) GROUP BY kode",
        @r#"percentile_cont() shows the value of a single person. Ask in which range it is: quantile_range(x, 0.5) is the median's, with at least 10 people in it, below it and above it; quantile_low and quantile_high are its ends as numbers.
This works: SELECT quantile_range(vaerdi, 0.5) AS median, count(vaerdi) AS n FROM lab"#;

    range_of_text:
        "SELECT quantile_range(kode, 0.5) FROM lab",
        @r#"quantile_range() takes a column of numbers or what is computed from numbers, and this is none. Of days, take the year, quantile_range(extract(year FROM day), 0.5, 1), or how many there are from one of somebody's own days to another: quantile_range(CAST(last_day AS int) - CAST(first_day AS int), 0.5).
This works: SELECT quantile_range(vaerdi, 0.5) AS median, count(vaerdi) AS n FROM lab"#;

    range_without_a_part:
        "SELECT quantile_range(indkomst) FROM bef",
        @r#"quantile_range() takes a number, the part of the people that is below, and perhaps a step: quantile_range(x, 0.5) or quantile_range(x, 0.5, 10).
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_of_a_part_that_is_none:
        "SELECT quantile_low(indkomst, 1) FROM bef",
        @r#"The second argument of quantile_low() is the part of the people that is below the value, a constant above 0 and below 1: 0.5 for the median, 0.25 and 0.75 for quartiles. The smallest and the largest value are single people's.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_of_a_part_that_differs:
        "SELECT quantile_low(indkomst, 1 / kom) FROM bef",
        @r#"The second argument of quantile_low() is the part of the people that is below the value, a constant above 0 and below 1: 0.5 for the median, 0.25 and 0.75 for quartiles. The smallest and the largest value are single people's.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_with_no_step:
        "SELECT quantile_high(indkomst, 0.5, -10) FROM bef",
        @r#"The third argument of quantile_high() is the width of the intervals, a constant above 0: quantile_high(x, 0.5, 10) for 0 to 10, 10 to 20. Without it they are as wide as the first digit: 20 to 30, 300 to 400.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_of_distinct_values:
        "SELECT quantile_range(DISTINCT indkomst, 0.5) FROM bef",
        @r#"quantile_range() counts people, each once in each interval, so that DISTINCT changes nothing. Leave it out.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_over:
        "SELECT kom, quantile_range(indkomst, 0.5) OVER (PARTITION BY kom) FROM bef",
        @r#"quantile_range() is an aggregate beside others, in a SELECT with or without GROUP BY. With OVER, inside another aggregate or below one it isn't answered: give the groups a name (WITH g AS (SELECT kom, quantile_range(x, 0.5) AS q FROM .. GROUP BY kom)) and work on its rows.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_beside_totals:
        "SELECT kom, quantile_range(indkomst, 0.5) FROM bef GROUP BY ROLLUP (kom)",
        @r#"quantile_range() doesn't go with ROLLUP, CUBE and GROUPING SETS. Ask one level of groups at a time.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_per_person:
        "SELECT avg(q) FROM (SELECT pnr, quantile_low(vaerdi, 0.5) AS q FROM lab GROUP BY pnr) x",
        @r#"A range of one person's values has one person in it. Per person (GROUP BY the person column in a WITH) median() and percentile_cont() are answered.
This works: SELECT quantile_range(vaerdi, 0.5) AS median, count(vaerdi) AS n FROM lab"#;

    range_of_aggregates:
        "SELECT quantile_range(n, 0.5) FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) x",
        @r#"This aggregates groups that are aggregates already, of which those under 5 people are not known. Aggregate the people once, at the level that you want to see. Over the groups that are shown a window counts and adds: count(..) OVER ().
This works: WITH g AS (SELECT kom FROM bef GROUP BY kom) SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL"#;

    range_without_the_person:
        "SELECT kom, quantile_range(i, 0.5) FROM (SELECT kom, indkomst AS i FROM bef) x GROUP BY kom",
        @r#"Ranges of quantiles count people. Select the person column in the subquery or WITH that they are taken from.
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    range_of_days:
        "SELECT quantile_range(extract(day FROM dato), 0.5) FROM lab",
        @r#"A key of the result is as fine as a day, and days are what people are recognised by. Group by date_trunc('week', ..), date_trunc('month', ..) or extract(year FROM ..).
This works: SELECT date_trunc('month', dato) AS month, count(DISTINCT pnr) AS people FROM lab GROUP BY date_trunc('month', dato)"#;

    range_of_identifiers:
        "SELECT quantile_range(pnr, 0.5) FROM bef",
        @r#"quantile_range() takes a column of numbers or what is computed from numbers, and this is none. Of days, take the year, quantile_range(extract(year FROM day), 0.5, 1), or how many there are from one of somebody's own days to another: quantile_range(CAST(last_day AS int) - CAST(first_day AS int), 0.5).
This works: SELECT quantile_range(indkomst, 0.5) AS median, count(indkomst) AS n FROM bef"#;

    list:
        "SELECT array_agg(kom) FROM bef",
        @r#"array_agg() shows values of single people. Count people per value instead: GROUP BY the column.
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    text:
        "SELECT string_agg(kode, ',') FROM lab",
        @r#"string_agg() shows values of single people. Count people per value instead: GROUP BY the column.
This works: SELECT avg(vaerdi) AS mean, stddev(vaerdi) AS spread, count(vaerdi) AS n FROM lab"#;

    first:
        "SELECT first_value(indkomst ORDER BY foed_dag) FROM bef",
        @r#"first_value() shows values of single people. Count people per value instead: GROUP BY the column.
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    approximate:
        "SELECT approx_distinct(kom) FROM bef",
        @r#"approx_distinct() can't be checked. Use count(DISTINCT ..), of people or contacts.
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    correlation:
        "SELECT corr(indkomst, kom) FROM bef",
        @r#"corr() isn't released. Make it of spreads: the covariance of x and y is (var_samp(x + y) - var_samp(x) - var_samp(y)) / 2, the slope of y on x is that over var_samp(x), the correlation that over stddev(x) * stddev(y). Multiply one of them so that both vary about alike. Of fewer than 100,000 people sums of what is left over numbers near the means are nearer: docs/release.md, Regression.
This works: SELECT count(*) AS n, avg(indkomst) AS mean_x, avg(kom) AS mean_y, var_samp(indkomst) AS var_x, var_samp(kom) AS var_y, var_samp(indkomst + kom) AS var_sum FROM bef WHERE indkomst IS NOT NULL AND kom IS NOT NULL"#;

    slope:
        "SELECT kom, regr_slope(indkomst, koen) FROM bef GROUP BY kom",
        @r#"regr_slope() isn't released. Make it of spreads: the covariance of x and y is (var_samp(x + y) - var_samp(x) - var_samp(y)) / 2, the slope of y on x is that over var_samp(x), the correlation that over stddev(x) * stddev(y). Multiply one of them so that both vary about alike. Of fewer than 100,000 people sums of what is left over numbers near the means are nearer: docs/release.md, Regression.
This works: SELECT count(*) AS n, avg(indkomst) AS mean_x, avg(kom) AS mean_y, var_samp(indkomst) AS var_x, var_samp(kom) AS var_y, var_samp(indkomst + kom) AS var_sum FROM bef WHERE indkomst IS NOT NULL AND kom IS NOT NULL"#;

    any_true:
        "SELECT bool_or(koen = 1) FROM bef",
        @r#"bool_or() isn't among the aggregates that are released: count, sum, avg, var_samp, var_pop, stddev_samp and stddev_pop.
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    sum_distinct:
        "SELECT sum(DISTINCT indkomst) FROM bef",
        @r#"sum(DISTINCT ..) of values isn't released: one person can be the only one with a value, and would be seen. count(DISTINCT ..) counts people, or contacts and the like: a column that identifies, as its table holds it. To count values, group by them and count the groups that are shown.
This works: WITH g AS (SELECT kom FROM bef GROUP BY kom) SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL"#;

    count_distinct:
        "SELECT count(DISTINCT koen) FROM bef",
        @r#"count(DISTINCT ..) of values isn't released: one person can be the only one with a value, and would be seen. count(DISTINCT ..) counts people, or contacts and the like: a column that identifies, as its table holds it. To count values, group by them and count the groups that are shown.
This works: WITH g AS (SELECT kom FROM bef GROUP BY kom) SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL"#;

    hidden_in_having:
        "SELECT kom, count(*) FROM bef GROUP BY kom HAVING max(indkomst) > 10",
        @r#"max() shows the value of a single person. Use avg() and stddev(), or count people above a limit: count(*) FILTER (WHERE ..).
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    hidden_in_the_order:
        "SELECT kom, count(*) FROM bef GROUP BY kom ORDER BY max(indkomst)",
        @r#"max() shows the value of a single person. Use avg() and stddev(), or count people above a limit: count(*) FILTER (WHERE ..).
This works: SELECT avg(indkomst) AS mean, stddev(indkomst) AS spread, count(indkomst) AS n FROM bef"#;

    limit_below:
        "SELECT count(*) FROM (SELECT * FROM bef LIMIT 10) x",
        @r#"LIMIT below an aggregate counts arbitrary people. Leave it out, or put it after the aggregate.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    offset_below:
        "SELECT avg(indkomst) FROM (SELECT * FROM bef ORDER BY indkomst OFFSET 3) x",
        @r#"LIMIT below an aggregate counts arbitrary people. Leave it out, or put it after the aggregate.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    not_linked:
        "SELECT count(*) FROM bef b JOIN lab l ON b.koen = l.vaerdi",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = l.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    cross_join:
        "SELECT count(*) FROM bef CROSS JOIN lab",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND bef.pnr = lab.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    linked_by_a_key_only:
        "SELECT d.kode, count(*) FROM kontakt k JOIN diag d ON d.kontakt_id = k.kontakt_id GROUP BY d.kode",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND k.pnr = d.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM kontakt a JOIN diag b ON a.pnr = b.pnr"#;

    linked_in_an_or:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr = l.pnr OR l.kode = 'A'",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = l.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    linked_by_inequality:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr <> l.pnr",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = l.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    third_table_not_linked:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr = l.pnr JOIN kontakt k ON k.afd = l.kode",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = k.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    left_join_not_linked:
        "SELECT count(*) FROM bef b LEFT JOIN lab l ON l.kode = 'A'",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = l.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    left_join_linked_too_late:
        "SELECT count(*) FROM bef b LEFT JOIN lab l ON l.kode = 'A' WHERE l.pnr = b.pnr",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND b.pnr = l.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    semi_join_not_linked:
        "SELECT count(*) FROM bef LEFT SEMI JOIN lab ON bef.kom = lab.vaerdi",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND bef.pnr = lab.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    anti_join_not_linked:
        "SELECT count(*) FROM bef LEFT ANTI JOIN lab ON bef.kom = lab.vaerdi",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND bef.pnr = lab.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    full_join:
        "SELECT count(*) FROM bef b FULL JOIN lab l ON b.pnr = l.pnr",
        @r#"FULL JOIN isn't covered by the release rules for people. Use UNION ALL of the two tables' rows, or a LEFT JOIN from the table that holds everybody.
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    not_linked_where_the_column_is_dropped:
        "SELECT count(*) FROM (SELECT kom FROM bef) b JOIN (SELECT kode, vaerdi FROM lab) l ON b.kom = l.vaerdi",
        @r#"Tables of people must hang together by the person. Select the person column in every subquery, and join on it.
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN lab b ON a.pnr = b.pnr"#;

    reference_rows_kept:
        "SELECT count(b.pnr) FROM kommuner k LEFT JOIN bef b ON b.kom = k.kom",
        @r#"This keeps rows of a table without people that match nobody, which can't be counted as people. Count the people first, in a WITH, and join the table to the groups.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    reference_rows_by_people:
        "SELECT navn FROM kommuner LEFT SEMI JOIN bef ON bef.kom = kommuner.kom",
        @r#"This selects rows of a table without people by what people have. Count the people per group instead.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    natural_join_by_values:
        "SELECT count(*) FROM lab JOIN diag USING (kode)",
        @r#"Tables of people must hang together by the person. Add to the join's condition: AND lab.pnr = diag.pnr
This works: SELECT count(DISTINCT a.pnr) AS people FROM lab a JOIN diag b ON a.pnr = b.pnr"#;

    intersect_of_values:
        "SELECT count(*) FROM (SELECT kode FROM lab INTERSECT SELECT kode FROM diag) x",
        @r#"This joins groups that are aggregates already with rows of people. Aggregate once, after the join.
This works: SELECT count(DISTINCT a.pnr) AS people FROM lab a JOIN diag b ON a.pnr = b.pnr"#;

    exists_not_linked:
        "SELECT count(*) FROM bef b WHERE EXISTS (SELECT 1 FROM lab l WHERE l.vaerdi = b.kom)",
        @r#"A subquery over people must be linked by the person, so that it tells about the row's own person only: WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).
This works: SELECT count(DISTINCT pnr) AS people FROM lab WHERE pnr IN (SELECT pnr FROM bef)"#;

    exists_linked_in_an_or:
        "SELECT count(*) FROM bef b WHERE EXISTS (SELECT 1 FROM lab l WHERE l.pnr = b.pnr OR l.kode = 'A')",
        @r#"A subquery over people must be linked by the person, so that it tells about the row's own person only: WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).
This works: SELECT count(DISTINCT pnr) AS people FROM lab WHERE pnr IN (SELECT pnr FROM bef)"#;

    in_not_linked:
        "SELECT count(*) FROM bef WHERE kom IN (SELECT vaerdi FROM lab)",
        @r#"A subquery over people must be linked by the person, so that it tells about the row's own person only: WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).
This works: SELECT count(DISTINCT pnr) AS people FROM lab WHERE pnr IN (SELECT pnr FROM bef)"#;

    key_looked_up_without_the_person:
        "SELECT count(*) FROM kontakt WHERE kontakt_id IN (SELECT kontakt_id FROM diag)",
        @r#"A subquery over people must be linked by the person, so that it tells about the row's own person only: WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).
This works: SELECT count(DISTINCT pnr) AS people FROM diag WHERE pnr IN (SELECT pnr FROM kontakt)"#;

    person_looked_up_in_values:
        "SELECT count(*) FROM bef WHERE pnr IN (SELECT arrow_cast(X'00112233445566778899aabbccddeeff', 'FixedSizeBinary(16)') FROM kommuner)",
        @r#"Column bef.pnr identifies people and can't be used in IN (SELECT ..) from a table without people. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    person_looked_up_in_keys:
        "SELECT count(*) FROM bef WHERE pnr IN (SELECT kontakt_id FROM diag)",
        @r#"Column bef.pnr identifies people and can't be used in IN (SELECT ..) with another kind of column. It can be counted, compared with a column of the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..).
This works: SELECT kode, count(*) AS n, count(DISTINCT pnr) AS people FROM diag GROUP BY kode"#;

    looked_up_in_groups:
        "SELECT count(*) FROM bef WHERE kom IN (SELECT kom FROM bef GROUP BY kom HAVING count(*) > 10)",
        @r#"A subquery over people must be linked by the person, so that it tells about the row's own person only: WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).
This works: SELECT count(DISTINCT pnr) AS people FROM bef WHERE pnr IN (SELECT pnr FROM bef)"#;

    scalar_subquery:
        "SELECT count(*) FROM bef WHERE indkomst > (SELECT avg(indkomst) FROM bef)",
        @r#"A subquery in place of a value may only read tables without people. Give it a name with WITH and join it: by the person, if it has one row per person, or with CROSS JOIN, if it is a total.
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    scalar_subquery_shown:
        "SELECT navn, (SELECT count(*) FROM bef) AS n FROM kommuner",
        @r#"A subquery in place of a value may only read tables without people. Give it a name with WITH and join it: by the person, if it has one row per person, or with CROSS JOIN, if it is a total.
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    scalar_subquery_beside_groups:
        "SELECT kom, count(*) / (SELECT count(*) FROM bef) AS n FROM bef GROUP BY kom",
        @r#"A subquery in place of a value may only read tables without people. Give it a name with WITH and join it: by the person, if it has one row per person, or with CROSS JOIN, if it is a total.
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    any:
        "SELECT count(*) FROM bef WHERE kom = ANY (SELECT kom FROM kommuner)",
        @r#"The release rules don't cover = ANY (SELECT ..) or ALL, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    window_over_people:
        "SELECT count(*) FROM (SELECT rank() OVER (ORDER BY indkomst) AS r FROM bef) x WHERE r < 3",
        @r#"rank() OVER looks at the rows of several people. Below an aggregate a window must stay within one person: OVER (PARTITION BY bef.pnr ORDER BY ..).
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    window_by_a_value:
        "SELECT count(*) FROM (SELECT pnr, sum(indkomst) OVER (PARTITION BY kom) AS r FROM bef) x WHERE r > 3",
        @r#"sum() OVER looks at the rows of several people. Below an aggregate a window must stay within one person: OVER (PARTITION BY bef.pnr ORDER BY ..).
This works: WITH each AS (SELECT pnr, count(*) AS n FROM bef GROUP BY pnr) SELECT avg(n) AS mean_per_person FROM each"#;

    groups_of_groups:
        "SELECT count(*) FROM (SELECT kom FROM bef GROUP BY kom) x",
        @r#"This aggregates groups that are aggregates already, of which those under 5 people are not known. Aggregate the people once, at the level that you want to see. Over the groups that are shown a window counts and adds: count(..) OVER ().
This works: WITH g AS (SELECT kom FROM bef GROUP BY kom) SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL"#;

    sum_of_groups:
        "SELECT sum(n) FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) x",
        @r#"This aggregates groups that are aggregates already, of which those under 5 people are not known. Aggregate the people once, at the level that you want to see. Over the groups that are shown a window counts and adds: count(..) OVER ().
This works: WITH g AS (SELECT kom FROM bef GROUP BY kom) SELECT DISTINCT count(kom) OVER () AS shown_values FROM g WHERE kom IS NOT NULL"#;

    groups_joined_with_people:
        "SELECT count(*) FROM bef b JOIN (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c ON c.kom = b.kom",
        @r#"This joins groups that are aggregates already with rows of people. Aggregate once, after the join.
This works: SELECT count(DISTINCT a.pnr) AS people FROM bef a JOIN bef b ON a.pnr = b.pnr"#;

    groups_missing_after_a_join:
        "SELECT r.navn, c.n FROM kommuner r LEFT JOIN (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c ON c.kom = r.kom",
        @r#"A group that is missing after this join can be one of nobody or one that is not shown, and the two must not look alike. Use JOIN, or LEFT JOIN from the groups to a table without people.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    groups_in_an_intersect:
        "SELECT kom FROM bef GROUP BY kom INTERSECT SELECT kom FROM bef WHERE koen = 1 GROUP BY kom",
        @r#"A group that is missing after this join can be one of nobody or one that is not shown, and the two must not look alike. Use JOIN, or LEFT JOIN from the groups to a table without people.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    union_of_rows:
        "SELECT kom FROM bef UNION ALL SELECT kom FROM bef",
        @r#"This shows rows about single people. Outside the secure environment a statement must end in an aggregate over people: count, sum, avg, stddev or var, with or without GROUP BY.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    union_of_rows_and_groups:
        "SELECT kom, indkomst FROM bef UNION ALL SELECT kom, sum(indkomst) FROM bef GROUP BY kom",
        @r#"The parts of a UNION must be alike: all of them rows of people, to be counted together, or all of them aggregates.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    union_of_people_and_constants:
        "SELECT count(*) FROM (SELECT pnr FROM bef UNION ALL SELECT NULL FROM kommuner) x",
        @r#"The parts of a UNION must be alike: all of them rows of people, to be counted together, or all of them aggregates.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    union_of_persons_and_keys:
        "SELECT count(DISTINCT p) FROM (SELECT pnr AS p FROM bef UNION ALL SELECT kontakt_id FROM kontakt) x JOIN lab ON lab.pnr = x.p",
        @r#"Columns lab.pnr and x.p identify different things and can't be compared.
This works: SELECT count(DISTINCT pnr) AS people FROM bef WHERE pnr IN (SELECT pnr FROM kontakt)"#;

    unnest:
        "SELECT unnest(make_array(1, 2)) AS x FROM bef",
        @r#"The release rules don't cover unnest(), so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    unnest_groups:
        "SELECT unnest(make_array(count(*))) AS x FROM bef",
        @r#"The release rules don't cover unnest(), so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    recursive:
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 3) SELECT count(*) FROM bef b JOIN r ON r.x = b.koen",
        @r#"The release rules don't cover WITH RECURSIVE, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    table_function:
        "SELECT count(*) FROM bef b JOIN generate_series(1, 2) g ON g.value = b.koen",
        @r#"Table "generate_series()" isn't marked as a table without people, and no person column of it is among the columns that this project may see, so people can't be counted. Ask the controller to grant the person column.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    random:
        "SELECT count(*) FROM bef WHERE random() < 0.5",
        @r#"random() gives another answer every time. A released number must be repeatable.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    lateral:
        "SELECT count(*) FROM bef b CROSS JOIN LATERAL (SELECT l.vaerdi FROM lab l WHERE l.pnr = b.pnr) x",
        @r#"The release rules don't cover LATERAL, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    explain_analyze:
        "EXPLAIN ANALYZE SELECT count(*) FROM bef",
        @r#"The release rules don't cover EXPLAIN ANALYZE, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    changes:
        "CREATE TABLE ny AS SELECT * FROM bef",
        @r#"The release rules don't cover CreateMemoryTable, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    copy:
        "COPY (SELECT * FROM bef) TO '/tmp/x.csv'",
        @r#"The release rules don't cover COPY, so it isn't answered outside the secure environment.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    insert:
        "INSERT INTO kommuner VALUES (1, 'x')",
        @r#"The release rules don't cover changes to data, so it isn't answered outside the secure environment.
This works: SELECT count(*) AS n FROM controller.table_of_people"#;

    settings:
        "SET datafusion.execution.batch_size = 1",
        @r#"The release rules don't cover SetVariable, so it isn't answered outside the secure environment.
This works: SELECT count(*) AS n FROM controller.table_of_people"#;

    own_status_column:
        "SELECT kom AS release_status, count(*) FROM bef GROUP BY kom",
        @r#"The name release_status is taken by the last column of every result. Choose another name.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    reserved_name:
        "SELECT __eger_x, count(*) FROM (SELECT kom AS __eger_x FROM bef) y GROUP BY __eger_x",
        @r#"Names that start with __eger_ are reserved. Choose another name.
This works: SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people FROM bef GROUP BY kom"#;

    people_without_a_person_column:
        "SELECT atc, count(*) FROM uden GROUP BY atc",
        @r#"Table uden isn't marked as a table without people, and no person column of it is among the columns that this project may see, so people can't be counted. Ask the controller to grant the person column.
This works: SELECT count(*) AS n FROM controller.table_of_people"#;

    two_people_in_a_row:
        "SELECT count(*) FROM foraeldre",
        @r#"Table foraeldre has several columns of people, and the release rules can only count one of them.
This works: SELECT count(*) AS n FROM controller.table_of_people"#;
}
