#![allow(clippy::unwrap_used)]
//! Numbers in, stored pseudonyms out, versions right.

use super::{Kind, numbers};
use crate::{
    ingest::{NoPseudonyms, OpenPseudonyms},
    publish::State,
};

#[test]
fn numbers_are_read_one_a_line_and_a_wrong_line_is_named_without_its_value() {
    let text = "\u{feff}cpr\r\n010101-1234\r\n\n 0202021234 \n303031234\n";
    assert_eq!(*numbers::read(text.as_bytes()).unwrap(), [101_011_234, 202_021_234, 303_031_234]);
    assert_eq!(*numbers::read("0101011234".as_bytes()).unwrap(), [101_011_234]);
    let error = numbers::read("0101011234\n01010112345\n".as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 2") && !error.contains("0101"), "{error}");
    assert!(numbers::read("cpr\nname\n".as_bytes()).is_err());
}

/// As the linker, without a custodian: a number is its own pseudonym.
struct Plain;

#[async_trait::async_trait]
impl OpenPseudonyms for Plain {
    async fn open(&self) -> Result<Box<dyn crate::ingest::Pseudonyms>, NoPseudonyms> {
        Ok(Box::new(Plain))
    }
}

#[async_trait::async_trait]
impl crate::ingest::Pseudonyms for Plain {
    async fn persons(&mut self, numbers: &[u64]) -> Result<Vec<[u8; 16]>, NoPseudonyms> {
        Ok(numbers.iter().map(|number| u128::from(*number).to_be_bytes()).collect())
    }

    async fn key_domain(&mut self, _: &str) -> Result<std::sync::Arc<dyn crate::ingest::KeyHash>, NoPseudonyms> {
        Err(NoPseudonyms::Setup("not here".to_owned()))
    }

    fn link_kid(&self) -> String {
        "link".to_owned()
    }

    fn store_kid(&self) -> String {
        "store".to_owned()
    }

    fn known(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn only_stored_pseudonyms_are_kept_and_each_change_is_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    let read = numbers::read("0101011234\n0202021234\n0101011234\n".as_bytes()).unwrap();
    let (people, kid) = numbers::link_with(&Plain, &read).await.unwrap();
    let change = state.exclude(&people, Kind::OptOut, &kid).await.unwrap();
    assert_eq!((change.version, change.added), (1, 2));
    let change = state.exclude(&people[..1], Kind::Withdrawn, &kid).await.unwrap();
    assert_eq!((change.version, change.added), (2, 1));
    let change = state.include(&people[1..2], Kind::OptOut, &kid).await.unwrap();
    assert_eq!((change.version, change.removed), (3, 1));
    // Taken back and said again: both are remembered.
    let change = state.exclude(&people[1..2], Kind::OptOut, &kid).await.unwrap();
    assert_eq!((change.version, change.added), (4, 1));
    let excluded = state.excluded("store").await.unwrap().unwrap();
    assert_eq!(excluded.version(), 4);
    let versions = |person: &[u8; 16]| (0..6).filter(|version| excluded.covers(person, *version)).collect::<Vec<u64>>();
    assert_eq!(versions(&people[0]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(versions(&people[1]), [1, 2, 4, 5]);
    assert_eq!(versions(&[9; 16]), Vec::<u64>::new());
    assert!(excluded.anybody(0) && !excluded.covers(&[1, 2, 3], 4));
    let overview = state.exclusions().await.unwrap();
    assert_eq!(overview.people, [(Kind::OptOut, 2), (Kind::Withdrawn, 1), (Kind::Erased, 0)]);
    assert_eq!(overview.history.len(), 4);
    assert!(state.excluded("another").await.unwrap().is_none());
    // No number stands in the file, in any form that it was written in.
    drop(state);
    let bytes: Vec<u8> = ["", "-wal"]
        .iter()
        .flat_map(|end| std::fs::read(format!("{}{end}", path.display())).unwrap_or_default())
        .collect();
    for text in ["0101011234", "101011234", "010101-1234"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
}
