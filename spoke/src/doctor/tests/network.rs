//! The ways to the others: each kind of failure is told apart from the rest.

use super::*;
use std::io::{Read, Write};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

async fn ask(config: &SpokeConfig) -> Report {
    let (mut report, mut dates) = (Report::default(), clock::Dates::default());
    reach::custodian(config, &mut report, &mut dates).await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_unknown_and_dropped_connections_are_told_apart() {
    let config = |address: &str| {
        let text = format!("controller = \"region-h\"\n[custodian]\naddress = \"{address}\"\n");
        SpokeConfig::parse(&text, "spoke.toml", Path::new("/nowhere")).unwrap()
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    expect(&ask(&config(&free.to_string())).await, "custodian", Verdict::Fail, &["refuses", "check the port"]);
    let unknown = config("custodian.does-not-exist.invalid:7100");
    expect(&ask(&unknown).await, "custodian", Verdict::Fail, &["is not known", "DNS", "getent hosts"]);
    // A listener whose queue is full: the kernel drops what comes, as a firewall does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut held = Vec::new();
    let short = std::time::Duration::from_millis(300);
    while let Ok(Ok(stream)) = tokio::time::timeout(short, TcpStream::connect(address)).await {
        held.push(stream);
        assert!(held.len() < 100, "the queue never fills");
    }
    let report = ask(&config(&address.to_string())).await;
    expect(&report, "custodian", Verdict::Fail, &["timed out", "firewall", "outgoing TCP"]);
    let mut none = config("localhost:1");
    none.custodian = None;
    expect(&ask(&none).await, "custodian", Verdict::Warn, &["[custodian]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_authority_key_or_enrolment_at_the_custodian_is_named() {
    let mut patient = patient().await;
    let report = ask(&patient.config).await;
    expect(&report, "custodian", Verdict::Ok, &["eger://custodian/national"]);
    expect(&report, "enrolment", Verdict::Ok, &[]);
    patient.custodian().name = "other".to_owned();
    let report = ask(&patient.config).await;
    expect(&report, "custodian", Verdict::Fail, &["another party answers", "eger://custodian/other"]);
    patient.custodian().name = "national".to_owned();

    let pinned = std::fs::read_to_string(&patient.custodian().public_key).unwrap();
    let another = hex::encode(::custodian::key::LinkageKey::generate().unwrap().public_key());
    std::fs::write(&patient.custodian().public_key, another).unwrap();
    let report = ask(&patient.config).await;
    expect(&report, "custodian's key", Verdict::Fail, &["another than the pinned one", "call"]);
    std::fs::write(&patient.custodian().public_key, pinned).unwrap();

    let ca = std::fs::read(&patient.custodian().ca).unwrap();
    std::fs::write(&patient.config.custodian.as_ref().unwrap().ca, patient.authority.cert_pem()).unwrap();
    let report = ask(&patient.config).await;
    expect(&report, "custodian", Verdict::Fail, &["another authority", "TLS proxy"]);
    std::fs::write(&patient.custodian().ca, ca).unwrap();

    ::custodian::enrol::remove(&patient.custodian, "region-h").await.unwrap();
    expect(&ask(&patient.config).await, "enrolment", Verdict::Fail, &["not enrolled", "spoke custodian request"]);

    // what answers at the port speaks no TLS
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    patient.custodian().address = plain.local_addr().unwrap().to_string();
    let talk = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    expect(&ask(&patient.config).await, "custodian", Verdict::Fail, &["speaks no TLS"]);
    talk.abort();
    let (mut report, mut dates) = (Report::default(), clock::Dates::default());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    reach::gateway(&patient.config, Some(&free), &mut report, &mut dates).await;
    expect(&report, "hub's gateway", Verdict::Fail, &["refuses"]);
    // a custodian where the hub should be
    let at = patient.custodian().address.clone();
    let mut report = Report::default();
    reach::gateway(&patient.config, None, &mut report, &mut dates).await;
    expect(&report, "hub's gateway", Verdict::Warn, &["spoke join"]);
    assert!(!at.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_away_or_has_no_keys_is_named_and_its_clock_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let config = |issuer: &str| {
        let text = format!("controller = \"region-h\"\n{issuer}");
        SpokeConfig::parse(&text, "spoke.toml", dir.path()).unwrap()
    };
    let ask = async |config: &SpokeConfig| {
        let (mut report, mut dates) = (Report::default(), clock::Dates::default());
        reach::issuers(config, &mut report, &mut dates).await;
        clock::judge(&dates, &mut report);
        report
    };
    expect(&ask(&config("")).await, "issuer", Verdict::Fail, &["[[issuer]]"]);
    let file = config("[[issuer]]\nurl = \"https://a.example.org\"\njwks_file = \"jwks.json\"\n");
    let what = "issuer https://a.example.org";
    expect(&ask(&file).await, what, Verdict::Fail, &["jwks.json"]);
    std::fs::write(dir.path().join("jwks.json"), "{\"keys\":[]}").unwrap();
    expect(&ask(&file).await, what, Verdict::Ok, &[]);

    // a web server that is no issuer, and whose clock stands in another year
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nDate: Sun, 22 Nov 2020 09:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let report = ask(&config(&format!("[[issuer]]\nurl = \"{url}\"\n"))).await;
    expect(&report, &format!("issuer {url}"), Verdict::Fail, &["404", "firewall"]);
    expect(&report, "clock", Verdict::Fail, &["ahead of http://127.0.0.1", "NTP"]);
}
