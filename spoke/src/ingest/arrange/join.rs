//! Finding people through another table's key: both sides sorted by the key, then walked side by side.

use super::{
    merge::Merged,
    run::{internal, key_at, key_column},
};
use crate::ingest::IngestError;
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, FixedSizeBinaryBuilder, RecordBatch},
    datatypes::SchemaRef,
};
use std::sync::Arc;

/// What the join met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct JoinCounts {
    /// rows whose key the parent does not have, or that have no key
    pub(crate) without_parent: u64,
    /// rows whose key stands for several people in the parent; they get nobody
    pub(crate) ambiguous: u64,
}

/// The people of a parent table by key: one `(key, person)` at a time, ascending.
struct Parents {
    rows: Merged,
    batch: Option<(FixedSizeBinaryArray, FixedSizeBinaryArray)>,
    row: usize,
    /// the key that was reached, and whom it stands for
    current: Option<(u128, Person)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Nobody,
    One(u128),
    Several,
}

impl Parents {
    /// The next row with a key.
    fn next_row(&mut self) -> Result<Option<(u128, Person)>, IngestError> {
        loop {
            if let Some((keys, people)) = &self.batch
                && self.row < keys_len(keys)
            {
                let (keyless, key) = key_at(keys, self.row);
                if keyless {
                    // They are last.
                    return Ok(None);
                }
                let person = match key_at(people, self.row) {
                    (true, _) => Person::Nobody,
                    (false, person) => Person::One(person),
                };
                return Ok(Some((key, person)));
            }
            match self.rows.next() {
                None => return Ok(None),
                Some(batch) => {
                    let batch = batch?;
                    self.batch = Some((key_column(&batch, 0)?.clone(), key_column(&batch, 1)?.clone()));
                    self.row = 0;
                }
            }
        }
    }

    /// Whom `key` stands for. Keys must be asked for in ascending order.
    fn person_of(&mut self, key: u128) -> Result<Option<Person>, IngestError> {
        while let Some((at, person)) = self.next_row()? {
            match &mut self.current {
                Some((current, known)) if *current == at => *known = together(*known, person),
                _ if at > key => break,
                current => *current = Some((at, person)),
            }
            self.row += 1;
        }
        Ok(self.current.filter(|(at, _)| *at == key).map(|(_, person)| person))
    }
}

fn keys_len(keys: &FixedSizeBinaryArray) -> usize {
    arrow::array::Array::len(keys)
}

fn together(known: Person, other: Person) -> Person {
    match (known, other) {
        (Person::Nobody, person) | (person, Person::Nobody) => person,
        (Person::One(a), Person::One(b)) if a == b => Person::One(a),
        _ => Person::Several,
    }
}

/// Adds the people to rows that are sorted by their `key` column. `parent` gives `(key, person)`, sorted by key.
/// `schema` is that of the rows with the person column first.
pub(crate) fn join_people(
    rows: Merged,
    key: usize,
    parent: Merged,
    schema: &SchemaRef,
    mut take: impl FnMut(RecordBatch) -> Result<(), IngestError>,
) -> Result<JoinCounts, IngestError> {
    let mut parents = Parents { rows: parent, batch: None, row: 0, current: None };
    let mut counts = JoinCounts::default();
    for batch in rows {
        let batch = batch?;
        let keys = key_column(&batch, key)?;
        let mut people = FixedSizeBinaryBuilder::with_capacity(batch.num_rows(), 16);
        for row in 0..batch.num_rows() {
            let found = match key_at(keys, row) {
                (true, _) => None,
                (false, key) => parents.person_of(key)?,
            };
            match found {
                Some(Person::One(person)) => people.append_value(person.to_be_bytes()).map_err(internal)?,
                other => {
                    people.append_null();
                    match other {
                        None => counts.without_parent += 1,
                        Some(Person::Several) => counts.ambiguous += 1,
                        _ => {}
                    }
                }
            }
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(people.finish())];
        columns.extend(batch.columns().iter().cloned());
        take(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?)?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::Sorter, *};
    use arrow::{
        array::Array,
        datatypes::{DataType, Field, Schema},
    };

    fn binary(values: &[Option<u8>]) -> ArrayRef {
        let mut builder = FixedSizeBinaryBuilder::new(16);
        for value in values {
            match value {
                Some(value) => builder.append_value([*value; 16]).unwrap(),
                None => builder.append_null(),
            }
        }
        Arc::new(builder.finish())
    }

    fn field(name: &str) -> Field {
        Field::new(name, DataType::FixedSizeBinary(16), true)
    }

    #[test]
    fn people_are_found_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let parent_schema = Arc::new(Schema::new(vec![field("key"), field("pnr")]));
        let mut parent = Sorter::new(dir.path().join("p"), 0, 1 << 20);
        // key 1 twice for one person, 2 for two people, 3 without person, one row without key
        let keys = binary(&[Some(2), Some(1), Some(1), Some(3), None, Some(2), Some(7)]);
        let people = binary(&[Some(20), Some(10), Some(10), None, Some(99), Some(21), Some(70)]);
        parent.push(RecordBatch::try_new(parent_schema, vec![keys, people]).unwrap()).unwrap();

        let child_schema = Arc::new(Schema::new(vec![field("key")]));
        let mut child = Sorter::new(dir.path().join("c"), 0, 1 << 20);
        let keys = binary(&[Some(7), Some(1), None, Some(2), Some(1), Some(3), Some(5), Some(0)]);
        child.push(RecordBatch::try_new(child_schema, vec![keys]).unwrap()).unwrap();

        let schema = Arc::new(Schema::new(vec![field("pnr"), field("key")]));
        let mut found = Vec::new();
        let counts = join_people(child.finish().unwrap(), 0, parent.finish().unwrap(), &schema, |batch| {
            let people = key_column(&batch, 0).unwrap();
            let keys = key_column(&batch, 1).unwrap();
            for row in 0..batch.num_rows() {
                let value = |array: &FixedSizeBinaryArray| (!array.is_null(row)).then(|| array.value(row)[0]);
                found.push((value(keys), value(people)));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(counts, JoinCounts { without_parent: 3, ambiguous: 1 });
        found.sort();
        assert_eq!(
            found,
            [
                (None, None),
                (Some(0), None),
                (Some(1), Some(10)),
                (Some(1), Some(10)),
                (Some(2), None),
                (Some(3), None),
                (Some(5), None),
                (Some(7), Some(70)),
            ]
        );
    }
}
