//! Who is left out, as scans ask it: one look-up a row on the stored pseudonym.
//!
//! INVARIANT: holds S only; nothing here is printed.

use arrow::{
    array::{Array, AsArray, BooleanArray},
    datatypes::{DataType, Schema},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{DataFusionError, Result},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

/// When somebody is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// whatever the permit says
    Always,
    /// under permits that record a version from `added` on, before `removed`
    From {
        /// the version that the opt-out came with
        added: u64,
        /// the version that it was taken back with
        removed: Option<u64>,
    },
}

impl Span {
    fn covers(self, version: u64) -> bool {
        match self {
            Self::Always => true,
            Self::From { added, removed } => added <= version && removed.is_none_or(|removed| version < removed),
        }
    }
}

/// Stored pseudonyms are as good as random: their first bytes are a hash.
#[derive(Default)]
struct First(u64);

impl Hasher for First {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    // The length that stands before an array's bytes says nothing.
    fn write_usize(&mut self, _: usize) {}
}

/// Everybody on the lists, at one version of them.
pub struct Excluded {
    version: u64,
    people: HashMap<[u8; 16], Vec<Span>, BuildHasherDefault<First>>,
}

impl fmt::Debug for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Excluded(version {})", self.version)
    }
}

impl Excluded {
    pub(crate) fn new(version: u64, room: usize) -> Self {
        Self { version, people: HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default()) }
    }

    pub(crate) fn insert(&mut self, person: [u8; 16], span: Span) {
        self.people.entry(person).or_default().push(span);
    }

    /// Version of the lists.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether a person is left out under a permit that records `version`.
    #[must_use]
    pub fn covers(&self, person: &[u8], version: u64) -> bool {
        let Ok(person) = <&[u8; 16]>::try_from(person) else { return false };
        self.people.get(person).is_some_and(|spans| spans.iter().any(|span| span.covers(version)))
    }

    /// Whether anybody is left out under a permit that records `version`.
    #[must_use]
    pub fn anybody(&self, version: u64) -> bool {
        self.people.values().flatten().any(|span| span.covers(version))
    }
}

/// The condition that a row is about nobody who is left out.
#[derive(Clone)]
pub struct Except {
    people: Arc<Excluded>,
    version: u64,
    column: Arc<dyn PhysicalExpr>,
}

impl Except {
    /// The condition on a column of stored pseudonyms, under a permit that records `version`.
    #[must_use]
    pub fn new(people: Arc<Excluded>, version: u64, column: Arc<dyn PhysicalExpr>) -> Self {
        Self { people, version, column }
    }
}

impl PartialEq for Except {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.people, &other.people) && self.version == other.version && self.column.eq(&other.column)
    }
}

impl Eq for Except {}

impl Hash for Except {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.version.hash(state);
        self.column.hash(state);
    }
}

impl fmt::Debug for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Except(..)")
    }
}

impl fmt::Display for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not left out")
    }
}

impl PhysicalExpr for Except {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let column = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let people = column
            .as_fixed_size_binary_opt()
            .ok_or_else(|| DataFusionError::Internal("a person column is not FixedSizeBinary".to_owned()))?;
        // A row without a person is about nobody on the list.
        let keep =
            (0..people.len()).map(|row| people.is_null(row) || !self.people.covers(people.value(row), self.version));
        Ok(ColumnarValue::Array(Arc::new(keep.map(Some).collect::<BooleanArray>())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let column = children
            .into_iter()
            .next()
            .ok_or_else(|| DataFusionError::Internal("the condition has one column".to_owned()))?;
        Ok(Arc::new(Self { people: Arc::clone(&self.people), version: self.version, column }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
