//! Totals beside their parts: counts with noise, sums hidden so that no hidden one can be computed.

use super::{Rows, answer, plain, pseudonyms, refusal, register, released, role};
use arrow::{
    array::{ArrayRef, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

/// 3 regions with 3 wards each, of 12 people; in region 1, ward 1 one of them has nearly everything, in region 2, ward 2 there
/// are 2 people.
fn wards() -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let (mut who, mut region, mut ward, mut cost) = (vec![], vec![], vec![], vec![]);
    for a in 1..=3_u32 {
        for b in 1..=3_u32 {
            for person in 0..if (a, b) == (2, 2) { 2 } else { 12 } {
                who.push(a * 1000 + b * 100 + person);
                region.push(i32::try_from(a).unwrap());
                ward.push(i32::try_from(b).unwrap());
                cost.push(if (a, b, person) == (1, 1, 5) { 9_000.0 } else { f64::from(20 + person) });
            }
        }
    }
    let number = |name: &str| Field::new(name, DataType::Int32, false);
    let fields =
        vec![role("pnr", "person"), number("region"), number("afsnit"), Field::new("pris", DataType::Float64, false)];
    let columns: Vec<ArrayRef> = vec![
        pseudonyms(&who),
        Arc::new(Int32Array::from(region)),
        Arc::new(Int32Array::from(ward)),
        Arc::new(Float64Array::from(cost)),
    ];
    register(&ctx, "ophold", fields, columns, false);
    ctx
}

const TABLE: &str = "SELECT region, afsnit, grouping(region) AS g, grouping(afsnit) AS h, count(*) AS n, sum(pris) AS s, \
                     avg(pris) AS m FROM ophold GROUP BY";

/// Whether the sum is shown, by region and ward; 0 stands for their totals.
fn shown(rows: &Rows) -> [[bool; 4]; 4] {
    let mut shown = [[false; 4]; 4];
    for row in rows.iter().filter(|row| row[2] != "NULL") {
        let at = |value: &str, total: &str| if total == "1" { 0 } else { value.parse::<usize>().unwrap() };
        assert_eq!(row[5] == "NULL", row[6] == "NULL", "a mean tells the sum: {row:?}");
        shown[at(&row[0], &row[2])][at(&row[1], &row[3])] = row[5] != "NULL";
    }
    shown
}

#[tokio::test]
async fn attack_a_hidden_sum_is_not_its_total_less_the_others() {
    let ctx = wards();
    for (sets, totals) in [("CUBE (region, afsnit)", true), ("ROLLUP (region, afsnit)", false)] {
        let sql = format!("{TABLE} {sets}");
        let all = plain(&ctx, &sql).await;
        let rows = answer(&ctx, &sql).await;
        let shown = shown(&rows);
        assert!(!shown[1][1] && !shown[2][2], "dominated, and of two people: {shown:?}");
        for line in 0..4 {
            let hidden = |cells: [bool; 4]| cells.iter().filter(|shown| !**shown).count();
            let (row, column) = (shown[line], [0, 1, 2, 3].map(|at| shown[at][line]));
            assert_ne!(hidden(row), 1, "{sets} {line}: {shown:?}");
            // a ROLLUP has no totals of wards
            assert!(!totals && line > 0 || hidden(column) != 1, "{sets} {line}: {shown:?}");
        }
        assert!(shown.iter().flatten().filter(|shown| **shown).count() >= 5, "{shown:?}");
        let told: Vec<&String> = rows.iter().map(|row| row.last().unwrap()).collect();
        assert!(told.iter().any(|words| words.contains("would tell a hidden cell in s, m")), "{told:?}");
        assert!(told.iter().any(|words| words.contains("dominated by two people in s, m")), "{told:?}");
        // What is shown is true.
        for row in rows.iter().filter(|row| row[5] != "NULL") {
            assert!(all.iter().any(|truth| truth[..] == row[..7]), "{row:?}");
        }
        assert_eq!(rows.iter().filter(|row| row[4] != "NULL").count() + 1, all.len(), "counts are shown, but for one");
    }
}

#[tokio::test]
async fn tables_without_hidden_sums_keep_all_of_them() {
    let ctx = wards();
    let sql = "SELECT region, sum(pris) AS s FROM ophold WHERE region = 3 OR afsnit = 3 GROUP BY ROLLUP (region)";
    let rows = answer(&ctx, sql).await;
    let (small, groups): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[2] == "suppressed: fewer than 5 people");
    assert_eq!((small.len(), groups.len()), (1, 4), "{rows:?}");
    assert!(groups.iter().all(|row| row[2] == "released"), "{rows:?}");
}

#[tokio::test]
async fn counts_beside_their_totals_are_answered_and_small_ones_folded() {
    let ctx = wards();
    let sql = "SELECT region, afsnit, count(DISTINCT pnr) AS n FROM ophold GROUP BY GROUPING SETS ((region, afsnit), (region), ())";
    let rows = answer(&ctx, sql).await;
    assert_eq!(rows.len(), 13);
    assert_eq!(rows.iter().filter(|row| row[3] == "suppressed: fewer than 5 people").count(), 1);
    assert!(rows.iter().any(|row| row[..3] == ["2", "NULL", "26"]), "{rows:?}");
    assert!(rows.iter().any(|row| row[..3] == ["NULL", "NULL", "98"]), "{rows:?}");
}

#[tokio::test]
async fn totals_over_people_are_refused_by_name() {
    let text = refusal("SELECT pnr, count(*) FROM bef GROUP BY ROLLUP (pnr)").await;
    assert!(text.contains("pnr identifies people and can't be grouped by"), "{text}");
    let text = refusal("SELECT kom, sum(indkomst) FROM bef GROUP BY CUBE (kom, koen, kom - 1, kom + 1)").await;
    assert!(text.contains("up to 3 keys"), "{text}");
    let counts = "SELECT kom, count(*) FROM bef GROUP BY CUBE (kom, koen, kom - 1, kom + 1)";
    assert!(released(&super::registers(), counts).await.is_ok());
}
