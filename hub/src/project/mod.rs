//! `hub project`: applications from the terminal, over the HTTP API, as whoever signed in (`hub login`).
//!
//! INVARIANT: nothing here opens the hub's database; what a caller may do is decided by the API alone.

mod airlock;
mod client;
mod count;
mod print;

use crate::api::{
    Answer, ApplicationList, ApplicationView, Ask, CheckView, EventList, Extend, PartView, PermitList, WorkspaceView,
};
pub use airlock::{AirlockArgs, run as run_airlock};
use clap::{Args, Subcommand};
use client::{Client, Failure};
pub use count::{CountArgs, HELP as COUNT_HELP, run as run_count};
use policies::application::Form;
use proto::ids::{ApplicationId, ProjectId};
use std::{path::PathBuf, process::ExitCode};

/// Exit codes, as `--help` lists them.
mod exit {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const CONNECT: u8 = 3;
    pub(super) const DENIED: u8 = 4;
    pub(super) const REFUSED: u8 = 5;
}

/// Which hub, as whom, and how answers are written.
#[derive(Debug, Args)]
pub struct Connect {
    /// address of the HTTP API
    #[arg(long, env = "EGER_API", default_value = "http://127.0.0.1:7004", global = true)]
    api: String,
    /// the hub where `hub login` was done, as given there
    #[arg(long, env = "EGER_SERVER", default_value = "grpc://127.0.0.1:7001", global = true)]
    server: String,
    /// token, instead of the one that `hub login` keeps; better given in the environment, where `ps` doesn't show it
    #[arg(long, env = "EGER_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// certificate authority to trust, PEM
    #[arg(long, env = "EGER_CA", global = true)]
    ca: Option<PathBuf>,
    /// write the API's JSON
    #[arg(long, global = true)]
    json: bool,
}

/// `hub project ...`
#[derive(Debug, Args)]
pub struct ProjectArgs {
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
            "\n\nExit codes: 0 done, 1 failed, 2 usage, or the form can't be read, 3 can't connect, 4 token refused, not permitted \
             or not there,\n5 the form is wrong, or the application's state doesn't allow it"
        )
    };
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a form to start from
    #[command(after_help = help!("hub project example > application.toml"))]
    Example,
    /// Hands in an application
    #[command(after_help = help!("hub project apply application.toml --check && hub project apply application.toml"))]
    Apply {
        /// the form, TOML
        file: PathBuf,
        /// say what is wrong and who would be asked; hand in nothing
        #[arg(long)]
        check: bool,
    },
    /// Hands in an amendment: the whole form as it is to be. Only controllers that something new is asked of are asked
    #[command(after_help = help!("hub project amend application.toml --check"))]
    Amend {
        /// the form, TOML
        file: PathBuf,
        /// say whom it would ask what; hand in nothing
        #[arg(long)]
        check: bool,
    },
    /// Lists one's own applications
    #[command(after_help = help!("hub project list"))]
    List,
    /// Shows how an application and its workspace are
    #[command(after_help = help!("hub project show diabetes"))]
    Show {
        /// project, or an application's id
        which: String,
    },
    /// Shows how far each controller's part is
    #[command(after_help = help!("hub project parts diabetes"))]
    Parts {
        /// project, or an application's id
        which: String,
    },
    /// Shows what happened, oldest first
    #[command(after_help = help!("hub project events diabetes --json"))]
    Events {
        /// project, or an application's id
        which: String,
    },
    /// Lists a project's permits
    #[command(after_help = help!("hub project permits diabetes"))]
    Permits {
        /// the project
        project: ProjectId,
    },
    /// Takes an application back before it is decided
    #[command(after_help = help!("hub project withdraw diabetes"))]
    Withdraw {
        /// project, or an application's id
        which: String,
    },
    /// Says that an application is complete (a coordinator)
    #[command(after_help = help!("hub project complete diabetes"))]
    Complete {
        /// project, or an application's id
        which: String,
    },
    /// Extends the deadline of the decision, once (a coordinator)
    #[command(after_help = help!("hub project extend diabetes --reason 'many controllers'"))]
    Extend {
        /// project, or an application's id
        which: String,
        /// why
        #[arg(long)]
        reason: String,
    },
    /// Lists the questions about an application
    #[command(after_help = help!("hub project questions diabetes"))]
    Questions {
        /// project, or an application's id
        which: String,
    },
    /// Asks the applicant about a field (a coordinator)
    #[command(after_help = help!("hub project ask diabetes population 'Which years?'"))]
    Ask {
        /// project, or an application's id
        which: String,
        /// which field of the form
        field: String,
        /// the question
        text: String,
    },
    /// Answers a question
    #[command(after_help = help!("hub project answer diabetes 1 'From 2015 on'"))]
    Answer {
        /// project, or an application's id
        which: String,
        /// number of the question, from `questions`
        question: i64,
        /// the answer
        text: String,
    },
}

/// Runs `hub project`.
pub async fn run(args: ProjectArgs) -> ExitCode {
    match execute(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

async fn execute(args: ProjectArgs) -> Result<(), Failure> {
    let ProjectArgs { connect, command } = args;
    if matches!(command, Command::Example) {
        print!("{}", policies::application::EXAMPLE);
        return Ok(());
    }
    let json = connect.json;
    let client = Client::new(&connect).await?;
    match command {
        Command::Example => {}
        Command::Apply { file, check: true } => {
            let checked: CheckView = client.post("/v1/applications/check", &read(&file)?).await?;
            print::show(json, &checked, |checked| print::check(checked, "no problems; it would ask"))?;
        }
        Command::Apply { file, check: false } => {
            let view: ApplicationView = client.submit("/v1/applications", &read(&file)?).await?;
            print::show(json, &view, print::application)?;
        }
        Command::Amend { file, check } => {
            let form = read(&file)?;
            let project: ProjectId =
                form.project.parse().map_err(|e| Failure::usage(format!("{}, field project: {e}", file.display())))?;
            if check {
                let path = format!("/v1/projects/{project}/amendments/check");
                let checked: CheckView = client.post(&path, &form).await?;
                print::show(json, &checked, |checked| print::check(checked, "the amendment would ask"))?;
            } else {
                let view: ApplicationView = client.submit(&format!("/v1/projects/{project}/amendments"), &form).await?;
                print::show(json, &view, print::application)?;
            }
        }
        Command::List => {
            let mut all: ApplicationList = client.get("/v1/applications?limit=200").await?;
            while let Some(next) = all.next.take() {
                let page: ApplicationList = client.get(&format!("/v1/applications?limit=200&after={next}")).await?;
                all.items.extend(page.items);
                all.next = page.next;
            }
            print::show(json, &all, print::applications)?;
        }
        Command::Show { which } => {
            let view: ApplicationView = client.get(&path(&client, &which, "").await?).await?;
            let workspace: WorkspaceView = client.get(&format!("/v1/workspaces/{}", view.project)).await?;
            print::show(json, &(&view, &workspace), |(view, workspace)| {
                print::application(view);
                print::workspace(workspace);
            })?;
        }
        Command::Parts { which } => {
            let parts: Vec<PartView> = client.get(&path(&client, &which, "/parts").await?).await?;
            print::show(json, &parts, |parts| print::parts(parts))?;
        }
        Command::Events { which } => {
            let path = path(&client, &which, "/events").await?;
            let mut all: EventList = client.get(&format!("{path}?limit=200")).await?;
            while let Some(next) = all.next.take() {
                let page: EventList = client.get(&format!("{path}?limit=200&after={next}")).await?;
                all.items.extend(page.items);
                all.next = page.next;
            }
            print::show(json, &all, print::events)?;
        }
        Command::Permits { project } => {
            let all: PermitList = client.get(&format!("/v1/projects/{project}/permits?limit=200")).await?;
            print::show(json, &all, print::permits)?;
        }
        Command::Withdraw { which } => moved(&client, json, &which, "/withdraw", &()).await?,
        Command::Complete { which } => moved(&client, json, &which, "/complete", &()).await?,
        Command::Extend { which, reason } => moved(&client, json, &which, "/extend", &Extend { reason }).await?,
        Command::Questions { which } => {
            let all: Vec<crate::apply::Question> = client.get(&path(&client, &which, "/questions").await?).await?;
            print::show(json, &all, |all| print::questions(all))?;
        }
        Command::Ask { which, field, text } => {
            let path = path(&client, &which, "/questions").await?;
            let question: crate::apply::Question = client.post(&path, &Ask { field, text }).await?;
            print::show(json, &question, |question| print::questions(std::slice::from_ref(question)))?;
        }
        Command::Answer { which, question, text } => {
            moved(&client, json, &which, &format!("/questions/{question}/answer"), &Answer { text }).await?;
        }
    }
    Ok(())
}

async fn moved<B: serde::Serialize>(
    client: &Client,
    json: bool,
    which: &str,
    below: &str,
    body: &B,
) -> Result<(), Failure> {
    let view: ApplicationView = client.post(&path(client, which, below).await?, body).await?;
    print::show(json, &view, print::application)
}

/// The path of an application that is named by its id or by its project.
async fn path(client: &Client, which: &str, below: &str) -> Result<String, Failure> {
    if which.parse::<ApplicationId>().is_ok() {
        return Ok(format!("/v1/applications/{which}{below}"));
    }
    let project: ProjectId =
        which.parse().map_err(|_| Failure::usage(format!("'{which}' is neither a project nor an application's id")))?;
    let workspace: WorkspaceView = client.get(&format!("/v1/workspaces/{project}")).await?;
    Ok(format!("/v1/applications/{}{below}", workspace.application))
}

fn read(file: &std::path::Path) -> Result<Form, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
    Form::from_toml(&text, &file.display().to_string()).map_err(Failure::usage)
}
