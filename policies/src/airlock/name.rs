//! Names of files that leave: parts of a path in an archive that strangers unpack.

/// The longest name, bytes.
const LONGEST: usize = 100;

/// A file's name that means the same everywhere: no path, nothing hidden, nothing that a system keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// A text that is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no file name: 1 to 100 characters of a to z, A to Z, 0 to 9, '_', '-' and '.', a letter or digit first and last, no two \
     dots together, no number of nine digits or more, and none that a system keeps for itself (con, nul, ..)"
)]
pub struct NameError;

impl FileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let plain = |b: &u8| b.is_ascii_alphanumeric();
        let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
        let all = bytes.iter().all(|b| plain(b) || b"_-.".contains(b));
        // A person number in a name would leave with it, and no check of content would see it.
        let mut run = 0;
        let number = bytes.iter().any(|b| {
            run = if b.is_ascii_digit() { run + 1 } else { 0 };
            run >= 9
        });
        let person = crate::application::looks_like_person_number(&text);
        let stem = text.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let device = match stem.as_str() {
            "con" | "prn" | "aux" | "nul" => true,
            stem => ["com", "lpt"].iter().any(|d| stem.strip_prefix(d).is_some_and(|n| n.len() == 1)),
        };
        if bytes.len() <= LONGEST && ends && all && !text.contains("..") && !number && !person && !device {
            Ok(Self(text))
        } else {
            Err(NameError)
        }
    }
}

impl std::str::FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> String {
        name.0
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_no_paths() {
        for good in ["table1.csv", "a", "A-b_c.2027.parquet", "console.csv", "com10.txt"] {
            assert!(good.parse::<FileName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../a.csv",
            "a/b.csv",
            "a\\b.csv",
            "/etc/passwd",
            ".hidden",
            "a..b",
            "a.",
            "a b",
            "æ.csv",
            "a\n",
            "a\0",
            "C:a",
            "con",
            "NUL.csv",
            "com1.txt",
            "x0101011234.csv",
            "010101-1234.csv",
            "1234567890123.csv",
            "a\u{202e}csv",
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(101).parse::<FileName>().is_err());
    }
}
