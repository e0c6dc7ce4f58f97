//! The words of `release_status`: what happened to a number, and what to do about it.
//!
//! One [`Status`] a statistic; a row shows them together ([`of_row`]).

use super::dominance::CONTRIBUTORS;
use std::fmt;

/// Name of the last column of every released result.
pub const STATUS_COLUMN: &str = "release_status";

/// Status of a row that is shown whole, as it is.
pub const RELEASED: &str = "released";

/// Status of a row whose counts carry noise.
pub const PERTURBED: &str = "perturbed";

/// Status of the row that stands for all groups under the default threshold.
pub const SUPPRESSED: &str = "suppressed: fewer than 5 people";

/// How the status of a hidden number begins.
const PREFIX: &str = "suppressed: ";

/// Why a number is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// It is about fewer people than this.
    Few(u64),
    /// A sum or mean of fewer than [`CONTRIBUTORS`] people.
    Contributors,
    /// Two people make up 90 % or more of a sum.
    Dominated,
    /// The second largest contributor could estimate the largest contribution within 10 %.
    Near,
    /// It says something about everybody in a group.
    Group,
    /// All of a group but fewer people than this.
    Rest(u64),
    /// A hidden number could be computed from it.
    Complement,
    /// No choice of shown cells keeps the hidden ones hidden.
    Withheld,
    /// A quantile's range without enough people in it, below it and above it.
    Beside,
}

impl Rule {
    /// All rules, under the default threshold.
    pub const ALL: [Self; 9] = [
        Self::Few(5),
        Self::Contributors,
        Self::Dominated,
        Self::Near,
        Self::Group,
        Self::Rest(5),
        Self::Complement,
        Self::Withheld,
        Self::Beside,
    ];

    /// The name of the rule, for logs and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Few(_) => "threshold",
            Self::Contributors => "contributors",
            Self::Dominated => "dominance",
            Self::Near => "p-percent",
            Self::Group => "group",
            Self::Rest(_) => "rest",
            Self::Complement => "complementary",
            Self::Withheld => "withheld",
            Self::Beside => "quantile",
        }
    }

    /// One sentence: why.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Few(_) => "So few people could be recognised, or recognise each other, in the number.",
            Self::Contributors => "A sum or mean of so few people can be taken apart by those who are in it.",
            Self::Dominated => "Two people make up nearly all of the sum, so that it tells what they contributed.",
            Self::Near => "One contribution is so large that the sum tells it to whoever knows the next one.",
            Self::Group => "Everybody of the group, or nobody, is in the cell, which tells of each of them.",
            Self::Rest(_) => "Subtracted from the total of its group, it tells how many the few others are.",
            Self::Complement => "Together with the totals, it would tell a cell that is hidden.",
            Self::Withheld => "However the cells are chosen, those shown would tell a hidden one.",
            Self::Beside => {
                "A quantile is told as a range that has at least 10 shown people in it, below it and above it."
            }
        }
    }

    /// One sentence: what to do.
    #[must_use]
    pub const fn instead(self) -> &'static str {
        match self {
            Self::Few(_) => "Use coarser groups or a longer period.",
            Self::Contributors => "Use coarser groups, or count the people instead.",
            Self::Dominated | Self::Near => "Cap the values (least(x, 1000)), use coarser groups, or count the people.",
            Self::Group => "Use coarser groups, or put this group together with another one.",
            Self::Rest(_) => "Ask for the parts without the total, or use coarser groups.",
            Self::Complement => "Ask without totals, or use coarser groups so that no cell is small.",
            Self::Withheld => "Ask one level at a time, or use coarser groups.",
            Self::Beside => "Use coarser groups or a larger step, or a quantile nearer to the median.",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Few(least) => write!(f, "fewer than {least} people"),
            Self::Contributors => write!(f, "fewer than {CONTRIBUTORS} contributors"),
            Self::Dominated => f.write_str("dominated by two people"),
            Self::Near => f.write_str("one contribution could be estimated"),
            Self::Group => f.write_str("everybody or nobody in the group"),
            Self::Rest(least) => write!(f, "all of the group but fewer than {least}"),
            Self::Complement => f.write_str("would tell a hidden cell"),
            Self::Withheld => f.write_str("the table would tell hidden cells"),
            Self::Beside => f.write_str("too few people around it"),
        }
    }
}

/// What happened to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Shown as it is.
    Released,
    /// Shown with noise.
    Perturbed,
    /// Hidden.
    Suppressed(Rule),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str(RELEASED),
            Self::Perturbed => f.write_str(PERTURBED),
            Self::Suppressed(rule) => write!(f, "{PREFIX}{rule}"),
        }
    }
}

/// A number as it may be seen, and what happened to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome<T> {
    /// The number; `None` when it is hidden, never a zero in its place.
    pub value: Option<T>,
    /// What happened to it.
    pub status: Status,
}

impl<T> Outcome<T> {
    /// Shown as it is.
    pub const fn released(value: T) -> Self {
        Self { value: Some(value), status: Status::Released }
    }

    /// Shown with noise in it.
    pub const fn perturbed(value: T) -> Self {
        Self { value: Some(value), status: Status::Perturbed }
    }

    /// Hidden.
    pub const fn suppressed(rule: Rule) -> Self {
        Self { value: None, status: Status::Suppressed(rule) }
    }
}

/// The status of a row from those of its statistics, by name: `perturbed; suppressed: fewer than 10 contributors in s`.
///
/// The columns are named only where they differ in being hidden or not, or in why.
#[must_use]
pub fn of_row(statistics: &[(&str, Status)]) -> String {
    let shown = statistics.iter().map(|(_, status)| *status).filter(|status| !matches!(status, Status::Suppressed(_)));
    // noise in one number of a row marks the row
    let shown = shown.max();
    let mut hidden: Vec<(Status, Vec<&str>)> = Vec::new();
    for (name, status) in statistics.iter().filter(|(_, status)| matches!(status, Status::Suppressed(_))) {
        match hidden.iter_mut().find(|(known, _)| known == status) {
            Some((_, names)) => names.push(name),
            None => hidden.push((*status, vec![name])),
        }
    }
    if let ([(only, _)], None) = (hidden.as_slice(), shown) {
        return only.to_string();
    }
    let mut words: Vec<String> = Vec::new();
    // "released" beside something hidden says nothing more than the column names do
    words.extend(shown.filter(|shown| hidden.is_empty() || *shown == Status::Perturbed).map(|shown| shown.to_string()));
    words.extend(hidden.iter().map(|(status, names)| format!("{status} in {}", names.join(", "))));
    if words.is_empty() {
        words.push(RELEASED.to_owned());
    }
    words.join("; ")
}

/// Whether [`of_row`] says of a whole row that it is about too few people, under whatever threshold: that row stands for all small groups.
#[must_use]
pub fn is_small_groups(words: &str) -> bool {
    let least = words.strip_prefix(PREFIX).and_then(|rule| rule.strip_prefix("fewer than "));
    let least = least.and_then(|rest| rest.strip_suffix(" people")).and_then(|least| least.parse().ok());
    least.is_some_and(|least| Status::Suppressed(Rule::Few(least)).to_string() == words)
}

/// What [`of_row`] says of a row, taken apart: whether some number in it has noise, and what it says of those that are hidden, if any are.
#[must_use]
pub fn noise_and_hidden(words: &str) -> (bool, Option<&str>) {
    let (noisy, rest) = match words.strip_prefix(PERTURBED) {
        Some(rest) => (true, rest.strip_prefix("; ").unwrap_or(rest)),
        None => (false, words),
    };
    (noisy, Some(rest).filter(|rest| rest.starts_with(PREFIX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_words_of_the_default_threshold_are_those_of_the_open_zone() {
        assert_eq!(Status::Suppressed(Rule::Few(5)).to_string(), SUPPRESSED);
        assert_eq!(Status::Released.to_string(), RELEASED);
    }

    #[test]
    fn each_rule_has_its_own_name_words_and_reason() {
        let all = Rule::ALL;
        assert_eq!(all.iter().map(|rule| rule.name()).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|rule| rule.why()).collect::<BTreeSet<_>>().len(), all.len());
        for rule in all {
            for sentence in [rule.why(), rule.instead()] {
                assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0, "{sentence}");
            }
            assert!(!rule.to_string().contains([';', ',']), "they part the words of a row");
        }
    }

    #[test]
    fn the_document_lists_each_rule_in_these_words() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disclosure.md")).unwrap();
        for rule in Rule::ALL {
            let line = format!("| {rule} | {} | {} |", rule.why(), rule.instead());
            assert!(text.contains(&line), "docs/disclosure.md lacks: {line}");
        }
    }

    #[test]
    fn a_row_names_its_columns_where_they_differ() {
        let few = Status::Suppressed(Rule::Few(5));
        let near = Status::Suppressed(Rule::Near);
        let row = |statistics: &[Status]| {
            let names = ["n", "s", "m"];
            of_row(&names.into_iter().zip(statistics.iter().copied()).collect::<Vec<_>>())
        };
        assert_eq!(row(&[]), "released");
        assert_eq!(row(&[Status::Released, Status::Released]), "released");
        assert_eq!(row(&[Status::Perturbed, Status::Released]), "perturbed");
        assert_eq!(row(&[few, few, few]), SUPPRESSED);
        assert_eq!(row(&[Status::Released, few, few]), "suppressed: fewer than 5 people in s, m");
        assert_eq!(
            row(&[Status::Perturbed, few, near]),
            "perturbed; suppressed: fewer than 5 people in s; suppressed: one contribution could be estimated in m"
        );
        assert_eq!(
            noise_and_hidden(&row(&[Status::Released, few, few])),
            (false, Some("suppressed: fewer than 5 people in s, m"))
        );
        assert_eq!(
            noise_and_hidden(&row(&[Status::Perturbed, few, few])),
            (true, Some("suppressed: fewer than 5 people in s, m"))
        );
        assert_eq!(noise_and_hidden(&row(&[few, few, few])), (false, Some(SUPPRESSED)));
        assert_eq!(noise_and_hidden(PERTURBED), (true, None));
        assert_eq!(noise_and_hidden(RELEASED), (false, None));
    }

    #[test]
    fn the_row_of_small_groups_is_known_under_every_threshold() {
        for least in [5, 10, 25] {
            let few = Status::Suppressed(Rule::Few(least));
            assert!(is_small_groups(&of_row(&[("n", few), ("s", few)])));
            assert!(!is_small_groups(&of_row(&[("5 people", few), ("s", Status::Released)])));
        }
        for other in [RELEASED, PERTURBED, "", "suppressed: fewer than 10 contributors", "fewer than 5 people"] {
            assert!(!is_small_groups(other), "{other}");
        }
    }
}
