#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

#[test]
fn sizes_are_read_and_shown() {
    for (text, bytes) in [("512MiB", 512 << 20), ("4 GiB", 4 << 30), ("0", 0), ("64kib", 65_536), ("10MB", 10_000_000)]
    {
        assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
    }
    for text in ["", "MiB", "-1", "1.5GiB", "12 parsecs", "99999999999TiB"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
    assert_eq!(ByteSize::mib(512).to_string(), "512MiB");
    assert_eq!(ByteSize(1000).to_string(), "1000");
    assert_eq!(ByteSize(0).to_string(), "0");
}

#[test]
fn little_is_needed_and_paths_become_absolute() {
    let config = SpokeConfig::parse("controller = \"region-h\"\n", "spoke.toml", Path::new("/srv/h")).unwrap();
    assert_eq!(config.link.cert, Path::new("/srv/h/keys/link.crt"));
    assert_eq!(config.store.url, "/srv/h/data");
    assert_eq!(config.serve.max_scans, 8);
    assert_eq!(config.hub_peer().to_string(), "eger://hub/main");
    assert!(config.link.mode == LinkMode::Dial && config.link.gateway.is_none() && config.link.connections == 2);
    assert!(config.custodian.is_none());
    let text = "controller = \"x\"\n[store]\nurl = \"s3://b/p\"\n[custodian]\naddress = \"c:7100\"\n";
    let config = SpokeConfig::parse(text, "spoke.toml", Path::new("/srv/h")).unwrap();
    assert_eq!(config.store.url, "s3://b/p");
    let custodian = config.custodian.unwrap();
    assert_eq!(custodian.public_key, Path::new("/srv/h/keys/custodian.pub"));
    assert_eq!(custodian.peer().to_string(), "eger://custodian/national");
}

#[test]
fn errors_name_the_line_and_say_what_to_write() {
    for (text, line, says) in [
        ("controller = \"x\"\n[ingest]\nmemory = \"lots\"\n", 3, "512MiB"),
        ("controller = \"x\"\n[ingest]\nmax_reject_share = 2.0\n", 3, "from 0 to 1"),
        ("controller = \"x\"\n[listen]\naddress = \"here\"\n", 3, "IP:PORT"),
        ("controller = \"x\"\n[link]\nhub = \"The Hub\"\n", 3, "lower-case"),
        ("controller = \"x\"\n[link]\nmode = \"call\"\n", 3, "`dial` or `listen`"),
        ("controller = \"x\"\n[link]\ngateway = \"hub\"\n", 3, "HOST:PORT"),
        ("controller = \"x\"\n[link]\nconnections = 0\n", 3, "at least 1"),
        ("controller = \"x\"\n[link]\ncompression = \"gzip\"\n", 3, "`auto`, `none`, `lz4`, `zstd`"),
        ("controller = \"x\"\n[serve]\nmax_scans = 0\n", 3, "at least 1"),
        ("controller = \"x\"\n[serve]\nmax_scan = 1\n", 3, "unknown field `max_scan`"),
        ("controller = \"Region H\"\n", 1, "controller id"),
    ] {
        let error = SpokeConfig::parse(text, "spoke.toml", Path::new("/")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("spoke.toml, line {line},")), "{error}");
        assert!(error.contains(says), "{error}");
    }
}
