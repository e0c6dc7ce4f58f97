//! `hub airlock`: what leaves the secure processing environment, over the HTTP API, as whoever signed in.
//!
//! INVARIANT: nothing here opens the hub's database; what a caller may do is decided by the API alone.

mod print;

use super::{
    Connect,
    client::{Client, Failure},
    exit,
    print::show,
};
use crate::{
    airlock::{self, FileDifference, Weight},
    api::{KeyView, SubmissionList, SubmissionView},
};
use clap::{Args, Subcommand};
use policies::airlock::{EXAMPLE, FileReview, Form, Review, State, Verdict};
use proto::ids::SubmissionId;
use reqwest::Method;
use runtime::sign::VerifyingKey;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The largest crate read, bytes.
const MOST: u64 = 300 << 20;

/// `hub airlock ...`
#[derive(Debug, Args)]
pub struct AirlockArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

macro_rules! help {
    ($example:literal) => {
        concat!(
            "Example:\n  ",
            $example,
            "\n\nInside the secure environment EGER_API is that environment's own address of the API.\n\nExit codes: 0 done, 1 failed, \
             2 usage, or a file can't be read, 3 can't connect, 4 token refused, not permitted or not there,\n5 the checks refuse it, the \
             form is wrong, or the submission's state doesn't allow it"
        )
    };
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a form to start from
    #[command(after_help = help!("hub airlock example > outputs.toml"))]
    Example,
    /// Freezes the files of a form, has them checked, and sends them to the checkers
    #[command(after_help = help!("hub airlock submit outputs.toml --check && hub airlock submit outputs.toml"))]
    Submit {
        /// the form, TOML
        file: PathBuf,
        /// say what the automatic checks find; send nothing
        #[arg(long)]
        check: bool,
    },
    /// Lists the submissions of one's own projects; for a checker, what waits for a check
    #[command(after_help = help!("hub airlock list"))]
    List,
    /// Shows how far a submission is; also outside
    #[command(after_help = help!("hub airlock status 0193f0c2-..."))]
    Status {
        /// the submission's id
        submission: SubmissionId,
    },
    /// Shows a submission: its files, what the checks found, and what the checkers said when they are done
    #[command(after_help = help!("hub airlock show 0193f0c2-..."))]
    Show {
        /// the submission's id
        submission: SubmissionId,
    },
    /// Writes a file of a submission as it was frozen
    #[command(after_help = help!("hub airlock file 0193f0c2-... table1.csv"))]
    File {
        /// the submission's id
        submission: SubmissionId,
        /// the file's name
        name: String,
        /// where to; standard output without it
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Shows what a resubmission changes: file by file, in tables cell by cell
    #[command(after_help = help!("hub airlock difference 0193f0c2-..."))]
    Difference {
        /// the submission's id
        submission: SubmissionId,
    },
    /// Decides on each file of a submission (a checker)
    #[command(after_help = help!("hub airlock review 0193f0c2-... --approve table1.csv --change figure1.svg='the axis shows single people'"))]
    Review {
        /// the submission's id
        submission: SubmissionId,
        /// this file may leave; may be given several times
        #[arg(long, value_name = "FILE")]
        approve: Vec<String>,
        /// all files that no --change names may leave
        #[arg(long)]
        approve_all: bool,
        /// this file may not leave as it is, and why; may be given several times
        #[arg(long, value_name = "FILE=WHY")]
        change: Vec<String>,
    },
    /// Takes a submission back; its files are removed
    #[command(after_help = help!("hub airlock withdraw 0193f0c2-..."))]
    Withdraw {
        /// the submission's id
        submission: SubmissionId,
    },
    /// Takes an approved submission out, as one signed crate
    #[command(after_help = help!("hub airlock release 0193f0c2-... --out results.zip"))]
    Release {
        /// the submission's id
        submission: SubmissionId,
        /// where to
        #[arg(long)]
        out: PathBuf,
    },
    /// Has the open zone answer the queries of a form, and takes the answers out at once, as one signed crate
    #[command(after_help = help!("hub airlock answer counts.toml --out counts.zip"))]
    Answer {
        /// the form, TOML: tables (.csv) with their queries; with 'earlier', checkers have approved that submission, and its
        /// tables must be the same
        file: PathBuf,
        /// where to
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints the key that this hub signs releases with
    #[command(after_help = help!("hub airlock key"))]
    Key,
    /// Checks a crate's hashes and signature; on any machine, without a hub
    #[command(
        after_help = "Example:\n  hub airlock verify results.zip --key 3f..9c\n\nExit codes: 0 it is what the hub let out, 2 usage, 5 it is not"
    )]
    Verify {
        /// the crate
        file: PathBuf,
        /// the hub's public key, 64 hex digits, from the hub's operator or `hub airlock key`
        #[arg(long)]
        key: VerifyingKey,
    },
}

/// Runs `hub airlock`.
pub async fn run(args: AirlockArgs) -> ExitCode {
    match execute(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

async fn execute(args: AirlockArgs) -> Result<(), Failure> {
    let AirlockArgs { connect, command } = args;
    let json = connect.json;
    match command {
        Command::Example => {
            print!("{EXAMPLE}");
            return Ok(());
        }
        Command::Verify { file, key } => return verify(&file, &key),
        _ => {}
    }
    let client = Client::new(&connect).await?;
    match command {
        Command::Example | Command::Verify { .. } => {}
        Command::Submit { file, check } => submit(&client, json, &file, check).await?,
        Command::List => {
            let mut all: SubmissionList = client.get("/v1/airlock?limit=200").await?;
            while let Some(next) = all.next.take() {
                let page: SubmissionList = client.get(&format!("/v1/airlock?limit=200&after={next}")).await?;
                all.items.extend(page.items);
                all.next = page.next;
            }
            show(json, &all, print::list)?;
        }
        Command::Status { submission } => {
            let view: SubmissionView = client.get(&format!("/v1/airlock/{submission}")).await?;
            show(json, &SubmissionView { content: None, ..view }, print::status)?;
        }
        Command::Show { submission } => {
            let view: SubmissionView = client.get(&format!("/v1/airlock/{submission}")).await?;
            show(json, &view, print::submission)?;
        }
        Command::File { submission, name, out } => {
            let path = format!("/v1/airlock/{submission}/files/{}", name_in_path(&name)?);
            let bytes = client.bytes(Method::GET, &path).await?;
            match out {
                Some(out) => write(&out, &bytes)?,
                None => std::io::stdout().write_all(&bytes).map_err(Failure::output)?,
            }
        }
        Command::Difference { submission } => {
            let all: Vec<FileDifference> = client.get(&format!("/v1/airlock/{submission}/difference")).await?;
            show(json, &all, |all| print::differences(all))?;
        }
        Command::Review { submission, approve, approve_all, change } => {
            let view: SubmissionView = client.get(&format!("/v1/airlock/{submission}")).await?;
            let review = review(&view, &approve, approve_all, &change)?;
            client.done(&format!("/v1/airlock/{submission}/review"), &review).await?;
            println!("decided on {} files of {submission}", review.files.len());
        }
        Command::Withdraw { submission } => {
            let view: SubmissionView = client.post(&format!("/v1/airlock/{submission}/withdraw"), &()).await?;
            show(json, &view, print::status)?;
        }
        Command::Release { submission, out } => release(&client, &submission.to_string(), &out).await?,
        Command::Answer { file, out } => {
            let mut form = form(&file)?;
            form.files.iter_mut().for_each(|one| one.path = None);
            let made: SubmissionView = client.post("/v1/airlock/answers", &form).await?;
            release(&client, &made.id, &out).await?;
        }
        Command::Key => {
            let key: KeyView = client.get("/v1/published/key").await?;
            // The key alone on standard output, for scripts.
            show(json, &key, |key| println!("{}", key.key))?;
            if !json {
                eprintln!("of hub '{}'; compare with its operator: {}", key.hub, key.fingerprint);
            }
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::usage(format!("{}: {e}", path.display()));
    if std::fs::metadata(path).map_err(failed)?.len() > MOST {
        return Err(Failure::usage(format!("{}: is too large", path.display())));
    }
    std::fs::read(path).map_err(failed)
}

/// A name as part of an address: what no file of a submission can be called isn't asked for.
fn name_in_path(name: &str) -> Result<policies::airlock::FileName, Failure> {
    name.parse().map_err(|error| Failure::usage(format!("'{name}' {error}")))
}

async fn release(client: &Client, submission: &str, out: &Path) -> Result<(), Failure> {
    let bytes = client.bytes(Method::POST, &format!("/v1/airlock/{submission}/release")).await?;
    write(out, &bytes)?;
    println!("{}: {} bytes. Check it with hub airlock verify", out.display(), bytes.len());
    Ok(())
}

fn form(file: &Path) -> Result<Form, Failure> {
    let text = String::from_utf8(read(file)?).map_err(|_| Failure::usage(format!("{}: no text", file.display())))?;
    Form::from_toml(&text, &file.display().to_string()).map_err(Failure::usage)
}

async fn submit(client: &Client, json: bool, file: &Path, only_check: bool) -> Result<(), Failure> {
    let mut form = form(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for one in &mut form.files {
        // Where it lies is nobody's matter elsewhere.
        let path = folder.join(one.path.take().unwrap_or_else(|| one.name.clone()));
        files.push((one.name.clone(), read(&path)?));
    }
    let begun: SubmissionView = client.post("/v1/airlock", &form).await?;
    let handed = hand_in(client, &begun.id, files).await;
    let checked = match handed {
        Ok(view) => view,
        Err(failure) => {
            take_back(client, &begun.id).await;
            return Err(failure);
        }
    };
    let findings = || checked.content.iter().flat_map(|content| &content.files).flat_map(|file| &file.findings);
    if checked.state != State::Checked {
        show(json, &checked, print::submission)?;
        take_back(client, &begun.id).await;
        let refused = findings().filter(|finding| finding.weight == Weight::Refused).count();
        return Err(Failure {
            message: format!(
                "the checks refuse it for {refused} reasons; nothing was sent. Mend them and submit again"
            ),
            code: exit::REFUSED,
        });
    }
    if only_check {
        show(json, &checked, print::submission)?;
        take_back(client, &begun.id).await;
        return Ok(());
    }
    let sent: SubmissionView = client.post(&format!("/v1/airlock/{}/send", begun.id), &()).await?;
    show(json, &sent, print::submission)
}

async fn hand_in(client: &Client, id: &str, files: Vec<(String, Vec<u8>)>) -> Result<SubmissionView, Failure> {
    for (name, bytes) in files {
        let path = format!("/v1/airlock/{id}/files/{}", name_in_path(&name)?);
        let added: Result<SubmissionView, Failure> = client.put(&path, bytes).await;
        added.map_err(|failure| Failure { message: format!("{name}: {}", failure.message), ..failure })?;
    }
    client.post(&format!("/v1/airlock/{id}/check"), &()).await
}

/// A draft that leads to nothing.
async fn take_back(client: &Client, id: &str) {
    let gone: Result<SubmissionView, Failure> = client.post(&format!("/v1/airlock/{id}/withdraw"), &()).await;
    if gone.is_err() {
        eprintln!("the draft is left behind: hub airlock withdraw {id}");
    }
}

fn review(view: &SubmissionView, approve: &[String], all: bool, change: &[String]) -> Result<Review, Failure> {
    let mut files = Vec::new();
    for one in change {
        let (file, why) = one.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--change {one}: say why, as in --change table1.csv='row 3 is too small'"))
        })?;
        let (file, comment) = (file.to_owned(), why.to_owned());
        files.push(FileReview { file, verdict: Verdict::ChangesRequested, comment });
    }
    let yes = |file: &str| FileReview { file: file.to_owned(), verdict: Verdict::Approved, comment: String::new() };
    files.extend(approve.iter().map(|file| yes(file)));
    if all {
        let named: Vec<String> = files.iter().map(|one| one.file.clone()).collect();
        let leaving = view.content.iter().flat_map(|content| &content.files).filter(|file| !file.inside);
        files.extend(leaving.filter(|file| !named.contains(&file.name)).map(|file| yes(&file.name)));
    }
    Ok(Review { files })
}

fn verify(file: &Path, key: &VerifyingKey) -> Result<(), Failure> {
    let refused = |error: airlock::VerifyError| Failure {
        message: format!("{}: {error}. It is not what the hub let out", file.display()),
        code: exit::REFUSED,
    };
    let verified = airlock::verify(&read(file)?, key).map_err(refused)?;
    print::verified(&verified);
    Ok(())
}
