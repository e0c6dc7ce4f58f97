//! Keys, passphrases, one-time codes and tokens: each only in its own file, and in the memory of whoever uses it.

use super::{
    held::{Held, Known},
    holds,
    processes::{Careless, exposed, is_protected},
};
use crate::fixture::{ROLES, Running, hub_admin};
use anyhow::{Context, Result, ensure};
use demo::{
    client::Client,
    platform::{Options, PROJECT, Part, Platform},
    questions::QUESTIONS,
    registers::CONTROLLERS,
};
use runtime::{invite::Invite, seal::write_private};
use std::path::{Path, PathBuf};
use tests::{
    process::{self, Shown},
    search::Secrets,
    tap::{self, TAP},
};

/// A controller that joins while the platform runs.
const VISITOR: &str = "region-x";

/// Commands and questions, good and bad, and all that was said about them.
struct Visit {
    said: Vec<String>,
    /// the code that the visitor used up
    code: Vec<Known>,
    /// a personal access token, used
    personal: Known,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_passphrase_code_or_token_is_anywhere_but_in_its_own_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taps = folder.path().join("taps");
    std::fs::create_dir(&taps)?;
    let program = exposed(folder.path(), "roles", ROLES)?;
    let mut options = Options::new(folder.path().join("platform"), program, 300);
    options.environment.push((TAP.to_owned(), taps.display().to_string()));
    options.environment.push(("EGER_LOG".to_owned(), "debug".to_owned()));
    let running = Running { platform: Platform::start(options).await?, folder };
    let platform = &running.platform;
    let held = Held::of(platform)?;
    let visit = visit(&running).await?;

    let token: Known = ("access token", platform.token().as_bytes().to_vec());
    let kept = [held.all(), vec![visit.personal.clone()]].concat();
    let all = [kept.clone(), visit.code.clone(), vec![token.clone()]].concat();
    let secrets = Secrets::of(&all)?;

    // Errors and answers of commands.
    ensure!(visit.said.len() > 10, "too little was said: {} times", visit.said.len());
    for said in &visit.said {
        assert_eq!(secrets.in_bytes(Path::new("said"), said.as_bytes()).map(|found| found.kind), None);
    }

    the_processes_show_nothing(platform, &secrets, running.folder.path(), visit.code[0].1.as_slice())?;
    the_memory_holds_nothing_of_others(platform, &held, running.folder.path())?;

    let (dir, visitor) = (platform.dir().to_owned(), running.folder.path().join("visitor"));
    running.platform.stop().await?;

    // Every folder of the platform, but for the files that are a secret's own; the generated sources have none.
    let own = |path: &Path| held.clear.contains(path) || path == dir.join("registers");
    for (folder, least) in [(&dir, 100), (&visitor, 5)] {
        let (found, searched) = secrets.in_folder(folder, &own)?;
        ensure!(searched >= least, "only {searched} files in {}", folder.display());
        assert_eq!(found, []);
    }
    for path in &held.clear {
        ensure!(secrets.in_file(path)?.is_some(), "{} does not hold its own secret", path.display());
    }

    // Links carry the user's token from the hub to the spokes, and a code once; nothing else.
    let (recordings, bytes) = tap::recorded(&taps)?;
    ensure!(recordings >= 12 && bytes > 1_000_000, "links were not recorded: {recordings} files, {bytes} bytes");
    let ends = |ends: &'static [&str]| {
        move |path: &Path| !path.is_dir() && !path.extension().is_some_and(|e| ends.iter().any(|end| e == *end))
    };
    let (links, commands, environments) = (ends(&["sent", "received"]), ends(&["cmdline"]), ends(&["environ"]));
    assert_eq!(Secrets::of(&kept)?.in_folder(&taps, &links)?.0, [], "on a link");
    ensure!(!Secrets::of(std::slice::from_ref(&token))?.in_folder(&taps, &links)?.0.is_empty(), "no token on any link");
    // Command lines of all processes, those too that ended at once; a person's own commands have the token in their
    // environment, which nobody else may read.
    let (found, started) = secrets.in_folder(&taps, &commands)?;
    ensure!(started > 30, "only {started} processes were seen");
    assert_eq!(found, [], "on a command line");
    let but_token = Secrets::of(&[kept, visit.code.clone()].concat())?;
    assert_eq!(but_token.in_folder(&taps, &environments)?.0, [], "in an environment");
    ensure!(!Secrets::of(&[token])?.in_folder(&taps, &environments)?.0.is_empty(), "no command had a token");

    // The search itself: a planted one is found in each kind of place, whatever the secret.
    let places =
        ["logs/planted.log", "hub/planted.db", "custodian/planted.db", "spokes/sds/audit/planted", "handover/planted"];
    for (place, (kind, secret)) in places.iter().cycle().zip(&all) {
        let path = dir.join(place);
        std::fs::write(&path, [b"before ".as_slice(), secret, b" after"].concat())?;
        let (found, _) = secrets.in_folder(path.parent().context("a folder")?, &own)?;
        ensure!(found.iter().any(|f| f.place == path), "a planted {kind} is not found in {place}");
        std::fs::remove_file(path)?;
    }
    std::fs::write(taps.join("planted.sent"), &held.project[0].1)?;
    assert_eq!(Secrets::of(&held.project)?.in_folder(&taps, &links)?.0.len(), 1, "a planted key is not found in a tap");
    Ok(())
}

/// Everything that makes the parties handle secrets, and fail over them.
async fn visit(running: &Running) -> Result<Visit> {
    let platform = &running.platform;
    let mut said = Vec::new();

    // Questions: right ones, wrong ones, and a token that was changed.
    let (mut enclave, mut open) = (running.enclave().await?, running.open().await?);
    for question in QUESTIONS {
        for client in [&mut enclave, &mut open] {
            said.push(crate::fixture::rows(&client.ask(question.sql).await?)?.into_iter().flatten().collect());
        }
    }
    // Rows as well: aggregates run at the spokes and move little.
    for table in ["dst.bef", "sds.lpr_a_kontakt", "sds.lpr_a_diagnose", "sds.lmdb", "\"region-h\".lab_forsker"] {
        enclave.ask(&format!("SELECT * FROM {table}")).await?;
    }
    let token = platform.token();
    let changed = format!("{}{}", &token[..token.len() - 4], "AAAA");
    let address = platform.enclave().context("runs")?;
    for (token, project) in [(changed.as_str(), PROJECT), (token, "nosuch")] {
        let error =
            Client::connect(address, token, project).await?.ask("SELECT 1").await.err().context("is refused")?;
        said.push(format!("{error} {error:?}"));
    }
    let error = enclave.ask("SELECT nosuch FROM dst.bef").await.err().context("is refused")?;
    said.push(format!("{error} {error:?}"));

    // A personal access token, good and changed, at the HTTP API.
    let personal = hub_admin(platform, &["token", "create", "bo@example.org"]).await?.trim().to_owned();
    let api = runtime::ready::read(&platform.dir().join("ready/hub.json"))?;
    let url = format!("http://{}/v1/applications", api.get("api").context("the API")?);
    for (token, good) in [(personal.clone(), true), (format!("{}00", &personal[..personal.len() - 2]), false)] {
        let answer = reqwest::Client::new().get(&url).bearer_auth(token).send().await?;
        ensure!(answer.status().is_success() == good, "the API answers {}", answer.status());
        said.push(answer.text().await?);
    }

    // A controller joins with a code, and again with the same.
    let gateway = platform.gateway().context("runs")?.to_string();
    let code = hub_admin(platform, &["invite", VISITOR, "--gateway", &gateway]).await?.trim().to_owned();
    let invite: Invite = code.parse()?;
    let given = running.folder.path().join("given");
    write_private(&given, code.as_bytes())?;
    let visitor = running.folder.path().join("visitor");
    let init = ["init", "--controller", VISITOR].map(PathBuf::from).into_iter().chain([visitor.clone()]);
    said.push(spoke(platform, &init.collect::<Vec<_>>(), true).await?);
    let config = ["--config".into(), visitor.join("spoke.toml")];
    let join = [["join".into(), "--code-file".into()].as_slice(), &[given], &config].concat();
    said.push(spoke(platform, &join, true).await?);
    said.push(spoke(platform, &join, false).await?);

    // Its keys open with the passphrase; not when others can read that, and not with another.
    let identity = [["identity".into()].as_slice(), &config].concat();
    said.push(spoke(platform, &identity, true).await?);
    let pass = visitor.join("passphrase");
    std::fs::set_permissions(&pass, std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
    let exposed = spoke(platform, &identity, false).await?;
    ensure!(exposed.contains("chmod 600"), "a passphrase that others can read is taken: {exposed}");
    said.push(exposed);
    write_private(&pass, b"another passphrase of some words\n")?;
    said.push(spoke(platform, &identity, false).await?);

    let secret = invite.secret.text().as_bytes().to_vec();
    Ok(Visit {
        said,
        code: vec![("one-time code", code.into_bytes()), ("one-time code's secret", secret)],
        personal: ("personal token", personal.into_bytes()),
    })
}

/// Runs a command of the visitor's spoke that must end well, or badly; gives what it said.
async fn spoke(platform: &Platform, args: &[PathBuf], well: bool) -> Result<String> {
    let said = platform.run("spoke", args).await?;
    ensure!(said.success() == well, "spoke {:?}: {}", args[0], said.text);
    Ok(said.text)
}

/// Command line, environment and core settings of every process that serves.
fn the_processes_show_nothing(platform: &Platform, secrets: &Secrets, folder: &Path, planted: &[u8]) -> Result<()> {
    ensure!(platform.parts().len() == 3 + CONTROLLERS.len(), "something does not run");
    for part in platform.parts() {
        let (pid, name) = (platform.pid(part).context("runs")?, part.to_string());
        for what in Shown::ALL {
            let bytes = process::shown(pid, what)?;
            ensure!(!bytes.is_empty(), "{name} shows no {}", what.file());
            assert_eq!(secrets.in_bytes(Path::new(what.file()), &bytes), None, "{name}");
        }
        is_protected(pid, &name)?;
    }
    // A process that has a secret in both places and protects nothing is noticed.
    let careless = Careless::start(folder, std::str::from_utf8(planted)?)?;
    for what in Shown::ALL {
        let found = secrets.in_bytes(Path::new(what.file()), &process::shown(careless.pid(), what)?);
        ensure!(found.is_some(), "a planted secret is not found in {}", what.file());
    }
    ensure!(process::core_settings(careless.pid())?.dumpable, "every process looks protected");
    ensure!(is_protected(careless.pid(), "the careless one").is_err(), "every process looks protected");
    careless.end()
}

/// No process has another party's keys in its memory.
fn the_memory_holds_nothing_of_others(platform: &Platform, held: &Held, folder: &Path) -> Result<()> {
    let spokes = CONTROLLERS.iter().map(|c| (Part::Spoke(c.id), held.foreign_to_spoke(c.id), PROJECT));
    let others =
        [(Part::Hub, held.foreign_to_hub(), PROJECT), (Part::Custodian, held.foreign_to_custodian(), "national")];
    for (part, foreign, own) in others.into_iter().chain(spokes) {
        let image = process::core(platform.pid(part).context("runs")?, folder)?;
        assert_eq!(Secrets::of(&foreign)?.in_file(&image)?.map(|f| f.kind), None, "in the memory of {part}");
        ensure!(holds(&image, own)?, "the image of {part} lacks what must be in it");
        std::fs::remove_file(image)?;
    }
    Ok(())
}
