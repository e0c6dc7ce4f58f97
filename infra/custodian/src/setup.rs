//! Making what a custodian needs: its folder, its keys, its own certificate authority.
//!
//! INVARIANT: a linkage key or a certificate's key that is there is never overwritten.

use crate::{
    config::Config,
    key::{KeyError, LinkageKey},
};
use runtime::{
    ca::{Authority, CaError, IssuedCert},
    config::ConfigError,
    enrolment::CUSTODIAN_SIGNING_CONTEXT,
    seal::{self, Passphrase, SealError},
    sealing::{SealingError, SealingKey},
    sign::{SigningKey, SigningKeyError},
    tls::Peer,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What the authority's sealed key is for, authenticated with it.
const AUTHORITY: &str = "eger/custodian/authority/v1";
/// What the sealed file of the sealing key is for, authenticated with it.
const SEALING: &str = "eger/custodian/sealing/v1";
/// How long the custodian's own certificate lasts; `custodian renew` makes a new one.
const OWN_DAYS: u32 = 730;

/// Why a folder or certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Something is there already.
    #[error("{}: is there already and is not overwritten{hint}", path.display())]
    Exists {
        /// which file
        path: PathBuf,
        /// what to do instead
        hint: &'static str,
    },
    /// A file can't be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// which file
        path: PathBuf,
        /// what the operating system said
        cause: std::io::Error,
    },
    /// A name that can't stand in a certificate.
    #[error(transparent)]
    Name(#[from] runtime::tls::PeerError),
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The linkage key can't be made or opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The passphrase can't be had, or a sealed file not opened.
    #[error("{}: {cause}", path.display())]
    Sealed {
        /// which file
        path: PathBuf,
        /// why
        cause: SealError,
    },
    /// The passphrase can't be had.
    #[error("passphrase: {0}")]
    Passphrase(SealError),
    /// No certificate could be made.
    #[error(transparent)]
    Authority(#[from] CaError),
    /// The signing key can't be made or opened.
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
    /// The sealing key can't be made or opened.
    #[error(transparent)]
    Sealing(#[from] SealingError),
}

/// Makes a custodian's folder: `custodian.toml`, `passphrase`, and below `keys/` the sealed linkage key, the
/// authority, the signing key and the custodian's own certificate. Returns the path of the configuration and the key.
///
/// # Errors
/// When the folder already holds a custodian, or can't be written.
pub fn init(folder: &Path, name: &str, listen: SocketAddr) -> Result<(PathBuf, LinkageKey), SetupError> {
    make(folder, name, listen, |keys, pass| {
        let key = LinkageKey::create(&keys.join("linkage.key"), pass)?;
        write(&keys.join("custodian.pub"), format!("{}\n", hex::encode(key.public_key())).as_bytes())?;
        Ok(key)
    })
}

/// As [`init`], without a linkage key: it comes back from its shares ([`crate::backup`]).
///
/// # Errors
/// As [`init`].
pub fn init_without_key(folder: &Path, name: &str, listen: SocketAddr) -> Result<PathBuf, SetupError> {
    make(folder, name, listen, |_, _| Ok(())).map(|(config, ())| config)
}

fn make<T>(
    folder: &Path,
    name: &str,
    listen: SocketAddr,
    linkage: impl FnOnce(&Path, &Passphrase) -> Result<T, SetupError>,
) -> Result<(PathBuf, T), SetupError> {
    let peer = Peer::custodian(name)?;
    let keys = folder.join("keys");
    std::fs::create_dir_all(&keys).map_err(io(&keys))?;
    private_folder(&keys)?;
    let config = folder.join("custodian.toml");
    let passphrase = folder.join("passphrase");
    for path in [&config, &keys.join("linkage.key"), &keys.join("ca.key")] {
        if path.exists() {
            return Err(SetupError::Exists { path: path.clone(), hint: ": every pseudonym depends on its key" });
        }
    }
    // A passphrase that an operator put there first is kept.
    if !passphrase.exists() {
        let words = Passphrase::random().map_err(SetupError::Passphrase)?;
        seal::write_private(&passphrase, format!("{}\n", words.as_str()).as_bytes()).map_err(io(&passphrase))?;
    }
    let pass = Passphrase::from_file(&passphrase).map_err(SetupError::Passphrase)?;

    let authority = Authority::create(&format!("Eger custodian {name}"))?;
    let sealed = |path: &Path| {
        let path = path.to_owned();
        move |cause| SetupError::Sealed { path, cause }
    };
    let ca_key = keys.join("ca.key");
    let bytes = seal::seal(&pass, AUTHORITY, authority.key_pem().as_bytes()).map_err(sealed(&ca_key))?;
    seal::write_private(&ca_key, &bytes).map_err(io(&ca_key))?;
    write(&keys.join("ca.crt"), authority.cert_pem().as_bytes())?;
    let own = authority.issue(&peer, OWN_DAYS)?;
    write_pair(&keys, "custodian", &own)?;
    let signing = SigningKey::create(&keys.join("signing.key"), CUSTODIAN_SIGNING_CONTEXT, &pass)?;
    write(&keys.join("signing.pub"), format!("{}\n", signing.public()).as_bytes())?;
    make_sealing(&keys.join("sealing.key"), &keys.join("sealing.pub"), &pass)?;
    let key = linkage(&keys, &pass)?;
    // Last: a folder without it is half made and can be removed safely.
    write(&config, template(name, listen).as_bytes())?;
    Ok((config, key))
}

/// Makes the custodian's own certificate anew, before the old one ends. Takes effect at the next start.
///
/// # Errors
/// When keys can't be opened or files not written.
pub fn renew(config: &Config) -> Result<(), SetupError> {
    let pass = config.passphrase().map_err(SetupError::Passphrase)?;
    let (authority, _) = authority(config, &pass)?;
    let own = authority.issue(&Peer::custodian(&config.name)?, OWN_DAYS)?;
    seal::write_private(&config.tls.key, own.key_pem.as_bytes()).map_err(io(&config.tls.key))?;
    write(&config.tls.cert, own.cert_pem.as_bytes())
}

/// The authority and its certificate.
pub(crate) fn authority(config: &Config, pass: &Passphrase) -> Result<(Authority, String), SetupError> {
    let path = &config.keys.authority;
    let sealed = |cause| SetupError::Sealed { path: path.clone(), cause };
    let file = seal::read_private(path).map_err(sealed)?;
    let pem = seal::open(pass, AUTHORITY, &file).map_err(sealed)?;
    let pem = std::str::from_utf8(&pem).map_err(|_| sealed(SealError::Format))?;
    let cert = std::fs::read_to_string(&config.tls.ca).map_err(io(&config.tls.ca))?;
    Ok((Authority::load(&cert, pem)?, cert))
}

/// The key that checkpoints are signed with.
pub(crate) fn signing_key(config: &Config, pass: &Passphrase) -> Result<SigningKey, SigningKeyError> {
    SigningKey::load(&config.keys.signing, CUSTODIAN_SIGNING_CONTEXT, pass)
}

/// The key that spokes seal seeds of blind totals to; made when the file is missing, as at custodians from before there was
/// one.
pub(crate) fn sealing_key(config: &Config, pass: &Passphrase) -> Result<SealingKey, SetupError> {
    let path = &config.keys.sealing;
    if path.exists() {
        return Ok(SealingKey::load(path, SEALING, pass)?);
    }
    make_sealing(path, &config.sealing_public_file(), pass)
}

fn make_sealing(path: &Path, public: &Path, pass: &Passphrase) -> Result<SealingKey, SetupError> {
    let key = SealingKey::create(path, SEALING, pass)?;
    write(public, format!("{}\n", key.public()).as_bytes())?;
    Ok(key)
}

fn write_pair(folder: &Path, stem: &str, pair: &IssuedCert) -> Result<(), SetupError> {
    let key = folder.join(format!("{stem}.key"));
    seal::write_private(&key, pair.key_pem.as_bytes()).map_err(io(&key))?;
    write(&folder.join(format!("{stem}.crt")), pair.cert_pem.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SetupError> {
    std::fs::write(path, bytes).map_err(io(path))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> SetupError + use<> {
    let path = path.to_owned();
    move |cause| SetupError::Io { path: path.clone(), cause }
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> Result<(), SetupError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(io(folder))
}

#[cfg(not(unix))]
fn private_folder(_: &Path) -> Result<(), SetupError> {
    Ok(())
}

fn template(name: &str, listen: SocketAddr) -> String {
    format!(
        r#"# The custodian evaluates the linkage key blindly for spokes. It sees no person number and no data.
# Relative paths are taken below this file's folder. Check with: custodian public-key --config custodian.toml

name = "{name}"                        # spokes know it as eger://custodian/{name}

[listen]
address = "{listen}"

[tls]                                  # its own authority: only keys that `custodian enrol` certified may ask
cert = "keys/custodian.crt"
key = "keys/custodian.key"
ca = "keys/ca.crt"

[keys]
linkage = "keys/linkage.key"           # sealed. Back it up with its passphrase, kept apart: without it
                                       # no new person can be linked to the ones already published (custodian backup)
signing = "keys/signing.key"           # sealed; signs how far the audit log goes
sealing = "keys/sealing.key"           # sealed; opens the seeds of blind totals
authority = "keys/ca.key"              # sealed; needed by `enrol` and `renew`, not by `serve`
passphrase_file = "passphrase"         # better on another disk, or as a systemd credential:
# credential = "custodian-passphrase"

[limits]
# max_batch = 4096                     # elements in one batch
# batches_in_flight = 8                # per stream
# streams = 64                         # over all spokes
# threads = 0                          # evaluations at the same time; 0: one for each core
# totals_per_day = 500                 # blind totals of one project
# drain_seconds = 10                   # at the end, how long open streams may go on
"#
    )
}
