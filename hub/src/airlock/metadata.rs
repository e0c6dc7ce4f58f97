//! What a crate says about itself: RO-Crate 1.2, by the Five Safes profile 0.4 (<https://w3id.org/5s-crate/0.4>).
//!
//! INVARIANT: no checker's name and no comment stands in a crate, and nothing of what the checks found in a cell.

use super::{Applied, FileRecord, ReviewRecord, Rule, SubmissionRecord, out::ProjectFacts};
use chrono::{DateTime, SecondsFormat, Utc};
use policies::airlock::Verdict;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write};

const CRATE: &str = "https://w3id.org/ro/crate/1.2";
const PROFILE: &str = "https://w3id.org/5s-crate/0.4";
const WORKFLOW_CRATE: &str = "https://w3id.org/workflowhub/workflow-ro-crate/1.0";
/// The hash of a bag's manifests.
const SHA512: &str = "https://www.iana.org/assignments/named-information#sha-512";
const SHP: &str = "https://w3id.org/shp#";
const DONE: &str = "http://schema.org/CompletedActionStatus";
const FAILED: &str = "http://schema.org/FailedActionStatus";

/// What a crate is about.
pub(super) struct About<'a> {
    pub(super) hub: &'a str,
    pub(super) of: &'a SubmissionRecord,
    pub(super) project: &'a ProjectFacts,
    pub(super) files: &'a [FileRecord],
    pub(super) reviews: &'a [ReviewRecord],
    pub(super) applied: &'a Applied,
    pub(super) now: DateTime<Utc>,
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn id(id: impl AsRef<str>) -> Value {
    json!({ "@id": id.as_ref() })
}

fn ids(all: impl IntoIterator<Item = String>) -> Value {
    all.into_iter().map(id).collect()
}

impl About<'_> {
    /// `bag-info.txt`.
    pub(super) fn bag_info(&self, files: &BTreeMap<String, Vec<u8>>) -> String {
        let bytes: usize = files.values().map(Vec::len).sum();
        format!(
            "External-Identifier: urn:uuid:{}\nBagging-Date: {}\nPayload-Oxum: {bytes}.{}\nBag-Software-Agent: eger {}\n",
            self.of.id,
            self.now.format("%Y-%m-%d"),
            files.len(),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The files that describe the others, by path in the bag.
    pub(super) fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, serde_json::Error> {
        let release = serde_json::to_vec_pretty(&self.release())?;
        let queries = self.queries().into_bytes();
        let mut all = BTreeMap::new();
        all.insert("data/ro-crate-metadata.json".to_owned(), serde_json::to_vec_pretty(&self.root(release.len()))?);
        all.insert("data/release.json".to_owned(), release);
        all.insert(
            "data/workflow/ro-crate-metadata.json".to_owned(),
            serde_json::to_vec_pretty(&self.workflow(queries.len()))?,
        );
        all.insert("data/workflow/queries.sql".to_owned(), queries);
        Ok(all)
    }

    /// The stated queries, one after the other.
    fn queries(&self) -> String {
        let mut text = String::new();
        for file in self.files {
            let Some(output) = self.of.submission.file(&file.name) else { continue };
            let _ = writeln!(text, "-- outputs/{}", file.name);
            match &output.query {
                Some(query) => {
                    let _ = writeln!(text, "{};\n", query.trim().trim_end_matches(';'));
                }
                None => text.push_str("-- no statement gives it alone: made in the secure processing environment\n\n"),
            }
        }
        text
    }

    /// All that is known of the release, for programs.
    fn release(&self) -> Value {
        let of = &self.of.submission;
        let files: Vec<Value> = self
            .files
            .iter()
            .filter_map(|file| {
                let output = of.file(&file.name)?;
                Some(json!({
                    "path": format!("outputs/{}", file.name),
                    "kind": file.kind,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "description": output.description,
                    "population": output.population,
                    "counts": output.counts,
                    "count_columns": output.count_columns,
                    "sum_columns": output.sum_columns,
                    "query": output.query,
                }))
            })
            .collect();
        let decisions: Vec<Value> = self
            .reviews
            .iter()
            .map(|one| {
                let verdicts: Map<String, Value> =
                    one.review.files.iter().map(|file| (file.file.clone(), file.verdict.name().into())).collect();
                json!({ "organisation": one.organisation, "at": stamp(one.at), "verdicts": verdicts })
            })
            .collect();
        let mut release = json!({
            "submission": self.of.id,
            "earlier": of.earlier,
            "project": of.project,
            "title": of.title,
            "hub": self.hub,
            "software": format!("eger {}", env!("CARGO_PKG_VERSION")),
            "sent_at": self.of.sent_at.map(stamp),
            "decided_at": self.of.decided_at.map(stamp),
            "released_at": stamp(self.now),
            "computed": self.of.computed,
            "snapshots": self.of.snapshots,
            "permits": self.project.permits,
            "files": files,
            "decisions": decisions,
        });
        if let Some(map) = release.as_object_mut() {
            map.extend(self.rules());
        }
        release
    }

    /// By which rules the numbers were let out: the checks of files, or what the open zone did with each answer.
    fn rules(&self) -> Map<String, Value> {
        let mut map = Map::new();
        if self.of.computed {
            map.insert("release_rules".to_owned(), json!(self.applied.answers));
            map.insert("noise".to_owned(), json!(self.applied.noise));
        } else {
            let least = self.applied.threshold;
            let rules: Map<String, Value> =
                Rule::ALL.iter().map(|rule| (rule.name().to_owned(), rule.what(least).into())).collect();
            map.insert("threshold".to_owned(), json!(least));
            map.insert("rules".to_owned(), rules.into());
        }
        map
    }

    /// How it came out.
    fn way(&self) -> &'static str {
        if self.of.computed {
            "computed by the platform from the stated queries, by the open zone's rules of release"
        } else {
            "let out of the secure processing environment after a check by two organisations"
        }
    }

    fn descriptor() -> Value {
        json!({
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": id("./"),
            "conformsTo": id(CRATE),
        })
    }

    /// The crate of the queries alone, which the profile asks for.
    fn workflow(&self, length: usize) -> Value {
        json!({ "@context": format!("{CRATE}/context"), "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": id("./"),
                "conformsTo": ids([CRATE.to_owned(), WORKFLOW_CRATE.to_owned()]),
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": format!("Queries of '{}'", self.of.submission.title),
                "description": "The statements that gave the outputs",
                "datePublished": stamp(self.now),
                "license": id("#licence"),
                "hasPart": [id("queries.sql")],
                "mainEntity": id("queries.sql"),
            },
            {
                "@id": "queries.sql",
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
                "name": "Queries",
                "description": "The statements that gave the outputs, one after the other",
                "encodingFormat": "application/sql",
                "contentSize": length.to_string(),
                "license": id("#licence"),
                "programmingLanguage": id("#sql"),
            },
            { "@id": "#sql", "@type": ["ComputerLanguage", "SoftwareApplication"], "name": "SQL", "identifier": id("https://www.iso.org/standard/76583.html"), "url": id("https://www.iso.org/standard/76583.html"), "version": "2023" },
            licence(),
            { "@id": "https://www.iso.org/standard/76583.html", "@type": "CreativeWork", "name": "ISO/IEC 9075: SQL" },
        ] })
    }

    fn root(&self, release: usize) -> Value {
        let of = &self.of.submission;
        let (at, uuid) = (stamp(self.now), format!("urn:uuid:{}", self.of.id));
        let output = |name: &str| format!("outputs/{name}");
        let parts = self.files.iter().map(|file| output(&file.name));
        let mut graph = vec![
            Self::descriptor(),
            json!({
                "@id": "./",
                "@type": "Dataset",
                "name": of.title,
                "description": format!("Anonymous results of the project '{}', {}", self.project.title, self.way()),
                "identifier": uuid,
                "datePublished": at,
                "license": id("#licence"),
                "publisher": id("#hub"),
                "conformsTo": id(PROFILE),
                "hasPart": ids(parts.clone().chain(["release.json".to_owned(), "workflow/".to_owned()])),
                "mainEntity": id("workflow/"),
                "mentions": ids(self.actions().iter().filter_map(|action| Some(action.get("@id")?.as_str()?.to_owned()))),
                "sourceOrganization": id("#project"),
            }),
            json!({ "@id": PROFILE, "@type": "Profile", "name": "Five Safes RO-Crate profile" }),
            json!({
                "@id": "workflow/",
                "@type": "Dataset",
                "name": "Queries",
                "description": "The statements that gave the outputs, as a crate of their own",
                "conformsTo": id(WORKFLOW_CRATE),
            }),
            json!({ "@id": WORKFLOW_CRATE, "@type": "Profile", "name": "Workflow RO-Crate profile" }),
            json!({
                "@id": "release.json",
                "@type": "File",
                "name": "The release",
                "description": "Each file with its population, counts, query and hash; the rules applied; the checkers' decisions, by organisation; versions of the tables",
                "encodingFormat": "application/json",
                "contentSize": release.to_string(),
            }),
            licence(),
            // No entity of its own for the software: RO-Crate 1.2 wants an address of one, and release.json names its version.
            json!({ "@id": "#hub", "@type": "Organization", "name": format!("Hub '{}'", self.hub), "description": format!("Runs the secure processing environment's airlock, eger {}", env!("CARGO_PKG_VERSION")) }),
            json!({ "@id": SHA512, "@type": "DefinedTerm", "name": "sha-512", "description": "Hashes of all files of this crate, in manifest-sha512.txt" }),
            json!({ "@id": "#applicant", "@type": "Organization", "name": self.project.organisation }),
            json!({ "@id": "#submitter", "@type": "Person", "name": self.of.submitted_by, "affiliation": id("#applicant"), "memberOf": [id("#project")] }),
            json!({
                "@id": "#project",
                "@type": "Project",
                "name": self.project.title,
                "identifier": [id("#project-id")],
                "member": [id("#applicant")],
            }),
            json!({ "@id": "#project-id", "@type": "PropertyValue", "name": self.hub, "value": of.project }),
        ];
        for file in self.files {
            let said = of.file(&file.name);
            let text = said.map(|said| {
                format!(
                    "{}. Population: {}. Counts: {}",
                    said.description.trim_end_matches('.'),
                    said.population,
                    said.counts
                )
            });
            graph.push(json!({
                "@id": output(&file.name),
                "@type": "File",
                "name": file.name,
                "description": text,
                "encodingFormat": file.kind.media(),
                "contentSize": file.bytes.to_string(),
                "sha256": file.sha256,
            }));
        }
        for (table, version) in &self.of.snapshots {
            graph.push(json!({
                "@id": format!("#snapshot-{table}"),
                "@type": "PropertyValue",
                "name": table,
                "value": version.to_string(),
            }));
        }
        for one in self.reviews {
            let organisation = one.organisation.as_str();
            graph.push(
                json!({ "@id": format!("#checker-{organisation}"), "@type": "Organization", "name": organisation }),
            );
        }
        for (controller, permit) in &self.project.permits {
            graph.push(
                json!({ "@id": format!("#controller-{controller}"), "@type": "Organization", "name": controller }),
            );
            graph.push(json!({ "@id": format!("urn:uuid:{permit}"), "@type": "CreativeWork", "name": format!("Permit of {controller}") }));
        }
        graph.extend(self.actions());
        json!({ "@context": format!("{CRATE}/context"), "@graph": graph })
    }

    /// What was done: the work, the checks by machine, the permits, the checks by people.
    fn actions(&self) -> Vec<Value> {
        let of = &self.of.submission;
        let results = self.files.iter().map(|file| format!("outputs/{}", file.name));
        let unchanged = "Hashes of the frozen files: unchanged";
        let mut hashes = self.assessed("#check-hashes", "CheckValue", unchanged, "#hub", DONE, self.now);
        if let Some(map) = hashes.as_object_mut() {
            map.insert("instrument".to_owned(), id(SHA512));
        }
        let mut all = vec![
            json!({
                "@id": format!("#run-{}", self.of.id),
                "@type": "CreateAction",
                "name": format!("Work of the project '{}', {}", of.project, self.way()),
                "actionStatus": DONE,
                "agent": id("#submitter"),
                "instrument": id("workflow/"),
                "object": ids(self.of.snapshots.keys().map(|table| format!("#snapshot-{table}"))),
                "result": ids(results),
                "endTime": stamp(self.of.begun_at),
            }),
            hashes,
            self.assessed(
                "#check-rules",
                "DisclosureCheck",
                if self.of.computed {
                    "Computed by the platform from the stated queries: released by the open zone's rules"
                } else {
                    "Automatic disclosure checks: nothing that refuses it"
                },
                "#hub",
                DONE,
                self.of.sent_at.unwrap_or(self.now),
            ),
        ];
        for (controller, permit) in &self.project.permits {
            let name = format!("Permit of {controller}: live");
            let agent = format!("#controller-{controller}");
            let mut action = self.assessed(&format!("#signoff-{controller}"), "SignOff", &name, &agent, DONE, self.now);
            if let Some(map) = action.as_object_mut() {
                map.insert("object".to_owned(), ids(["./", "workflow/", "#project"].map(str::to_owned)));
                map.insert("instrument".to_owned(), id(format!("urn:uuid:{permit}")));
            }
            all.push(action);
        }
        for one in self.reviews {
            let organisation = &one.organisation;
            let approved = one.review.files.iter().all(|file| file.verdict == Verdict::Approved);
            let (word, status) = if approved { ("approved", DONE) } else { ("changes requested", FAILED) };
            all.push(self.assessed(
                &format!("#disclosure-{organisation}"),
                "DisclosureCheck",
                &format!("Disclosure check by people of {organisation}: {word}"),
                &format!("#checker-{organisation}"),
                status,
                one.at,
            ));
        }
        all
    }

    fn assessed(&self, at: &str, kind: &str, name: &str, agent: &str, status: &str, end: DateTime<Utc>) -> Value {
        json!({
            "@id": at,
            "@type": "AssessAction",
            "additionalType": id(format!("{SHP}{kind}")),
            "name": name,
            "agent": id(agent),
            "object": id("./"),
            "actionStatus": status,
            "endTime": stamp(end),
        })
    }
}

fn licence() -> Value {
    json!({
        "@id": "#licence",
        "@type": "CreativeWork",
        "name": "As the project publishes it",
        "description": "Anonymous results; the project's publication says how they may be used",
    })
}
