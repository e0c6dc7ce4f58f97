//! `spoke serve`.

use super::{ConfigFile, Failure, asynchronous};
use crate::{
    config::LinkMode,
    serve::{self, ServeError, ServeOptions},
};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};
use tokio::sync::oneshot;

const AFTER: &str = "\
Examples:
  spoke serve --config /srv/eger/spoke.toml
  spoke serve --listen 127.0.0.1:0 --ready-file /run/eger/spoke.json

[link] mode = dial: connects to the hub's gateway and stays connected; ready when the first link stands.
[link] mode = listen, or --listen: waits for the hub to connect.

SIGTERM or SIGINT: no new questions, running answers may finish ([serve] drain_seconds).
Exit codes: 0 stopped by a signal, 1 broke off, 2 wrong configuration, certificate or key.";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Listen here, whatever [link] mode says; port 0 takes any free port
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Write to this file (JSON) when the hub can ask: {"dial": gateway} or {"listen": address}
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        asynchronous()?.block_on(async move {
            let name = config.controller.to_string();
            let traces = runtime::telemetry::serve("spoke", &name, &config.telemetry).map_err(Failure::usage)?;
            let shutdown = runtime::shutdown::on_signal();
            let (ready, bound) = oneshot::channel();
            let mode = if self.listen.is_some() { LinkMode::Listen } else { config.link.mode };
            let announced = announce(self.ready_file, mode, bound);
            let options = ServeOptions { config, listen: self.listen, ready: Some(ready), tap: None, shutdown };
            let (served, announced) = tokio::join!(Box::pin(serve::run(options)), announced);
            traces.end().await;
            served.map_err(failure)?;
            announced
        })
    }
}

async fn announce(file: Option<PathBuf>, mode: LinkMode, bound: oneshot::Receiver<SocketAddr>) -> Result<(), Failure> {
    // When serving fails first, its own error is the one to show.
    let (Some(file), Ok(address)) = (file, bound.await) else { return Ok(()) };
    runtime::ready::write(&file, &[(mode.name(), address)])
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::Server(_) => Failure::running(error),
        _ => Failure::usage(error),
    }
}
