//! Arrow schemas between hub and spoke: names of the field metadata, bytes, fingerprint.
//!
//! INVARIANT: a schema holds names and descriptions only, never a value; foreign bytes never panic.

#[cfg(feature = "plan")]
mod ipc;
#[cfg(feature = "plan")]
mod plain;
#[cfg(feature = "plan")]
pub use ipc::{SchemaError, fingerprint, fingerprint_of, from_bytes, to_bytes};
#[cfg(feature = "plan")]
pub use plain::plain;

/// What a column identifies: [`PERSON`], [`KEY`], or absent for a value.
pub const ROLE: &str = "eger.role";
/// The column holds pseudonyms of people.
pub const PERSON: &str = "person";
/// The column holds pseudonyms of something else that links (a contact, a requisition).
pub const KEY: &str = "key";
/// Metadata of a whole schema: what the table is about; [`REFERENCE`], or absent for tables of people.
pub const TABLE_ROLE: &str = "eger.table_role";
/// The table has no people: a code list, a calendar.
pub const REFERENCE: &str = "reference";
/// Unit of measure (UCUM).
pub const UNIT: &str = "eger.unit";
/// Code system (SKS, ATC, NPU ..).
pub const CODES: &str = "eger.codes";
/// Description in Danish.
pub const DA: &str = "eger.da";
/// Description in English.
pub const EN: &str = "eger.en";
