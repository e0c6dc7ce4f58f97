//! Malformed inputs of every kind, each with a message of its own that says where and what to do. None panics, none
//! publishes half.

use crate::fixture::{Running, start};
use anyhow::{Context, Result, ensure};
use arrow_flight::{Ticket, flight_service_client::FlightServiceClient};
use demo::platform::{PROJECT, Part, USER};
use prost::Message as _;
use proto::{ids::QueryId, wire};
use runtime::{
    peer::Peer,
    tls::{self, Tls, TlsFiles},
};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// Within this, a spoke says what it has to say to a fragment.
const ANSWER: Duration = Duration::from_secs(60);

/// A file that a controller might have, and what `spoke ingest` says to it.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// changes to the declaration
    change: Option<(&'static str, &'static str)>,
    code: i32,
    says: &'static [&'static str],
}

const DECLARATION: &str = r#"
name = "NAME"
role = "person"

[description]
da = "prøve"
en = "sample"

[source]
path = "FILE"
format = "csv"
delimiter = ";"
encoding = "utf-8"
date = "dd-mm-yyyy"
header = true
missing = [""]

[[column]]
name = "pnr"
role = "person"

[[column]]
name = "dag"
type = "date"

[[column]]
name = "antal"
type = "int32"
"#;

const HEADER: &str = "pnr;dag;antal\n";

fn lines(row: &str, count: usize) -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for i in 0..count {
        text.push_str(&row.replace("NR", &format!("01016{i:05}")));
        text.push('\n');
    }
    text.into_bytes()
}

fn with(mut bytes: Vec<u8>, more: &[u8]) -> Vec<u8> {
    bytes.extend_from_slice(more);
    bytes
}

const GOOD: &str = "NR;24-12-2020;3";

fn cases() -> Vec<Case> {
    let case = |name, bytes, code, says| Case { name, bytes, change: None, code, says };
    vec![
        case(
            "truncated",
            with(lines(GOOD, 50), b"0101700001;24-12-2020;\"3"),
            4,
            &["truncated.csv", "line 52", "quote"],
        ),
        case(
            "wrong_delimiter",
            lines("NR,24-12-2020,3", 50).iter().map(|b| if *b == b';' { b',' } else { *b }).collect(),
            4,
            &["wrong_delimiter.csv", "delimiter"],
        ),
        case(
            "wrong_encoding",
            with(lines(GOOD, 50), b"0101700001;24-12-2020;\xe6\n"),
            4,
            &["wrong_encoding.csv", "line 52", "encoding"],
        ),
        case("wrong_columns", lines("NR;24-12-2020", 50), 3, &["wrong_columns", "rejects", "nothing was published"]),
        case("no_such_day", lines("NR;60-02-2020;3", 50), 3, &["no_such_day", "rejects", "nothing was published"]),
        case("no_number", lines("NR;24-12-2020;tre", 50), 3, &["no_number", "rejects", "nothing was published"]),
        case("no_person", lines("person;24-12-2020;3", 50), 3, &["no_person", "rejects", "nothing was published"]),
        case("empty", Vec::new(), 4, &["empty.csv", "empty"]),
        case(
            "double_header",
            b"pnr;dag;dag;antal\n0101700001;24-12-2020;24-12-2020;3\n".to_vec(),
            4,
            &["double_header.csv", "dag", "twice"],
        ),
        case("missing_column", b"pnr;dag\n0101700001;24-12-2020\n".to_vec(), 4, &["missing_column.csv", "antal"]),
        case("binary", (0..=255).cycle().take(100_000).collect(), 4, &["binary.csv"]),
        Case {
            name: "not_parquet",
            bytes: lines(GOOD, 5),
            change: Some(("format = \"csv\"", "format = \"parquet\"")),
            code: 4,
            says: &["not_parquet.csv", "Parquet"],
        },
        Case {
            name: "bad_declaration",
            bytes: lines(GOOD, 5),
            change: Some(("type = \"int32\"", "typ = \"int32\"")),
            code: 2,
            says: &["bad_declaration.toml", "typ"],
        },
        Case {
            name: "unknown_type",
            bytes: lines(GOOD, 5),
            change: Some(("type = \"int32\"", "type = \"number\"")),
            code: 2,
            says: &["unknown_type.toml", "number"],
        },
        Case {
            name: "key_of_persons",
            bytes: lines(GOOD, 50),
            change: Some((
                "name = \"antal\"\ntype = \"int32\"",
                "name = \"antal\"\ntype = \"int32\"\n\n[[column]]\nname = \"kontakt\"\nsource = \"kontakt\"\nrole = \"key\"",
            )),
            code: 4,
            says: &["key_of_persons.csv", "kontakt"],
        },
    ]
}

async fn ingest(running: &Running, table: &str, code: i32, says: &[&str]) -> Result<String> {
    let outcome = running.platform.ingest("sds", &[table]).await?;
    let said = outcome.text;
    ensure!(outcome.code == Some(code), "{table}: exit code {:?}, not {code}: {said}", outcome.code);
    for word in says {
        ensure!(said.contains(word), "{table}: doesn't say '{word}': {said}");
    }
    ensure!(!said.contains("panicked"), "{table}: {said}");
    ensure!(!said.contains("0101700001") && !said.contains("0101600001"), "{table}: shows a person number: {said}");
    Ok(said)
}

fn declare(running: &Running, name: &str, file: &Path, change: Option<(&str, &str)>) -> Result<std::path::PathBuf> {
    let mut text = DECLARATION.replace("NAME", name).replace("FILE", &file.display().to_string());
    if let Some((from, to)) = change {
        ensure!(text.contains(from), "{name}: the change finds nothing");
        text = text.replace(from, to);
    }
    let path = running.platform.spoke_dir("sds").join("tables").join(format!("{name}.toml"));
    fs::write(&path, text)?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_files_get_their_own_message_and_publish_nothing() -> Result<()> {
    let running = start(100).await?;
    let mut messages = BTreeMap::new();
    for case in cases() {
        let file = running.folder.path().join(format!("{}.csv", case.name));
        fs::write(&file, &case.bytes)?;
        let declaration = declare(&running, case.name, &file, case.change)?;
        let said = ingest(&running, case.name, case.code, case.says).await?;
        messages.insert(case.name, said.replace(case.name, ""));
        fs::remove_file(declaration)?;
    }

    // 2 GB in one field: a sparse file, refused at 1 MiB.
    let file = running.folder.path().join("endless.csv");
    fs::write(&file, lines(GOOD, 3))?;
    fs::OpenOptions::new().write(true).open(&file)?.set_len(2_000_000_000)?;
    let declaration = declare(&running, "endless", &file, None)?;
    messages.insert("endless", ingest(&running, "endless", 4, &["endless.csv", "line 5", "1 MiB"]).await?);
    fs::remove_file(declaration)?;

    let declaration = declare(&running, "nowhere", Path::new("/nowhere/at/all.csv"), None)?;
    messages.insert("nowhere", ingest(&running, "nowhere", 4, &["/nowhere/at/all.csv"]).await?);
    fs::remove_file(declaration)?;
    messages.insert("unknown", ingest(&running, "unknown", 2, &["unknown", "lmdb"]).await?);

    let distinct: std::collections::BTreeSet<_> = messages.values().collect();
    // Rejected rows share one sentence; what was rejected stands in the rejects file.
    ensure!(distinct.len() + 3 >= messages.len(), "messages repeat: {messages:#?}");

    let args = ["tables".into(), "--config".into(), running.platform.config(Part::Spoke("sds"))];
    let published = running.platform.run("spoke", &args).await?.stdout;
    for name in messages.keys() {
        ensure!(!published.contains(&format!("{name} ")), "{name} was published:\n{published}");
    }
    let rejects = running.platform.spoke_dir("sds").join("rejects");
    let mut reasons = String::new();
    for entry in fs::read_dir(&rejects)? {
        reasons.push_str(&fs::read_to_string(entry?.path())?);
    }
    for word in ["no_such_day.csv", "dag", "no_number.csv", "antal", "no_person.csv", "pnr"] {
        ensure!(reasons.contains(word), "the rejects don't name {word}");
    }
    ensure!(!reasons.contains("60-02-2020") && !reasons.contains("01016"), "the rejects show values");
    running.platform.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_questions_get_their_own_message() -> Result<()> {
    let running = start(100).await?;
    let mut client = running.enclave().await?;
    let deep = format!("SELECT COUNT(*) FROM dst.bef WHERE {}koen = 1{}", "(".repeat(5_000), ")".repeat(5_000));
    let nested = format!("SELECT COUNT(*) FROM dst.bef WHERE koen = 1{}", " + 1".repeat(20_000));
    let mut messages = std::collections::BTreeSet::new();
    for (sql, says) in [
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("INSERT INTO dst.bef VALUES (1)", "INSERT"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("COPY dst.bef TO '/tmp/x.csv'", "COPY"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT nosuch FROM dst.bef", "nosuch"),
        ("SELECT * FROM dst.nosuch", "nosuch"),
        ("SELECT * FROM other.bef", "other"),
        ("SELEC koen FROM dst.bef", "SELEC"),
        ("SELECT 1; SELECT 2", "one"),
        // Withheld: the controller has it, the permit doesn't name it.
        ("SELECT navn FROM sds.lmdb", "navn"),
        (deep.as_str(), "nested"),
        (nested.as_str(), "too many"),
    ] {
        let short = &sql[..sql.len().min(60)];
        let said = client.ask(sql).await.err().with_context(|| format!("answered: {short}"))?.to_string();
        ensure!(said.contains(says), "{short}: doesn't say '{says}': {said}");
        ensure!(!said.contains("panicked"), "{short}: {said}");
        messages.insert(said);
    }
    ensure!(messages.len() >= 12, "messages repeat: {messages:#?}");
    ensure!(client.ask("SELECT COUNT(*) FROM dst.bef").await?.num_rows() == 1, "the hub doesn't live");
    running.platform.stop().await?;
    Ok(())
}

/// What a hub that has lost its mind, or its honesty, might send to a spoke.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_fragments_are_refused_by_name() -> Result<()> {
    let running = start(100).await?;
    let keys = running.platform.hub_dir().join("keys");
    let files = TlsFiles { cert: keys.join("link.crt"), key: keys.join("link.key"), ca: keys.join("link-ca.crt") };
    // Through the gateway, which relays what a hub says without looking at it.
    let address = running.platform.gateway().context("runs")?.to_string();
    let channel = tls::channel(&address, Peer::hub("main")?, &Tls::load(&files)?);
    let to_dst = |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("x-eger-controller", tonic::metadata::MetadataValue::from_static("dst"));
        Ok(request)
    };
    let mut client = FlightServiceClient::with_interceptor(channel, to_dst).max_encoding_message_size(256 << 20);
    let good = || wire::ScanRequest {
        blind: None,
        quick: None,
        versions: Vec::new(),
        envelope: Some(wire::Envelope {
            version: 1,
            query_id: QueryId::new().to_string(),
            project: PROJECT.to_owned(),
            user: USER.to_owned(),
            deadline_unix_ms: (chrono::Utc::now() + chrono::Duration::seconds(30)).timestamp_millis(),
            zone: wire::Zone::Open as i32,
            token: running.platform.token().to_owned(),
            ..wire::Envelope::default()
        }),
        fragment: Some(wire::Fragment { version: 1, root: Some(read("bef", &["koen"])) }),
        schema_fingerprint: Vec::new(),
        keys: Vec::new(),
        accepts: Vec::new(),
    };
    let change = |f: &dyn Fn(&mut wire::ScanRequest)| {
        let mut request = good();
        f(&mut request);
        request.encode_to_vec()
    };
    let mut deep = read("bef", &["koen"]);
    for _ in 0..45 {
        deep = wire::Rel {
            kind: Some(wire::rel::Kind::SortLimit(Box::new(wire::SortLimit {
                input: Some(Box::new(deep)),
                keys: Vec::new(),
                limit: Some(1),
                offset: 0,
            }))),
        };
    }
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("garbage", b"\xff\xfe not a message".to_vec(), ""),
        ("oversized", vec![0x0a; 40 << 20], ""),
        (
            "cut short",
            {
                let mut b = good().encode_to_vec();
                b.truncate(b.len() / 2);
                b
            },
            "",
        ),
        ("no envelope", change(&|r| r.envelope = None), "envelope"),
        ("no fragment", change(&|r| r.fragment = None), "fragment"),
        (
            "another version",
            change(&|r| {
                if let Some(f) = &mut r.fragment {
                    f.version = 99
                }
            }),
            "version",
        ),
        ("unknown table", change(&|r| set(r, read("nosuch", &["koen"]))), "nosuch"),
        ("unknown column", change(&|r| set(r, read("bef", &["nosuch"]))), "nosuch"),
        ("a file", change(&|r| set(r, read("/etc/passwd", &["a"]))), "Read.table"),
        (
            "another project",
            change(&|r| {
                if let Some(e) = &mut r.envelope {
                    e.project = "other".to_owned()
                }
            }),
            "",
        ),
        (
            "no zone",
            change(&|r| {
                if let Some(e) = &mut r.envelope {
                    e.zone = 0
                }
            }),
            "zone",
        ),
        ("too deep", change(&|r| set(r, deep.clone())), ""),
    ];
    for (name, bytes, says) in cases {
        let refused = async {
            match client.do_get(Ticket { ticket: bytes.into() }).await {
                Err(status) => Ok(status),
                Ok(mut stream) => match stream.get_mut().message().await {
                    Err(status) => Ok(status),
                    Ok(_) => Err(anyhow::anyhow!("{name}: answered")),
                },
            }
        };
        let refused = tokio::time::timeout(ANSWER, refused).await;
        let status = refused.with_context(|| format!("{name}: neither refused nor answered"))??;
        let said = status.message();
        ensure!(said.contains(says) && !said.contains("panicked"), "{name}: doesn't say '{says}': {said}");
    }
    let mut answered = client.do_get(Ticket { ticket: good().encode_to_vec().into() }).await?;
    ensure!(answered.get_mut().message().await?.is_some(), "the well-formed one is not answered");
    running.platform.stop().await?;
    Ok(())
}

fn read(table: &str, columns: &[&str]) -> wire::Rel {
    let read = wire::Read { table: table.to_owned(), columns: columns.iter().map(|c| (*c).to_owned()).collect() };
    wire::Rel { kind: Some(wire::rel::Kind::Read(read)) }
}

fn set(request: &mut wire::ScanRequest, root: wire::Rel) {
    if let Some(fragment) = &mut request.fragment {
        fragment.root = Some(root);
    }
}
