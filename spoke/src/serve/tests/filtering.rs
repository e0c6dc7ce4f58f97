//! Filters: right answers first, then that row groups are skipped.

use super::fixture::{
    FIRST_DAY, Fixture, GROUP, PEOPLE, ROWS, count, direct, filtered, numbers, pseudonyms, question, read,
};
use crate::pseudonym::Role;
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, cast},
    prelude::{col, in_list, lit},
};
use proto::plan;

fn pseudonym(bytes: [u8; 16]) -> Expr {
    lit(ScalarValue::FixedSizeBinary(16, Some(bytes.to_vec())))
}

const EACH: usize = ROWS / PEOPLE;

#[tokio::test(flavor = "multi_thread")]
async fn pseudonyms_are_the_projects_own() {
    let spoke = Fixture::new().await;
    spoke.grant("cancer", "enclave", &["anna@example.org"], super::fixture::LMDB);
    let admission = spoke.admission().await;
    let mut seen = Vec::new();
    for project in ["diabetes", "cancer"] {
        let (rows, _) = direct(&admission, question(project, read(&["row", "pnr", "kontakt"]))).await.unwrap();
        assert_eq!(count(&rows), ROWS);
        for (number, shown) in numbers(&rows).into_iter().zip(pseudonyms(&rows, "pnr")).step_by(997) {
            let person = usize::try_from(number).unwrap() / EACH;
            assert_eq!(shown, spoke.pseudonym(project, person));
        }
        let mut all = pseudonyms(&rows, "pnr");
        all.extend(pseudonyms(&rows, "kontakt"));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), PEOPLE + ROWS / 2);
        seen.push(all);
    }
    seen.push(spoke.stored.clone());
    let mut together = seen.concat();
    let before = together.len();
    together.sort_unstable();
    together.dedup();
    assert_eq!(together.len(), before, "a pseudonym is shared by two projects or stands on disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_on_pseudonyms_are_right_and_skip_row_groups() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let shown = |person| spoke.pseudonym("diabetes", person);
    let first = pseudonym(shown(7));
    let second = pseudonym(shown(2_900));
    let as_bytes = lit(ScalarValue::Binary(Some(shown(7).to_vec())));
    let contact = {
        let column = arrow::array::FixedSizeBinaryArray::try_from_iter(
            [spoke.store_key.stored_key(&21_u128.to_be_bytes())].into_iter(),
        )
        .unwrap();
        let value = spoke.recoder("diabetes", Role::Key).forward(&column).unwrap().value(0).to_vec();
        lit(ScalarValue::FixedSizeBinary(16, Some(value)))
    };
    let of = |people: &[usize]| -> Vec<i64> {
        people.iter().flat_map(|p| (p * EACH) as i64..((p + 1) * EACH) as i64).collect()
    };
    let unknown = pseudonym([7; 16]);
    let cases: Vec<(&str, Expr, Vec<i64>, usize)> = vec![
        ("=", col("pnr").eq(first.clone()), of(&[7]), 1),
        ("literal first", first.clone().eq(col("pnr")), of(&[7]), 1),
        ("bytes", cast(col("pnr"), arrow::datatypes::DataType::Binary).eq(as_bytes.clone()), of(&[7]), 1),
        ("plain bytes", col("pnr").eq(as_bytes), of(&[7]), 1),
        ("IN", in_list(col("pnr"), vec![first.clone(), second.clone()], false), of(&[7, 2_900]), 2),
        ("OR", col("pnr").eq(first.clone()).or(col("pnr").eq(second.clone())), of(&[7, 2_900]), 2),
        ("AND", col("pnr").eq(first.clone()).and(col("row").lt(lit(115_i64))), vec![112, 113, 114], 1),
        ("key", col("kontakt").eq(contact), vec![42, 43], 6),
        (
            "OR with a value",
            col("pnr").eq(first.clone()).or(col("row").eq(lit(40_005_i64))),
            {
                let mut rows = of(&[7]);
                rows.push(40_005);
                rows
            },
            2,
        ),
        ("nobody", col("pnr").eq(unknown), vec![], 0),
        ("null", col("pnr").is_null(), vec![], 0),
        (
            "<> and =",
            col("pnr")
                .not_eq(second.clone())
                .and(col("row").gt_eq(lit(46_390_i64)))
                .and(col("row").lt(lit(46_420_i64))),
            (46_390..46_400).chain(46_416..46_420).collect(),
            1,
        ),
    ];
    for (name, filter, expected, groups) in cases {
        let (rows, effort) = direct(&admission, question("diabetes", filtered(&["row"], &filter))).await.unwrap();
        let mut numbers = numbers(&rows);
        numbers.sort_unstable();
        assert_eq!(numbers, expected, "{name}");
        let read = ROWS / GROUP - effort.row_groups_pruned;
        assert!(read <= groups, "{name}: {read} row groups read, {groups} needed ({effort:?})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_on_dates_and_codes_skip_row_groups() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let day = |n: i32| lit(ScalarValue::Date32(Some(FIRST_DAY + n)));
    let january = col("eksd").gt_eq(day(90)).and(col("eksd").lt(day(100)));
    for (filter, rows_expected, pruned) in [
        (january, 1_000, 5),
        (col("eksd").between(day(0), day(9)), 1_000, 5),
        (col("atc").eq(lit("A03")), GROUP, 5),
        // A prefix is a range whose upper end counts as inside: the group of A04 is looked into for nothing.
        (col("atc").like(lit("A03%")), GROUP, 4),
        (in_list(col("atc"), vec![lit("A03"), lit("A05")], false), 2 * GROUP, 4),
        (col("atc").eq(lit("B01")), 0, 6),
    ] {
        let (rows, effort) = direct(&admission, question("diabetes", filtered(&["pnr"], &filter))).await.unwrap();
        assert_eq!(count(&rows), rows_expected, "{filter}");
        assert_eq!(effort.row_groups_pruned, pruned, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_text_of_pseudonyms_are_the_projects() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let bound = spoke.pseudonym("diabetes", 1_000);
    let below = (0..PEOPLE).filter(|&p| spoke.pseudonym("diabetes", p) < bound).count();
    let filter = col("pnr").lt(pseudonym(bound));
    let (rows, _) = direct(&admission, question("diabetes", filtered(&["pnr"], &filter))).await.unwrap();
    assert_eq!(count(&rows), below * EACH);
    assert!(pseudonyms(&rows, "pnr").iter().all(|shown| *shown < bound));
    // The first people by pseudonym: a sort with a limit puts a moving filter on the column, which must not reach S.
    let mut people: Vec<_> = (0..PEOPLE).map(|p| spoke.pseudonym("diabetes", p)).collect();
    people.sort_unstable();
    let key = proto::wire::SortKey {
        expr: Some(plan::encode_expr(&col("pnr")).unwrap()),
        descending: false,
        nulls_first: false,
    };
    let root = plan::sort(read(&["pnr"]), vec![key], Some(3 * EACH as u64));
    let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
    let mut first = pseudonyms(&rows, "pnr");
    first.dedup();
    assert_eq!(first, people[..3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_and_a_count_needs_no_column() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    for limit in [0, 1, 5_000, 20_000, 60_000] {
        let root = plan::limit(read(&["row"]), limit);
        let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
        assert_eq!(count(&rows) as u64, limit.min(ROWS as u64));
    }
    let root = plan::limit(filtered(&["row"], &col("row").gt_eq(lit(40_000_i64))), 3);
    let (rows, _) = direct(&admission, question("diabetes", root)).await.unwrap();
    assert!(numbers(&rows).iter().all(|row| *row >= 40_000));
    assert_eq!(count(&rows), 3);
    let (rows, _) = direct(&admission, question("diabetes", read(&[]))).await.unwrap();
    assert_eq!(count(&rows), ROWS);
    assert_eq!(rows[0].num_columns(), 0);
}
