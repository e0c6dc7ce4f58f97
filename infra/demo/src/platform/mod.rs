//! The platform as processes on loopback: one custodian, four spokes, one hub, in one folder.
//!
//! ```text
//! DIR/registers/<controller>/   the controllers' own files, as generated
//! DIR/custodian  DIR/spokes/<controller>  DIR/hub      what each party's `init` made
//! DIR/logs  DIR/ready  DIR/handover  DIR/token
//! ```
//! Every step looks first whether it has been done, so that a second start, or one after a crash, goes on from there.
//!
//! INVARIANT: no process outlives the [`Platform`] that started it. Each part is driven by its command line only.

mod child;
mod error;
mod settings;
mod setup;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::select_all;

use self::child::{Child, Program};
pub use self::child::{Outcome, Output};
pub use self::error::PlatformError;
pub use self::setup::wipe;
use crate::generate;
use crate::registers::CONTROLLERS;

/// The demo's project.
pub const PROJECT: &str = "diabetes";
/// The researcher.
pub const USER: &str = "anna@example.org";

/// What to start, and where.
#[derive(Clone)]
pub struct Options {
    /// The folder; made when it is missing.
    pub dir: PathBuf,
    /// A program that plays `--role custodian|spoke|hub -- ARGUMENTS`, such as this one.
    pub program: PathBuf,
    /// What to generate when nothing has been generated there.
    pub registers: generate::Options,
    /// Whether ingests show their progress on the terminal.
    pub live: bool,
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
            registers: generate::Options { people, seed: 1 },
            live: false,
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
    /// The spoke of this controller.
    Spoke(&'static str),
    /// The hub.
    Hub,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Custodian => f.write_str("custodian"),
            Part::Spoke(controller) => write!(f, "spoke-{controller}"),
            Part::Hub => f.write_str("hub"),
        }
    }
}

/// The running platform. Dropping it kills what runs; [`Platform::stop`] stops it in order.
pub struct Platform {
    options: Options,
    program: Program,
    children: BTreeMap<Part, Child>,
    /// Addresses by name, as each part told them last.
    addresses: BTreeMap<Part, BTreeMap<String, SocketAddr>>,
    token: String,
    _lock: File,
}

impl Platform {
    /// Makes what is missing, ingests unless that has been done, and starts everything.
    pub async fn start(options: Options) -> Result<Platform, PlatformError> {
        let mut platform = Platform::prepare(options).await?;
        platform.start_part(Part::Custodian).await?;
        let done = platform.options.dir.join("ingested");
        if !done.exists() {
            for controller in CONTROLLERS {
                platform.step(&format!("ingest at {}", controller.id));
                let outcome = platform.ingest(controller.id, &[]).await?;
                if !outcome.success() {
                    return Err(PlatformError::Command {
                        what: format!("spoke ingest at {}", controller.id),
                        code: outcome.code,
                        said: outcome.text,
                    });
                }
                platform.note(outcome.text.trim_end());
            }
            child::write(&done, "every table of every controller\n")?;
        }
        for controller in CONTROLLERS {
            platform.start_part(Part::Spoke(controller.id)).await?;
        }
        platform.start_part(Part::Hub).await?;
        Ok(platform)
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
        let token = setup::token(&options, &program).await?;
        Ok(Platform { options, program, children: BTreeMap::new(), addresses: BTreeMap::new(), token, _lock: lock })
    }

    /// Starts a part that does not run, at the address that it had before if it had one.
    pub async fn start_part(&mut self, part: Part) -> Result<(), PlatformError> {
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
            Part::Custodian | Part::Spoke(_) => args.extend(["--listen".into(), listen("listen").into()]),
            Part::Hub => {
                self.tell_hub()?;
                args.extend(["--listen-open".into(), listen("open").into()]);
                args.extend(["--listen-enclave".into(), listen("enclave").into()]);
            }
        }
        let role = match part {
            Part::Custodian => "custodian",
            Part::Spoke(_) => "spoke",
            Part::Hub => "hub",
        };
        let mut child = self.program.serve(role, &part.to_string(), &args, &ready)?;
        let addresses = child.ready(&ready).await?;
        self.note(&addresses.iter().map(|(name, at)| format!("{name} {at}")).collect::<Vec<_>>().join(", "));
        self.addresses.insert(part, addresses);
        self.children.insert(part, child);
        if part == Part::Custodian {
            self.tell_spokes()?;
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

    /// Stops everything in order: hub, spokes, custodian.
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

    /// Where a custodian or a spoke listens.
    pub fn address(&self, part: Part) -> Option<SocketAddr> {
        self.addresses.get(&part)?.get("listen").copied()
    }

    /// The researcher's access token, bound to the project.
    pub fn token(&self) -> &str {
        &self.token
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

    fn tell_spokes(&self) -> Result<(), PlatformError> {
        let Some(address) = self.address(Part::Custodian) else { return Ok(()) };
        for controller in CONTROLLERS {
            let path = self.spoke_dir(controller.id).join("spoke.toml");
            let value = format!("\"{address}\"");
            child::edit(&path, |text| settings::set(text, "custodian", "address", &value))?;
        }
        Ok(())
    }

    fn tell_hub(&self) -> Result<(), PlatformError> {
        let known = CONTROLLERS.iter().filter_map(|c| Some((c.id, self.address(Part::Spoke(c.id))?)));
        let known: Vec<_> = known.collect();
        child::edit(&self.config(Part::Hub), |text| Some(settings::spokes(text, &known)))
    }

    fn step(&self, what: &str) {
        (self.options.report)(Progress::Step(what));
    }

    fn note(&self, what: &str) {
        (self.options.report)(Progress::Note(what));
    }
}
