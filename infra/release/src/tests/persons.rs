//! The aggregate function `persons` against `count(DISTINCT ..)`, and what it says of the same people in other ways.

use super::{plain, pseudonyms, register, role};
use crate::release::perturb;
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator, function::AccumulatorArgs},
    physical_expr::expressions::col,
    prelude::{SessionConfig, SessionContext},
};
use proto::plan::persons::{head, persons_udaf};
use std::sync::Arc;

fn arguments<T>(udaf: &AggregateUDF, make: impl Fn(AccumulatorArgs<'_>) -> T) -> T {
    let field = Arc::new(Field::new("p", DataType::FixedSizeBinary(16), true));
    let schema = arrow::datatypes::Schema::new(vec![Arc::clone(&field)]);
    let expr = col("p", &schema).unwrap();
    let result = udaf.return_field(&[Arc::clone(&field)]).unwrap();
    make(AccumulatorArgs {
        return_field: result,
        schema: &schema,
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: "persons",
        is_distinct: false,
        exprs: &[expr],
        expr_fields: &[field],
    })
}

fn grouped() -> Box<dyn GroupsAccumulator> {
    let udaf = persons_udaf();
    arguments(&udaf, |args| udaf.create_groups_accumulator(args).unwrap())
}

fn single() -> Box<dyn Accumulator> {
    let udaf = persons_udaf();
    arguments(&udaf, |args| udaf.accumulator(args).unwrap())
}

fn counts(array: &ArrayRef) -> Vec<Option<u64>> {
    array.as_binary::<i32>().iter().map(|summary| summary.map(|summary| head(summary).unwrap().0)).collect()
}

fn count(value: ScalarValue) -> Option<u64> {
    counts(&value.to_array().unwrap()).remove(0)
}

#[test]
fn groups_are_counted_each_for_itself() {
    let mut groups = grouped();
    groups.update_batch(&[pseudonyms(&[1, 1, 2, 0, 3, 1])], &[0, 0, 0, 1, 2, 2], None, 4).unwrap();
    groups.update_batch(&[pseudonyms(&[2, 4])], &[0, 2], None, 4).unwrap();
    assert_eq!(counts(&groups.evaluate(EmitTo::All).unwrap()), [Some(2), Some(0), Some(3), None]);
    assert_eq!(groups.evaluate(EmitTo::All).unwrap().len(), 0);
}

#[test]
fn rows_that_the_filter_leaves_out_are_no_rows() {
    let mut groups = grouped();
    let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
    groups.update_batch(&[pseudonyms(&[1, 2, 3, 0])], &[0, 0, 1, 2], Some(&filter), 3).unwrap();
    assert_eq!(counts(&groups.evaluate(EmitTo::All).unwrap()), [Some(1), None, Some(0)]);
}

#[test]
fn first_groups_leave_and_the_others_move_down() {
    let mut groups = grouped();
    groups.update_batch(&[pseudonyms(&[1, 2, 3, 4, 4])], &[0, 1, 1, 2, 2], None, 3).unwrap();
    assert_eq!(counts(&groups.evaluate(EmitTo::First(1)).unwrap()), [Some(1)]);
    groups.update_batch(&[pseudonyms(&[2, 9, 4])], &[0, 0, 1], None, 2).unwrap();
    assert_eq!(counts(&groups.evaluate(EmitTo::All).unwrap()), [Some(3), Some(1)]);
}

#[test]
fn partial_states_add_up_to_the_whole() {
    let (mut a, mut b, mut whole) = (grouped(), grouped(), grouped());
    a.update_batch(&[pseudonyms(&[1, 2, 0])], &[0, 1, 2], None, 4).unwrap();
    b.update_batch(&[pseudonyms(&[1, 3, 5])], &[0, 1, 2], None, 4).unwrap();
    for part in [&mut a, &mut b] {
        let first = part.state(EmitTo::First(2)).unwrap();
        whole.merge_batch(&first, &[0, 1], 4).unwrap();
        let rest = part.state(EmitTo::All).unwrap();
        whole.merge_batch(&rest, &[2, 3], 4).unwrap();
    }
    let raw =
        whole.convert_to_state(&[pseudonyms(&[7, 0, 8])], Some(&BooleanArray::from(vec![true, true, false]))).unwrap();
    whole.merge_batch(&raw, &[0, 3, 3], 4).unwrap();
    assert_eq!(counts(&whole.evaluate(EmitTo::All).unwrap()), [Some(2), Some(2), Some(1), Some(0)]);
}

#[test]
fn without_groups() {
    let mut all = single();
    assert!(all.evaluate().unwrap().is_null());
    all.update_batch(&[pseudonyms(&[0])]).unwrap();
    assert_eq!(count(all.evaluate().unwrap()), Some(0));
    all.update_batch(&[pseudonyms(&[1, 1, 2])]).unwrap();
    let state: Vec<ArrayRef> = all.state().unwrap().iter().map(|value| value.to_array().unwrap()).collect();
    let mut other = single();
    other.update_batch(&[pseudonyms(&[2, 3])]).unwrap();
    other.merge_batch(&state).unwrap();
    assert!(other.size() > 0);
    assert_eq!(count(other.evaluate().unwrap()), Some(3));
}

/// Many groups and people over several partitions and batches, so that every path of the engine is taken.
#[tokio::test]
async fn agrees_with_count_distinct() {
    let config = SessionConfig::new().with_target_partitions(4).with_batch_size(256);
    let ctx = SessionContext::new_with_config(config);
    ctx.register_udaf(persons_udaf().as_ref().clone());
    ctx.register_udf(perturb::people_udf().as_ref().clone());
    let mut seed = 42_u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let rows = 20_000;
    let people: Vec<u32> = (0..rows).map(|_| random(3_000)).collect();
    let few: Vec<i32> = (0..rows).map(|_| i32::try_from(random(7)).unwrap()).collect();
    let many: Vec<i32> = (0..rows).map(|_| i32::try_from(random(9_000)).unwrap()).collect();
    let column = |name: &str| Field::new(name, DataType::Int32, false);
    register(
        &ctx,
        "t",
        vec![role("p", "person"), column("few"), column("many")],
        vec![pseudonyms(&people), Arc::new(Int32Array::from(few)), Arc::new(Int32Array::from(many))],
        false,
    );
    for key in ["few", "many", "few % 2, many", "few * 0"] {
        let wrong = format!(
            "SELECT count(*) FROM (SELECT people(persons(p)) AS a, count(DISTINCT p) AS b, \
             coalesce(people(persons(p) FILTER (WHERE few > 2)), 0) AS c, count(DISTINCT p) FILTER (WHERE few > 2) AS d \
             FROM t GROUP BY {key}) x WHERE a <> b OR c <> d"
        );
        assert_eq!(plain(&ctx, &wrong).await, [["0"]], "{key}");
    }
    assert_eq!(plain(&ctx, "SELECT people(persons(p)) - count(DISTINCT p) FROM t").await, [["0"]]);
}
