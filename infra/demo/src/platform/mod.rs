//! The platform as processes on loopback: one custodian, a spoke for each controller, one hub, one issuer of access tokens, in
//! one folder.
//!
//! ```text
//! DIR/registers/<controller>/   the controllers' own files, as generated
//! DIR/custodian  DIR/spokes/<controller>  DIR/hub  DIR/issuer      what each party's `init` made
//! DIR/logs  DIR/ready  DIR/handover
//! ```
//! Every step looks first whether it has been done, so that a second start, or one after a crash, goes on from there.
//!
//! INVARIANT: no process outlives the [`Platform`] that started it. Each part is driven by its command line only.

mod child;
mod desk;
mod error;
mod project;
mod quick;
mod settings;
mod setup;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::select_all;
use policies::application::BlindForm;

use self::child::{Child, Program};
pub use self::child::{Outcome, Output};
pub use self::desk::Desk;
pub use self::error::PlatformError;
pub use self::project::AlsoAsked;
pub use self::setup::wipe;
use crate::cast::Cast;
use crate::generate;

/// The demo's project.
pub const PROJECT: &str = "diabetes";
/// The researcher.
pub const USER: &str = "anna@example.org";

/// What to start, and where.
#[derive(Clone)]
pub struct Options {
    /// people that the custodian expects at each controller at the least, when a table holds more than the registers
    pub population: u32,
    /// The folder; made when it is missing.
    pub dir: PathBuf,
    /// A program that plays `--role custodian|spoke|hub|issuer -- ARGUMENTS`, such as this one.
    pub program: PathBuf,
    /// Who takes part, and what each holds.
    pub cast: Cast,
    /// What to generate when nothing has been generated there.
    pub registers: generate::Options,
    /// Researchers of the project beside [`USER`].
    pub researchers: Vec<String>,
    /// The hub's execution profile; without one it measures this machine.
    pub profile: Option<PathBuf>,
    /// Whether ingests show their progress on the terminal.
    pub live: bool,
    /// Whether the project is applied for as soon as everything runs; if not, [`Platform::open_project`] does it.
    pub apply: bool,
    /// Tables that the project asks for beside the registers' own.
    pub also: Vec<AlsoAsked>,
    /// What leaves the controllers, as the application says it; none: rows into the enclave, or blind totals.
    pub output: Option<String>,
    /// What each controller raises the threshold to.
    pub threshold: Option<u32>,
    /// Nothing leaves the members but blind totals; they are among the cast.
    pub blind: Option<BlindForm>,
    /// Further issuers that every party trusts, where the researcher signs in under the same name. They must run: their
    /// keys come from their discovery documents.
    pub issuers: Vec<String>,
    /// People who check what leaves through the airlock, each with an organisation; with any, the hub's API listens inside too.
    pub checkers: Vec<(String, String)>,
    /// Further environment of every process.
    pub environment: Vec<(String, String)>,
    /// Called with each thing done.
    pub report: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl Options {
    /// Quiet, with `people` of seed 1.
    pub fn new(dir: impl Into<PathBuf>, program: impl Into<PathBuf>, people: u32) -> Options {
        Options {
            dir: dir.into(),
            program: program.into(),
            cast: Cast::demo(),
            registers: generate::Options { people, seed: 1 },
            researchers: Vec::new(),
            profile: None,
            live: false,
            apply: true,
            also: Vec::new(),
            output: None,
            threshold: None,
            blind: None,
            population: 0,
            issuers: Vec::new(),
            checkers: Vec::new(),
            environment: Vec::new(),
            report: Arc::new(|_| ()),
        }
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// People generated so far.
    People(u32),
    /// A step that begins.
    Step(&'a str),
    /// What a step says.
    Note(&'a str),
}

/// A process of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The custodian.
    Custodian,
    /// Where people sign in.
    Issuer,
    /// The spoke of this controller.
    Spoke(&'static str),
    /// The hub.
    Hub,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Custodian => f.write_str("custodian"),
            Part::Issuer => f.write_str("issuer"),
            Part::Spoke(controller) => write!(f, "spoke-{controller}"),
            Part::Hub => f.write_str("hub"),
        }
    }
}

/// Whether `hub admin controllers` says that a spoke has links.
fn connected(said: &str, part: Part) -> bool {
    let Part::Spoke(controller) = part else { return true };
    said.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(controller)
            && words.next() == Some("joined")
            && words.next().and_then(|links| links.parse::<u32>().ok()).is_some_and(|links| links > 0)
    })
}

/// The running platform. Dropping it kills what runs; [`Platform::stop`] stops it in order.
pub struct Platform {
    options: Options,
    program: Program,
    children: BTreeMap<Part, Child>,
    /// Addresses by name, as each part told them last.
    addresses: BTreeMap<Part, BTreeMap<String, SocketAddr>>,
    issuer: String,
    token: String,
    _lock: File,
}

impl Platform {
    /// Makes what is missing, ingests unless that has been done, starts everything, and opens the project unless it is to wait.
    pub async fn start(options: Options) -> Result<Platform, PlatformError> {
        let mut platform = Platform::prepare(options).await?;
        platform.start_all().await?;
        Ok(platform)
    }

    /// Has the project, when it is applied for, let nothing out but blind totals over these members.
    pub fn blind_totals(&mut self, blind: BlindForm) {
        self.options.blind = Some(blind);
    }

    /// Ingests unless that has been done, and starts everything that doesn't run.
    pub async fn start_all(&mut self) -> Result<(), PlatformError> {
        self.start_part(Part::Custodian).await?;
        self.start_part(Part::Issuer).await?;
        let done = self.options.dir.join("ingested");
        if done.exists() {
            self.step("reuse what an earlier start published: nothing is ingested");
        } else {
            for controller in self.options.cast.controllers {
                self.step(&format!("ingest at {}", controller.id));
                let outcome = self.ingest(controller.id, &[]).await?;
                if !outcome.success() {
                    return Err(PlatformError::Command {
                        what: format!("spoke ingest at {}", controller.id),
                        code: outcome.code,
                        said: outcome.text,
                    });
                }
                self.note(outcome.text.trim_end());
            }
            child::write(&done, "every table of every controller\n")?;
        }
        self.start_part(Part::Hub).await?;
        for controller in self.options.cast.controllers {
            self.start_part(Part::Spoke(controller.id)).await?;
        }
        Ok(())
    }

    /// Generates and sets up everything without starting or ingesting anything.
    pub async fn prepare(mut options: Options) -> Result<Platform, PlatformError> {
        // the folder stands in configurations, which take relative paths as below themselves
        options.dir = std::path::absolute(&options.dir).map_err(|e| PlatformError::io(&options.dir, e))?;
        let lock = setup::folder(&options.dir)?;
        let program = Program {
            path: options.program.clone(),
            environment: options.environment.clone(),
            logs: options.dir.join("logs"),
        };
        setup::registers(&options)?;
        setup::parties(&options, &program).await?;
        let issuer = setup::issuer_url(&options.dir)?;
        let token = setup::token(&options, &program, USER).await?;
        let (children, addresses) = (BTreeMap::new(), BTreeMap::new());
        Ok(Platform { options, program, children, addresses, issuer, token, _lock: lock })
    }

    /// Starts a part unless it runs, at the address that it had before if it had one. A spoke needs its hub: that is
    /// started first, and joined when the spoke has not been there yet.
    pub async fn start_part(&mut self, part: Part) -> Result<(), PlatformError> {
        if self.children.contains_key(&part) {
            return Ok(());
        }
        if let Part::Spoke(controller) = part {
            Box::pin(self.start_part(Part::Hub)).await?;
            self.join(controller).await?;
        }
        self.step(&format!("start {part}"));
        let ready = self.options.dir.join("ready").join(format!("{part}.json"));
        let config = self.config(part);
        let before = self.addresses.get(&part);
        let listen = |name: &str| match before.and_then(|b| b.get(name)) {
            Some(address) => address.to_string(),
            None => "127.0.0.1:0".to_owned(),
        };
        let mut args = vec!["serve".into(), "--config".into(), config, "--ready-file".into(), ready.clone()];
        match part {
            Part::Custodian => args.extend(["--listen".into(), listen("listen").into()]),
            // Neither listens by the platform's choice: a spoke dials, the issuer's address stands in permits and tokens.
            Part::Spoke(_) | Part::Issuer => {}
            Part::Hub => {
                args.extend(["--listen-gateway".into(), listen("gateway").into()]);
                args.extend(["--listen-api".into(), listen("api").into()]);
                args.extend(["--listen-open".into(), listen("open").into()]);
                args.extend(["--listen-enclave".into(), listen("enclave").into()]);
                args.extend(self.options.profile.iter().flat_map(|profile| ["--profile".into(), profile.clone()]));
            }
        }
        let role = match part {
            Part::Custodian => "custodian",
            Part::Issuer => "issuer",
            Part::Spoke(_) => "spoke",
            Part::Hub => "hub",
        };
        let mut child = self.program.serve(role, &part.to_string(), &args, &ready)?;
        let addresses = child.ready(&ready).await?;
        self.note(&addresses.iter().map(|(name, at)| format!("{name} {at}")).collect::<Vec<_>>().join(", "));
        self.addresses.insert(part, addresses);
        self.children.insert(part, child);
        match part {
            Part::Custodian => self.tell_spokes("custodian", "address", self.address(Part::Custodian))?,
            Part::Hub => {
                self.tell_spokes("link", "gateway", self.gateway())?;
                self.reconnected().await?;
            }
            Part::Spoke(_) | Part::Issuer => {}
        }
        self.open_when_all_run().await
    }

    /// Joins a spoke to the hub unless it has joined: the operator makes a code, the controller uses it.
    async fn join(&self, controller: &str) -> Result<(), PlatformError> {
        match self.gateway() {
            Some(gateway) if !self.spoke_dir(controller).join("keys/link.crt").exists() => {
                self.step(&format!("{controller} joins the hub"));
                setup::join(&self.options, &self.program, gateway, controller).await
            }
            _ => Ok(()),
        }
    }

    /// Waits until every spoke that runs has a link to the hub again.
    async fn reconnected(&self) -> Result<(), PlatformError> {
        let mut away: Vec<Part> = self.children.keys().copied().filter(|p| matches!(p, Part::Spoke(_))).collect();
        let started = std::time::Instant::now();
        while let Some(first) = away.first().copied() {
            let args = ["admin".into(), "controllers".into(), "--config".into(), self.config(Part::Hub)];
            let said = self.run("hub", &args).await?;
            away.retain(|part| !connected(&said.stdout, *part));
            if started.elapsed() > child::READY {
                let (name, log) = (first.to_string(), self.log(Part::Hub));
                let seconds = child::READY.as_secs();
                return Err(PlatformError::NotReady { name, seconds, log, tail: said.text });
            }
        }
        Ok(())
    }

    /// Kills a part with signal 9 if it runs, and starts it again at the same address.
    pub async fn restart(&mut self, part: Part) -> Result<(), PlatformError> {
        self.kill(part).await;
        self.start_part(part).await
    }

    /// Kills a part with signal 9 and waits for its end.
    pub async fn kill(&mut self, part: Part) {
        if let Some(mut child) = self.children.remove(&part) {
            child.kill().await;
        }
    }

    /// Stops one part in order.
    pub async fn stop_part(&mut self, part: Part) -> Result<(), PlatformError> {
        match self.children.remove(&part) {
            Some(mut child) => child.stop().await,
            None => Ok(()),
        }
    }

    /// Stops everything in order: hub, spokes, issuer, custodian.
    pub async fn stop(mut self) -> Result<(), PlatformError> {
        let mut first = Ok(());
        while let Some((_, mut child)) = self.children.pop_last() {
            let stopped = child.stop().await;
            if first.is_ok() {
                first = stopped;
            }
        }
        first
    }

    /// Runs `spoke ingest` at a controller to its end.
    pub async fn ingest(&self, controller: &str, args: &[&str]) -> Result<Outcome, PlatformError> {
        self.start_ingest(controller, args)?.wait().await
    }

    /// Starts `spoke ingest` at a controller as a process of its own, to be waited for or killed.
    pub fn start_ingest(&self, controller: &str, args: &[&str]) -> Result<Output, PlatformError> {
        let mut all: Vec<PathBuf> =
            vec!["ingest".into(), "--config".into(), self.spoke_dir(controller).join("spoke.toml")];
        if !self.options.live {
            all.push("--no-progress".into());
        }
        all.extend(args.iter().map(PathBuf::from));
        self.program.run("spoke", &all, self.options.live)
    }

    /// Runs any command of any role to its end, for example `run("hub", &["admin", "token", "list", ..])`.
    pub async fn run(&self, role: &str, args: &[PathBuf]) -> Result<Outcome, PlatformError> {
        self.program.run(role, args, false)?.wait().await
    }

    /// Resolves when a part has ended by itself; the error shows the tail of its log.
    pub async fn died(&mut self) -> PlatformError {
        if self.children.is_empty() {
            return std::future::pending().await;
        }
        let ends = self.children.values_mut().map(|child| Box::pin(child.ended()));
        select_all(ends).await.0
    }

    /// Where the open zone answers.
    pub fn open(&self) -> Option<SocketAddr> {
        self.addresses.get(&Part::Hub)?.get("open").copied()
    }

    /// Where the enclave zone answers.
    pub fn enclave(&self) -> Option<SocketAddr> {
        self.addresses.get(&Part::Hub)?.get("enclave").copied()
    }

    /// Where spokes open their links.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.addresses.get(&Part::Hub)?.get("gateway").copied()
    }

    /// Where the custodian listens.
    pub fn address(&self, part: Part) -> Option<SocketAddr> {
        self.addresses.get(&part)?.get("listen").copied()
    }

    /// The issuer's URL, as permits name it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The researcher's access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// An access token of another of the project's researchers.
    pub async fn token_of(&self, user: &str) -> Result<String, PlatformError> {
        setup::token(&self.options, &self.program, user).await
    }

    /// Somebody's terminal, inside the secure environment or outside; none before the hub listens there.
    pub async fn desk(&self, user: &str, inside: bool) -> Result<Option<Desk>, PlatformError> {
        let name = if inside { "api_enclave" } else { "api" };
        let Some(at) = self.addresses.get(&Part::Hub).and_then(|at| at.get(name)) else { return Ok(None) };
        let token = setup::token(&self.options, &self.program, user).await?;
        Ok(Some(Desk::new(self.program.clone(), *at, token)))
    }

    /// The whole folder.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The generated files, one folder per controller.
    pub fn registers_dir(&self) -> PathBuf {
        self.options.dir.join("registers")
    }

    /// A controller's own folder.
    pub fn spoke_dir(&self, controller: &str) -> PathBuf {
        setup::spoke_dir(&self.options.dir, controller)
    }

    /// The hub's folder.
    pub fn hub_dir(&self) -> PathBuf {
        self.options.dir.join("hub")
    }

    /// The custodian's folder.
    pub fn custodian_dir(&self) -> PathBuf {
        self.options.dir.join("custodian")
    }

    /// The configuration of a part.
    pub fn config(&self, part: Part) -> PathBuf {
        match part {
            Part::Custodian => self.custodian_dir().join("custodian.toml"),
            Part::Issuer => setup::issuer_config(&self.options.dir),
            Part::Spoke(controller) => self.spoke_dir(controller).join("spoke.toml"),
            Part::Hub => self.hub_dir().join("hub.toml"),
        }
    }

    /// The process id of a part that runs.
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.children.get(&part)?.pid()
    }

    /// The log of a part.
    pub fn log(&self, part: Part) -> PathBuf {
        self.program.log(&part.to_string())
    }

    /// The parts that have been started and not stopped.
    pub fn parts(&self) -> Vec<Part> {
        self.children.keys().copied().collect()
    }

    /// Writes an address that the system chose into every spoke's configuration where it has such a field already.
    fn tell_spokes(&self, section: &str, key: &str, address: Option<SocketAddr>) -> Result<(), PlatformError> {
        let Some(address) = address else { return Ok(()) };
        for controller in self.options.cast.controllers {
            let path = self.spoke_dir(controller.id).join("spoke.toml");
            let value = format!("\"{address}\"");
            child::edit(&path, |text| {
                Some(settings::set(text, section, key, &value).unwrap_or_else(|| text.to_owned()))
            })?;
        }
        Ok(())
    }

    fn step(&self, what: &str) {
        (self.options.report)(Progress::Step(what));
    }

    fn note(&self, what: &str) {
        (self.options.report)(Progress::Note(what));
    }
}
