//! `spoke check-config`: everything that can be known to be wrong before somebody asks.

use super::{ConfigFile, Failure, asynchronous};
use crate::{
    approve::{Approvers, Book, State},
    config::{LinkMode, SpokeConfig},
    declare,
    pseudonym::{StoreKey, identity::Identity},
    publish::Store,
};
use clap::Args;
use runtime::{audit::AuditLog, tls::Tls, token::Issuers};

const AFTER: &str = "\
Examples:
  spoke check-config
  spoke check-config --config /srv/eger/spoke.toml

Exit codes: 0 all well, 2 something is wrong (each thing is printed).";

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct CheckConfig {
    #[command(flatten)]
    config: ConfigFile,
}

/// Prints a line for each thing and counts what is wrong.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn line(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(said) => println!("ok     {what}: {said}"),
            Err(error) => {
                self.wrong += 1;
                println!("wrong  {what}: {error}");
            }
        }
    }
}

impl CheckConfig {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let mut report = Report::default();
        report.line("spoke.toml", Ok(format!("controller {}", config.controller)));
        keys(&config, &mut report);
        link(&config, &mut report);
        report.line(
            "tables",
            declare::load_all(&config.tables_dir())
                .map(|tables| format!("{} declared", tables.len()))
                .map_err(|error| error.to_string()),
        );
        permits(&config, &mut report);
        issuers(&config, &mut report);
        report.line(
            "audit log",
            AuditLog::open(&config.audit_log())
                .and_then(|log| log.head())
                .map(|head| format!("{} entries", head.seq))
                .map_err(|error| error.to_string()),
        );
        asynchronous()?.block_on(store(&config, &mut report));
        match report.wrong {
            0 => Ok(()),
            1 => Err(Failure::usage("one thing is wrong, see above")),
            n => Err(Failure::usage(format!("{n} things are wrong, see above"))),
        }
    }
}

fn keys(config: &SpokeConfig, report: &mut Report) {
    let pass = match config.passphrase() {
        Ok(pass) => pass,
        Err(error) => return report.line("passphrase", Err(error.to_string())),
    };
    report.line(
        "store key",
        StoreKey::load(&config.store_key(), &pass).map(|key| key.kid().to_owned()).map_err(|e| e.to_string()),
    );
    report.line(
        "identity",
        Identity::load(&config.identity_key(), &pass).map(|id| id.fingerprint()).map_err(|e| e.to_string()),
    );
}

fn link(config: &SpokeConfig, report: &mut Report) {
    let named = |files, expected: String| {
        let tls = Tls::load(&files).map_err(|error| error.to_string())?;
        if tls.peer().to_string() == expected {
            Ok(expected)
        } else {
            Err(format!("{}: names {}, not {expected}", files.cert.display(), tls.peer()))
        }
    };
    let own = format!("eger://spoke/{}", config.controller);
    report.line("link to the hub", named(config.link_tls(), own.clone()));
    report.line(
        "gateway",
        match (config.link.mode, &config.link.gateway) {
            (LinkMode::Listen, _) => Ok(format!("not used: the hub connects to {}", config.listen.address)),
            (LinkMode::Dial, Some(gateway)) => Ok(gateway.clone()),
            (LinkMode::Dial, None) => Err("not known. Join the hub: spoke join".to_owned()),
        },
    );
    match &config.custodian {
        Some(custodian) => report.line("link to the custodian", named(custodian.tls(), own)),
        None => report.line("link to the custodian", Ok("not configured; only `spoke ingest` needs it".to_owned())),
    }
}

fn permits(config: &SpokeConfig, report: &mut Report) {
    let approvers = Approvers::load(&config.approvers_dir()).map_err(|error| error.to_string());
    report.line("approvers", approvers.map(|approvers| format!("{} trusted", approvers.known.len())));
    let book = match Book::read(&config.into()) {
        Ok(book) => book,
        Err(error) => return report.line("permits", Err(error.to_string())),
    };
    for (file, reason) in book.broken() {
        report.line(&file.display().to_string(), Err(reason.clone()));
    }
    let today = chrono::Utc::now().date_naive();
    for held in book.permits() {
        let permit = held.permit();
        let state = book.state(permit, today);
        let key = config.project_key(&permit.project).exists();
        let note = if state == State::Live && !key { "; the project's key is not here yet" } else { "" };
        report.line(
            "permit",
            Ok(format!(
                "project {}, {state}, {} tables, until {}{note}",
                permit.project,
                permit.tables.len(),
                permit.valid_to
            )),
        );
    }
}

fn issuers(config: &SpokeConfig, report: &mut Report) {
    report.line(
        "issuers",
        Issuers::new(&config.issuers).map_err(|error| error.to_string()).and_then(|issuers| {
            match issuers.urls().count() {
                0 => Err("none is configured ([[issuer]]): nobody's questions are answered".to_owned()),
                n => Ok(format!("{n} trusted")),
            }
        }),
    );
}

async fn store(config: &SpokeConfig, report: &mut Report) {
    let listed = match Store::open(config) {
        Ok(store) => store.tables().await,
        Err(error) => Err(error),
    };
    report.line(
        "store",
        listed.map(|tables| format!("{} tables published", tables.len())).map_err(|error| error.to_string()),
    );
}
