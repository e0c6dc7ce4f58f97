//! The aggregate function `contributions` against plain SQL, on every path of the engine.

use super::{plain, pseudonyms, register, role};
use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    logical_expr::{ColumnarValue, EmitTo, GroupsAccumulator, Volatility, create_udf, function::AccumulatorArgs},
    physical_expr::expressions::col,
    prelude::{SessionConfig, SessionContext},
};
use proto::plan::{
    contributions::{Contributions, Merged, Tells, contributions_udaf},
    persons::head,
};
use std::sync::Arc;

fn grouped() -> Box<dyn GroupsAccumulator> {
    grouped_as(Tells::Sum)
}

fn grouped_as(tells: Tells) -> Box<dyn GroupsAccumulator> {
    let udaf = contributions_udaf(tells);
    let fields = [
        Arc::new(Field::new("p", DataType::FixedSizeBinary(16), true)),
        Arc::new(Field::new("v", DataType::Float64, true)),
    ];
    let schema = Schema::new(fields.to_vec());
    let exprs = [col("p", &schema).unwrap(), col("v", &schema).unwrap()];
    udaf.create_groups_accumulator(AccumulatorArgs {
        return_field: udaf.return_field(&fields).unwrap(),
        schema: &schema,
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: "contributions",
        is_distinct: false,
        exprs: &exprs,
        expr_fields: &fields,
    })
    .unwrap()
}

fn values(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// Who have a value, who add something (-1: no row does), total, largest, second.
type Said = (u64, i64, f64, f64, f64);

fn said(bytes: &[u8]) -> Said {
    let said = Contributions::read(bytes).unwrap();
    let adding = said.adding.map_or(-1, |adding| i64::try_from(head(adding).unwrap().0).unwrap());
    let sizes = said.sizes.unwrap();
    (head(said.all).unwrap().0, adding, sizes.total, sizes.largest, sizes.second)
}

fn all(array: &ArrayRef) -> Vec<Option<Said>> {
    array.as_binary::<i32>().iter().map(|bytes| bytes.map(said)).collect()
}

#[test]
fn each_persons_values_are_added_up() {
    let mut groups = grouped();
    let people = pseudonyms(&[1, 1, 2, 3, 0, 0, 4, 5, 5]);
    let of = values(&[Some(2.0), Some(3.0), Some(-7.0), Some(0.0), Some(1.0), Some(1.0), None, Some(1.0), Some(-1.0)]);
    groups.update_batch(&[people, of], &[0, 0, 0, 0, 0, 1, 2, 3, 3], None, 5).unwrap();
    groups.update_batch(&[pseudonyms(&[2, 3]), values(&[Some(1.0), Some(-0.0)])], &[0, 0], None, 5).unwrap();
    assert_eq!(
        all(&groups.evaluate(EmitTo::All).unwrap()),
        [
            // the row of nobody is one contribution more, and no contributor
            Some((3, 2, 12.0, 6.0, 5.0)),
            Some((0, 0, 1.0, 1.0, 0.0)),
            None,
            Some((1, 1, 0.0, 0.0, 0.0)),
            None
        ]
    );
}

#[test]
fn zeros_are_values_that_add_nothing() {
    let mut groups = grouped();
    let filter = BooleanArray::from(vec![Some(true), Some(true), Some(false), None]);
    let of = values(&[Some(0.0), Some(-0.0), Some(1.0), Some(1.0)]);
    groups.update_batch(&[pseudonyms(&[1, 0, 3, 4]), of], &[0, 0, 0, 0], Some(&filter), 1).unwrap();
    assert_eq!(all(&groups.evaluate(EmitTo::All).unwrap()), [Some((1, -1, 0.0, 0.0, 0.0))]);
}

#[test]
fn partial_states_add_up_to_the_whole() {
    let (mut a, mut b, mut whole) = (grouped(), grouped(), grouped());
    a.update_batch(
        &[pseudonyms(&[1, 2, 0, 9]), values(&[Some(1.0), Some(2.0), Some(4.0), Some(0.0)])],
        &[0, 1, 0, 2],
        None,
        4,
    )
    .unwrap();
    b.update_batch(
        &[pseudonyms(&[1, 3, 0, 9]), values(&[Some(-3.0), Some(5.0), Some(2.0), Some(0.0)])],
        &[0, 1, 0, 2],
        None,
        4,
    )
    .unwrap();
    for part in [&mut a, &mut b] {
        let first = part.state(EmitTo::First(2)).unwrap();
        whole.merge_batch(&first, &[0, 1], 4).unwrap();
        let rest = part.state(EmitTo::All).unwrap();
        whole.merge_batch(&rest, &[2, 3], 4).unwrap();
    }
    let raw = [pseudonyms(&[7, 0, 0, 2]), values(&[Some(0.0), Some(-4.0), Some(0.0), Some(1.0)])];
    let raw = whole.convert_to_state(&raw, Some(&BooleanArray::from(vec![true, true, true, false]))).unwrap();
    whole.merge_batch(&raw, &[1, 1, 3, 3], 4).unwrap();
    assert!(whole.size() > 0);
    assert_eq!(
        all(&whole.evaluate(EmitTo::First(2)).unwrap()),
        [Some((1, 1, 8.0, 6.0, 2.0)), Some((3, 2, 11.0, 5.0, 4.0))]
    );
    assert_eq!(
        all(&whole.evaluate(EmitTo::All).unwrap()),
        [Some((1, -1, 0.0, 0.0, 0.0)), Some((0, -1, 0.0, 0.0, 0.0))]
    );
}

/// At one spoke, at two that share nobody, and as sums per person of two that do: the same is said of who adds how much.
#[test]
fn amounts_are_the_same_on_every_path() {
    let rows = |from: u32, to: u32| {
        let people: Vec<u32> = (from..to).flat_map(|person| [person, person]).collect();
        let each =
            people.iter().zip([1.0, 2.5].iter().cycle()).map(|(person, more)| Some(f64::from(person % 40) * more));
        [pseudonyms(&people), values(&each.collect::<Vec<_>>())]
    };
    let mut told = Vec::new();
    for tells in Tells::ALL {
        let of = |parts: &[[ArrayRef; 2]]| {
            let mut groups = grouped_as(tells);
            for part in parts {
                groups.update_batch(part, &vec![0; part[0].len()], None, 1).unwrap();
            }
            groups
        };
        let said = |mut groups: Box<dyn GroupsAccumulator>| {
            groups.evaluate(EmitTo::All).unwrap().as_binary::<i32>().value(0).to_vec()
        };
        let whole = said(of(&[rows(1, 200)]));
        let mut merged = of(&[rows(120, 200)]);
        let state = of(&[rows(1, 120)]).state(EmitTo::All).unwrap();
        merged.merge_batch(&state, &[0], 1).unwrap();
        let raw = merged.convert_to_state(&[pseudonyms(&[199]), values(&[Some(0.0)])], None).unwrap();
        assert_eq!(said(merged), whole);
        assert_eq!(raw.len(), 2);
        let parts = [rows(1, 120), rows(120, 200)].map(|part| {
            let bytes = said(of(&[part]));
            Merged::of(Contributions::read(&bytes).unwrap()).unwrap()
        });
        let mut both = parts[0].clone();
        both.merge(&parts[1]);
        let (both, whole) = (both.write().unwrap(), Contributions::read(&whole).unwrap());
        let both = Contributions::read(&both).unwrap();
        assert_eq!((both.amounts, both.sizes), (whole.amounts, whole.sizes));
        assert_eq!(whole.amounts.iter().flatten().count(), tells.numbers());
        // each person's values as they were added up elsewhere, in two parts
        let mut sums = grouped_as(tells);
        for (number, more) in [(1.0, 1.0), (1.0, 2.5)] {
            let people: Vec<u32> = (1..200).collect();
            let value = |person: &u32| f64::from(person % 40) * more;
            let columns = [
                people.iter().map(|person| Some(value(person))).collect::<Vec<_>>(),
                people.iter().map(|_| Some(number)).collect(),
                people.iter().map(|person| Some(value(person) * value(person))).collect(),
            ];
            let mut arguments = vec![pseudonyms(&people)];
            arguments.extend(columns.iter().take(tells.numbers()).map(|column| values(column)));
            sums.update_batch(&arguments, &vec![0; people.len()], None, 1).unwrap();
        }
        let sums = said(sums);
        assert_eq!(Contributions::read(&sums).unwrap().amounts, whole.amounts, "{tells:?}");
        told.push(whole.amounts.map(|amounts| amounts.map(<[u8]>::to_vec)));
    }
    // what tells a sum is the same whatever else is told
    assert!(told.iter().all(|amounts| amounts[0] == told[0][0]) && told[1][1] == told[2][1]);
    assert_ne!(told[2][1], told[2][2]);
}

/// Many groups and people over several partitions and batches, so that every path of the engine is taken.
#[tokio::test]
async fn agrees_with_plain_sql() {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4).with_batch_size(256));
    ctx.register_udaf(contributions_udaf(Tells::Sum).as_ref().clone());
    ctx.register_udf(create_udf(
        "said",
        vec![DataType::Binary],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|args| {
            let rows = args[0].to_array(1)?;
            let texts = rows.as_binary::<i32>().iter().map(|bytes| bytes.map(|bytes| format!("{:?}", said(bytes))));
            Ok(ColumnarValue::Array(Arc::new(texts.collect::<arrow::array::StringArray>())))
        }),
    ));
    let mut seed = 7_u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let rows = 12_000;
    let people: Vec<u32> = (0..rows).map(|_| random(2_000)).collect();
    let few: Vec<i32> = (0..rows).map(|_| i32::try_from(random(7)).unwrap()).collect();
    let many: Vec<i32> = (0..rows).map(|_| i32::try_from(random(5_000)).unwrap()).collect();
    let value: Vec<Option<f64>> = (0..rows).map(|_| Some(f64::from(random(9)) - 4.0).filter(|v| *v < 4.0)).collect();
    register(
        &ctx,
        "t",
        vec![
            role("p", "person"),
            Field::new("few", DataType::Int32, false),
            Field::new("many", DataType::Int32, false),
            Field::new("v", DataType::Float64, true),
        ],
        vec![pseudonyms(&people), Arc::new(Int32Array::from(few)), Arc::new(Int32Array::from(many)), values(&value)],
        false,
    );
    let cases: [(&[&str], &str); 4] =
        [(&["few"], "true"), (&["many"], "true"), (&["few % 2", "many"], "few > 2"), (&["few * 0"], "v <> 1")];
    for (keys, filter) in cases {
        let key = keys.join(", ");
        let one = format!(
            "SELECT {key}, said(contributions(p, v) FILTER (WHERE {filter})) FROM t GROUP BY {key} ORDER BY {key}"
        );
        let named: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} AS g{i}")).collect();
        let names: Vec<String> = (0..keys.len()).map(|i| format!("g{i}")).collect();
        let (named, names) = (named.join(", "), names.join(", "));
        let other = format!(
            "SELECT {names}, '(' || h || ', ' || n || ', ' || t || ', ' || x || ', ' || y || ')' FROM \
             (SELECT {names}, count(p) AS h, \
             CASE WHEN count(*) FILTER (WHERE adds) = 0 THEN -1 ELSE count(p) FILTER (WHERE adds) END AS n, \
             coalesce(sum(abs(s)) FILTER (WHERE adds), 0.0) AS t, \
             coalesce((array_agg(abs(s) ORDER BY abs(s) DESC) FILTER (WHERE adds))[1], 0.0) AS x, \
             coalesce((array_agg(abs(s) ORDER BY abs(s) DESC) FILTER (WHERE adds))[2], 0.0) AS y \
             FROM (SELECT {names}, p, sum(v) AS s, bool_or(v <> 0) AS adds FROM \
             (SELECT CASE WHEN {filter} THEN v END AS v, p, {named} FROM t) u WHERE v IS NOT NULL GROUP BY {names}, p) w \
             GROUP BY {names}) z ORDER BY {names}"
        );
        let (one, other) = (plain(&ctx, &one).await, plain(&ctx, &other).await);
        let one: Vec<_> = one.into_iter().filter(|row| row.iter().all(|cell| cell != "NULL")).collect();
        assert_eq!(one, other, "{key} {filter}");
    }
}
