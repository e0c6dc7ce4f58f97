//! Quick tests: each controller's approver signs a standing permit, and anybody who is signed in counts.
//!
//! INVARIANT: everything goes the way of the platform's own commands.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{Days, Utc};

use super::setup::{approver, done, spoke_dir};
use super::{Outcome, Part, Platform, PlatformError, child};
use crate::registers::{Kind, Table};

/// How long permits and keys may take to come through.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

impl Platform {
    /// Every controller signs a standing permit over what the demo's project is granted, unless that has been done; gives
    /// back when people can be counted at all of them.
    ///
    /// # Errors
    /// When a command fails, or permits or keys don't come through in time.
    pub async fn quick_test(&self) -> Result<(), PlatformError> {
        let dir = &self.options.dir;
        let mark = dir.join("handover/quick-test.signed");
        if !mark.exists() {
            let members = self.members().await?;
            for controller in self.options.cast.controllers {
                self.step(&format!("spoke quick-test at {}", controller.id));
                let form = dir.join("handover").join(format!("{}.quick-test.toml", controller.id));
                child::write(&form, &self.quick_form(controller.id, &members))?;
                let (key, pass, _) = approver(dir, controller.id)?;
                let mut args: Vec<PathBuf> = vec!["quick-test".into(), form, "--config".into()];
                args.extend([spoke_dir(dir, controller.id).join("spoke.toml"), "--key".into(), key]);
                args.extend(["--passphrase-file".into(), pass, "--reason".into()]);
                args.push("synthetic data, for the demo".into());
                done(&self.program, "spoke", &args).await?;
            }
            child::write(&mark, "every controller has signed\n")?;
        }
        let started = Instant::now();
        while !self.counts().await? {
            if started.elapsed() > PATIENCE {
                let (name, log) = ("quick tests".to_owned(), self.log(Part::Hub));
                let tail = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(PlatformError::NotReady { name, seconds: PATIENCE.as_secs(), log, tail });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether people can be counted at every controller.
    async fn counts(&self) -> Result<bool, PlatformError> {
        let said = self.hub_count(&["--columns".into(), "--json".into()]).await?;
        let mut all = self.options.cast.controllers.iter();
        Ok(said.success() && all.all(|c| said.stdout.contains(&format!("\"{}.", c.id))))
    }

    /// Runs `hub count` as the researcher.
    ///
    /// # Errors
    /// When it can't be run. What it says of the request is in its outcome.
    pub async fn hub_count(&self, args: &[PathBuf]) -> Result<Outcome, PlatformError> {
        let api = self.api().map(|at| format!("http://{at}")).unwrap_or_default();
        let all: Vec<PathBuf> = std::iter::once("count".into()).chain(args.iter().cloned()).collect();
        let environment = [("EGER_API", api.as_str()), ("EGER_TOKEN", self.token.as_str())];
        self.program.run_with("hub", &all, &environment)?.wait().await
    }

    /// Where the HTTP API answers.
    #[must_use]
    pub fn api(&self) -> Option<std::net::SocketAddr> {
        self.addresses.get(&Part::Hub)?.get("api").copied()
    }

    /// All controllers' `[[member]]` tables.
    async fn members(&self) -> Result<String, PlatformError> {
        let mut members = String::new();
        for controller in self.options.cast.controllers {
            let config = spoke_dir(&self.options.dir, controller.id).join("spoke.toml");
            let args = ["identity".into(), "--member".into(), "--config".into(), config];
            members.push_str(&done(&self.program, "spoke", &args).await?);
        }
        Ok(members)
    }

    fn quick_form(&self, controller: &str, members: &str) -> String {
        let today = Utc::now().date_naive();
        let all = self.options.cast.controllers;
        let (lead, deputy) = match all {
            [first, lead, ..] => (lead.id, format!("deputy = \"{}\"\n", first.id)),
            _ => (all.first().map_or("", |only| only.id), String::new()),
        };
        let to = today.checked_add_days(Days::new(365)).unwrap_or(today);
        let mut form =
            format!("lead = \"{lead}\"\n{deputy}valid_from = \"{today}\"\nvalid_to = \"{to}\"\n\n{members}\n");
        for table in self.options.cast.tables_of(controller) {
            let (columns, by) = counted(table);
            let _ = writeln!(form, "[[table]]\nname = \"{}\"\ncolumns = {columns:?}\nby = {by:?}", table.name);
        }
        form
    }
}

/// The columns that people are chosen by, with the person's, and those that they are counted by.
fn counted(table: &Table) -> (Vec<&'static str>, Vec<&'static str>) {
    let granted = table.granted_columns();
    let is = |name: &str, wanted: fn(Kind) -> bool| {
        table.columns.iter().find(|column| column.name == name).is_some_and(|column| wanted(column.kind))
    };
    let columns: Vec<_> = granted.into_iter().filter(|name| !is(name, |kind| matches!(kind, Kind::Key(_)))).collect();
    let by = columns.iter().copied().filter(|name| is(name, |kind| matches!(kind, Kind::Int32 | Kind::Text)));
    let by = by.collect();
    (columns, by)
}
