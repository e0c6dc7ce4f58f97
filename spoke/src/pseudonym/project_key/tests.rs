//! A project key's forms: sealed to a member, sealed under the own passphrase, gone.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::pseudonym::{Recoder, Role, StoreKey, identity::PublicKey, init_keys};
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
        Self { folder, controller: controller.parse().unwrap(), identity, pass }
    }

    fn projects(&self) -> PathBuf {
        self.folder.path().join("projects")
    }

    fn seal(&self, held: &Held, to: &Spoke) -> SealedKey {
        held.seal_to((&self.controller, &self.identity), &to.controller, to.identity.public()).unwrap()
    }

    fn store(&self) -> StoreKey {
        StoreKey::load(&self.folder.path().join("keys/store.key"), &self.pass).unwrap()
    }
}

fn project() -> ProjectId {
    "diabetes".parse().unwrap()
}

#[test]
fn a_member_opens_the_makers_key_and_people_match() {
    let (lead, member) = (Spoke::new("sds"), Spoke::new("region-h"));
    let held = Held::new(project(), 1).unwrap();
    let bytes = lead.seal(&held, &member).to_bytes().unwrap();
    let taken = SealedKey::from_bytes(&bytes).unwrap().open(&member.identity).unwrap();
    assert_eq!((taken.key_id(), taken.epoch()), (held.key_id(), 1));
    held.store(&lead.projects(), &lead.pass).unwrap();
    taken.store(&member.projects(), &member.pass).unwrap();
    // it is the same key: a person matches across the two spokes
    let pseudonym = |spoke: &Spoke| {
        let key = ProjectKey::load(&path_of(&spoke.projects(), &project()), &spoke.pass).unwrap();
        let store = spoke.store();
        let column = arrow::array::FixedSizeBinaryArray::try_from_iter([store.stored_person(&[5; 16])].iter()).unwrap();
        Recoder::new(&store, &key, Role::Person).forward(&column).unwrap().value(0).to_vec()
    };
    assert_eq!(pseudonym(&lead), pseudonym(&member));
    // the key itself stands in no file and in no message
    let file = std::fs::read(path_of(&lead.projects(), &project())).unwrap();
    for bytes in [&file, &bytes] {
        assert!(!bytes.windows(32).any(|window| window == held.secret.0));
        assert!(!String::from_utf8_lossy(bytes).contains(&hex::encode(held.secret.0)));
    }
}

#[test]
fn what_is_not_for_this_spoke_or_was_changed_does_not_open() {
    let (lead, member, other) = (Spoke::new("sds"), Spoke::new("region-h"), Spoke::new("region-m"));
    let sealed = lead.seal(&Held::new(project(), 1).unwrap(), &member);
    let error = sealed.open(&other.identity).unwrap_err();
    assert!(matches!(error, ProjectKeyError::Recipient { .. }), "{error}");
    assert!(error.to_string().contains(&other.identity.fingerprint()), "{error}");
    let text = String::from_utf8(sealed.to_bytes().unwrap()).unwrap();
    let open = |text: &str| SealedKey::from_bytes(text.as_bytes()).and_then(|sealed| sealed.open(&member.identity));
    let sender = lead.identity.public().to_string();
    for (from, to) in [
        ("\"diabetes\"", "\"asthma\""),
        ("\"epoch\":1", "\"epoch\":2"),
        ("\"from\":\"sds\"", "\"from\":\"dst\""),
        ("\"to\":\"region-h\"", "\"to\":\"region-m\""),
        (sender.as_str(), &other.identity.public().to_string()),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        let error = open(&text.replace(from, to)).unwrap_err();
        assert!(matches!(error, ProjectKeyError::Altered), "{from}: {error}");
    }
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["ciphertext", "encapsulated_key"] {
        let mut value = value.clone();
        let old = value[field].as_str().unwrap().to_owned();
        let first = if old.starts_with('A') { "B" } else { "A" };
        value[field] = format!("{first}{}", &old[1..]).into();
        assert!(matches!(open(&value.to_string()), Err(ProjectKeyError::Altered)), "{field}");
        value[field] = "no base64!".into();
        assert!(matches!(open(&value.to_string()), Err(ProjectKeyError::Altered)), "{field}");
    }
    assert!(matches!(open("{}"), Err(ProjectKeyError::Format(_))));
    assert!(matches!(open(&text.replace("key-1", "key-9")), Err(ProjectKeyError::Format(_))));
    assert!(matches!(open(&" ".repeat(65 * 1024)), Err(ProjectKeyError::Format(_))));
    assert!(open(&text).is_ok());
}

#[test]
fn a_key_file_is_bound_to_its_project_and_passphrase() {
    let lead = Spoke::new("sds");
    Held::new(project(), 1).unwrap().store(&lead.projects(), &lead.pass).unwrap();
    let path = path_of(&lead.projects(), &project());
    let renamed = path.with_file_name("asthma.key");
    std::fs::copy(&path, &renamed).unwrap();
    assert!(matches!(ProjectKey::load(&renamed, &lead.pass), Err(KeyError::Sealed { .. })));
    let error = ProjectKey::load(&path, &Passphrase::from_text("x")).unwrap_err().to_string();
    assert!(error.contains("diabetes.key") && error.contains("passphrase is wrong"), "{error}");
    assert!(destroy(&lead.projects(), &project()).unwrap());
    let missing = ProjectKey::load(&path, &lead.pass).unwrap_err().to_string();
    assert!(missing.contains("diabetes.key"), "{missing}");
    assert!(!destroy(&lead.projects(), &project()).unwrap());
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
