//! PostgreSQL 15 with postgres_fdw: one server that is asked, three that hold the tables.
//!
//! Data directories are kept below the system's folder for temporary files, since PostgreSQL refuses to run as root and its user
//! reaches few folders; the servers run as long as this does.

use super::{
    data::{self, Cut, PLACES, Table},
    lines::{Lines, free_address},
    relay::{Counter, Relay},
    table::Took,
};
use anyhow::{Context, Result, bail, ensure};
use arrow::datatypes::DataType;
use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// Where Debian has the programs.
const BIN: &str = "/usr/lib/postgresql/15/bin";
/// Who runs the servers when root starts them.
const USER: &str = "postgres";
/// Ends a statement's output.
const END: &str = "-- end";
/// As a small analytical server would be set; nothing here needs to outlive a crash.
const SETTINGS: &str = "fsync = off\nshared_buffers = '512MB'\nwork_mem = '128MB'\nmax_wal_size = '4GB'\njit = on\n\
                        listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nlogging_collector = off\n";

/// The servers, and a session at the one that is asked.
pub(crate) struct Postgres {
    asked: Lines,
    counter: Counter,
    _relays: Vec<Relay>,
    servers: Vec<Server>,
}

struct Server {
    data: PathBuf,
    address: SocketAddr,
}

impl Postgres {
    /// Starts the servers, filled from the files in `source` unless that has been done for this scale.
    pub(crate) async fn start(source: &Path, tables: &[Table], scale: f64, seconds: u64) -> Result<Postgres> {
        let dir = std::env::temp_dir().join(format!("eger-bench-postgres-{scale}"));
        std::fs::create_dir_all(&dir)?;
        if root() {
            run("chown", &[USER, &dir.to_string_lossy()]).await?;
        }
        let mut postgres = Postgres {
            asked: Lines::start(Command::new("cat"))?,
            counter: Counter::default(),
            _relays: Vec::new(),
            servers: Vec::new(),
        };
        for name in PLACES.into_iter().chain(["asked"]) {
            postgres.servers.push(Server::start(&dir.join(name)).await?);
        }
        for server in &postgres.servers {
            postgres._relays.push(Relay::to(server.address, &postgres.counter).await?);
        }
        let ports: Vec<u16> = postgres._relays.iter().map(|relay| relay.address.port()).take(PLACES.len()).collect();
        let asked = postgres.servers.last().context("four servers")?;
        let filled = dir.join("asked/filled");
        if filled.exists() {
            let moved = ports.iter().enumerate();
            let moved = moved.map(|(place, port)| format!("ALTER SERVER place{place} OPTIONS (SET port '{port}');\n"));
            asked.psql(&moved.collect::<String>()).await?;
        } else {
            for (place, server) in postgres.servers.iter().take(PLACES.len()).enumerate() {
                println!("  copying into PostgreSQL at {}", PLACES[place]);
                server.fill(source, tables, place).await?;
            }
            println!("  PostgreSQL looks at what it can ask");
            asked.psql(&foreign(tables, &ports)).await?;
            std::fs::write(filled, "every table\n")?;
        }
        postgres.asked = asked.session()?;
        let setup = format!("\\timing on\n\\o /dev/null\nSET statement_timeout = '{seconds}s';\n\\echo {END}");
        postgres.asked.tell(&setup).await?;
        while postgres.asked.line().await? != END {}
        Ok(postgres)
    }

    pub(crate) fn sql(sql: &str, tables: &[Table], cut: Cut) -> String {
        data::placed(sql, tables, |table| format!("{}.{}", cut.name(), table.name))
    }

    /// Asks; says how long it took, how many rows came out and what was moved; none when it didn't finish in time.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Option<Took>> {
        let before = self.counter.bytes();
        self.asked.tell(&format!("{sql}\n;\n\\echo rows :ROW_COUNT\n\\echo {END}")).await?;
        let (mut seconds, mut rows, mut trouble) = (None, 0, None);
        loop {
            let line = self.asked.line().await?;
            if line == END {
                break;
            } else if let Some(took) = line.strip_prefix("Time: ") {
                let milliseconds = took.split_whitespace().next().context("a time")?;
                seconds = Some(milliseconds.parse::<f64>()? / 1e3);
            } else if let Some(count) = line.strip_prefix("rows ") {
                rows = count.parse()?;
            } else if line.starts_with("ERROR") {
                trouble = Some(line);
            }
        }
        match (trouble, seconds) {
            (Some(error), _) if error.contains("statement timeout") => Ok(None),
            (Some(error), _) => bail!("PostgreSQL: {error}"),
            (None, None) => bail!("PostgreSQL gave no time"),
            (None, Some(seconds)) => Ok(Some(Took { seconds, rows, bytes: self.counter.bytes() - before })),
        }
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        for server in std::mem::take(&mut self.servers) {
            server.stop().await?;
        }
        Ok(())
    }
}

impl Server {
    async fn start(data: &Path) -> Result<Server> {
        let text = data.to_string_lossy().into_owned();
        if !data.join("PG_VERSION").exists() {
            let initdb = format!("{BIN}/initdb");
            as_user(&[&initdb, "-D", &text, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
                .await?;
            let conf = data.join("postgresql.conf");
            let before = std::fs::read_to_string(&conf)?;
            std::fs::write(&conf, format!("{before}\n{SETTINGS}"))?;
        }
        // one that a killed benchmark left behind would keep the folder
        let _ = as_user(&[&format!("{BIN}/pg_ctl"), "stop", "-m", "immediate", "-s", "-D", &text]).await;
        let address = free_address()?;
        let port = format!("-p {}", address.port());
        let log = format!("{text}/server.log");
        as_user(&[&format!("{BIN}/pg_ctl"), "start", "-w", "-D", &text, "-o", &port, "-l", &log]).await?;
        Ok(Server { data: data.to_owned(), address })
    }

    async fn fill(&self, source: &Path, tables: &[Table], place: usize) -> Result<()> {
        let mut sql = String::new();
        for table in tables {
            for cut in Cut::BOTH.into_iter().filter(|cut| table.places(*cut).contains(&place)) {
                let (name, columns, key) = (table.called(cut), columns(table), table.key);
                let file = std::path::absolute(data::csv(source, table, cut, place))?;
                let _ = write!(
                    sql,
                    "DROP TABLE IF EXISTS {name};\nCREATE UNLOGGED TABLE {name} ({columns});\n\
                     \\copy {name} from '{}' with (format csv, header)\nALTER TABLE {name} ADD PRIMARY KEY ({key});\n",
                    file.display()
                );
            }
        }
        sql.push_str("VACUUM ANALYZE;\n");
        self.psql(&sql).await
    }

    fn client(&self) -> Command {
        let mut command = Command::new("sh");
        let psql = format!("exec {BIN}/psql -X -q -h 127.0.0.1 -p {} -U {USER} -d postgres 2>&1", self.address.port());
        command.args(["-c", &psql]);
        command
    }

    fn session(&self) -> Result<Lines> {
        let mut command = self.client();
        command.env("PGOPTIONS", "-c client_min_messages=warning");
        Lines::start(command)
    }

    /// Runs statements that must succeed.
    async fn psql(&self, sql: &str) -> Result<()> {
        let mut session = self.session()?;
        session.tell(&format!("\\set ON_ERROR_STOP on\n{sql}\\echo {END}")).await?;
        let mut said = String::new();
        loop {
            match session.line().await {
                Ok(line) if line == END => return Ok(()),
                Ok(line) => said = line,
                Err(error) => return Err(error).with_context(|| format!("PostgreSQL: {said}")),
            }
        }
    }

    async fn stop(&self) -> Result<()> {
        let data = self.data.to_string_lossy();
        as_user(&[&format!("{BIN}/pg_ctl"), "stop", "-w", "-m", "fast", "-D", &data]).await
    }
}

impl Drop for Postgres {
    /// However the benchmark ends, no server outlives it.
    fn drop(&mut self) {
        for server in &self.servers {
            let (program, data) = (format!("{BIN}/pg_ctl"), server.data.to_string_lossy());
            let all = as_user_args(&[&program, "stop", "-m", "immediate", "-D", &data]);
            let (first, rest) = (all.first().cloned().unwrap_or_default(), all.get(1..).unwrap_or_default());
            let _ = std::process::Command::new(first).args(rest).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// Declares the other servers and their tables at the one that is asked, and has it look at them for its planner.
fn foreign(tables: &[Table], ports: &[u16]) -> String {
    let mut sql = "DROP SCHEMA IF EXISTS apart, thirds CASCADE;\nDROP EXTENSION IF EXISTS postgres_fdw CASCADE;\n\
                   CREATE EXTENSION postgres_fdw;\nCREATE SCHEMA apart;\nCREATE SCHEMA thirds;\n"
        .to_owned();
    for (place, port) in ports.iter().enumerate() {
        // writing into a String cannot fail
        let _ = write!(
            sql,
            "CREATE SERVER place{place} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', \
             dbname 'postgres', fetch_size '10000', use_remote_estimate 'true', async_capable 'true');\n\
             CREATE USER MAPPING FOR CURRENT_USER SERVER place{place} OPTIONS (user '{USER}', password_required 'false');\n",
        );
    }
    for table in tables {
        let (name, home, columns) = (table.name, table.home, columns(table));
        let _ = writeln!(
            sql,
            "CREATE FOREIGN TABLE apart.{name} ({columns}) SERVER place{home} OPTIONS (schema_name 'public', \
             table_name '{name}');\nCREATE TABLE thirds.{name} ({columns});"
        );
        for place in 0..ports.len() {
            let _ = writeln!(
                sql,
                "CREATE FOREIGN TABLE thirds.{name}_{place} () INHERITS (thirds.{name}) SERVER place{place} \
                 OPTIONS (schema_name 'public', table_name '{}');",
                table.third()
            );
        }
        let _ = writeln!(sql, "ANALYZE apart.{name};\nANALYZE thirds.{name};");
        for place in 0..ports.len() {
            let _ = writeln!(sql, "ANALYZE thirds.{name}_{place};");
        }
    }
    sql
}

/// Columns of a table, with types.
fn columns(table: &Table) -> String {
    let columns = table.schema.fields().iter().map(|field| {
        let kind = match field.data_type() {
            DataType::Int64 => "bigint".to_owned(),
            DataType::Int32 => "integer".to_owned(),
            DataType::Date32 => "date".to_owned(),
            DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
            _ => "text".to_owned(),
        };
        format!("{} {kind} NOT NULL", field.name())
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// PostgreSQL's programs refuse to run as root.
fn as_user_args(args: &[&str]) -> Vec<String> {
    let before: &[&str] = if root() { &["runuser", "-u", USER, "--"] } else { &[] };
    before.iter().chain(args).map(|arg| (*arg).to_owned()).collect()
}

async fn as_user(args: &[&str]) -> Result<()> {
    let all = as_user_args(args);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    match all.split_first() {
        Some((program, args)) => run(program, args).await,
        None => Ok(()),
    }
}

async fn run(program: &str, args: &[&str]) -> Result<()> {
    // a server started in the background would keep a pipe open: what goes wrong stands in its log
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
    if args.contains(&"-s") {
        command.stderr(Stdio::null());
    }
    let status = command.status().await.with_context(|| format!("{program}; run tests/bench/peers/setup"))?;
    ensure!(status.success(), "{program} {}: {status}", args.join(" "));
    Ok(())
}
