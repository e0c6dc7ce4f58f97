//! A ticket from anybody, and the fragment in it: read, checked and shown without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::fragment::{Limits, Literals, check, from_bytes, text};
use proto::wire::Fragment;

fn shown(fragment: &Fragment) {
    for literals in [Literals::Shown, Literals::Hidden] {
        assert!(!text(fragment, literals).chars().any(char::is_control), "one line");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(request) = from_bytes(bytes, &limits) {
        let fragment = request.fragment.as_ref().expect("an accepted request has a fragment");
        check(fragment, &limits).expect("an accepted fragment stays acceptable");
        shown(fragment);
    }
    // without the envelope, which a fuzzer rarely guesses
    if let Ok(fragment) = Fragment::decode(bytes) {
        let _ = check(&fragment, &limits);
        shown(&fragment);
    }
});
