//! What several checkers' reviews come to. Each decides on every file; they know nothing of each other.
//!
//! INVARIANT: a file is approved when two organisations approved it, and never by one.

use super::state::named;
use std::collections::{BTreeMap, BTreeSet};

/// The reviews that are wanted before anything is settled.
const FIRST: usize = 2;
/// The longest comment, characters.
const LONGEST: usize = 8000;

named! {
    /// What a checker says of one file.
    Verdict {
        /// it may leave
        Approved = "APPROVED",
        /// it may not leave as it is
        ChangesRequested = "CHANGES_REQUESTED",
    }
}

/// A checker's word on one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileReview {
    /// the file's name
    pub file: String,
    /// may it leave?
    pub verdict: Verdict,
    /// why; for the submitter. Needed when changes are requested
    #[serde(default)]
    pub comment: String,
}

/// A checker's word on a submission: on each of its files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// on each file
    pub files: Vec<FileReview>,
}

/// A review that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// Not every file, or others.
    #[error("a review decides on each file of the submission, once: '{0}' is missing, unknown or there twice")]
    Files(String),
    /// Changes are requested and nobody can know which.
    #[error("'{0}': say in the comment what has to change")]
    Unexplained(String),
    /// Too long, or no plain text.
    #[error("'{0}': a comment is plain text of 8,000 characters at most")]
    Text(String),
    /// It would tell the submitter a person's number.
    #[error("'{0}': the comment holds what looks like a person number; say where it stands instead")]
    PersonNumber(String),
}

impl Review {
    /// Whether this is a whole review of these files.
    ///
    /// # Errors
    /// When a file is missing, unknown or there twice, or a comment is missing or can't be taken.
    pub fn check<'a>(&self, files: impl IntoIterator<Item = &'a str>) -> Result<(), ReviewError> {
        let mut left: BTreeSet<&str> = files.into_iter().collect();
        for one in &self.files {
            let shown = || one.file.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
            if !left.remove(one.file.as_str()) {
                return Err(ReviewError::Files(shown()));
            }
            let comment = one.comment.trim();
            if one.verdict == Verdict::ChangesRequested && comment.is_empty() {
                return Err(ReviewError::Unexplained(shown()));
            }
            if comment.chars().count() > LONGEST || comment.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                return Err(ReviewError::Text(shown()));
            }
            if crate::application::looks_like_person_number(comment) {
                return Err(ReviewError::PersonNumber(shown()));
            }
        }
        match left.first() {
            Some(file) => Err(ReviewError::Files((*file).to_owned())),
            None => Ok(()),
        }
    }

    fn of(&self, file: &str) -> Option<Verdict> {
        self.files.iter().find(|one| one.file == file).map(|one| one.verdict)
    }
}

/// What the reviews come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// one more organisation has to look
    Waiting,
    /// the first two disagree on a file
    Conflict,
    /// every file may leave
    Approved,
    /// some file may not
    ChangesRequested,
}

/// What the reviews of these files come to, by organisation. More than three reviews, or what is no whole review, settle nothing.
#[must_use]
pub fn settle<'a>(files: impl IntoIterator<Item = &'a str>, reviews: &BTreeMap<String, Review>) -> Outcome {
    if reviews.len() < FIRST {
        return Outcome::Waiting;
    }
    let mut refused = false;
    for file in files {
        let of = |verdict| reviews.values().filter(|review| review.of(file) == Some(verdict)).count();
        let (yes, no) = (of(Verdict::Approved), of(Verdict::ChangesRequested));
        if yes + no < reviews.len() {
            return Outcome::Waiting;
        }
        if yes == no {
            return Outcome::Conflict;
        }
        refused |= yes < no;
    }
    if refused { Outcome::ChangesRequested } else { Outcome::Approved }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Verdict::{Approved as Yes, ChangesRequested as No};

    fn review(verdicts: &[Verdict]) -> Review {
        let one = |(at, verdict): (usize, &Verdict)| FileReview {
            file: format!("{at}.csv"),
            verdict: *verdict,
            comment: if *verdict == No { "too small".to_owned() } else { String::new() },
        };
        Review { files: verdicts.iter().enumerate().map(one).collect() }
    }

    fn outcome(all: &[&[Verdict]]) -> Outcome {
        let files: Vec<String> = (0..all[0].len()).map(|at| format!("{at}.csv")).collect();
        let reviews = all.iter().enumerate().map(|(at, of)| (format!("org-{at}"), review(of))).collect();
        settle(files.iter().map(String::as_str), &reviews)
    }

    #[test]
    fn two_agree_or_a_third_decides_file_by_file() {
        assert_eq!(outcome(&[&[Yes]]), Outcome::Waiting);
        assert_eq!(outcome(&[&[Yes], &[Yes]]), Outcome::Approved);
        assert_eq!(outcome(&[&[No], &[No]]), Outcome::ChangesRequested);
        assert_eq!(outcome(&[&[Yes], &[No]]), Outcome::Conflict);
        assert_eq!(outcome(&[&[Yes], &[No], &[Yes]]), Outcome::Approved);
        assert_eq!(outcome(&[&[Yes], &[No], &[No]]), Outcome::ChangesRequested);
        // A refused file doesn't hide that another one is in conflict, nor the other way round.
        assert_eq!(outcome(&[&[No, Yes], &[No, No]]), Outcome::Conflict);
        assert_eq!(outcome(&[&[Yes, No], &[No, No]]), Outcome::Conflict);
        assert_eq!(outcome(&[&[Yes, Yes], &[Yes, No], &[No, Yes]]), Outcome::Approved);
        assert_eq!(outcome(&[&[Yes, Yes], &[Yes, No], &[Yes, No]]), Outcome::ChangesRequested);
    }

    /// Whatever three organisations say: what one alone approves doesn't leave.
    #[test]
    fn nothing_leaves_on_one_organisations_word() {
        for (a, b) in [(Yes, Yes), (Yes, No), (No, Yes), (No, No)] {
            for third in [None, Some(Yes), Some(No)] {
                let all: Vec<Vec<Verdict>> = [Some(a), Some(b), third].into_iter().flatten().map(|v| vec![v]).collect();
                let all: Vec<&[Verdict]> = all.iter().map(Vec::as_slice).collect();
                let yes = all.iter().filter(|of| of[0] == Yes).count();
                assert!(outcome(&all) != Outcome::Approved || yes >= 2);
            }
        }
    }

    #[test]
    fn a_review_is_whole_and_explains_itself() {
        let files = ["0.csv", "1.csv"];
        assert_eq!(review(&[Yes, No]).check(files), Ok(()));
        assert_eq!(review(&[Yes]).check(files), Err(ReviewError::Files("1.csv".to_owned())));
        assert_eq!(review(&[Yes, Yes, Yes]).check(files), Err(ReviewError::Files("2.csv".to_owned())));
        let mut twice = review(&[Yes, Yes]);
        twice.files[1].file = "0.csv".to_owned();
        assert_eq!(twice.check(files), Err(ReviewError::Files("0.csv".to_owned())));
        let mut silent = review(&[Yes, No]);
        silent.files[1].comment = " ".to_owned();
        assert_eq!(silent.check(files), Err(ReviewError::Unexplained("1.csv".to_owned())));
        silent.files[1].comment = "row of 010101-1234".to_owned();
        let error = silent.check(files).unwrap_err();
        assert!(matches!(error, ReviewError::PersonNumber(_)) && !error.to_string().contains("0101"), "{error}");
    }
}
