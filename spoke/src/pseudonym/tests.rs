//! The linker against the real custodian over TLS.
#![allow(clippy::unwrap_used)]

mod dishonest;
mod fixture;
mod proxy;

use super::*;
use fixture::{Organisation, Spoke, nobody, numbers};
use runtime::tls::{Direction, Tap};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_person_is_the_same_p_and_another_s_at_every_spoke() {
    let organisation = Organisation::new().await;
    let running = organisation.start().await;
    let (one, two) = (Spoke::new("sds"), Spoke::new("region-h"));
    let mut first = Linker::open(one.options(&organisation, running.address)).await.unwrap();
    let mut second = Linker::open(two.options(&organisation, running.address)).await.unwrap();
    let people = numbers(150);
    // in another order, with people twice
    let twisted: Vec<u64> = people.iter().rev().chain(people.iter().take(20)).copied().collect();
    let here = first.persons(&people).await.unwrap();
    let there = second.persons(&twisted).await.unwrap();
    let (p_here, p_there) = (one.people(&here), two.people(&there));
    for (i, number) in twisted.iter().enumerate() {
        let j = people.iter().position(|n| n == number).unwrap();
        assert_eq!(p_there[i], p_here[j]);
        assert_ne!(there[i], here[j]);
    }
    assert_eq!(first.link_kid(), second.link_kid());
    assert_eq!(first.known_people(), 150);
    // key domains: one hash key everywhere, another for another domain
    let stored = |hasher: &KeyHasher, spoke: &Spoke| {
        let store = spoke.store();
        let mut block = aes::Block::from(hasher.stored(b"42"));
        aes::cipher::BlockCipherDecrypt::decrypt_block(&store.key, &mut block);
        <[u8; 16]>::from(block)
    };
    let contact = first.key_domain("lpr.kontakt").await.unwrap();
    assert_eq!(stored(&contact, &one), stored(&second.key_domain("lpr.kontakt").await.unwrap(), &two));
    assert_ne!(stored(&contact, &one), stored(&first.key_domain("lpr.forloeb").await.unwrap(), &one));
    assert_ne!(contact.stored(b"42"), contact.stored(b"43"));
    assert!(matches!(first.key_domain("").await.unwrap_err(), LinkError::Domain));
    // eleven digits
    let error = first.persons(&[1, 10_000_000_000]).await.unwrap_err();
    assert!(matches!(error, LinkError::Number { index: 1 }), "{error}");
    assert!(!error.to_string().contains("10000000000"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_cache_needs_no_custodian() {
    let organisation = Organisation::new().await;
    let running = organisation.start().await;
    let spoke = Spoke::new("sds");
    let people = numbers(100);
    let mut linker = Linker::open(spoke.options(&organisation, running.address)).await.unwrap();
    let cold = linker.persons(&people).await.unwrap();
    let key = linker.key_domain("lpr.kontakt").await.unwrap().stored(b"1");
    drop(linker);
    running.stop().await;
    let mut linker = Linker::open(spoke.options(&organisation, nobody())).await.unwrap();
    assert_eq!(linker.persons(&people).await.unwrap(), cold);
    assert_eq!(linker.key_domain("lpr.kontakt").await.unwrap().stored(b"1"), key);
    assert!(linker.persons(&[]).await.unwrap().is_empty());
    // somebody new needs it, and the error says whom to start
    let error = linker.persons(&[9_999_999_999]).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable { attempts: 4, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("'national' at 127.0.0.1:") && text.contains("run again"), "{text}");
    assert!(!text.contains("9999999999") && error.is_custodian() && !error.is_storage());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_mid_stream_is_made_again() {
    let organisation = Organisation::new().await;
    let running = organisation.start().await;
    // the connection breaks after 40 kB of answers, twice
    let proxy = proxy::start(running.address, &[40_000, 40_000]).await;
    let spoke = Spoke::new("sds");
    let mut linker = Linker::open(spoke.options(&organisation, proxy)).await.unwrap();
    let people = numbers(4_000);
    let stored = linker.persons(&people).await.unwrap();
    drop(linker);
    let other = Spoke::new("region-h");
    let mut straight = Linker::open(other.options(&organisation, running.address)).await.unwrap();
    assert_eq!(spoke.people(&stored), other.people(&straight.persons(&people).await.unwrap()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custodian_that_dies_is_named_and_what_it_gave_is_kept() {
    let organisation = Organisation::new().await;
    let running = organisation.start().await;
    let proxy = proxy::start(running.address, &[75_000, 0, 0, 0, 0]).await;
    let spoke = Spoke::new("sds");
    let mut linker = Linker::open(spoke.options(&organisation, proxy)).await.unwrap();
    let people = numbers(4_000);
    let error = linker.persons(&people).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
    let known = linker.known_people();
    assert!(known > 0 && known < 4_000, "{known}");
    drop(linker);
    let mut linker = Linker::open(spoke.options(&organisation, running.address)).await.unwrap();
    assert_eq!(linker.known_people(), known);
    assert_eq!(linker.persons(&people).await.unwrap().len(), 4_000);
    assert_eq!(linker.known_people(), 4_000);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custodian_that_restarts_in_mid_stream_goes_unnoticed() {
    struct Enough(Mutex<usize>, CancellationToken);
    impl Tap for Enough {
        fn bytes(&self, direction: Direction, bytes: &[u8]) {
            let mut sent = self.0.lock().unwrap();
            if direction == Direction::Sent {
                *sent += bytes.len();
            }
            if *sent > 40_000 {
                self.1.cancel();
            }
        }
    }
    let organisation = Organisation::new().await;
    let enough = CancellationToken::new();
    let tap = Arc::new(Enough(Mutex::new(0), enough.clone()));
    let running = organisation.start_with(|_| {}, Some(tap)).await;
    let address = running.address;
    let spoke = Spoke::new("sds");
    let mut options = spoke.options(&organisation, address);
    options.retry.attempts = 8;
    let mut linker = Linker::open(options).await.unwrap();
    let linking = tokio::spawn(async move { linker.persons(&numbers(4_000)).await.map(|stored| stored.len()) });
    enough.cancelled().await;
    running.stop().await;
    let again = organisation.start_with(|config| config.listen.address = address, None).await;
    assert_eq!(linking.await.unwrap().unwrap(), 4_000);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_limit_of_the_custodian_is_kept() {
    let organisation = Organisation::new().await;
    let running = organisation.start_with(|config| config.limits.max_batch = 10, None).await;
    let spoke = Spoke::new("sds");
    let mut linker = Linker::open(spoke.options(&organisation, running.address)).await.unwrap();
    assert_eq!(linker.persons(&numbers(333)).await.unwrap().len(), 333);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_custodians_key_cache_or_certificate_is_refused() {
    let (organisation, other) = (Organisation::new().await, Organisation::new().await);
    let (running, wrong) = (organisation.start().await, other.start().await);
    let spoke = Spoke::new("sds");
    // right certificates, but another key is pinned
    let mut options = spoke.options(&organisation, running.address);
    options.public_key = spoke.options(&other, running.address).public_key;
    let mut linker = Linker::open(options).await.unwrap();
    let error = linker.persons(&numbers(3)).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherKey { .. }), "{error}");
    assert_eq!(linker.known_people(), 0);
    drop(linker);
    // the cache now belongs to the key that was pinned
    let error = Linker::open(spoke.options(&organisation, running.address)).await.unwrap_err();
    assert!(matches!(error, LinkError::Cache(CacheError::OtherLinkage { .. })), "{error}");
    // a server of another authority at the address
    let fresh = Spoke::new("sds");
    let mut linker = Linker::open(fresh.options(&organisation, wrong.address)).await.unwrap();
    let error = linker.persons(&numbers(3)).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    running.stop().await;
    wrong.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_custodian_sees_no_number_and_no_p_on_the_wire_nor_does_the_disk_hold_one() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<u8>>);
    impl Tap for Seen {
        fn bytes(&self, _: Direction, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }
    let organisation = Organisation::new().await;
    let seen = Arc::new(Seen::default());
    let running = organisation.start_with(|_| {}, Some(seen.clone())).await;
    let spoke = Spoke::new("sds");
    let people = numbers(50);
    let mut linker = Linker::open(spoke.options(&organisation, running.address)).await.unwrap();
    let stored = linker.persons(&people).await.unwrap();
    let disk = std::fs::read(spoke.folder.path().join("cache/persons.cache")).unwrap();
    let wire = seen.0.lock().unwrap().clone();
    assert!(wire.len() > 50 * 64, "the tap saw the connection");
    for (number, p) in people.iter().zip(spoke.people(&stored)) {
        let text = format!("{number:010}");
        for place in [&wire, &disk] {
            assert!(!place.windows(10).any(|window| window == text.as_bytes()));
            assert!(!place.windows(16).any(|window| window == p));
            assert!(!place.windows(8).any(|window| window == number.to_le_bytes() || window == number.to_be_bytes()));
        }
    }
    running.stop().await;
}
