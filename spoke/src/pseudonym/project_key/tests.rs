//! A project key's way from the lead to the members.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::pseudonym::{Recoder, Role, StoreKey, init_keys};
use tempfile::TempDir;

struct Spoke {
    folder: TempDir,
    controller: ControllerId,
    identity: Identity,
    pass: Passphrase,
}

impl Spoke {
    fn new(controller: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pass = Passphrase::from_text(controller);
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        let identity = init_keys(&folder.path().join("keys"), &pass).unwrap();
        std::fs::create_dir(folder.path().join("projects")).unwrap();
        Self { folder, controller: controller.parse().unwrap(), identity, pass }
    }

    fn projects(&self) -> PathBuf {
        self.folder.path().join("projects")
    }

    fn member(&self) -> (ControllerId, PublicKey) {
        (self.controller.clone(), self.identity.public().to_string().parse().unwrap())
    }

    fn create(&self, members: &[&Spoke], new_epoch: bool) -> Result<Shared, ProjectKeyError> {
        let projects = self.projects();
        let members: Vec<_> = members.iter().map(|spoke| spoke.member()).collect();
        create(&project(), self.own(&projects), &members, &self.folder.path().join("out"), new_epoch)
    }

    fn import(&self, file: &Path) -> Result<Imported, ProjectKeyError> {
        import(file, self.own(&self.projects()), None)
    }

    fn own<'a>(&'a self, projects: &'a Path) -> Own<'a> {
        Own { controller: &self.controller, identity: &self.identity, projects, pass: &self.pass }
    }

    fn key(&self) -> ProjectKey {
        ProjectKey::load(&path_of(&self.projects(), &project()), &self.pass).unwrap()
    }

    fn store(&self) -> StoreKey {
        StoreKey::load(&self.folder.path().join("keys/store.key"), &self.pass).unwrap()
    }
}

fn project() -> ProjectId {
    "diabetes".parse().unwrap()
}

#[test]
fn members_get_the_leads_key() {
    let (lead, member) = (Spoke::new("sds"), Spoke::new("region-h"));
    let made = lead.create(&[&member], false).unwrap();
    assert_eq!((made.epoch, made.members.len()), (1, 1));
    let file = &made.members[0].1;
    assert_eq!(file.file_name().unwrap(), "diabetes.region-h.projectkey");
    let taken = member.import(file).unwrap();
    assert!(taken.new);
    assert_eq!(taken.lead, lead.controller);
    assert_eq!(taken.lead_fingerprint, lead.identity.fingerprint());
    assert_eq!((taken.kid.as_str(), taken.epoch), (made.kid.as_str(), 1));
    assert_eq!(member.key().kid(), lead.key().kid());
    // the same file again changes nothing
    assert!(!member.import(file).unwrap().new);
    // and it is the same key: a person matches across the two spokes
    let p = [5; 16];
    let (one, two) = (lead.store(), member.store());
    let pseudonym = |store: &StoreKey, key: &ProjectKey| {
        let column = arrow::array::FixedSizeBinaryArray::try_from_iter([store.stored_person(&p)].iter()).unwrap();
        Recoder::new(store, key, Role::Person).forward(&column).unwrap().value(0).to_vec()
    };
    assert_eq!(pseudonym(&one, &lead.key()), pseudonym(&two, &member.key()));
    // the key itself stands in no file
    let secret = Held::load(&made.own, &lead.pass).unwrap().secret.0;
    for path in [&made.own, file] {
        let bytes = std::fs::read(path).unwrap();
        assert!(!bytes.windows(32).any(|window| window == secret));
        assert!(!String::from_utf8_lossy(&bytes).contains(&hex::encode(secret)));
    }
}

#[test]
fn what_is_not_for_this_spoke_or_was_changed_does_not_open() {
    let (lead, member, other) = (Spoke::new("sds"), Spoke::new("region-h"), Spoke::new("region-m"));
    let made = lead.create(&[&member], false).unwrap();
    let file = &made.members[0].1;
    let error = other.import(file).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Recipient { .. }), "{error}");
    assert!(
        error.to_string().contains(&other.identity.fingerprint()) && error.to_string().contains("region-h"),
        "{error}"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let changed = member.folder.path().join("changed.projectkey");
    let import_as = |text: &str| {
        std::fs::write(&changed, text).unwrap();
        member.import(&changed).unwrap_err()
    };
    let sender = lead.identity.public().to_string();
    for (from, to) in [
        ("\"diabetes\"", "\"asthma\""),
        ("\"epoch\": 1", "\"epoch\": 2"),
        ("\"from\": \"sds\"", "\"from\": \"dst\""),
        ("\"to\": \"region-h\"", "\"to\": \"region-m\""),
        (sender.as_str(), &other.identity.public().to_string()),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        let error = import_as(&text.replace(from, to));
        assert!(matches!(error, ProjectKeyError::Altered { .. }), "{from}: {error}");
    }
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["ciphertext", "encapsulated_key"] {
        let mut value = value.clone();
        let old = value[field].as_str().unwrap().to_owned();
        let first = if old.starts_with('A') { "B" } else { "A" };
        value[field] = format!("{first}{}", &old[1..]).into();
        assert!(matches!(import_as(&value.to_string()), ProjectKeyError::Altered { .. }), "{field}");
        value[field] = "no base64!".into();
        assert!(matches!(import_as(&value.to_string()), ProjectKeyError::Altered { .. }), "{field}");
    }
    assert!(matches!(import_as("{}"), ProjectKeyError::Format { .. }));
    assert!(matches!(import_as(&text.replace("key-1", "key-9")), ProjectKeyError::Format { .. }));
    assert!(matches!(member.import(Path::new("/nowhere")).unwrap_err(), ProjectKeyError::Io { .. }));
    assert!(!path_of(&member.projects(), &project()).exists());
    assert!(member.import(file).is_ok());
}

#[test]
fn epochs_go_forward_only() {
    let (lead, member) = (Spoke::new("sds"), Spoke::new("region-h"));
    let first = lead.create(&[&member], false).unwrap();
    let old = member.folder.path().join("old.projectkey");
    std::fs::copy(&first.members[0].1, &old).unwrap();
    let error = lead.create(&[&member], false).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Exists { epoch: 1, .. }), "{error}");
    let second = lead.create(&[&member], true).unwrap();
    assert_eq!(second.epoch, 2);
    assert_ne!(first.kid, second.kid);
    assert_eq!(member.import(&second.members[0].1).unwrap().epoch, 2);
    let error = member.import(&old).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Older { found: 1, present: 2, .. }), "{error}");
    assert_eq!(member.key().kid(), second.kid);
}

#[test]
fn only_the_lead_that_is_known_is_believed() {
    let (lead, member, other) = (Spoke::new("sds"), Spoke::new("region-h"), Spoke::new("region-m"));
    let forged = other.create(&[&member], false).unwrap();
    let right = lead.create(&[&member], false).unwrap();
    let (projects, key) = (member.projects(), lead.identity.public());
    let error = import(&forged.members[0].1, member.own(&projects), Some(key)).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Lead { .. }), "{error}");
    import(&right.members[0].1, member.own(&projects), Some(key)).unwrap();
    // from then on the lead is remembered
    let error = member.import(&forged.members[0].1).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Lead { .. }), "{error}");
    // a member makes no epochs and gives nothing on
    let error = member.create(&[&other], true).unwrap_err();
    assert!(matches!(error, ProjectKeyError::NotLead { .. }), "{error}");
    let out = member.folder.path().join("out");
    assert!(matches!(
        share(&project(), member.own(&projects), &[other.member()], &out).unwrap_err(),
        ProjectKeyError::NotLead { .. }
    ));
    // the lead gives the same key to a newcomer
    let shared = share(&project(), lead.own(&lead.projects()), &[other.member()], &out).unwrap();
    assert_eq!(shared.kid, right.kid);
}

#[test]
fn a_key_file_is_bound_to_its_project_and_passphrase() {
    let lead = Spoke::new("sds");
    let made = lead.create(&[], false).unwrap();
    let renamed = made.own.with_file_name("asthma.key");
    std::fs::copy(&made.own, &renamed).unwrap();
    assert!(matches!(ProjectKey::load(&renamed, &lead.pass), Err(KeyError::Sealed { .. })));
    let error = ProjectKey::load(&made.own, &Passphrase::from_text("x")).unwrap_err().to_string();
    assert!(error.contains("diabetes.key") && error.contains("passphrase is wrong"), "{error}");
    let missing = ProjectKey::load(&made.own.with_file_name("none.key"), &lead.pass).unwrap_err().to_string();
    assert!(missing.contains("none.key"), "{missing}");
}

#[test]
fn keys_are_made_once_and_are_private() {
    let spoke = Spoke::new("sds");
    let keys = spoke.folder.path().join("keys");
    let again = init_keys(&keys, &spoke.pass).unwrap();
    assert_eq!(again.public(), spoke.identity.public());
    assert!(matches!(StoreKey::create(&keys.join("store.key"), &spoke.pass), Err(KeyError::Exists { .. })));
    assert!(init_keys(&keys, &Passphrase::from_text("x")).is_err());
    #[cfg(unix)]
    for name in ["store.key", "cache.key", "identity.key"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(keys.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(spoke.identity.fingerprint().len(), 8 * 4 + 7);
    assert!("zz".parse::<PublicKey>().is_err());
}
