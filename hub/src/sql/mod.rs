//! `hub sql`: statements from a terminal or a script, over Flight SQL like every other client.

mod client;
mod print;
mod progress;
mod prompt;

pub use client::{Client, ClientError, Connect};
pub use print::Format;

use crate::{login::signed_in, plan::PARTIAL};
use arrow_flight::FlightInfo;
use print::Printer;
use std::{
    convert::Infallible,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Instant,
};
use zeroize::Zeroizing;

/// What `hub sql` was asked to do.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// which hub, as whom
    pub connect: Connect,
    /// how answers are written
    pub format: Option<Format>,
    /// statements to run instead of a prompt
    pub command: Option<String>,
    /// a file of statements to run instead of a prompt
    pub file: Option<std::path::PathBuf>,
    /// show nothing of how far the spokes are
    pub quiet: bool,
}

/// Exit codes of `hub sql`, as `--help` lists them.
mod exit {
    pub(super) const USAGE: u8 = 2;
    pub(super) const CONNECT: u8 = 3;
    pub(super) const DENIED: u8 = 4;
    pub(super) const STATEMENT: u8 = 5;
    pub(super) const FAILED: u8 = 6;
    pub(super) const CANCELLED: u8 = 130;
}

/// Why a statement gave no whole answer.
#[derive(Debug)]
enum Outcome {
    Said(ClientError),
    Output(std::io::Error),
    Cancelled,
}

impl Outcome {
    fn code(&self) -> u8 {
        match self {
            Self::Said(error) => error.exit_code(),
            Self::Output(_) => exit::FAILED,
            Self::Cancelled => exit::CANCELLED,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said(error) => write!(f, "{error}"),
            Self::Output(error) => write!(f, "the answer can't be written: {error}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Runs `hub sql`.
pub async fn run(options: SqlOptions) -> ExitCode {
    let script = match (&options.command, &options.file) {
        (Some(command), _) => Some(command.clone()),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) => return failed(&format!("{}: {error}", file.display()), exit::USAGE),
        },
        (None, None) if !std::io::stdin().is_terminal() => match std::io::read_to_string(std::io::stdin()) {
            Ok(text) => Some(text),
            Err(error) => return failed(&format!("standard input: {error}"), exit::USAGE),
        },
        (None, None) => None,
    };
    let format = options.format.unwrap_or(Format::Table);
    if format == Format::Arrow && std::io::stdout().is_terminal() {
        return failed(
            "Arrow data are bytes: send them to a file, as in `hub sql --format arrow -c '..' > answer.arrow`",
            exit::USAGE,
        );
    }
    // What is given counts; else whoever signed in here.
    let mut connect = options.connect;
    let mut session = None;
    if connect.token.is_none() {
        session = match signed_in(&connect.server).await {
            Ok(session) => session,
            Err(error) => return failed(&error.to_string(), error.exit_code()),
        };
        connect.token = session.as_ref().map(|session| Zeroizing::new(session.token().to_owned()));
        connect.key = session.as_ref().and_then(|session| session.key().cloned());
    }
    let mut client = match Client::connect(&connect).await {
        Ok(client) => client,
        Err(error) => return failed(&error.to_string(), error.exit_code()),
    };
    match script {
        Some(text) => {
            let statements = prompt::split(&text);
            if statements.is_empty() {
                return failed("there is no statement to run", exit::USAGE);
            }
            if format == Format::Arrow && statements.len() > 1 {
                return failed("Arrow data hold one answer: run one statement at a time", exit::USAGE);
            }
            for statement in statements {
                if let Err(outcome) = answer(&mut client, &statement, format, (false, options.quiet)).await {
                    return failed(&outcome.to_string(), outcome.code());
                }
            }
            ExitCode::SUCCESS
        }
        None => prompt::run(client, session, format, options.quiet).await,
    }
}

fn failed(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Waits for `step` while progress is shown.
async fn meanwhile<T>(
    progress: &mut (impl Future<Output = Infallible> + Unpin),
    step: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Outcome> {
    tokio::select! {
        done = step => done.map_err(Outcome::Said),
        never = progress => match never {},
    }
}

/// Runs one statement and writes its answer; Ctrl-C cancels it, here and at the spokes.
async fn answer(client: &mut Client, sql: &str, format: Format, (timing, quiet): (bool, bool)) -> Result<(), Outcome> {
    let started = Instant::now();
    let fetched = async {
        let info: FlightInfo = client.announce(sql).await.map_err(Outcome::Said)?;
        let (mut rows, mut partial) = (0, None);
        let out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut printer = None;
        let mut out = Some(out);
        let signature = client.signature(&info).map_err(Outcome::Said)?;
        let mut showing = Box::pin(progress::show(client.watcher(&info), quiet));
        for endpoint in &info.endpoint {
            let Some(ticket) = endpoint.ticket.clone() else { continue };
            let mut stream = meanwhile(&mut showing, client.fetch(ticket, signature.as_deref())).await?;
            while let Some(batch) = meanwhile(&mut showing, stream.next()).await? {
                // Rows and lines of progress don't mix on a terminal.
                showing = Box::pin(progress::show(None, true));
                rows += batch.num_rows();
                if printer.is_none()
                    && let Some(out) = out.take()
                {
                    printer = Some(Printer::new(out, format, &batch.schema()).map_err(Outcome::Output)?);
                }
                if let Some(printer) = printer.as_mut() {
                    printer.write(&batch).map_err(Outcome::Output)?;
                }
            }
            partial = stream.schema().and_then(|schema| schema.metadata().get(PARTIAL).cloned());
            if printer.is_none()
                && let (Some(schema), Some(out)) = (stream.schema(), out.take())
            {
                printer = Some(Printer::new(out, format, schema).map_err(Outcome::Output)?);
            }
        }
        if let Some(missing) = partial {
            eprintln!("notice: this is a partial answer, without the rows of: {missing}");
        }
        match printer {
            Some(printer) => printer.finish().map_err(Outcome::Output)?,
            None => std::io::stdout().flush().map_err(Outcome::Output)?,
        }
        Ok(rows)
    };
    let rows = tokio::select! {
        rows = fetched => rows?,
        _ = tokio::signal::ctrl_c() => return Err(Outcome::Cancelled),
    };
    if timing {
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        eprintln!("{rows}, {:.2} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}
