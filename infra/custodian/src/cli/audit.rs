//! `custodian audit`: the log for people, its check, and a copy for others.

use super::ConfigFile;
use crate::{config::Config, register::Register, setup};
use clap::{Args, Subcommand};
use runtime::{
    audit::{
        self,
        checkpoint::{Checkpoint, Witnessed, verify_log},
        witness,
    },
    sign::VerifyingKey,
};
use std::path::{Path, PathBuf};

const AFTER: &str = "\
Examples:
  custodian audit show --last 20
  custodian audit show --event alarm --json
  custodian audit verify
  custodian audit verify --checkpoint spoke.region-h.jws --witness 9a3c..11
  custodian audit export --out /tmp/for-the-auditor
  custodian audit verify --log DIR/custodian.log --signing DIR/signing.pub --checkpoint DIR/spoke.region-h.jws --witness 9a3c..11

`verify` finds a changed, removed or moved line; a cut tail shows by checkpoints that spokes countersigned: those
kept here are always used, and a spoke's own copy proves more.";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Print entries
    Show {
        /// Only the last so many
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Only of this kind, such as enrolled, evaluated or alarm
        #[arg(long, value_name = "KIND")]
        event: Option<String>,
        /// As JSON, one entry a line
        #[arg(long)]
        json: bool,
    },
    /// Check that no line was changed, removed or moved, and that the log reaches every checkpoint
    Verify {
        /// Another copy of the log
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// File with the custodian's public signing key
        #[arg(long, value_name = "FILE")]
        signing: Option<PathBuf>,
        /// File of checkpoints that a witness countersigned
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// Public signing key of a witness that isn't registered here, 64 hex digits
        #[arg(long, value_name = "HEX")]
        witness: Vec<VerifyingKey>,
    },
    /// Copy the log, a signed checkpoint of its end, and what witnesses countersigned
    Export {
        /// Folder; made when it is missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

impl AuditArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = self.config.load()?;
        match self.command {
            AuditCommand::Show { last, event, json } => show(&config.audit_log(), last, event.as_deref(), json),
            AuditCommand::Verify { log, signing, checkpoint, witness } => {
                verify(&config, log, signing, checkpoint, witness).await
            }
            AuditCommand::Export { out } => export(&config, &out),
        }
    }
}

fn show(log: &Path, last: Option<usize>, kind: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    for item in audit::read(log)? {
        let (entry, _) = item?;
        if kind.is_none_or(|kind| entry.event.get("event").and_then(|e| e.as_str()) == Some(kind)) {
            entries.push(entry);
        }
    }
    let skip = last.map_or(0, |last| entries.len().saturating_sub(last));
    for entry in entries.into_iter().skip(skip) {
        if json {
            println!("{}", serde_json::to_string(&entry)?);
            continue;
        }
        let mut fields = Vec::new();
        let mut kind = "";
        if let Some(map) = entry.event.as_object() {
            for (name, value) in map {
                match (name.as_str(), value.as_str()) {
                    ("event", Some(text)) => kind = text,
                    (_, Some(text)) => fields.push(format!("{name}={text}")),
                    (_, None) => fields.push(format!("{name}={value}")),
                }
            }
        }
        println!("{:>6}  {}  {kind:<18} {}", entry.seq, entry.at.format("%Y-%m-%d %H:%M:%S"), fields.join("  "));
    }
    Ok(())
}

async fn verify(
    config: &Config,
    log: Option<PathBuf>,
    signing: Option<PathBuf>,
    given: Vec<PathBuf>,
    mut witnesses: Vec<VerifyingKey>,
) -> anyhow::Result<()> {
    let signing = signing.unwrap_or_else(|| config.signing_public_file());
    let own = std::fs::read_to_string(&signing).map_err(|e| anyhow::anyhow!("{}: {e}", signing.display()))?;
    let own: VerifyingKey = own.parse().map_err(|e| anyhow::anyhow!("{}: {e}", signing.display()))?;
    let register = Register::open(&config.register()).await?;
    witnesses.extend(register.list().await?.into_iter().filter_map(|c| c.signing));
    let mut checkpoints = witness::witnessed(&config.audit_log(), &config.peer(), &own)?;
    for file in &given {
        checkpoints.extend(countersigned(file, config, &own, &witnesses)?);
    }
    let log = log.unwrap_or_else(|| config.audit_log());
    let head = verify_log(&log, &checkpoints)?;
    println!("whole: {} entries, {} checkpoints of witnesses lie on it", head.seq, checkpoints.len());
    println!("last line {}", head.hash);
    if checkpoints.is_empty() {
        println!("No witness has countersigned it yet: a cut tail would not show.");
    }
    Ok(())
}

/// The custodian's checkpoints in a file, one a line, each countersigned by one of `witnesses`.
fn countersigned(
    file: &Path,
    config: &Config,
    own: &VerifyingKey,
    witnesses: &[VerifyingKey],
) -> anyhow::Result<Vec<Checkpoint>> {
    let text = std::fs::read_to_string(file).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
    let mut checkpoints = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let seen = witnesses.iter().find_map(|key| Witnessed::verify(line.trim(), key).ok()).ok_or_else(|| {
            anyhow::anyhow!("{}: countersigned by nobody who is registered here; add --witness HEX", file.display())
        })?;
        let checkpoint = Checkpoint::verify(&seen.checkpoint, &config.peer().to_string(), own)
            .map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
        checkpoints.push(checkpoint);
    }
    Ok(checkpoints)
}

fn export(config: &Config, out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).map_err(|e| anyhow::anyhow!("{}: {e}", out.display()))?;
    let pass = config.passphrase().map_err(|error| anyhow::anyhow!("passphrase: {error}"))?;
    let signing = setup::signing_key(config, &pass)?;
    let copy = |from: &Path, name: &str| {
        std::fs::copy(from, out.join(name)).map_err(|e| anyhow::anyhow!("{}: {e}", from.display()))
    };
    let log = out.join("custodian.log");
    copy(&config.audit_log(), "custodian.log")?;
    let head = verify_log(&log, &[])?;
    let entries = head.seq;
    let checkpoint = Checkpoint::sign(&config.peer().to_string(), head, &signing);
    let write = |name: &str, text: String| {
        std::fs::write(out.join(name), text).map_err(|e| anyhow::anyhow!("{}: {e}", out.join(name).display()))
    };
    write("checkpoint.jws", format!("{checkpoint}\n"))?;
    write("signing.pub", format!("{}\n", signing.public()))?;
    if let Ok(entries) = std::fs::read_dir(config.audit_dir().join("witnessed")) {
        for file in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if let Some(name) = file.file_name().and_then(|n| n.to_str()).filter(|n| n.ends_with(".jws")) {
                copy(&file, name)?;
            }
        }
    }
    println!("{entries} entries, their end signed with {}, in {}", signing.public().fingerprint(), out.display());
    Ok(())
}
