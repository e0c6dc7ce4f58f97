//! A spoke behind a firewall that lets nobody in: it joins, serves, and survives a restart of the hub, a cut of 30 s
//! and a new address; and while it is away every question is answered whole or refused in words.
//!
//! The spoke runs in a network namespace of its own, whose firewall drops every new connection from outside. All other
//! parties run outside it, as on any other machine.

use crate::fixture::{ROLES, number};
use anyhow::{Context, Result, bail, ensure};
use demo::{
    client::Client,
    platform::{Options, PROJECT, Part, Platform},
    registers::CONTROLLERS,
};
use std::{
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const SPOKE: &str = "sds";
const COUNT: &str = "SELECT COUNT(*) FROM sds.lmdb";
const SKIP: &str = "EGER_TEST_NO_NETNS";
/// How long the network is cut.
const CUT: Duration = Duration::from_secs(30);
/// How long the spoke may take to be back: keep-alive notices within 25 s, and a pause is at most 30 s.
const BACK: Duration = Duration::from_secs(90);

fn run(program: &str, args: &[&str]) -> Result<String> {
    let said = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    ensure!(said.status.success(), "{program} {}: {}", args.join(" "), String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Says what is missing on this machine.
fn able() -> Result<()> {
    let root = run("id", &["-u"])?.trim() == "0";
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if root && has("nft") && Command::new("ip").arg("-V").output().is_ok_and(|o| o.status.success()) {
        return Ok(());
    }
    bail!(
        "this test needs root and Debian's packages iproute2 and nftables (tests/setup installs them). \
         Where that can't be, set {SKIP}=1"
    )
}

/// A namespace with one cable to the outside, removed when dropped.
struct Namespace {
    name: String,
    outside: String,
    inside: String,
    net: u8,
}

impl Namespace {
    fn new() -> Result<Self> {
        let id = std::process::id() % 10_000;
        let net = u8::try_from(id % 250)?;
        let namespace =
            Self { name: format!("eger{id}"), outside: format!("eg{id}h"), inside: format!("eg{id}n"), net };
        run("ip", &["netns", "add", &namespace.name])?;
        run(
            "ip",
            &[
                "link",
                "add",
                &namespace.outside,
                "type",
                "veth",
                "peer",
                "name",
                &namespace.inside,
                "netns",
                &namespace.name,
            ],
        )?;
        run("ip", &["addr", "add", &format!("{}/24", namespace.hub()), "dev", &namespace.outside])?;
        run("ip", &["link", "set", &namespace.outside, "up"])?;
        namespace.within(&["ip", "link", "set", "lo", "up"])?;
        namespace.address("add", 2)?;
        namespace.within(&["ip", "link", "set", &namespace.inside, "up"])?;
        namespace.within(&["nft", "add table inet gate"])?;
        namespace.within(&["nft", "add chain inet gate in { type filter hook input priority 0; policy drop; }"])?;
        namespace.within(&["nft", "add rule inet gate in ct state established,related accept"])?;
        namespace.within(&["nft", "add rule inet gate in iif lo accept"])?;
        Ok(namespace)
    }

    /// The hub's address as the spoke sees it.
    fn hub(&self) -> String {
        format!("10.213.{}.1", self.net)
    }

    fn within(&self, args: &[&str]) -> Result<String> {
        run("ip", &[&["netns", "exec", self.name.as_str()], args].concat())
    }

    fn address(&self, what: &str, host: u8) -> Result<()> {
        let address = format!("10.213.{}.{host}/24", self.net);
        self.within(&["ip", "addr", what, &address, "dev", &self.inside]).map(drop)
    }

    /// Drops everything both ways.
    fn cut(&self) -> Result<()> {
        self.within(&["nft", "add table inet cut"])?;
        for hook in ["input", "output"] {
            let chain = format!("add chain inet cut {hook} {{ type filter hook {hook} priority -10; policy drop; }}");
            self.within(&["nft", &chain])?;
        }
        Ok(())
    }

    /// Lets no more than so much out, as a bad line does.
    fn narrow(&self, rate: &str) -> Result<()> {
        self.within(&[
            "tc",
            "qdisc",
            "add",
            "dev",
            &self.inside,
            "root",
            "tbf",
            "rate",
            rate,
            "burst",
            "4kb",
            "latency",
            "400ms",
        ])
        .map(drop)
    }

    fn mend(&self) -> Result<()> {
        self.within(&["nft", "delete table inet cut"]).map(drop)
    }

    /// A program that plays every role, the spoke's links from inside the namespace, and the gateway where it sees it.
    fn program(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("roles");
        let text = format!(
            "#!/bin/bash\nargs=()\nbefore=\nfor a in \"$@\"; do\n  \
             [ \"$before\" = --listen-gateway ] && a=\"${{a/#127.0.0.1:/{hub}:}}\"\n  args+=(\"$a\"); before=\"$a\"\ndone\n\
             case \"$*\" in\n  *'--role spoke -- serve '*/spokes/{SPOKE}/*|*'--role spoke -- join '*/spokes/{SPOKE}/*)\n    \
             exec ip netns exec {name} {ROLES} \"${{args[@]}}\";;\n  *) exec {ROLES} \"${{args[@]}}\";;\nesac\n",
            hub = self.hub(),
            name = self.name,
        );
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "del", &self.name]);
        let _ = run("ip", &["link", "del", &self.outside]);
    }
}

/// Asks all the time; every answer is the truth, every refusal says where the trouble is.
#[derive(Clone, Default)]
struct Asker {
    stop: CancellationToken,
    task: Option<Arc<tokio::task::JoinHandle<()>>>,
    right: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
    /// while the hub itself is away, no refusal of its can be had
    hub_away: Arc<AtomicBool>,
}

impl Asker {
    fn start(platform: &Platform, truth: i64) -> Result<Self> {
        let (address, token) = (platform.enclave().context("runs")?, platform.token().to_owned());
        let asker = Self::default();
        let Self { stop, right, wrong, hub_away, .. } = asker.clone();
        let task = tokio::spawn(async move {
            let mut pause = tokio::time::interval(Duration::from_millis(200));
            while !stop.is_cancelled() {
                pause.tick().await;
                let away = hub_away.load(Ordering::SeqCst);
                match ask(address, &token).await {
                    Ok(count) if count == truth => {
                        right.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(count) => {
                        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                        wrong.push(format!("answered {count} instead of {truth}"));
                    }
                    Err(error) => {
                        let said = format!("{error:#}");
                        if !(said.contains(SPOKE) || away || hub_away.load(Ordering::SeqCst)) {
                            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(said);
                        }
                    }
                }
            }
        });
        Ok(Self { task: Some(Arc::new(task)), ..asker })
    }

    /// Waits for a right answer from now on.
    async fn answered(&self, after: &str) -> Result<()> {
        let before = self.right.load(Ordering::SeqCst);
        let begun = Instant::now();
        let mut look = tokio::time::interval(Duration::from_millis(100));
        // One may have been on its way; the second was asked afterwards.
        while self.right.load(Ordering::SeqCst) < before + 2 {
            ensure!(begun.elapsed() < BACK, "no answer within {} s after {after}", BACK.as_secs());
            ensure!(self.asking(), "nobody asks any more");
            look.tick().await;
        }
        println!("answered {:.1} s after {after}", begun.elapsed().as_secs_f64());
        Ok(())
    }

    fn asking(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }

    async fn finish(self) -> Result<()> {
        self.stop.cancel();
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let begun = Instant::now();
        while self.asking() && begun.elapsed() < BACK {
            look.tick().await;
        }
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(wrong.is_empty(), "wrong or unclear: {wrong:#?}");
        Ok(())
    }
}

async fn ask(address: SocketAddr, token: &str) -> Result<i64> {
    let mut client = Client::connect(address, token, PROJECT).await?;
    number(&client.ask(COUNT).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_behind_a_firewall_joins_serves_and_survives() -> Result<()> {
    if std::env::var_os(SKIP).is_some_and(|value| value == "1") {
        println!("{SKIP}=1: nothing was tested");
        return Ok(());
    }
    able()?;
    let namespace = Namespace::new()?;
    let folder = tempfile::tempdir()?;
    let program = namespace.program(folder.path())?;
    let options = Options::new(folder.path().join("platform"), program, 300);
    let mut platform = Platform::start(options).await?;
    let gateway = platform.gateway().context("a gateway")?;
    ensure!(gateway.ip().to_string() == namespace.hub(), "the gateway is not where the spoke sees it: {gateway}");

    // Nobody gets in: not refused, dropped.
    let inside = SocketAddr::new(format!("10.213.{}.2", namespace.net).parse()?, 7101);
    let error = TcpStream::connect_timeout(&inside, Duration::from_secs(2)).err().context("somebody got in")?;
    ensure!(error.kind() == std::io::ErrorKind::TimedOut, "not dropped: {error}");
    let listening = namespace.within(&["cat", "/proc/net/tcp"])?;
    ensure!(
        !listening.lines().any(|line| line.split_whitespace().nth(3) == Some("0A")),
        "the spoke listens: {listening}"
    );

    let truth = ask(platform.enclave().context("runs")?, platform.token()).await?;
    ensure!(truth > 0 && CONTROLLERS.iter().any(|c| c.id == SPOKE));
    let asker = Asker::start(&platform, truth)?;
    asker.answered("the start").await?;

    asker.hub_away.store(true, Ordering::SeqCst);
    platform.restart(Part::Hub).await?;
    asker.hub_away.store(false, Ordering::SeqCst);
    asker.answered("the hub's restart").await?;

    namespace.cut()?;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    let begun = Instant::now();
    while begun.elapsed() < CUT {
        look.tick().await;
        ensure!(asker.asking(), "nobody asks any more");
    }
    namespace.mend()?;
    asker.answered("a cut of 30 s").await?;

    namespace.address("del", 2)?;
    namespace.address("add", 3)?;
    asker.answered("a new address").await?;

    // A slow line is a fault that answers live with.
    namespace.narrow("256kbit")?;
    asker.answered("the line became slow").await?;

    asker.finish().await?;
    platform.stop().await?;
    Ok(())
}
