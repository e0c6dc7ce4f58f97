//! Memory, scratch and slots.

use crate::{
    house::{ANNA, Build, House, lab, lmdb},
    spoke::{Manner, Spoke},
};
use futures::StreamExt;
use policies::zone::Zone;
use proto::refusal::Kind;
use runtime::size::ByteSize;

async fn small(memory: u64) -> (House, Spoke) {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..200_000));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..200_000));
    let mut build = Build::new().spoke(&sds).await.spoke(&region).await;
    build.profile.queries.query_memory = Some(ByteSize(memory));
    build.profile.queries.slots = Some(1);
    build.profile.queries.queue = Some(0);
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    (house, region)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_does_not_fit_ends_with_advice_and_a_sort_spills() {
    let (house, _) = small(6 << 20).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let join = "SELECT count(m.atc) AS n FROM sds.lmdb m JOIN \"region-h\".lab_forsker l ON m.pnr = l.pnr AND m.volume < l.value + 1e9";
    let refusal = anna.refused(join).await;
    assert_eq!(refusal.kind, Kind::Exhausted);
    assert!(refusal.message.contains("more memory") && refusal.message.contains("query 0"), "{refusal}");
    drop(anna);
    let (house, _) = small(16 << 20).await;
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let sorted = anna.sql("SELECT pnr, atc, volume, eksd FROM sds.lmdb ORDER BY volume DESC, atc").await.unwrap();
    assert_eq!(crate::client::rows(&sorted), 200_000);
    // Whatever was spilled is gone when the answer is.
    let left = walk(&house.path().join("scratch"));
    assert!(left.is_empty(), "{left:?}");
}

fn walk(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(listing) = std::fs::read_dir(path) else { return vec![] };
    listing.flatten().flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_held_until_the_answer_is_over() {
    let (house, region) = small(64 << 20).await;
    region.set(Manner::Stalls(2));
    let mut anna = house.client(ANNA, Zone::Enclave).await;
    let info = anna.announce("SELECT value FROM \"region-h\".lab_forsker").await.unwrap();
    let mut stream = anna.stream(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let busy = anna.refused("SELECT count(*) FROM sds.lmdb").await;
    assert_eq!(busy.kind, Kind::Exhausted);
    assert!(busy.message.contains("busy"), "{busy}");
    drop(stream);
    region.idle().await;
    assert!(anna.shown("SELECT count(*) AS n FROM sds.lmdb").await.contains("200000"));
}
