//! `spoke init`: a new spoke's folder, with everything in it that needs no other party.
//!
//! INVARIANT: nothing that exists is overwritten, keys least of all: whoever loses `store.key` has to ingest again.

use crate::{
    config::SpokeConfig,
    pseudonym::{CacheKey, KeyError, StoreKey, identity::Identity},
};
use proto::ids::ControllerId;
use runtime::{
    config::ConfigError,
    enrolment::SPOKE_SIGNING_CONTEXT,
    seal::{self, Passphrase, SealError},
    sign::{SigningKey, SigningKeyError},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const SPOKE_TOML: &str = include_str!("init/spoke.toml");
const EXAMPLE_TABLE: &str = include_str!("init/example.toml");
/// What differs in `spoke.toml` when `ingest` runs as another user.
const SEPARATE: [(&str, &str); 3] = [
    ("# state = \"state.db\"", "state = \"state/state.db\""),
    ("= \"keys/custodian", "= \"ingest/custodian"),
    (
        "# credential = \"eger\"        # a systemd credential instead (LoadCredential=eger:...)\n",
        "credential = \"eger\"          # a systemd credential instead, when there is one (LoadCredential=eger:...)\n\
         ingest_folder = \"ingest\"     # keys that `spoke ingest` opens; it runs as another user than `spoke serve`\n\
         ingest_passphrase_file = \"ingest/passphrase\"\n\
         ingest_credential = \"eger-ingest\"\n",
    ),
];
const README: &str = include_str!("init/README.md");

/// What a new spoke is called and with whom it speaks.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// the folder
    pub folder: PathBuf,
    /// whose data
    pub controller: ControllerId,
    /// the controller's name in Danish
    pub title_da: String,
    /// the controller's name in English
    pub title_en: String,
    /// `ip:port` where `serve` will listen
    pub listen: String,
    /// name of the hub that may ask
    pub hub: String,
    /// `host:port` of the custodian
    pub custodian: String,
    /// name of the custodian
    pub custodian_name: String,
    /// `ingest` runs as another user than `serve`: it gets keys and a passphrase of its own
    pub separate_ingest: bool,
}

/// What was made, and what was there already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// new files
    pub new: Vec<PathBuf>,
    /// files left as they were
    pub kept: Vec<PathBuf>,
}

/// Why a folder can't be made ready.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// which one
        path: PathBuf,
        /// what the operating system said
        source: io::Error,
    },
    /// The folder belongs to another controller's spoke.
    #[error("{}: is the folder of controller '{found}', not of '{asked}'. Choose another folder", path.display())]
    Other {
        /// its `spoke.toml`
        path: PathBuf,
        /// whose it is
        found: ControllerId,
        /// whose it should be
        asked: ControllerId,
    },
    /// The existing `spoke.toml`, or a text given on the command line.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] SealError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signing key.
    #[error(transparent)]
    Signing(#[from] SigningKeyError),
}

/// Makes the folder ready. Running it again changes nothing.
///
/// # Errors
/// When something can't be written, or the folder is another controller's.
pub fn run(options: &InitOptions) -> Result<Made, InitError> {
    let folder = std::path::absolute(&options.folder).map_err(at(&options.folder))?;
    let mut made = Made::default();
    for name in ["tables", "approvers", "inbox", "permits", "keys", "projects", "audit", "cache", "rejects", "spill"] {
        private_folder(&folder.join(name))?;
    }
    let path = folder.join("spoke.toml");
    // Read before it is written: a wrong option must not leave a file behind that can't be read.
    let text = spoke_toml(options);
    SpokeConfig::parse(&text, "spoke.toml", &folder)?;
    text_file(&mut made, &path, &text)?;
    let config = SpokeConfig::load(&path)?;
    for folder in [config.state_db().parent(), Some(config.ingest_keys_dir().as_path())].into_iter().flatten() {
        private_folder(folder)?;
    }
    if config.controller != options.controller {
        return Err(InitError::Other { path, found: config.controller, asked: options.controller.clone() });
    }
    text_file(&mut made, &config.tables_dir().join("example.toml.sample"), EXAMPLE_TABLE)?;
    text_file(&mut made, &folder.join("README.md"), &README.replace("{controller}", options.controller.as_str()))?;
    keys(&mut made, &config)?;
    Ok(made)
}

fn keys(made: &mut Made, config: &SpokeConfig) -> Result<(), InitError> {
    if config.keys.credential.is_none() || config.separate_ingest() {
        passphrase(made, &config.keys.passphrase_file)?;
    }
    if let Some(file) = &config.keys.ingest_passphrase_file {
        passphrase(made, file)?;
    }
    let (pass, ingest) = (config.passphrase()?, config.ingest_passphrase()?);
    let mut key = |path: PathBuf, create: &dyn Fn(&Path) -> Result<(), KeyError>| {
        if path.exists() {
            made.kept.push(path);
        } else {
            create(&path)?;
            made.new.push(path);
        }
        Ok::<_, InitError>(())
    };
    key(config.store_key(), &|path| StoreKey::create(path, &pass).map(drop))?;
    key(config.cache_key(), &|path| CacheKey::create(path, &ingest).map(drop))?;
    key(config.identity_key(), &|path| Identity::create(path, &pass).map(drop))?;
    if config.separate_ingest() {
        // Both need it; each opens its own copy with its own passphrase.
        let copy = config.ingest_keys_dir().join("store.key");
        key(copy, &|path| StoreKey::copy(&config.store_key(), &pass, path, &ingest))?;
    }
    let path = config.signing_key();
    let own = if path.exists() {
        made.kept.push(path.clone());
        SigningKey::load(&path, SPOKE_SIGNING_CONTEXT, &pass)?
    } else {
        made.new.push(path.clone());
        SigningKey::create(&path, SPOKE_SIGNING_CONTEXT, &pass)?
    };
    if config.separate_ingest() {
        let copy = config.ingest_keys_dir().join("signing.key");
        if !copy.exists() {
            own.save(&copy, SPOKE_SIGNING_CONTEXT, &ingest)?;
            made.new.push(copy);
        }
    }
    Ok(())
}

fn passphrase(made: &mut Made, file: &Path) -> Result<(), InitError> {
    if file.exists() {
        made.kept.push(file.to_owned());
    } else {
        seal::write_private(file, format!("{}\n", *Passphrase::random()?).as_bytes()).map_err(at(file))?;
        made.new.push(file.to_owned());
    }
    Ok(())
}

fn spoke_toml(options: &InitOptions) -> String {
    // A TOML string, whatever stands in it: names of controllers come from people.
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = SPOKE_TOML.to_owned();
    if options.separate_ingest {
        for (from, to) in SEPARATE {
            text = text.replace(from, to);
        }
    }
    text.replace("{controller}", options.controller.as_str())
        .replace("\"{da}\"", &quoted(&options.title_da))
        .replace("\"{en}\"", &quoted(&options.title_en))
        .replace("\"{listen}\"", &quoted(&options.listen))
        .replace("\"{hub}\"", &quoted(&options.hub))
        .replace("\"{custodian}\"", &quoted(&options.custodian))
        .replace("\"{custodian_name}\"", &quoted(&options.custodian_name))
}

fn text_file(made: &mut Made, path: &Path, text: &str) -> Result<(), InitError> {
    match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at(path))?;
            made.new.push(path.to_owned());
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => made.kept.push(path.to_owned()),
        Err(error) => return Err(at(path)(error)),
    }
    Ok(())
}

/// A folder that its owner alone can open; one that exists keeps its mode.
fn private_folder(path: &Path) -> Result<(), InitError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> InitError {
    let path = path.to_owned();
    move |source| InitError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn options(folder: &Path, controller: &str) -> InitOptions {
        InitOptions {
            folder: folder.to_owned(),
            controller: controller.parse().unwrap(),
            title_da: "Region \"H\"".to_owned(),
            title_en: "Capital Region".to_owned(),
            listen: "127.0.0.1:7101".to_owned(),
            hub: "main".to_owned(),
            custodian: "127.0.0.1:7100".to_owned(),
            custodian_name: "national".to_owned(),
            separate_ingest: false,
        }
    }

    #[test]
    fn a_new_folder_is_complete_and_a_second_run_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(&folder.path().join("h"), "region-h");
        let first = run(&options).unwrap();
        assert_eq!(first.kept, Vec::<PathBuf>::new());
        assert_eq!(first.new.len(), 8);
        let config = SpokeConfig::load(&options.folder.join("spoke.toml")).unwrap();
        assert_eq!(config.title.da, "Region \"H\"");
        let secrets = [
            config.keys.passphrase_file.clone(),
            config.store_key(),
            config.cache_key(),
            config.identity_key(),
            config.signing_key(),
        ];
        let before: Vec<_> = secrets.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for path in &secrets {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
        let second = run(&options).unwrap();
        assert_eq!(second.new, Vec::<PathBuf>::new());
        assert_eq!(second.kept.len(), 8);
        let after: Vec<_> = secrets.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn with_separate_users_the_passphrase_of_serve_opens_nothing_of_ingest() {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions { separate_ingest: true, ..options(&folder.path().join("h"), "region-h") };
        run(&options).unwrap();
        assert_eq!(run(&options).unwrap().new, Vec::<PathBuf>::new());
        let config = SpokeConfig::load(&options.folder.join("spoke.toml")).unwrap();
        let (serve, ingest) = (config.passphrase().unwrap(), config.ingest_passphrase().unwrap());
        assert!(!serve.same(&ingest));
        assert!(CacheKey::load(&config.cache_key(), &serve).is_err());
        assert!(CacheKey::load(&config.cache_key(), &ingest).is_ok());
        assert!(Identity::load(&config.identity_key(), &ingest).is_err());
        let copy = config.ingest_keys_dir().join("store.key");
        assert!(StoreKey::load(&copy, &serve).is_err());
        let (own, its) = (StoreKey::load(&config.store_key(), &serve), StoreKey::load(&copy, &ingest));
        assert_eq!(own.unwrap().kid(), its.unwrap().kid());
        assert!(!config.keys_dir().join("cache.key").exists());
        assert_eq!(config.custodian.unwrap().key, config.folder.join("ingest/custodian-link.key"));
        assert_eq!(config.store.state, config.folder.join("state/state.db"));
    }

    #[test]
    fn another_controllers_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        run(&options(folder.path(), "region-h")).unwrap();
        let error = run(&options(folder.path(), "region-m")).unwrap_err();
        assert!(error.to_string().contains("'region-h', not of 'region-m'"), "{error}");
    }

    #[test]
    fn a_wrong_option_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), "region-h");
        options.listen = "everywhere".to_owned();
        let error = run(&options).unwrap_err();
        assert!(error.to_string().contains("IP:PORT"), "{error}");
        assert!(!folder.path().join("spoke.toml").exists());
    }

    #[test]
    fn the_sample_can_be_used_as_it_stands() {
        crate::declare::parse_all([("example.toml", EXAMPLE_TABLE)]).unwrap();
    }
}
