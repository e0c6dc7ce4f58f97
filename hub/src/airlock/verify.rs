//! Checks a crate on any machine: that it is what a hub let out, and that nothing was changed since.

use super::bag::{self, BagError, SIGNATURE};
use policies::airlock::{Release, ReleaseError};
use runtime::sign::VerifyingKey;

/// Why a crate is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Its files.
    #[error("the crate {0}")]
    Bag(#[from] BagError),
    /// Its signature.
    #[error("the signature: {0}")]
    Release(#[from] ReleaseError),
}

/// A crate that is what the hub let out.
#[derive(Debug, Clone)]
pub struct Verified {
    /// what the hub signed
    pub release: Release,
    /// the files, by path in the crate, with their lengths
    pub files: Vec<(String, usize)>,
}

/// Checks hashes and signature.
///
/// # Errors
/// When anything is missing, more, or changed, or another key signed it.
pub fn verify(bytes: &[u8], key: &VerifyingKey) -> Result<Verified, VerifyError> {
    let (files, signed) = bag::unpack(bytes)?;
    let signature = files.get(SIGNATURE).ok_or_else(|| BagError::Missing(SIGNATURE.to_owned()))?;
    let release = Release::verify(String::from_utf8_lossy(signature).trim(), key, &signed)?;
    let files = files.into_iter().filter(|(path, _)| path.starts_with("data/"));
    Ok(Verified { release, files: files.map(|(path, bytes)| (path, bytes.len())).collect() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proto::ids::SubmissionId;
    use runtime::sign::SigningKey;
    use std::{collections::BTreeMap, io::Write};
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn made(key: &SigningKey) -> Vec<u8> {
        let files = [
            ("data/outputs/a.csv".to_owned(), b"kom,n\n101,12\n".to_vec()),
            ("data/ro-crate-metadata.json".to_owned(), b"{}".to_vec()),
        ];
        let sign = |sha512: &str| {
            let release = Release {
                hub: "main".to_owned(),
                submission: SubmissionId::new(),
                project: "diabetes".parse().unwrap(),
                released_at: chrono::Utc::now(),
                manifest_sha512: sha512.to_owned(),
                approved_by: Vec::new(),
                computed: false,
            };
            Ok::<_, zip::result::ZipError>(release.sign(key).unwrap())
        };
        bag::pack("eger-1", "Bag-Software-Agent: eger\n", &files.into(), sign).unwrap()
    }

    /// The same files in another archive, after `change`.
    fn repacked(bytes: &[u8], change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
        let (files, _) = bag::unpack(bytes).unwrap();
        let mut files: Vec<(String, Vec<u8>)> =
            files.into_iter().map(|(path, bytes)| (format!("eger-1/{path}"), bytes)).collect();
        change(&mut files);
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (path, bytes) in files {
            writer.start_file(path, options).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_crate_verifies_and_so_does_the_same_packed_again() {
        let key = SigningKey::generate().unwrap();
        let made = made(&key);
        let verified = verify(&made, &key.public()).unwrap();
        assert_eq!(verified.files.len(), 2);
        assert!(verify(&repacked(&made, |_| {}), &key.public()).is_ok());
        assert!(matches!(verify(&made, &SigningKey::generate().unwrap().public()), Err(VerifyError::Release(_))));
    }

    #[test]
    fn attack_a_crate_with_anything_changed_is_refused() {
        let key = SigningKey::generate().unwrap();
        let made = made(&key);
        let said = |change: fn(&mut Vec<(String, Vec<u8>)>)| {
            verify(&repacked(&made, change), &key.public()).unwrap_err().to_string()
        };
        let changed = said(|files| {
            files.iter_mut().for_each(|(path, bytes)| {
                if path.ends_with("a.csv") {
                    bytes.extend(b"147,1\n");
                }
            })
        });
        assert!(changed.contains("'data/outputs/a.csv' was changed"), "{changed}");
        let gone = said(|files| files.retain(|(path, _)| !path.ends_with("a.csv")));
        assert!(gone.contains("lacks"), "{gone}");
        for more in ["eger-1/data/more.csv", "eger-1/more.txt"] {
            let files: Vec<u8> = repacked(&made, |files| files.push((more.to_owned(), b"x".to_vec())));
            let said = verify(&files, &key.public()).unwrap_err().to_string();
            assert!(said.contains("its manifests don't name"), "{said}");
        }
        // Its own list of files made to fit: the signature says otherwise.
        let fitted = repacked(&made, |files| {
            let mut of: BTreeMap<String, Vec<u8>> = files.drain(..).collect();
            of.insert("eger-1/data/outputs/a.csv".to_owned(), b"kom,n\n101,99\n".to_vec());
            let list = |of: &BTreeMap<String, Vec<u8>>, data: bool, names: &[&str]| -> Vec<u8> {
                let chosen = of.iter().filter(|(path, _)| {
                    let path = path.trim_start_matches("eger-1/");
                    if data { path.starts_with("data/") } else { names.contains(&path) }
                });
                let line = |(path, bytes): (&String, &Vec<u8>)| {
                    format!("{}  {}\n", bag::sha512(bytes), path.trim_start_matches("eger-1/"))
                };
                chosen.map(line).collect::<String>().into_bytes()
            };
            let manifest = list(&of, true, &[]);
            of.insert(format!("eger-1/{}", bag::MANIFEST), manifest);
            let tags = list(&of, false, &["bagit.txt", "bag-info.txt", bag::MANIFEST]);
            of.insert(format!("eger-1/{}", bag::TAGS), tags);
            files.extend(of);
        });
        let said = verify(&fitted, &key.public()).unwrap_err().to_string();
        assert!(said.contains("another list of files"), "{said}");
    }

    /// Whatever is broken in an archive, it is refused, or it is the same release.
    #[test]
    fn attack_no_broken_crate_verifies_as_another() {
        use crate::airlock::check::hostile::{Chance, broken, cases};
        let key = SigningKey::generate().unwrap();
        let made = made(&key);
        let whole = bag::unpack(&made).unwrap();
        let mut refused = 0;
        for case in cases() {
            let bytes = broken(&mut Chance(case), &made, &made);
            match verify(&bytes, &key.public()) {
                Ok(_) => assert_eq!(bag::unpack(&bytes).unwrap(), whole, "broken crate {case}"),
                Err(_) => refused += 1,
            }
        }
        // Some bytes of an archive mean nothing, such as a file's day.
        assert!(refused * 2 > cases().count());
    }

    #[test]
    fn attack_zip_tricks_are_refused() {
        let key = SigningKey::generate().unwrap();
        let made = made(&key);
        for name in ["../a", "eger-1/../../a", "/etc/a", "eger-1/data/..\\a", "other/a", "a", "eger-1/.a"] {
            let tricked = repacked(&made, |files| files.push((name.to_owned(), b"x".to_vec())));
            assert!(verify(&tricked, &key.public()).is_err(), "{name}");
        }
        for tricked in [
            [b"x".as_slice(), &made].concat(),
            [made.as_slice(), b"x"].concat(),
            [made.as_slice(), made.as_slice()].concat(),
            made[..made.len() - 1].to_vec(),
            Vec::new(),
        ] {
            assert!(verify(&tricked, &key.public()).is_err());
        }
        // Two entries of one name: which one is read depends on the program.
        let name = b"eger-1/data/outputs/b.csv";
        let mut twice = repacked(&made, |files| files.push(("eger-1/data/outputs/b.csv".to_owned(), b"x".to_vec())));
        let places: Vec<usize> = (0..twice.len()).filter(|at| twice[*at..].starts_with(name)).collect();
        assert_eq!(places.len(), 2);
        for at in places {
            twice[at + name.len() - 5] = b'a';
        }
        assert!(matches!(verify(&twice, &key.public()), Err(VerifyError::Bag(_))));
    }
}
