//! A peer as a process that reads lines and writes lines.

use anyhow::{Context, Result, bail};
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The process; killed when dropped.
pub(crate) struct Lines {
    stdin: ChildStdin,
    stdout: tokio::io::Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Lines {
    pub(crate) fn start(mut command: Command) -> Result<Lines> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("a peer can't be started; run tests/bench/peers/setup")?;
        let stdin = child.stdin.take().context("standard input")?;
        let stdout = BufReader::new(child.stdout.take().context("standard output")?).lines();
        Ok(Lines { stdin, stdout, _child: child })
    }

    pub(crate) async fn tell(&mut self, line: &str) -> Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.stdin.flush().await?)
    }

    pub(crate) async fn line(&mut self) -> Result<String> {
        match self.stdout.next_line().await? {
            Some(line) => Ok(line),
            None => bail!("a peer's process has ended"),
        }
    }
}

/// Where tests/bench/peers/setup put things.
pub(crate) fn tools() -> Result<PathBuf> {
    let own = std::env::var_os("EGER_TEST_CACHE").map(PathBuf::from);
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    own.or_else(|| Some(caches.or(home)?.join("eger/tests"))).context("set EGER_TEST_CACHE to a folder for programs")
}

/// An address on loopback that nobody listens at, for servers that can't choose one themselves.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
