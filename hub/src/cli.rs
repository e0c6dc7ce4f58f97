//! The command line.

use crate::{
    admin,
    config::HubConfig,
    serve::{self, Listening, ServeOptions},
    sql::{self, Connect, Format, SqlOptions},
};
use clap::{Args, Parser, Subcommand};
use proto::ids::{ProjectId, UserId};
use runtime::{peer::Peer, profile::Profile};
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

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
    /// Asks a hub from the terminal
    #[command(
        after_help = "Examples:\n  EGER_TOKEN=eger_.. hub sql --project diabetes\n  hub sql -c 'SELECT count(*) FROM dst.bef' --format csv\n  hub sql -f question.sql --format arrow > answer.arrow\n\nWithout -c, -f or piped input there is a prompt; \\? lists its commands.\n\nExit codes: 0 answered, 2 usage, 3 can't connect, 4 token or project refused, 5 the statement is wrong or refused,\n6 no whole answer (a spoke is away, a limit was reached), 130 cancelled"
    )]
    Sql(SqlArgs),
    /// The operator's commands
    #[command(subcommand)]
    Admin(Admin),
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
    /// file to write the addresses to, as JSON, when connections are accepted
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

#[derive(Args)]
struct SqlArgs {
    /// grpc://host:port, or grpc+tls://host:port with --ca
    #[arg(long, env = "EGER_SERVER", default_value = "grpc://127.0.0.1:7001")]
    server: String,
    /// access token; better given in the environment, where `ps` doesn't show it
    #[arg(long, env = "EGER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// project, when the token is good for several
    #[arg(long, env = "EGER_PROJECT")]
    project: Option<String>,
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
}

#[derive(Subcommand)]
enum Admin {
    /// The authority of links between hub and spokes
    #[command(subcommand)]
    Ca(Ca),
    /// Access tokens
    #[command(subcommand)]
    Token(Token),
}

#[derive(Args)]
struct Folder {
    /// hub.toml
    #[arg(long, default_value = "hub.toml")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Ca {
    /// Makes the authority (hub init did so already)
    #[command(
        after_help = "Example:\n  hub admin ca init --config hub.toml\n\nExit codes: 0 made, 2 there is one already, or it can't be written"
    )]
    Init {
        #[command(flatten)]
        folder: Folder,
    },
    /// Issues link.crt, link.key and link-ca.crt for a spoke or hub
    #[command(
        after_help = "Example:\n  hub admin ca issue spoke region-h --out certificates/region-h\n\nExit codes: 0 issued, 2 usage, no authority, or the files can't be written"
    )]
    Issue {
        #[command(flatten)]
        folder: Folder,
        /// spoke or hub
        #[arg(value_parser = ["spoke", "hub"])]
        role: String,
        /// the controller's id, or the hub's name
        name: String,
        /// folder to write the three files to
        #[arg(long)]
        out: PathBuf,
        /// how long the certificate is good
        #[arg(long, default_value_t = 825)]
        days: u32,
    },
}

#[derive(Subcommand)]
enum Token {
    /// Makes a token and prints it; it can't be shown again
    #[command(
        after_help = "Example:\n  hub admin token create anna@example.org --days 30 --project diabetes\n\nExit codes: 0 made, 2 usage or configuration"
    )]
    Create {
        #[command(flatten)]
        folder: Folder,
        /// whose token
        user: UserId,
        /// how long it is good
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// good for this project only
        #[arg(long)]
        project: Option<ProjectId>,
    },
    /// Lists tokens, without their secrets
    #[command(
        after_help = "Example:\n  hub admin token list --config hub.toml\n\nExit codes: 0 listed, 2 configuration"
    )]
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Takes a token back at once
    #[command(
        after_help = "Example:\n  hub admin token revoke 0123456789abcdef\n\nExit codes: 0 revoked, 2 there is no such token, or configuration"
    )]
    Revoke {
        #[command(flatten)]
        folder: Folder,
        /// its id, from `list`
        id: String,
    },
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
    let executor = match serve::executor() {
        Ok(executor) => executor,
        Err(error) => {
            eprintln!("error: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match cli.command {
        Command::Sql(args) => return executor.block_on(sql::run(sql_options(args))),
        Command::Init { dir, name } => init(&dir, &name),
        Command::Serve(args) => {
            let served = executor.block_on(serve_command(args));
            // Streams of clients that don't read must not hold the process.
            executor.shutdown_timeout(std::time::Duration::from_secs(1));
            served
        }
        Command::Admin(Admin::Ca(command)) => ca(command),
        Command::Admin(Admin::Token(command)) => executor.block_on(token(command)),
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
        connect: Connect { server: args.server, token: args.token, project: args.project, ca: args.ca },
        format: args.format,
        command: args.command,
        file: args.file,
    }
}

fn init(dir: &Path, name: &str) -> Result<(), Failure> {
    for path in admin::init(dir, name).map_err(usage)? {
        println!("{}", path.display());
    }
    println!("Next: read {}", dir.join("README.md").display());
    Ok(())
}

async fn serve_command(args: ServeArgs) -> Result<(), Failure> {
    runtime::telemetry::init("hub");
    let config = HubConfig::load(&args.config).map_err(usage)?;
    let profile = match &args.profile {
        Some(path) => Profile::load(path).map_err(usage)?,
        None => Profile::detect(),
    };
    let (ready, listening) = tokio::sync::oneshot::channel::<Listening>();
    let told = tokio::spawn(async move {
        if let (Ok(at), Some(path)) = (listening.await, args.ready_file)
            && let Err(error) = runtime::ready::write(&path, &[("open", at.open), ("enclave", at.enclave)])
        {
            tracing::error!(path = %path.display(), %error, "the ready file can't be written");
        }
    });
    let options = ServeOptions {
        config,
        profile,
        open: args.listen_open,
        enclave: args.listen_enclave,
        ready: Some(ready),
        tap: None,
        shutdown: runtime::shutdown::on_signal(),
    };
    let served = serve::run(options).await;
    told.abort();
    served.map_err(|error| match error {
        serve::ServeError::Transport(_) => fault(error),
        _ => usage(error),
    })
}

fn folder(config: &Path) -> PathBuf {
    match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn ca(command: Ca) -> Result<(), Failure> {
    match command {
        Ca::Init { folder: at } => {
            let path = admin::new_authority(&folder(&at.config)).map_err(usage)?;
            println!("{}", path.display());
        }
        Ca::Issue { folder: at, role, name, out, days } => {
            let who = if role == "hub" { Peer::hub(&name) } else { Peer::spoke(&name) }.map_err(usage)?;
            for path in admin::issue(&folder(&at.config), &who, days, &out).map_err(usage)? {
                println!("{}", path.display());
            }
        }
    }
    Ok(())
}

async fn token(command: Token) -> Result<(), Failure> {
    match command {
        Token::Create { folder, user, days, project } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            let token = admin::create(&config, &user, project.as_ref(), days).await.map_err(usage)?;
            // The token alone on standard output, for scripts.
            println!("{}", token.text);
            eprintln!(
                "id {}, good until {}. It can't be shown again",
                token.id,
                token.expires.format("%Y-%m-%d %H:%M UTC")
            );
        }
        Token::List { folder } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            println!("{:<16}  {:<32}  {:<24}  {:<16}  state", "id", "user", "project", "until (UTC)");
            for token in admin::list(&config).await.map_err(usage)? {
                let state = match (token.revoked, token.expires <= chrono::Utc::now()) {
                    (true, _) => "revoked",
                    (false, true) => "expired",
                    (false, false) => "good",
                };
                let project = token.project.map_or_else(|| "any".to_owned(), |p| p.to_string());
                let until = token.expires.format("%Y-%m-%d %H:%M");
                println!(
                    "{:<16}  {:<32}  {project:<24}  {until:<16}  {state}",
                    token.id.to_string(),
                    token.user.to_string()
                );
            }
        }
        Token::Revoke { folder, id } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            let id = admin::revoke(&config, &id).await.map_err(usage)?;
            println!("{id} revoked");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

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
}
