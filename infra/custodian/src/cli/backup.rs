//! `custodian backup` and `custodian restore`.

use super::ConfigFile;
use crate::{
    backup::{self, SHARES},
    key::LinkageKey,
    log::{Event, Log},
};
use clap::Args;
use runtime::seal::Passphrase;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const AFTER_BACKUP: &str = "\
Examples:
  custodian backup --out /media/shares
  custodian backup --out /media/shares --passphrase-file a --passphrase-file b --passphrase-file c

Three people each type a passphrase of their own and take one file; any two of them can make the key again. Keep
keys/custodian.pub with each share. Back up custodian.db and audit/ too: they hold the counts.";

const AFTER_RESTORE: &str = "\
Examples:
  custodian restore /media/a/linkage-share-1-of-3 /media/c/linkage-share-3-of-3
On a new machine:
  custodian init DIR --name national --without-key
  cp custodian.pub DIR/keys/
  custodian restore --config DIR/custodian.toml SHARE SHARE

The key is written only if it is the one of keys/custodian.pub, and never over another.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_BACKUP)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Folder for the three files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// File with a share's passphrase; three times, instead of asking
    #[arg(long = "passphrase-file", value_name = "FILE")]
    passphrase_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = AFTER_RESTORE)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Two of the three files
    #[arg(required = true)]
    shares: Vec<PathBuf>,
    /// File with a share's passphrase; once for each share, in their order, instead of asking
    #[arg(long = "passphrase-file", value_name = "FILE")]
    passphrase_file: Vec<PathBuf>,
}

impl BackupArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
        let key = LinkageKey::load(&config.keys.linkage, &pass)?;
        let names: Vec<String> = (1..=SHARES).map(|n| format!("share {n} of {SHARES}")).collect();
        let passes = passphrases(&names, &self.passphrase_file, true)?;
        let passes: [Passphrase; 3] =
            passes.try_into().map_err(|_| anyhow::anyhow!("three passphrases are needed, one for each share"))?;
        let log = Log::open(&config.audit_log())?;
        log.write(&Event::BackedUp { link_kid: &key.link_kid() })?;
        for path in backup::write(&key, &self.out, &passes)? {
            println!("{}", path.display());
        }
        println!("linkage key {}: any two of these make it again. Give each to another person, with", key.link_kid());
        println!("a copy of {}.", config.public_key_file().display());
        Ok(())
    }
}

impl RestoreArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
        if config.keys.linkage.exists() {
            anyhow::bail!("{}: a linkage key is there already and is not overwritten", config.keys.linkage.display());
        }
        let names: Vec<String> = self.shares.iter().map(|share| share.display().to_string()).collect();
        let passes = passphrases(&names, &self.passphrase_file, false)?;
        let opened: Result<Vec<_>, _> =
            self.shares.iter().zip(&passes).map(|(share, pass)| backup::open(share, pass)).collect();
        let key = backup::combine(&opened?, &config.public_key_file())?;
        let log = Log::open(&config.audit_log())?;
        log.write(&Event::Restored { link_kid: &key.link_kid() })?;
        key.save(&config.keys.linkage, &pass)?;
        println!("linkage key {} is in {} again", key.link_kid(), config.keys.linkage.display());
        Ok(())
    }
}

/// A passphrase for each name: from the files when there are any, else typed; `new` ones twice.
fn passphrases(names: &[String], files: &[PathBuf], new: bool) -> anyhow::Result<Vec<Passphrase>> {
    if !files.is_empty() {
        if files.len() != names.len() {
            anyhow::bail!("{} --passphrase-file given, {} are needed: one for each share", files.len(), names.len());
        }
        return files
            .iter()
            .map(|file| Passphrase::from_file(Path::new(file)).map_err(|error| anyhow::anyhow!("passphrase: {error}")))
            .collect();
    }
    names.iter().map(|name| ask(name, new)).collect()
}

fn ask(name: &str, new: bool) -> anyhow::Result<Passphrase> {
    let prompt = |text: String| {
        rpassword::prompt_password(text).map(Zeroizing::new).map_err(|error| {
            anyhow::anyhow!(
                "no passphrase can be read from the terminal ({error}); give --passphrase-file for each share"
            )
        })
    };
    let first = prompt(format!("Passphrase of {name}: "))?;
    if first.trim().is_empty() {
        anyhow::bail!("the passphrase of {name} is empty");
    }
    if new && *prompt(format!("The same again for {name}: "))? != *first {
        anyhow::bail!("the two passphrases of {name} are not the same");
    }
    Ok(Passphrase::from_text(first.trim()))
}
