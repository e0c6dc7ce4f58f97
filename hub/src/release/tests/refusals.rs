//! What is refused, word for word. `refusal` runs each example too.

use super::refusal;

macro_rules! refused {
    ($($name:ident: $sql:expr, @$text:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let text = refusal($sql).await;
            if std::env::var_os("EGER_DUMP").is_some() {
                println!("DUMP {}\t{}", stringify!($name), text.replace('\n', "\\n"));
                return;
            }
            insta::assert_snapshot!(text, @$text);
        })*
    };
}

refused! {
    rows:
        "SELECT * FROM bef",
        @r#""#;

    rows_without_the_person:
        "SELECT kom FROM bef",
        @r#""#;

    rows_with_a_limit:
        "SELECT kom FROM bef ORDER BY kom LIMIT 1",
        @r#""#;

    rows_of_a_join:
        "SELECT b.kom, l.vaerdi FROM bef b JOIN lab l ON b.pnr = l.pnr",
        @r#""#;

    rows_with_a_window:
        "SELECT kom, row_number() OVER (ORDER BY kom) AS r FROM bef",
        @r#""#;

    rows_per_person:
        "SELECT pnr, count(*) AS n FROM lab GROUP BY pnr",
        @r#""#;

    distinct_people:
        "SELECT DISTINCT pnr FROM bef",
        @r#""#;

    distinct_keys:
        "SELECT DISTINCT kontakt_id FROM kontakt",
        @r#""#;

    distinct_on:
        "SELECT DISTINCT ON (kom) kom, koen FROM bef",
        @r#""#;

    grouped_by_the_person_and_shown:
        "SELECT kom, pnr, sum(indkomst) FROM bef GROUP BY kom, pnr",
        @r#""#;

    grouped_by_a_key:
        "SELECT kontakt_id, count(*) FROM kontakt GROUP BY kontakt_id",
        @r#""#;

    grouped_by_an_optional_person:
        "SELECT l.pnr, count(*) FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr GROUP BY l.pnr",
        @r#""#;

    person_in_a_cast:
        "SELECT arrow_cast(pnr, 'Binary') AS p, count(*) FROM bef GROUP BY arrow_cast(pnr, 'Binary')",
        @r#""#;

    person_in_a_case:
        "SELECT count(*) FROM bef GROUP BY CASE WHEN koen = 1 THEN pnr END",
        @r#""#;

    person_in_a_simple_case:
        "SELECT count(CASE pnr WHEN pnr THEN 1 END) FROM bef",
        @r#""#;

    person_in_a_list:
        "SELECT count(*) FROM (SELECT make_array(pnr) AS p FROM bef) x GROUP BY p",
        @r#""#;

    person_in_a_function:
        "SELECT count(*) FROM bef WHERE coalesce(pnr, pnr) IS NOT NULL",
        @r#""#;

    person_compared_with_a_value:
        "SELECT count(*) FROM bef WHERE pnr = X'00112233445566778899aabbccddeeff'",
        @r#""#;

    person_compared_in_a_filter:
        "SELECT count(*) FILTER (WHERE pnr = X'00112233445566778899aabbccddeeff') FROM bef",
        @r#""#;

    person_in_a_list_of_values:
        "SELECT count(*) FROM bef WHERE pnr IN (X'00112233445566778899aabbccddeeff', X'ff')",
        @r#""#;

    key_compared_with_a_value:
        "SELECT count(*) FROM kontakt WHERE kontakt_id = X'00112233445566778899aabbccddeeff'",
        @r#""#;

    person_compared_with_a_parameter:
        "SELECT count(*) FROM bef WHERE pnr = $1",
        @r#""#;

    person_put_in_an_order:
        "SELECT count(*) FROM bef a JOIN bef b ON a.pnr = b.pnr AND a.pnr < b.pnr",
        @r#""#;

    person_compared_with_a_key:
        "SELECT count(*) FROM kontakt WHERE pnr = kontakt_id",
        @r#""#;

    person_joined_with_a_list:
        "SELECT count(*) FROM bef b JOIN (VALUES (arrow_cast(X'00112233445566778899aabbccddeeff', 'FixedSizeBinary(16)'))) AS v(p) ON v.p = b.pnr",
        @r#""#;

    person_between:
        "SELECT count(*) FROM bef a JOIN lab l ON a.pnr BETWEEN l.pnr AND l.pnr",
        @r#""#;

    smallest_person:
        "SELECT min(pnr) FROM bef",
        @r#""#;

    minimum:
        "SELECT min(indkomst) FROM bef",
        @r#""#;

    maximum:
        "SELECT kom, max(foed_dag) FROM bef GROUP BY kom",
        @r#""#;

    median:
        "SELECT median(indkomst) FROM bef",
        @r#""#;

    percentile:
        "SELECT approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY indkomst) FROM bef",
        @r#""#;

    list:
        "SELECT array_agg(kom) FROM bef",
        @r#""#;

    text:
        "SELECT string_agg(kode, ',') FROM lab",
        @r#""#;

    first:
        "SELECT first_value(indkomst ORDER BY foed_dag) FROM bef",
        @r#""#;

    approximate:
        "SELECT approx_distinct(kom) FROM bef",
        @r#""#;

    correlation:
        "SELECT corr(indkomst, kom) FROM bef",
        @r#""#;

    any_true:
        "SELECT bool_or(koen = 1) FROM bef",
        @r#""#;

    sum_distinct:
        "SELECT sum(DISTINCT indkomst) FROM bef",
        @r#""#;

    hidden_in_having:
        "SELECT kom, count(*) FROM bef GROUP BY kom HAVING max(indkomst) > 10",
        @r#""#;

    hidden_in_the_order:
        "SELECT kom, count(*) FROM bef GROUP BY kom ORDER BY max(indkomst)",
        @r#""#;

    rollup:
        "SELECT kom, koen, count(*) FROM bef GROUP BY ROLLUP (kom, koen)",
        @r#""#;

    cube:
        "SELECT kom, koen, count(*) FROM bef GROUP BY CUBE (kom, koen)",
        @r#""#;

    grouping_sets:
        "SELECT kom, count(*) FROM bef GROUP BY GROUPING SETS ((kom), ())",
        @r#""#;

    limit_below:
        "SELECT count(*) FROM (SELECT * FROM bef LIMIT 10) x",
        @r#""#;

    offset_below:
        "SELECT avg(indkomst) FROM (SELECT * FROM bef ORDER BY indkomst OFFSET 3) x",
        @r#""#;

    not_linked:
        "SELECT count(*) FROM bef b JOIN lab l ON b.koen = l.vaerdi",
        @r#""#;

    cross_join:
        "SELECT count(*) FROM bef CROSS JOIN lab",
        @r#""#;

    linked_by_a_key_only:
        "SELECT d.kode, count(*) FROM kontakt k JOIN diag d ON d.kontakt_id = k.kontakt_id GROUP BY d.kode",
        @r#""#;

    linked_in_an_or:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr = l.pnr OR l.kode = 'A'",
        @r#""#;

    linked_by_inequality:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr <> l.pnr",
        @r#""#;

    third_table_not_linked:
        "SELECT count(*) FROM bef b JOIN lab l ON b.pnr = l.pnr JOIN kontakt k ON k.afd = l.kode",
        @r#""#;

    left_join_not_linked:
        "SELECT count(*) FROM bef b LEFT JOIN lab l ON l.kode = 'A'",
        @r#""#;

    left_join_linked_too_late:
        "SELECT count(*) FROM bef b LEFT JOIN lab l ON l.kode = 'A' WHERE l.pnr = b.pnr",
        @r#""#;

    semi_join_not_linked:
        "SELECT count(*) FROM bef LEFT SEMI JOIN lab ON bef.kom = lab.vaerdi",
        @r#""#;

    anti_join_not_linked:
        "SELECT count(*) FROM bef LEFT ANTI JOIN lab ON bef.kom = lab.vaerdi",
        @r#""#;

    full_join:
        "SELECT count(*) FROM bef b FULL JOIN lab l ON b.pnr = l.pnr",
        @r#""#;

    not_linked_where_the_column_is_dropped:
        "SELECT count(*) FROM (SELECT kom FROM bef) b JOIN (SELECT kode, vaerdi FROM lab) l ON b.kom = l.vaerdi",
        @r#""#;

    reference_rows_kept:
        "SELECT count(b.pnr) FROM kommuner k LEFT JOIN bef b ON b.kom = k.kom",
        @r#""#;

    reference_rows_by_people:
        "SELECT navn FROM kommuner LEFT SEMI JOIN bef ON bef.kom = kommuner.kom",
        @r#""#;

    natural_join_by_values:
        "SELECT count(*) FROM lab JOIN diag USING (kode)",
        @r#""#;

    intersect_of_values:
        "SELECT count(*) FROM (SELECT kode FROM lab INTERSECT SELECT kode FROM diag) x",
        @r#""#;

    exists_not_linked:
        "SELECT count(*) FROM bef b WHERE EXISTS (SELECT 1 FROM lab l WHERE l.vaerdi = b.kom)",
        @r#""#;

    exists_linked_in_an_or:
        "SELECT count(*) FROM bef b WHERE EXISTS (SELECT 1 FROM lab l WHERE l.pnr = b.pnr OR l.kode = 'A')",
        @r#""#;

    in_not_linked:
        "SELECT count(*) FROM bef WHERE kom IN (SELECT vaerdi FROM lab)",
        @r#""#;

    key_looked_up_without_the_person:
        "SELECT count(*) FROM kontakt WHERE kontakt_id IN (SELECT kontakt_id FROM diag)",
        @r#""#;

    person_looked_up_in_values:
        "SELECT count(*) FROM bef WHERE pnr IN (SELECT arrow_cast(X'00112233445566778899aabbccddeeff', 'FixedSizeBinary(16)') FROM kommuner)",
        @r#""#;

    person_looked_up_in_keys:
        "SELECT count(*) FROM bef WHERE pnr IN (SELECT kontakt_id FROM diag)",
        @r#""#;

    looked_up_in_groups:
        "SELECT count(*) FROM bef WHERE kom IN (SELECT kom FROM bef GROUP BY kom HAVING count(*) > 10)",
        @r#""#;

    scalar_subquery:
        "SELECT count(*) FROM bef WHERE indkomst > (SELECT avg(indkomst) FROM bef)",
        @r#""#;

    scalar_subquery_shown:
        "SELECT navn, (SELECT count(*) FROM bef) AS n FROM kommuner",
        @r#""#;

    scalar_subquery_beside_groups:
        "SELECT kom, count(*) / (SELECT count(*) FROM bef) AS n FROM bef GROUP BY kom",
        @r#""#;

    any:
        "SELECT count(*) FROM bef WHERE kom = ANY (SELECT kom FROM kommuner)",
        @r#""#;

    window_over_people:
        "SELECT count(*) FROM (SELECT rank() OVER (ORDER BY indkomst) AS r FROM bef) x WHERE r < 3",
        @r#""#;

    window_by_a_value:
        "SELECT count(*) FROM (SELECT pnr, sum(indkomst) OVER (PARTITION BY kom) AS r FROM bef) x WHERE r > 3",
        @r#""#;

    groups_of_groups:
        "SELECT count(*) FROM (SELECT kom FROM bef GROUP BY kom) x",
        @r#""#;

    sum_of_groups:
        "SELECT sum(n) FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) x",
        @r#""#;

    groups_joined_with_people:
        "SELECT count(*) FROM bef b JOIN (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c ON c.kom = b.kom",
        @r#""#;

    groups_missing_after_a_join:
        "SELECT r.navn, c.n FROM kommuner r LEFT JOIN (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c ON c.kom = r.kom",
        @r#""#;

    groups_in_an_intersect:
        "SELECT kom FROM bef GROUP BY kom INTERSECT SELECT kom FROM bef WHERE koen = 1 GROUP BY kom",
        @r#""#;

    union_of_rows:
        "SELECT kom FROM bef UNION ALL SELECT kom FROM bef",
        @r#""#;

    union_of_rows_and_groups:
        "SELECT kom, indkomst FROM bef UNION ALL SELECT kom, sum(indkomst) FROM bef GROUP BY kom",
        @r#""#;

    union_of_people_and_constants:
        "SELECT count(*) FROM (SELECT pnr FROM bef UNION ALL SELECT NULL FROM kommuner) x",
        @r#""#;

    union_of_persons_and_keys:
        "SELECT count(DISTINCT p) FROM (SELECT pnr AS p FROM bef UNION ALL SELECT kontakt_id FROM kontakt) x JOIN lab ON lab.pnr = x.p",
        @r#""#;

    unnest:
        "SELECT unnest(make_array(1, 2)) AS x FROM bef",
        @r#""#;

    unnest_groups:
        "SELECT unnest(make_array(count(*))) AS x FROM bef",
        @r#""#;

    recursive:
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 3) SELECT count(*) FROM bef b JOIN r ON r.x = b.koen",
        @r#""#;

    table_function:
        "SELECT count(*) FROM bef b JOIN generate_series(1, 2) g ON g.value = b.koen",
        @r#""#;

    random:
        "SELECT count(*) FROM bef WHERE random() < 0.5",
        @r#""#;

    lambda:
        "SELECT count(array_any_match(make_array(koen), x -> x > 1)) FROM bef",
        @r#""#;

    lateral:
        "SELECT count(*) FROM bef b CROSS JOIN LATERAL (SELECT l.vaerdi FROM lab l WHERE l.pnr = b.pnr) x",
        @r#""#;

    variable:
        "SELECT count(*) FROM bef WHERE kom = @x",
        @r#""#;

    explain_analyze:
        "EXPLAIN ANALYZE SELECT count(*) FROM bef",
        @r#""#;

    changes:
        "CREATE TABLE ny AS SELECT * FROM bef",
        @r#""#;

    copy:
        "COPY (SELECT * FROM bef) TO '/tmp/x.csv'",
        @r#""#;

    insert:
        "INSERT INTO kommuner VALUES (1, 'x')",
        @r#""#;

    settings:
        "SET datafusion.execution.batch_size = 1",
        @r#""#;

    own_status_column:
        "SELECT kom AS release_status, count(*) FROM bef GROUP BY kom",
        @r#""#;

    reserved_name:
        "SELECT __eger_x, count(*) FROM (SELECT kom AS __eger_x FROM bef) y GROUP BY __eger_x",
        @r#""#;

    people_without_a_person_column:
        "SELECT atc, count(*) FROM uden GROUP BY atc",
        @r#""#;

    two_people_in_a_row:
        "SELECT count(*) FROM foraeldre",
        @r#""#;
}
