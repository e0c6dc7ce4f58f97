//! Key lists beside a fragment, before anything is made of them.

use super::FragmentError;
use crate::wire::{KeyKind, KeyList, key_list::Kind};

/// Field of `ScanRequest` that holds key lists.
const KEYS: u64 = 4;
/// How a key list of pseudonyms begins: field 2, bytes.
const IDS: u8 = 0x12;
/// How a filter begins: field 5, a message of one number and bytes.
const BLOOM: u8 = 0x2a;
/// The largest filter, bytes.
const MAX_BLOOM: usize = 16 << 20;
/// Bytes of a filter's block.
const BLOCK: usize = 32;
/// Lists that one question may have.
const MAX_LISTS: usize = 64;
/// Bytes of a pseudonym.
const ID: usize = 16;

/// How large the parts of a `ScanRequest` are, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// what is no key list
    pub(super) question: usize,
    /// lists of numbers and texts, which take up to fourteen times that in memory (of empty texts, two bytes each)
    pub(super) values: usize,
}

/// The sizes, before anything is built. `None`: it is no request as we write one.
pub(super) fn sizes(bytes: &[u8]) -> Option<Sizes> {
    let (mut rest, mut sizes) = (bytes, Sizes::default());
    while !rest.is_empty() {
        let before = rest.len();
        let key = varint(&mut rest)?;
        // Every field of a request is a message, a text or bytes.
        if key & 7 != 2 {
            return None;
        }
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (field, after) = rest.split_at_checked(length)?;
        rest = after;
        let whole = before - rest.len();
        if key >> 3 != KEYS {
            sizes.question += whole;
        } else if !flat(field) {
            sizes.values += whole;
        }
    }
    Some(sizes)
}

/// Whether a list takes no more memory than bytes: pseudonyms or a filter, and nothing after them.
fn flat(list: &[u8]) -> bool {
    let Some((&(IDS | BLOOM), mut rest)) = list.split_first() else { return false };
    varint(&mut rest).is_some_and(|length| usize::try_from(length).is_ok_and(|length| length == rest.len()))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Refuses too many lists, and any that isn't in order: order is what makes it quick to use.
pub(super) fn check_all(lists: &[KeyList]) -> Result<(), FragmentError> {
    if lists.len() > MAX_LISTS {
        return Err(FragmentError::TooLong { what: "ScanRequest.keys", length: lists.len(), limit: MAX_LISTS });
    }
    lists.iter().try_for_each(check)
}

fn check(list: &KeyList) -> Result<(), FragmentError> {
    let invalid = |rule| Err(FragmentError::Invalid { what: "KeyList", rule });
    let ascending = match list.kind.as_ref().ok_or(FragmentError::Missing("KeyList.kind"))? {
        Kind::Everything(true) => true,
        Kind::Everything(false) => return invalid("everything is true or absent"),
        Kind::Ids(ids) if ids.len() % ID != 0 => return invalid("ids have 16 bytes each"),
        Kind::Ids(ids) => {
            let (mut next, mut last): (_, Option<&[u8]>) = (ids.as_slice(), None);
            let mut fine = true;
            while let Some((id, rest)) = next.split_at_checked(ID) {
                fine &= last.is_none_or(|last| last < id);
                (last, next) = (Some(id), rest);
            }
            fine
        }
        Kind::Bloom(bloom) => {
            let blocks = bloom.blocks.len() / BLOCK;
            if bloom.of() == KeyKind::Unspecified {
                return invalid("a filter says of what kind its values are");
            }
            if bloom.blocks.len() % BLOCK != 0 || !blocks.is_power_of_two() {
                return invalid("a filter is a power of two of blocks of 32 bytes");
            }
            if bloom.blocks.len() > MAX_BLOOM {
                return Err(FragmentError::TooLong {
                    what: "KeyList.bloom.blocks",
                    length: bloom.blocks.len(),
                    limit: MAX_BLOOM,
                });
            }
            true
        }
        Kind::Numbers(numbers) => numbers.values.is_sorted_by(|a, b| a < b),
        Kind::Texts(texts) => texts.values.is_sorted_by(|a, b| a < b),
    };
    if ascending { Ok(()) } else { invalid("values are in ascending order, none twice") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;
    use crate::wire::{self, Texts};
    use prost::Message;

    #[test]
    fn lists_are_weighed_by_what_they_become() {
        let list = |kind| KeyList { kind: Some(kind) };
        let request =
            |keys| wire::ScanRequest { schema_fingerprint: vec![1; 32], keys, ..wire::ScanRequest::default() };
        let bare = sizes(&request(vec![]).encode_to_vec());
        assert_eq!(bare, Some(Sizes { question: 34, values: 0 }));
        assert_eq!(sizes(&request(vec![list(Kind::Ids(vec![7; 4_000]))]).encode_to_vec()), bare);
        let texts = list(Kind::Texts(Texts { values: vec![String::new(); 500] }));
        let heavy = sizes(&request(vec![texts]).encode_to_vec());
        assert!(heavy.is_some_and(|sizes| sizes.values > 1_000 && sizes.question == 34), "{heavy:?}");
        // What begins as pseudonyms and goes on as texts is weighed as texts.
        let mut mixed = list(Kind::Ids(vec![7; 16])).encode_to_vec();
        mixed.extend(list(Kind::Texts(Texts { values: vec![String::new(); 500] })).encode_to_vec());
        assert!(!flat(&mixed));
        let bloom = wire::Bloom { of: KeyKind::Number.into(), blocks: vec![0; 4_096] };
        assert_eq!(sizes(&request(vec![list(Kind::Bloom(bloom))]).encode_to_vec()), bare);
        for nothing in [&[0x0d, 0, 0, 0, 0][..], &[0x22, 0x7f], &[0xff; 11], &[0x22]] {
            assert_eq!(sizes(nothing), None);
        }
    }

    #[test]
    fn a_malformed_filter_is_refused_with_the_reason() {
        let said = |of: i32, length: usize| {
            let bloom = wire::Bloom { of, blocks: vec![0xff; length] };
            check(&KeyList { kind: Some(Kind::Bloom(bloom)) }).map_err(|error| error.to_string())
        };
        let person = KeyKind::Pseudonym.into();
        assert_eq!(said(person, 32), Ok(()));
        assert_eq!(said(person, MAX_BLOOM), Ok(()));
        for (of, length, says) in [
            (0, 32, "of what kind"),
            (99, 32, "of what kind"),
            (person, 0, "power of two"),
            (person, 16, "power of two"),
            (person, 33, "power of two"),
            (person, 96, "power of two"),
            (person, MAX_BLOOM * 2, "KeyList.bloom.blocks"),
        ] {
            let said = said(of, length).expect_err("it was taken");
            assert!(said.contains(says), "{length}: {said}");
        }
    }

    #[test]
    fn many_lists_are_refused() {
        let lists = vec![KeyList { kind: Some(Kind::Everything(true)) }; MAX_LISTS + 1];
        assert!(matches!(check_all(&lists), Err(FragmentError::TooLong { limit: MAX_LISTS, .. })));
        assert!(check_all(&lists[1..]).is_ok());
    }
}
