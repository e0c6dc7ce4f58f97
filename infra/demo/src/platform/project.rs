//! A project from its application to an open workspace: what the researcher, the hub's operator and each controller's
//! approver would type.
//!
//! INVARIANT: everything goes the way of the platform's own commands; nothing is written into another party's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{Days, Utc};
use policies::application::{
    CapsForm, ControllerForm, Form, GroupForm, Part as Asked, PeriodForm, PurposeForm, TableForm, UserForm,
};

use super::setup::{approver, done, spoke_dir};
use super::{PROJECT, Part, Platform, PlatformError, USER, child};

/// The demo project's name for people.
const TITLE: &str = "Type 2 diabetes: from prescription to blood sugar";
/// How long parts, permits and keys may take to come through. Debug builds unseal their keys slowly.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// A table that is asked for beside the registers' own.
#[derive(Clone, Debug)]
pub struct AlsoAsked {
    /// whose
    pub controller: String,
    /// which
    pub table: String,
    /// its columns
    pub columns: Vec<String>,
}

impl Platform {
    /// Opens the demo's project once every spoke and the hub run, unless that has been done or is to wait.
    pub(super) async fn open_when_all_run(&mut self) -> Result<(), PlatformError> {
        let all = self
            .options
            .cast
            .controllers
            .iter()
            .map(|c| Part::Spoke(c.id))
            .chain([Part::Hub])
            .all(|p| self.children.contains_key(&p));
        if all && self.options.apply { self.open_project(PROJECT).await } else { Ok(()) }
    }

    /// Takes `project` from an application over every controller's decision to an open workspace with a key, unless that
    /// has been done. It asks for all that the demo's questions need.
    ///
    /// # Errors
    /// When a command fails, or something does not come through in time.
    pub async fn open_project(&self, project: &str) -> Result<(), PlatformError> {
        let mark = self.options.dir.join("handover").join(format!("{project}.opened"));
        if mark.exists() {
            return Ok(());
        }
        let form = self.options.dir.join("handover").join(format!("{project}.toml"));
        if !form.exists() {
            self.step(&format!("hub project apply {project}"));
            child::write(&form, &self.form(project).await?)?;
            self.hub_project(&["apply".into(), form.clone()]).await?;
        }
        for controller in self.options.cast.controllers {
            self.approve(controller.id, project).await?;
        }
        self.step("the workspace opens, and its key is made");
        let started = Instant::now();
        while !self.ready(project).await? {
            self.in_time(started, project)?;
            tokio::time::sleep(LOOK).await;
        }
        child::write(&mark, "every controller has decided\n")
    }

    /// The approver of a controller grants its part of the application as it was asked.
    async fn approve(&self, controller: &str, project: &str) -> Result<(), PlatformError> {
        let dir = &self.options.dir;
        let started = Instant::now();
        let part = loop {
            if decided(&spoke_dir(dir, controller), project) {
                return Ok(());
            }
            if let Some(part) = waiting(&spoke_dir(dir, controller), project) {
                break part;
            }
            self.in_time(started, project)?;
            tokio::time::sleep(LOOK).await;
        };
        self.step(&format!("spoke approve at {controller}"));
        let (key, pass, _) = approver(dir, controller)?;
        let mut args: Vec<PathBuf> = vec!["approve".into(), part.into(), "--config".into()];
        args.extend([spoke_dir(dir, controller).join("spoke.toml"), "--key".into(), key]);
        args.extend(["--passphrase-file".into(), pass, "--yes".into(), "--reason".into()]);
        args.push("synthetic data, for the demo".into());
        if let Some(threshold) = self.options.threshold {
            args.extend(["--threshold".into(), threshold.to_string().into()]);
        }
        done(&self.program, "spoke", &args).await.map(drop)
    }

    /// Runs `hub project` as the researcher.
    pub async fn hub_project(&self, args: &[PathBuf]) -> Result<String, PlatformError> {
        let api = self.addresses.get(&Part::Hub).and_then(|at| at.get("api"));
        let api = api.map(|at| format!("http://{at}")).unwrap_or_default();
        let mut all: Vec<PathBuf> = vec!["project".into()];
        all.extend(args.iter().cloned());
        let environment = [("EGER_API", api.as_str()), ("EGER_TOKEN", self.token.as_str())];
        let outcome = self.program.run_with("hub", &all, &environment)?.wait().await?;
        if outcome.success() {
            return Ok(outcome.stdout);
        }
        let what = args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Err(PlatformError::Command { what: format!("hub project {what}"), code: outcome.code, said: outcome.text })
    }

    /// Whether the workspace is open and every member has the project's key.
    async fn ready(&self, project: &str) -> Result<bool, PlatformError> {
        let dir = &self.options.dir;
        let mut all = self.options.cast.controllers.iter();
        let keys = all.all(|c| spoke_dir(dir, c.id).join(format!("projects/{project}.key")).exists());
        if !keys {
            return Ok(false);
        }
        let said = self.hub_project(&["show".into(), project.into(), "--json".into()]).await?;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        // the application, then its workspace
        Ok(said[1]["state"] == "open")
    }

    fn in_time(&self, started: Instant, project: &str) -> Result<(), PlatformError> {
        if started.elapsed() < PATIENCE {
            return Ok(());
        }
        let log = self.log(Part::Hub);
        let text = fs::read_to_string(&log).unwrap_or_default();
        let mut tail: Vec<&str> = text.lines().rev().take(20).collect();
        tail.reverse();
        let name = format!("project {project}");
        Err(PlatformError::NotReady { name, seconds: PATIENCE.as_secs(), log: log.clone(), tail: tail.join("\n") })
    }

    /// The application, with the fingerprints that each controller's `spoke identity` prints.
    async fn form(&self, project: &str) -> Result<String, PlatformError> {
        let today = Utc::now().date_naive();
        let all = self.options.cast.controllers;
        let mut controllers = Vec::new();
        for controller in self.options.cast.controllers {
            let config = spoke_dir(&self.options.dir, controller.id).join("spoke.toml");
            let said =
                done(&self.program, "spoke", &["identity".into(), "--json".into(), "--config".into(), config]).await?;
            let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            let fingerprint = |key: &str| said[key]["fingerprint"].as_str().unwrap_or_default().to_owned();
            let own = self.options.cast.tables_of(controller.id).map(|table| TableForm {
                name: table.name.to_owned(),
                columns: table.granted_columns().into_iter().map(str::to_owned).collect(),
                row_filter: table.row_filter.map(str::to_owned),
                reason: Some("The demo's questions use it.".to_owned()),
                ..TableForm::default()
            });
            let also = self.options.also.iter().filter(|a| a.controller == controller.id).map(|also| TableForm {
                name: also.table.clone(),
                columns: also.columns.clone(),
                reason: Some("It is measured.".to_owned()),
                ..TableForm::default()
            });
            controllers.push(ControllerForm {
                controller: controller.id.to_owned(),
                sealing: fingerprint("sealing"),
                signing: fingerprint("signing"),
                needed: true,
                // Joins of a cohort with its outcomes move what can match, and no more.
                key_lists_to: all.iter().filter(|c| c.id != controller.id).map(|c| c.id.to_owned()).collect(),
                tables: own.chain(also).collect(),
            });
        }
        // The lead makes the project's key; its deputy does when it is away.
        let (lead, deputy) = match all {
            [first, lead, ..] => (lead.id, Some(first.id.to_owned())),
            _ => (all.first().map_or("", |only| only.id), None),
        };
        let form = Form {
            project: project.to_owned(),
            title: TITLE.to_owned(),
            pseudonymised_because: "The same person's prescriptions and test results are compared over time."
                .to_owned(),
            population: "Everybody in the synthetic registers.".to_owned(),
            output: self.options.output.clone().unwrap_or_else(|| {
                if self.options.blind.is_some() { "spoke_aggregates" } else { "enclave_rows" }.to_owned()
            }),
            prohibited_uses_acknowledged: true,
            client_signature: false,
            blind: self.options.blind.clone(),
            lead: lead.to_owned(),
            deputy,
            period: PeriodForm {
                from: today.to_string(),
                to: today.checked_add_days(Days::new(365)).unwrap_or(today).to_string(),
            },
            group: GroupForm {
                organisation: "University of Example".to_owned(),
                public_body: true,
                responsible: "Anna Andersen".to_owned(),
                contact: USER.to_owned(),
            },
            users: std::iter::once(&self.issuer)
                .chain(&self.options.issuers)
                .map(|issuer| (USER, issuer))
                .chain(self.options.researchers.iter().map(|user| (user.as_str(), &self.issuer)))
                .map(|(user, issuer)| UserForm {
                    user: user.to_owned(),
                    issuer: issuer.clone(),
                    name: if user == USER { "Anna Andersen" } else { "A colleague of Anna's" }.to_owned(),
                })
                .collect(),
            purpose: PurposeForm {
                ehds: "scientific-research".to_owned(),
                duo: vec!["DUO:0000007".to_owned()],
                summary: "Does blood sugar fall after metformin? Asked of synthetic people.".to_owned(),
            },
            caps: Some(CapsForm { rows: 1_000_000_000, bytes: 1 << 40, queries_per_day: 1_000_000 }),
            controllers,
        };
        toml::to_string(&form).map_err(|e| PlatformError::io(&self.options.dir, std::io::Error::other(e.to_string())))
    }
}

/// The part of `project` that waits at a spoke.
fn waiting(spoke: &Path, project: &str) -> Option<String> {
    let parts = fs::read_dir(spoke.join("inbox")).ok()?.flatten().filter_map(|entry| fs::read(entry.path()).ok());
    let mut parts = parts.filter_map(|bytes| Asked::from_json(&bytes).ok());
    parts.find(|part| part.project.as_ref() == project).map(|part| part.id.to_string())
}

/// Whether the controller has a permit for `project` already: the payload of a signed text is JSON, base64url.
fn decided(spoke: &Path, project: &str) -> bool {
    let Ok(permits) = fs::read_dir(spoke.join("permits")) else { return false };
    permits.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()).any(|text| {
        use base64::Engine;
        let payload = text.split('.').nth(1).unwrap_or_default();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let permit: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
        permit["project"] == project
    })
}
