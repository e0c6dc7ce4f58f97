//! What answering took, beside the final status of an answer: a trailer, so that a hub or a spoke of another version
//! passes it over.
//!
//! INVARIANT: nothing depends on it: whoever can't read it shows less, and the answer is the same.

use crate::wire::Measured;
use prost::Message;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

/// Name of the trailer.
pub const TRAILER: &str = "eger-measured-bin";
/// The longest one that is read, bytes.
const MAX: usize = 256;

/// The orderly end of an answer, with what it took. To be the last item of the answer's stream.
#[must_use]
#[allow(clippy::disallowed_methods)] // no refusal: the status that every answer ends with
pub fn end(measured: &Measured) -> Status {
    let mut trailers = MetadataMap::new();
    trailers.insert_bin(TRAILER, MetadataValue::from_bytes(&measured.encode_to_vec()));
    Status::with_metadata(Code::Ok, "", trailers)
}

/// Reads what came with the end of an answer; none when it isn't there or can't be read.
#[must_use]
pub fn read(trailers: &MetadataMap) -> Option<Measured> {
    let bytes = trailers.get_bin(TRAILER)?.to_bytes().ok()?;
    if bytes.len() > MAX {
        return None;
    }
    Measured::decode(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_an_orderly_end_and_can_be_read() {
        let measured = Measured { exact: true, waited_ms: 3, rows_read: 20, ..Measured::default() };
        let end = end(&measured);
        assert_eq!((end.code(), read(end.metadata())), (Code::Ok, Some(measured)));
        assert_eq!(read(&MetadataMap::new()), None);
        let mut long = MetadataMap::new();
        long.insert_bin(TRAILER, MetadataValue::from_bytes(&[0xff; 300]));
        assert_eq!(read(&long), None);
    }
}
