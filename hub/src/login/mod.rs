//! Signing in from the terminal: `hub login` and `hub logout`, and what `hub sql` and `hub project` use of them.
//!
//! The hub says which issuers it believes ([`LoginConfig`]); the person signs in there (device flow, RFC 8628) in any
//! browser; the access token is bound to a key that never leaves this machine where the issuer can do that (DPoP, RFC 9449).
//! [`browser`] holds the flow for pages: authorization code with PKCE.
//!
//! INVARIANT: the hub never sees a password, nor the key. Tokens and keys are kept in a file that its owner alone can read,
//! and are printed only when asked for (`--print-token`).

pub mod browser;
mod config;
mod device;
mod http;
mod issuer;
mod store;

pub use config::LoginConfig;
pub(crate) use config::offered;
pub use device::{Shown, device};
pub use http::Http;
pub use issuer::{Granted, Issuer};
pub use store::Session;

use crate::sql::{Client, ClientError, Connect};
use proto::refusal::Kind;
use runtime::token::binding::{BindingError, BindingKey};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use zeroize::Zeroizing;

/// What `hub login` was asked to do.
#[derive(Debug, Clone)]
pub struct LoginOptions {
    /// the hub's address
    pub server: String,
    /// certificates to trust for the hub, PEM
    pub ca: Option<PathBuf>,
    /// which of the hub's issuers
    pub issuer: Option<String>,
    /// another client than the one that the hub names
    pub client_id: Option<String>,
    /// certificates to trust for the issuer, PEM, beside the public ones
    pub issuer_ca: Option<PathBuf>,
    /// write the access token to standard output
    pub print_token: bool,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// What was given can't be used.
    #[error("{0}")]
    Usage(String),
    /// The hub didn't say where to sign in, or doesn't take the token.
    #[error("{0}")]
    Hub(#[from] ClientError),
    /// The issuer can't be reached, or what it says can't be used.
    #[error("{issuer}: {message}")]
    Issuer {
        /// which issuer
        issuer: String,
        /// what is wrong
        message: String,
    },
    /// The person or the issuer said no.
    #[error("not signed in: {0}")]
    Denied(String),
    /// The file of the token can't be used.
    #[error("{}: {message}", path.display())]
    File {
        /// which file
        path: PathBuf,
        /// what is wrong
        message: String,
    },
    /// No key for the token.
    #[error(transparent)]
    Key(#[from] BindingError),
    /// Ctrl-C.
    #[error("cancelled: nobody is signed in")]
    Cancelled,
}

impl LoginError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } => 2,
            Self::Hub(ClientError::Connect { .. }) | Self::Issuer { .. } => 3,
            Self::Hub(_) | Self::Denied(_) | Self::Key(_) => 4,
            Self::Cancelled => 130,
        }
    }
}

/// Runs `hub login`.
pub async fn run(options: LoginOptions) -> ExitCode {
    let signed_in = tokio::select! {
        signed_in = sign_in(&options) => signed_in,
        _ = tokio::signal::ctrl_c() => Err(LoginError::Cancelled),
    };
    finished(signed_in.map(|(session, path)| {
        let until =
            session.expires().map_or_else(String::new, |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
        eprintln!("Signed in at {}{until}; kept in {}", session.issuer(), path.display());
        if options.print_token {
            println!("{}", session.token());
        }
    }))
}

/// Runs `hub logout`.
#[must_use]
pub fn logout(server: &str) -> ExitCode {
    finished(Session::forget(server).map(|forgotten| match forgotten {
        Some(path) => eprintln!("Signed out: {} is gone. The issuer still knows your browser", path.display()),
        None => eprintln!("Nobody was signed in at {server}"),
    }))
}

fn finished(outcome: Result<(), LoginError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn sign_in(options: &LoginOptions) -> Result<(Session, PathBuf), LoginError> {
    let connect = Connect::new(&options.server, options.ca.clone());
    let login = choose(Client::connect(&connect).await?.issuers().await?, options)?;
    let issuer = Issuer::discover(&login.issuer, options.issuer_ca.as_deref()).await?;
    let key = match issuer.binding() {
        Some(algorithm) => Some(Arc::new(BindingKey::generate(algorithm)?)),
        None => None,
    };
    let http = Http::new(&login.issuer, options.issuer_ca.as_deref(), key.clone())?;
    let granted = device(&issuer, &login, &http, |shown| {
        eprintln!("Open {} and enter the code {}", shown.uri, shown.code);
        if let Some(whole) = &shown.complete {
            eprintln!("or open {whole}");
        }
        eprintln!("Waiting, for at most {} min (Ctrl-C cancels) ...", shown.minutes);
    })
    .await?;
    let session = Session::new(&options.server, login, granted, key, options.issuer_ca.clone())?;
    accepted(&connect, &session).await?;
    let path = session.keep()?;
    Ok((session, path))
}

/// Better told now than at the first question.
async fn accepted(connect: &Connect, session: &Session) -> Result<(), LoginError> {
    let connect = Connect { token: Some(Zeroizing::new(session.token().to_owned())), ..connect.clone() };
    match Client::connect(&connect).await?.projects().await {
        Err(ClientError::Refused(refusal)) if refusal.kind == Kind::Unauthenticated => {
            Err(LoginError::Denied(format!(
                "{} gave a token that the hub doesn't take. The hub's operator has to see to the audience, the claim with the \
             user id, or the resource and scopes under [[login]]",
                session.issuer()
            )))
        }
        Err(ClientError::Refused(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn choose(told: Vec<LoginConfig>, options: &LoginOptions) -> Result<LoginConfig, LoginError> {
    let names: Vec<String> = told.iter().map(|login| login.issuer.clone()).collect();
    let mut fitting = told.into_iter().filter(|login| options.issuer.as_ref().is_none_or(|url| *url == login.issuer));
    let mut login = match (fitting.next(), fitting.next()) {
        (Some(login), None) => login,
        (None, _) if names.is_empty() => {
            return Err(LoginError::Usage("this hub trusts no issuer yet; ask its operator".to_owned()));
        }
        _ => return Err(LoginError::Usage(format!("choose one with --issuer: {}", names.join(", ")))),
    };
    if let Some(client_id) = &options.client_id {
        login.client_id.clone_from(client_id);
    }
    Ok(login)
}

/// Who signed in at this hub with `hub login`, with a token that is good for a while.
pub(crate) async fn signed_in(server: &str) -> Result<Option<Session>, LoginError> {
    match Session::load(server)? {
        Some(session) => session.fresh().await.map(Some),
        None => Ok(None),
    }
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> LoginError + '_ {
    move |error| LoginError::File { path: path.to_owned(), message: error.to_string() }
}
