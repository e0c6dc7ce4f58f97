//! The order of rows is the project's own.

use super::fixture::{Fixture, LMDB, direct, numbers, question, read_of};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, Int64Array},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::prelude::{col, lit};
use proto::{plan, schema};
use std::{collections::HashMap, sync::Arc};

/// Spearman's rank correlation of two orders of the same rows.
fn correlation(one: &[i64], other: &[i64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let mut place = vec![0_f64; one.len()];
    for (at, row) in other.iter().enumerate() {
        place[usize::try_from(*row).unwrap()] = at as f64;
    }
    let n = one.len() as f64;
    let squares: f64 =
        one.iter().enumerate().map(|(at, row)| (at as f64 - place[usize::try_from(*row).unwrap()]).powi(2)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

fn borders(batches: &[RecordBatch]) -> Vec<usize> {
    let mut at = 0;
    batches
        .iter()
        .map(|batch| {
            at += batch.num_rows();
            at
        })
        .collect()
}

/// One large row group is the hardest case: the order within it is that of S, and the same for all projects.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_sees_two_projects_rows_in_unrelated_orders_and_one_always_the_same() {
    const ROWS: usize = 240_000;
    let spoke = Fixture::new().await;
    spoke.publish("large", ROWS, ROWS).await;
    let tables = LMDB.replace("lmdb", "large");
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &tables);
    spoke.grant("cancer", "enclave", &["anna@example.org"], &tables);
    let admission = spoke.admission().await;
    let file: Vec<i64> = (0..ROWS as i64).collect();
    for columns in [vec!["row", "pnr"], vec!["row"]] {
        let mut seen = Vec::new();
        for project in ["diabetes", "cancer", "diabetes"] {
            let (rows, _) = direct(&admission, question(project, read_of("large", &columns))).await.unwrap();
            assert!(rows.iter().all(|batch| batch.num_rows() <= 8_192));
            let order = numbers(&rows);
            // The order of about twenty pieces is one of chance: its correlation has a standard deviation of 0.23.
            assert!(correlation(&order, &file).abs() < 0.8, "{}", correlation(&order, &file));
            seen.push((order, borders(&rows)));
        }
        assert!(correlation(&seen[0].0, &seen[1].0).abs() < 0.8);
        // Neighbours in the file, and so in the other project's order, are not neighbours here.
        let neighbours = seen[0].0.windows(2).filter(|pair| (pair[0] - pair[1]).abs() == 1).count();
        assert!(neighbours < ROWS / 1_000, "{neighbours}");
        let shared = seen[0].1.iter().filter(|border| seen[1].1.contains(border)).count();
        assert!(shared <= 2, "{shared} batch borders in common");
        assert_eq!(seen[0], seen[2], "the same project gets the same order");
    }
}

/// Whose order could tell of nobody is read as it lies; a linking column is enough to make it the project's own order.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_people_comes_as_it_lies_and_one_that_links_does_not() {
    const ROWS: usize = 100_000;
    let spoke = Fixture::new().await;
    let role = |name: &str, role: &str| HashMap::from([(name.to_owned(), role.to_owned())]);
    let numbered: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let keys = (0..ROWS as u128).map(|row| spoke.store_key.stored_key(&row.to_be_bytes()));
    let keys: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(keys).unwrap());
    let row = Field::new("row", DataType::Int64, true);
    let key = Field::new("kontakt", DataType::FixedSizeBinary(16), true);
    let key = key.with_metadata(role(schema::ROLE, schema::KEY));
    let reference = role(schema::TABLE_ROLE, schema::REFERENCE);
    let plain = Schema::new_with_metadata(vec![row.clone()], reference.clone());
    let plain = RecordBatch::try_new(Arc::new(plain), vec![Arc::clone(&numbered)]).unwrap();
    let links =
        RecordBatch::try_new(Arc::new(Schema::new_with_metadata(vec![row, key], reference)), vec![numbered, keys]);
    spoke.publish_batch("plain", &plain, 30_000).await;
    spoke.publish_batch("links", &links.unwrap(), 30_000).await;
    let tables = "[[table]]\nname = \"plain\"\ncolumns = [\"row\"]\n[[table]]\nname = \"links\"\ncolumns = [\"row\"]\n";
    spoke.grant("diabetes", "enclave", &["anna@example.org"], tables);
    let admission = spoke.admission().await;
    for (table, most) in [("plain", ROWS), ("links", ROWS / 1_000)] {
        let (rows, _) = direct(&admission, question("diabetes", read_of(table, &["row"]))).await.unwrap();
        let mut order = numbers(&rows);
        let neighbours = order.windows(2).filter(|pair| pair[1] - pair[0] == 1).count();
        assert!(neighbours < most && (table == "links" || neighbours > ROWS * 99 / 100), "{table}: {neighbours}");
        order.sort_unstable();
        assert_eq!(order, (0..ROWS as i64).collect::<Vec<_>>(), "{table}: each row once");
        let few =
            plan::filter(read_of(table, &["row"]), plan::encode_expr(&col("row").gt_eq(lit(90_000_i64))).unwrap());
        let (rows, _) = direct(&admission, question("diabetes", plan::limit(few, 50))).await.unwrap();
        assert!(numbers(&rows).len() == 50 && numbers(&rows).iter().all(|row| *row >= 90_000), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_pieces_is_uncorrelated_on_average() {
    // Over many keys, chance evens out.
    let spoke = Fixture::new().await;
    let pass = spoke.config.passphrase().unwrap();
    let key = |project: &str| {
        crate::pseudonym::ProjectKey::load(&spoke.config.project_key(&project.parse().unwrap()), &pass).unwrap().order()
    };
    let (one, other) = (key("diabetes"), key("cancer"));
    let mut sum = 0.0;
    for table in 0..200 {
        let files =
            vec![crate::scan::pieces::FileRows { name: format!("t{table}"), groups: vec![100_000; 3], footer: None }];
        let order = |key| {
            let pieces = crate::scan::pieces::in_order(&files, key);
            assert_eq!(pieces.iter().map(|piece| piece.rows).sum::<usize>(), 300_000);
            // Where the middle of each piece lies in the file; pieces of two projects are cut differently.
            pieces.iter().map(|piece| piece.group * 100_000 + piece.start + piece.rows / 2).collect::<Vec<_>>()
        };
        let ranks = |places: Vec<usize>| {
            let mut sorted = places.clone();
            sorted.sort_unstable();
            places.iter().map(|place| sorted.binary_search(place).unwrap() as i64).collect::<Vec<_>>()
        };
        sum += correlation(&ranks(order(&one)), &ranks(order(&other)));
    }
    // Standard deviation of the mean: 0.2 / sqrt(200) = 0.014.
    assert!((sum / 200.0).abs() < 0.06, "{}", sum / 200.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_sees_different_rows_of_two_projects_under_a_limit() {
    let spoke = Fixture::new().await;
    spoke.publish("small", 12_000, 12_000).await;
    let tables = LMDB.replace("lmdb", "small");
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &tables);
    spoke.grant("cancer", "enclave", &["anna@example.org"], &tables);
    let admission = spoke.admission().await;
    let mut seen = Vec::new();
    for project in ["diabetes", "cancer"] {
        let rows = plan::filter(read_of("small", &["row"]), plan::encode_expr(&col("row").gt_eq(lit(0_i64))).unwrap());
        let (rows, _) = direct(&admission, question(project, plan::limit(rows, 50))).await.unwrap();
        seen.push(numbers(&rows));
    }
    assert_eq!((seen[0].len(), seen[1].len()), (50, 50));
    let shared = seen[0].iter().filter(|row| seen[1].contains(row)).count();
    assert!(shared < 5, "{shared} of 50 rows in common");
}
