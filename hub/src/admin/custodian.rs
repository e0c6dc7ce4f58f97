//! The hub's key and certificate towards the custodian.
//!
//! INVARIANT: the private key is made here and stays here.

use super::{AdminError, at};
use crate::config::HubConfig;
use runtime::{
    ca::{CertFacts, CertRequest},
    enrolment::HubReply,
    seal::{read_private, write_private},
};
use std::path::{Path, PathBuf};

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("keys").join(name)
}

/// Makes a key (`keys/custodian.next.key`) and writes a request for its certificate to `out`. Gives SHA-256 of the public key,
/// hex. The key in use stays until the reply is installed.
///
/// # Errors
/// When no key can be made, or the files can't be written.
pub fn request(folder: &Path, out: &Path) -> Result<String, AdminError> {
    let (csr, key) = CertRequest::create()?;
    let next = file(folder, "custodian.next.key");
    write_private(&next, key.as_bytes()).map_err(at(&next))?;
    std::fs::write(out, &csr).map_err(at(out))?;
    Ok(CertRequest::from_pem(&csr)?.key_digest())
}

/// Installs the custodian's reply: `keys/custodian.key`, `.crt` and `-ca.crt`. Gives the table for `hub.toml`.
///
/// # Errors
/// When the reply is for another hub or key, or the files can't be written.
pub fn install(config: &HubConfig, reply: &Path, address: &str) -> Result<String, AdminError> {
    let text = std::fs::read(reply).map_err(at(reply))?;
    let reply: HubReply = serde_json::from_slice(&text).map_err(at(reply))?;
    if reply.hub != config.name {
        return Err(AdminError::Usage(format!("the reply is for hub '{}', this one is '{}'", reply.hub, config.name)));
    }
    let next = file(&config.folder, "custodian.next.key");
    let key = read_private(&next).map_err(at(&next))?;
    let text = std::str::from_utf8(&key).map_err(at(&next))?;
    if !CertFacts::read(&reply.certificate)?.belongs_to(text)? {
        let message =
            "the reply is for another key than the last request's. Make the request again: hub admin custodian request";
        return Err(AdminError::Usage(message.to_owned()));
    }
    let [own, cert, ca] = ["custodian.key", "custodian.crt", "custodian-ca.crt"].map(|name| file(&config.folder, name));
    std::fs::write(&cert, &reply.certificate).map_err(at(&cert))?;
    std::fs::write(&ca, &reply.authority).map_err(at(&ca))?;
    std::fs::rename(&next, &own).map_err(at(&own))?;
    Ok(format!(
        "[custodian]\nname = \"{}\"\naddress = \"{address}\"\n\
         [custodian.tls]\ncert = \"keys/custodian.crt\"\nkey = \"keys/custodian.key\"\nca = \"keys/custodian-ca.crt\"\n",
        reply.custodian
    ))
}
