//! Parts and decisions: what goes in and what comes out.

use super::*;

pub(in crate::serve::tests) fn part() -> Part {
    let form: Form = toml::from_str(EXAMPLE).unwrap();
    let application = form.check().unwrap();
    application.split().into_iter().find(|part| part.controller.as_str() == "region-h").unwrap()
}

async fn deliver(hub: &mut Hub, part: &Part) -> Result<Vec<u8>, Refusal> {
    hub.act(PART_ACTION, PartRequest { part: part.to_json() }.encode_to_vec()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_overwrites_a_part_that_was_decided_on() {
    let (spoke, _server, mut hub) = with_permit().await;
    let mut asked = part();
    deliver(&mut hub, &asked).await.unwrap();
    let waiting = spoke.config.inbox_dir().join(format!("{}.json", asked.id));
    assert!(waiting.exists());
    crate::approve::inbox::Inbox::from(&spoke.config).settle(asked.id).unwrap();
    let decided = spoke.config.inbox_dir().join("decided").join(format!("{}.json", asked.id));
    let before = std::fs::read(&decided).unwrap();
    asked.title = "Something else".to_owned();
    deliver(&mut hub, &asked).await.unwrap();
    assert_eq!(std::fs::read(&decided).unwrap(), before);
    assert!(!waiting.exists(), "it waits again");
    // Nor one whose permit alone says that it was decided on.
    let mut granted = permit("diabetes");
    asked.id = PartId::new();
    granted.part = asked.id;
    spoke.sign(granted);
    deliver(&mut hub, &asked).await.unwrap();
    assert!(!spoke.config.inbox_dir().join(format!("{}.json", asked.id)).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_floods_the_inbox() {
    let (spoke, _server, mut hub) = with_permit().await;
    let mut asked = part();
    for n in 0..crate::approve::inbox::MAX_WAITING {
        asked.id = PartId::new();
        deliver(&mut hub, &asked).await.unwrap_or_else(|refusal| panic!("{n}: {refusal}"));
    }
    // One that waits may come again; one more may not.
    deliver(&mut hub, &asked).await.unwrap();
    asked.id = PartId::new();
    let refusal = deliver(&mut hub, &asked).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Exhausted);
    assert_eq!(std::fs::read_dir(spoke.config.inbox_dir()).unwrap().count(), crate::approve::inbox::MAX_WAITING);
    let large = PartRequest { part: vec![b' '; (1 << 20) + 1] }.encode_to_vec();
    assert_eq!(hub.act(PART_ACTION, large).await.unwrap_err().kind, Kind::TooLarge);
    for wrong in [b"{}".to_vec(), b"../../etc/passwd".to_vec(), Vec::new()] {
        let refusal = hub.act(PART_ACTION, PartRequest { part: wrong }.encode_to_vec()).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Invalid);
    }
    asked.controller = "dst".parse().unwrap();
    assert_eq!(deliver(&mut hub, &asked).await.unwrap_err().kind, Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hub_gets_only_signed_decisions_and_no_other_files() {
    let (spoke, _server, mut hub) = with_permit().await;
    let own = SigningKey::generate().unwrap();
    let stranger = permit("cancer");
    spoke.put(stranger.id, SignedPermit::sign(stranger.clone(), &own).unwrap().compact());
    std::fs::write(spoke.config.permits_dir().join("notes.jws"), "between us").unwrap();
    let ask = |seen: Vec<String>| DecisionsRequest { seen }.encode_to_vec();
    let told = DecisionsReply::decode(hub.act(DECISIONS_ACTION, ask(vec![])).await.unwrap().as_slice()).unwrap();
    assert_eq!(told.statements.len(), 1);
    SignedPermit::verify(&told.statements[0], [&spoke.approver.public()]).unwrap();
    let seen = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&told.statements[0]));
    let told = DecisionsReply::decode(hub.act(DECISIONS_ACTION, ask(vec![seen])).await.unwrap().as_slice()).unwrap();
    assert!(told.statements.is_empty());
}
