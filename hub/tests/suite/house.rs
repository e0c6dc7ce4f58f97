//! A hub with its folder, links, spokes, projects and an issuer of tokens.

use crate::{
    client::Client,
    issuer::{ISSUER, Issuer},
    spoke::Spoke,
    workspace,
};
use arrow::{
    array::{ArrayRef, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hub::{
    admin,
    apply::Applications,
    assemble::Clock,
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
    pub applications: Applications,
    pub issuer: Issuer,
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
    dialling: Vec<String>,
    pub query: String,
    /// seconds that an offer is used again
    pub cache: u32,
    /// seconds that a spoke may take to say what it offers
    pub patience: u32,
    /// further tables of hub.toml
    pub more: String,
    pub profile: Profile,
    pub clock: Option<Arc<dyn Clock>>,
}

impl Build {
    pub fn new() -> Self {
        runtime::telemetry::init("hub");
        let folder = tempfile::tempdir().unwrap();
        admin::init(folder.path(), "main").unwrap();
        let mut profile = Profile::detect();
        profile.scratch.dir = folder.path().join("scratch");
        profile.queries.target_partitions = Some(2);
        Self {
            folder,
            addresses: Vec::new(),
            dialling: Vec::new(),
            query: String::new(),
            cache: 0,
            patience: 3,
            more: String::new(),
            profile,
            clock: None,
        }
    }

    /// The folder that the hub will have.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn tls(&self, controller: &str) -> Tls {
        let out = self.folder.path().join("certificates").join(controller);
        let peer = Peer::spoke(controller).unwrap();
        let [cert, key, ca] = admin::issue(self.folder.path(), &peer, 1, &out).unwrap();
        Tls::load(&TlsFiles { cert, key, ca }).unwrap()
    }

    /// The hub's own identity on links.
    pub fn hub_tls(&self) -> Tls {
        let keys = self.folder.path().join("keys");
        let at = |name: &str| keys.join(name);
        Tls::load(&TlsFiles { cert: at("link.crt"), key: at("link.key"), ca: at("link-ca.crt") }).unwrap()
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

    /// A controller whose spoke will open its links at the gateway.
    pub fn dials(mut self, controller: &str) -> Self {
        self.dialling.push(controller.to_owned());
        self
    }

    pub async fn start(self, projects: &[(&str, &[&str])]) -> House {
        let path = self.folder.path().join("hub.toml");
        let mut text = format!(
            "name = \"main\"\n[listen]\nopen = \"127.0.0.1:0\"\nenclave = \"127.0.0.1:0\"\n[link]\ncert = \"keys/link.crt\"\n\
             key = \"keys/link.key\"\nca = \"keys/link-ca.crt\"\n[query]\ncatalogue_timeout_seconds = {}\ncatalogue_cache_seconds = {}\n{}\n[api]\naddress = \"127.0.0.1:0\"\nenclave = \"127.0.0.1:0\"\n",
            self.patience, self.cache, self.query
        );
        let issuer = Issuer::new(1, ISSUER);
        text.push_str(&issuer.table(self.folder.path()));
        text.push_str(&self.more);
        if !self.dialling.is_empty() {
            text.push_str("[gateway]\naddress = \"127.0.0.1:0\"\n");
        }
        let mut controllers = self.dialling;
        for (controller, address) in &self.addresses {
            text.push_str(&format!("[[spoke]]\ncontroller = \"{controller}\"\naddress = \"{address}\"\n"));
            controllers.push(controller.clone());
        }
        std::fs::write(&path, text).unwrap();
        let config = HubConfig::load(&path).unwrap();
        let tokens = TokenStore::open(&config.database()).await.unwrap();
        let applications = Applications::new(&tokens);
        for (project, members) in projects {
            workspace::open(&applications, project, members, &controllers).await;
        }
        let stop = CancellationToken::new();
        let (ready, listening) = tokio::sync::oneshot::channel();
        let options = ServeOptions {
            config,
            profile: self.profile,
            open: None,
            enclave: None,
            gateway: None,
            api: None,
            api_enclave: None,
            clock: self.clock,
            ready: Some(ready),
            tap: None,
            shutdown: stop.clone(),
        };
        tokio::spawn(async move { Box::pin(serve::run(options)).await.unwrap() });
        let at = listening.await.unwrap();
        House { folder: self.folder, at, tokens, applications, issuer, stop }
    }
}

impl House {
    /// An access token of the issuer.
    pub fn token(&self, user: &str) -> String {
        self.issuer.token(user, 600)
    }

    pub fn address(&self, zone: Zone) -> SocketAddr {
        match zone {
            Zone::Open => self.at.open,
            Zone::Enclave => self.at.enclave,
        }
    }

    pub async fn client(&self, user: &str, zone: Zone) -> Client {
        let token = self.token(user);
        Client::connect(self.address(zone), &token).await
    }

    /// Where spokes open their links.
    pub fn gateway(&self) -> SocketAddr {
        self.at.gateway.unwrap()
    }

    pub fn config(&self) -> HubConfig {
        HubConfig::load(&self.folder.path().join("hub.toml")).unwrap()
    }

    /// A certificate issued by hand, which the registered controllers don't list.
    pub fn issue(&self, who: &Peer) -> Tls {
        let out = self.folder.path().join("issued").join(format!("{}-{}", who.role, who.name));
        let [cert, key, ca] = admin::issue(self.folder.path(), who, 1, &out).unwrap();
        Tls::load(&TlsFiles { cert, key, ca }).unwrap()
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

pub fn person(n: i64) -> [u8; 16] {
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
