#![allow(clippy::unwrap_used)]
use super::*;
use crate::fragment::{Limits, Literals, check as check_fragment, text};

fn about(text: &str) -> wire::QuickColumn {
    let mut parts = text.split('.').map(str::to_owned);
    let mut next = || parts.next().unwrap();
    wire::QuickColumn { controller: next(), table: next(), column: next() }
}

fn word(value: &str) -> wire::Literal {
    let of = wire::Type { kind: wire::TypeKind::Utf8.into(), ..wire::Type::default() };
    wire::Literal { r#type: Some(of), value: Some(Value::Text(value.to_owned())) }
}

fn where_(column: &str, op: wire::QuickOp, values: &[&str]) -> wire::QuickCondition {
    let values = values.iter().map(|value| word(value)).collect();
    wire::QuickCondition { column: Some(about(column)), op: op.into(), values }
}

fn test() -> wire::QuickTest {
    use wire::QuickOp::{QuickEq, QuickIn, QuickStartsWith};
    wire::QuickTest {
        nonce: vec![7; NONCE],
        asked_unix_ms: 1,
        any: vec![
            wire::QuickGroup {
                all: vec![
                    where_("sds.lmdb.atc", QuickStartsWith, &["A10"]),
                    where_("sds.lmdb.region", QuickIn, &["1", "2"]),
                    where_("dst.bef.kom", QuickEq, &["101"]),
                ],
            },
            wire::QuickGroup { all: vec![where_("region-h.lab.kode", QuickEq, &["NPU1"])] },
        ],
        by: vec![about("dst.bef.koen")],
    }
}

fn leg(group: u32, table: &str) -> wire::QuickLeg {
    wire::QuickLeg { test: Some(test()), group, table: table.to_owned(), person: "pnr".to_owned() }
}

fn at(controller: &str) -> ControllerId {
    controller.parse().unwrap()
}

#[test]
fn a_leg_reads_the_groups_rows_of_one_table_and_gives_people_with_their_groups() {
    let sql = |leg: &wire::QuickLeg, controller: &str| {
        let fragment = fragment(leg, &at(controller)).unwrap();
        check_fragment(&fragment, &Limits::default()).unwrap();
        text(&fragment, Literals::Shown)
    };
    let cohort = sql(&leg(0, "lmdb"), "sds");
    assert!(cohort.contains("A10%") && cohort.contains("region") && !cohort.contains("koen"), "{cohort}");
    let groups = sql(&leg(0, "bef"), "dst");
    assert!(groups.contains("kom") && groups.contains("koen"), "{groups}");
    // Of another group the conditions are others; who is counted by comes along all the same.
    let other = sql(&leg(1, "bef"), "dst");
    assert!(other.contains("koen") && !other.contains("kom "), "{other}");
    let whole = test();
    let read = tables(&whole, 1).into_iter().collect::<Vec<_>>();
    assert_eq!(read, [("dst", "bef"), ("region-h", "lab")]);
}

#[test]
fn attack_by_a_leg_that_the_request_has_not_gives_no_fragment() {
    let nothing = |leg: &wire::QuickLeg, controller: &str| fragment(leg, &at(controller)).unwrap_err().to_string();
    assert!(nothing(&leg(0, "bef"), "sds").contains("reads nothing of that table"));
    assert!(nothing(&leg(1, "lmdb"), "sds").contains("reads nothing of that table"));
    assert!(nothing(&leg(9, "lmdb"), "sds").contains("not there"));
    // Counting by the person would give rows.
    let mut rows = leg(0, "bef");
    rows.person = "koen".to_owned();
    assert!(nothing(&rows, "dst").contains("counts by the person"));
}

#[test]
fn what_is_too_much_is_named() {
    type Change = fn(&mut wire::QuickTest);
    let changes: [(&str, Change); 9] = [
        ("nonce", |t| t.nonce.clear()),
        ("groups are 0", |t| t.any.clear()),
        ("groups are 9", |t| t.any = vec![t.any[1].clone(); 9]),
        ("columns to count by are 4", |t| t.by = vec![about("a.b.c"), about("a.b.d"), about("a.b.e"), about("a.b.f")]),
        ("name one twice", |t| t.by.push(t.by[0].clone())),
        ("17 conditions", |t| t.any[0].all = vec![t.any[0].all[0].clone(); 17]),
        ("comparison that is not known", |t| t.any[0].all[0].op = 99),
        ("2 values instead of one", |t| t.any[0].all[2].values.push(word("2"))),
        ("beginning is no text", |t| t.any[0].all[0].values = vec![word("A%")]),
    ];
    check(&test()).unwrap();
    for (named, change) in changes {
        let mut changed = test();
        change(&mut changed);
        let said = check(&changed).unwrap_err().to_string();
        assert!(said.contains(named), "{named}: {said}");
    }
    let mut empty = test();
    (empty.any[1].all, empty.by) = (Vec::new(), Vec::new());
    assert!(check(&empty).unwrap_err().to_string().contains("no condition"));
}

#[test]
fn a_request_has_another_digest_each_time_and_means_the_same() {
    let again = wire::QuickTest { nonce: vec![8; NONCE], asked_unix_ms: 2, ..test() };
    assert_ne!(digest(&again), digest(&test()));
    assert_eq!(meaning(&again), meaning(&test()));
    let mut other = test();
    other.any.pop();
    assert_ne!(meaning(&other), meaning(&test()));
}
