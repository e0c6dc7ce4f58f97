//! Members of blind totals: simulated spokes that answer with shares, and a real custodian.

use crate::{
    house::{ANNA, Build, House, people},
    spoke::Spoke,
};
use arrow::{
    array::{ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use chrono::Utc;
use custodian::{Config, ServeOptions, enrol, register::Register, setup};
use prost::Message;
use proto::{
    blind::{self, Of, SEED, SEED_INFO, Seed, SeedStatement, columns},
    ids::ControllerId,
    schema, wire,
};
use runtime::{ca::CertRequest, sealing::PublicSealingKey, sign::SigningKey};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio_util::sync::CancellationToken;

/// What a member signs and seals with.
pub struct Sharing {
    pub controller: ControllerId,
    pub members: Vec<ControllerId>,
    pub custodian: PublicSealingKey,
    pub signing: SigningKey,
    /// what it has masked: one row of numbers for each answer
    pub parts: Mutex<Vec<Vec<Option<i128>>>>,
}

impl Sharing {
    /// What a spoke sends instead of its row of totals.
    pub fn share(
        &self,
        request: &wire::ScanRequest,
        asked: &wire::Blind,
        row: &RecordBatch,
    ) -> (SchemaRef, RecordBatch) {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let (total, fragment) = (asked.total.parse().unwrap(), request.fragment.as_ref().unwrap());
        let fragment = blind::fragment_digest(fragment);
        let seed = Seed::new(seed);
        let of = Of { total: &total, fragment: &fragment };
        let values = columns::values(row, 0).unwrap();
        let words = blind::shares(&seed, of, 0, &values, self.members.len());
        self.parts.lock().unwrap().push(values);
        let statement = SeedStatement {
            version: SeedStatement::VERSION,
            controller: self.controller.clone(),
            project: "diabetes".parse().unwrap(),
            members: self.members.clone(),
            custodian: self.custodian.to_bytes(),
            total,
            fragment,
            snapshots: [("lab".parse().unwrap(), 0)].into(),
            words: u32::try_from(words.len()).unwrap(),
            seed,
            at: Utc::now(),
        };
        let signed = self.signing.sign(SEED, &serde_json::to_vec(&statement).unwrap());
        let sealed = self.custodian.seal(SEED_INFO, &[], signed.as_bytes()).unwrap();
        let sealed = wire::SealedSeed {
            controller: self.controller.to_string(),
            encapsulated: sealed.encapsulated,
            ciphertext: sealed.ciphertext,
        };
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_vec(vec![words.as_slice()])),
            Arc::new(BinaryArray::from_vec(vec![sealed.encode_to_vec().as_slice()])),
        ];
        (columns::answer_schema(), RecordBatch::try_new(columns::answer_schema(), columns).unwrap())
    }
}

/// One member's rows: `tag` and `kr` each stand once, the rest is nothing.
pub fn lab(range: std::ops::Range<i64>, tag: i64, kr: i128) -> Vec<RecordBatch> {
    let person = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let fields = vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("tag", DataType::Int64, true),
        Field::new("kr", DataType::Decimal128(15, 2), true),
        Field::new("x", DataType::Float64, true),
        Field::new("kom", DataType::Int64, true),
    ];
    // Spread over all people, so that each of them has a part that is not zero.
    let n = range.end - range.start;
    let parts = |whole: i128| {
        let n = i128::from(n);
        (0..n).map(move |i| Some(whole / n + if i == 0 { whole % n } else { 0 }))
    };
    let whole = |part: Option<i128>| part.map(|part| i64::try_from(part).unwrap());
    let money: Decimal128Array = parts(kr).collect();
    let columns: Vec<ArrayRef> = vec![
        people(range.clone()),
        Arc::new(parts(i128::from(tag)).map(whole).collect::<Int64Array>()),
        Arc::new(money.with_precision_and_scale(15, 2).unwrap()),
        Arc::new(Float64Array::from_iter_values(range.clone().map(|n| n as f64))),
        Arc::new(Int64Array::from_iter_values(range.map(|n| n / 1000))),
    ];
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()]
}

fn declared(names: &[String], persons: &str) -> String {
    let column = |name: &str, kind: &str| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
    let columns = [("pnr", "person"), ("tag", "int64"), ("kr", "decimal(15,2)"), ("x", "float64"), ("kom", "int64")];
    let columns: String = columns.iter().map(|(name, kind)| column(name, kind)).collect();
    let members: String = names.iter().map(|name| format!("[[member]]\ncontroller = \"{name}\"\n")).collect();
    format!("persons = \"{persons}\"\n{columns}{members}")
}

/// A custodian that serves.
pub struct Third {
    pub config: Config,
    pub shutdown: CancellationToken,
    pub done: tokio::task::JoinHandle<()>,
}

impl Drop for Third {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A custodian with these spokes' signing keys and this hub; what belongs into `hub.toml`.
pub async fn custodian(folder: &Path, spokes: &[(String, SigningKey)]) -> (Third, String) {
    let own = folder.join("custodian");
    let (path, _) = setup::init(&own, "national", "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = Config::load(&path).unwrap();
    let register = Register::open(&config.register()).await.unwrap();
    let approver = SigningKey::generate().unwrap().public();
    for (name, signing) in spokes {
        register.add(name, &approver, 1000, false).await.unwrap();
        register.enrol(name, "a certificate that is not used", &signing.public(), Utc::now()).await.unwrap();
    }
    let (csr, key) = CertRequest::create().unwrap();
    let reply = enrol::enrol_hub(&config, "main", &csr, 1).await.unwrap();
    let keys = folder.join("keys");
    runtime::seal::write_private(&keys.join("custodian.key"), key.as_bytes()).unwrap();
    std::fs::write(keys.join("custodian.crt"), reply.certificate).unwrap();
    std::fs::write(keys.join("custodian-ca.crt"), reply.authority).unwrap();
    let (ready, bound) = tokio::sync::oneshot::channel();
    let shutdown = CancellationToken::new();
    let options = ServeOptions {
        config: config.clone(),
        listen: None,
        ready: Some(ready),
        tap: None,
        shutdown: shutdown.clone(),
    };
    let done = tokio::spawn(async move { custodian::serve(options).await.unwrap() });
    let address = bound.await.unwrap();
    let table = format!(
        "[custodian]\nname = \"national\"\naddress = \"{address}\"\n[custodian.tls]\ncert = \"keys/custodian.crt\"\n\
         key = \"keys/custodian.key\"\nca = \"keys/custodian-ca.crt\"\n"
    );
    (Third { config, shutdown, done }, table)
}

/// A hub whose project is blind over these members.
pub struct Members {
    pub house: House,
    pub spokes: Vec<Spoke>,
    pub third: Third,
}

/// Each member has these rows of `lab`.
pub async fn members(persons: &str, rows: Vec<Vec<RecordBatch>>) -> Members {
    let names: Vec<String> = (0..rows.len()).map(|n| format!("member-{n:02}")).collect();
    let mut build = Build::new();
    let keys: Vec<_> = names.iter().map(|name| (name.clone(), SigningKey::generate().unwrap())).collect();
    let (third, table) = custodian(build.path(), &keys).await;
    build.more = table;
    std::fs::create_dir(build.path().join("national")).unwrap();
    std::fs::write(build.path().join("national/lab.toml"), declared(&names, persons)).unwrap();
    let sealing: PublicSealingKey =
        std::fs::read_to_string(third.config.sealing_public_file()).unwrap().parse().unwrap();
    let members: Vec<ControllerId> = names.iter().map(|name| name.parse().unwrap()).collect();
    let mut spokes = Vec::new();
    for ((name, signing), rows) in keys.into_iter().zip(rows) {
        let mut spoke = Spoke::new(&name).offer("diabetes", "lab", rows);
        spoke.zone = wire::Zone::Open;
        spoke.terms.lock().unwrap().blind =
            Some(wire::BlindSet { members: names.clone(), custodian: sealing.to_string() });
        spoke.blind = Some(Arc::new(Sharing {
            controller: name.parse().unwrap(),
            members: members.clone(),
            custodian: sealing.clone(),
            signing,
            parts: Mutex::default(),
        }));
        build = build.spoke(&spoke).await;
        spokes.push(spoke);
    }
    let house = build.start(&[("diabetes", &[ANNA])]).await;
    Members { house, spokes, third }
}
