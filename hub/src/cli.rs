//! The command line.

mod admin;
mod audit;

use crate::{
    config::HubConfig,
    gateway::GatewayError,
    login::{self, LoginOptions},
    project,
    serve::{self, Listening, ServeOptions},
    sql::{self, Connect, Format, SqlOptions},
};
use clap::{Args, Parser, Subcommand};
use runtime::profile::Profile;
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

const CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration";

/// The hub of the federated health data platform.
#[derive(Parser)]
#[command(name = "hub", version, propagate_version = true, after_help = CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a hub's folder: configuration, link authority and certificate, ticket key
    #[command(
        after_help = "Example:\n  hub init /srv/eger/hub\n\nExit codes: 0 made, 2 there is a hub already, or the folder can't be written"
    )]
    Init {
        /// the folder to make
        dir: PathBuf,
        /// the hub's name on links, as in eger://hub/NAME
        #[arg(long, default_value = "main")]
        name: String,
    },
    /// Serves Flight SQL until it is told to stop (SIGTERM, Ctrl-C)
    #[command(
        after_help = "Example:\n  hub serve --config /srv/eger/hub/hub.toml --profile laptop.toml\n\nExit codes: 0 stopped in order, 1 serving failed, 2 configuration, 130 ended by a second signal"
    )]
    Serve(ServeArgs),
    /// Signs in at an issuer that the hub trusts; `hub sql` then needs no token
    #[command(
        after_help = "Examples:\n  hub login\n  hub login --server grpc+tls://hub.example.org:7001 --ca hub-ca.pem --issuer https://id.example.org\n  EGER_TOKEN=$(hub login --print-token) python analysis.py\n\nShows a page and a code to enter there, in any browser, and waits. The token is kept in ~/.config/eger, readable by\nyou alone, and bound to a key beside it where the issuer can do that.\n\nExit codes: 0 signed in, 2 usage, or the token can't be kept, 3 hub or issuer can't be reached, 4 not let in, 130 cancelled"
    )]
    Login(LoginArgs),
    /// Forgets the token that `hub login` kept
    #[command(after_help = "Example:\n  hub logout\n\nExit codes: 0 nothing is kept any more, 2 it can't be removed")]
    Logout {
        /// grpc://host:port, as given to `hub login`
        #[arg(long, env = "EGER_SERVER", default_value = "grpc://127.0.0.1:7001")]
        server: String,
    },
    /// Asks a hub from the terminal
    #[command(
        after_help = "Examples:\n  hub login && hub sql --project diabetes\n  hub sql -c 'SELECT count(*) FROM dst.bef' --format csv\n  hub sql -f question.sql --format arrow > answer.arrow\n\nWithout -c, -f or piped input there is a prompt; \\? lists its commands.\n\nExit codes: 0 answered, 2 usage, 3 can't connect, 4 token or project refused, 5 the statement is wrong or refused,\n6 no whole answer (a spoke is away, a limit was reached), 130 cancelled"
    )]
    Sql(SqlArgs),
    /// How many people there are, before anybody applies: rounded, without a project, within seconds
    #[command(after_help = project::COUNT_HELP)]
    Count(project::CountArgs),
    /// Applications for data: hand in, follow, amend, withdraw
    Project(project::ProjectArgs),
    /// Results that leave the secure processing environment: hand in, review, take out, verify
    Airlock(project::AirlockArgs),
    /// The operator's commands
    #[command(subcommand)]
    Admin(admin::Admin),
    /// The hub's own log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Execution profiles
    #[command(subcommand)]
    Profile(ProfileCommand),
}

#[derive(Args)]
struct ServeArgs {
    /// hub.toml
    #[arg(long, default_value = "hub.toml")]
    config: PathBuf,
    /// the machine's execution profile; without it, this machine is measured
    #[arg(long)]
    profile: Option<PathBuf>,
    /// address of zone open, instead of listen.open
    #[arg(long)]
    listen_open: Option<SocketAddr>,
    /// address of zone enclave, instead of listen.enclave
    #[arg(long)]
    listen_enclave: Option<SocketAddr>,
    /// address of the gateway, instead of gateway.address
    #[arg(long)]
    listen_gateway: Option<SocketAddr>,
    /// address of the HTTP API, instead of api.address
    #[arg(long)]
    listen_api: Option<SocketAddr>,
    /// address of the HTTP API inside the secure environment, instead of api.enclave
    #[arg(long)]
    listen_api_enclave: Option<SocketAddr>,
    /// file to write the addresses to, as JSON, when connections are accepted
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

#[derive(Args)]
struct SqlArgs {
    /// grpc://host:port, or grpc+tls://host:port with --ca
    #[arg(long, env = "EGER_SERVER", default_value = "grpc://127.0.0.1:7001")]
    server: String,
    /// access token of an issuer, instead of the one that `hub login` keeps; better given in the environment, where `ps`
    /// doesn't show it
    #[arg(long, env = "EGER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// project, when the token is good for several
    #[arg(long, env = "EGER_PROJECT")]
    project: Option<String>,
    /// let national tables do without members that can't be asked; the answer says whose rows are missing
    #[arg(long)]
    allow_partial: bool,
    /// certificate authority to trust, PEM
    #[arg(long, env = "EGER_CA")]
    ca: Option<PathBuf>,
    /// how answers are written
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// run this and end
    #[arg(short = 'c', long, conflicts_with = "file")]
    command: Option<String>,
    /// run the statements of this file and end
    #[arg(short = 'f', long)]
    file: Option<PathBuf>,
    /// don't show how far each spoke is, which a terminal sees when a statement takes longer than a second
    #[arg(short = 'q', long)]
    quiet: bool,
}

#[derive(Args)]
struct LoginArgs {
    /// grpc://host:port, or grpc+tls://host:port with --ca
    #[arg(long, env = "EGER_SERVER", default_value = "grpc://127.0.0.1:7001")]
    server: String,
    /// certificate authority of the hub to trust, PEM
    #[arg(long, env = "EGER_CA")]
    ca: Option<PathBuf>,
    /// the issuer's URL, when the hub trusts several
    #[arg(long)]
    issuer: Option<String>,
    /// another public client than the one that the hub names
    #[arg(long)]
    client_id: Option<String>,
    /// certificate authority of the issuer to trust, PEM, beside the public ones
    #[arg(long)]
    issuer_ca: Option<PathBuf>,
    /// write the access token to standard output, for other programs
    #[arg(long)]
    print_token: bool,
}

#[derive(Args)]
struct Folder {
    /// hub.toml
    #[arg(long, default_value = "hub.toml")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum ProfileCommand {
    /// Prints this machine's profile as TOML, within the limits of this process
    #[command(
        after_help = "Example:\n  hub profile detect > machine.toml && hub serve --profile machine.toml\n\nExit codes: 0 printed, 1 failed"
    )]
    Detect,
}

/// What went wrong, and the exit code.
struct Failure {
    message: String,
    code: u8,
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure { message: error.to_string(), code: 2 }
}

fn fault(error: impl std::fmt::Display) -> Failure {
    Failure { message: error.to_string(), code: 1 }
}

/// Runs the command line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    runtime::crypto::install();
    // Tickets' key, signing key, people's tokens: every command holds some of them.
    runtime::hardening::protect_memory();
    let executor = match serve::executor() {
        Ok(executor) => executor,
        Err(error) => {
            eprintln!("error: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match cli.command {
        Command::Sql(args) => return executor.block_on(sql::run(sql_options(args))),
        Command::Login(args) => return executor.block_on(login::run(login_options(args))),
        Command::Logout { server } => return login::logout(&server),
        Command::Init { dir, name } => init(&dir, &name),
        Command::Serve(args) => {
            let served = executor.block_on(serve_command(args));
            // Streams of clients that don't read must not hold the process.
            executor.shutdown_timeout(std::time::Duration::from_secs(1));
            served
        }
        Command::Admin(command) => executor.block_on(admin::run(command)),
        Command::Count(args) => return executor.block_on(project::run_count(args)),
        Command::Project(args) => return executor.block_on(project::run(args)),
        Command::Airlock(args) => return executor.block_on(project::run_airlock(args)),
        Command::Audit(command) => audit::run(command),
        Command::Profile(ProfileCommand::Detect) => {
            Profile::detect().to_toml().map(|text| println!("{}", text.trim_end())).map_err(fault)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn sql_options(args: SqlArgs) -> SqlOptions {
    SqlOptions {
        connect: Connect {
            token: args.token.map(Zeroizing::new),
            project: args.project,
            allow_partial: args.allow_partial,
            ..Connect::new(&args.server, args.ca)
        },
        format: args.format,
        command: args.command,
        file: args.file,
        quiet: args.quiet,
    }
}

fn login_options(args: LoginArgs) -> LoginOptions {
    LoginOptions {
        server: args.server,
        ca: args.ca,
        issuer: args.issuer,
        client_id: args.client_id,
        issuer_ca: args.issuer_ca,
        print_token: args.print_token,
    }
}

fn init(dir: &Path, name: &str) -> Result<(), Failure> {
    for path in crate::admin::init(dir, name).map_err(usage)? {
        println!("{}", path.display());
    }
    println!("Next: read {}", dir.join("README.md").display());
    Ok(())
}

async fn serve_command(args: ServeArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config).map_err(usage)?;
    let traces = runtime::telemetry::serve("hub", &config.name, &config.telemetry).map_err(usage)?;
    let profile = match &args.profile {
        Some(path) => Profile::load(path).map_err(usage)?,
        None => Profile::detect(),
    };
    let (ready, listening) = tokio::sync::oneshot::channel::<Listening>();
    let told = tokio::spawn(async move {
        if let (Ok(at), Some(path)) = (listening.await, args.ready_file)
            && let Err(error) = runtime::ready::write(&path, &at.named())
        {
            tracing::error!(path = %path.display(), %error, "the ready file can't be written");
        }
    });
    let options = ServeOptions {
        config,
        profile,
        open: args.listen_open,
        enclave: args.listen_enclave,
        gateway: args.listen_gateway,
        api: args.listen_api,
        api_enclave: args.listen_api_enclave,
        ready: Some(ready),
        tap: None,
        clock: None,
        shutdown: runtime::shutdown::on_signal(),
    };
    let served = Box::pin(serve::run(options)).await;
    told.abort();
    traces.end().await;
    served.map_err(|error| match error {
        serve::ServeError::Transport(_) | serve::ServeError::Gateway(GatewayError::Server(_)) => fault(error),
        _ => usage(error),
    })
}

fn folder(config: &Path) -> PathBuf {
    match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Cli;
    use crate::endpoints;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    #[test]
    fn the_command_line_is_sound_and_every_command_tells_its_exit_codes() {
        fn walk(command: &clap::Command) {
            if command.get_subcommands().next().is_none() && command.get_name() != "help" {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example") && help.contains("Exit codes"), "{}", command.get_name());
            }
            command.get_subcommands().for_each(walk);
        }
        Cli::command().debug_assert();
        walk(&Cli::command());
    }

    #[test]
    fn every_operators_command_has_a_row() {
        fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
            if command.get_subcommands().next().is_none() {
                found.insert(path.to_owned());
            }
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                leaves(inner, &format!("{path} {}", inner.get_name()), found);
            }
        }
        let mut found = BTreeSet::new();
        for name in ["admin", "audit"] {
            leaves(Cli::command().find_subcommand(name).unwrap(), name, &mut found);
        }
        let rows =
            endpoints::COMMANDS.iter().map(|(name, _)| *name).chain(endpoints::UNDECIDED.iter().map(|(name, _)| *name));
        let rows: BTreeSet<_> = rows.filter(|name| name.starts_with("admin ") || name.starts_with("audit ")).collect();
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), rows);
    }
}
