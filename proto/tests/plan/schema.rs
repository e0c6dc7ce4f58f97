//! Schemas as bytes and fingerprints.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proto::schema::{EN, PERSON, ROLE, fingerprint, from_bytes, to_bytes};

use crate::bench::timestamp;

fn schema(role: &str, note: &str) -> Schema {
    let meta = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
    Schema::new(vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(meta(ROLE, role)),
        Field::new("eksd", DataType::Date32, true).with_metadata(meta(EN, note)),
        Field::new("at", timestamp(), true),
        Field::new("price", DataType::Decimal128(10, 2), true),
    ])
}

#[test]
fn there_and_back_with_metadata() {
    let schema = schema(PERSON, "date of dispensing");
    assert_eq!(from_bytes(&to_bytes(&schema)).unwrap(), schema);
}

#[test]
fn it_is_read_wherever_its_bytes_stand() {
    let schema = schema(PERSON, "date of dispensing");
    let bytes = to_bytes(&schema);
    for shift in 0..16 {
        let message = [vec![0; shift], bytes.clone()].concat();
        assert_eq!(from_bytes(&message[shift..]).unwrap(), schema, "{shift} bytes into a message");
    }
}

#[test]
fn the_fingerprint_is_over_names_types_and_roles() {
    let one = fingerprint(&schema(PERSON, "a"));
    assert_eq!(one, fingerprint(&schema(PERSON, "b")), "descriptions do not count");
    assert_ne!(one, fingerprint(&schema("", "a")), "roles do");
    let other = Schema::new(vec![Field::new("a", timestamp(), true)]);
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+01:00".into()));
    let zoned = Schema::new(vec![Field::new("a", zoned, true)]);
    assert_ne!(fingerprint(&other), fingerprint(&zoned), "types do");
    let parts = |names: [&str; 2]| Schema::new(names.map(|n| Field::new(n, DataType::Int64, true)).to_vec());
    assert_ne!(fingerprint(&parts(["ab", "c"])), fingerprint(&parts(["a", "bc"])));
    // it goes over the wire between versions: it must not change by itself
    let hex: String = one[..4].iter().map(|b| format!("{b:02x}")).collect();
    insta::assert_snapshot!(hex, @"4e1c11de");
}

#[test]
fn foreign_bytes_are_refused_without_a_panic() {
    let good = to_bytes(&schema(PERSON, "x"));
    for end in 0..good.len() {
        let _ = from_bytes(&good[..end]);
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let _ = from_bytes(&bytes);
        }
    }
    assert!(from_bytes(b"").is_err());
    assert!(from_bytes(&[0xff; 64]).is_err());
}
