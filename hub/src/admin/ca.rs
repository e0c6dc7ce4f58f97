//! The authority of the links between hub and spokes, and the certificates it issues.

use super::{AdminError, at};
use runtime::{
    ca::Authority,
    peer::Peer,
    seal::{read_private, write_private},
};
use std::path::{Path, PathBuf};

/// Makes `keys/ca.crt` and `keys/ca.key` in the hub's folder. Never overwrites: certificates issued would be worthless.
///
/// # Errors
/// When there is an authority already, or the files can't be written.
pub fn new_authority(folder: &Path) -> Result<PathBuf, AdminError> {
    let (cert, key) = files(folder);
    if cert.exists() || key.exists() {
        return Err(AdminError::Usage(format!(
            "{} exists: there is an authority already. Every certificate it issued depends on it; remove both files by hand if that is really meant",
            cert.display()
        )));
    }
    let keys = folder.join("keys");
    std::fs::create_dir_all(&keys).map_err(at(&keys))?;
    let authority = Authority::create("Eger link authority")?;
    write_private(&key, authority.key_pem().as_bytes()).map_err(at(&key))?;
    std::fs::write(&cert, authority.cert_pem()).map_err(at(&cert))?;
    Ok(cert)
}

/// Issues a certificate for `who` into `out`: `link.crt`, `link.key`, `link-ca.crt`.
///
/// # Errors
/// When there is no authority, or the files can't be written.
pub fn issue(folder: &Path, who: &Peer, days: u32, out: &Path) -> Result<[PathBuf; 3], AdminError> {
    let (cert, key) = files(folder);
    let cert_pem = std::fs::read_to_string(&cert)
        .map_err(|e| AdminError::File { path: cert.clone(), message: format!("{e}. Run `hub admin ca init` first") })?;
    let key_pem = read_private(&key).map_err(at(&key))?;
    let key_pem = std::str::from_utf8(&key_pem).map_err(at(&key))?;
    let issued = Authority::load(&cert_pem, key_pem)?.issue(who, days)?;
    std::fs::create_dir_all(out).map_err(at(out))?;
    let written = [out.join("link.crt"), out.join("link.key"), out.join("link-ca.crt")];
    let [own_cert, own_key, ca] = &written;
    write_private(own_key, issued.key_pem.as_bytes()).map_err(at(own_key))?;
    std::fs::write(own_cert, &issued.cert_pem).map_err(at(own_cert))?;
    std::fs::write(ca, &cert_pem).map_err(at(ca))?;
    Ok(written)
}

fn files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("keys/ca.crt"), folder.join("keys/ca.key"))
}
