//! Every secret that the platform holds: passphrases from their files, keys opened with them, private keys of links.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use demo::{
    platform::{PROJECT, Platform},
    registers::CONTROLLERS,
};
use runtime::seal::{self, Passphrase};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A secret and which kind it is.
pub(super) type Known = (&'static str, Vec<u8>);

/// What each party holds, and the files that hold it in clear.
#[derive(Default)]
pub(super) struct Held {
    pub(super) custodian: Vec<Known>,
    pub(super) hub: Vec<Known>,
    /// what each spoke shares with nobody
    pub(super) spokes: BTreeMap<&'static str, Vec<Known>>,
    /// the members' key
    pub(super) project: Vec<Known>,
    /// what stands with nobody that serves data: the approvers' and the issuer's keys
    pub(super) others: Vec<Known>,
    /// not sealed, so readable by their owner alone
    pub(super) clear: BTreeSet<PathBuf>,
}

impl Held {
    pub(super) fn of(platform: &Platform) -> Result<Self> {
        let mut held = Self::default();

        let custodian = Folder::open(platform.custodian_dir(), &mut held.clear)?;
        held.custodian = vec![
            custodian.passphrase()?,
            custodian.sealed("linkage key", "linkage.key", "eger/custodian/linkage-key/v1")?,
            custodian.sealed("custodian's signing key", "signing.key", "eger/custodian/signing/v1")?,
            custodian.sealed("custodian's sealing key", "sealing.key", "eger/custodian/sealing/v1")?,
        ];

        let hub = Folder::open(platform.hub_dir(), &mut held.clear)?;
        held.hub = vec![hub.passphrase()?, hub.sealed("hub's signing key", "signing.key", "eger/hub/signing/v1")?];
        held.hub.push(clear("hub's ticket key", &hub.keys("ticket.key"), &mut held.clear)?);
        held.hub.extend(pem("hub's link key", &hub.keys("link.key"), &mut held.clear)?);
        held.hub.extend(pem("key of the hub's authority", &hub.keys("ca.key"), &mut held.clear)?);

        for controller in CONTROLLERS {
            let spoke = Folder::open(platform.spoke_dir(controller.id), &mut held.clear)?;
            let mut own = vec![
                spoke.passphrase()?,
                spoke.sealed("store key", "store.key", "eger/spoke/store-key/v1")?,
                spoke.sealed("cache key", "cache.key", "eger/spoke/cache-key/v1")?,
                spoke.sealed("identity key", "identity.key", "eger/spoke/identity/v1")?,
                spoke.sealed("spoke's signing key", "signing.key", "eger/spoke/signing/v1")?,
            ];
            for file in ["link.key", "custodian-link.key"] {
                own.extend(pem("spoke's link key", &spoke.keys(file), &mut held.clear)?);
            }
            held.spokes.insert(controller.id, own);

            let context = format!("eger/spoke/project-key/v1/{PROJECT}");
            let (kind, plain) = spoke.sealed("project key", &format!("../projects/{PROJECT}.key"), &context)?;
            // version, epoch, key
            let key = (kind, plain.get(5..).context("a key")?.to_vec());
            ensure!(held.project.is_empty() || held.project == [key.clone()], "members hold different keys");
            held.project = vec![key];

            let file = |what: &str| platform.dir().join("approvers").join(format!("{}.{what}", controller.id));
            let approver = Folder { pass: file("passphrase"), dir: platform.dir().join("approvers") };
            held.clear.insert(approver.pass.clone());
            held.others.push(approver.passphrase()?);
            held.others.push(approver.opened("approver's key", &file("key"), "eger/approver/v1")?);
        }
        held.others.push(clear("issuer's key", &platform.dir().join("issuer/issuer.key"), &mut held.clear)?);
        Ok(held)
    }

    pub(super) fn all(&self) -> Vec<Known> {
        let own = self.spokes.values().flatten();
        [&self.custodian, &self.hub, &self.project, &self.others].into_iter().flatten().chain(own).cloned().collect()
    }

    /// What the process of a spoke has no business to know.
    pub(super) fn foreign_to_spoke(&self, controller: &str) -> Vec<Known> {
        let others = self.spokes.iter().filter(|(id, _)| **id != controller).flat_map(|(_, own)| own);
        [&self.custodian, &self.hub, &self.others].into_iter().flatten().chain(others).cloned().collect()
    }

    /// What the hub's process has no business to know.
    pub(super) fn foreign_to_hub(&self) -> Vec<Known> {
        let spokes = self.spokes.values().flatten();
        [&self.custodian, &self.project, &self.others].into_iter().flatten().chain(spokes).cloned().collect()
    }

    /// What the custodian's process has no business to know.
    pub(super) fn foreign_to_custodian(&self) -> Vec<Known> {
        let spokes = self.spokes.values().flatten();
        [&self.hub, &self.project, &self.others].into_iter().flatten().chain(spokes).cloned().collect()
    }
}

/// A party's folder with its passphrase.
struct Folder {
    dir: PathBuf,
    pass: PathBuf,
}

impl Folder {
    fn open(dir: PathBuf, clear: &mut BTreeSet<PathBuf>) -> Result<Self> {
        let pass = dir.join("passphrase");
        clear.insert(pass.clone());
        Ok(Self { dir, pass })
    }

    fn keys(&self, file: &str) -> PathBuf {
        self.dir.join("keys").join(file)
    }

    fn passphrase(&self) -> Result<Known> {
        let text = seal::read_private(&self.pass)?;
        Ok(("passphrase", text.trim_ascii().to_vec()))
    }

    fn sealed(&self, kind: &'static str, file: &str, context: &str) -> Result<Known> {
        self.opened(kind, &self.keys(file), context)
    }

    fn opened(&self, kind: &'static str, path: &Path, context: &str) -> Result<Known> {
        let pass = Passphrase::from_file(&self.pass)?;
        let plain =
            seal::open(&pass, context, &seal::read_private(path)?).with_context(|| path.display().to_string())?;
        ensure!(plain.len() >= 32, "{} holds no key", path.display());
        Ok((kind, plain.to_vec()))
    }
}

/// The secret of a file that is not sealed.
fn clear(kind: &'static str, path: &Path, clear: &mut BTreeSet<PathBuf>) -> Result<Known> {
    clear.insert(path.to_owned());
    Ok((kind, seal::read_private(path)?.to_vec()))
}

/// A private key in PEM: its bytes, and the line of the file with the secret's beginning.
fn pem(kind: &'static str, path: &Path, clear: &mut BTreeSet<PathBuf>) -> Result<[Known; 2]> {
    clear.insert(path.to_owned());
    let text = String::from_utf8(seal::read_private(path)?.to_vec())?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let first = lines.first().filter(|line| line.len() == 64).with_context(|| format!("{}: PEM", path.display()))?;
    Ok([(kind, STANDARD.decode(lines.concat())?), (kind, first.as_bytes().to_vec())])
}
