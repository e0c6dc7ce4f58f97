//! Which tables are asked for: one to three variables, of everybody or of those with something, from coarse to fine.

/// A table, as a researcher thinks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from: &'static str,
    pub(super) condition: Option<&'static str>,
    pub(super) variables: Vec<&'static str>,
}

impl Asked {
    /// Whether nobody is in two cells, so that cells add up to their totals.
    pub(super) fn adds_up(&self) -> bool {
        self.from == "bef"
    }

    /// People by those variables that `by` keeps; by none, all of them.
    pub(super) fn sql(&self, by: &[bool]) -> String {
        let keys: Vec<&str> = self.variables.iter().zip(by).filter(|(_, kept)| **kept).map(|(v, _)| *v).collect();
        let select: String = keys.iter().map(|key| format!("{key}, ")).collect();
        let condition = self.condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
        let group = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        format!("SELECT {select}count(DISTINCT pnr) AS n FROM {}{condition}{group}", self.from)
    }
}

/// Cells that a table may have at the most: a researcher's printout, not a data set.
const CELLS: u32 = 2_000;

const HOME: [(&str, u32); 5] = [("region", 5), ("kom", 98), ("koen", 2), ("alder10", 10), ("alder5", 20)];
const DRUGS: [(&str, u32); 4] = [("atc1", 14), ("atc3", 90), ("atc7", 900), ("aar", 6)];
const DIAGNOSES: [(&str, u32); 3] = [("kapitel", 21), ("icd3", 310), ("aar", 6)];
/// Everybody, a common drug group, one in between, a rare one, one year.
const OF_DRUGS: [Option<&str>; 5] = [None, Some("atc3 = 0"), Some("atc3 = 42"), Some("atc3 = 73"), Some("aar = 2022")];
const OF_DIAGNOSES: [Option<&str>; 4] = [None, Some("kapitel = 8"), Some("icd3 = 304"), Some("aar = 2023")];
const OF_HOMES: [Option<&str>; 3] = [None, Some("kom = 751"), Some("alder10 > 6")];

/// So many tables, taken evenly from all that there are.
pub(super) fn tables(count: usize) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut of = |from, conditions: &[Option<&'static str>], own: &[(&'static str, u32)]| {
        let variables: Vec<(&str, u32)> = own.iter().chain(&HOME).copied().collect();
        for condition in conditions {
            all.extend(choices(&variables).map(|variables| Asked { from, condition: *condition, variables }));
        }
    };
    of("bef", &OF_HOMES, &[]);
    of("medicin", &OF_DRUGS, &DRUGS);
    of("diagnoser", &OF_DIAGNOSES, &DIAGNOSES);
    // What a condition fixes is no variable.
    all.retain(|asked| {
        !asked.condition.is_some_and(|c| asked.variables.iter().any(|v| c.starts_with(&format!("{v} "))))
    });
    let most = all.len();
    (0..count.min(most)).filter_map(|n| all.get(n * most / count.min(most)).cloned()).collect()
}

/// One to three variables of different kinds that give no more than [`CELLS`].
fn choices<'a>(variables: &'a [(&'static str, u32)]) -> impl Iterator<Item = Vec<&'static str>> + 'a {
    (1_u32..1 << variables.len()).filter(|chosen| chosen.count_ones() <= 3).filter_map(move |chosen| {
        let of =
            variables.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1).map(|(_, variable)| *variable);
        let chosen: Vec<(&str, u32)> = of.collect();
        let kinds: std::collections::BTreeSet<&str> = chosen.iter().map(|(name, _)| kind(name)).collect();
        let cells = chosen.iter().map(|(_, levels)| levels).product::<u32>();
        (kinds.len() == chosen.len() && cells <= CELLS).then(|| chosen.into_iter().map(|(name, _)| name).collect())
    })
}

/// One of a kind is enough: a municipality has its region.
fn kind(variable: &str) -> &'static str {
    match variable {
        "region" | "kom" => "home",
        "alder10" | "alder5" => "age",
        "atc1" | "atc3" | "atc7" => "drug",
        "kapitel" | "icd3" => "diagnosis",
        "koen" => "sex",
        _ => "year",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_hundred_different_tables_of_one_to_three_variables() {
        let tables = tables(200);
        assert_eq!(tables.len(), 200);
        for (n, asked) in tables.iter().enumerate() {
            assert!((1..=3).contains(&asked.variables.len()));
            assert!(!tables[..n].contains(asked), "{asked:?}");
        }
        for count in 1..=3 {
            assert!(tables.iter().any(|asked| asked.variables.len() == count));
        }
        assert!(tables.iter().any(Asked::adds_up) && tables.iter().any(|asked| !asked.adds_up()));
    }

    #[test]
    fn totals_leave_out_what_they_total() {
        let asked = Asked { from: "medicin", condition: Some("aar = 2022"), variables: vec!["atc1", "koen"] };
        assert_eq!(
            asked.sql(&[true, false]),
            "SELECT atc1, count(DISTINCT pnr) AS n FROM medicin WHERE aar = 2022 GROUP BY atc1"
        );
        assert_eq!(asked.sql(&[false, false]), "SELECT count(DISTINCT pnr) AS n FROM medicin WHERE aar = 2022");
    }
}
