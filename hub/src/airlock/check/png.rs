//! Pictures as chunks: what is no picture may not be in one.

use super::{Finding, Rule};

/// Chunks that say how a picture looks, and nothing else.
const ALLOWED: [&[u8; 4]; 14] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"sBIT", b"sRGB", b"bKGD", b"hIST", b"pHYs",
    b"cICP", b"tIME",
];
/// Which program wrote it: the one note that most programs leave.
const SOFTWARE: &[u8] = b"Software\0";
/// The longest such note, bytes.
const LONGEST: usize = 120;

/// Everything that may not be in a picture.
pub(super) fn check(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut no = |message: String| found.push(Finding::refuse(Rule::Png, message));
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut ended = false;
    while !rest.is_empty() && !ended {
        let Some((head, after)) = rest.split_at_checked(8) else { break };
        let (length, name) = head.split_at(4);
        let length = length.iter().fold(0_usize, |all, byte| (all << 8) | usize::from(*byte));
        // Four bytes of checksum follow.
        let Some((body, after)) = length.checked_add(4).and_then(|length| after.split_at_checked(length)) else {
            break;
        };
        let text = body.get(..length).unwrap_or_default();
        let software = name == b"tEXt" && text.starts_with(SOFTWARE) && text.len() <= LONGEST;
        if !software && !ALLOWED.iter().any(|allowed| allowed.as_slice() == name) {
            let name: String =
                name.iter().map(|b| if b.is_ascii_alphabetic() { char::from(*b) } else { '?' }).collect();
            no(format!("carries '{name}' beside the picture; save it without metadata"));
        }
        ended = name == b"IEND";
        rest = after;
    }
    if !ended {
        no("breaks off".to_owned());
    } else if !rest.is_empty() {
        no(format!("carries {} bytes after its end", rest.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        [length.as_slice(), name, body, &[0; 4]].concat()
    }

    fn picture(more: &[Vec<u8>], after: &[u8]) -> Vec<u8> {
        let mut all = b"\x89PNG\r\n\x1a\n".to_vec();
        all.extend(chunk(b"IHDR", &[0; 13]));
        all.extend(more.concat());
        all.extend(chunk(b"IDAT", &[1, 2, 3]));
        all.extend(chunk(b"IEND", b""));
        all.extend(after);
        all
    }

    #[test]
    fn a_picture_is_a_picture_alone() {
        assert_eq!(check(&picture(&[], b"")), []);
        assert_eq!(check(&picture(&[chunk(b"tEXt", b"Software\0matplotlib 3.10"), chunk(b"pHYs", &[0; 9])], b"")), []);
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
}
