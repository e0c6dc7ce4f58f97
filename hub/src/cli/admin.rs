//! `hub admin`: the operator's commands.

use super::{Failure, Folder, fault, folder, usage};
use crate::{admin, audit::Event, config::HubConfig};
use clap::Subcommand;
use proto::ids::{ControllerId, ProjectId, UserId};
use runtime::{peer::Peer, sign::VerifyingKey};
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub(super) enum Admin {
    /// Makes a one-time code with which a controller's spoke joins (spoke join)
    #[command(
        after_help = "Examples:\n  hub admin invite region-h\n  hub admin invite region-h --hours 4 --gateway hub.example.org:7003\n\nThe code is a secret: give it to the controller by a way that others don't read. Making another voids it.\n\nExit codes: 0 made, 2 usage or configuration"
    )]
    Invite {
        #[command(flatten)]
        folder: Folder,
        /// the controller's id
        controller: ControllerId,
        /// how long the code can be used
        #[arg(long, default_value_t = 72)]
        hours: u32,
        /// where spokes find the gateway, HOST:PORT, instead of [gateway] public
        #[arg(long)]
        gateway: Option<String>,
    },
    /// Lists controllers: state, links that stand, end of the newest certificate
    #[command(
        after_help = "Example:\n  hub admin controllers --config hub.toml\n\nExit codes: 0 listed, 2 configuration"
    )]
    Controllers {
        #[command(flatten)]
        folder: Folder,
    },
    /// Expels a controller: its links end within a second, its certificates and codes count no more
    #[command(
        after_help = "Example:\n  hub admin expel region-h\n\nA new code (hub admin invite) lets it back.\n\nExit codes: 0 expelled, 2 there is no such controller, or configuration"
    )]
    Expel {
        #[command(flatten)]
        folder: Folder,
        /// the controller's id
        controller: ControllerId,
    },
    /// The authority of links between hub and spokes
    #[command(subcommand)]
    Ca(Ca),
    /// Personal access tokens, for the HTTP API
    #[command(subcommand)]
    Token(Token),
    /// Public keys of controllers' approvers: what they sign counts
    #[command(subcommand)]
    Approver(Approver),
    /// The certificate with which this hub asks the custodian for masks of blind totals
    #[command(subcommand)]
    Custodian(Custodian),
}

#[derive(Subcommand)]
pub(super) enum Custodian {
    /// Makes the hub's key for the custodian and a request for its certificate
    #[command(
        after_help = "Example:\n  hub admin custodian request --out hub.csr\n\nThe custodian's operator certifies it (custodian hub add). The key stays here.\n\nExit codes: 0 made, 2 the files can't be written, or configuration"
    )]
    Request {
        #[command(flatten)]
        folder: Folder,
        /// where to write the request
        #[arg(long)]
        out: PathBuf,
    },
    /// Puts the custodian's reply where the hub finds it, and prints what belongs into hub.toml
    #[command(
        after_help = "Example:\n  hub admin custodian install hub.json --address custodian.example.org:7100\n\nExit codes: 0 installed, 2 the reply is for another key, or configuration"
    )]
    Install {
        #[command(flatten)]
        folder: Folder,
        /// what the custodian's operator sent
        reply: PathBuf,
        /// where the custodian listens, HOST:PORT
        #[arg(long)]
        address: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Ca {
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
pub(super) enum Approver {
    /// Registers a key that speaks for a controller. Compare its fingerprint with the controller first
    #[command(
        after_help = "Example:\n  hub admin approver add region-h 7f..e1 --name 'Bente Holm'\n\nExit codes: 0 registered, 2 usage or configuration"
    )]
    Add {
        #[command(flatten)]
        folder: Folder,
        /// the controller
        controller: ControllerId,
        /// the public key, 64 hex digits
        key: VerifyingKey,
        /// whose key it is, for people
        #[arg(long, default_value = "approver")]
        name: String,
    },
    /// Lists the keys
    #[command(after_help = "Example:\n  hub admin approver list\n\nExit codes: 0 listed, 2 configuration")]
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Takes a key away; permits that it signed count no longer
    #[command(
        after_help = "Example:\n  hub admin approver remove region-h 7f..e1\n\nExit codes: 0 removed, 2 there is no such key, or configuration"
    )]
    Remove {
        #[command(flatten)]
        folder: Folder,
        /// the controller
        controller: ControllerId,
        /// the public key, 64 hex digits
        key: VerifyingKey,
    },
}

#[derive(Subcommand)]
pub(super) enum Token {
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

/// Runs one of them to its end.
pub(super) async fn run(command: Admin) -> Result<(), Failure> {
    match command {
        Admin::Invite { folder, controller, hours, gateway } => {
            invite(&folder, &controller, hours, gateway.as_deref()).await
        }
        Admin::Controllers { folder } => controllers(&folder).await,
        Admin::Expel { folder, controller } => expel(&folder, &controller).await,
        Admin::Ca(command) => ca(command).await,
        Admin::Token(command) => token(command).await,
        Admin::Approver(command) => approver(command).await,
        Admin::Custodian(command) => custodian(command),
    }
}

async fn invite(folder: &Folder, controller: &ControllerId, hours: u32, gateway: Option<&str>) -> Result<(), Failure> {
    let config = HubConfig::load(&folder.config).map_err(usage)?;
    noted(&config.folder, "admin invite", controller)?;
    let code = admin::invite(&config, controller, hours, gateway).await.map_err(usage)?;
    // The code alone on standard output, for scripts.
    println!("{}", *code);
    eprintln!("good for {hours} h and one use. At the controller: spoke join, which asks for it");
    Ok(())
}

async fn controllers(folder: &Folder) -> Result<(), Failure> {
    let config = HubConfig::load(&folder.config).map_err(usage)?;
    println!("{:<32}  {:<18}  {:>5}  certificate until (UTC)", "controller", "state", "links");
    for record in admin::controllers(&config).await.map_err(usage)? {
        let end = record.certificate_end.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string());
        let controller = record.controller.to_string();
        println!("{controller:<32}  {:<18}  {:>5}  {end}", record.state, record.links);
    }
    Ok(())
}

async fn expel(folder: &Folder, controller: &ControllerId) -> Result<(), Failure> {
    let config = HubConfig::load(&folder.config).map_err(usage)?;
    noted(&config.folder, "admin expel", controller)?;
    admin::expel(&config, controller).await.map_err(usage)?;
    println!("{controller} expelled");
    Ok(())
}

/// Writes a command of the operator into the hub's log.
fn noted(folder: &Path, command: &str, subject: &dyn std::fmt::Display) -> Result<(), Failure> {
    let event = Event::Admin { command: command.to_owned(), subject: subject.to_string() };
    crate::audit::note(folder, &event).map_err(fault)
}

fn custodian(command: Custodian) -> Result<(), Failure> {
    match command {
        Custodian::Request { folder, out } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            noted(&config.folder, "admin custodian request", &out.display())?;
            let digest = admin::custodian::request(&config.folder, &out).map_err(usage)?;
            println!("wrote {}", out.display());
            println!("key (SHA-256)  {digest}");
            println!("Read this digest to the custodian's operator by another way, such as by telephone.");
        }
        Custodian::Install { folder, reply, address } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            noted(&config.folder, "admin custodian install", &address)?;
            let table = admin::custodian::install(&config, &reply, &address).map_err(usage)?;
            println!("Add this to {}, and restart `hub serve`:\n\n{table}", folder.config.display());
        }
    }
    Ok(())
}

async fn ca(command: Ca) -> Result<(), Failure> {
    match command {
        Ca::Init { folder: at } => {
            let path = admin::new_authority(&folder(&at.config)).map_err(usage)?;
            println!("{}", path.display());
        }
        Ca::Issue { folder: at, role, name, out, days } => {
            let who = if role == "hub" { Peer::hub(&name) } else { Peer::spoke(&name) }.map_err(usage)?;
            let spoke = if role == "spoke" {
                let config = HubConfig::load(&at.config).map_err(usage)?;
                let controller: ControllerId = name.parse().map_err(usage)?;
                admin::may_issue(&config, &controller).await.map_err(usage)?;
                Some((config, controller))
            } else {
                None
            };
            noted(&folder(&at.config), "admin ca issue", &who)?;
            let written = admin::issue(&folder(&at.config), &who, days, &out).map_err(usage)?;
            if let Some((config, controller)) = spoke {
                let [certificate, ..] = &written;
                let pem = std::fs::read_to_string(certificate)
                    .map_err(|error| usage(format!("{}: {error}", certificate.display())))?;
                admin::write_down(&config, &controller, &pem).await.map_err(usage)?;
            }
            for path in written {
                println!("{}", path.display());
            }
        }
    }
    Ok(())
}

async fn approver(command: Approver) -> Result<(), Failure> {
    match command {
        Approver::Add { folder, controller, key, name } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            admin::approver::add(&config, &controller, &key, &name).await.map_err(usage)?;
            println!("{controller}  {}", key.fingerprint());
        }
        Approver::List { folder } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            println!("{:<24}  {:<39}  {:<16}  name", "controller", "fingerprint", "since (UTC)");
            for one in admin::approver::list(&config).await.map_err(usage)? {
                let since = one.added_at.format("%Y-%m-%d %H:%M");
                println!(
                    "{:<24}  {:<39}  {since:<16}  {}",
                    one.controller.to_string(),
                    one.key.fingerprint(),
                    one.name
                );
            }
        }
        Approver::Remove { folder, controller, key } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            admin::approver::remove(&config, &controller, &key).await.map_err(usage)?;
            println!("{controller}  {} removed", key.fingerprint());
        }
    }
    Ok(())
}

async fn token(command: Token) -> Result<(), Failure> {
    match command {
        Token::Create { folder, user, days, project } => {
            let config = HubConfig::load(&folder.config).map_err(usage)?;
            noted(&config.folder, "admin token create", &user)?;
            let token = admin::create(&config, &user, project.as_ref(), days).await.map_err(usage)?;
            // The token alone on standard output, for scripts.
            println!("{}", token.text.as_str());
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
            noted(&config.folder, "admin token revoke", &id)?;
            println!("{id} revoked");
        }
    }
    Ok(())
}
