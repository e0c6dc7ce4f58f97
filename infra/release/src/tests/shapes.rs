//! Shapes of statements that are answered, each cell compared with the oracle.

use super::{Rows, answer, registers, same};

/// `same` on the standard registers.
async fn check(sql: &str, oracle: &str) -> Rows {
    same(&registers(), sql, oracle).await
}

macro_rules! shapes {
    ($($name:ident: $sql:expr, $oracle:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check($sql, $oracle).await;
        })*
    };
}

shapes! {
    count_by_a_column:
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    people_by_a_column:
        "SELECT kom, count(DISTINCT pnr) AS n FROM bef GROUP BY kom",
        "SELECT kom, count(DISTINCT pnr) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    two_keys:
        "SELECT kom, koen, count(*) AS n FROM bef GROUP BY kom, koen",
        "SELECT kom, koen, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom, koen";

    a_key_twice:
        "SELECT kom, koen, count(*) AS n, sum(indkomst) AS s FROM bef GROUP BY kom, kom, koen",
        "SELECT kom, koen, count(*) AS n, sum(indkomst) AS s, count(DISTINCT pnr) AS people_, \
         count(DISTINCT pnr) FILTER (WHERE indkomst <> 0) AS givers_s FROM bef GROUP BY kom, koen";

    a_key_shown_twice:
        "SELECT kom, kom AS again, count(*) AS n FROM bef GROUP BY kom, kom",
        "SELECT kom, kom AS again, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    a_computed_key:
        "SELECT extract(year FROM foed_dag) AS aar, count(*) AS n FROM bef GROUP BY extract(year FROM foed_dag)",
        "SELECT extract(year FROM foed_dag) AS aar, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         GROUP BY extract(year FROM foed_dag)";

    sums_and_means_count_who_has_a_value:
        "SELECT kom, count(*) AS n, sum(indkomst) AS s, avg(indkomst) AS m, count(indkomst) AS c FROM bef GROUP BY kom",
        "SELECT kom, count(*) AS n, sum(indkomst) AS s, avg(indkomst) AS m, count(indkomst) AS c, \
         count(DISTINCT pnr) AS people_, count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_s, \
         count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_m, \
         count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS people_c FROM bef GROUP BY kom";

    spreads:
        "SELECT kom, stddev(indkomst) AS a, stddev_pop(indkomst) AS b, var_samp(indkomst) AS c, var_pop(indkomst) AS d \
         FROM bef GROUP BY kom",
        "SELECT kom, stddev(indkomst) AS a, stddev_pop(indkomst) AS b, var_samp(indkomst) AS c, var_pop(indkomst) AS d, \
         count(DISTINCT pnr) AS people_, count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_a, \
         count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_b, \
         count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_c, \
         count(DISTINCT pnr) FILTER (WHERE indkomst IS NOT NULL) AS givers_d FROM bef GROUP BY kom";

    a_filtered_measure_is_a_cell_of_its_own:
        "SELECT kom, count(*) AS n, count(*) FILTER (WHERE koen = 1) AS maend, \
         avg(indkomst) FILTER (WHERE koen = 2) AS k FROM bef GROUP BY kom",
        "SELECT kom, count(*) AS n, count(*) FILTER (WHERE koen = 1) AS maend, \
         avg(indkomst) FILTER (WHERE koen = 2) AS k, count(DISTINCT pnr) AS people_, \
         CASE WHEN count(*) FILTER (WHERE koen = 1) = 0 THEN -1 ELSE \
         count(DISTINCT pnr) FILTER (WHERE koen = 1) END AS part_maend, \
         CASE WHEN count(indkomst) FILTER (WHERE koen = 2) = 0 THEN -1 ELSE \
         count(DISTINCT pnr) FILTER (WHERE koen = 2 AND indkomst IS NOT NULL) END AS givers_k FROM bef GROUP BY kom";

    the_common_idiom_for_a_conditional_count_is_a_cell_of_its_own:
        "SELECT koen, sum(CASE WHEN kom = 103 THEN 1 ELSE 0 END) AS i, count(CASE WHEN kom = 101 THEN 1 END) AS j \
         FROM bef GROUP BY koen",
        "SELECT koen, sum(CASE WHEN kom = 103 THEN 1 ELSE 0 END) AS i, count(CASE WHEN kom = 101 THEN 1 END) AS j, \
         count(DISTINCT pnr) AS people_, count(DISTINCT pnr) FILTER (WHERE kom = 103) AS part_i, \
         count(DISTINCT pnr) FILTER (WHERE kom = 101) AS part_j FROM bef GROUP BY koen";

    everybody_at_once:
        "SELECT count(*) AS n, count(DISTINCT pnr) AS p, avg(indkomst) AS m FROM bef",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS p, avg(indkomst) AS m, count(DISTINCT pnr) AS people_ FROM bef";

    nobody_is_hidden_as_few_are:
        "SELECT count(*) AS n, sum(indkomst) AS s FROM bef WHERE kom = 777",
        "SELECT count(*) AS n, sum(indkomst) AS s, -1 AS people_ FROM bef WHERE kom = 777";

    few_are_not:
        "SELECT count(*) AS n, sum(indkomst) AS s FROM bef WHERE kom = 103",
        "SELECT count(*) AS n, sum(indkomst) AS s, count(DISTINCT pnr) AS people_ FROM bef WHERE kom = 103";

    rows_without_a_person_number_are_no_people:
        "SELECT count(*) AS n FROM bef WHERE kom = 105",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef WHERE kom = 105";

    distinct_is_a_group_by:
        "SELECT DISTINCT kom, koen FROM bef",
        "SELECT kom, koen, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom, koen";

    group_by_without_an_aggregate:
        "SELECT kom FROM bef GROUP BY kom",
        "SELECT kom, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    joined_by_the_person:
        "SELECT b.kom, count(*) AS n, avg(l.vaerdi) AS m FROM bef b JOIN lab l ON b.pnr = l.pnr GROUP BY b.kom",
        "SELECT b.kom, count(*) AS n, avg(l.vaerdi) AS m, count(DISTINCT b.pnr) AS people_, \
         count(DISTINCT b.pnr) FILTER (WHERE l.vaerdi IS NOT NULL) AS givers_m \
         FROM bef b JOIN lab l ON b.pnr = l.pnr GROUP BY b.kom";

    joined_with_using:
        "SELECT kode, count(*) AS n FROM bef JOIN lab USING (pnr) WHERE kom <> 103 GROUP BY kode",
        "SELECT kode, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef JOIN lab USING (pnr) WHERE kom <> 103 \
         GROUP BY kode";

    joined_in_the_where_clause:
        "SELECT b.kom, count(*) AS n FROM bef b, lab l WHERE b.pnr = l.pnr AND l.kode = 'A' GROUP BY b.kom",
        "SELECT b.kom, count(*) AS n, count(DISTINCT b.pnr) AS people_ FROM bef b, lab l \
         WHERE b.pnr = l.pnr AND l.kode = 'A' GROUP BY b.kom";

    three_tables:
        "SELECT d.kode, count(DISTINCT b.pnr) AS n FROM bef b JOIN kontakt k ON k.pnr = b.pnr \
         JOIN diag d ON d.kontakt_id = k.kontakt_id AND d.pnr = k.pnr GROUP BY d.kode",
        "SELECT d.kode, count(DISTINCT b.pnr) AS n, count(DISTINCT b.pnr) AS people_ FROM bef b \
         JOIN kontakt k ON k.pnr = b.pnr JOIN diag d ON d.kontakt_id = k.kontakt_id AND d.pnr = k.pnr GROUP BY d.kode";

    three_tables_linked_in_the_where_clause:
        "SELECT count(*) AS n FROM bef b, kontakt k, diag d \
         WHERE d.kontakt_id = k.kontakt_id AND b.pnr = d.pnr AND k.pnr = d.pnr",
        "SELECT count(*) AS n, count(DISTINCT b.pnr) AS people_ FROM bef b, kontakt k, diag d \
         WHERE d.kontakt_id = k.kontakt_id AND b.pnr = d.pnr AND k.pnr = d.pnr";

    left_join_counts_the_matched_by_themselves:
        "SELECT b.kom, count(*) AS n, count(DISTINCT l.pnr) AS tested, count(l.vaerdi) AS samples \
         FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr AND l.kode = 'C' GROUP BY b.kom",
        "SELECT b.kom, count(*) AS n, count(DISTINCT l.pnr) AS tested, count(l.vaerdi) AS samples, \
         count(DISTINCT b.pnr) AS people_, \
         CASE WHEN count(l.pnr) = 0 THEN -1 ELSE count(DISTINCT l.pnr) END AS part_tested, \
         CASE WHEN count(l.vaerdi) = 0 THEN -1 ELSE \
         count(DISTINCT l.pnr) FILTER (WHERE l.vaerdi IS NOT NULL) END AS part_samples \
         FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr AND l.kode = 'C' GROUP BY b.kom";

    right_join_counts_the_right_side:
        "SELECT b.kom, count(*) AS n FROM lab l RIGHT JOIN bef b ON l.pnr = b.pnr GROUP BY b.kom",
        "SELECT b.kom, count(*) AS n, count(DISTINCT b.pnr) AS people_ FROM lab l RIGHT JOIN bef b ON l.pnr = b.pnr \
         GROUP BY b.kom";

    without_a_match:
        "SELECT b.koen, count(*) AS n FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr WHERE l.pnr IS NULL GROUP BY b.koen",
        "SELECT b.koen, count(*) AS n, count(DISTINCT b.pnr) AS people_ FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr \
         WHERE l.pnr IS NULL GROUP BY b.koen";

    two_left_joins_through_the_optional_side:
        "SELECT b.koen, count(DISTINCT k.pnr) AS n FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr \
         LEFT JOIN kontakt k ON k.pnr = l.pnr GROUP BY b.koen",
        "SELECT b.koen, count(DISTINCT k.pnr) AS n, count(DISTINCT b.pnr) AS people_, \
         count(DISTINCT k.pnr) AS part_n FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr \
         LEFT JOIN kontakt k ON k.pnr = l.pnr GROUP BY b.koen";

    semi_join:
        "SELECT kom, count(*) AS n FROM bef LEFT SEMI JOIN lab ON bef.pnr = lab.pnr GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE pnr IN (SELECT pnr FROM lab) GROUP BY kom";

    anti_join:
        "SELECT kom, count(*) AS n FROM bef LEFT ANTI JOIN lab ON bef.pnr = lab.pnr AND lab.kode = 'A' GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE NOT EXISTS (SELECT 1 FROM lab WHERE lab.pnr = bef.pnr AND kode = 'A') GROUP BY kom";

    looked_up:
        "SELECT kom, count(*) AS n FROM bef WHERE pnr IN (SELECT pnr FROM lab WHERE kode = 'A') GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE pnr IN (SELECT pnr FROM lab WHERE kode = 'A') GROUP BY kom";

    not_looked_up:
        "SELECT kom, count(*) AS n FROM bef WHERE pnr NOT IN (SELECT pnr FROM lab WHERE kode = 'A') GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE pnr NOT IN (SELECT pnr FROM lab WHERE kode = 'A') GROUP BY kom";

    not_looked_up_where_numbers_are_missing:
        "SELECT koen, count(*) AS n FROM bef a WHERE pnr NOT IN (SELECT pnr FROM bef WHERE kom = 102 OR kom = 105) GROUP BY koen",
        "SELECT koen, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef a WHERE pnr IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM bef b WHERE b.pnr = a.pnr AND b.kom = 102) GROUP BY koen";

    not_looked_up_by_the_person_where_numbers_are_missing:
        "SELECT count(*) AS n FROM bef a WHERE a.pnr NOT IN \
         (SELECT l.pnr FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr AND l.kode = 'C' WHERE b.koen = a.koen AND b.pnr = a.pnr)",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef a WHERE pnr IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM lab l WHERE l.pnr = a.pnr AND l.kode = 'C')";

    exists_by_the_person:
        "SELECT koen, count(*) AS n FROM bef b \
         WHERE EXISTS (SELECT 1 FROM lab l WHERE l.pnr = b.pnr AND l.kode = 'C') GROUP BY koen",
        "SELECT koen, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b \
         WHERE EXISTS (SELECT 1 FROM lab l WHERE l.pnr = b.pnr AND l.kode = 'C') GROUP BY koen";

    not_exists_by_the_person:
        "SELECT koen, count(*) AS n FROM bef b WHERE NOT EXISTS (SELECT 1 FROM lab l WHERE b.pnr = l.pnr) GROUP BY koen",
        "SELECT koen, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b \
         WHERE NOT EXISTS (SELECT 1 FROM lab l WHERE b.pnr = l.pnr) GROUP BY koen";

    a_value_looked_up_by_the_person:
        "SELECT count(*) AS n FROM diag d WHERE d.kontakt_id IN \
         (SELECT k.kontakt_id FROM kontakt k WHERE k.pnr = d.pnr AND k.afd = 'Y')",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM diag d WHERE d.kontakt_id IN \
         (SELECT k.kontakt_id FROM kontakt k WHERE k.pnr = d.pnr AND k.afd = 'Y')";

    looked_up_in_a_reference_table:
        "SELECT kom, count(*) AS n FROM bef WHERE kom IN (SELECT kom FROM kommuner WHERE navn <> 'By') GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE kom IN (SELECT kom FROM kommuner WHERE navn <> 'By') GROUP BY kom";

    compared_with_a_number_from_a_reference_table:
        "SELECT koen, count(*) AS n FROM bef WHERE kom < (SELECT max(kom) FROM kommuner) GROUP BY koen",
        "SELECT koen, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef \
         WHERE kom < (SELECT max(kom) FROM kommuner) GROUP BY koen";

    joined_with_a_reference_table:
        "SELECT r.navn, count(*) AS n FROM bef b JOIN kommuner r ON r.kom = b.kom GROUP BY r.navn",
        "SELECT r.navn, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b JOIN kommuner r ON r.kom = b.kom \
         GROUP BY r.navn";

    left_joined_with_a_reference_table:
        "SELECT r.navn, count(*) AS n FROM bef b LEFT JOIN kommuner r ON r.kom = b.kom GROUP BY r.navn",
        "SELECT r.navn, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b LEFT JOIN kommuner r ON r.kom = b.kom \
         GROUP BY r.navn";

    multiplied_rows_are_not_more_people:
        "SELECT b.kom, count(*) AS n FROM bef b CROSS JOIN kommuner r GROUP BY b.kom",
        "SELECT b.kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b CROSS JOIN kommuner r GROUP BY b.kom";

    a_list_of_values_is_a_reference_table:
        "SELECT v.g, count(*) AS n FROM bef b JOIN (VALUES (101, 'a'), (102, 'a'), (103, 'b')) AS v(kom, g) \
         ON v.kom = b.kom GROUP BY v.g",
        "SELECT v.g, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef b \
         JOIN (VALUES (101, 'a'), (102, 'a'), (103, 'b')) AS v(kom, g) ON v.kom = b.kom GROUP BY v.g";

    per_person_first:
        "WITH each AS (SELECT pnr, min(vaerdi) AS lowest, max(dato) AS last, count(*) AS n FROM lab GROUP BY pnr) \
         SELECT n, count(*) AS people, avg(lowest) AS m FROM each GROUP BY n",
        "WITH each AS (SELECT pnr, min(vaerdi) AS lowest, max(dato) AS last, count(*) AS n FROM lab GROUP BY pnr) \
         SELECT n, count(*) AS people, avg(lowest) AS m, count(DISTINCT pnr) AS people_, \
         count(DISTINCT pnr) FILTER (WHERE lowest IS NOT NULL) AS givers_m FROM each GROUP BY n";

    per_person_and_joined:
        "WITH first AS (SELECT pnr, min(dato) AS dag FROM lab WHERE kode = 'A' GROUP BY pnr) \
         SELECT b.kom, avg(l.vaerdi) AS m FROM first f JOIN lab l ON l.pnr = f.pnr AND l.dato = f.dag \
         JOIN bef b ON b.pnr = f.pnr GROUP BY b.kom",
        "WITH first AS (SELECT pnr, min(dato) AS dag FROM lab WHERE kode = 'A' GROUP BY pnr) \
         SELECT b.kom, avg(l.vaerdi) AS m, count(DISTINCT b.pnr) AS people_, \
         CASE WHEN count(l.vaerdi) = 0 THEN -1 ELSE \
         count(DISTINCT b.pnr) FILTER (WHERE l.vaerdi IS NOT NULL) END AS givers_m \
         FROM first f JOIN lab l ON l.pnr = f.pnr AND l.dato = f.dag JOIN bef b ON b.pnr = f.pnr GROUP BY b.kom";

    the_person_column_is_carried_when_a_subquery_drops_it:
        "SELECT g, count(*) AS n FROM (SELECT kom / 2 AS g FROM (SELECT kom FROM bef WHERE koen = 1) x) y GROUP BY g",
        "SELECT g, count(*) AS n, count(DISTINCT pnr) AS people_ \
         FROM (SELECT pnr, kom / 2 AS g FROM bef WHERE koen = 1) y GROUP BY g";

    carried_through_a_join_and_a_second_name:
        "SELECT y.g, count(*) AS n FROM (SELECT b.kom AS g, l.vaerdi FROM bef b JOIN lab l ON b.pnr = l.pnr) y \
         WHERE y.vaerdi > 40 GROUP BY y.g",
        "SELECT y.g, count(*) AS n, count(DISTINCT pnr) AS people_ \
         FROM (SELECT b.pnr, b.kom AS g, l.vaerdi FROM bef b JOIN lab l ON b.pnr = l.pnr) y \
         WHERE y.vaerdi > 40 GROUP BY y.g";

    renamed_person_column:
        "SELECT b.koen, count(*) AS n FROM (SELECT pnr AS hvem FROM lab) l JOIN bef b ON b.pnr = l.hvem GROUP BY b.koen",
        "SELECT b.koen, count(*) AS n, count(DISTINCT b.pnr) AS people_ \
         FROM (SELECT pnr AS hvem FROM lab) l JOIN bef b ON b.pnr = l.hvem GROUP BY b.koen";

    rows_under_each_other_are_counted_together:
        "SELECT src, count(*) AS n FROM (SELECT 'l' AS src, pnr FROM lab UNION ALL SELECT 'k' AS src, pnr FROM kontakt) u \
         GROUP BY src",
        "SELECT src, count(*) AS n, count(DISTINCT pnr) AS people_ \
         FROM (SELECT 'l' AS src, pnr FROM lab UNION ALL SELECT 'k' AS src, pnr FROM kontakt) u GROUP BY src";

    people_of_a_union_are_the_same_people:
        "SELECT count(*) AS n FROM (SELECT kode AS c FROM lab WHERE kode = 'B' UNION ALL SELECT kode AS c FROM diag) u",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ \
         FROM (SELECT pnr FROM lab WHERE kode = 'B' UNION ALL SELECT pnr FROM diag) u";

    a_union_of_people_without_duplicates:
        "SELECT count(*) AS n FROM (SELECT pnr FROM lab UNION SELECT pnr FROM kontakt) u",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM (SELECT pnr FROM lab UNION SELECT pnr FROM kontakt) u";

    distinct_people:
        "SELECT kode, count(*) AS n FROM (SELECT DISTINCT pnr, kode FROM lab) x GROUP BY kode",
        "SELECT kode, count(*) AS n, count(DISTINCT pnr) AS people_ FROM (SELECT DISTINCT pnr, kode FROM lab) x \
         GROUP BY kode";

    in_both_tables:
        "SELECT count(*) AS n FROM (SELECT pnr FROM bef INTERSECT SELECT pnr FROM lab) x",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM (SELECT pnr FROM bef INTERSECT SELECT pnr FROM lab) x";

    in_one_table_only:
        "SELECT count(*) AS n FROM (SELECT pnr FROM bef EXCEPT SELECT pnr FROM lab) x",
        "SELECT count(*) AS n, count(DISTINCT pnr) AS people_ FROM (SELECT pnr FROM bef EXCEPT SELECT pnr FROM lab) x";

    a_window_within_each_person:
        "SELECT kode, count(*) AS n FROM (SELECT pnr, kode, row_number() OVER (PARTITION BY pnr ORDER BY dato) AS nr \
         FROM lab) x WHERE nr = 1 GROUP BY kode",
        "SELECT kode, count(*) AS n, count(DISTINCT pnr) AS people_ \
         FROM (SELECT pnr, kode, row_number() OVER (PARTITION BY pnr ORDER BY dato) AS nr FROM lab) x \
         WHERE nr = 1 GROUP BY kode";

    an_order_below_an_aggregate:
        "SELECT kom, count(*) AS n FROM (SELECT * FROM bef ORDER BY pnr) x GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    keys_may_be_counted:
        "SELECT afd, count(DISTINCT kontakt_id) AS n FROM kontakt GROUP BY afd",
        "SELECT afd, count(DISTINCT kontakt_id) AS n, count(DISTINCT pnr) AS people_ FROM kontakt GROUP BY afd";

    missing_person_numbers_may_be_left_out:
        "SELECT kom, count(*) AS n FROM bef WHERE pnr IS NOT NULL GROUP BY kom",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef WHERE pnr IS NOT NULL GROUP BY kom";

    arithmetic_over_cells:
        "SELECT kom, round(sum(indkomst) / count(indkomst)) AS m, count(*) * 2 AS d FROM bef WHERE indkomst IS NOT NULL \
         GROUP BY kom",
        "SELECT kom, round(sum(indkomst) / count(indkomst)) AS m, count(*) * 2 AS d, count(DISTINCT pnr) AS people_, \
         count(DISTINCT pnr) AS givers_m \
         FROM bef WHERE indkomst IS NOT NULL GROUP BY kom";

    select_over_cells:
        "SELECT c.kom, c.n * 10 AS t FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c",
        "SELECT kom, count(*) * 10 AS t, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom";

    names_joined_to_cells:
        "WITH c AS (SELECT kom, count(*) AS n FROM bef GROUP BY kom) \
         SELECT r.navn, c.n FROM c JOIN kommuner r ON r.kom = c.kom",
        "SELECT r.navn, count(*) AS n, CASE WHEN count(DISTINCT pnr) < 5 THEN NULL ELSE count(DISTINCT pnr) END AS people_ \
         FROM bef b JOIN kommuner r ON r.kom = b.kom GROUP BY r.navn HAVING count(DISTINCT pnr) >= 5";

    a_total_beside_each_cell:
        "WITH c AS (SELECT koen, count(*) AS n FROM bef GROUP BY koen), t AS (SELECT count(*) AS alle FROM bef) \
         SELECT c.koen, c.n * 100 / t.alle AS pct FROM c CROSS JOIN t",
        "SELECT koen, count(*) * 100 / (SELECT count(*) FROM bef) AS pct, count(DISTINCT pnr) AS people_ FROM bef \
         GROUP BY koen";

    a_rate_from_two_aggregates:
        "WITH c AS (SELECT kom, count(*) AS n FROM bef GROUP BY kom), \
         d AS (SELECT kom, count(DISTINCT l.pnr) AS t FROM bef b JOIN lab l ON l.pnr = b.pnr GROUP BY kom) \
         SELECT c.kom, d.t * 100 / c.n AS pct FROM c JOIN d ON c.kom = d.kom",
        "SELECT c.kom, t * 100 / n AS pct, t AS people_ FROM (SELECT kom, count(*) AS n FROM bef GROUP BY kom) c \
         JOIN (SELECT kom, count(DISTINCT l.pnr) AS t FROM bef b JOIN lab l ON l.pnr = b.pnr GROUP BY kom) d \
         ON c.kom = d.kom WHERE t >= 5 AND n >= 5";

    having_sees_what_is_shown:
        "SELECT kom, count(*) AS n FROM bef GROUP BY kom HAVING count(*) > 5",
        "SELECT kom, count(*) AS n, count(DISTINCT pnr) AS people_ FROM bef GROUP BY kom \
         HAVING count(*) > 5 AND count(DISTINCT pnr) >= 5";
}

#[tokio::test]
async fn order_and_limit_apply_to_what_is_shown() {
    let rows =
        answer(&registers(), "SELECT kom, count(*) AS n FROM bef GROUP BY kom ORDER BY n DESC NULLS LAST LIMIT 2")
            .await;
    assert_eq!(rows, [["101", "12", "released"], ["106", "7", "released"]]);
}

#[tokio::test]
async fn aggregates_under_each_other_are_folded_each_for_itself() {
    let mut rows = answer(
        &registers(),
        "SELECT 'kom' AS hvad, kom AS v, count(*) AS n FROM bef GROUP BY kom \
         UNION ALL SELECT 'koen', koen, count(*) FROM bef WHERE kom = 103 GROUP BY koen",
    )
    .await;
    rows.sort();
    let small = "suppressed: fewer than 5 people";
    assert_eq!(
        rows,
        [
            ["koen", "NULL", "NULL", small],
            ["kom", "101", "12", "released"],
            ["kom", "102", "5", "released"],
            ["kom", "106", "7", "released"],
            ["kom", "NULL", "NULL", small],
        ]
    );
}

#[tokio::test]
async fn a_window_over_cells_sees_what_is_shown() {
    let mut rows = answer(
        &registers(),
        "SELECT kom, count(*) AS n, sum(count(*)) OVER () AS total, rank() OVER (ORDER BY count(*) DESC NULLS LAST) AS r \
         FROM bef GROUP BY kom",
    )
    .await;
    rows.sort();
    assert_eq!(
        rows,
        [
            ["101", "12", "24", "1", "released"],
            ["102", "5", "24", "3", "released"],
            ["106", "7", "24", "2", "released"],
            ["NULL", "NULL", "NULL", "NULL", "suppressed: fewer than 5 people"],
        ]
    );
}

#[tokio::test]
async fn tables_without_people_are_released_as_they_are() {
    let rows = answer(&registers(), "SELECT navn FROM kommuner WHERE kom > 103 ORDER BY kom LIMIT 2").await;
    assert_eq!(rows, [["Holm", "released"], ["Næs", "released"]]);
    let rows = answer(&registers(), "SELECT max(kom) AS m, count(*) AS n FROM kommuner").await;
    assert_eq!(rows, [["999", "6", "released"]]);
    let rows = answer(&registers(), "SELECT 1 AS x").await;
    assert_eq!(rows, [["1", "released"]]);
}
