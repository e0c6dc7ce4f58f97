//! Five questions that no single controller can answer.
//!
//! Each is one SQL statement, the same for the platform and for the oracle. At the top stand only counts, sums and
//! averages over people; minima and maxima are taken per person only. Every answer has a column `people`, so that
//! small cells can be told, and is ordered by its keys, so that two answers compare cell by cell.

use policies::disclosure::{Threshold, dominance::CONTRIBUTORS, lot::WIDTH};

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Short name, for files and messages.
    pub id: &'static str,
    /// What is asked.
    pub title: &'static str,
    /// Why it takes several controllers, and which.
    pub explanation: &'static str,
    /// The statement.
    pub sql: &'static str,
    /// How many columns at the front name the cell; the others are statistics.
    pub keys: usize,
    /// Statistics that not all of the cell's people stand behind: who does, as an expression, and what it is to them.
    pub behind: &'static [(&'static str, &'static str, By)],
}

/// What the open zone asks of a statistic's people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// a count of those who have a value
    People,
    /// a count of some of the cell's people
    Part,
    /// a sum of what they contribute
    Sum,
    /// a mean of what they contribute
    Mean,
    /// a share of the cell's people
    Share,
}

/// So many people may have the same value but for few.
const NEARLY_ALIKE: i64 = 50;

impl By {
    /// The rule that hides a statistic with so many people behind it, in a cell of so many.
    #[must_use]
    pub fn hides(self, behind: i64, people: i64) -> Option<&'static str> {
        const EVERYBODY: &str = "everybody or nobody in the group";
        let nearly_all = people - behind < 5;
        match self {
            Self::Share if behind < 5 || nearly_all => Some(EVERYBODY),
            _ if (0..5).contains(&behind) => Some("fewer than 5 people"),
            Self::Part if behind > 0 && nearly_all => Some(EVERYBODY),
            Self::Sum | Self::Mean if (5..10).contains(&behind) => Some("fewer than 10 contributors"),
            _ => None,
        }
    }

    /// Whether it falls by lot if such a statistic is shown, or which of the rules is said to hide it. A mean of few people may be one of which nearly all
    /// have the same: it is hidden then, which a number of people doesn't tell.
    #[must_use]
    pub fn by_lot(self, behind: i64, people: i64) -> bool {
        let at = |number: i64, least: u64| u64::try_from(number).is_ok_and(|n| (least..least + WIDTH).contains(&n));
        let least = Threshold::DEFAULT.least();
        at(behind, least)
            || match self {
                Self::Part | Self::Share => at(people - behind, least),
                Self::Sum => at(behind, CONTRIBUTORS),
                Self::Mean => at(behind, CONTRIBUTORS) || behind < NEARLY_ALIKE,
                Self::People => false,
            }
    }
}

impl Question {
    /// The statement with the people behind its statistics, in columns at the end.
    #[must_use]
    pub fn counted(&self) -> String {
        let counts: String =
            self.behind.iter().map(|(name, who, _)| format!(", COUNT(DISTINCT {who}) AS by_{name}")).collect();
        self.sql.replacen("\nFROM ", &format!("{counts}\nFROM "), 1)
    }
}

/// Whether it falls by lot if a cell of so many people is shown.
#[must_use]
pub fn cell_by_lot(people: i64) -> bool {
    By::People.by_lot(people, people)
}

/// Name of the statistic that counts the people of a cell.
pub const PEOPLE: &str = "people";

/// The five, simplest first.
pub const QUESTIONS: [Question; 5] = [
    Question {
        id: "diabetes-by-sex-and-age",
        title: "How many people have type 2 diabetes, by sex and age?",
        explanation: "Sex and age stand in the population register (dst), diagnoses in the national patient register (sds). \
                      Refuted diagnoses do not count.",
        sql: "\
SELECT CASE WHEN b.koen = 1 THEN 'men' ELSE 'women' END AS sex,
       (2024 - date_part('year', b.foed_dag)) / 10 * 10 AS age_from,
       COUNT(DISTINCT b.pnr) AS people
FROM dst.bef b
JOIN sds.lpr_a_diagnose d ON d.pnr = b.pnr
WHERE b.year = 2024
  AND d.diag_kode LIKE 'DE11%'
  AND d.senere_afkraeftet = 'Nej'
GROUP BY 1, 2
ORDER BY 1, 2",
        keys: 2,
        behind: &[],
    },
    Question {
        id: "hba1c-around-metformin",
        title: "What does long-term blood sugar do in the months around the first metformin?",
        explanation: "The first prescription stands in the prescription register (sds), HbA1c in each region's laboratory \
                      (region-h, region-m). People already treated in 2019 are left out: their first one is not known.",
        sql: "\
SELECT l.region,
       12 * (date_part('year', l.samplingdate) - date_part('year', m.first_date))
         + date_part('month', l.samplingdate) - date_part('month', m.first_date) AS month,
       COUNT(DISTINCT m.pnr) AS people,
       COUNT(l.value) AS tests,
       ROUND(AVG(l.value), 1) AS mean_hba1c
FROM (SELECT pnr, MIN(eksd) AS first_date
      FROM sds.lmdb
      WHERE atc = 'A10BA02'
      GROUP BY pnr) m
JOIN (SELECT pnr, samplingdate, value, 'Hovedstaden' AS region
      FROM \"region-h\".lab_forsker
      WHERE analysiscode = 'NPU27300'
      UNION ALL
      SELECT pnr, samplingdate, value, 'Midtjylland' AS region
      FROM \"region-m\".lab_forsker
      WHERE analysiscode = 'NPU27300') l ON l.pnr = m.pnr
WHERE m.first_date >= DATE '2020-01-01'
  AND l.samplingdate >= m.first_date - INTERVAL '6 months'
  AND l.samplingdate <= m.first_date + INTERVAL '12 months'
GROUP BY 1, 2
ORDER BY 1, 2",
        keys: 2,
        behind: &[
            ("tests", "CASE WHEN l.value IS NOT NULL THEN m.pnr END", By::People),
            ("mean_hba1c", "CASE WHEN l.value <> 0 THEN m.pnr END", By::Mean),
        ],
    },
    Question {
        id: "metformin-by-municipality",
        title: "How many people took metformin in 2024, by municipality?",
        explanation: "Prescriptions (sds) know no address, the population register (dst) does. Small islands have few \
                      patients: their cells are suppressed when the answer leaves the platform.",
        sql: "\
SELECT b.kom_navn AS municipality,
       COUNT(DISTINCT b.pnr) AS people,
       SUM(l.packs) AS packs
FROM dst.bef b
JOIN (SELECT pnr, SUM(apk) AS packs
      FROM sds.lmdb
      WHERE atc = 'A10BA02' AND eksd >= DATE '2024-01-01'
      GROUP BY pnr) l ON l.pnr = b.pnr
WHERE b.year = 2024
GROUP BY 1
ORDER BY 1",
        keys: 1,
        behind: &[("packs", "CASE WHEN l.packs <> 0 THEN b.pnr END", By::Sum)],
    },
    Question {
        id: "contacts-of-people-with-diabetes",
        title: "How often do people on diabetes drugs go to hospital in a year, by region and age?",
        explanation: "Residence and age from dst, drugs and hospital contacts from sds. People without any contact count \
                      too, with none; `seen` are those with one or more.",
        sql: "\
SELECT b.region,
       CASE WHEN date_part('year', b.foed_dag) > 1963 THEN 'under 60' ELSE '60 and over' END AS age,
       COUNT(DISTINCT b.pnr) AS people,
       COUNT(DISTINCT k.pnr) AS seen,
       SUM(COALESCE(k.contacts, 0)) AS contacts,
       ROUND(AVG(COALESCE(k.contacts, 0)), 2) AS per_person
FROM dst.bef b
JOIN (SELECT pnr
      FROM sds.lmdb
      WHERE atc LIKE 'A10%' AND eksd BETWEEN DATE '2023-01-01' AND DATE '2023-12-31'
      GROUP BY pnr) u ON u.pnr = b.pnr
LEFT JOIN (SELECT pnr, COUNT(*) AS contacts
           FROM sds.lpr_a_kontakt
           WHERE kont_starttidspunkt >= TIMESTAMP '2023-01-01 00:00:00'
             AND kont_starttidspunkt < TIMESTAMP '2024-01-01 00:00:00'
           GROUP BY pnr) k ON k.pnr = b.pnr
WHERE b.year = 2023
GROUP BY 1, 2
ORDER BY 1, 2",
        keys: 2,
        behind: &[
            ("seen", "k.pnr", By::Part),
            ("contacts", "CASE WHEN k.contacts <> 0 THEN b.pnr END", By::Sum),
            ("per_person", "CASE WHEN k.contacts <> 0 THEN b.pnr END", By::Mean),
        ],
    },
    Question {
        id: "tested-within-90-days",
        title: "How many of the newly diagnosed have their long-term blood sugar measured within 90 days?",
        explanation: "The first diagnosis comes from contacts and diagnoses (sds, joined by the contact's key), the test from \
                      the laboratories (region-h, region-m), the region of residence from dst: all four controllers.",
        sql: "\
SELECT b.region,
       date_part('year', d.found) AS year_found,
       COUNT(DISTINCT d.pnr) AS people,
       SUM(d.tested) AS tested,
       ROUND(AVG(100 * d.tested), 1) AS percent_tested
FROM (SELECT f.pnr, f.found,
             MAX(CASE WHEN l.samplingdate > f.found AND l.samplingdate <= f.found + INTERVAL '90 days'
                      THEN 1 ELSE 0 END) AS tested
      FROM (SELECT k.pnr, MIN(CAST(k.kont_starttidspunkt AS DATE)) AS found
            FROM sds.lpr_a_kontakt k
            JOIN sds.lpr_a_diagnose d ON d.dw_ek_kontakt = k.dw_ek_kontakt AND d.pnr = k.pnr
            WHERE d.diag_kode LIKE 'DE11%' AND d.senere_afkraeftet = 'Nej'
            GROUP BY k.pnr) f
      LEFT JOIN (SELECT pnr, samplingdate FROM \"region-h\".lab_forsker WHERE analysiscode = 'NPU27300'
                 UNION ALL
                 SELECT pnr, samplingdate FROM \"region-m\".lab_forsker WHERE analysiscode = 'NPU27300') l
             ON l.pnr = f.pnr
      GROUP BY f.pnr, f.found) d
JOIN dst.bef b ON b.pnr = d.pnr
WHERE b.year = 2024
  AND b.region IN ('Region Hovedstaden', 'Region Midtjylland')
  AND d.found >= DATE '2021-01-01'
  AND d.found < DATE '2024-10-01'
GROUP BY 1, 2
ORDER BY 1, 2",
        keys: 2,
        // a sum of zeros and ones follows the rule of a count
        behind: &[
            ("tested", "CASE WHEN d.tested <> 0 THEN d.pnr END", By::Part),
            ("percent_tested", "CASE WHEN d.tested <> 0 THEN d.pnr END", By::Share),
        ],
    },
];
