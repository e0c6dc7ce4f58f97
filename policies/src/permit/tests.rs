#![allow(clippy::unwrap_used)]
use super::*;
use crate::purpose::EhdsPurpose;

/// A permit of `dst` for the project `diabetes`, with `sds` as lead.
pub(crate) fn permit() -> Permit {
    let member = |name: &str| Member {
        controller: name.parse().unwrap(),
        sealing: format!("seal-{name}"),
        signing: format!("sign-{name}"),
    };
    Permit {
        version: VERSION,
        id: PermitId::new(),
        controller: "dst".parse().unwrap(),
        project: "diabetes".parse().unwrap(),
        title: "Type 2 diabetes".to_owned(),
        part: PartId::new(),
        replaces: None,
        purpose: Purpose { ehds: EhdsPurpose::ScientificResearch, duo: Vec::new(), summary: "why".to_owned() },
        members: vec![member("dst"), member("sds")],
        lead: "sds".parse().unwrap(),
        deputy: Some("dst".parse().unwrap()),
        users: vec![User { user: "anna@example.org".parse().unwrap(), issuer: "https://id.example.org".to_owned() }],
        tables: vec![TableGrant {
            name: "bef".parse().unwrap(),
            columns: vec!["pnr".to_owned(), "koen".to_owned()],
            row_filter: Some("kom = 101".to_owned()),
        }],
        output: Output::HubAggregates,
        caps: Caps::default(),
        valid_from: "2026-01-01".parse().unwrap(),
        valid_to: "2026-12-31".parse().unwrap(),
        key_lists_to: vec!["sds".parse().unwrap()],
        opt_out_version: 0,
        client_signature: false,
        threshold: None,
        blind: None,
        quick: None,
        approver: "Bente".to_owned(),
        reason: "within the law".to_owned(),
        decided_at: "2025-12-01T12:00:00Z".parse().unwrap(),
    }
}

#[test]
fn a_signed_permit_comes_back_as_it_was() {
    let key = SigningKey::generate().unwrap();
    let signed = SignedPermit::sign(permit(), &key).unwrap();
    let read = SignedPermit::verify(signed.compact(), [&key.public()]).unwrap();
    assert_eq!(read, signed);
    let other = SigningKey::generate().unwrap();
    assert!(matches!(
        SignedPermit::verify(signed.compact(), [&other.public()]),
        Err(PermitError::Statement(StatementError::Untrusted { .. }))
    ));
}

#[test]
fn a_permit_with_an_unknown_field_is_no_permit() {
    let key = SigningKey::generate().unwrap();
    let mut json = serde_json::to_value(permit()).unwrap();
    json["everything"] = true.into();
    let compact = key.sign(PERMIT, &serde_json::to_vec(&json).unwrap());
    let error = SignedPermit::verify(&compact, [&key.public()]).unwrap_err();
    assert!(error.to_string().contains("everything"), "{error}");
}

#[test]
fn fields_that_contradict_one_another_are_named() {
    type Change = fn(&mut Permit);
    let changes: [(&str, Change); 14] = [
        ("version", |p| p.version = 2),
        ("valid_to", |p| p.valid_to = "2025-12-31".parse().unwrap()),
        ("valid_to", |p| p.valid_to = "2036-02-01".parse().unwrap()),
        ("users", |p| p.users.clear()),
        ("users", |p| p.users.push(p.users[0].clone())),
        ("reason", |p| p.reason = " ".to_owned()),
        ("caps", |p| p.caps.rows = 0),
        ("members", |p| p.members.push(p.members[0].clone())),
        ("members", |p| p.members[0].sealing = p.members[1].sealing.clone()),
        ("controller", |p| p.controller = "region-h".parse().unwrap()),
        ("deputy", |p| p.deputy = Some(p.lead.clone())),
        ("key_lists_to", |p| p.key_lists_to = vec!["region-h".parse().unwrap()]),
        ("tables", |p| p.tables.clear()),
        ("tables.bef.columns", |p| p.tables[0].columns.clear()),
    ];
    for (field, change) in changes {
        let mut changed = permit();
        change(&mut changed);
        assert_eq!(changed.check().unwrap_err().field, field);
    }
    permit().check().unwrap();
}

#[test]
fn a_blind_clause_is_over_three_members_or_more_and_lets_nothing_else_out() {
    let custodian = runtime::sealing::SealingKey::generate().unwrap().public().clone();
    let mut good = permit();
    let third = Member { controller: "sis".parse().unwrap(), sealing: "s".to_owned(), signing: "t".to_owned() };
    good.members.push(third);
    good.output = Output::SpokeAggregates;
    let members = ["dst", "sds", "sis"].map(|name| name.parse().unwrap()).to_vec();
    good.blind = Some(Blind { members, custodian });
    good.check().unwrap();
    let key = SigningKey::generate().unwrap();
    let signed = SignedPermit::sign(good.clone(), &key).unwrap();
    assert_eq!(SignedPermit::verify(signed.compact(), [&key.public()]).unwrap().permit(), &good);
    let wrong = |change: fn(&mut Blind)| {
        let mut permit = good.clone();
        change(permit.blind.as_mut().unwrap());
        permit.check().unwrap_err().to_string()
    };
    assert!(wrong(|b| b.members.truncate(2)).contains("names 2; 3 to 256"));
    assert!(wrong(|b| b.members.reverse()).contains("ascending"));
    assert!(wrong(|b| b.members[1] = b.members[0].clone()).contains("none twice"));
    assert!(wrong(|b| b.members[0] = "aaa".parse().unwrap()).contains("does not name 'dst'"));
    assert!(wrong(|b| b.members.push("zzz".parse().unwrap())).contains("'zzz' is not among"));
    for more in [Output::HubAggregates, Output::EnclaveRows] {
        assert_eq!(Permit { output: more, ..good.clone() }.check().unwrap_err().field, "blind");
    }
}

#[test]
fn users_count_only_with_their_own_issuer() {
    let permit = permit();
    let anna = "anna@example.org".parse().unwrap();
    assert!(permit.names(&anna, "https://id.example.org"));
    assert!(!permit.names(&anna, "https://id.example.org/"));
    assert!(!permit.names(&"bo@example.org".parse().unwrap(), "https://id.example.org"));
}

#[test]
fn a_revocation_is_not_a_refusal_and_counts_only_when_signed() {
    let key = SigningKey::generate().unwrap();
    let permit = permit();
    let revocation = Revocation {
        permit: permit.id,
        controller: permit.controller,
        project: permit.project,
        approver: "Bente".to_owned(),
        reason: "consent was withdrawn".to_owned(),
        decided_at: permit.decided_at,
    };
    let compact = revocation.sign(&key).unwrap();
    assert_eq!(Revocation::verify(&compact, [&key.public()]).unwrap(), revocation);
    assert!(Refusal::verify(&compact, [&key.public()]).is_err());
    assert!(Revocation::verify(&compact, [&SigningKey::generate().unwrap().public()]).is_err());
}

/// A permit of `dst` for quick tests, with `sds` as lead.
pub(crate) fn quick_test() -> Permit {
    let form = r#"
        lead = "sds"
        valid_from = "2026-01-01"
        valid_to = "2026-12-31"

        [[member]]
        controller = "dst"
        sealing = "seal-dst"
        signing = "sign-dst"
        [[member]]
        controller = "sds"
        sealing = "seal-sds"
        signing = "sign-sds"

        [[table]]
        name = "bef"
        columns = ["pnr", "koen", "kom"]
        by = ["koen"]
    "#;
    let decision = QuickDecision {
        approver: "Bente".to_owned(),
        reason: "within the law".to_owned(),
        at: "2025-12-01T12:00:00Z".parse().unwrap(),
        opt_out_version: 0,
        replaces: None,
    };
    QuickForm::from_toml(form).unwrap().permit(&"dst".parse().unwrap(), decision)
}

#[test]
fn a_permit_for_quick_tests_names_nobody_and_lets_nothing_else_out() {
    let good = quick_test();
    good.check().unwrap();
    let quick = good.quick.clone().unwrap();
    assert!(quick.counts_by(&"bef".parse().unwrap(), "koen"));
    assert!(!quick.counts_by(&"bef".parse().unwrap(), "kom") && !quick.counts_by(&"lmdb".parse().unwrap(), "koen"));
    type Change = fn(&mut Permit);
    let changes: [(&str, Change); 7] = [
        ("project", |p| p.project = "diabetes".parse().unwrap()),
        ("project", |p| p.quick = None),
        ("output", |p| p.output = Output::EnclaveRows),
        ("users", |p| p.users = permit().users),
        ("key_lists_to", |p| p.key_lists_to = vec!["sds".parse().unwrap()]),
        ("client_signature", |p| p.client_signature = true),
        ("quick.dimensions.bef", |p| p.tables[0].columns.retain(|column| column != "koen")),
    ];
    for (field, change) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(changed.check().unwrap_err().field, field);
    }
    let key = SigningKey::generate().unwrap();
    let signed = SignedPermit::sign(good.clone(), &key).unwrap();
    assert_eq!(SignedPermit::verify(signed.compact(), [&key.public()]).unwrap().permit(), &good);
}
