//! What holds a key is wiped when it is dropped. The compiler is the one that checks.

use super::{
    cache::Entries,
    identity::{Identity, Suite},
    keys::{CacheKey, ProjectKey, Secret, StoreKey},
    order::OrderKey,
    project_key::Held,
    recode::Recoder,
};
use zeroize::ZeroizeOnDrop;

fn wiped<T: ZeroizeOnDrop>() {}

#[test]
fn key_holders_are_wiped_when_dropped() {
    wiped::<Secret>();
    wiped::<StoreKey>();
    wiped::<ProjectKey>();
    wiped::<Held>();
    wiped::<OrderKey>();
    wiped::<CacheKey>();
    wiped::<Recoder>();
    wiped::<Identity>();
    wiped::<Entries>();
    // Its library has no such mark; that it has anything to do when dropped comes with wiping alone.
    assert!(std::mem::needs_drop::<<Suite as hpke::Kem>::PrivateKey>());
}
