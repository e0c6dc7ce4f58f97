//! The files of a link's certificate: key, certificate and authority, replaced as one.
//!
//! INVARIANT: whenever the process dies, what lies there afterwards is the old pair or the new pair, after [`settle`].

use runtime::tls::{Tls, TlsError, TlsFiles};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a certificate can't be put in place.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// which one
        path: PathBuf,
        /// what the operating system said
        source: io::Error,
    },
    /// What the hub sent doesn't fit.
    #[error("the certificate that the hub sent can't be used: {0}")]
    Certificate(String),
    /// The files don't make an identity.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FilesError + '_ {
    move |source| FilesError::Io { path: path.to_owned(), source }
}

fn next(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

/// Puts a new key and certificate in place of the old ones, after checking that they are `who`'s, belong together and
/// come from the authority in `files.ca`.
pub(super) fn replace(files: &TlsFiles, who: &str, key_pem: &str, cert_pem: &str) -> Result<Tls, FilesError> {
    let new = TlsFiles { cert: next(&files.cert), key: next(&files.key), ca: files.ca.clone() };
    // First the key: a lone certificate is then known to be the second half of a swap that began.
    runtime::seal::write_private(&new.key, key_pem.as_bytes()).map_err(at(&new.key))?;
    runtime::seal::write_private(&new.cert, cert_pem.as_bytes()).map_err(at(&new.cert))?;
    let checked = Tls::load(&new).map_err(FilesError::from).and_then(|tls| {
        tls.check_own().map_err(|error| FilesError::Certificate(error.to_string()))?;
        if tls.peer().to_string() == who {
            Ok(())
        } else {
            Err(FilesError::Certificate(format!("it names {}, not {who}", tls.peer())))
        }
    });
    if let Err(error) = checked {
        for path in [&new.cert, &new.key] {
            std::fs::remove_file(path).map_err(at(path))?;
        }
        return Err(error);
    }
    std::fs::rename(&new.key, &files.key).map_err(at(&files.key))?;
    std::fs::rename(&new.cert, &files.cert).map_err(at(&files.cert))?;
    Ok(Tls::load(files)?)
}

/// Finishes or undoes a swap that a crash interrupted.
///
/// # Errors
/// When a file can't be moved or removed.
pub(crate) fn settle(files: &TlsFiles) -> Result<(), FilesError> {
    let (key, cert) = (next(&files.key), next(&files.cert));
    match (key.exists(), cert.exists()) {
        (false, false) => Ok(()),
        (true, false) => std::fs::remove_file(&key).map_err(at(&key)),
        (true, true) => {
            std::fs::rename(&key, &files.key).map_err(at(&files.key))?;
            std::fs::rename(&cert, &files.cert).map_err(at(&files.cert))
        }
        (false, true) => std::fs::rename(&cert, &files.cert).map_err(at(&files.cert)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use runtime::{
        ca::{Authority, IssuedCert},
        peer::Peer,
    };

    struct Keys {
        folder: tempfile::TempDir,
        authority: Authority,
    }

    impl Keys {
        fn new() -> Self {
            let keys = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::create("links").unwrap() };
            std::fs::write(keys.files().ca, keys.authority.cert_pem()).unwrap();
            let old = keys.issue("region-h");
            runtime::seal::write_private(&keys.files().key, old.key_pem.as_bytes()).unwrap();
            std::fs::write(keys.files().cert, old.cert_pem).unwrap();
            keys
        }

        fn files(&self) -> TlsFiles {
            let at = |name: &str| self.folder.path().join(name);
            TlsFiles { cert: at("link.crt"), key: at("link.key"), ca: at("link-ca.crt") }
        }

        fn issue(&self, name: &str) -> IssuedCert {
            self.authority.issue(&Peer::spoke(name).unwrap(), 30).unwrap()
        }
    }

    #[test]
    fn a_swap_that_was_interrupted_anywhere_leaves_a_pair() {
        for step in 0..4 {
            let keys = Keys::new();
            let (files, new) = (keys.files(), keys.issue("region-h"));
            runtime::seal::write_private(&next(&files.key), new.key_pem.as_bytes()).unwrap();
            if step > 0 {
                runtime::seal::write_private(&next(&files.cert), new.cert_pem.as_bytes()).unwrap();
            }
            if step > 1 {
                std::fs::rename(next(&files.key), &files.key).unwrap();
            }
            if step > 2 {
                std::fs::rename(next(&files.cert), &files.cert).unwrap();
            }
            settle(&files).unwrap();
            Tls::load(&files).unwrap();
            let is_new = std::fs::read_to_string(&files.cert).unwrap() == new.cert_pem;
            assert_eq!(is_new, step > 0, "{step}");
            assert!(!next(&files.key).exists() && !next(&files.cert).exists());
        }
    }

    #[test]
    fn hostile_certificates_leave_the_old_ones_in_place() {
        let keys = Keys::new();
        let files = keys.files();
        let before = std::fs::read(&files.cert).unwrap();
        let who = "eger://spoke/region-h";
        let refused = |issued: &IssuedCert, key: &str| replace(&files, who, key, &issued.cert_pem).err().unwrap();
        let other_name = keys.issue("region-m");
        assert!(refused(&other_name, &other_name.key_pem).to_string().contains("names eger://spoke/region-m"));
        let other_authority = Authority::create("links").unwrap().issue(&Peer::spoke("region-h").unwrap(), 30).unwrap();
        assert!(refused(&other_authority, &other_authority.key_pem).to_string().contains("can't be used"));
        let (one, two) = (keys.issue("region-h"), keys.issue("region-h"));
        assert!(refused(&one, &two.key_pem).to_string().contains("together"));
        assert_eq!(std::fs::read(&files.cert).unwrap(), before);
        assert!(!next(&files.key).exists() && !next(&files.cert).exists());
        replace(&files, who, &one.key_pem, &one.cert_pem).unwrap();
        assert_eq!(std::fs::read_to_string(&files.cert).unwrap(), one.cert_pem);
    }
}
