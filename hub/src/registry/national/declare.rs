//! `national/<table>.toml`: one table that several controllers publish alike.
//!
//! INVARIANT: a declaration harmonises what controllers offer to a project; it can't add a table, column or row to it.

use arrow::datatypes::{DataType, TimeUnit};
use proto::ids::{ControllerId, TableName};
use runtime::config::{self, ConfigError};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Why a declaration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NationalError {
    /// The folder or a file can't be read, or has an unknown, missing or wrong field.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// The folder can't be listed.
    #[error("{}: {cause}", path.display())]
    Folder {
        /// which
        path: PathBuf,
        /// why
        cause: std::io::Error,
    },
    /// A field contradicts another or can't be right.
    #[error("{}, field {field}: {message}", path.display())]
    Field {
        /// which file
        path: PathBuf,
        /// which field
        field: String,
        /// what is wrong and what to do
        message: String,
    },
}

/// Whether one person can be in several members' rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Persons {
    /// they can: people move, and are counted once all the same
    Overlapping,
    /// nobody is, which the hub finds out before it rests on it
    Disjoint,
}

/// A declared table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct National {
    /// for people, in Danish
    #[serde(default)]
    pub description_da: String,
    /// for people, in English
    #[serde(default)]
    pub description_en: String,
    /// whether one person can be in several members' rows
    pub persons: Persons,
    /// its columns, in order
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
    /// who publishes it
    #[serde(rename = "member")]
    pub members: Vec<Member>,
}

/// A column of the whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// its name
    pub name: String,
    /// what it holds
    #[serde(rename = "type")]
    pub kind: Kind,
    /// unit of measure (UCUM)
    #[serde(default)]
    pub unit: String,
    /// code system (SKS, ATC, NPU ..)
    #[serde(default)]
    pub codes: String,
    /// in Danish
    #[serde(default)]
    pub description_da: String,
    /// in English
    #[serde(default)]
    pub description_en: String,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Kind {
    /// pseudonyms of people
    Person,
    /// pseudonyms of something else that links
    Key,
    /// text
    Text,
    /// whole numbers, 32 bits
    Int32,
    /// whole numbers, 64 bits
    Int64,
    /// numbers
    Float64,
    /// exact numbers of so many digits, so many of them decimals
    Decimal(u8, i8),
    /// true or false
    Bool,
    /// days
    Date,
    /// points in time, microseconds
    Timestamp,
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = |text: &str| {
            let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<u8>().ok()?);
            let fine = (1..=38).contains(&precision) && scale <= precision;
            Some(Self::Decimal(precision, i8::try_from(scale).ok()?)).filter(|_| fine)
        };
        Ok(match text.as_str() {
            "person" => Self::Person,
            "key" => Self::Key,
            "text" => Self::Text,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            other => digits(other).ok_or(
                "a type is one of person, key, text, int32, int64, float64, decimal(precision,scale), bool, date, timestamp",
            )?,
        })
    }
}

impl Kind {
    /// As Arrow has it.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Person | Self::Key => DataType::FixedSizeBinary(16),
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

/// One controller's part of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// whose
    pub controller: ControllerId,
    /// its table; the national table's name when it is left out
    pub table: Option<TableName>,
    /// how its columns become the whole table's; a column that is left out has the same name there
    #[serde(default)]
    pub columns: BTreeMap<String, Source>,
}

/// Where a member's values of a column come from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// its column; the same name when it is left out
    pub from: Option<String>,
    /// the member has no such values: NULL
    #[serde(default)]
    pub missing: bool,
    /// the value times this ..
    pub factor: Option<f64>,
    /// .. and this added: another unit
    pub offset: Option<f64>,
    /// its codes, each with the whole table's
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// what becomes of codes that are not in `map`; kept as they are when it is left out
    pub other: Option<String>,
}

/// Name of the column that says whose a row is.
pub const CONTROLLER: &str = "controller";
/// Name of the schema that national tables stand in; no controller can have it.
pub const SCHEMA: &str = "national";

/// All declarations of a folder; none when there is no folder.
///
/// # Errors
/// When one can't be read, or contradicts itself.
pub fn load(folder: &Path) -> Result<BTreeMap<TableName, National>, NationalError> {
    let listing = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.map_err(|cause| NationalError::Folder { path: folder.to_owned(), cause })?,
    };
    let mut all = BTreeMap::new();
    for entry in listing {
        let path = entry.map_err(|cause| NationalError::Folder { path: folder.to_owned(), cause })?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name: TableName = stem.parse().map_err(|error: proto::ids::IdError| NationalError::Field {
            path: path.clone(),
            field: "(the file's name)".to_owned(),
            message: error.to_string(),
        })?;
        let table: National = config::load(&path)?;
        check(&table).map_err(|(field, message)| NationalError::Field { path, field, message })?;
        all.insert(name, table);
    }
    Ok(all)
}

fn check(table: &National) -> Result<(), (String, String)> {
    let wrong = |field: String, message: &str| Err((field, message.to_owned()));
    if table.columns.is_empty() {
        return wrong("column".to_owned(), "there is none. Name at least one [[column]]");
    }
    for (i, column) in table.columns.iter().enumerate() {
        let field = |name: &str| format!("column[{i}].{name}");
        if column.name.is_empty() || column.name == CONTROLLER {
            return wrong(field("name"), "must not be empty or 'controller', which every national table has by itself");
        }
        if table.columns.iter().take(i).any(|before| before.name == column.name) {
            return wrong(field("name"), "stands there twice. Remove one of them");
        }
    }
    let people = table.columns.iter().filter(|column| column.kind == Kind::Person).count();
    if table.persons == Persons::Disjoint && people != 1 {
        return wrong(
            "persons".to_owned(),
            "members are disjoint in the people of one column of type person, no more or fewer",
        );
    }
    if table.members.len() < 2 {
        return wrong("member".to_owned(), "a national table has at least two [[member]]s");
    }
    for (i, member) in table.members.iter().enumerate() {
        if table.members.iter().take(i).any(|before| before.controller == member.controller) {
            return wrong(format!("member[{i}].controller"), "stands there twice. Remove one of them");
        }
        for (name, source) in &member.columns {
            let field = |what: &str| format!("member[{i}].columns.{name}{what}");
            let Some(column) = table.columns.iter().find(|column| column.name == *name) else {
                return wrong(field(""), "is none of the table's columns. Name it as its [[column]] does");
            };
            let scaled = source.factor.is_some() || source.offset.is_some();
            if source.missing && (source.from.is_some() || scaled || !source.map.is_empty() || source.other.is_some()) {
                return wrong(field(".missing"), "a missing column comes from nowhere. Remove the other fields");
            }
            if scaled && column.kind != Kind::Float64 {
                return wrong(field(".factor"), "units are converted in columns of type float64 only");
            }
            if !source.factor.unwrap_or(1.0).is_finite() || !source.offset.unwrap_or(0.0).is_finite() {
                return wrong(field(".factor"), "must be a number");
            }
            if (!source.map.is_empty() || source.other.is_some()) && column.kind != Kind::Text {
                return wrong(field(".map"), "codes are mapped in columns of type text only");
            }
            if source.missing && matches!(column.kind, Kind::Person) {
                return wrong(field(".missing"), "rows without a person can't be counted as people");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LAB: &str = "persons = \"overlapping\"\n[[column]]\nname = \"pnr\"\ntype = \"person\"\n[[column]]\nname = \"value\"\n\
                       type = \"float64\"\n[[column]]\nname = \"kode\"\ntype = \"text\"\n[[member]]\ncontroller = \"region-h\"\n\
                       [[member]]\ncontroller = \"region-m\"\ntable = \"lab\"\n";

    fn said(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lab_forsker.toml"), text).unwrap();
        match load(folder.path()) {
            Ok(tables) => format!("{} tables", tables.len()),
            Err(error) => error.to_string().split_once("lab_forsker.toml").unwrap().1.to_owned(),
        }
    }

    #[test]
    fn mistakes_are_named_by_file_and_field() {
        assert_eq!(said(LAB), "1 tables");
        for (more, says) in [
            (
                "[member.columns]\nvalue = { factor = 10.93, offset = -23.5 }\nkode = { from = \"analyse\", map = { A = \"B\" } }",
                "1 tables",
            ),
            ("[member.columns]\nnosuch = { from = \"x\" }", "member[1].columns.nosuch"),
            ("[member.columns]\nkode = { factor = 2.0 }", "member[1].columns.kode.factor"),
            ("[member.columns]\nvalue = { map = { A = \"B\" } }", "member[1].columns.value.map"),
            ("[member.columns]\nvalue = { missing = true, from = \"x\" }", "member[1].columns.value.missing"),
            ("[member.columns]\npnr = { missing = true }", "member[1].columns.pnr.missing"),
            ("[[member]]\ncontroller = \"region-h\"", "member[2].controller"),
            ("[[column]]\nname = \"controller\"\ntype = \"text\"", "column[3].name"),
            ("[[column]]\nname = \"value\"\ntype = \"text\"", "column[3].name"),
            ("[[column]]\nname = \"x\"\ntype = \"number\"", "a type is one of"),
            ("[[column]]\nname = \"x\"\ntype = \"decimal(39,2)\"", "a type is one of"),
            ("[[column]]\nname = \"x\"\ntype = \"decimal(15,2)\"", "1 tables"),
            ("colour = 1", "line"),
        ] {
            let text = format!("{LAB}{more}\n");
            assert!(said(&text).contains(says), "{more}: {}", said(&text));
        }
        assert_eq!(said(&LAB.replace("overlapping", "disjoint")), "1 tables");
        let nobody = LAB.replace("overlapping", "disjoint").replace("type = \"person\"", "type = \"key\"");
        assert!(said(&nobody).contains("field persons"), "{}", said(&nobody));
        assert!(said("persons = \"overlapping\"\ncolumn = []\nmember = []").contains("column"));
        assert!(load(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }
}
