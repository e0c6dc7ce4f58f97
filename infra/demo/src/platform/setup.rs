//! Everything before the first start: registers, each party's folder, an issuer, certificates,
//! table declarations, keys, a token. Permits come later, through an application (`project`).
//!
//! Done the way that real parties would, each with its own command line, files handed over between them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use runtime::enrolment::APPROVER_CONTEXT;
use runtime::seal::Passphrase;
use runtime::sign::SigningKey;

use super::child::{self, Program};
use super::{Options, PlatformError, Progress, USER, settings};

/// Stands in every folder that the demo made.
const MARK: &str = "demo.lock";
/// Says what was generated, written when all of it was.
const REGISTERS: &str = "registers.json";
/// How long the researcher's token is good.
const TOKEN_HOURS: u32 = 12;

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
    let mut asked = serde_json::json!({ "people": options.registers.people, "seed": options.registers.seed });
    if let Some(what) = &options.cast.what {
        asked["what"] = what.as_str().into();
    }
    if let Ok(text) = fs::read_to_string(&note) {
        let found: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if found == asked {
            (options.report)(Progress::Step("reuse the registers of an earlier start"));
            return Ok(());
        }
        let say = |v: &serde_json::Value| {
            let what = v["what"].as_str().map_or_else(String::new, |what| format!("{what} of "));
            format!("{what}{} people, seed {}", v["people"], v["seed"])
        };
        return Err(PlatformError::Other { dir: options.dir.clone(), found: say(&found), asked: say(&asked) });
    }
    (options.report)(Progress::Step("generate the registers"));
    let report = |people| (options.report)(Progress::People(people));
    let tables = (options.cast.write)(&options.dir.join("registers"), &options.registers, &report)?;
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
    if !issuer_config(dir).exists() {
        step("issuer init");
        done(program, "issuer", &["init".into(), issuer_dir(dir), "--user".into(), USER.into()]).await?;
    }
    let (issuer, issuer_keys) = (issuer_url(dir)?, issuer_dir(dir).join("jwks.json"));
    let trusting = |text: &str| Some(settings::issuers(text, &issuer, &issuer_keys, &options.issuers));
    child::edit(&hub.join("hub.toml"), trusting)?;
    child::edit(&hub.join("hub.toml"), |text| settings::checkers(text, &issuer, &options.checkers))?;
    for controller in options.cast.controllers {
        let spoke = spoke_dir(dir, controller.id);
        if !spoke.join("keys/identity.key").exists() {
            step(&format!("spoke init {}", controller.id));
            let args =
                ["init", "--controller", controller.id, "--title-da", controller.da, "--title-en", controller.en];
            let args: Vec<PathBuf> = args.into_iter().map(PathBuf::from).chain([spoke.clone()]).collect();
            done(program, "spoke", &args).await?;
        }
        child::edit(&spoke.join("spoke.toml"), trusting)?;
        let keys = spoke.join("keys");
        if !keys.join("custodian.pub").exists() {
            enrol(options, program, controller.id).await?;
        }
        for table in options.cast.tables_of(controller.id) {
            let path = spoke.join("tables").join(format!("{}.toml", table.name));
            let text = table.declaration(&dir.join("registers").join(controller.id));
            child::write(&path, &text)?;
        }
        trust(options, program, controller.id).await?;
    }
    Ok(())
}

/// The controller's spoke, and the hub, learn whose decisions count for the controller.
async fn trust(options: &Options, program: &Program, controller: &str) -> Result<(), PlatformError> {
    let dir = &options.dir;
    let mark = dir.join("handover").join(format!("{controller}.approver"));
    if mark.exists() {
        return Ok(());
    }
    let (_, _, public) = approver(dir, controller)?;
    (options.report)(Progress::Step(&format!("spoke approver trust, hub admin approver add {controller}")));
    let spoke = spoke_dir(dir, controller).join("spoke.toml");
    let args = ["approver".into(), "trust".into(), "demo".into(), PathBuf::from(&public), "--config".into(), spoke];
    done(program, "spoke", &args).await?;
    let hub = dir.join("hub/hub.toml");
    let args: Vec<PathBuf> = ["admin", "approver", "add", controller, &public, "--config"].map(PathBuf::from).into();
    done(program, "hub", &[args, vec![hub]].concat()).await?;
    child::write(&mark, &public)
}

/// The hub's operator invites a controller, whose spoke joins with the code.
pub(super) async fn join(
    options: &Options,
    program: &Program,
    gateway: SocketAddr,
    controller: &str,
) -> Result<(), PlatformError> {
    let (hub, spoke) = (options.dir.join("hub/hub.toml"), spoke_dir(&options.dir, controller).join("spoke.toml"));
    let mut args: Vec<PathBuf> = ["admin", "invite", controller, "--gateway"].into_iter().map(PathBuf::from).collect();
    args.extend([gateway.to_string().into(), "--config".into(), hub]);
    let code = done(program, "hub", &args).await?;
    let file = options.dir.join("handover").join(format!("{controller}.code"));
    child::write_private(&file, &code)?;
    let args = ["join".into(), "--code-file".into(), file.clone(), "--config".into(), spoke];
    done(program, "spoke", &args).await?;
    fs::remove_file(&file).map_err(|e| PlatformError::io(&file, e))
}

/// The controller's approver endorses the spoke's own key, and the custodian certifies it.
async fn enrol(options: &Options, program: &Program, controller: &str) -> Result<(), PlatformError> {
    let dir = &options.dir;
    let custodian = dir.join("custodian/custodian.toml");
    let spoke = spoke_dir(dir, controller).join("spoke.toml");
    let (key, pass, public) = approver(dir, controller)?;
    let handover = |what: &str| dir.join("handover").join(format!("{controller}.custodian-{what}.json"));
    (options.report)(Progress::Step(&format!("spoke custodian request, custodian enrol {controller}")));
    // Everybody who lives or has lived; a real controller knows its own number.
    let population = options.registers.people.saturating_mul(2).max(options.population).max(1);
    let mut args: Vec<PathBuf> = vec!["controller".into(), "--config".into(), custodian.clone()];
    let register = ["add", controller, "--replace", "--approver", &public, "--population", &population.to_string()];
    args.extend(register.map(PathBuf::from));
    done(program, "custodian", &args).await?;
    let args =
        ["custodian".into(), "--config".into(), spoke.clone(), "request".into(), "--key".into(), key, "--out".into()];
    let args = args.into_iter().chain([handover("request"), "--passphrase-file".into(), pass]).collect::<Vec<_>>();
    done(program, "spoke", &args).await?;
    let args = ["enrol".into(), "--config".into(), custodian, handover("request"), "--out".into(), handover("reply")];
    done(program, "custodian", &args).await?;
    let args = ["custodian".into(), "--config".into(), spoke, "install".into(), handover("reply")];
    done(program, "spoke", &args).await.map(drop)
}

/// The sealed key of a controller's approver, its passphrase file, and its public half. Made when they are missing.
pub(super) fn approver(dir: &Path, controller: &str) -> Result<(PathBuf, PathBuf, String), PlatformError> {
    let folder = dir.join("approvers");
    fs::create_dir_all(&folder).map_err(|e| PlatformError::io(&folder, e))?;
    let (key, pass) = (folder.join(format!("{controller}.key")), folder.join(format!("{controller}.passphrase")));
    let trouble = |error: &dyn std::fmt::Display| PlatformError::io(&key, std::io::Error::other(error.to_string()));
    if !pass.exists() {
        let words = Passphrase::random().map_err(|e| trouble(&e))?;
        child::write_private(&pass, &words)?;
    }
    let words = Passphrase::from_file(&pass).map_err(|e| trouble(&e))?;
    let signing = if key.exists() {
        SigningKey::load(&key, APPROVER_CONTEXT, &words)
    } else {
        SigningKey::create(&key, APPROVER_CONTEXT, &words)
    }
    .map_err(|e| trouble(&e))?;
    Ok((key, pass, signing.public().to_string()))
}

pub(super) fn issuer_dir(dir: &Path) -> PathBuf {
    dir.join("issuer")
}

pub(super) fn issuer_config(dir: &Path) -> PathBuf {
    issuer_dir(dir).join("issuer.json")
}

/// The URL that tokens and permits name.
pub(super) fn issuer_url(dir: &Path) -> Result<String, PlatformError> {
    let path = issuer_config(dir);
    Ok(crate::issuer::settings(&path).map_err(|e| PlatformError::io(&path, e))?.url)
}

/// A researcher's token, as a sign-in would bring it.
pub(super) async fn token(options: &Options, program: &Program, user: &str) -> Result<String, PlatformError> {
    let args = [
        "token".into(),
        "--config".into(),
        issuer_config(&options.dir),
        "--hours".into(),
        TOKEN_HOURS.to_string().into(),
        "--user".into(),
        user.into(),
    ];
    Ok(done(program, "issuer", &args).await?.trim().to_owned())
}

/// Runs a command that must succeed; gives what it wrote on standard output.
pub(super) async fn done(program: &Program, role: &str, args: &[PathBuf]) -> Result<String, PlatformError> {
    let outcome = program.run(role, args, false)?.wait().await?;
    if outcome.success() {
        return Ok(outcome.stdout);
    }
    // public keys are public, but long
    let shown = args.iter().map(|a| a.to_string_lossy().chars().take(120).collect::<String>());
    let what = format!("{role} {}", shown.collect::<Vec<_>>().join(" "));
    Err(PlatformError::Command { what, code: outcome.code, said: outcome.text })
}
