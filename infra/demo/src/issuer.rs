//! An issuer of access tokens for the demo: it believes whoever asks, and approves every sign-in at once.
//!
//! For synthetic data on one machine only. It shows real clients and real verifiers an issuer's documents, keys, device flow
//! (RFC 8628) and tokens bound to keys (RFC 9449) where there is no other issuer.
//!
//! INVARIANT: listens on loopback only; everybody it vouches for is the one person of the demo.

mod server;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use clap::{Parser, Subcommand};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// The audience of tokens for this platform.
const AUDIENCE: &str = "eger";
/// The key's name in headers and in the key set.
const KEY: &str = "demo";
/// How long a token from a sign-in is good, seconds.
const LIFE: u64 = 8 * 3600;
/// Ports that neither programs nor the system choose by themselves.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What stands in `issuer.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// the issuer's URL: what permits and tokens say, for good
    pub url: String,
    /// whoever signs in is this person
    pub user: String,
}

/// An issuer, opened from its folder.
struct Issuer {
    settings: Settings,
    key: SigningKey,
}

/// Why the issuer can't be used.
#[derive(Debug, thiserror::Error)]
enum IssuerError {
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("{address}: {cause}. Another program uses the demo issuer's address; stop it, or begin anew with --fresh")]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("no free port on this machine")]
    Ports,
    #[error("the issuer stopped: {0}")]
    Serve(std::io::Error),
}

fn file<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> IssuerError + '_ {
    move |error| IssuerError::File { path: path.to_owned(), message: error.to_string() }
}

/// The demo's issuer of access tokens: for synthetic data on one machine only
#[derive(Parser)]
#[command(name = "issuer")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes its folder: an address, a key, the public key set
    #[command(after_help = "Example:\n  demo --role issuer -- init /tmp/demo/issuer --user anna@example.org")]
    Init {
        /// the folder
        dir: PathBuf,
        /// whoever signs in is this person
        #[arg(long)]
        user: String,
    },
    /// Serves discovery, keys, device flow and tokens until it is told to stop
    #[command(after_help = "Example:\n  demo --role issuer -- serve --config /tmp/demo/issuer/issuer.json")]
    Serve {
        /// issuer.json
        #[arg(long)]
        config: PathBuf,
        /// file to write the address to when connections are accepted
        #[arg(long)]
        ready_file: Option<PathBuf>,
    },
    /// Prints an access token
    #[command(after_help = "Example:\n  demo --role issuer -- token --config /tmp/demo/issuer/issuer.json --hours 8")]
    Token {
        /// issuer.json
        #[arg(long)]
        config: PathBuf,
        /// another person than the demo's
        #[arg(long)]
        user: Option<String>,
        /// how long it is good
        #[arg(long, default_value_t = 8)]
        hours: u64,
    },
}

/// Runs the issuer's command line.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    runtime::hardening::protect_memory();
    let outcome = match cli.command {
        Command::Init { dir, user } => init(&dir, &user),
        Command::Serve { config, ready_file } => {
            Issuer::open(&config).and_then(|issuer| server::run(issuer, ready_file))
        }
        Command::Token { config, user, hours } => Issuer::open(&config).map(|issuer| {
            let user = user.unwrap_or_else(|| issuer.settings.user.clone());
            println!("{}", issuer.token(&user, hours * 3600, None));
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what is missing; what is there stays.
fn init(dir: &Path, user: &str) -> Result<(), IssuerError> {
    fs::create_dir_all(dir).map_err(file(dir))?;
    let (key_file, keys, settings) = (dir.join("issuer.key"), dir.join("jwks.json"), dir.join("issuer.json"));
    if settings.exists() {
        return Ok(());
    }
    let key = SigningKey::from_bytes(&rand::random());
    runtime::seal::write_private(&key_file, key.as_bytes()).map_err(file(&key_file))?;
    fs::write(&keys, key_set(&key).to_string()).map_err(file(&keys))?;
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let text = serde_json::to_string_pretty(&Settings { url, user: user.to_owned() }).map_err(file(&settings))?;
    fs::write(&settings, text).map_err(file(&settings))
}

fn free_port() -> Result<u16, IssuerError> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1000).map(|_| rand::random_range(PORTS)).find(free).ok_or(IssuerError::Ports)
}

fn key_set(key: &SigningKey) -> serde_json::Value {
    let x = BASE64.encode(key.verifying_key().as_bytes());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEY, "x": x }] })
}

/// What stands in the `issuer.json` of a demo's issuer.
///
/// # Errors
/// When it can't be read.
pub fn settings(path: &Path) -> std::io::Result<Settings> {
    serde_json::from_slice(&fs::read(path)?).map_err(std::io::Error::other)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Issuer {
    fn open(config: &Path) -> Result<Self, IssuerError> {
        let settings = settings(config).map_err(file(config))?;
        let path = config.with_file_name("issuer.key");
        let seed = runtime::seal::read_private(&path).map_err(file(&path))?;
        let seed: [u8; 32] = seed.as_slice().try_into().map_err(file(&path))?;
        Ok(Self { settings, key: SigningKey::from_bytes(&seed) })
    }

    /// An access token (RFC 9068), bound to a key when its thumbprint is given.
    fn token(&self, user: &str, seconds: u64, thumbprint: Option<&str>) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": KEY });
        let mut claims = json!({
            "iss": self.settings.url, "sub": user, "aud": AUDIENCE, "client_id": "eger-cli",
            "iat": now(), "exp": now() + seconds, "jti": uuid::Uuid::new_v4().to_string(),
        });
        if let Some(thumbprint) = thumbprint {
            claims["cnf"] = json!({ "jkt": thumbprint });
        }
        let text = [header, claims].map(|part| BASE64.encode(part.to_string())).join(".");
        let signature = BASE64.encode(self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}.{signature}")
    }
}
