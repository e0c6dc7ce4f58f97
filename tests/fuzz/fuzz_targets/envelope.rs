//! A catalogue request from anybody, and the envelope in it: ids or a refusal, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::envelope::{Envelope, catalogue_request};
use proto::wire;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = catalogue_request(bytes) {
        let again = wire::Envelope::from(&envelope);
        assert_eq!(Envelope::try_from(&again), Ok(envelope), "parsed ids print as they were");
    }
});
