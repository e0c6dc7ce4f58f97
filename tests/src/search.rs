//! Searching files, process images and recorded traffic for person numbers, linkage pseudonyms, keys and other secrets.

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayData};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes read at a time; the longest pattern overlaps between two reads.
const BLOCK: usize = 4 << 20;

/// Shorter secrets are not looked for.
const SHORTEST: usize = 8;

/// The forms of a secret: as it is, in hex, as `Debug` prints bytes, and in base64 of both alphabets, wherever in the encoded
/// text it begins.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let listed = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut forms =
        vec![secret.to_vec(), hex::encode(secret).into(), hex::encode_upper(secret).into(), listed.into_bytes()];
    for before in 0..3 {
        let bytes = [&[0; 2][..before], secret].concat();
        // Characters that depend on a neighbour are cut off.
        let whole = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        forms.extend(
            [STANDARD_NO_PAD, URL_SAFE_NO_PAD]
                .map(|alphabet| alphabet.encode(&bytes).as_bytes()[whole.clone()].to_vec()),
        );
    }
    forms.sort();
    forms.dedup();
    forms
}

/// What must never be found, and an automaton that looks for all of it at once.
pub struct Secrets {
    automaton: AhoCorasick,
    kinds: Vec<&'static str>,
    longest: usize,
}

/// A secret in a place where it must not be. Says which kind, never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// where
    pub place: PathBuf,
    /// byte offset, or offset within the decoded column
    pub at: usize,
    /// in which form
    pub kind: &'static str,
}

impl Secrets {
    /// `numbers`: person numbers of 10 digits. `pseudonyms`: linkage pseudonyms P of 16 bytes. Each is looked for
    /// in every form in which it could leak: text with and without hyphen, packed integer, raw bytes, hex.
    ///
    /// # Errors
    /// When the automaton would be too large.
    pub fn new(numbers: &[String], pseudonyms: &[[u8; 16]]) -> Result<Self> {
        Self::build(numbers, pseudonyms, true)
    }

    /// As [`Secrets::new`] without packed integers: half of them are four bytes followed by zeros, which a process
    /// image of some hundred megabytes holds by chance.
    ///
    /// # Errors
    /// As [`Secrets::new`].
    pub fn in_memory(numbers: &[String], pseudonyms: &[[u8; 16]]) -> Result<Self> {
        Self::build(numbers, pseudonyms, false)
    }

    fn build(numbers: &[String], pseudonyms: &[[u8; 16]], with_packed: bool) -> Result<Self> {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        let mut kinds = Vec::new();
        let mut add = |pattern: Vec<u8>, kind| {
            patterns.push(pattern);
            kinds.push(kind);
        };
        for number in numbers {
            let (day, serial) = number.split_at_checked(6).context("person number of 10 digits")?;
            add(number.as_bytes().to_vec(), "person number");
            add(format!("{day}-{serial}").into_bytes(), "person number with hyphen");
            if with_packed {
                let packed: u64 = number.parse()?;
                add(packed.to_le_bytes().to_vec(), "packed person number");
            }
        }
        for pseudonym in pseudonyms {
            add(pseudonym.to_vec(), "pseudonym P");
            add(hex::encode(pseudonym).into_bytes(), "pseudonym P in hex");
        }
        Self::compile(patterns, kinds)
    }

    /// Keys and texts (tokens, passphrases, codes) by their kind, each in every form in which it could leak (`forms`).
    ///
    /// # Errors
    /// When one is so short that it stands anywhere by chance, or the automaton would be too large.
    pub fn of(secrets: &[(&'static str, Vec<u8>)]) -> Result<Self> {
        let (mut patterns, mut kinds) = (Vec::new(), Vec::new());
        for (kind, secret) in secrets {
            ensure!(secret.len() >= SHORTEST, "a {kind} of {} bytes can't be looked for", secret.len());
            for form in forms(secret) {
                patterns.push(form);
                kinds.push(*kind);
            }
        }
        Self::compile(patterns, kinds)
    }

    fn compile(patterns: Vec<Vec<u8>>, kinds: Vec<&'static str>) -> Result<Self> {
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(1);
        Ok(Self { automaton: AhoCorasick::new(patterns)?, kinds, longest })
    }

    /// The first secret in `bytes`.
    #[must_use]
    pub fn in_bytes(&self, place: &Path, bytes: &[u8]) -> Option<Found> {
        self.automaton.find(bytes).map(|hit| Found {
            place: place.to_owned(),
            at: hit.start(),
            kind: self.kinds[hit.pattern().as_usize()],
        })
    }

    /// The first secret in a file, read in blocks.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn in_file(&self, path: &Path) -> Result<Option<Found>> {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        let mut buffer = vec![0; BLOCK + self.longest];
        let (mut kept, mut base) = (0, 0);
        loop {
            let read = file.read(&mut buffer[kept..])?;
            let filled = kept + read;
            if let Some(mut found) = self.in_bytes(path, &buffer[..filled]) {
                found.at += base;
                return Ok(Some(found));
            }
            if read == 0 {
                return Ok(None);
            }
            kept = filled.min(self.longest - 1);
            base += filled - kept;
            buffer.copy_within(filled - kept..filled, 0);
        }
    }

    /// One finding per file of a folder and its subfolders, Parquet files raw and decoded. Files for which `skip`
    /// says true are passed over. Gives also the number of files searched.
    ///
    /// # Errors
    /// When something can't be read or decoded.
    pub fn in_folder(&self, folder: &Path, skip: &dyn Fn(&Path) -> bool) -> Result<(Vec<Found>, usize)> {
        let (mut found, mut searched) = (Vec::new(), 0);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let path = entry?.path();
                if skip(&path) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if !path.is_file() {
                    continue;
                }
                searched += 1;
                found.extend(self.in_file(&path)?);
                if path.extension().is_some_and(|e| e == "parquet") {
                    found.extend(self.in_parquet(&path)?);
                }
            }
        }
        Ok((found, searched))
    }

    /// The first secret in each decoded column chunk of a Parquet file.
    ///
    /// # Errors
    /// When it is no Parquet file.
    pub fn in_parquet(&self, path: &Path) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
            for column in batch?.columns() {
                found.extend(self.in_array(path, &column.to_data()));
            }
        }
        Ok(found)
    }

    fn in_array(&self, place: &Path, data: &ArrayData) -> Vec<Found> {
        let own = data.buffers().iter().filter_map(|buffer| self.in_bytes(place, buffer.as_slice()));
        let mut found: Vec<Found> = own.collect();
        for child in data.child_data() {
            found.extend(self.in_array(place, child));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    };
    use std::sync::Arc;

    fn secrets() -> Secrets {
        Secrets::new(&["0101701234".to_owned()], &[*b"0123456789abcdef"]).unwrap()
    }

    #[test]
    fn every_planted_form_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let packed = 101_701_234_u64.to_le_bytes();
        let hexed = hex::encode(b"0123456789abcdef");
        let forms: [&[u8]; 5] = [b"0101701234", b"010170-1234", &packed, b"0123456789abcdef", hexed.as_bytes()];
        for (i, form) in forms.iter().enumerate() {
            let mut bytes = vec![b'x'; 100];
            bytes.extend_from_slice(form);
            bytes.extend_from_slice(&[b'y'; 100]);
            std::fs::write(folder.path().join(i.to_string()), bytes).unwrap();
        }
        let (found, searched) = secrets().in_folder(folder.path(), &|_| false).unwrap();
        assert_eq!((found.len(), searched), (5, 5), "{found:?}");
        let kinds: std::collections::BTreeSet<_> = found.iter().map(|f| f.kind).collect();
        assert_eq!(kinds.len(), 5);
    }

    #[test]
    fn a_key_is_found_in_every_form_and_position() {
        let key: Vec<u8> = (200..232).collect();
        let secrets = Secrets::of(&[("key", key.clone()), ("token", b"eger_0123456789".to_vec())]).unwrap();
        let place = Path::new("here");
        let found = |bytes: &[u8]| secrets.in_bytes(place, bytes).map(|found| found.kind);
        assert_eq!(found(format!("key: {key:?}").as_bytes()), Some("key"));
        assert_eq!(found(hex::encode(&key).as_bytes()), Some("key"));
        assert_eq!(found(&[b"before".as_slice(), &key, b"after"].concat()), Some("key"));
        for before in 0..7 {
            let blob = [&[7; 7][..before], &key, b"after"].concat();
            assert_eq!(
                found(base64::engine::general_purpose::STANDARD.encode(&blob).as_bytes()),
                Some("key"),
                "{before}"
            );
            assert_eq!(found(URL_SAFE_NO_PAD.encode(&blob).as_bytes()), Some("key"), "{before}");
        }
        assert_eq!(found(b"authorization: Bearer eger_0123456789\r\n"), Some("token"));
        assert_eq!(found(STANDARD_NO_PAD.encode("anna:eger_0123456789").as_bytes()), Some("token"));
        assert_eq!(found(&[0; 4096]), None);
        assert!(Secrets::of(&[("pin", b"1234".to_vec())]).is_err());
    }

    #[test]
    fn a_secret_across_two_reads_is_found_and_harmless_bytes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let secrets = secrets();
        for shift in 0..12 {
            let mut bytes = vec![0; BLOCK + secrets.longest - shift];
            bytes.extend_from_slice(b"0101701234");
            bytes.extend_from_slice(&[0; 64]);
            std::fs::write(&path, &bytes).unwrap();
            let found = secrets.in_file(&path).unwrap().unwrap();
            assert_eq!(found.at, BLOCK + secrets.longest - shift);
        }
        std::fs::write(&path, vec![b'0'; 3 * BLOCK]).unwrap();
        assert_eq!(secrets.in_file(&path).unwrap(), None);
    }

    #[test]
    fn a_secret_in_a_compressed_column_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let many: Vec<&str> = std::iter::repeat_n("harmless", 5000).chain(["0101701234"]).collect();
        let pseudonyms: Vec<&[u8]> =
            std::iter::repeat_n(b"................".as_slice(), 5000).chain([b"0123456789abcdef".as_slice()]).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(many)),
            Arc::new(FixedSizeBinaryArray::try_from_iter(pseudonyms.into_iter()).unwrap()),
        ];
        let schema = Arc::new(Schema::new(vec![
            Field::new("t", DataType::Utf8, false),
            Field::new("p", DataType::FixedSizeBinary(16), false),
        ]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .build();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(File::create(&path).unwrap(), schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let kinds: std::collections::BTreeSet<_> =
            secrets().in_parquet(&path).unwrap().into_iter().map(|f| f.kind).collect();
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["person number", "pseudonym P"]);
    }
}
