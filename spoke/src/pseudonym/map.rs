//! Person number -> stored pseudonym S, in memory: open addressing over one flat allocation of 24 bytes a
//! slot, so that ten million people take about 300 MB and a look-up touches one cache line.
//!
//! INVARIANT: holds S, never P; wiped when dropped or grown.

use zeroize::Zeroize;

/// Marks a free slot; person numbers have ten digits, so none is this.
const FREE: u64 = u64::MAX;

#[derive(Clone, Copy)]
struct Slot {
    id: u64,
    value: [u8; 16],
}

impl Zeroize for Slot {
    fn zeroize(&mut self) {
        self.id.zeroize();
        self.value.zeroize();
    }
}

const EMPTY: Slot = Slot { id: FREE, value: [0; 16] };

/// The map.
pub(super) struct PersonMap {
    slots: Vec<Slot>,
    used: usize,
}

impl Drop for PersonMap {
    fn drop(&mut self) {
        self.slots.zeroize();
    }
}

impl PersonMap {
    /// A map with room for `people` without growing.
    pub(super) fn with_room_for(people: usize) -> Self {
        Self { slots: vec![EMPTY; slots_for(people)], used: 0 }
    }

    /// How many people it holds.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The value of `id`.
    pub(super) fn get(&self, id: u64) -> Option<&[u8; 16]> {
        let mut at = self.home(id);
        loop {
            let slot = self.slots.get(at)?;
            if slot.id == id {
                return Some(&slot.value);
            }
            if slot.id == FREE {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Sets the value of `id`.
    pub(super) fn insert(&mut self, id: u64, value: [u8; 16]) {
        // At most five slots of six are used, so that probing stays short.
        if (self.used + 1) * 6 > self.slots.len() * 5 {
            self.grow();
        }
        let mut at = self.home(id);
        while let Some(slot) = self.slots.get(at) {
            if slot.id == FREE || slot.id == id {
                break;
            }
            at = self.after(at);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            self.used += usize::from(slot.id == FREE);
            *slot = Slot { id, value };
        }
    }

    fn grow(&mut self) {
        let mut larger = Self { slots: vec![EMPTY; slots_for(self.used + self.used / 2 + 64)], used: 0 };
        for slot in &self.slots {
            if slot.id != FREE {
                larger.insert(slot.id, slot.value);
            }
        }
        // The old slots leave through `larger`, whose drop wipes them.
        std::mem::swap(self, &mut larger);
    }

    /// First slot to look at: the number is spread over 64 bits, then scaled to the table.
    fn home(&self, id: u64) -> usize {
        let mut h = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        h ^= h >> 32;
        h = h.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        h ^= h >> 32;
        let scaled = (u128::from(h) * self.slots.len() as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

fn slots_for(people: usize) -> usize {
    (people + 1) * 5 / 4 + 16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn behaves_like_a_hash_map(entries in prop::collection::vec((0u64..5_000, any::<[u8; 16]>()), 0..2_000)) {
            let mut map = PersonMap::with_room_for(0);
            let mut expected = HashMap::new();
            for (id, value) in entries {
                map.insert(id, value);
                expected.insert(id, value);
            }
            prop_assert_eq!(map.len(), expected.len());
            for id in 0..5_000 {
                prop_assert_eq!(map.get(id), expected.get(&id));
            }
        }
    }

    #[test]
    fn ten_million_people_fit_in_400_mb() {
        let bytes = slots_for(10_000_000) * size_of::<Slot>();
        assert!(bytes < 400 << 20, "{bytes}");
        // and the room promised is room that needs no growing
        let mut map = PersonMap::with_room_for(10_000);
        let before = map.slots.len();
        for id in 0..10_000 {
            map.insert(id, [0; 16]);
        }
        assert_eq!(map.slots.len(), before);
    }
}
