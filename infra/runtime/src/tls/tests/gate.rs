//! One port for newcomers, calls and links, and those who misuse it.

use super::{Folder, Heard};
use crate::{
    ca::Authority,
    tls::{self, Protocol, Tap, Tls, TlsConn, link},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

struct House {
    folder: Folder,
    authority: Authority,
}

impl House {
    fn new() -> Self {
        Self { folder: Folder::new(), authority: Authority::create("links").unwrap() }
    }

    fn tls(&self, who: &str) -> Tls {
        let label = who.replace(['/', ':'], "-");
        Tls::load(&self.folder.files(&label, who, &self.authority, &self.authority)).unwrap()
    }

    async fn gate(&self) -> (SocketAddr, mpsc::Receiver<TlsConn>, CancellationToken) {
        gate(&self.tls("eger://hub/main")).await
    }
}

async fn gate(tls: &Tls) -> (SocketAddr, mpsc::Receiver<TlsConn>, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    (address, tls::gate(listener, tls, stop.clone()).unwrap(), stop)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), what).await.expect("soon")
}

#[tokio::test]
async fn a_link_is_named_and_watched_on_both_ends() {
    let house = House::new();
    let (address, mut accepted, _stop) = house.gate().await;
    let heard = Arc::new(Heard::default());
    let spoke = house.tls("eger://spoke/region-h").with_tap(Arc::clone(&heard) as Arc<dyn Tap>);
    let mut near = link::dial_link(&address.to_string(), &"eger://hub/main".parse().unwrap(), &spoke).await.unwrap();
    let mut far = soon(accepted.recv()).await.unwrap();
    assert_eq!((far.protocol(), far.peer().unwrap().to_string()), (Protocol::Link, "eger://spoke/region-h".into()));
    assert_eq!(near.peer().unwrap().to_string(), "eger://hub/main");
    let (near_watch, far_watch) = (near.watch(), far.watch());
    far.write_all(b"hello").await.unwrap();
    let mut text = [0; 5];
    near.read_exact(&mut text).await.unwrap();
    soon(near_watch.heard()).await;
    assert_eq!(heard.0.lock().unwrap().as_slice(), b"hello");
    assert!(near_watch.silent() < Duration::from_secs(5) && !far_watch.is_gone());
    // Cut at one end, it is gone at the other.
    let reading = tokio::spawn(async move { far.read_exact(&mut [0; 1]).await.unwrap_err().to_string() });
    far_watch.cut();
    assert!(soon(reading).await.unwrap().contains("cut"));
    soon(far_watch.gone()).await;
    assert!(near.read_exact(&mut [0; 1]).await.is_err());
    drop(near);
    soon(near_watch.gone()).await;
}

#[tokio::test]
async fn a_newcomer_knows_the_hub_by_its_authoritys_fingerprint() {
    let house = House::new();
    let (address, mut accepted, _stop) = house.gate().await;
    let hub = "eger://hub/main".parse().unwrap();
    let fingerprint = house.authority.fingerprint().unwrap();
    let address = address.to_string();
    let joining = tls::join_channel(&address, &hub, fingerprint);
    let (channel, conn) = Box::pin(soon(async { tokio::join!(joining, accepted.recv()) })).await;
    channel.unwrap();
    let conn = conn.unwrap();
    assert!(conn.peer().is_none() && conn.info().certificate.is_none() && conn.protocol() == Protocol::Calls);
}

#[tokio::test]
async fn a_hostile_gateway_gets_neither_a_link_nor_a_newcomer() {
    let (house, other) = (House::new(), House::new());
    let hub = "eger://hub/main".parse().unwrap();
    let expected = house.authority.fingerprint().unwrap();
    // Another authority, in the right name; the right authority's certificate sent along as if it were its own.
    let mut files = other.folder.files("forged", "eger://hub/main", &other.authority, &house.authority);
    let (address, _accepted, _stop) = gate(&Tls::load(&files).unwrap()).await;
    let spoke = house.tls("eger://spoke/region-h");
    assert!(link::dial_link(&address.to_string(), &hub, &spoke).await.is_err());
    assert!(tls::join_channel(&address.to_string(), &hub, expected).await.is_err());
    // The right authority, but a spoke that plays the hub.
    files = house.folder.files("spoke", "eger://spoke/region-m", &house.authority, &house.authority);
    let (address, _accepted, _stop) = gate(&Tls::load(&files).unwrap()).await;
    let error = link::dial_link(&address.to_string(), &hub, &spoke).await.err().unwrap();
    assert!(error.to_string().contains("expected eger://hub/main but eger://spoke/region-m"), "{error}");
    assert!(tls::join_channel(&address.to_string(), &hub, expected).await.is_err());
}

#[tokio::test]
async fn a_hostile_caller_with_a_foreign_certificate_is_no_newcomer() {
    let (house, other) = (House::new(), House::new());
    let (address, mut accepted, _stop) = house.gate().await;
    let files = house.folder.files("x", "eger://spoke/region-h", &other.authority, &house.authority);
    let stranger = Tls::load(&files).unwrap();
    let hub = "eger://hub/main".parse().unwrap();
    if let Ok(mut conn) = link::dial_link(&address.to_string(), &hub, &stranger).await {
        assert!(conn.read_exact(&mut [0; 1]).await.is_err());
    }
    // The next connection that comes through is an honest one.
    let spoke = house.tls("eger://spoke/region-m");
    let _near = link::dial_link(&address.to_string(), &hub, &spoke).await.unwrap();
    assert_eq!(soon(accepted.recv()).await.unwrap().peer().unwrap().name, "region-m");
}

#[tokio::test]
async fn hostile_silence_holds_nobody_up() {
    let house = House::new();
    let (address, mut accepted, _stop) = house.gate().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let spoke = house.tls("eger://spoke/region-h");
    let begun = std::time::Instant::now();
    let _near = link::dial_link(&address.to_string(), &"eger://hub/main".parse().unwrap(), &spoke).await.unwrap();
    assert_eq!(soon(accepted.recv()).await.unwrap().peer().unwrap().name, "region-h");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_connection_is_cut_while_its_peer_reads_nothing() {
    let house = House::new();
    let (address, mut accepted, _stop) = house.gate().await;
    let spoke = house.tls("eger://spoke/region-h");
    let _near = link::dial_link(&address.to_string(), &"eger://hub/main".parse().unwrap(), &spoke).await.unwrap();
    let mut far = soon(accepted.recv()).await.unwrap();
    let watch = far.watch();
    // Nobody reads at the other end: the buffers fill up, and this side only wants to write.
    let writing = tokio::spawn(async move {
        loop {
            if let Err(error) = far.write_all(&[7; 1 << 16]).await {
                return error.kind();
            }
        }
    });
    tokio::task::yield_now().await;
    watch.cut();
    assert_eq!(soon(writing).await.unwrap(), std::io::ErrorKind::ConnectionAborted);
    soon(watch.gone()).await;
}
