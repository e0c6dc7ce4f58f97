//! What the airlock's calls send.

use super::authorize::Sight;
use crate::airlock::{FileRecord, Finding, Kind, ReviewRecord, SubmissionRecord, day};
use chrono::{DateTime, Utc};
use policies::airlock::{State, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A submission. Outside, only its id, project, state and days, each as its first moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubmissionView {
    /// its id
    pub id: String,
    /// the project
    pub project: String,
    /// how far it is
    pub state: State,
    /// when it was begun
    pub begun_at: DateTime<Utc>,
    /// when it went to the checkers
    pub sent_at: Option<DateTime<Utc>>,
    /// when they were done
    pub decided_at: Option<DateTime<Utc>>,
    /// when it left
    pub released_at: Option<DateTime<Utc>>,
    /// a draft: when it is withdrawn by itself, unless it is changed or sent before
    pub expires_at: Option<DateTime<Utc>>,
    /// what it is; inside
    pub content: Option<ContentView>,
}

/// What a submission is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContentView {
    /// for people
    pub title: String,
    /// the one that it follows
    pub earlier: Option<String>,
    /// who handed it in; not for checkers
    pub submitted_by: Option<String>,
    /// versions of the tables when it was sent
    pub snapshots: BTreeMap<String, i64>,
    /// the files
    pub files: Vec<SubmittedFile>,
    /// what the checkers said, when they are done; not for checkers
    pub comments: Vec<CommentView>,
}

/// A file of a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubmittedFile {
    /// its name
    pub name: String,
    /// what it is; none while it wasn't added
    pub kind: Option<Kind>,
    /// its length
    pub bytes: Option<u64>,
    /// its SHA-256, hex
    pub sha256: Option<String>,
    /// what it shows
    pub description: String,
    /// whose data are in it
    pub population: String,
    /// how many people are behind it
    pub counts: String,
    /// columns that count people
    pub count_columns: Vec<String>,
    /// columns of sums
    pub sum_columns: Vec<String>,
    /// the file with the numbers behind a figure
    pub data: Option<String>,
    /// the file with the largest contributions
    pub contributions: Option<String>,
    /// the statement that gives it
    pub query: Option<String>,
    /// never released
    pub inside: bool,
    /// what the automatic checks found
    pub findings: Vec<Finding>,
}

/// What a checker said of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct CommentView {
    /// of which file
    pub file: String,
    /// may it leave?
    pub verdict: Verdict,
    /// why
    pub comment: String,
}

/// A page of submissions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubmissionList {
    /// the submissions
    pub items: Vec<SubmissionView>,
    /// for `after` of the next page
    pub next: Option<String>,
}

/// The key that releases are verified with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// the hub's name
    pub hub: String,
    /// the public key, 64 hex digits
    pub key: String,
    /// its short form, for people to compare
    pub fingerprint: String,
}

impl SubmissionView {
    pub(super) fn of(of: &SubmissionRecord, sight: Sight, files: &[FileRecord], reviews: &[ReviewRecord]) -> Self {
        Self {
            id: of.id.to_string(),
            project: of.project().to_string(),
            state: of.state,
            begun_at: told(sight, of.begun_at),
            sent_at: of.sent_at.map(|at| told(sight, at)),
            decided_at: of.decided_at.map(|at| told(sight, at)),
            released_at: of.released_at.map(|at| told(sight, at)),
            expires_at: None,
            content: (sight != Sight::State).then(|| content(of, sight, files, reviews)),
        }
    }
}

/// A moment as it is told: outside only its day, since whoever is inside chooses moments, and could so say something.
pub(super) fn told(sight: Sight, at: DateTime<Utc>) -> DateTime<Utc> {
    match sight {
        Sight::State => day(at),
        Sight::Whole | Sight::Checker => at,
    }
}

fn content(of: &SubmissionRecord, sight: Sight, files: &[FileRecord], reviews: &[ReviewRecord]) -> ContentView {
    let whole = sight == Sight::Whole;
    let mut comments: Vec<CommentView> = reviews
        .iter()
        .filter(|_| whole)
        .flat_map(|one| &one.review.files)
        .map(|file| CommentView { file: file.file.clone(), verdict: file.verdict, comment: file.comment.clone() })
        .collect();
    // Their order would tell which are of one checker.
    comments.sort();
    let file = |said: &policies::airlock::Output| {
        let known = files.iter().find(|file| file.name == said.name.as_str());
        SubmittedFile {
            name: said.name.to_string(),
            kind: known.map(|file| file.kind),
            bytes: known.map(|file| file.bytes),
            sha256: known.map(|file| file.sha256.clone()),
            description: said.description.clone(),
            population: said.population.clone(),
            counts: said.counts.clone(),
            count_columns: said.count_columns.clone(),
            sum_columns: said.sum_columns.clone(),
            data: said.data.as_ref().map(ToString::to_string),
            contributions: said.contributions.as_ref().map(ToString::to_string),
            query: said.query.clone(),
            inside: said.inside,
            findings: known.map(|file| file.findings.clone()).unwrap_or_default(),
        }
    };
    ContentView {
        title: of.submission.title.clone(),
        earlier: of.submission.earlier.map(|earlier| earlier.to_string()),
        submitted_by: whole.then(|| of.submitted_by.to_string()),
        snapshots: of.snapshots.clone(),
        files: of.submission.files.iter().map(file).collect(),
        comments,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use policies::airlock::{EXAMPLE, Form};
    use proto::ids::SubmissionId;

    #[test]
    fn attack_outside_moments_are_days() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (begun, later) = (at("2026-03-01T13:14:15.161Z"), at("2026-03-02T23:59:59.999Z"));
        let record = SubmissionRecord {
            id: SubmissionId::of_day(begun.date_naive()),
            state: State::Released,
            submission: Form::from_toml(EXAMPLE, "example").unwrap().check().unwrap(),
            submitted_by: "anna@example.org".parse().unwrap(),
            issuer: "https://id".to_owned(),
            snapshots: BTreeMap::new(),
            computed: false,
            begun_at: begun,
            changed_at: later,
            sent_at: Some(begun),
            decided_at: Some(later),
            released_at: Some(later),
        };
        let moments = |sight| {
            let view = SubmissionView::of(&record, sight, &[], &[]);
            [Some(view.begun_at), view.sent_at, view.decided_at, view.released_at].map(Option::unwrap)
        };
        let (first, second) = (at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"));
        assert_eq!(moments(Sight::State), [first, first, second, second]);
        assert_eq!(moments(Sight::Whole), [begun, begun, later, later]);
        assert_eq!(told(Sight::State, later), second);
    }
}
