//! Bytes from somebody who means no good: refused by name, without a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::build::{aggregate, filter, fragment, joined, limit, measure, named, project, read, sort_limit};
use super::*;
use crate::ids::QueryId;
use crate::refusal::Kind as Kind_;
use crate::wire::expr::Kind;
use crate::wire::literal::Value;
use crate::wire::{
    Call, Compare, CompareOp, Expr, Fragment, InList, JoinKey, JoinKind, Like, Literal, Logic, LogicOp, MeasureKind,
    Rel, Type, TypeKind,
};

fn of(kind: Kind) -> Expr {
    Expr { kind: Some(kind) }
}

fn column(name: &str) -> Expr {
    of(Kind::Column(name.into()))
}

fn constant(kind: TypeKind, value: Value) -> Literal {
    Literal { r#type: Some(Type { kind: kind.into(), ..Type::default() }), value: Some(value) }
}

fn int(value: i64) -> Literal {
    constant(TypeKind::Int64, Value::Integer(value))
}

fn equal(left: Expr, right: Expr) -> Expr {
    of(Kind::Compare(Box::new(Compare {
        op: CompareOp::Eq.into(),
        left: Some(Box::new(left)),
        right: Some(Box::new(right)),
    })))
}

fn table() -> Rel {
    read(&"lmdb".parse().unwrap(), &["pnr".into(), "volume".into()])
}

fn where_(predicate: Expr) -> Fragment {
    fragment(filter(table(), predicate))
}

fn request(f: Fragment) -> wire::ScanRequest {
    wire::ScanRequest {
        blind: None,
        quick: None,
        versions: Vec::new(),
        envelope: Some(wire::Envelope {
            version: 1,
            query_id: QueryId::new().to_string(),
            project: "diabetes".into(),
            user: "anna".into(),
            zone: wire::Zone::Open.into(),
            ..wire::Envelope::default()
        }),
        keys: Vec::new(),
        accepts: Vec::new(),
        fragment: Some(f),
        schema_fingerprint: vec![7; 32],
    }
}

fn sent(f: Fragment) -> Result<wire::ScanRequest, FragmentError> {
    from_bytes(&request(f).encode_to_vec(), &Limits::default())
}

fn refusal(f: Fragment) -> String {
    sent(f).unwrap_err().to_string()
}

fn whole() -> Fragment {
    let key = constant(TypeKind::Utf8, Value::Text("A10".into()));
    let rel = filter(table(), equal(column("pnr"), of(Kind::Literal(key))));
    let rel = project(rel, vec![named("v", column("volume"))]);
    let count = measure("n", MeasureKind::Count, None);
    let sum = measure("s", MeasureKind::Sum, Some(column("v")));
    let rel = aggregate(rel, vec![named("v", column("v"))], vec![count, sum]);
    fragment(limit(rel, 10))
}

#[test]
fn a_good_request_is_read() {
    let request = request(whole());
    assert_eq!(from_bytes(&request.encode_to_vec(), &Limits::default()).unwrap(), request);
}

#[test]
fn every_cut_and_every_flipped_bit_is_survived() {
    let mut request = request(whole());
    request.schema_fingerprint.clear(); // so that no shorter form of the request is whole
    let bytes = request.encode_to_vec();
    for end in 0..bytes.len() {
        assert!(from_bytes(&bytes[..end], &Limits::default()).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(request) = from_bytes(&flipped, &Limits::default()) {
                text(request.fragment.as_ref().unwrap(), Literals::Shown);
            }
        }
    }
}

/// A message around bytes: field `tag` of a length-delimited type.
fn wrap(tag: u8, inner: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes
}

#[test]
fn depth_is_bounded_whoever_wrote_the_bytes() {
    // NOT NOT NOT .. x, written by hand
    for levels in [200, 5_000] {
        let mut expr = wrap(1, b"x");
        for _ in 0..levels {
            expr = wrap(14, &expr);
        }
        let mut filter = wrap(1, &table().encode_to_vec());
        filter.extend(wrap(2, &expr));
        let rel = wrap(2, &filter);
        let mut fragment = vec![8, 1];
        fragment.extend(wrap(2, &rel));
        let error = from_bytes(&wrap(2, &fragment), &Limits::default()).unwrap_err();
        assert!(matches!(error, FragmentError::TooDeep { .. }), "{error}");
    }
    let nested = |levels: usize| {
        let mut e = column("x");
        for _ in 0..levels {
            e = of(Kind::Not(Box::new(e)));
        }
        where_(e)
    };
    // request, fragment, rel, filter, then the predicate and what it holds
    assert!(sent(nested(86)).is_ok());
    assert!(matches!(sent(nested(87)), Err(FragmentError::TooDeep { limit: 90 })));
    let mut rel = table();
    for _ in 0..60 {
        rel = limit(rel, 1);
    }
    assert!(matches!(sent(fragment(rel)), Err(FragmentError::TooDeep { .. })));
}

#[test]
fn a_limit_of_a_caller_does_not_lift_the_bound() {
    let limits = Limits { max_depth: usize::MAX, max_nodes: usize::MAX, ..Limits::default() };
    let mut e = column("x");
    for _ in 0..200_000 {
        e = of(Kind::Not(Box::new(e)));
    }
    let deep = where_(e);
    assert!(matches!(check(&deep, &limits), Err(FragmentError::TooDeep { limit: 100 })));
    assert!(text(&deep, Literals::Shown).contains("..."));
    std::mem::forget(deep); // dropping it would recurse; no decoder makes one so deep
}

#[test]
fn size_is_bounded() {
    let limits = Limits::default();
    let error = from_bytes(&vec![0; limits.max_bytes + 1], &limits).unwrap_err();
    assert!(matches!(error, FragmentError::TooManyBytes { .. }));

    let list = |n: usize| {
        where_(of(Kind::InList(Box::new(InList {
            expr: Some(Box::new(column("volume"))),
            values: (0..n as i64).map(int).collect(),
            negated: false,
        }))))
    };
    assert!(sent(list(10_000)).is_ok());
    assert_eq!(refusal(list(10_001)), "InList.values has 10001 elements; at most 10000 are allowed");

    let or = |args: Vec<Expr>| of(Kind::Logic(Logic { op: LogicOp::Or.into(), args }));
    let args = || (0..9_000).map(|_| column("b")).collect::<Vec<_>>();
    let many = where_(or(vec![or(args()), or(args()), or(args())]));
    assert!(matches!(sent(many), Err(FragmentError::TooManyNodes { limit: 20_000 })));

    let long = constant(TypeKind::Utf8, Value::Text("x".repeat(8193)));
    let long = where_(equal(column("a"), of(Kind::Literal(long))));
    assert!(matches!(sent(long), Err(FragmentError::TextTooLong { length: 8193, .. })));
}

#[test]
fn lengths_that_are_not_there_are_refused() {
    let limits = Limits::default();
    // field 2 announces 2^63 - 1 bytes
    let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(matches!(from_bytes(&huge, &limits), Err(FragmentError::Malformed(_))));
    // a varint that never ends
    assert!(matches!(from_bytes(&[0xff; 12], &limits), Err(FragmentError::Malformed(_))));
    // a text that is not UTF-8, in Read.table
    let mut bytes = request(whole()).encode_to_vec();
    let at = bytes.windows(4).position(|w| w == b"lmdb").unwrap();
    bytes[at] = 0xff;
    let error = from_bytes(&bytes, &limits).unwrap_err().to_string();
    assert!(error.contains("Read.table") && error.contains("UTF-8"), "{error}");
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let mut other = whole();
    other.version = 2;
    assert!(refusal(other).contains("version 2"));
    assert!(refusal(Fragment { version: 1, root: None }).contains("Fragment.root"));
    assert!(refusal(fragment(Rel { kind: None })).contains("Rel.kind"));
    assert!(refusal(where_(Expr { kind: None })).contains("Expr.kind"));

    let op = |op| {
        where_(of(Kind::Compare(Box::new(Compare {
            op,
            left: Some(Box::new(column("a"))),
            right: Some(Box::new(column("a"))),
        }))))
    };
    assert_eq!(refusal(op(77)), "CompareOp 77 is not known here");
    assert!(refusal(op(0)).contains("CompareOp is missing"));
    assert!(refusal(op(-1)).contains("CompareOp -1"));

    let mut bad = measure("n", MeasureKind::Sum, None);
    assert!(refusal(fragment(aggregate(table(), vec![], vec![bad.clone()]))).contains("Measure.argument"));
    bad.measure.as_mut().unwrap().argument = Some(column("a"));
    bad.measure.as_mut().unwrap().kind = MeasureKind::Contributions.into();
    assert!(refusal(fragment(aggregate(table(), vec![], vec![bad.clone()]))).contains("Measure.value"));
    bad.measure.as_mut().unwrap().value = Some(column("v"));
    bad.measure.as_mut().unwrap().kind = MeasureKind::Sum.into();
    assert!(refusal(fragment(aggregate(table(), vec![], vec![bad.clone()]))).contains("belongs to CONTRIBUTIONS"));
    bad.measure.as_mut().unwrap().kind = 99;
    assert_eq!(refusal(fragment(aggregate(table(), vec![], vec![bad]))), "MeasureKind 99 is not known here");
    assert!(refusal(fragment(aggregate(table(), vec![], vec![]))).contains("Aggregate.measures"));
    assert!(refusal(fragment(sort_limit(table(), vec![], Some(u64::MAX), 1))).contains("too big"));

    let on = || vec![JoinKey { left: Some(column("a")), right: Some(column("b")) }];
    let mut join = build::join(JoinKind::Inner, table(), table(), on());
    join.kind = 99;
    assert_eq!(refusal(fragment(joined(join.clone()))), "JoinKind 99 is not known here");
    join.kind = 0;
    assert!(refusal(fragment(joined(join.clone()))).contains("Join.kind"));
    join.kind = 1;
    join.on.clear();
    assert!(refusal(fragment(joined(join.clone()))).contains("Join.on"));
    join.on = on();
    join.right = None;
    assert!(refusal(fragment(joined(join))).contains("Join.right"));
}

#[test]
fn fields_of_a_newer_version_are_not_passed_over() {
    // Rel.kind of a kind that may come
    let rel = wrap(7, &[]);
    let mut bytes = vec![8, 1];
    bytes.extend(wrap(2, &rel));
    let mut request = request(whole());
    request.fragment = None;
    let mut all = request.encode_to_vec();
    all.extend(wrap(2, &bytes));
    let error = from_bytes(&all, &Limits::default()).unwrap_err();
    assert_eq!(error, FragmentError::Missing("Rel.kind"));

    // an option that this version does not know, on a fragment that is otherwise fine
    let mut bytes = whole().encode_to_vec();
    bytes.extend(wrap(9, b"x"));
    request.schema_fingerprint.clear();
    let mut all = request.encode_to_vec();
    all.extend(wrap(2, &bytes));
    let error = from_bytes(&all, &Limits::default()).unwrap_err();
    assert_eq!(error, FragmentError::UnknownFields);
}

fn decimal(value: i128, precision: u32, scale: i32) -> Literal {
    Literal {
        r#type: Some(Type { kind: TypeKind::Decimal128.into(), precision, scale, ..Type::default() }),
        value: Some(Value::Binary(value.to_be_bytes().to_vec())),
    }
}

#[test]
fn constants_are_of_their_type() {
    let verdict = |literal: Literal| sent(where_(equal(column("a"), of(Kind::Literal(literal)))));
    let wrong = |literal: Literal| verdict(literal).unwrap_err().to_string();
    assert!(verdict(decimal(-99_999, 5, 2)).is_ok());
    assert!(wrong(decimal(100_000, 5, 2)).contains("Literal.value"));
    assert!(wrong(decimal(i128::MIN, 38, 0)).contains("Literal.value"));
    assert!(wrong(decimal(1, 39, 0)).contains("Type.precision"));
    assert!(wrong(decimal(1, 5, 6)).contains("Type.precision"));
    assert!(wrong(decimal(1, 5, -1)).contains("Type.precision"));
    let mut short = decimal(1, 5, 2);
    short.value = Some(Value::Binary(vec![1; 15]));
    assert!(wrong(short).contains("Literal.value"));

    assert!(wrong(constant(TypeKind::Int8, Value::Integer(128))).contains("Literal.value"));
    assert!(wrong(constant(TypeKind::Date32, Value::Integer(i64::MAX))).contains("Literal.value"));
    assert!(wrong(constant(TypeKind::Int64, Value::Text("1".into()))).contains("Literal.value"));
    assert!(wrong(constant(TypeKind::Null, Value::Integer(1))).contains("Literal.value"));
    assert!(wrong(constant(TypeKind::Float32, Value::Real(0.1))).contains("Literal.value"));
    assert!(verdict(constant(TypeKind::Float64, Value::Real(f64::NAN))).is_ok());
    assert!(wrong(constant(TypeKind::FixedSizeBinary, Value::Binary(vec![]))).contains("Type.width"));
    assert!(wrong(constant(TypeKind::Timestamp, Value::Integer(1))).contains("Type.unit"));
    assert!(wrong(constant(TypeKind::Unspecified, Value::Integer(1))).contains("Type.kind"));
    let mut key = constant(TypeKind::FixedSizeBinary, Value::Binary(vec![1; 15]));
    key.r#type.as_mut().unwrap().width = 16;
    assert!(wrong(key).contains("Literal.value"));
    let mut at = constant(TypeKind::Timestamp, Value::Integer(1));
    at.r#type.as_mut().unwrap().unit = 3;
    at.r#type.as_mut().unwrap().timezone = "../../etc/passwd\0".into();
    assert!(wrong(at).contains("Type.timezone"));
    let mut none = int(1);
    none.r#type = None;
    assert!(wrong(none).contains("Literal.type"));
}

#[test]
fn names_are_clean() {
    let of_table = |table: &str| {
        fragment(Rel { kind: Some(wire::rel::Kind::Read(wire::Read { table: table.into(), columns: vec![] })) })
    };
    assert!(sent(of_table("lmdb")).is_ok());
    for table in ["", "../lmdb", "/etc/passwd", "a.b", "LMDB", "file:///x", "lmdb\0"] {
        assert!(refusal(of_table(table)).contains("Read.table"), "{table}");
    }
    let project =
        |names: [&str; 2]| fragment(project(table(), names.iter().map(|n| named(*n, column("pnr"))).collect()));
    assert!(refusal(project(["a", "a"])).contains("the same name"));
    assert!(refusal(project(["a", ""])).contains("name"));
    assert!(refusal(project(["a", "b\nc"])).contains("control"));
}

#[test]
fn functions_are_on_the_list_and_called_as_allowed() {
    let call = |function: &str, args: Vec<Expr>| where_(of(Kind::Call(Call { function: function.into(), args })));
    let text = |t: &str| of(Kind::Literal(constant(TypeKind::Utf8, Value::Text(t.into()))));
    assert!(sent(call("lower", vec![column("a")])).is_ok());
    assert_eq!(refusal(call("now", vec![])), "function now is not known here");
    assert_eq!(refusal(call("LOWER", vec![column("a")])), "function LOWER is not known here");
    assert!(refusal(call("a'; drop", vec![])).contains("(not a function's name)"));
    assert_eq!(refusal(call("lower", vec![])), "function lower: takes 1 arguments");
    assert_eq!(refusal(call("substr", vec![])), "function substr: takes 2 to 3 arguments");
    assert!(sent(call("replace", vec![column("a"), text("."), text("")])).is_ok());
    for (search, by) in [("", "x"), ("a", "aa")] {
        let grows = call("replace", vec![column("a"), text(search), text(by)]);
        assert!(refusal(grows).contains("not longer"));
    }
    assert!(refusal(call("replace", vec![column("a"), column("b"), text("")])).contains("constant"));
    assert!(refusal(call("regexp_like", vec![column("a"), column("b")])).contains("constant"));
    assert!(refusal(call("regexp_like", vec![column("a"), text(&"a".repeat(257))])).contains("256"));
    assert!(refusal(call("date_part", vec![column("a"), column("b")])).contains("unit"));
}

#[test]
fn like_has_one_escape_character_at_most() {
    let like = |escape: &str| {
        where_(of(Kind::Like(Box::new(Like {
            expr: Some(Box::new(column("a"))),
            pattern: Some(constant(TypeKind::Utf8, Value::Text("a%".into()))),
            negated: false,
            case_insensitive: false,
            escape: escape.into(),
        }))))
    };
    assert!(sent(like("")).is_ok() && sent(like("æ")).is_ok());
    assert!(refusal(like("ab")).contains("Like.escape"));
}

#[test]
fn refusals_tell_size_from_sense() {
    let kind = |error: FragmentError| Refusal::from(error).kind;
    assert_eq!(kind(FragmentError::TooDeep { limit: 1 }), Kind_::TooLarge);
    assert_eq!(kind(FragmentError::Table("x".into())), Kind_::NotFound);
    assert_eq!(kind(FragmentError::UnknownFields), Kind_::Invalid);
}

#[test]
fn hidden_constants_are_nowhere_in_the_text() {
    let secret = |value: &str| of(Kind::Literal(constant(TypeKind::Utf8, Value::Text(value.into()))));
    let rel = filter(table(), equal(column("pnr"), secret("0101011234")));
    // as the engine names an expression
    let name = "lmdb.pnr = Utf8(\"0101011234\")";
    let rel = project(rel, vec![named(name, equal(column("pnr"), secret("0101011234")))]);
    let rel = aggregate(rel, vec![named(name, column(name))], vec![]);
    let f = fragment(rel);
    let hidden = text(&f, Literals::Hidden);
    assert!(!hidden.contains("0101011234"), "{hidden}");
    assert_eq!(hidden, "SELECT pnr = ? AS \"expr 1\" FROM lmdb WHERE pnr = ? GROUP BY pnr = ?");
    assert!(text(&f, Literals::Shown).contains("pnr = '0101011234'"));
}

#[test]
fn text_stays_on_one_line() {
    let evil = constant(TypeKind::Utf8, Value::Text("x'\n2026-01-01 INFO all is well".into()));
    let shown = text(&where_(equal(column("a"), of(Kind::Literal(evil)))), Literals::Shown);
    assert!(!shown.contains('\n'), "{shown}");
    assert!(shown.contains("x''\\n2026"), "{shown}");
}
