//! What honest members do.

use super::*;

#[test]
fn the_lead_makes_a_key_and_every_member_takes_it() {
    let (sds, dst, region) = three();
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    assert_eq!((made.epoch(), made.keys.len(), made.left_out.len()), (1, 2, 0));
    assert_eq!((made.take(&dst).unwrap(), made.take(&region).unwrap()), (1, 1));
    // again changes nothing
    assert_eq!(made.take(&dst).unwrap(), 1);
    assert!(sds.holds().is_some() && sds.holds() == dst.holds() && dst.holds() == region.holds());
    let told = Acceptance::claimed(&dst.accept()).unwrap();
    assert_eq!(told.holds, dst.holds());
    let epochs = |party: &Party| -> Vec<String> {
        party.audit().iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((epochs(&sds), epochs(&dst)), (vec!["made".to_owned()], vec!["taken".to_owned()]));
}

#[test]
fn as_long_as_the_members_stay_the_same_the_key_does() {
    let (sds, dst, region) = three();
    let first = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let again = sds.make(&[region.accept(), dst.accept()]).unwrap();
    assert_eq!(first.record, again.record);
    assert_eq!(again.take(&region).unwrap(), 1);
    // an amended permit with the same members is no reason either
    dst.permit("diabetes", vec![sds.named(), dst.named(), region.named()]);
    assert_eq!(sds.make(&[dst.accept(), region.accept()]).unwrap().record, first.record);
    // a member that never got it can still have it
    assert_eq!(first.take(&dst).unwrap(), 1);
}

#[test]
fn a_newcomer_gets_a_key_when_everybody_names_it() {
    let (sds, dst, region) = three();
    let before = vec![sds.named(), dst.named()];
    sds.permit("diabetes", vec![sds.named(), dst.named(), region.named()]);
    dst.permit("diabetes", before);
    let first = sds.make(&[dst.accept(), region.accept()]).unwrap();
    first.take(&dst).unwrap();
    assert_eq!(first.keys.len(), 1);
    assert_eq!(first.left_out.len(), 1);
    assert!(first.left_out[0].1.contains("'dst' does not name 'region-h' yet"), "{:?}", first.left_out);
    dst.permit("diabetes", vec![sds.named(), dst.named(), region.named()]);
    let second = sds.make(&[dst.accept(), region.accept()]).unwrap();
    assert_eq!((second.epoch(), second.keys.len(), second.left_out.len()), (2, 2, 0));
    assert_eq!((second.take(&dst).unwrap(), second.take(&region).unwrap()), (2, 2));
}

#[test]
fn whose_permit_is_revoked_gives_no_acceptance_and_is_not_in_the_next_epoch() {
    let (sds, dst, region) = three();
    let first = sds.make(&[dst.accept(), region.accept()]).unwrap();
    first.take(&region).unwrap();
    first.take(&dst).unwrap();
    region.revoke();
    assert_eq!(region.member.accept(&project()).unwrap(), None);
    let second = sds.make(&[dst.accept()]).unwrap();
    assert_eq!(second.epoch(), 2);
    assert!(!EpochRecord::claimed(&second.record).unwrap().members.contains(&region.named()));
    assert_eq!(second.take(&dst).unwrap(), 2);
    let error = region.member.take_epoch(&second.record, second.of(&dst)).unwrap_err();
    assert!(matches!(error, MemberError::NoPermit(_)), "{error}");
    assert_ne!(dst.holds(), region.holds());
}

#[test]
fn the_deputy_makes_the_key_when_the_lead_is_away_and_the_lead_goes_on_from_there() {
    let (sds, dst, region) = three();
    sds.make(&[dst.accept(), region.accept()]).unwrap().take(&dst).unwrap();
    let by_deputy = dst.make(&[region.accept()]).unwrap();
    assert_eq!(by_deputy.epoch(), 2);
    assert_eq!(by_deputy.take(&region).unwrap(), 2);
    let next = sds.member.make_epoch(&project(), &[dst.accept(), region.accept()], 2).unwrap();
    assert_eq!((next.take(&dst).unwrap(), next.take(&region).unwrap()), (3, 3));
}

#[test]
fn a_key_is_destroyed_when_its_project_is_over_and_epochs_still_only_grow() {
    let (sds, dst, region) = three();
    let first = sds.make(&[dst.accept(), region.accept()]).unwrap();
    first.take(&dst).unwrap();
    let second = sds.member.make_epoch(&project(), &[dst.accept()], 0).unwrap();
    second.take(&dst).unwrap();
    let file = dst.folder.path().join("projects/diabetes.key");
    let old = std::fs::read(&file).unwrap();
    // it can't be told: nothing is destroyed
    *dst.permits.unreadable.lock().unwrap() = true;
    dst.revoke();
    assert!(dst.end().is_empty() && dst.member.destroy(&[project()]).unwrap().is_empty());
    *dst.permits.unreadable.lock().unwrap() = false;
    let mut open = std::fs::File::open(&file).unwrap();
    assert_eq!(dst.end(), [project()]);
    assert!(!file.exists() && dst.holds().is_none() && dst.member.known().is_empty());
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut open, &mut left).unwrap();
    assert_eq!(left, vec![0; old.len()]);
    assert_eq!(dst.audit().last().unwrap()["what"], "destroyed");
    // permitted anew: the old epoch is not taken, the known one is
    dst.permit("diabetes", vec![sds.named(), dst.named(), region.named()]);
    let error = first.take(&dst).unwrap_err();
    assert!(matches!(error, MemberError::Older { found: 1, known: 2, .. }), "{error}");
    assert_eq!(second.take(&dst).unwrap(), 2);
}

#[test]
fn a_history_that_cannot_be_read_is_no_empty_one() {
    let (sds, dst, region) = three();
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    made.take(&dst).unwrap();
    std::fs::write(dst.folder.path().join("projects/diabetes.epochs"), "{").unwrap();
    let next = sds.make(&[dst.accept()]).unwrap();
    let error = next.take(&dst).unwrap_err();
    assert!(matches!(error, MemberError::History { .. }), "{error}");
    assert!(error.to_string().contains("diabetes.epochs"), "{error}");
}

#[test]
fn a_log_that_cannot_be_written_stops_keys() {
    let (sds, dst, region) = three();
    let made = sds.make(&[dst.accept(), region.accept()]).unwrap();
    let path = dst.member.audit.path().to_owned();
    dst.member.audit.append(&json!({ "event": "x" })).unwrap();
    std::fs::write(&path, "").unwrap(); // somebody cut it
    assert!(matches!(made.take(&dst), Err(MemberError::Audit(_))));
    assert!(dst.holds().is_none());
}
