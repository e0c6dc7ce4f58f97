//! The whole path with the real linker and the real custodian, over TLS.

use super::*;
use crate::{
    ingest::{Outcome, run},
    pseudonym::{Linker, LinkerOptions, init_keys},
};
use ::custodian::{Config, ServeOptions, enrol, setup};
use runtime::{
    audit::{checkpoint::verify_log, witness},
    enrolment::SPOKE_SIGNING_CONTEXT,
    sign::SigningKey,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const TABLES: [(&str, &str); 2] = [
    (
        "kontakt",
        "name = \"kontakt\"\nrole = \"person\"\n[source]\npath = \"in/kontakt.csv\"\nformat = \"csv\"\n[[column]]\nname = \"pnr\"\nrole = \"person\"\n[[column]]\nname = \"id\"\nrole = \"key\"\n",
    ),
    (
        "diagnose",
        "name = \"diagnose\"\nrole = \"person_via\"\n[source]\npath = \"in/diagnose.csv\"\nformat = \"csv\"\n[[column]]\nname = \"id\"\nrole = \"key\"\n[[column]]\nname = \"kode\"\ntype = \"text\"\n[person_via]\ntable = \"kontakt\"\nkey = \"id\"\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn people_are_linked_by_the_custodian_and_no_number_stays() {
    let organisation = tempfile::tempdir().unwrap();
    let (path, _) = setup::init(organisation.path(), "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = Config::load(&path).unwrap();
    config.limits.drain_seconds = 0;
    let (ready, bound) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        config: config.clone(),
        listen: None,
        ready: Some(ready),
        tap: None,
        shutdown: shutdown.clone(),
    };
    let custodian = tokio::spawn(::custodian::serve(options));
    let address = bound.await.unwrap();

    let mut spoke = Spoke::new();
    let text = format!("controller = \"region-h\"\n[custodian]\naddress = \"{address}\"\n");
    spoke.config = SpokeConfig::parse(&text, "spoke.toml", &spoke.path("")).unwrap();
    runtime::seal::write_private(&spoke.path("passphrase"), b"words\n").unwrap();
    let pass = spoke.config.passphrase().unwrap();
    std::fs::create_dir_all(spoke.path("keys")).unwrap();
    init_keys(&spoke.path("keys"), &pass).unwrap();
    let approver = SigningKey::generate().unwrap();
    let signing = SigningKey::create(&spoke.path("keys/signing.key"), SPOKE_SIGNING_CONTEXT, &pass).unwrap().public();
    enrol::register(&config, "region-h", &approver.public(), 100, false).await.unwrap();
    let request = crate::pseudonym::enrol::request(&spoke.config, &approver, signing, 7).unwrap();
    let reply = enrol::enrol(&config, &serde_json::to_string(&request).unwrap(), 30).await.unwrap();
    crate::pseudonym::enrol::install(&spoke.config, &reply).unwrap();
    for (name, text) in TABLES {
        spoke.file(&format!("tables/{name}.toml"), text);
    }
    spoke.file("in/kontakt.csv", "pnr,id\n0707614285,1\n070761-4285,2\n3112991231,3\n,4\n");
    spoke.file("in/diagnose.csv", "id,kode\n1,DE11\n2,DE10\n3,DI\n5,DX\n");

    let summaries = run(&spoke.config, IngestOptions::default()).await.unwrap();
    let kontakt = &summaries[0];
    assert_eq!((kontakt.people, kontakt.new_evaluations, kontakt.cache_hits, kontakt.missing_persons), (2, 2, 1, 1));
    assert_eq!((summaries[1].people, summaries[1].rows_without_parent), (2, 1));
    // each has the other's countersignature of its log
    let own =
        witness::witnessed(&spoke.config.audit_log(), &"eger://spoke/region-h".parse().unwrap(), &signing).unwrap();
    assert!(!own.is_empty() && verify_log(&spoke.config.audit_log(), &own).is_ok());
    let theirs = witness::witnessed(&config.audit_log(), &config.peer(), &reply.signing_key).unwrap();
    assert!(!theirs.is_empty() && verify_log(&config.audit_log(), &theirs).is_ok());
    shutdown.cancel();
    custodian.await.unwrap().unwrap();

    // what is on disk is what the linker says, and the cache needs no custodian any more
    let mut linker = Linker::open(LinkerOptions::load(&spoke.config, &pass).unwrap()).await.unwrap();
    let stored = linker.persons(&[707_614_285, 3_112_991_231]).await.unwrap();
    let kid = linker.link_kid().to_owned();
    drop(linker);
    let rows = spoke.rows("diagnose").await;
    let person_of =
        |kode: &str| rows.iter().find(|row| row.ends_with(kode)).unwrap().split('|').next().unwrap().to_owned();
    assert_eq!(
        [person_of("DE11"), person_of("DE10"), person_of("DI"), person_of("DX")],
        [hex(stored[0]), hex(stored[0]), hex(stored[1]), "-".to_owned()]
    );
    assert_eq!(spoke.snapshot("kontakt").await.unwrap().link_kid, kid);
    for file in spoke.files("").iter().filter(|file| !file.starts_with("in/")) {
        let bytes = std::fs::read(spoke.path(file)).unwrap();
        for number in ["0707614285", "707614285", "3112991231", "070761-4285"] {
            assert!(!bytes.windows(number.len()).any(|window| window == number.as_bytes()), "{number} in {file}");
        }
    }
    let again = run(&spoke.config, IngestOptions::default()).await.unwrap();
    assert!(again.iter().all(|summary| summary.outcome == Outcome::NothingNew));
    // another file of people who are known
    spoke.file("in/kontakt.csv", "pnr,id\n3112991231,1\n");
    let third = run(&spoke.config, IngestOptions::default()).await.unwrap();
    assert_eq!((third[0].new_evaluations, third[0].cache_hits, third[1].people), (0, 1, 1));
}
