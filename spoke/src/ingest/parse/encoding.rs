//! Letters: UTF-8, ISO-8859-1 and Windows-1252, and finding out which.
//!
//! All three agree on ASCII, so text is cut and its fields found before its letters are looked at.

use crate::declare::Encoding;
use encoding_rs::WINDOWS_1252;

/// An encoding that was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Utf8 { found: bool },
    Latin1,
    Windows1252,
}

/// A byte that the encoding does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadByte {
    pub(super) at: usize,
    pub(super) byte: u8,
    pub(super) encoding: &'static str,
    pub(super) advice: &'static str,
}

/// Bytes that Windows-1252 leaves undefined.
const UNDEFINED: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];

impl Letters {
    /// Decides for a piece of text. With `auto`, ASCII decides nothing; the first piece with other bytes does.
    pub(super) fn decide(declared: Encoding, decided: &mut Option<Self>, piece: &[u8]) -> Self {
        let fixed = match declared {
            Encoding::Utf8 => Some(Self::Utf8 { found: false }),
            Encoding::Latin1 => Some(Self::Latin1),
            Encoding::Windows1252 => Some(Self::Windows1252),
            Encoding::Auto => *decided,
        };
        if let Some(fixed) = fixed {
            return fixed;
        }
        if piece.is_ascii() {
            return Self::Utf8 { found: true };
        }
        let found = if std::str::from_utf8(piece).is_ok() { Self::Utf8 { found: true } } else { Self::Windows1252 };
        *decided = Some(found);
        found
    }

    /// The same text as UTF-8, in place when it is that already.
    pub(super) fn to_utf8(self, piece: &mut Vec<u8>) -> Result<(), BadByte> {
        match self {
            Self::Utf8 { found } => match std::str::from_utf8(piece) {
                Ok(_) => Ok(()),
                Err(error) => {
                    let at = error.valid_up_to();
                    let advice = if found {
                        "Earlier lines were UTF-8, so encoding = \"auto\" can't tell what this file is; declare its encoding"
                    } else {
                        "Is the file Windows-1252? Then declare encoding = \"windows-1252\""
                    };
                    Err(BadByte { at, byte: piece.get(at).copied().unwrap_or_default(), encoding: "UTF-8", advice })
                }
            },
            _ if piece.is_ascii() => Ok(()),
            Self::Latin1 => {
                let advice = "As a letter it is Windows-1252; declare encoding = \"windows-1252\"";
                bad(piece, |byte| (0x80..=0x9F).contains(&byte), "ISO-8859-1", advice)?;
                *piece = encoding_rs::mem::decode_latin1(piece).into_owned().into_bytes();
                Ok(())
            }
            Self::Windows1252 => {
                let advice = "Is the file UTF-8? Then declare encoding = \"utf-8\"";
                bad(piece, |byte| UNDEFINED.contains(&byte), "Windows-1252", advice)?;
                if let Some(text) = WINDOWS_1252.decode_without_bom_handling_and_without_replacement(piece) {
                    *piece = text.into_owned().into_bytes();
                }
                Ok(())
            }
        }
    }
}

fn bad(piece: &[u8], is_bad: impl Fn(u8) -> bool, encoding: &'static str, advice: &'static str) -> Result<(), BadByte> {
    match piece.iter().position(|byte| is_bad(*byte)) {
        None => Ok(()),
        Some(at) => Err(BadByte { at, byte: piece.get(at).copied().unwrap_or_default(), encoding, advice }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decoded(letters: Letters, bytes: &[u8]) -> Result<String, BadByte> {
        let mut piece = bytes.to_vec();
        letters.to_utf8(&mut piece)?;
        Ok(String::from_utf8(piece).unwrap())
    }

    #[test]
    fn danish_letters_come_out_of_every_encoding() {
        assert_eq!(decoded(Letters::Utf8 { found: false }, "æøå Ærø €".as_bytes()).unwrap(), "æøå Ærø €");
        assert_eq!(decoded(Letters::Latin1, b"\xE6\xF8\xE5").unwrap(), "æøå");
        assert_eq!(decoded(Letters::Windows1252, b"\xE6\xF8\xE5 \x80 \x96").unwrap(), "æøå € –");
    }

    #[test]
    fn bytes_that_do_not_exist_are_told() {
        let bad = decoded(Letters::Utf8 { found: false }, b"ab\xE6c").unwrap_err();
        assert_eq!((bad.at, bad.byte, bad.encoding), (2, 0xE6, "UTF-8"));
        let bad = decoded(Letters::Latin1, b"10 \x80").unwrap_err();
        assert!(bad.advice.contains("windows-1252"));
        let bad = decoded(Letters::Windows1252, b"\xC3\x81").unwrap_err();
        assert!(bad.advice.contains("utf-8"));
    }

    #[test]
    fn auto_is_decided_by_the_first_letters_that_are_not_ascii() {
        let mut decided = None;
        Letters::decide(Encoding::Auto, &mut decided, b"plain");
        assert_eq!(decided, None);
        assert_eq!(Letters::decide(Encoding::Auto, &mut decided, b"\xE6"), Letters::Windows1252);
        assert_eq!(Letters::decide(Encoding::Auto, &mut decided, "æ".as_bytes()), Letters::Windows1252);
        let mut decided = None;
        assert_eq!(Letters::decide(Encoding::Auto, &mut decided, "æ".as_bytes()), Letters::Utf8 { found: true });
    }
}
