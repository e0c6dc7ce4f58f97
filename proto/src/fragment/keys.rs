//! Key lists beside a fragment, before anything is made of them.

use super::FragmentError;
use crate::wire::{KeyList, key_list::Kind};

/// Field of `ScanRequest` that holds key lists.
const KEYS: u64 = 4;
/// Lists that one question may have.
const MAX_LISTS: usize = 64;
/// Bytes of a pseudonym.
const ID: usize = 16;

/// How many bytes of a `ScanRequest` are no key lists. `None`: it is no message, or has too many lists.
pub(super) fn question_bytes(bytes: &[u8]) -> Option<usize> {
    let (mut rest, mut question, mut lists) = (bytes, 0_usize, 0_usize);
    while !rest.is_empty() {
        let before = rest.len();
        let key = varint(&mut rest)?;
        // Every field of a request is a message, a text or bytes.
        if key & 7 != 2 {
            return None;
        }
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        rest = rest.get(length..)?;
        if key >> 3 == KEYS {
            lists += 1;
        } else {
            question += before - rest.len();
        }
    }
    (lists <= MAX_LISTS).then_some(question)
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

/// Refuses a list that isn't in order: order is what makes it quick to use.
pub(super) fn check(list: &KeyList) -> Result<(), FragmentError> {
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
        Kind::Numbers(numbers) => numbers.values.is_sorted_by(|a, b| a < b),
        Kind::Texts(texts) => texts.values.is_sorted_by(|a, b| a < b),
    };
    if ascending { Ok(()) } else { invalid("values are in ascending order, none twice") }
}
