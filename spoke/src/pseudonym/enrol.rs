//! How this spoke gets to ask a custodian: its key is made here, its controller's approver endorses the public half, the
//! custodian certifies it.
//!
//! INVARIANT: the private key never leaves this folder, and an evaluation key that is pinned is never replaced: every
//! pseudonym depends on it.

use super::LinkPublicKey;
use crate::config::{Custodian, SpokeConfig};
use runtime::{
    ca::{CaError, CertFacts},
    enrolment::{EnrolmentError, Reply, Request},
    peer::{Peer, Role},
    seal::{self, SealError},
    sign::{SigningKey, VerifyingKey},
};
use std::path::{Path, PathBuf};

/// Why a request can't be made, or a reply not be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No `[custodian]`.
    #[error("{}: there is no [custodian]; write its name and address there first", .0.display())]
    NoCustodian(PathBuf),
    /// The request.
    #[error(transparent)]
    Request(#[from] EnrolmentError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CaError),
    /// A file.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// A private file.
    #[error("{}: {cause}", path.display())]
    Private {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// The reply is not for this spoke.
    #[error("the reply can't be used: {0}")]
    Reply(String),
    /// The custodian comes with another key than the pinned one.
    #[error(
        "the reply has another evaluation key ({found}) than the one pinned in {} ({pinned}), which every pseudonym here \
         depends on. Ask the custodian's organisation; nothing was changed",
        path.display()
    )]
    OtherKey {
        /// id of the reply's key
        found: String,
        /// id of the pinned key
        pinned: String,
        /// where it is pinned
        path: PathBuf,
    },
}

/// What was put in place.
#[derive(Debug)]
pub struct Installed {
    /// the custodian's public evaluation key, to be compared by another way
    pub evaluation_key: String,
    /// what the certificate says
    pub certificate: CertFacts,
}

/// Makes a new key and a request for it that the approver endorses for `days` days. The key waits beside the one in use
/// until the reply is installed.
///
/// # Errors
/// When there is no `[custodian]`, or the key can't be written.
pub fn request(
    config: &SpokeConfig,
    approver: &SigningKey,
    signing: VerifyingKey,
    days: u32,
) -> Result<Request, EnrolError> {
    let custodian = section(config)?;
    let (request, key) = Request::make(&own_name(config), &custodian.name, approver, signing, days)?;
    let path = waiting(&custodian.key);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|cause| EnrolError::Io { path: folder.to_owned(), cause })?;
    }
    seal::write_private(&path, key.as_bytes()).map_err(|cause| EnrolError::Io { path, cause })?;
    Ok(request)
}

/// Puts the custodian's reply in place, after checking that it is for this spoke's own key.
///
/// # Errors
/// When it is for somebody else, of another custodian than `[custodian]` names, or would replace the pinned key.
pub fn install(config: &SpokeConfig, reply: &Reply) -> Result<Installed, EnrolError> {
    let custodian = section(config)?;
    let own = own_name(config);
    let wrong = |text: String| Err(EnrolError::Reply(text));
    if reply.controller != own.name {
        return wrong(format!("it is for controller '{}', this spoke is '{}'", reply.controller, own.name));
    }
    if reply.custodian != custodian.name {
        let (found, expected) = (&reply.custodian, &custodian.name);
        return wrong(format!("it is of custodian '{found}', but [custodian] name is '{expected}'"));
    }
    let facts = CertFacts::read(&reply.certificate)?;
    if facts.peer.as_ref() != Some(&own) {
        return wrong("its certificate names somebody else".to_owned());
    }
    if !facts.issued_by(&reply.authority) {
        return wrong("its certificate is not of the authority that it brings".to_owned());
    }
    let new = waiting(&custodian.key);
    let fresh = holds(&new, &facts)?;
    if !fresh && !holds(&custodian.key, &facts)? {
        return wrong(format!(
            "its certificate is for another key than the one here ({}). Was another request sent, or was it made on \
             another machine? Make a new one: spoke custodian request",
            new.display()
        ));
    }
    let key: LinkPublicKey =
        reply.evaluation_key.parse().map_err(|e: super::LinkPublicKeyError| EnrolError::Reply(e.to_string()))?;
    if let Ok(text) = std::fs::read_to_string(&custodian.public_key)
        && text.trim() != reply.evaluation_key.trim()
    {
        let pinned = text.parse().map_or("unreadable".to_owned(), |key: LinkPublicKey| key.link_kid());
        let path = custodian.public_key.clone();
        return Err(EnrolError::OtherKey { found: key.link_kid(), pinned, path });
    }
    write(&custodian.public_key, &format!("{}\n", reply.evaluation_key.trim()))?;
    write(&custodian.signing_key(), &format!("{}\n", reply.signing_key))?;
    write(&custodian.ca, &reply.authority)?;
    if fresh {
        std::fs::rename(&new, &custodian.key).map_err(|cause| EnrolError::Io { path: new, cause })?;
    }
    write(&custodian.cert, &reply.certificate)?;
    Ok(Installed { evaluation_key: reply.evaluation_key.trim().to_owned(), certificate: facts })
}

fn section(config: &SpokeConfig) -> Result<&Custodian, EnrolError> {
    config.custodian.as_ref().ok_or_else(|| EnrolError::NoCustodian(config.folder.join("spoke.toml")))
}

fn own_name(config: &SpokeConfig) -> Peer {
    Peer { role: Role::Spoke, name: config.controller.to_string() }
}

/// Where a key waits for its certificate.
fn waiting(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push(".new");
    path.into()
}

/// Whether a key file is there and is the certificate's.
fn holds(path: &Path, facts: &CertFacts) -> Result<bool, EnrolError> {
    if !path.exists() {
        return Ok(false);
    }
    let bytes = seal::read_private(path).map_err(|cause| EnrolError::Private { path: path.to_owned(), cause })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| EnrolError::Reply(format!("{}: no PEM key", path.display())))?;
    Ok(facts.belongs_to(text)?)
}

fn write(path: &Path, text: &str) -> Result<(), EnrolError> {
    let io = |cause| EnrolError::Io { path: path.to_owned(), cause };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text).map_err(io)?;
    std::fs::rename(&partial, path).map_err(io)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ::custodian::{Config, enrol, setup};

    struct Case {
        _folder: tempfile::TempDir,
        custodian: Config,
        spoke: SpokeConfig,
        approver: SigningKey,
    }

    async fn case() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = setup::init(&folder.path().join("c"), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
        let custodian = Config::load(&path).unwrap();
        let text = "controller = \"region-h\"\n[custodian]\naddress = \"localhost:1\"\n";
        let spoke = SpokeConfig::parse(text, "spoke.toml", &folder.path().join("s")).unwrap();
        let approver = SigningKey::generate().unwrap();
        enrol::register(&custodian, "region-h", &approver.public(), 10, false).await.unwrap();
        Case { _folder: folder, custodian, spoke, approver }
    }

    impl Case {
        async fn reply(&self) -> Reply {
            let signing = SigningKey::generate().unwrap().public();
            let request = request(&self.spoke, &self.approver, signing, 7).unwrap();
            enrol::enrol(&self.custodian, &serde_json::to_string(&request).unwrap(), 30).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_reply_for_the_own_key_is_put_in_place_and_can_be_again() {
        let case = case().await;
        let reply = case.reply().await;
        let section = case.spoke.custodian.as_ref().unwrap();
        assert!(!section.key.exists(), "the key waits for its certificate");
        install(&case.spoke, &reply).unwrap();
        let tls = runtime::tls::Tls::load(&section.tls()).unwrap();
        assert_eq!(tls.peer().to_string(), "eger://spoke/region-h");
        install(&case.spoke, &reply).unwrap();
        // anew: the key in use stays until the reply is there
        let old = std::fs::read(&section.key).unwrap();
        let next = case.reply().await;
        assert_eq!(std::fs::read(&section.key).unwrap(), old);
        install(&case.spoke, &next).unwrap();
        assert_ne!(std::fs::read(&section.key).unwrap(), old);
        let error = install(&case.spoke, &reply).unwrap_err().to_string();
        assert!(error.contains("for another key than the one here"), "{error}");
    }

    #[tokio::test]
    async fn a_hostile_reply_changes_nothing() {
        let case = case().await;
        let reply = case.reply().await;
        let section = case.spoke.custodian.as_ref().unwrap();
        let other = runtime::ca::Authority::create("other").unwrap();
        let forged = other.issue(&own_name(&case.spoke), 30).unwrap();
        for (change, says) in [
            (Reply { controller: "sds".into(), ..reply.clone() }, "this spoke is 'region-h'"),
            (Reply { custodian: "other".into(), ..reply.clone() }, "[custodian] name"),
            (Reply { authority: other.cert_pem().to_owned(), ..reply.clone() }, "not of the authority"),
            (
                Reply { certificate: forged.cert_pem, authority: other.cert_pem().to_owned(), ..reply.clone() },
                "for another key",
            ),
        ] {
            let error = install(&case.spoke, &change).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!section.cert.exists() && !section.public_key.exists());
        }
        install(&case.spoke, &reply).unwrap();
        let another = ::custodian::key::LinkageKey::generate().unwrap();
        let swapped = Reply { evaluation_key: hex::encode(another.public_key()), ..reply.clone() };
        let error = install(&case.spoke, &swapped).unwrap_err().to_string();
        assert!(error.contains("every pseudonym here depends on"), "{error}");
        assert_eq!(std::fs::read_to_string(&section.public_key).unwrap().trim(), reply.evaluation_key);
    }
}
