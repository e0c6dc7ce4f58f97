//! What spokes offer is asked for once and used again, until it is old: then statements are planned anew.

use crate::{
    client::Client,
    house::{ANNA, Build, House, lab, lmdb},
    spoke::{Manner, Spoke},
};
use policies::zone::Zone;
use proto::{ids::PermitId, refusal::Kind};
use std::sync::atomic::Ordering;

const COUNT: &str = "SELECT count(*) AS n FROM sds.lmdb";

struct Kept {
    _house: House,
    sds: Spoke,
    region: Spoke,
    anna: Client,
}

/// Offers are used again for so many seconds.
async fn keeping(seconds: u32, rows: i64) -> Kept {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..rows));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let mut build = Build::new().spoke(&sds).await.spoke(&region).await;
    build.cache = seconds;
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let anna = house.client(ANNA, Zone::Enclave).await;
    Kept { _house: house, sds, region, anna }
}

fn catalogues(spoke: &Spoke) -> usize {
    spoke.seen.catalogues.load(Ordering::SeqCst)
}

fn scans(spoke: &Spoke) -> usize {
    spoke.seen.scans.lock().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_became_old_is_asked_for_again_and_the_caller_does_not_notice() {
    let mut kept = keeping(600, 40).await;
    for _ in 0..3 {
        assert!(kept.anna.shown(COUNT).await.contains("| 40 |"));
    }
    assert_eq!((catalogues(&kept.sds), scans(&kept.sds)), (1, 3));
    // The project's key.
    kept.sds.terms.lock().unwrap().epoch = 2;
    assert!(kept.anna.shown(COUNT).await.contains("| 40 |"));
    assert_eq!((catalogues(&kept.sds), scans(&kept.sds)), (2, 5));
    // The permit: a spoke says the same as to somebody who never had one.
    kept.sds.terms.lock().unwrap().permit = PermitId::new().to_string();
    assert!(kept.anna.shown(COUNT).await.contains("| 40 |"));
    assert_eq!((catalogues(&kept.sds), scans(&kept.sds)), (3, 7));
    // Over two spokes: the offers that are known are of different keys.
    let joined = "SELECT count(*) AS n FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr";
    kept.region.terms.lock().unwrap().epoch = 2;
    assert!(kept.anna.shown(joined).await.contains("| 40 |"));
    assert_eq!((catalogues(&kept.sds), catalogues(&kept.region)), (4, 2));
    // One of them has answered when the other refuses.
    kept.sds.terms.lock().unwrap().permit = PermitId::new().to_string();
    assert!(kept.anna.shown(joined).await.contains("| 40 |"));
    assert_eq!((catalogues(&kept.sds), catalogues(&kept.region)), (5, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_no_newer_offer_explains_stands() {
    let mut kept = keeping(600, 40).await;
    kept.sds.set(Manner::Refuses(Kind::Denied));
    assert_eq!(kept.anna.refused(COUNT).await.kind, Kind::Denied);
    // The offer was asked for again; as nothing had changed, the spoke was not.
    assert_eq!((catalogues(&kept.sds), scans(&kept.sds)), (2, 1));
    kept.sds.set(Manner::Refuses(Kind::Stale));
    assert_eq!(kept.anna.refused(COUNT).await.kind, Kind::Stale);
    assert_eq!(scans(&kept.sds), 2);
    // Changed each time it is asked: planned anew once, and then it stands.
    kept.sds.terms.lock().unwrap().key_id = "ab".to_owned();
    kept.sds.terms.lock().unwrap().permit = PermitId::new().to_string();
    assert_eq!(kept.anna.refused(COUNT).await.kind, Kind::Stale);
    assert_eq!(scans(&kept.sds), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_planned_anew_once_a_row_has_left() {
    let mut kept = keeping(600, 5_000).await;
    kept.sds.set(Manner::StaleAfter(2));
    let refused = kept.anna.refused("SELECT volume FROM sds.lmdb").await;
    assert_eq!(refused.kind, Kind::Stale, "{refused}");
    assert_eq!((catalogues(&kept.sds), scans(&kept.sds)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_opens_a_link_again_is_asked_again() {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let mut build = Build::new().dials("sds");
    build.cache = 600;
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let (tls, link) = crate::gateway::connected(&house, &sds).await;
    for _ in 0..2 {
        assert!(anna.shown(COUNT).await.contains("| 40 |"));
    }
    assert_eq!(catalogues(&sds), 1);
    drop(link);
    let _link = sds.dial(house.gateway(), &tls).await.unwrap();
    assert!(anna.shown(COUNT).await.contains("| 40 |"));
    assert_eq!(catalogues(&sds), 2);
}
