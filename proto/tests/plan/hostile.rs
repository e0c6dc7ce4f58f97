//! Fragments that are well formed but make no sense: an error, never a panic.

use proptest::prelude::*;
use proto::fragment::{FragmentError, Limits, Literals, build, functions, text};
use proto::plan::decode;
use proto::wire::expr::Kind;
use proto::wire::literal::Value;
use proto::wire::{
    Arithmetic, Between, Call, Case, Cast, Compare, Expr, Fragment, InList, Interval, IsNull, Like, Literal, Logic,
    Rel, SortKey, Type, TypeKind, When,
};

use crate::bench::{session, tables};
use crate::random::Dice;

const COLUMNS: [&str; 12] = ["id", "i", "f", "s", "v", "b", "d", "ts", "tz", "dec", "pid", "nothing"];

fn of(kind: Kind) -> Expr {
    Expr { kind: Some(kind) }
}

fn a_type(dice: &mut Dice) -> Type {
    let kind = TypeKind::try_from(1 + i32::try_from(dice.roll(22)).unwrap()).unwrap();
    let mut t = Type { kind: kind.into(), ..Type::default() };
    match kind {
        TypeKind::FixedSizeBinary => t.width = [16, 1, 1024][dice.roll(3)],
        TypeKind::Timestamp => {
            t.unit = 1 + i32::try_from(dice.roll(4)).unwrap();
            let zone = dice.one(&["", "+01:00", "Europe/Copenhagen", "+99:99", "Mars/Olympus", "-"]);
            t.timezone = zone.to_owned();
        }
        TypeKind::Duration => t.unit = 1 + i32::try_from(dice.roll(4)).unwrap(),
        TypeKind::Decimal128 => {
            t.precision = [10, 38, 1][dice.roll(3)];
            t.scale = [0, 1, i32::try_from(t.precision).unwrap()][dice.roll(3)];
        }
        _ => {}
    }
    t
}

fn literal(dice: &mut Dice) -> Literal {
    let t = a_type(dice);
    let extreme = [0, 1, -1, i64::MAX, i64::MIN, 18_000][dice.roll(6)];
    let small = [0, 1, -1, 7, 100, -100][dice.roll(6)];
    let value = match TypeKind::try_from(t.kind).unwrap() {
        _ if dice.roll(8) == 7 => None,
        TypeKind::Unspecified | TypeKind::Null => None,
        TypeKind::Boolean => Some(Value::Boolean(dice.roll(2) == 0)),
        TypeKind::Int8 | TypeKind::Int16 => Some(Value::Integer(small)),
        TypeKind::Int32 | TypeKind::Date32 => {
            Some(Value::Integer([small, i64::from(i32::MAX), i64::from(i32::MIN)][dice.roll(3)]))
        }
        TypeKind::Int64 | TypeKind::Timestamp | TypeKind::Duration => Some(Value::Integer(extreme)),
        TypeKind::Uint8 | TypeKind::Uint16 | TypeKind::Uint32 => Some(Value::Unsigned(small.unsigned_abs())),
        TypeKind::Uint64 => Some(Value::Unsigned(extreme.unsigned_abs())),
        TypeKind::Float32 => Some(Value::Real([0.0, 0.5, f64::NAN, f64::INFINITY][dice.roll(4)])),
        TypeKind::Float64 => Some(Value::Real([0.1, -1e300, f64::NAN, f64::NEG_INFINITY][dice.roll(4)])),
        TypeKind::Utf8 | TypeKind::Utf8View | TypeKind::LargeUtf8 => {
            let text = dice.one(&["E11", "", "month", "%_\\", "(((", "2020-02-30", "i", "\u{0}", "i-j", "Ω"]);
            Some(Value::Text(text.to_owned()))
        }
        TypeKind::Binary => Some(Value::Binary(vec![0xff; dice.roll(3)])),
        TypeKind::FixedSizeBinary => Some(Value::Binary(vec![1; usize::try_from(t.width).unwrap()])),
        TypeKind::Decimal128 => Some(Value::Binary(vec![[0, 0xff][dice.roll(2)]; 16])),
        TypeKind::IntervalMonthDayNano => Some(Value::Interval(Interval {
            months: [1, i32::MAX, i32::MIN][dice.roll(3)],
            days: [0, i32::MAX, -1][dice.roll(3)],
            nanoseconds: extreme,
        })),
    };
    Literal { r#type: Some(t), value }
}

fn expr(dice: &mut Dice, depth: usize) -> Expr {
    if depth > 4 || dice.roll(3) == 0 {
        return match dice.roll(3) {
            0 => of(Kind::Literal(literal(dice))),
            _ => of(Kind::Column(dice.one(&COLUMNS).to_owned())),
        };
    }
    let depth = depth + 1;
    let boxed = |dice: &mut Dice| Some(Box::new(expr(dice, depth)));
    let op = |dice: &mut Dice, n: usize| 1 + i32::try_from(dice.roll(n)).unwrap();
    of(match dice.roll(14) {
        0 | 1 => {
            let all = functions::all();
            let f = &all[dice.roll(all.len())];
            let count = f.min + dice.roll(f.max - f.min + 1).min(3);
            Kind::Call(Call { function: f.name.to_owned(), args: (0..count).map(|_| expr(dice, depth)).collect() })
        }
        2 => Kind::Compare(Box::new(Compare { op: op(dice, 8), left: boxed(dice), right: boxed(dice) })),
        3 => Kind::Logic(Logic { op: op(dice, 2), args: (0..2 + dice.roll(3)).map(|_| expr(dice, depth)).collect() }),
        4 | 5 => Kind::Arithmetic(Box::new(Arithmetic { op: op(dice, 6), left: boxed(dice), right: boxed(dice) })),
        6 => Kind::InList(Box::new(InList {
            expr: boxed(dice),
            values: (0..1 + dice.roll(5)).map(|_| literal(dice)).collect(),
            negated: dice.roll(2) == 0,
        })),
        7 => Kind::Between(Box::new(Between {
            expr: boxed(dice),
            low: boxed(dice),
            high: boxed(dice),
            negated: dice.roll(2) == 0,
        })),
        8 => Kind::Like(Box::new(Like {
            expr: boxed(dice),
            pattern: Some(literal(dice)),
            negated: dice.roll(2) == 0,
            case_insensitive: dice.roll(2) == 0,
            escape: dice.one(&["", "\\", "!"]).to_owned(),
        })),
        9 => Kind::IsNull(Box::new(IsNull { expr: boxed(dice), negated: dice.roll(2) == 0 })),
        10 => Kind::Case(Box::new(Case {
            operand: if dice.roll(2) == 0 { None } else { boxed(dice) },
            whens: (0..1 + dice.roll(2))
                .map(|_| When { when: Some(expr(dice, depth)), then: Some(expr(dice, depth)) })
                .collect(),
            otherwise: if dice.roll(2) == 0 { None } else { boxed(dice) },
        })),
        11 => Kind::Cast(Box::new(Cast { expr: boxed(dice), r#type: Some(a_type(dice)), lenient: dice.roll(2) == 0 })),
        12 => Kind::Negative(Box::new(expr(dice, depth))),
        _ => Kind::Not(Box::new(expr(dice, depth))),
    })
}

fn rel(dice: &mut Dice, depth: usize) -> Rel {
    if depth > 3 {
        let columns: Vec<String> = COLUMNS[..11].iter().map(|c| (*c).to_owned()).collect();
        return build::read(&"t".parse().unwrap(), &columns);
    }
    let input = rel(dice, depth + 1);
    let keep = |dice: &mut Dice| -> Vec<_> {
        // the names of the table, so that what stands above still finds columns
        (0..1 + dice.roll(3)).map(|n| build::named(COLUMNS[n], expr(dice, 1))).collect()
    };
    match dice.roll(6) {
        0 => input,
        5 => {
            // names that meet, keys that don't fit, kinds that aren't known: whatever comes, no panic
            let right = match dice.roll(2) {
                0 => input.clone(),
                _ => {
                    let other = ["id_2", "i_2", "f_2"].iter().zip(COLUMNS);
                    let of = |name: &str| of(Kind::Column(name.to_owned()));
                    build::project(input.clone(), other.map(|(new, old)| build::named(*new, of(old))).collect())
                }
            };
            let on = (0..dice.roll(3))
                .map(|_| proto::wire::JoinKey { left: Some(expr(dice, 2)), right: Some(expr(dice, 2)) })
                .collect();
            let mut join = build::join(proto::wire::JoinKind::Inner, input, right, on);
            join.kind = i32::try_from(dice.roll(6)).unwrap();
            join.condition = (dice.roll(3) == 1).then(|| expr(dice, 2));
            join.nulls_match = dice.roll(2) == 0;
            build::joined(join)
        }
        1 => build::filter(input, expr(dice, 0)),
        2 => build::project(input, keep(dice)),
        3 => {
            let measures = (0..1 + dice.roll(2)).map(|n| {
                let mut m = build::measure(COLUMNS[5 + n], proto::wire::MeasureKind::Count, Some(expr(dice, 2)));
                if let Some(m) = &mut m.measure {
                    m.kind = 1 + i32::try_from(dice.roll(11)).unwrap();
                    m.filter = (dice.roll(3) == 1).then(|| expr(dice, 2));
                }
                m
            });
            let measures = measures.collect();
            build::aggregate(input, keep(dice), measures)
        }
        _ => {
            let key =
                SortKey { expr: Some(expr(dice, 2)), descending: dice.roll(2) == 0, nulls_first: dice.roll(2) == 0 };
            let limit = [None, Some(0), Some(3), Some(i64::MAX.unsigned_abs())][dice.roll(4)];
            let offset = [0, 1, i64::MAX.unsigned_abs()][dice.roll(3)];
            build::sort_limit(input, vec![key], limit, offset)
        }
    }
}

/// How far a fragment got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Refused,
    Decoded,
    Answered,
}

async fn run(fragment: Fragment) -> Stage {
    let session = session();
    let Ok(plan) = decode(&fragment, &tables(), &session.state(), &Limits::default()) else {
        return Stage::Refused;
    };
    match session.execute_logical_plan(plan).await {
        Err(_) => Stage::Decoded,
        Ok(frame) => match frame.collect().await {
            Ok(_) => Stage::Answered,
            Err(_) => Stage::Decoded,
        },
    }
}

fn attempt(bytes: Vec<u8>) -> Stage {
    let fragment = build::fragment(rel(&mut Dice::new(bytes), 0));
    let shown = text(&fragment, Literals::Shown);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run(fragment))));
    outcome.unwrap_or_else(|_| panic!("panicked on: {shown}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 4..200)) {
        attempt(bytes);
    }
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    let session = session();
    let refusal = |rel: Rel| {
        let fragment = build::fragment(rel);
        decode(&fragment, &tables(), &session.state(), &Limits::default()).unwrap_err()
    };
    let read = |table: &str, column: &str| build::read(&table.parse().unwrap(), &[column.to_owned()]);
    assert_eq!(refusal(read("u", "id")), FragmentError::Table("u".into()));
    assert_eq!(refusal(read("t", "ID")), FragmentError::Column("ID".into()));
    assert_eq!(refusal(read("t", "pnr")), FragmentError::Column("pnr".into()));
    let column = |name: &str| of(Kind::Column(name.into()));
    let other = build::filter(read("t", "id"), column("b"));
    assert_eq!(refusal(other), FragmentError::Column("b".into()), "what was not read does not exist above");
    let not_boolean = build::filter(read("t", "id"), column("id"));
    assert_eq!(refusal(not_boolean), FragmentError::Mismatch("Filter"));
}

#[test]
fn the_deepest_fragment_runs_on_a_small_stack() {
    let mut e = of(Kind::Column("b".into()));
    for _ in 0..80 {
        e = of(Kind::Not(Box::new(e)));
    }
    let mut deep = build::read(&"t".parse().unwrap(), &["id".into(), "b".into()]);
    for n in 0..40 {
        deep = build::limit(deep, 40 - n);
    }
    let wide = build::filter(build::read(&"t".parse().unwrap(), &["b".into()]), e);
    for rel in [wide, deep] {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            assert_eq!(runtime.block_on(run(build::fragment(rel))), Stage::Answered);
        };
        // as much as a worker thread has
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap();
        thread.join().unwrap();
    }
}
