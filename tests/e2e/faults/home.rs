//! A platform whose victim's links go through a relay, and who asks it; what its processes hold is counted.

use super::shapes::{NATIONAL, OTHER, SHAPES, VICTIM};
use crate::fixture::{Running, options, rows};
use anyhow::{Context, Result, ensure};
use arrow_flight::{FlightInfo, sql::client::FlightSqlServiceClient};
use demo::platform::{PROJECT, Part, Platform};
use futures::TryStreamExt;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tests::relay::Relay;
use tonic::transport::Channel;

/// Seconds that a statement may take at the hub.
pub(super) const DEADLINE: u64 = 6;
/// How long a test waits for something to come about.
pub(super) const WAIT: Duration = Duration::from_secs(60);
const PEOPLE: u32 = 150;

/// The platform and the relays of two of its spokes.
pub(super) struct Home {
    pub(super) running: Running,
    pub(super) relays: BTreeMap<&'static str, Relay>,
    /// of each shape
    pub(super) right: Vec<String>,
    scratch: PathBuf,
}

/// `text` with `key = value` in `[section]`, which is there.
fn with(text: &str, section: &str, key: &str, value: &str) -> String {
    let header = format!("[{section}]");
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim_start().starts_with(&header);
        }
        if !(inside && line.split('=').next().is_some_and(|name| name.trim() == key)) {
            out.push_str(line);
            out.push('\n');
        }
        if line.trim_start().starts_with(&header) {
            out.push_str(&format!("{key} = {value}\n"));
        }
    }
    out
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(std::fs::write(path, change(text))?)
}

impl Home {
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch)?;
        let mut options = options(&folder, PEOPLE);
        options.environment.push(("TMPDIR".to_owned(), scratch.display().to_string()));
        // All shapes at once, at the hub and at each spoke.
        let profile = folder.path().join("profile.toml");
        let laptop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/profiles/laptop.toml");
        let dir = format!("{:?}", scratch.display().to_string());
        let text = with(&std::fs::read_to_string(laptop)?, "scratch", "dir", &dir);
        std::fs::write(&profile, format!("{text}\n[queries]\nslots = 16\n"))?;
        options.profile = Some(profile);
        let mut platform = Platform::start(options).await?;
        let national = platform.hub_dir().join("national");
        std::fs::create_dir_all(&national)?;
        std::fs::write(national.join("people.toml"), NATIONAL)?;
        edit(&platform.config(Part::Hub), |text| {
            let text = with(&text, "query", "timeout_seconds", &DEADLINE.to_string());
            // What a spoke offers is asked for before a statement is held up, not meanwhile.
            let text = with(&text, "query", "catalogue_cache_seconds", "60");
            with(&text, "query", "catalogue_timeout_seconds", "3")
        })?;
        platform.restart(Part::Hub).await?;
        let mut relays = BTreeMap::new();
        for controller in [VICTIM, OTHER] {
            let relay = Relay::to(platform.gateway().context("a gateway")?).await?;
            platform.stop_part(Part::Spoke(controller)).await?;
            let gateway = format!("\"{}\"", relay.address());
            edit(&platform.config(Part::Spoke(controller)), |text| {
                with(&with(&text, "link", "gateway", &gateway), "serve", "max_scans", "16")
            })?;
            platform.start_part(Part::Spoke(controller)).await?;
            relays.insert(controller, relay);
        }
        let running = Running { platform, folder };
        let mut home = Self { running, relays, right: Vec::new(), scratch };
        for shape in &SHAPES {
            let mut asker = home.asker().await?;
            let answer = async {
                let info = asker.announce(shape.sql).await?;
                asker.fetch(&info).await
            };
            let answer = answer.await.map_err(anyhow::Error::msg).with_context(|| {
                let log = std::fs::read_to_string(home.running.platform.log(Part::Hub)).unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(10).collect();
                format!("{}; the hub's log, last line first:\n{}", shape.name, end.join("\n"))
            })?;
            home.right.push(answer);
        }
        Ok(home)
    }

    pub(super) async fn asker(&self) -> Result<Asker> {
        let address = self.running.platform.enclave().context("the hub runs")?;
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(self.running.platform.token().to_owned());
        client.set_header("x-eger-project", PROJECT);
        Ok(Asker(client))
    }

    pub(super) fn relay(&self, controller: &str) -> Result<&Relay> {
        self.relays.get(controller).context("a relay")
    }

    pub(super) fn pid(&self, part: Part) -> Result<u32> {
        self.running.platform.pid(part).context("runs")
    }

    /// Entries of a spoke's log about statements with these ids that have come so far (`asked`, `answered`).
    pub(super) fn at_spoke(&self, controller: &str, stage: &str, ids: &[String]) -> Result<usize> {
        let log = self.running.platform.spoke_dir(controller).join("audit/spoke.log");
        let text = std::fs::read_to_string(log)?;
        let stage = format!("\"stage\":\"{stage}\"");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&stage)).collect();
        Ok(ids.iter().filter(|id| lines.iter().any(|line| line.contains(id.as_str()))).count())
    }

    /// Questions that a spoke has begun, by its log, and not ended.
    pub(super) fn open_at(&self, controller: &str) -> Result<usize> {
        let log = self.running.platform.spoke_dir(controller).join("audit/spoke.log");
        open(&log, "\"stage\":\"asked\"", "\"stage\":\"answered\"")
    }

    /// What a hub's or spoke's process and logs show.
    pub(super) fn counts(&self) -> Result<Counts> {
        let hub = self.running.platform.hub_dir().join("audit/hub.log");
        let (h, v, o) = (self.pid(Part::Hub)?, self.pid(Part::Spoke(VICTIM))?, self.pid(Part::Spoke(OTHER))?);
        let (mut files, mut threads) = (Vec::new(), Vec::new());
        for pid in [h, v, o] {
            files.push(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count());
            threads.push(std::fs::read_dir(format!("/proc/{pid}/task"))?.count());
        }
        Ok(Counts {
            files,
            threads,
            running: vec![
                open(&hub, "\"event\":\"asked\"", "\"event\":\"answered\"")?,
                self.open_at(VICTIM)?,
                self.open_at(OTHER)?,
            ],
            folders: statements(&self.scratch.join("eger-spill")),
        })
    }

    /// Waits until nothing more is there than before.
    pub(super) async fn back(&self, before: &Counts) -> Result<()> {
        let begun = Instant::now();
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let now = self.counts()?;
            if now.within(before) {
                println!("nothing left over {:.1} s later: {now:?}", begun.elapsed().as_secs_f64());
                return Ok(());
            }
            ensure!(begun.elapsed() < WAIT, "left over: {now:?} where there were {before:?}");
        }
    }
}

fn open(log: &Path, begun: &str, ended: &str) -> Result<usize> {
    let text = std::fs::read_to_string(log)?;
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    Ok(count(begun).saturating_sub(count(ended)))
}

fn statements(scratch: &Path) -> usize {
    let below = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    below(&scratch.join("eger-hub-spill")).iter().flat_map(|process| below(process)).map(|hub| below(&hub).len()).sum()
}

/// Of hub, victim and other, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// open files, sockets among them
    pub(super) files: Vec<usize>,
    pub(super) threads: Vec<usize>,
    /// statements, questions and questions that were begun and not ended
    pub(super) running: Vec<usize>,
    /// of statements at the hub
    pub(super) folders: usize,
}

/// Threads for blocking work come and go with it; so many more are none that was left.
const THREADS: usize = 8;

impl Counts {
    fn within(&self, before: &Self) -> bool {
        let least = |now: &[usize], before: &[usize], more: usize| now.iter().zip(before).all(|(n, b)| *n <= b + more);
        least(&self.files, &before.files, 0)
            && least(&self.threads, &before.threads, THREADS)
            && least(&self.running, &before.running, 0)
            && self.folders <= before.folders
    }
}

/// One connection of the researcher.
pub(super) struct Asker(FlightSqlServiceClient<Channel>);

impl Asker {
    pub(super) async fn announce(&mut self, sql: &str) -> Result<FlightInfo, String> {
        self.0.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())
    }

    /// An answer's rows in an order of their own, or what the hub says.
    pub(super) async fn fetch(&mut self, info: &FlightInfo) -> Result<String, String> {
        let ticket = info.endpoint.first().and_then(|end| end.ticket.clone()).ok_or("no ticket")?;
        let stream = self.0.do_get(ticket).await.map_err(|error| error.to_string())?;
        let batches: Vec<_> = stream.try_collect().await.map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        for batch in &batches {
            lines.extend(rows(batch).map_err(|error| error.to_string())?.into_iter().map(|row| row.join("|")));
        }
        lines.sort_unstable();
        Ok(lines.join("\n"))
    }
}

/// The statement's name on every side.
pub(super) fn id(info: &FlightInfo) -> Result<String> {
    let facts: hub::receive::ToSign = serde_json::from_slice(&info.app_metadata)?;
    Ok(facts.query_id.to_string())
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(5));
    loop {
        look.tick().await;
        if so()? {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < WAIT, "waited for {} s: {what}", WAIT.as_secs());
    }
}
