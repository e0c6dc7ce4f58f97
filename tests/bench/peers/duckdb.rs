//! DuckDB over the published Parquet files at three S3 servers.

use super::{
    data::{self, Cut, PLACES, Table},
    lines::{Lines, free_address, tools},
    relay::{Counter, Relay},
    table::Took,
};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peers/ask_duckdb.py");
/// The servers' only account.
const KEY: &str = "bench";
const NGINX: &str = "daemon off; master_process off; pid {own}/pid;
events { worker_connections 512; }
http {
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;
  uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;
  server { listen {address}; root {root}; }
}
";
/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What serves the files by S3's protocol.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum S3 {
    /// reads of whole files and of ranges, without looking at signatures: as fast as a server can be
    Nginx,
    /// a whole S3 server; it hashes the whole file before it answers for any part of it
    S3sFs,
}

impl S3 {
    /// The server of `root`'s buckets at an address; `own`: a folder for its files.
    fn server(self, root: &Path, own: &Path, address: SocketAddr) -> Result<Command> {
        match self {
            S3::Nginx => {
                std::fs::create_dir_all(own)?;
                let config = own.join("nginx.conf");
                let text = NGINX.replace("{own}", &own.to_string_lossy()).replace("{root}", &root.to_string_lossy());
                std::fs::write(&config, text.replace("{address}", &address.to_string()))?;
                let mut server = Command::new("nginx");
                server.arg("-e").arg(own.join("errors")).arg("-c").arg(config);
                Ok(server)
            }
            S3::S3sFs => {
                let mut server = Command::new(tools()?.join("tools/bin/s3s-fs"));
                server.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
                server.args(["--access-key", KEY, "--secret-key", KEY]).arg(root).env("RUST_LOG", "error");
                Ok(server)
            }
        }
    }
}

/// DuckDB as a process, and its three servers.
pub(crate) struct DuckDb {
    asked: Lines,
    counter: Counter,
    _relays: Vec<Relay>,
    _servers: Vec<Child>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Done { seconds: f64, rows: u64 },
    Failed { error: String },
}

impl DuckDb {
    /// Lays `files` (of a table, a cut and a place) out for the servers in `dir`, starts them and DuckDB.
    pub(crate) async fn start(
        dir: &Path,
        tables: &[Table],
        s3: S3,
        files: impl Fn(&Table, Cut, usize) -> Result<Vec<PathBuf>>,
    ) -> Result<DuckDb> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for place in 0..PLACES.len() {
            std::fs::create_dir_all(root(dir, place).join(bucket(place)))?;
        }
        for table in tables {
            for cut in Cut::BOTH {
                for place in table.places(cut) {
                    let name = table.called(cut);
                    let folder = root(dir, place).join(bucket(place)).join(&name);
                    std::fs::create_dir(&folder)?;
                    for file in files(table, cut, place)? {
                        let own = file.file_name().context("a file's name")?;
                        std::fs::hard_link(&file, folder.join(own))?;
                        let url = format!("s3://{}/{name}/{}", bucket(place), own.to_string_lossy());
                        views.entry(name.clone()).or_default().push(url);
                    }
                }
            }
        }
        let counter = Counter::default();
        let (mut servers, mut relays, mut endpoints) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..PLACES.len() {
            let address = free_address()?;
            // Absolute: nginx has a folder of its own for what is not.
            let own = std::path::absolute(dir)?;
            let mut server = s3.server(&root(&own, place), &own.join(format!("nginx-{place}")), address)?;
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            servers.push(server.kill_on_drop(true).spawn().context("an S3 server; run tests/bench/peers/setup")?);
            let started = Instant::now();
            while TcpStream::connect(address).await.is_err() {
                ensure!(started.elapsed() < PATIENCE, "the S3 server doesn't answer at {address}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let relay = Relay::to(address, &counter).await?;
            endpoints.push(relay.address.to_string());
            relays.push(relay);
        }
        let python = tools()?.join("peers/bin/python");
        let told = serde_json::json!({
            "extension": extension(&python).await?,
            "threads": runtime::profile::Profile::detect().target_partitions(),
            "endpoints": endpoints, "key": KEY, "secret": KEY, "views": views,
        });
        let mut command = Command::new(python);
        command.arg(SCRIPT).arg(told.to_string());
        let mut asked = Lines::start(command)?;
        let ready = asked.line().await?;
        ensure!(matches!(serde_json::from_str(&ready), Ok(Said::Done { .. })), "DuckDB: {ready}");
        Ok(DuckDb { asked, counter, _relays: relays, _servers: servers })
    }

    pub(crate) fn sql(sql: &str, tables: &[Table], cut: Cut) -> String {
        data::placed(sql, tables, |table| table.called(cut))
    }

    /// Asks; says how long it took, how many rows came out and what was moved.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Took> {
        let before = self.counter.bytes();
        self.asked.tell(&serde_json::Value::from(sql).to_string()).await?;
        let said = self.asked.line().await?;
        match serde_json::from_str(&said).with_context(|| format!("DuckDB: {said}"))? {
            Said::Done { seconds, rows } => Ok(Took { seconds, rows, bytes: self.counter.bytes() - before }),
            Said::Failed { error } => anyhow::bail!("DuckDB: {error}"),
        }
    }
}

fn root(dir: &Path, place: usize) -> PathBuf {
    dir.join(place.to_string())
}

fn bucket(place: usize) -> String {
    format!("place{place}")
}

/// The extension's file, from where Python has its packages.
async fn extension(python: &Path) -> Result<String> {
    let find = "import duckdb, duckdb_extension_httpfs as h, os; \
                print(os.path.join(list(h.__path__)[0], 'extensions', 'v' + duckdb.__version__, 'httpfs.duckdb_extension'))";
    let found = Command::new(python).args(["-c", find]).output().await.context("run tests/bench/peers/setup")?;
    ensure!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}
