#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::{
    fragment::build,
    ids::QueryId,
    wire::{self, MeasureKind},
};
use proptest::prelude::*;

const FRAGMENT: [u8; 32] = [7; 32];

fn id(text: &str) -> QueryId {
    text.parse().unwrap()
}

fn total() -> QueryId {
    id("01890a5d-ac96-774b-bcce-b302099a8057")
}

fn seed(n: u8) -> Seed {
    Seed::new([n; 32])
}

/// What hub and custodian do together with each member's values and seed.
fn added(members: &[(Seed, Vec<Option<i128>>)], total: &QueryId) -> Vec<Option<i64>> {
    let of = Of { total, fragment: &FRAGMENT };
    let words = members[0].1.len() * WORDS;
    let (mut shares, mut masks) = (vec![0; words], vec![0; words]);
    for (seed, values) in members {
        assert!(add(&mut shares, &super::shares(seed, of, 0, values, members.len())));
        assert!(add(&mut masks, &seed.masks(of, 0).take(words).collect::<Vec<_>>()));
    }
    assert!(add(&mut shares, &masks));
    totals(&shares)
}

proptest! {
    #[test]
    fn the_total_is_the_plain_sum(
        // up to 2^63 / 50 in both directions, NULL now and then
        values in prop::collection::vec(
            prop::collection::vec(prop::option::of(-184_467_440_737_095_516_i128..=184_467_440_737_095_516), 4), 3..50),
        seeds in prop::collection::vec(any::<[u8; 32]>(), 50),
    ) {
        let plain: Vec<Option<i64>> = (0..4)
            .map(|place| {
                let some: Vec<i128> = values.iter().filter_map(|of_one| of_one[place]).collect();
                (!some.is_empty()).then(|| i64::try_from(some.iter().sum::<i128>()).unwrap())
            })
            .collect();
        let members: Vec<_> = seeds.into_iter().map(Seed::new).zip(values).collect();
        prop_assert_eq!(added(&members, &total()), plain);
    }

    #[test]
    fn nothing_is_learned_without_every_mask(values in prop::collection::vec(0_i128..1_000, 3), left in 0_usize..3) {
        // One member's masks missing: what is left is that member's share, which is no small number but once in 2^54.
        let of = Of { total: &total(), fragment: &FRAGMENT };
        let mut sum = vec![0; WORDS];
        for (n, value) in (0_u8..).zip(&values) {
            prop_assert!(add(&mut sum, &shares(&seed(n), of, 0, &[Some(*value)], 3)));
            if usize::from(n) != left {
                prop_assert!(add(&mut sum, &seed(n).masks(of, 0).take(WORDS).collect::<Vec<_>>()));
            }
        }
        prop_assert!(sum[1] > 3_000 && sum[1] < u64::MAX - 3_000);
    }
}

#[test]
fn shares_of_one_number_under_many_seeds_are_uniform_bytes() {
    // 16,384 shares of 42, 131,072 bytes: each byte value is expected 512 times. Chi-squared over 255 degrees of freedom is
    // beyond 382 once in ten million times; seeds are fixed, so that this never changes by chance.
    let of = Of { total: &total(), fragment: &FRAGMENT };
    let mut seen = [0_u32; 256];
    for n in 0_u16..16_384 {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_le_bytes());
        for byte in shares(&Seed::new(bytes), of, 0, &[Some(42)], 3)[1].to_le_bytes() {
            seen[usize::from(byte)] += 1;
        }
    }
    let chi: f64 = seen.iter().map(|n| (f64::from(*n) - 512.0).powi(2) / 512.0).sum();
    assert!((130.0..382.0).contains(&chi), "{chi}");
    // The same measure finds what is not hidden.
    let plain = [42_u64; 16_384].iter().flat_map(|n| n.to_le_bytes()).filter(|byte| *byte == 0).count();
    assert!((plain as f64 - 512.0).powi(2) / 512.0 > 382.0);
}

#[test]
fn masks_are_others_for_each_total_fragment_cell_word_and_seed() {
    let (one, two) = (total(), id("01890a5d-ac96-774b-bcce-b302099a8058"));
    let mut seen = std::collections::HashSet::new();
    for seed in [seed(1), seed(2)] {
        for of in [
            Of { total: &one, fragment: &FRAGMENT },
            Of { total: &two, fragment: &FRAGMENT },
            Of { total: &one, fragment: &[8; 32] },
        ] {
            for cell in 0..3 {
                seen.extend(seed.masks(of, cell).take(100));
                seen.extend(seed.presences(of, cell).take(100));
            }
        }
    }
    assert_eq!(seen.len(), 2 * 3 * 3 * 200, "none comes twice");
}

#[test]
fn masks_stay_what_they_are() {
    // A spoke and a custodian of different versions must make the same ones.
    let of = Of { total: &total(), fragment: &FRAGMENT };
    let words: Vec<u64> = seed(1).masks(of, 0).take(3).collect();
    // Found by the definition, with another implementation of SHA-256 and ChaCha20.
    assert_eq!(words, [13_605_185_090_537_594_223, 2_827_642_816_162_776_269, 17_663_745_588_911_798_607]);
}

#[test]
fn null_is_told_only_when_nobody_has_a_value() {
    let nobody = vec![(seed(1), vec![None, None]), (seed(2), vec![None, Some(0)]), (seed(3), vec![None, None])];
    assert_eq!(added(&nobody, &total()), [None, Some(0)]);
    // Who has one is not told either: the word that says so is under a mask like any other, and random by itself.
    let of = Of { total: &total(), fragment: &FRAGMENT };
    let here = shares(&seed(1), of, 0, &[Some(1)], 3)[0];
    let away = shares(&seed(1), of, 0, &[None], 3)[0];
    let difference = here.wrapping_sub(away);
    assert!(difference > 1 << 32, "no count of members: {difference}");
}

#[test]
fn what_could_overflow_counts_as_the_largest_and_what_is_at_the_edge_is_exact() {
    let largest = i128::from(most(3));
    assert_eq!(most(3), i64::MAX / 3);
    let all = |number: i128| -> Vec<_> { (1..4).map(|n| (seed(n), vec![Some(number), Some(-number)])).collect() };
    for (number, sum) in [(largest, largest * 3), (largest - 1, largest * 3 - 3)] {
        let sum = i64::try_from(sum).unwrap();
        assert_eq!(added(&all(number), &total()), [Some(sum), Some(-sum)]);
    }
    let sum = i64::try_from(largest * 3).unwrap();
    for over in [largest + 1, i128::from(i64::MAX) + 1, i128::MAX] {
        assert_eq!(added(&all(over), &total()), [Some(sum), Some(-sum)]);
    }
}

#[test]
fn words_that_do_not_fit_are_not_added() {
    let mut sum = vec![1, 2];
    assert!(!add(&mut sum, &[1]) && !add(&mut sum, &[1, 2, 3]));
    assert_eq!(sum, [1, 2]);
    assert_eq!(totals(&[5]), []);
}

#[test]
fn a_seed_is_wiped_and_never_printed() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<Seed>();
    assert_eq!(format!("{:?}", seed(0xab)), "Seed(..)");
}

fn column(name: &str) -> wire::Expr {
    wire::Expr { kind: Some(wire::expr::Kind::Column(name.to_owned())) }
}

fn read() -> wire::Rel {
    build::read(&"lab".parse().unwrap(), &["pnr".to_owned(), "value".to_owned()])
}

fn counted(input: wire::Rel) -> wire::Rel {
    let value = |name, kind| build::measure(name, kind, Some(column("value")));
    build::aggregate(input, vec![], vec![build::measure("n", MeasureKind::Count, None), value("s", MeasureKind::Sum)])
}

#[test]
fn only_one_aggregate_without_groups_of_measures_that_add_up_is_shared() {
    let of = |rel| statistics(&build::fragment(rel));
    assert_eq!(of(counted(read())), Ok(2));
    let shown = build::project(counted(read()), vec![build::named("total", column("s"))]);
    assert_eq!(of(shown), Ok(1));
    let filtered = build::filter(read(), column("value"));
    assert_eq!(of(counted(filtered)), Ok(2));
    let with = |kind| build::aggregate(read(), vec![], vec![build::measure("m", kind, Some(column("value")))]);
    let grouped = build::aggregate(
        read(),
        vec![build::named("value", column("value"))],
        vec![build::measure("n", MeasureKind::Count, None)],
    );
    let negated = wire::Expr { kind: Some(wire::expr::Kind::Literal(wire::Literal::default())) };
    for (rel, what) in [
        (read(), "rows"),
        (grouped, "groups"),
        (with(MeasureKind::Min), "MIN or MAX"),
        (with(MeasureKind::Max), "MIN or MAX"),
        (with(MeasureKind::Avg), "AVG"),
        (with(MeasureKind::VarPop), "doesn't add up"),
        (with(MeasureKind::Unspecified), "doesn't add up"),
        (build::aggregate(read(), vec![], vec![]), "no measure"),
        (counted(counted(read())), "an aggregate of aggregates"),
        (counted(build::limit(read(), 1)), "LIMIT"),
        (build::limit(counted(read()), 1), "rows"),
        (build::project(counted(read()), vec![build::named("x", negated)]), "computing with a total"),
        (wire::Rel { kind: None }, "missing"),
    ] {
        let error = of(rel).unwrap_err();
        assert!(error.what.contains(what), "{what}: {error}");
    }
}

fn statement() -> SeedStatement {
    let names = ["dst", "region-h", "sds"];
    SeedStatement {
        version: SeedStatement::VERSION,
        controller: "dst".parse().unwrap(),
        project: "diabetes".parse().unwrap(),
        members: names.iter().map(|name| name.parse().unwrap()).collect(),
        custodian: [3; 32],
        total: total(),
        fragment: FRAGMENT,
        snapshots: [("lab".parse().unwrap(), 4)].into(),
        words: 2,
        seed: seed(1),
        at: "2026-11-27T12:00:00Z".parse().unwrap(),
    }
}

#[test]
fn a_statement_is_checked_field_by_field_and_reads_back() {
    let now = "2026-11-27T12:30:00Z".parse().unwrap();
    statement().check(now).unwrap();
    let text = serde_json::to_vec(&statement()).unwrap();
    assert_eq!(serde_json::from_slice::<SeedStatement>(&text).unwrap(), statement());
    // As long with any seed: the ciphertext's length tells nothing of it.
    let other = SeedStatement { seed: seed(200), ..statement() };
    assert_eq!(serde_json::to_vec(&other).unwrap().len(), text.len());
    let wrong = |change: fn(&mut SeedStatement)| {
        let mut statement = statement();
        change(&mut statement);
        statement.check(now).unwrap_err()
    };
    assert_eq!(wrong(|s| s.version = 2), StatementProblem::Version(2));
    assert_eq!(wrong(|s| s.members.truncate(2)), StatementProblem::Members(2));
    assert_eq!(wrong(|s| s.members.reverse()), StatementProblem::Members(3));
    assert_eq!(wrong(|s| s.members[1] = s.members[0].clone()), StatementProblem::Members(3));
    assert!(matches!(wrong(|s| s.controller = "other".parse().unwrap()), StatementProblem::NoMember(_)));
    assert_eq!(wrong(|s| s.words = 0), StatementProblem::Words(0));
    assert_eq!(wrong(|s| s.words = 4097), StatementProblem::Words(4097));
    for at in ["2026-11-27T11:29:59Z", "2026-11-27T12:36:00Z"] {
        let stale = SeedStatement { at: at.parse().unwrap(), ..statement() };
        assert!(matches!(stale.check(now), Err(StatementProblem::Stale { .. })), "{at}");
    }
}

#[cfg(feature = "plan")]
mod of_columns {
    use crate::{
        blind::columns::{check, row, values},
        plan::{
            contributions::{Contributions, Sizes},
            persons::{Summary, head},
        },
    };
    use arrow::{
        array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array, RecordBatch, UInt64Array},
        datatypes::{DataType, Field, Schema},
    };
    use std::sync::Arc;

    #[test]
    fn whole_numbers_and_decimals_go_there_and_back_exactly_and_floats_are_refused_by_name() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("u", DataType::UInt64, true),
            Field::new("kr", DataType::Decimal128(25, 2), true),
            Field::new("none", DataType::Int64, true),
        ]));
        let money = Decimal128Array::from(vec![Some(-12_345)]).with_precision_and_scale(25, 2).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![-7])),
            Arc::new(UInt64Array::from(vec![Some(9)])),
            Arc::new(money),
            Arc::new(Int64Array::from(vec![None])),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let found = values(&batch, 0).unwrap();
        assert_eq!(found, [Some(-7), Some(9), Some(-12_345), None]);
        let back: Vec<Option<i64>> = found.iter().map(|v| v.map(|v| i64::try_from(v).unwrap())).collect();
        assert_eq!(row(&schema, &back).unwrap(), batch);
        assert!(row(&schema, &back[1..]).is_err());
        assert!(row(&schema, &[Some(1), Some(-1), None, None]).is_err(), "less than nothing");
        assert!(row(&schema, &[None, None, None, None]).is_err(), "NULL where there is none");
        let float = Schema::new(vec![Field::new("mean", DataType::Float64, true)]);
        let error = check(&float).unwrap_err().to_string();
        assert!(error.contains("'mean' is Float64") && error.contains("decimal"), "{error}");
    }

    #[test]
    fn of_contributions_who_adds_something_is_shared_and_how_much_is_not() {
        let people = |ids: &[u8]| {
            let mut summary = Summary::default();
            ids.iter().for_each(|id| summary.add(&[*id; 16]));
            summary.write().unwrap()
        };
        let (all, adding) = (people(&[1, 2, 3]), people(&[1, 2]));
        let sizes = Some(Sizes { total: 99.0, largest: 90.0, second: 9.0 });
        let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Binary, true)]));
        for (adding, word) in [(Some(adding.as_slice()), Some((2_i128 << 32) | 3)), (None, None)] {
            let said = Contributions { all: &all, adding, sizes, amounts: [None; 3], outer: None }.write().unwrap();
            let column: ArrayRef = Arc::new(BinaryArray::from_vec(vec![said.as_slice()]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            let found = values(&batch, 0).unwrap();
            assert_eq!(found, [word]);
            let total: Vec<Option<i64>> = found.iter().map(|v| v.map(|v| i64::try_from(v).unwrap())).collect();
            let back = row(&schema, &total).unwrap();
            let bytes = back.column(0).as_binary::<i32>();
            if let Some(word) = word {
                let said = Contributions::read(bytes.value(0)).unwrap();
                assert_eq!(
                    (said.sizes, head(said.adding.unwrap()).unwrap().0),
                    (None, u64::try_from(word >> 32).unwrap())
                );
            } else {
                assert!(bytes.is_null(0));
            }
        }
    }
}
