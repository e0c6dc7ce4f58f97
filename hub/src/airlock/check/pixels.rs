//! A picture's own data: its rows, and nothing before or after them.

use flate2::{Decompress, FlushDecompress, Status};

/// All rows of a picture unpacked, bytes, at most.
const MOST: u64 = 256 << 20;
/// Unpacked at once, bytes.
const STEP: usize = 64 << 10;
/// Where an interlaced picture's passes begin, and how far their points are apart: left, right, top, down.
const PASSES: [[u64; 4]; 7] =
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];

/// Why the data is no picture, if it is none. `head` is what IHDR holds, `data` what all IDAT hold, in order.
pub(super) fn check(head: &[u8], data: &[&[u8]]) -> Result<(), &'static str> {
    let rows = length(head).ok_or("says of itself what no picture is")?;
    if rows > MOST {
        return Err("has rows of more than 256 MiB; draw it smaller");
    }
    let broken = "has data that can't be unpacked";
    let mut unpacking = Decompress::new(true);
    let mut out = vec![0; STEP];
    let mut ended = false;
    for part in data {
        let mut rest = *part;
        while !rest.is_empty() {
            if ended {
                return Err("carries more than its rows behind them");
            }
            let (read, made) = (unpacking.total_in(), unpacking.total_out());
            let status = unpacking.decompress(rest, &mut out, FlushDecompress::None).map_err(|_| broken)?;
            let read = usize::try_from(unpacking.total_in() - read).map_err(|_| broken)?;
            rest = rest.get(read..).ok_or(broken)?;
            if unpacking.total_out() > rows {
                return Err("carries more than its rows");
            }
            ended = status == Status::StreamEnd;
            if !ended && read == 0 && unpacking.total_out() == made {
                return Err(broken);
            }
        }
    }
    // What is still to be told without reading more.
    while !ended {
        let made = unpacking.total_out();
        let status = unpacking.decompress(&[], &mut out, FlushDecompress::None).map_err(|_| broken)?;
        if unpacking.total_out() > rows {
            return Err("carries more than its rows");
        }
        ended = status == Status::StreamEnd;
        if !ended && unpacking.total_out() == made {
            return Err(broken);
        }
    }
    if unpacking.total_out() == rows { Ok(()) } else { Err("has fewer rows than it says") }
}

/// How many bytes a picture's rows are, each with the byte that says how it is filtered.
fn length(head: &[u8]) -> Option<u64> {
    let (width, rest) = head.split_first_chunk::<4>()?;
    let (height, rest) = rest.split_first_chunk::<4>()?;
    let [depth, colour, packing, filter, interlaced] = *rest.first_chunk::<5>()?;
    let (width, height) = (u64::from(u32::from_be_bytes(*width)), u64::from(u32::from_be_bytes(*height)));
    let (samples, depths): (u64, &[u8]) = match colour {
        0 => (1, &[1, 2, 4, 8, 16]),
        2 => (3, &[8, 16]),
        3 => (1, &[1, 2, 4, 8]),
        4 => (2, &[8, 16]),
        6 => (4, &[8, 16]),
        _ => return None,
    };
    if !depths.contains(&depth) || packing != 0 || filter != 0 || width == 0 || height == 0 {
        return None;
    }
    let bits = samples * u64::from(depth);
    let rows = |width: u64, height: u64| {
        if width == 0 { Some(0) } else { (width.checked_mul(bits)?.div_ceil(8) + 1).checked_mul(height) }
    };
    match interlaced {
        0 => rows(width, height),
        1 => PASSES.into_iter().try_fold(0_u64, |all, [left, right, top, down]| {
            let pass = rows(width.saturating_sub(left).div_ceil(right), height.saturating_sub(top).div_ceil(down))?;
            all.checked_add(pass)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(width: u32, height: u32, kind: [u8; 5]) -> Vec<u8> {
        [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind].concat()
    }

    #[test]
    fn rows_are_as_long_as_the_picture_says() {
        for (width, height, kind, bytes) in [
            (10, 3, [8, 2, 0, 0, 0], Some(93)),
            (10, 3, [1, 0, 0, 0, 0], Some(9)),
            (10, 3, [16, 6, 0, 0, 0], Some(243)),
            // Passes of 1, 1, 0 by 2, 2, 2, 4 by 1 points and so on.
            (1, 1, [8, 0, 0, 0, 1], Some(2)),
            (8, 8, [8, 0, 0, 0, 1], Some(64 + 15)),
            (0, 3, [8, 2, 0, 0, 0], None),
            (10, 3, [4, 2, 0, 0, 0], None),
            (10, 3, [8, 5, 0, 0, 0], None),
            (10, 3, [8, 2, 1, 0, 0], None),
            (10, 3, [8, 2, 0, 0, 2], None),
            (u32::MAX, u32::MAX, [16, 6, 0, 0, 0], None),
        ] {
            assert_eq!(length(&head(width, height, kind)), bytes, "{width} x {height} {kind:?}");
        }
        assert_eq!(length(&[0; 12]), None);
    }
}
