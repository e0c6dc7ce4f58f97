//! Where an answer will be shown. `Open < Enclave`: more may be seen in the enclave.

use proto::wire;

/// A zone of release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// Anywhere: only released aggregates are shown.
    Open,
    /// Inside the secure processing environment: people named in the permit see pseudonymised rows.
    Enclave,
}

impl Zone {
    /// The name used in configuration and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Enclave => "enclave",
        }
    }

    /// The zone of a message; `None` when it states none or one that this version doesn't know.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        match wire::Zone::try_from(value) {
            Ok(wire::Zone::Open) => Some(Self::Open),
            Ok(wire::Zone::Enclave) => Some(Self::Enclave),
            Ok(wire::Zone::Unspecified) | Err(_) => None,
        }
    }

    /// The zone as it stands in a message.
    #[must_use]
    pub fn to_wire(self) -> wire::Zone {
        match self {
            Self::Open => wire::Zone::Open,
            Self::Enclave => wire::Zone::Enclave,
        }
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
