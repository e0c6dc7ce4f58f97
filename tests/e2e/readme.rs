//! README's way from nothing to an answer, typed line by line on an empty machine: a custodian, a hub, three spokes of three
//! controllers; an application, two approvals and a refusal, an amendment and three approvals, an answer, a revocation,
//! and a permit that ends by itself at midnight.

mod machine;
pub(crate) mod walk;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use machine::Machine;
use std::{collections::BTreeMap, path::Path};
use walk::Walk;

const ANNA: &str = "anna@example.org";
/// An evening within the example application's period: midnight comes before the login is over.
const EVENING: &str = "2027-03-01T20:00:00Z";
const PAST_MIDNIGHT: TimeDelta = TimeDelta::minutes(4 * 60 + 5);
const LAST_DAY: &str = "2027-03-01";

const RESEARCHER_ASKS: &str = "a researcher asks";
const DECIDES: &str = "each controller decides";
const AMENDS: &str = "the researcher reads who refused and why";
const NARROWER: &str = "analysiscode = 'NPU27300' AND samplingdate >= DATE '2015-01-01'";

struct Person {
    number: String,
    sex: u8,
    municipality: u16,
    atc: &'static str,
    sampled: u16,
}

/// Some dozen people of whom some live elsewhere and some were last seen before 2015.
fn people() -> Vec<Person> {
    let person = |i: u16| {
        let sex = if i.is_multiple_of(3) { 1 } else { 2 };
        Person {
            number: format!("{:02}{:02}{:02}{:04}", 1 + i % 28, 1 + i % 12, 50 + i % 30, 1000 + i * 10 + sex),
            sex: if sex == 1 { 1 } else { 2 },
            municipality: if i % 6 == 5 { 147 } else { 101 },
            atc: if i.is_multiple_of(2) { "C09AA05" } else { "A10BA02" },
            sampled: if i % 9 == 8 { 2014 } else { 2016 },
        }
    };
    (0..48).map(person).collect()
}

struct Controller {
    id: &'static str,
    table: &'static str,
    /// columns after the person, with their types
    columns: &'static [(&'static str, &'static str)],
    line: fn(&Person) -> String,
}

const CONTROLLERS: [Controller; 3] = [
    Controller {
        id: "dst",
        table: "bef",
        columns: &[("koen", "int32"), ("foed_dag", "date"), ("kom", "int32")],
        line: |p| format!("{};{};01-01-1960;{}", p.number, p.sex, p.municipality),
    },
    Controller {
        id: "sds",
        table: "lmdb",
        columns: &[("eksd", "date"), ("atc", "text")],
        line: |p| format!("{};01-05-2020;{}", p.number, p.atc),
    },
    Controller {
        id: "region-h",
        table: "lab_forsker",
        columns: &[("samplingdate", "date"), ("analysiscode", "text"), ("value", "float64"), ("unit", "text")],
        line: |p| format!("{};01-06-{};NPU27300;48,5;mmol/mol", p.number, p.sampled),
    },
];

impl Controller {
    /// The sample of a declaration, as this controller would change it.
    fn declaration(&self, sample: &str, source: &Path) -> Result<String> {
        let text = replaced(sample, "/srv/extracts/lab/*.csv", &source.to_string_lossy())?;
        if self.table == "lab_forsker" {
            return Ok(text);
        }
        let text = replaced(&text, "lab_forsker", self.table)?;
        let text = replaced(&text, "event_date", "# event_date")?;
        let (head, _) = text.split_once("[[column]]").context("the sample has columns")?;
        let described = "description = { da = \"syntetisk\", en = \"synthetic\" }\n";
        let column = |name: &str, what: &str| format!("[[column]]\nname = \"{name}\"\n{what}\n{described}");
        let values = self.columns.iter().map(|(name, kind)| column(name, &format!("type = \"{kind}\"")));
        let person = column("pnr", "source = \"PNR\"\nrole = \"person\"");
        Ok([head.to_owned(), person].into_iter().chain(values).collect())
    }

    fn write_source(&self, path: &Path) -> Result<()> {
        let header: Vec<&str> = std::iter::once("PNR").chain(self.columns.iter().map(|(name, _)| *name)).collect();
        let people = people();
        let lines = std::iter::once(header.join(";")).chain(people.iter().map(self.line));
        Ok(std::fs::write(path, lines.collect::<Vec<_>>().join("\n") + "\n")?)
    }
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "there is no '{from}' to be changed");
    Ok(text.replace(from, to))
}

/// What a line begins with.
fn labelled<'a>(text: &'a str, label: &str) -> Result<&'a str> {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(label));
    found.next().map(str::trim).with_context(|| format!("no line '{label}' in: {text}"))
}

/// Everybody who types, on one machine.
struct Story {
    walk: Walk,
    machine: Machine,
    issuer: String,
    /// Fingerprints of each spoke's keys, sealing and signing.
    identities: BTreeMap<&'static str, (String, String)>,
}

impl Story {
    async fn begin() -> Result<Self> {
        let now: DateTime<Utc> = EVENING.parse()?;
        let mut machine = Machine::new(now)?;
        let issuer = machine.issuer(ANNA).await?;
        Ok(Self {
            walk: Walk::read("README.md", "## From nothing to an answer")?,
            machine,
            issuer,
            identities: BTreeMap::new(),
        })
    }

    /// Types a paragraph of README for `who`; `edit` is what happens in the editor. Gives what all of it wrote.
    async fn types(
        &mut self,
        about: &str,
        without: &str,
        who: Option<&Controller>,
        edit: impl Fn(&str) -> Result<String>,
    ) -> Result<String> {
        let mut written = String::new();
        let (mut key, mut code) = (String::new(), String::new());
        for statement in self.walk.paragraph(about, without)? {
            let mut statement = statement
                .replace("/srv/eger", &self.machine.path("srv").to_string_lossy())
                .replace("https://login.example.org", &self.issuer)
                .replace("--key bente.key", "--key bente.key --passphrase-file bente.pass");
            if let Some(who) = who {
                statement = statement.replace("region-h", who.id).replace("lab_forsker", who.table);
                if statement.contains("7f..e1") {
                    key = std::fs::read_to_string(self.machine.path(&format!("{}.pub", who.id)))?;
                    statement = statement.replace("7f..e1", &key);
                }
            }
            if statement.contains("PART") {
                statement = statement.replace("PART", &self.waiting().await?);
            }
            if let Some(file) = statement.strip_prefix("$EDITOR ") {
                self.machine.edits(file, &edit)?;
            }
            if statement.contains("approver create") {
                self.machine.secret("bente.pass", "four words of nobody's")?;
            }
            let input = match statement.split_whitespace().nth(1) {
                Some("join") => std::fs::read_to_string(self.machine.path("code"))?,
                Some("approve") => "grant\nwithin the law, least data\n".to_owned(),
                _ => String::new(),
            };
            let said = self.machine.type_in(&statement, &input).await?;
            if statement.contains("approver create") {
                key = labelled(&said.out, "public key")?.to_owned();
                let who = who.context("whose key")?;
                std::fs::write(self.machine.path(&format!("{}.pub", who.id)), &key)?;
            }
            if statement.contains("admin invite") {
                code = said.out.trim().to_owned();
                std::fs::write(self.machine.path("code"), &code)?;
            }
            written += &said.text;
        }
        ensure!(key.is_empty() || key.len() == 64, "a public key");
        ensure!(code.is_empty() || code.starts_with("eger1."), "a code");
        Ok(written)
    }

    /// The same where no editor is opened.
    async fn just_types(&mut self, about: &str, who: Option<&Controller>) -> Result<String> {
        self.types(about, "", who, |text| Ok(text.to_owned())).await
    }

    /// The part that waits in this spoke's inbox, once it has come.
    async fn waiting(&mut self) -> Result<String> {
        let said = self.machine.until("spoke inbox --json", |out| !out.trim().is_empty()).await?;
        let part: serde_json::Value = serde_json::from_str(said.lines().next().unwrap_or_default())?;
        Ok(part["id"].as_str().context("a part has an id")?.to_owned())
    }

    async fn set_up(&mut self) -> Result<()> {
        self.just_types("the custodian, a third party", None).await?;
        self.just_types("the hub's operator", None).await?;
        for who in &CONTROLLERS {
            let source = self.machine.path(&format!("{}.csv", who.id));
            who.write_source(&source)?;
            self.types("the controller  ", "", Some(who), |sample| who.declaration(sample, &source)).await?;
            self.just_types("the custodian lets it link people", Some(who)).await?;
            self.just_types("the operator lets it join", Some(who)).await?;
            let said = self.just_types("the controller publishes and serves", Some(who)).await?;
            ensure!(said.contains(&format!("{} published", people().len())), "{said}");
            let print = |label| Ok::<_, anyhow::Error>(labelled(&said, label)?.to_owned());
            self.identities.insert(who.id, (print("sealing")?, print("signing")?));
        }
        Ok(())
    }

    /// The example form, filled in: it asks two controllers, here it asks three.
    fn application(&self, example: &str) -> Result<String> {
        let identity = |id: &str| self.identities.get(id).with_context(|| format!("{id} has published"));
        let mut text = replaced(example, "https://login.example.org", &self.issuer)?;
        for (id, sealing, signing) in [("dst", "0a1b", "1a1b"), ("region-h", "2a1b", "3a1b")] {
            let known = identity(id)?;
            for (sample, real) in [(sealing, &known.0), (signing, &known.1)] {
                text = replaced(&text, &format!("{sample}-2c3d-4e5f-6071-8293-a4b5-c6d7-e8f9"), real)?;
            }
        }
        let (sealing, signing) = identity("sds")?;
        Ok(format!(
            "{text}\n[[controllers]]\ncontroller = \"sds\"\nsealing = \"{sealing}\"\nsigning = \"{signing}\"\n\
             [[controllers.tables]]\nname = \"lmdb\"\ncolumns = [\"pnr\", \"eksd\", \"atc\"]\n\
             reason = \"Who was treated with what.\"\n"
        ))
    }

    /// Each controller decides; those in `refusing` say no.
    async fn decide(&mut self, refusing: &[&str]) -> Result<()> {
        for who in &CONTROLLERS {
            let other = if refusing.contains(&who.id) { "spoke approve" } else { "spoke refuse" };
            let said = self.types(DECIDES, other, Some(who), |text| Ok(text.to_owned())).await?;
            ensure!(
                said.contains("diabetes") && said.contains("signed: permit") != refusing.contains(&who.id),
                "{said}"
            );
        }
        Ok(())
    }

    async fn workspace(&mut self, how: &str) -> Result<()> {
        let line = format!("workspace    {how}");
        self.machine.until("hub project show diabetes", |out| out.contains(&line)).await.map(drop)
    }

    /// A question that is refused because the project is not open.
    async fn not_answered(&mut self) -> Result<()> {
        let said = self.ask("SELECT COUNT(DISTINCT pnr) AS people FROM dst.bef").await?;
        ensure!(said.code == Some(4) && said.text.contains("no project 'diabetes'"), "{said:?}");
        Ok(())
    }

    async fn ask(&mut self, sql: &str) -> Result<machine::Said> {
        self.machine.try_to(&question(sql), "").await
    }

    /// A question over all three controllers, whose answer is counted here too.
    async fn answered(&mut self) -> Result<()> {
        let sql = "SELECT atc, COUNT(DISTINCT b.pnr) AS people FROM dst.bef b JOIN sds.lmdb m ON m.pnr = b.pnr \
                   JOIN \"region-h\".lab_forsker l ON l.pnr = b.pnr GROUP BY atc ORDER BY atc";
        // The project's key is made when the workspace has opened.
        let said = self.machine.until(&question(sql), |_| true).await?;
        let of = |atc: &str| counted(|person| person.atc == atc);
        let (first, second) = (of("A10BA02"), of("C09AA05"));
        let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split(',').collect()).collect();
        let [head, a, b, small] = lines.as_slice() else { anyhow::bail!("{said}") };
        ensure!(*head == ["atc", "people", "release_status"] && first != second, "{said}");
        ensure!(*small == ["", "", "suppressed: fewer than 5 people"], "it is there if there are none: {said}");
        for (row, atc, people) in [(a, "A10BA02", first), (b, "C09AA05", second)] {
            let [shown_atc, shown, "perturbed"] = row.as_slice() else { anyhow::bail!("{said}") };
            let near = shown.parse::<usize>().is_ok_and(|shown| shown.abs_diff(people) <= 5);
            ensure!(*shown_atc == atc && near, "{people} people: {said}");
        }
        Ok(())
    }
}

fn question(sql: &str) -> String {
    format!("hub sql --project diabetes --format csv -c '{sql}'")
}

/// People within both controllers' row filters of whom this is true.
fn counted(is: impl Fn(&Person) -> bool) -> usize {
    people().iter().filter(|person| person.municipality == 101 && person.sampled >= 2015 && is(person)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_machine_to_the_end_of_the_last_permit() -> Result<()> {
    let mut story = Story::begin().await?;
    story.set_up().await?;

    // An application: two approvals, and a refusal whose reason the researcher reads.
    let application = story.application(policies::application::EXAMPLE)?;
    let filled = application.clone();
    let said = story
        .types(RESEARCHER_ASKS, "", None, move |form| {
            ensure!(form == policies::application::EXAMPLE, "`hub project example` prints another form");
            Ok(filled.clone())
        })
        .await?;
    ensure!(said.contains("PROCESSING"), "{said}");
    story.decide(&["region-h"]).await?;
    let three = |out: &str| out.matches("GRANTED").count() == 2 && out.matches("REFUSED").count() == 1;
    story.machine.until("hub project parts diabetes", three).await?;
    story.workspace("preparing: waiting for region-h").await?;
    story.not_answered().await?;

    // An amendment asks for less, and everybody again: three approvals open the workspace.
    let less = replaced(&replaced(&application, "2029-12-31", "2028-12-31")?, "analysiscode = 'NPU27300'", NARROWER)?;
    let narrowed = less.clone();
    let said = story.types(AMENDS, "", None, move |_| Ok(narrowed.clone())).await?;
    ensure!(said.contains("two years are enough") && said.contains("ends on 2028-12-31"), "{said}");
    story.decide(&[]).await?;
    story.workspace("open").await?;
    story.answered().await?;
    let said = story.just_types("the last permit opens the workspace", None).await?;
    for sex in [1, 2] {
        let people = counted(|person| person.sex == sex);
        // The count has its noise.
        let near = |line: &str| {
            let [first, shown, "perturbed"] = line.split_whitespace().collect::<Vec<_>>()[..] else { return false };
            first == sex.to_string() && shown.parse::<usize>().is_ok_and(|shown| shown.abs_diff(people) <= 5)
        };
        ensure!(said.lines().any(near), "about {people} of {sex} are not in {said}");
    }

    // A revocation ends it: at the spoke at once, at the hub as soon as it hears of it.
    let region = CONTROLLERS.last().context("region-h")?;
    let said = story.just_types("a controller changes its mind", Some(region)).await?;
    ensure!(said.contains("revoked: permit"), "{said}");
    let said = story.ask("SELECT COUNT(DISTINCT pnr) AS people FROM \"region-h\".lab_forsker").await?;
    ensure!(said.code != Some(0) && said.out.is_empty(), "{said:?}");
    story.workspace("closed: the permit of 'region-h' was revoked").await?;
    story.not_answered().await?;

    // Asked for once more, until today; and nobody does anything, but midnight comes.
    let today = replaced(&less, "2028-12-31", LAST_DAY)?;
    story.types(AMENDS, "", None, move |_| Ok(today.clone())).await?;
    story.decide(&[]).await?;
    story.workspace("open").await?;
    story.answered().await?;
    story.machine.wait(PAST_MIDNIGHT)?;
    story.workspace("closed").await?;
    let said = story.just_types("a permit that nobody revokes ends by itself", Some(region)).await?;
    for seen in ["refused: two years are enough", "revoked", "expired", "has expired"] {
        ensure!(said.contains(seen), "'{seen}' is not in {said}");
    }
    story.not_answered().await?;
    let permits = story.machine.until("hub project permits diabetes", |out| out.contains("EXPIRED")).await?;
    ensure!(permits.matches("EXPIRED").count() >= 3 && !permits.contains("GRANTED"), "{permits}");
    story.walk.all_typed()
}
