//! From person numbers to stored pseudonyms, piece by piece and in the order of the source.

use super::{
    IngestError,
    parse::{NO_PERSON, Parsed, Seen},
    pseudonyms::Pseudonyms,
};
use crate::declare::TableDecl;
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, RecordBatch},
    buffer::{Buffer, NullBuffer},
    datatypes::{Schema, SchemaRef},
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Turns parsed pieces into batches that hold pseudonyms only.
pub(crate) struct PersonLink {
    table: String,
    schema: SchemaRef,
    sketch: Sketch,
}

impl PersonLink {
    pub(crate) fn new(decl: &TableDecl) -> Self {
        let fields =
            decl.schema().fields().iter().skip(usize::from(decl.person_via.is_some())).cloned().collect::<Vec<_>>();
        Self { table: decl.name.to_string(), schema: Arc::new(Schema::new(fields)), sketch: Sketch::new() }
    }

    /// A piece as a batch; people become stored pseudonyms.
    pub(crate) async fn link(
        &mut self,
        piece: Parsed,
        linker: Option<&mut dyn Pseudonyms>,
    ) -> Result<RecordBatch, IngestError> {
        let internal = |message: String| IngestError::Internal { table: self.table.clone(), message };
        let mut people = None;
        if !piece.persons.is_empty() {
            let linker = linker.ok_or_else(|| internal("no source of pseudonyms was opened".to_owned()))?;
            let numbers: Zeroizing<Vec<u64>> =
                Zeroizing::new(piece.persons.iter().copied().filter(|number| *number != NO_PERSON).collect());
            let stored = linker.persons(&numbers).await.map_err(|error| error.of_table(&self.table))?;
            if stored.len() != numbers.len() {
                return Err(internal("got another number of pseudonyms than asked for".to_owned()));
            }
            let mut bytes = Vec::with_capacity(piece.persons.len() * 16);
            let mut next = stored.iter();
            for number in piece.persons.iter() {
                let person = if *number == NO_PERSON { &[0; 16] } else { next.next().unwrap_or(&[0; 16]) };
                if *number != NO_PERSON {
                    self.sketch.add(person);
                }
                bytes.extend_from_slice(person);
            }
            let nulls = (numbers.len() < piece.persons.len())
                .then(|| piece.persons.iter().map(|number| *number != NO_PERSON).collect::<NullBuffer>());
            let array = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), nulls)
                .map_err(|error| internal(error.to_string()))?;
            people = Some(Arc::new(array) as ArrayRef);
        } else if piece.columns.iter().any(Option::is_none) {
            // a piece of which every row was rejected
            let array = FixedSizeBinaryArray::new_null(16, piece.rows);
            people = Some(Arc::new(array) as ArrayRef);
        }
        let columns = piece.columns.into_iter().filter_map(|column| column.or_else(|| people.take())).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| internal(error.to_string()))
    }

    /// About how many different people there were.
    pub(crate) fn people(&self) -> u64 {
        self.sketch.estimate()
    }
}

/// Checks that no column but the declared one holds person numbers.
pub(crate) fn refuse_person_numbers(decl: &TableDecl, seen: &Seen) -> Result<(), IngestError> {
    use crate::declare::ColumnKind;
    for (column, (values, alike)) in decl.columns.iter().zip(&seen.look_alikes) {
        if *values >= 3 && *alike * 2 > *values {
            return Err(IngestError::PersonNumbers {
                table: decl.name.to_string(),
                column: column.name.clone(),
                share: *alike * 100 / *values,
                declared: match column.kind {
                    ColumnKind::Key { .. } => "a key",
                    _ => "a value",
                },
            });
        }
    }
    Ok(())
}

/// Counts different pseudonyms roughly, in a megabyte: they are as good as random, so the share of bits that stay
/// unset tells how many there are.
struct Sketch {
    bits: Vec<u64>,
}

const SKETCH_BITS: u64 = 1 << 23;

impl Sketch {
    fn new() -> Self {
        Self { bits: vec![0; (SKETCH_BITS / 64) as usize] }
    }

    fn add(&mut self, person: &[u8; 16]) {
        let [a, b, c, d, ..] = *person;
        let at = u64::from(u32::from_be_bytes([a, b, c, d])) % SKETCH_BITS;
        if let Some(word) = self.bits.get_mut((at / 64) as usize) {
            *word |= 1 << (at % 64);
        }
    }

    fn estimate(&self) -> u64 {
        let set: u64 = self.bits.iter().map(|word| u64::from(word.count_ones())).sum();
        let unset = SKETCH_BITS.saturating_sub(set).max(1) as f64;
        let all = SKETCH_BITS as f64;
        (all * (all / unset).ln()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sketch_is_near_enough() {
        let mut sketch = Sketch::new();
        let mut count = 0_u64;
        for people in [0_u64, 10, 10_000, 1_000_000] {
            while count < people {
                let person = crate::ingest::tests::person(count);
                sketch.add(&person);
                sketch.add(&person);
                count += 1;
            }
            let found = sketch.estimate();
            assert!(found.abs_diff(people) <= people / 50 + 1, "{found} instead of {people}");
        }
    }
}
