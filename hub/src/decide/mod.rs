//! How far an application, its parts and the permits are: states, what moves them, and by when.
//!
//! INVARIANT: the hub decides nothing about data. A part is granted or refused when a key of that controller's own
//! approver signed so.

mod deadline;
mod part;
mod permit;
mod state;
mod statement;

pub use deadline::{Deadlines, track};
pub use part::{PartEvent, PartState};
pub use permit::{PermitEvent, PermitState, Settled, settle};
pub use state::{Event, Illegal, State};
pub use statement::{Said, StatementProblem, digest, read};

/// Declares a closed list whose names stand in the database and on the wire.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one with that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
use named;
