//! `spoke check-config`: everything that can be known to be wrong before somebody asks.

use super::{ConfigFile, Failure, asynchronous};
use crate::{
    config::SpokeConfig,
    declare,
    pseudonym::{StoreKey, identity::Identity},
    publish::Store,
};
use clap::Args;
use policies::grant::Grants;
use runtime::tls::Tls;

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
        grants(&config, &mut report);
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
    match &config.custodian {
        Some(custodian) => report.line("link to the custodian", named(custodian.tls(), own)),
        None => report.line("link to the custodian", Ok("not configured; only `spoke ingest` needs it".to_owned())),
    }
}

fn grants(config: &SpokeConfig, report: &mut Report) {
    match Grants::load(&config.grants_dir()) {
        Err(error) => report.line("grants", Err(error.to_string())),
        Ok(grants) => {
            for error in grants.broken() {
                report.line("grant", Err(error.to_string()));
            }
            for grant in grants.iter() {
                let key = config.project_key(&grant.project);
                report.line(
                    "grant",
                    if key.exists() {
                        Ok(format!(
                            "project {}, {} tables, until {}",
                            grant.project,
                            grant.tables.len(),
                            grant.valid_to
                        ))
                    } else {
                        Err(format!("project {}: its key is not here yet (spoke project-key import)", grant.project))
                    },
                );
            }
        }
    }
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
