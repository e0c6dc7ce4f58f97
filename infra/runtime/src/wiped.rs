//! What holds a key, a passphrase or a code is wiped when it is dropped. The compiler is the one that checks.

use crate::{
    ca::Authority, invite::InviteSecret, seal::Passphrase, sealing::SealingKey, sign::SigningKey,
    token::binding::BindingKey,
};
use zeroize::ZeroizeOnDrop;

fn wiped<T: ZeroizeOnDrop>() {}

#[test]
fn key_holders_are_wiped_when_dropped() {
    wiped::<Passphrase>();
    wiped::<SigningKey>();
    wiped::<SealingKey>();
    wiped::<BindingKey>();
    wiped::<InviteSecret>();
    wiped::<Authority>();
}
