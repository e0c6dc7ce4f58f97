//! Everything before the first start: registers, each party's folder, certificates, declarations, grants, keys, a token.
//!
//! Done the way that real parties would, each with its own command line, files handed over between them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::{Days, Utc};

use super::child::{self, Program};
use super::{Options, PROJECT, PlatformError, Progress, USER, settings};
use crate::generate;
use crate::registers::{CONTROLLERS, quoted, tables_of};

/// Stands in every folder that the demo made.
const MARK: &str = "demo.lock";
/// Says what was generated, written when all of it was.
const REGISTERS: &str = "registers.json";
/// Makes the project's key and seals it to the others.
const LEAD: &str = "sds";
/// How long the researcher's token is good; it is renewed a little earlier.
const TOKEN_DAYS: u32 = 30;

pub(super) fn spoke_dir(dir: &Path, controller: &str) -> PathBuf {
    dir.join("spokes").join(controller)
}

/// Makes or reopens the folder; the lock is held by the file given back.
pub(super) fn folder(dir: &Path) -> Result<File, PlatformError> {
    fs::create_dir_all(dir).map_err(|e| PlatformError::io(dir, e))?;
    let mark = dir.join(MARK);
    let mut entries = fs::read_dir(dir).map_err(|e| PlatformError::io(dir, e))?;
    if !mark.exists() && entries.next().is_some() {
        return Err(PlatformError::Foreign(dir.to_path_buf()));
    }
    let lock = child::lock(&mark, dir)?;
    for name in ["logs", "ready", "handover"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(|e| PlatformError::io(&path, e))?;
    }
    Ok(lock)
}

/// Empties a folder that the demo made.
pub fn wipe(dir: &Path) -> Result<(), PlatformError> {
    if !dir.exists() {
        return Ok(());
    }
    let _lock = folder(dir)?;
    fs::remove_dir_all(dir).map_err(|e| PlatformError::io(dir, e))
}

/// Generates unless that has been done.
pub(super) fn registers(options: &Options) -> Result<(), PlatformError> {
    let note = options.dir.join(REGISTERS);
    let asked = serde_json::json!({ "people": options.registers.people, "seed": options.registers.seed });
    if let Ok(text) = fs::read_to_string(&note) {
        let found: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if found == asked {
            return Ok(());
        }
        let say = |v: &serde_json::Value| format!("{} people, seed {}", v["people"], v["seed"]);
        return Err(PlatformError::Other { dir: options.dir.clone(), found: say(&found), asked: say(&asked) });
    }
    (options.report)(Progress::Step("generate the registers"));
    let report = |people| (options.report)(Progress::People(people));
    let tables = generate::registers(&options.dir.join("registers"), &options.registers, report)?;
    for table in tables {
        let line = format!(
            "{:<9} {:<15} {:>9} rows, {:>4} of them malformed, {:>6.1} MB",
            table.controller,
            table.table,
            table.rows + table.malformed,
            table.malformed,
            table.bytes as f64 / 1e6
        );
        (options.report)(Progress::Note(&line));
    }
    child::write(&note, &asked.to_string())
}

/// Every party's folder, and what they hand to each other.
pub(super) async fn parties(options: &Options, program: &Program) -> Result<(), PlatformError> {
    let dir = &options.dir;
    let (custodian, hub) = (dir.join("custodian"), dir.join("hub"));
    let step = |what: &str| (options.report)(Progress::Step(what));
    if !custodian.join("custodian.toml").exists() {
        step("custodian init");
        done(program, "custodian", &["init".into(), custodian.clone()]).await?;
    }
    if !hub.join("hub.toml").exists() {
        step("hub init");
        done(program, "hub", &["init".into(), hub.clone()]).await?;
    }
    for controller in CONTROLLERS {
        let spoke = spoke_dir(dir, controller.id);
        if !spoke.join("keys/identity.key").exists() {
            step(&format!("spoke init {}", controller.id));
            let args =
                ["init", "--controller", controller.id, "--title-da", controller.da, "--title-en", controller.en];
            let args: Vec<PathBuf> = args.into_iter().map(PathBuf::from).chain([spoke.clone()]).collect();
            done(program, "spoke", &args).await?;
        }
        let keys = spoke.join("keys");
        if !keys.join("custodian.pub").exists() {
            let config = custodian.join("custodian.toml");
            let args = [
                "issue".into(),
                "--replace".into(),
                "--config".into(),
                config,
                controller.id.into(),
                "--out".into(),
                keys.clone(),
            ];
            done(program, "custodian", &args).await?;
        }
        if !keys.join("link.crt").exists() {
            let mut args: Vec<PathBuf> = ["admin", "ca", "issue", "--config"].into_iter().map(PathBuf::from).collect();
            args.extend([hub.join("hub.toml"), "spoke".into(), controller.id.into(), "--out".into(), keys.clone()]);
            done(program, "hub", &args).await?;
        }
        for table in tables_of(controller.id) {
            let path = spoke.join("tables").join(format!("{}.toml", table.name));
            let text = table.declaration(&dir.join("registers").join(controller.id));
            child::write(&path, &text)?;
        }
        child::write(&spoke.join("grants").join(format!("{PROJECT}.toml")), &grant(controller.id))?;
    }
    // the hub wants every controller of a project known; where they listen is written when they do
    let anywhere = CONTROLLERS.map(|c| (c.id, SocketAddr::from(([127, 0, 0, 1], 7101))));
    child::edit(&hub.join("hub.toml"), |text| Some(settings::spokes(text, &anywhere)))?;
    child::write(&hub.join("projects").join(format!("{PROJECT}.toml")), &project())?;
    project_key(options, program).await
}

/// What each controller lets the project see: in the enclave, which includes the less that the open zone shows.
fn grant(controller: &str) -> String {
    let today = Utc::now().date_naive();
    // yesterday: clocks and time zones differ
    let from = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    let to = today.checked_add_days(Days::new(365)).unwrap_or(today);
    let mut out = format!(
        "# Written by the demo. Zone enclave: rows under project pseudonyms inside the secure environment; everybody\n\
         # else, on the open listener, gets released aggregates only.\n\
         project = {}\nzone = \"enclave\"\nvalid_from = {from}\nvalid_to = {to}\nusers = [{}]\n",
        quoted(PROJECT),
        quoted(USER)
    );
    for table in tables_of(controller) {
        let columns: Vec<String> = table.granted_columns().into_iter().map(quoted).collect();
        let _ = write!(out, "\n[[table]]\nname = {}\ncolumns = [{}]\n", quoted(table.name), columns.join(", "));
        if let Some(filter) = table.row_filter {
            let _ = writeln!(out, "row_filter = {}", quoted(filter));
        }
    }
    out
}

fn project() -> String {
    let controllers: Vec<String> = CONTROLLERS.iter().map(|c| quoted(c.id)).collect();
    format!(
        "# Written by the demo.\nproject = {}\ntitle = \"Type 2 diabetes: from prescription to blood sugar\"\nmembers = [{}]\ncontrollers = [{}]\n",
        quoted(PROJECT),
        quoted(USER),
        controllers.join(", ")
    )
}

/// One spoke makes the project's key and seals it to the others, who import it.
async fn project_key(options: &Options, program: &Program) -> Result<(), PlatformError> {
    let dir = &options.dir;
    let key = |controller: &str| spoke_dir(dir, controller).join("projects").join(format!("{PROJECT}.key"));
    let config = |controller: &str| spoke_dir(dir, controller).join("spoke.toml");
    if CONTROLLERS.iter().all(|c| key(c.id).exists()) {
        return Ok(());
    }
    (options.report)(Progress::Step("project key: made by sds, sealed to the others"));
    let mut lead = String::new();
    let mut members = Vec::new();
    for controller in CONTROLLERS {
        let args = ["identity".into(), "--public-only".into(), "--config".into(), config(controller.id)];
        let public = done(program, "spoke", &args).await?.trim().to_owned();
        if controller.id == LEAD {
            lead = public;
        } else {
            members.push((controller.id, public));
        }
    }
    let handover = dir.join("handover");
    let command = if key(LEAD).exists() { "share" } else { "create" };
    let mut args: Vec<PathBuf> =
        ["project-key".into(), "--config".into(), config(LEAD), command.into(), PROJECT.into()].into();
    for (member, public) in &members {
        args.extend(["--member".into(), format!("{member}={public}").into()]);
    }
    args.extend(["--out".into(), handover.clone()]);
    done(program, "spoke", &args).await?;
    for (member, _) in &members {
        let file = handover.join(format!("{PROJECT}.{member}.projectkey"));
        let mut args: Vec<PathBuf> =
            ["project-key".into(), "--config".into(), config(member), "import".into(), file].into();
        args.extend(["--lead".into(), lead.clone().into()]);
        done(program, "spoke", &args).await?;
    }
    Ok(())
}

/// The researcher's token: the one of an earlier start while it is good.
pub(super) async fn token(options: &Options, program: &Program) -> Result<String, PlatformError> {
    let path = options.dir.join("token");
    let age = fs::metadata(&path).and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
    if age.is_some_and(|age| age.as_secs() < u64::from(TOKEN_DAYS - 2) * 86_400) {
        return Ok(fs::read_to_string(&path).map_err(|e| PlatformError::io(&path, e))?.trim().to_owned());
    }
    let mut args: Vec<PathBuf> =
        ["admin", "token", "create", USER, "--project", PROJECT].into_iter().map(PathBuf::from).collect();
    args.extend(["--days".into(), TOKEN_DAYS.to_string().into()]);
    args.extend(["--config".into(), options.dir.join("hub/hub.toml")]);
    let token = done(program, "hub", &args).await?.trim().to_owned();
    child::write_private(&path, &token)?;
    Ok(token)
}

/// Runs a command that must succeed; gives what it wrote on standard output.
async fn done(program: &Program, role: &str, args: &[PathBuf]) -> Result<String, PlatformError> {
    let outcome = program.run(role, args, false)?.wait().await?;
    if outcome.success() {
        return Ok(outcome.stdout);
    }
    // public keys are public, but long
    let shown = args.iter().map(|a| a.to_string_lossy().chars().take(120).collect::<String>());
    let what = format!("{role} {}", shown.collect::<Vec<_>>().join(" "));
    Err(PlatformError::Command { what, code: outcome.code, said: outcome.text })
}
