//! How large a compressed message gets, before anything of it is unfolded.
//!
//! A few bytes can unfold to gigabytes, and the reader believes what a buffer says of itself. So what every buffer says, and for
//! LZ4 also what its blocks can hold, is counted first.
//!
//! INVARIANT: no message unfolds to more than a message may hold.

use arrow::ipc::{self, CompressionType, MessageHeader};
use arrow_flight::FlightData;
use runtime::tls::MAX_MESSAGE;

const TOO_LARGE: &str = "a compressed message that is too large";
const WRONG: &str = "a compressed message that can't be read";

/// Refuses a message that would unfold to more than `MAX_MESSAGE` bytes. What is no Arrow data is left to the decoder.
pub(super) fn check(data: &FlightData) -> Result<(), &'static str> {
    let Ok(message) = ipc::root_as_message(&data.data_header) else { return Ok(()) };
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|batch| batch.data()),
        _ => None,
    };
    let Some((compression, buffers)) = batch.and_then(|batch| Some((batch.compression()?, batch.buffers()?))) else {
        return Ok(());
    };
    let mut whole = 0_usize;
    for buffer in buffers {
        let place = |n: i64| usize::try_from(n).map_err(|_| WRONG);
        let (from, length) = (place(buffer.offset())?, place(buffer.length())?);
        if length == 0 {
            continue;
        }
        let body = data.data_body.get(from..from.checked_add(length).ok_or(WRONG)?).ok_or(WRONG)?;
        let (said, rest) = body.split_first_chunk().ok_or(WRONG)?;
        let size = match (i64::from_le_bytes(*said), compression.codec()) {
            // as it is
            (-1, _) => rest.len(),
            (0, _) => 0,
            (said, CompressionType::LZ4_FRAME) => place(said)?.max(lz4_holds(rest, place(said)?)?),
            (said, _) => place(said)?,
        };
        whole = whole.checked_add(size).filter(|whole| *whole <= MAX_MESSAGE).ok_or(TOO_LARGE)?;
    }
    Ok(())
}

/// The most bytes that one LZ4 frame can unfold to, which is `said` and less than a block more. Its reader goes on to the end
/// of the frame, whatever was said.
fn lz4_holds(frame: &[u8], said: usize) -> Result<usize, &'static str> {
    let word = |at: usize| {
        let bytes = frame.get(at..).and_then(|rest| rest.first_chunk()).ok_or(WRONG)?;
        Ok::<_, &'static str>(u32::from_le_bytes(*bytes))
    };
    let (flags, sizes) = (*frame.get(4).ok_or(WRONG)?, *frame.get(5).ok_or(WRONG)?);
    let block = match (sizes >> 4) & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return Err(WRONG),
    };
    // the one kind of frame whose blocks say how large they are; version 1, no dictionary
    if word(0)? != 0x184D_2204 || flags >> 6 != 1 || flags & 1 != 0 {
        return Err(WRONG);
    }
    let (checked, sized, ends_checked) = (flags & 0x10 != 0, flags & 0x08 != 0, flags & 0x04 != 0);
    let mut at = if sized { 15 } else { 7 };
    let mut most = 0_usize;
    loop {
        let length = word(at)?;
        at += 4;
        if length == 0 {
            break;
        }
        let length = usize::try_from(length & 0x7fff_ffff).map_err(|_| WRONG)?;
        at = at.checked_add(length).ok_or(WRONG)? + if checked { 4 } else { 0 };
        most += block;
        if most >= said.saturating_add(block) {
            return Err(TOO_LARGE);
        }
    }
    // Another frame behind it would be read too.
    if at + if ends_checked { 4 } else { 0 } != frame.len() {
        return Err(WRONG);
    }
    Ok(most.min(said))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch},
        ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
    };
    use std::sync::Arc;

    /// `rows` numbers that are all the same, as a message.
    fn message(codec: CompressionType, rows: usize) -> FlightData {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7; rows]));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
        let (mut tracker, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
        IpcDataGenerator::default().encode(&batch, &mut tracker, &options, &mut context).unwrap().1.into()
    }

    /// Where the message's one large buffer begins in its body.
    fn values(data: &FlightData) -> usize {
        let message = ipc::root_as_message(&data.data_header).unwrap();
        let buffers = message.header_as_record_batch().unwrap().buffers().unwrap();
        usize::try_from(buffers.get(buffers.len() - 1).offset()).unwrap()
    }

    fn changed(data: &FlightData, at: usize, bytes: &[u8]) -> FlightData {
        let mut body = data.data_body.to_vec();
        body[at..at + bytes.len()].copy_from_slice(bytes);
        FlightData { data_body: body.into(), ..data.clone() }
    }

    #[test]
    fn what_spokes_send_passes_and_what_unfolds_to_too_much_does_not() {
        for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
            for rows in [1, 1_000, 100_000, MAX_MESSAGE / 8] {
                assert_eq!(check(&message(codec, rows)), Ok(()), "{codec:?} {rows}");
            }
            let bomb = message(codec, MAX_MESSAGE / 8 + 10_000);
            assert!(bomb.data_body.len() < MAX_MESSAGE / 64);
            assert_eq!(check(&bomb), Err(TOO_LARGE), "{codec:?}");
            // says that it is larger than anything, or less than nothing
            let small = message(codec, 100_000);
            let at = values(&small);
            assert_eq!(check(&changed(&small, at, &i64::MAX.to_le_bytes())), Err(TOO_LARGE));
            assert_eq!(check(&changed(&small, at, &(-2_i64).to_le_bytes())), Err(WRONG));
        }
    }

    #[test]
    fn an_lz4_frame_that_holds_more_than_it_says_is_refused() {
        let bomb = message(CompressionType::LZ4_FRAME, 5_000_000);
        let at = values(&bomb);
        assert_eq!(check(&changed(&bomb, at, &100_i64.to_le_bytes())), Err(TOO_LARGE));
        // cut off, another magic number, a block size that doesn't exist
        let cut = FlightData { data_body: bomb.data_body.slice(..bomb.data_body.len() - 64), ..bomb.clone() };
        assert_eq!(check(&cut), Err(WRONG));
        assert_eq!(check(&changed(&bomb, at + 8, &[0; 4])), Err(WRONG));
        assert_eq!(check(&changed(&bomb, at + 13, &[0x10])), Err(WRONG));
    }

    #[test]
    fn what_is_not_compressed_is_left_alone() {
        assert_eq!(check(&FlightData { data_header: vec![0xff; 64].into(), ..FlightData::default() }), Ok(()));
        assert_eq!(check(&FlightData::default()), Ok(()));
    }
}
