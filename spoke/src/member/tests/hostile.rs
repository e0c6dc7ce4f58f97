//! What a hostile hub, or a hostile spoke, tries.

use super::*;
use crate::pseudonym::project_key::{ProjectKeyError, SealedKey};

/// A key that `by` makes as if it were the lead: record and sealed key for `to`.
fn forged(
    by: &Party,
    to: &Party,
    members: Vec<permit::Member>,
    change: impl FnOnce(&mut EpochRecord),
) -> (String, Vec<u8>) {
    let held = Held::new(project(), 1).unwrap();
    let mut record = EpochRecord {
        project: project(),
        epoch: 1,
        key_id: held.key_id(),
        members,
        lead: by.id().clone(),
        sealing: by.member.sealing.public().to_string(),
        signing: by.member.signing.public(),
        at: Utc::now(),
    };
    change(&mut record);
    let sealed = held.seal_to((&record.lead, &by.member.sealing), to.id(), to.member.sealing.public()).unwrap();
    (record.sign(&by.member.signing).unwrap(), sealed.to_bytes().unwrap())
}

#[test]
fn hostile_hub_makes_up_a_member() {
    let (sds, dst, region) = three();
    // a controller that no permit names
    let mallory = Party::new("mallory");
    mallory.permit("diabetes", vec![sds.named(), dst.named(), region.named(), mallory.named()]);
    let error = cause(sds.make(&[dst.accept(), mallory.accept()]).unwrap_err());
    assert_eq!(error, EpochError::Stranger(mallory.id().clone(), "a member"));
    // a controller that the permit names, with keys of the hub's own
    let impostor = Party::new("region-h");
    impostor.permit("diabetes", vec![sds.named(), dst.named(), impostor.named()]);
    let error = cause(sds.make(&[dst.accept(), impostor.accept()]).unwrap_err());
    assert!(matches!(error, EpochError::Fingerprint { key: "signing", .. }), "{error}");
    assert!(sds.holds().is_none());
}

#[test]
fn hostile_hub_puts_its_own_sealing_key_into_an_acceptance() {
    let (sds, dst, region) = three();
    let hub = Party::new("hub");
    let sealing = hub.member.sealing.public().to_string();
    // signed by the member itself, as if its spoke had been tricked
    let tricked = region.acceptance(&region.member.signing, |a| a.sealing.clone_from(&sealing));
    let error = cause(sds.make(&[dst.accept(), tricked]).unwrap_err());
    assert!(matches!(error, EpochError::Fingerprint { key: "sealing", .. }), "{error}");
    // or changed on the way: then the signature doesn't fit
    let changed = region.acceptance(&hub.member.signing, |a| a.permit = PermitId::new());
    let error = cause(sds.make(&[dst.accept(), changed]).unwrap_err());
    assert!(matches!(error, EpochError::Statement(_)), "{error}");
}

#[test]
fn hostile_acceptance_signed_by_another_member() {
    let (sds, dst, region) = three();
    let for_another = dst.acceptance(&dst.member.signing, |a| a.controller = region.id().clone());
    let error = cause(sds.make(&[dst.accept(), for_another]).unwrap_err());
    assert!(matches!(error, EpochError::Fingerprint { key: "signing", .. }), "{error}");
}

#[test]
fn hostile_hub_replays_an_old_acceptance() {
    let (sds, dst, region) = three();
    let stale = region.acceptance(&region.member.signing, |a| a.at = Utc::now() - Duration::hours(25));
    let error = cause(sds.make(&[dst.accept(), stale]).unwrap_err());
    assert!(matches!(error, EpochError::Stale { .. }), "{error}");
    let ahead = region.acceptance(&region.member.signing, |a| a.at = Utc::now() + Duration::hours(1));
    assert!(matches!(cause(sds.make(&[ahead]).unwrap_err()), EpochError::Stale { .. }));
    // one that was superseded, though it is of the same day
    let before = dst.accept();
    sds.make(&[dst.accept(), region.accept()]).unwrap();
    let error = sds.make(&[before, region.accept()]).unwrap_err();
    assert!(matches!(&error, MemberError::Replayed(who) if who == dst.id()), "{error}");
    // one of another project
    let members = vec![sds.named(), dst.named(), region.named()];
    for party in [&sds, &dst] {
        party.permit("cancer", members.clone());
    }
    let cancer = dst.member.accept(&"cancer".parse().unwrap()).unwrap().unwrap();
    let error = cause(sds.make(&[cancer]).unwrap_err());
    assert!(matches!(error, EpochError::Project { .. }), "{error}");
}

#[test]
fn hostile_hub_swaps_sealed_keys_between_members() {
    let (sds, dst, region) = three();
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let error = dst.member.take_epoch(&made.record, made.of(&region)).unwrap_err();
    assert!(matches!(error, MemberError::Differs("receiver")), "{error}");
    // with the receiver's name changed it doesn't open
    let text = String::from_utf8(made.of(&region).to_vec()).unwrap();
    let renamed = text
        .replace("region-h", "dst")
        .replace(&region.member.sealing.fingerprint(), &dst.member.sealing.fingerprint());
    let error = dst.member.take_epoch(&made.record, renamed.as_bytes()).unwrap_err();
    assert!(matches!(error, MemberError::ProjectKey(ProjectKeyError::Altered)), "{error}");
    assert!(dst.holds().is_none());
}

#[test]
fn hostile_hub_seals_a_key_of_its_own() {
    let (sds, dst, region) = three();
    let hub = Party::new("hub");
    let members = vec![sds.named(), dst.named(), region.named()];
    // it says that it is the lead
    let (record, sealed) = forged(&hub, &dst, members.clone(), |record| record.lead = sds.id().clone());
    let error = cause(dst.member.take_epoch(&record, &sealed).unwrap_err());
    assert!(matches!(error, EpochError::Fingerprint { key: "signing", .. }), "{error}");
    // it says who it is
    let (record, sealed) = forged(&hub, &dst, members.clone(), |_| {});
    assert!(matches!(cause(dst.member.take_epoch(&record, &sealed).unwrap_err()), EpochError::Stranger(..)));
    // it puts a key that it knows under the lead's own record
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let held = Held::new(project(), 1).unwrap();
    let own = held.seal_to((sds.id(), &hub.member.sealing), dst.id(), dst.member.sealing.public()).unwrap();
    let error = dst.member.take_epoch(&made.record, &own.to_bytes().unwrap()).unwrap_err();
    assert!(matches!(error, MemberError::Differs("maker's HPKE key")), "{error}");
    // and claims the lead's HPKE key in it
    let text = String::from_utf8(own.to_bytes().unwrap()).unwrap();
    let claimed = text.replace(&hub.member.sealing.public().to_string(), &sds.member.sealing.public().to_string());
    let error = dst.member.take_epoch(&made.record, claimed.as_bytes()).unwrap_err();
    assert!(matches!(error, MemberError::ProjectKey(ProjectKeyError::Altered)), "{error}");
    assert!(dst.holds().is_none());
}

#[test]
fn hostile_lead_gives_another_key_than_its_record_says() {
    let (sds, dst, region) = three();
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let other = Held::new(project(), 1).unwrap();
    let sealed = other.seal_to((sds.id(), &sds.member.sealing), dst.id(), dst.member.sealing.public()).unwrap();
    let error = dst.member.take_epoch(&made.record, &sealed.to_bytes().unwrap()).unwrap_err();
    assert!(matches!(error, MemberError::Differs("key id")), "{error}");
    // a key of another epoch than the record's
    let sealed = Held::new(project(), 2).unwrap();
    let sealed = sealed.seal_to((sds.id(), &sds.member.sealing), dst.id(), dst.member.sealing.public()).unwrap();
    let error = dst.member.take_epoch(&made.record, &sealed.to_bytes().unwrap()).unwrap_err();
    assert!(matches!(error, MemberError::Differs("epoch")), "{error}");
}

#[test]
fn hostile_hub_gives_the_key_of_another_project() {
    let (sds, dst, region) = three();
    let cancer: ProjectId = "cancer".parse().unwrap();
    let members = vec![sds.named(), dst.named(), region.named()];
    for party in [&sds, &dst, &region] {
        party.permit("cancer", members.clone());
    }
    // both of epoch 1, by the same lead and for the same members
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let accepted = dst.member.accept(&cancer).unwrap().unwrap();
    let other = sds.member.make_epoch(&cancer, &[accepted], 0).unwrap();
    let error = dst.member.take_epoch(&made.record, other.of(&dst)).unwrap_err();
    assert!(matches!(error, MemberError::Differs("project")), "{error}");
    // with the project's name changed it doesn't open, and the record of the other project isn't signed so
    let text = String::from_utf8(other.of(&dst).to_vec()).unwrap();
    let renamed = text.replace("cancer", project().as_ref());
    let error = dst.member.take_epoch(&made.record, renamed.as_bytes()).unwrap_err();
    assert!(matches!(error, MemberError::ProjectKey(ProjectKeyError::Altered)), "{error}");
    let error = dst.member.take_epoch(&other.record, made.of(&dst)).unwrap_err();
    assert!(matches!(error, MemberError::Differs("project")), "{error}");
    assert!(dst.holds().is_none());
    // nor is it taken for a project that the own controller doesn't permit
    dst.permits.live.lock().unwrap().remove(&cancer);
    let error = other.take(&dst).unwrap_err();
    assert!(matches!(error, MemberError::NoPermit(_)), "{error}");
    made.take(&dst).unwrap();
}

#[test]
fn hostile_record_by_a_member_that_is_not_lead() {
    let (sds, dst, region) = three();
    let members = vec![sds.named(), dst.named(), region.named()];
    let (record, sealed) = forged(&region, &dst, members.clone(), |_| {});
    let error = cause(dst.member.take_epoch(&record, &sealed).unwrap_err());
    assert!(matches!(error, EpochError::Stranger(..)), "{error}");
    // nor does it make one when it is asked
    let error = region.make(&[dst.accept()]).unwrap_err();
    assert!(matches!(error, MemberError::NotMaker { .. }), "{error}");
}

#[test]
fn hostile_old_record_is_replayed() {
    let (sds, dst, region) = three();
    let first = sds.make(&[dst.accept(), region.accept()]).unwrap();
    first.take(&dst).unwrap();
    let second = sds.make(&[dst.accept()]).unwrap();
    second.take(&dst).unwrap();
    let now = dst.holds();
    let error = first.take(&dst).unwrap_err();
    assert!(matches!(error, MemberError::Older { found: 1, known: 2, .. }), "{error}");
    // the same epoch, made a second time
    let (record, sealed) = forged(&sds, &dst, vec![sds.named(), dst.named()], |record| record.epoch = 2);
    let error = dst.member.take_epoch(&record, &sealed).unwrap_err();
    assert!(matches!(error, MemberError::Conflict { epoch: 2, .. }), "{error}");
    assert_eq!(dst.holds(), now);
}

#[test]
fn hostile_hub_tells_two_spokes_of_different_members() {
    let (sds, dst, region) = three();
    let fourth = Party::new("sds-2");
    // dst was told of one more: its acceptance is not the lead's set
    dst.permit("diabetes", vec![sds.named(), dst.named(), region.named(), fourth.named()]);
    let error = cause(sds.make(&[dst.accept(), region.accept()]).unwrap_err());
    assert_eq!(error, EpochError::Disagree(fourth.id().clone()));
    // dst was told of other keys for region-h
    let impostor = Party::new("region-h");
    dst.permit("diabetes", vec![sds.named(), dst.named(), impostor.named()]);
    let error = cause(sds.make(&[dst.accept(), region.accept()]).unwrap_err());
    assert_eq!(error, EpochError::Disagree(region.id().clone()));
    // the lead was told of one more: dst, who doesn't name it, refuses the key that it gets with it
    dst.permit("diabetes", vec![sds.named(), dst.named()]);
    let (record, sealed) = forged(&sds, &dst, vec![sds.named(), dst.named(), region.named()], |_| {});
    let error = cause(dst.member.take_epoch(&record, &sealed).unwrap_err());
    assert_eq!(error, EpochError::Disagree(region.id().clone()));
    // and an honest lead leaves out whom dst doesn't name
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    assert_eq!(made.keys.iter().map(|(to, _)| to).collect::<Vec<_>>(), [dst.id()]);
}

#[test]
fn hostile_newcomer_that_one_member_does_not_name() {
    let (sds, dst, region) = three();
    let newcomer = Party::new("zealand");
    sds.make(&[dst.accept(), region.accept()]).unwrap();
    let four = vec![sds.named(), dst.named(), region.named(), newcomer.named()];
    for party in [&sds, &region, &newcomer] {
        party.permit("diabetes", four.clone());
    }
    let made = sds.make(&[dst.accept(), region.accept(), newcomer.accept()]).unwrap();
    assert_eq!(made.epoch(), 1);
    assert!(!made.keys.iter().any(|(to, _)| to == newcomer.id()));
    assert_eq!(made.left_out.len(), 1);
}

#[test]
fn hostile_hub_tells_the_deputy_that_the_lead_is_away() {
    let (sds, dst, region) = three();
    let error = dst.make(&[sds.accept(), region.accept()]).unwrap_err();
    assert!(matches!(&error, MemberError::LeadIsThere(lead) if lead == sds.id()), "{error}");
    assert!(dst.holds().is_none());
    // two members who were told of different leads share nothing
    region.permit("diabetes", vec![dst.named(), sds.named(), region.named()]);
    let error = cause(sds.make(&[region.accept()]).unwrap_err());
    assert_eq!(error, EpochError::Lead(region.id().clone()));
}

#[test]
fn hostile_spoke_opens_a_key_of_a_project_that_it_is_not_in() {
    let (sds, dst, region) = three();
    let stranger = Party::new("stranger");
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let sealed = SealedKey::from_bytes(made.of(&dst)).unwrap();
    assert!(matches!(sealed.open(&stranger.member.sealing), Err(ProjectKeyError::Recipient { .. })));
    let text = String::from_utf8(made.of(&dst).to_vec()).unwrap();
    let mine = text.replace(&dst.member.sealing.fingerprint(), &stranger.member.sealing.fingerprint());
    let mine = SealedKey::from_bytes(mine.as_bytes()).unwrap();
    assert!(matches!(mine.open(&stranger.member.sealing), Err(ProjectKeyError::Altered)));
    let error = stranger.member.take_epoch(&made.record, made.of(&dst)).unwrap_err();
    assert!(matches!(error, MemberError::NoPermit(_)), "{error}");
    // also with a permit of its own approver that nobody else has signed
    stranger.permit("diabetes", vec![sds.named(), dst.named(), region.named(), stranger.named()]);
    let error = cause(stranger.member.take_epoch(&made.record, made.of(&dst)).unwrap_err());
    assert_eq!(error, EpochError::NotMember);
}

#[test]
fn hostile_hub_makes_epochs_run_away() {
    let (sds, dst, region) = three();
    let both = || vec![dst.accept(), region.accept()];
    let error = sds.member.make_epoch(&project(), &both(), u32::MAX - 1).unwrap_err();
    assert!(matches!(error, MemberError::Leap { own: 0, .. }), "{error}");
    // members that come and go by the hub's word alone
    let mut last = 0;
    for _ in 0..6 {
        sds.make(&both()).unwrap();
        last = sds.make(&[dst.accept()]).unwrap().epoch();
    }
    assert_eq!(last, 12);
    let error = sds.make(&both()).unwrap_err();
    assert!(matches!(error, MemberError::TooMany(12)), "{error}");
}
