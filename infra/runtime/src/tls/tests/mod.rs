#![allow(clippy::unwrap_used, clippy::expect_used)]
mod gate;

use super::*;
use crate::{ca::Authority, seal};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Files of an identity `who`, issued by `from`, trusting `trusts`.
    fn files(&self, label: &str, who: &str, from: &Authority, trusts: &Authority) -> TlsFiles {
        let issued = from.issue(&who.parse().unwrap(), 30).unwrap();
        let at = |name: &str| self.0.path().join(format!("{label}.{name}"));
        std::fs::write(at("crt"), &issued.cert_pem).unwrap();
        std::fs::write(at("ca"), trusts.cert_pem()).unwrap();
        seal::write_private(&at("key"), issued.key_pem.as_bytes()).unwrap();
        TlsFiles { cert: at("crt"), key: at("key"), ca: at("ca") }
    }
}

/// Starts a server that answers each connection with its caller's name; gives its address.
async fn server(tls: Tls) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = std::pin::pin!(incoming(listener, &tls));
        while let Some(conn) = connections.next().await {
            let mut conn = conn.unwrap();
            let name = conn.peer().unwrap().to_string();
            conn.write_all(name.as_bytes()).await.unwrap();
            conn.shutdown().await.unwrap();
        }
    });
    address
}

async fn ask(address: std::net::SocketAddr, expect: &str, tls: &Tls) -> io::Result<String> {
    let mut conn = connect(&address.to_string(), &expect.parse().unwrap(), tls).await?;
    let mut text = String::new();
    conn.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn peers_are_known_by_the_name_in_their_certificate() {
    let (folder, ca) = (Folder::new(), Authority::create("links").unwrap());
    let spoke = Tls::load(&folder.files("s", "eger://spoke/region-h", &ca, &ca)).unwrap();
    let hub = Tls::load(&folder.files("h", "eger://hub/main", &ca, &ca)).unwrap();
    let address = server(spoke).await;
    assert_eq!(ask(address, "eger://spoke/region-h", &hub).await.unwrap(), "eger://hub/main");
    let error = ask(address, "eger://spoke/region-m", &hub).await.unwrap_err();
    assert!(error.to_string().contains("expected eger://spoke/region-m but eger://spoke/region-h answered"), "{error}");
}

#[tokio::test]
async fn a_peer_of_another_authority_is_refused_by_either_side() {
    let (folder, ca, other) = (Folder::new(), Authority::create("links").unwrap(), Authority::create("other").unwrap());
    let spoke = Tls::load(&folder.files("s", "eger://spoke/region-h", &ca, &ca)).unwrap();
    let address = server(spoke).await;
    // The caller trusts the server's authority but has no certificate from it.
    let stranger = Tls::load(&folder.files("x", "eger://hub/main", &other, &ca)).unwrap();
    assert!(ask(address, "eger://spoke/region-h", &stranger).await.is_err());
    // The server's certificate is from an authority that the caller doesn't trust.
    let wary = Tls::load(&folder.files("w", "eger://hub/main", &ca, &other)).unwrap();
    assert!(ask(address, "eger://spoke/region-h", &wary).await.is_err());
}

#[tokio::test]
async fn a_silent_or_plain_caller_holds_nobody_up() {
    let (folder, ca) = (Folder::new(), Authority::create("links").unwrap());
    let spoke = Tls::load(&folder.files("s", "eger://spoke/region-h", &ca, &ca)).unwrap();
    let hub = Tls::load(&folder.files("h", "eger://hub/main", &ca, &ca)).unwrap();
    let address = server(spoke).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(ask(address, "eger://spoke/region-h", &hub).await.unwrap(), "eger://hub/main");
}

#[derive(Default)]
struct Heard(Mutex<Vec<u8>>);

impl Tap for Heard {
    fn bytes(&self, direction: Direction, bytes: &[u8]) {
        if direction == Direction::Received {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }
}

#[tokio::test]
async fn a_tap_sees_what_the_peer_sent_in_clear() {
    let (folder, ca) = (Folder::new(), Authority::create("links").unwrap());
    let spoke = Tls::load(&folder.files("s", "eger://spoke/region-h", &ca, &ca)).unwrap();
    let heard = Arc::new(Heard::default());
    let hub = Tls::load(&folder.files("h", "eger://hub/main", &ca, &ca))
        .unwrap()
        .with_tap(Arc::clone(&heard) as Arc<dyn Tap>);
    let address = server(spoke).await;
    ask(address, "eger://spoke/region-h", &hub).await.unwrap();
    assert_eq!(heard.0.lock().unwrap().as_slice(), b"eger://hub/main");
}

#[test]
fn files_that_cannot_serve_are_named() {
    let (folder, ca) = (Folder::new(), Authority::create("links").unwrap());
    let good = folder.files("g", "eger://hub/main", &ca, &ca);
    let missing = TlsFiles { ca: "/nowhere/ca.pem".into(), ..good.clone() };
    assert!(Tls::load(&missing).unwrap_err().to_string().starts_with("/nowhere/ca.pem: "));
    let swapped = TlsFiles { cert: good.ca.clone(), ..good.clone() };
    assert!(Tls::load(&swapped).unwrap_err().to_string().contains("names no party"));
    let other = folder.files("o", "eger://hub/main", &ca, &ca);
    let mixed = TlsFiles { key: other.key, ..good.clone() };
    assert!(Tls::load(&mixed).unwrap_err().to_string().contains("can't be used together"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Tls::load(&good).unwrap_err().to_string().contains("chmod 600"));
    }
}
