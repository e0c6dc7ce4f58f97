//! A hub with its folder, links, spokes, projects and tokens.

use crate::{client::Client, spoke::Spoke};
use arrow::{
    array::{ArrayRef, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hub::{
    admin,
    config::HubConfig,
    identify::TokenStore,
    serve::{self, Listening, ServeOptions},
};
use policies::zone::Zone;
use proto::schema;
use runtime::{
    peer::Peer,
    profile::Profile,
    tls::{Tls, TlsFiles},
};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

pub const ANNA: &str = "anna@example.org";
pub const BO: &str = "bo@example.org";

pub struct House {
    pub folder: tempfile::TempDir,
    pub at: Listening,
    pub tokens: TokenStore,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub struct Build {
    folder: tempfile::TempDir,
    addresses: Vec<(String, SocketAddr)>,
    pub query: String,
    pub profile: Profile,
}

impl Build {
    pub fn new() -> Self {
        runtime::telemetry::init("hub");
        let folder = tempfile::tempdir().unwrap();
        admin::init(folder.path(), "main").unwrap();
        let mut profile = Profile::detect();
        profile.scratch.dir = folder.path().join("scratch");
        profile.queries.target_partitions = Some(2);
        Self { folder, addresses: Vec::new(), query: String::new(), profile }
    }

    pub fn tls(&self, controller: &str) -> Tls {
        let out = self.folder.path().join("certificates").join(controller);
        let peer = Peer::spoke(controller).unwrap();
        let [cert, key, ca] = admin::issue(self.folder.path(), &peer, 1, &out).unwrap();
        Tls::load(&TlsFiles { cert, key, ca }).unwrap()
    }

    pub async fn spoke(mut self, spoke: &Spoke) -> Self {
        let address = spoke.serve(&self.tls(&spoke.controller)).await;
        self.addresses.push((spoke.controller.clone(), address));
        self
    }

    pub fn at(mut self, controller: &str, address: SocketAddr) -> Self {
        self.addresses.push((controller.to_owned(), address));
        self
    }

    pub async fn start(self, projects: &[(&str, &[&str])]) -> House {
        let path = self.folder.path().join("hub.toml");
        let mut text = format!(
            "name = \"main\"\n[listen]\nopen = \"127.0.0.1:0\"\nenclave = \"127.0.0.1:0\"\n[link]\ncert = \"keys/link.crt\"\n\
             key = \"keys/link.key\"\nca = \"keys/link-ca.crt\"\n[query]\ncatalogue_timeout_seconds = 3\ncatalogue_cache_seconds = 0\n{}\n",
            self.query
        );
        let mut controllers = Vec::new();
        for (controller, address) in &self.addresses {
            text.push_str(&format!("[[spoke]]\ncontroller = \"{controller}\"\naddress = \"{address}\"\n"));
            controllers.push(controller.clone());
        }
        std::fs::write(&path, text).unwrap();
        for (project, members) in projects {
            let text = format!("project = \"{project}\"\nmembers = {members:?}\ncontrollers = {controllers:?}\n");
            std::fs::write(self.folder.path().join(format!("projects/{project}.toml")), text).unwrap();
        }
        let config = HubConfig::load(&path).unwrap();
        let tokens = TokenStore::open(&config.database()).await.unwrap();
        let stop = CancellationToken::new();
        let (ready, listening) = tokio::sync::oneshot::channel();
        let options = ServeOptions {
            config,
            profile: self.profile,
            open: None,
            enclave: None,
            ready: Some(ready),
            tap: None,
            shutdown: stop.clone(),
        };
        tokio::spawn(async move { serve::run(options).await.unwrap() });
        let at = listening.await.unwrap();
        House { folder: self.folder, at, tokens, stop }
    }
}

impl House {
    pub async fn token(&self, user: &str) -> String {
        self.tokens.create(&user.parse().unwrap(), None, 1).await.unwrap().text
    }

    pub fn address(&self, zone: Zone) -> SocketAddr {
        match zone {
            Zone::Open => self.at.open,
            Zone::Enclave => self.at.enclave,
        }
    }

    pub async fn client(&self, user: &str, zone: Zone) -> Client {
        let token = self.token(user).await;
        Client::connect(self.address(zone), &token).await
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The common house: `sds` with prescriptions, `region-h` with a laboratory, one project.
pub struct Two {
    pub house: House,
    pub sds: Spoke,
    pub region: Spoke,
}

pub async fn two() -> Two {
    let sds = Spoke::new("sds").offer("diabetes", "lmdb", lmdb(0..40));
    let region = Spoke::new("region-h").offer("diabetes", "lab_forsker", lab(0..60));
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    Two { house, sds, region }
}

fn person(n: i64) -> [u8; 16] {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64).to_be_bytes());
    id
}

fn field(name: &str, kind: DataType, role: Option<&str>) -> Field {
    let metadata = role.map(|role| [(schema::ROLE.to_owned(), role.to_owned())].into());
    Field::new(name, kind, true).with_metadata(metadata.unwrap_or_default())
}

pub fn people(range: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(range.map(person)).unwrap())
}

/// Prescriptions: every person one row; person n gets code A10BA02 when n is even.
pub fn lmdb(range: std::ops::Range<i64>) -> Vec<RecordBatch> {
    let fields = vec![
        field("pnr", DataType::FixedSizeBinary(16), Some(schema::PERSON)),
        field("eksd", DataType::Date32, None),
        field("atc", DataType::Utf8, None),
        field("volume", DataType::Float64, None),
    ];
    let columns: Vec<ArrayRef> = vec![
        people(range.clone()),
        Arc::new(Date32Array::from_iter_values(range.clone().map(|n| 18_000 + n as i32))),
        Arc::new(StringArray::from_iter_values(range.clone().map(|n| if n % 2 == 0 { "A10BA02" } else { "C09AA05" }))),
        Arc::new(Float64Array::from_iter_values(range.map(|n| n as f64))),
    ];
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()]
}

/// Laboratory: every person one HbA1c.
pub fn lab(range: std::ops::Range<i64>) -> Vec<RecordBatch> {
    let fields = vec![
        field("pnr", DataType::FixedSizeBinary(16), Some(schema::PERSON)),
        field("analysiscode", DataType::Utf8, None),
        field("value", DataType::Float64, None),
        field("kom", DataType::Int64, None),
    ];
    let columns: Vec<ArrayRef> = vec![
        people(range.clone()),
        Arc::new(StringArray::from_iter_values(range.clone().map(|_| "NPU27300"))),
        Arc::new(Float64Array::from_iter_values(range.clone().map(|n| 40.0 + n as f64))),
        Arc::new(Int64Array::from_iter_values(range.map(|n| if n < 3 { 999 } else { 101 + n % 2 }))),
    ];
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()]
}
