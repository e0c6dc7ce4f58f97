//! Pictures as chunks: what is no picture may not be in one.
//!
//! INVARIANT: beside the picture's own data nothing is longer than what a reader needs to show it, and nothing stands there twice.

use super::{Finding, Rule, pixels};
use std::collections::BTreeSet;

/// Chunks that say how a picture looks, and nothing else; and their length in bytes, from and to.
const ALLOWED: [(&[u8; 4], usize, usize); 13] = [
    (b"IHDR", 13, 13),
    (b"PLTE", 3, 768),
    (b"IEND", 0, 0),
    (b"tRNS", 1, 256),
    (b"cHRM", 32, 32),
    (b"gAMA", 4, 4),
    (b"sBIT", 1, 4),
    (b"sRGB", 1, 1),
    (b"bKGD", 1, 6),
    (b"hIST", 2, 512),
    (b"pHYs", 9, 9),
    (b"cICP", 4, 4),
    (b"tIME", 7, 7),
];
/// The picture's own data, in as many chunks as its program likes.
const DATA: &[u8] = b"IDAT";
/// Which program wrote it: the one note that most programs leave.
const SOFTWARE: &[u8] = b"Software\0";
/// The longest such note, bytes.
const LONGEST: usize = 120;

/// One chunk.
struct Chunk<'a> {
    name: &'a [u8],
    body: &'a [u8],
    /// whether its checksum is its own
    whole: bool,
}

/// Everything that may not be in a picture.
pub(super) fn check(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut no = |message: String| found.push(Finding::refuse(Rule::Png, message));
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    let mut before: &[u8] = b"";
    let (mut head, mut data): (&[u8], Vec<&[u8]>) = (b"", Vec::new());
    let mut ended = false;
    while !ended {
        let Some((chunk, after)) = next(rest) else { break };
        let Chunk { name, body, whole } = chunk;
        let shown: String = name.iter().map(|b| if b.is_ascii_alphabetic() { char::from(*b) } else { '?' }).collect();
        let note = name == b"tEXt" && body.starts_with(SOFTWARE) && body.len() <= LONGEST;
        let allowed = ALLOWED.iter().find(|(allowed, ..)| allowed.as_slice() == name);
        if name != DATA && !note {
            match allowed {
                None => no(format!("carries '{shown}' beside the picture; save it without metadata")),
                Some((_, least, most)) if !(*least..=*most).contains(&body.len()) => {
                    no(format!("carries more in '{shown}' than the picture needs; save it without metadata"));
                }
                Some(_) => {}
            }
        }
        let again = !seen.insert(name);
        if again && (name != DATA || before != DATA) {
            no(format!("has '{shown}' twice; save it anew"));
        }
        if (name == b"IHDR") != before.is_empty() {
            no("doesn't begin as a picture does; save it anew".to_owned());
        }
        if !whole {
            no(format!("has a '{shown}' whose checksum is of something else; save it anew"));
        }
        if name == b"IHDR" {
            head = body;
        } else if name == DATA {
            data.push(body);
        }
        ended = name == b"IEND";
        before = name;
        rest = after;
    }
    if !ended {
        no("breaks off".to_owned());
    } else if !rest.is_empty() {
        no(format!("carries {} bytes after its end", rest.len()));
    }
    if found.is_empty()
        && let Err(message) = pixels::check(head, &data)
    {
        found.push(Finding::refuse(Rule::Png, message));
    }
    found
}

/// The first chunk, and what follows it.
fn next(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let (length, _) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    // Its length, its name, what it holds, its checksum.
    let (chunk, after) = bytes.split_at_checked(length.checked_add(12)?)?;
    let (said, checksum) = chunk.get(4..)?.split_last_chunk::<4>()?;
    let whole = crc32fast::hash(said) == u32::from_be_bytes(*checksum);
    let (name, body) = said.split_at_checked(4)?;
    Some((Chunk { name, body, whole }, after))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    pub(in crate::airlock::check) fn chunk(name: &[u8], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        let checksum = crc32fast::hash(&[name, body].concat()).to_be_bytes();
        [length.as_slice(), name, body, &checksum].concat()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packing = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packing.write_all(bytes).and_then(|()| packing.finish()).unwrap_or_default()
    }

    /// Three rows of ten grey points.
    pub(in crate::airlock::check) fn picture(more: &[Vec<u8>], after: &[u8]) -> Vec<u8> {
        drawn(more, &packed(&[0; 33]), after)
    }

    fn drawn(more: &[Vec<u8>], data: &[u8], after: &[u8]) -> Vec<u8> {
        let mut all = b"\x89PNG\r\n\x1a\n".to_vec();
        all.extend(chunk(b"IHDR", &[0, 0, 0, 10, 0, 0, 0, 3, 8, 0, 0, 0, 0]));
        all.extend(more.concat());
        for part in data.chunks(7) {
            all.extend(chunk(b"IDAT", part));
        }
        all.extend(chunk(b"IEND", b""));
        all.extend(after);
        all
    }

    #[test]
    fn a_picture_is_a_picture_alone() {
        assert_eq!(check(&picture(&[], b"")), []);
        let usual = [
            chunk(b"tEXt", b"Software\0matplotlib 3.10"),
            chunk(b"pHYs", &[0; 9]),
            chunk(b"gAMA", &[0; 4]),
            chunk(b"PLTE", &[0; 48]),
            chunk(b"tRNS", &[0; 16]),
        ];
        assert_eq!(check(&picture(&usual, b"")), []);
    }

    #[test]
    fn attack_text_beside_or_after_a_picture_is_found() {
        for bad in [
            picture(&[chunk(b"tEXt", b"Comment\0rows")], b""),
            picture(&[chunk(b"zTXt", b"x\0\0")], b""),
            picture(&[chunk(b"iTXt", b"x")], b""),
            picture(&[chunk(b"eXIf", b"x")], b""),
            picture(&[chunk(b"prVt", b"x")], b""),
            picture(&[chunk(b"tEXt", &[b"Software\0".as_slice(), &[b'x'; 200]].concat())], b""),
            picture(&[], b"rows"),
        ] {
            assert_eq!(check(&bad).len(), 1);
        }
        let whole = picture(&[], b"");
        assert_eq!(check(&whole[..whole.len() - 1]).len(), 1);
        assert_eq!(check(&whole[..20]).len(), 1);
    }

    #[test]
    fn attack_rows_in_what_a_picture_may_carry_are_found() {
        let rows = b"0101011234,12\n".repeat(100_000);
        for (name, least, most) in ALLOWED {
            let found = check(&picture(&[chunk(name, &rows)], b""));
            assert!(!found.is_empty(), "{name:?} of any length");
            assert!(found.iter().all(|finding| !finding.message.contains("0101")));
            for length in [least.wrapping_sub(1), most + 1].into_iter().filter(|length| *length < 1_000) {
                assert!(!check(&picture(&[chunk(name, &vec![0; length])], b"")).is_empty(), "{name:?} {length}");
            }
        }
        // In many that are short, and in one of the picture's own behind others.
        let times = |times| vec![chunk(b"tIME", b"0101011"); times];
        assert_eq!([check(&picture(&times(1), b"")).len(), check(&picture(&times(3), b"")).len()], [0, 2]);
        let notes = vec![chunk(b"tEXt", b"Software\x000101011234"); 2];
        assert_eq!(check(&picture(&notes, b"")).len(), 1);
        assert_eq!(check(&picture(&[chunk(b"IDAT", b"rows"), chunk(b"tIME", &[0; 7])], b"")).len(), 1);
        // In a checksum, and before the picture begins.
        let mut summed = picture(&times(1), b"");
        let at = summed.windows(4).position(|name| name == b"tIME").unwrap_or_default();
        summed[at + 11..at + 15].copy_from_slice(b"1234");
        assert_eq!(check(&summed).len(), 1);
        let (magic, of) = whole_of(&picture(&[], b""));
        assert!(!check(&[magic, chunk(b"tIME", &[0; 7]), of].concat()).is_empty());
    }

    #[test]
    fn attack_rows_behind_a_pictures_points_are_found() {
        let of =
            |data: &[u8]| check(&drawn(&[], data, b"")).into_iter().map(|finding| finding.message).collect::<Vec<_>>();
        let rows = b"0101011234,12\n";
        assert_eq!(of(&packed(&[0; 33])), Vec::<String>::new());
        assert_eq!(of(&packed(&[[0; 33].as_slice(), rows].concat())), ["carries more than its rows"]);
        assert_eq!(of(&[packed(&[0; 33]).as_slice(), rows].concat()), ["carries more than its rows behind them"]);
        assert_eq!(of(&packed(&[0; 22])), ["has fewer rows than it says"]);
        assert_eq!(of(rows), ["has data that can't be unpacked"]);
        assert_eq!(of(&packed(&[0; 33])[..8]), ["has data that can't be unpacked"]);
    }

    fn whole_of(picture: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (picture[..8].to_vec(), picture[8..].to_vec())
    }
}
