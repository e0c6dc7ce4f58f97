//! What data may be used for: the purposes of Regulation (EU) 2025/327 (EHDS), Article 53(1), and the codes of the
//! GA4GH Data Use Ontology (DUO) that go with them.

use std::fmt;

/// A purpose of EHDS Article 53(1). Points (a) to (c) are for public bodies only (Article 53(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EhdsPurpose {
    /// (a) public interest in public or occupational health
    PublicHealth,
    /// (b) policy making and regulatory activities
    PolicyMaking,
    /// (c) statistics
    Statistics,
    /// (d) education or teaching in health or care
    Education,
    /// (e) scientific research
    ScientificResearch,
    /// (f) improving care, treatment and its delivery
    ImprovingCare,
}

impl EhdsPurpose {
    /// All of them, in the article's order.
    pub const ALL: [Self; 6] = [
        Self::PublicHealth,
        Self::PolicyMaking,
        Self::Statistics,
        Self::Education,
        Self::ScientificResearch,
        Self::ImprovingCare,
    ];

    /// As it is written in permits and applications.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::PublicHealth => "public-health",
            Self::PolicyMaking => "policy-making",
            Self::Statistics => "statistics",
            Self::Education => "education",
            Self::ScientificResearch => "scientific-research",
            Self::ImprovingCare => "improving-care",
        }
    }

    /// The letter of the point in Article 53(1).
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::PublicHealth => 'a',
            Self::PolicyMaking => 'b',
            Self::Statistics => 'c',
            Self::Education => 'd',
            Self::ScientificResearch => 'e',
            Self::ImprovingCare => 'f',
        }
    }

    /// Whether only public bodies may have it.
    #[must_use]
    pub fn public_bodies_only(self) -> bool {
        matches!(self, Self::PublicHealth | Self::PolicyMaking | Self::Statistics)
    }
}

impl fmt::Display for EhdsPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::PublicHealth => "public interest in public or occupational health",
            Self::PolicyMaking => "policy making and regulatory activities",
            Self::Statistics => "statistics",
            Self::Education => "education or teaching",
            Self::ScientificResearch => "scientific research",
            Self::ImprovingCare => "improving the delivery of care",
        };
        write!(f, "{what} (EHDS Art. 53(1)({}))", self.letter())
    }
}

/// A DUO code, such as `DUO:0000042` (general research use).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DuoCode(String);

/// A text that is no DUO code.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a DUO code: write DUO: and seven digits, such as DUO:0000042")]
pub struct DuoCodeError;

impl TryFrom<String> for DuoCode {
    type Error = DuoCodeError;

    fn try_from(text: String) -> Result<Self, DuoCodeError> {
        let digits = text.strip_prefix("DUO:").ok_or(DuoCodeError)?;
        if digits.len() == 7 && digits.bytes().all(|b| b.is_ascii_digit()) { Ok(Self(text)) } else { Err(DuoCodeError) }
    }
}

impl From<DuoCode> for String {
    fn from(code: DuoCode) -> String {
        code.0
    }
}

impl fmt::Display for DuoCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a project wants data for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// point of EHDS Article 53(1)
    pub ehds: EhdsPurpose,
    /// DUO codes
    #[serde(default)]
    pub duo: Vec<DuoCode>,
    /// in a few sentences, for the approver
    pub summary: String,
}
