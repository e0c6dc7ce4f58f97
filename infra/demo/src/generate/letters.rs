//! The three encodings that Danish registers come in, both ways, written out here so that the oracle does not
//! lean on the library that the spoke leans on.

use crate::registers::Encoding;

/// What Windows-1252 has where ISO-8859-1 has control characters, 0x80 to 0x9f.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Appends `text`; what the encoding does not have becomes `?`, as in real exports.
pub(crate) fn encode(encoding: Encoding, text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() || matches!(encoding, Encoding::Utf8 | Encoding::Utf8Bom) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for letter in text.chars() {
        let windows = || WINDOWS.iter().position(|w| *w == letter).map(|i| 0x80 + i as u8);
        let byte = match u32::from(letter) {
            code @ (0..=0x7f | 0xa0..=0xff) => Some(code as u8),
            _ if encoding == Encoding::Windows1252 => windows(),
            _ => None,
        };
        out.push(byte.unwrap_or(b'?'));
    }
}

/// The text of a whole file; `None` when it is not in that encoding.
pub(crate) fn decode(encoding: Encoding, bytes: &[u8]) -> Option<String> {
    match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
        Encoding::Utf8Bom => String::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf")?.to_vec()).ok(),
        Encoding::Latin1 => Some(bytes.iter().map(|b| char::from(*b)).collect()),
        Encoding::Windows1252 => Some(bytes.iter().map(|b| windows(*b)).collect()),
    }
}

fn windows(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_encoding_has_comes_back() {
        for (encoding, text) in [
            (Encoding::Utf8, "Ærø – 5 €"),
            (Encoding::Latin1, "Ærø, µmol/L, ½"),
            (Encoding::Windows1252, "Ærø – ’DAK’ … 5 €"),
        ] {
            let mut bytes = Vec::new();
            encode(encoding, text, &mut bytes);
            assert_eq!(decode(encoding, &bytes).as_deref(), Some(text));
        }
        let mut bytes = Vec::new();
        encode(Encoding::Latin1, "5 €", &mut bytes);
        assert_eq!(bytes, b"5 ?");
    }
}
