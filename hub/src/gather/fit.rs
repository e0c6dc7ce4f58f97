//! Whether an answer has the columns that were planned, and its batches as planned.
//!
//! A spoke may lay texts and bytes out as dictionaries, views or with large offsets: the same values, put into the plain type
//! here. Every other difference is another answer.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{DataType, Schema, SchemaRef},
};
use proto::schema::plain;
use runtime::tls::MAX_MESSAGE;
use std::sync::Arc;

/// Names and types in order; what is said about columns may differ.
pub(super) fn fits(planned: &Schema, sent: &Schema) -> bool {
    planned.fields().len() == sent.fields().len()
        && planned.fields().iter().zip(sent.fields()).all(|(planned, sent)| {
            planned.name() == sent.name()
                && (planned.data_type() == sent.data_type() || *planned.data_type() == plain(sent.data_type()))
        })
}

/// The batch under the planned schema, which it [`fits`]. Nothing when it doesn't after all, or would take too much memory.
pub(super) fn fitted(planned: &SchemaRef, batch: &RecordBatch) -> Option<RecordBatch> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in planned.fields().iter().zip(batch.columns()) {
        columns.push(column_as(field.data_type(), column)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(planned), columns, &options).ok()
}

fn column_as(planned: &DataType, column: &ArrayRef) -> Option<ArrayRef> {
    if column.data_type() == planned {
        return Some(Arc::clone(column));
    }
    // A few bytes can stand for the same long text again and again.
    (laid_out(column)? <= MAX_MESSAGE).then(|| cast(column, planned).ok()).flatten()
}

/// The most bytes that the values can take when each is laid out by itself.
fn laid_out(column: &ArrayRef) -> Option<usize> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            let values = column.as_any_dictionary_opt()?.values();
            column.len().checked_mul(longest(values)?)
        }
        DataType::Utf8View | DataType::BinaryView => column.len().checked_mul(longest(column)?),
        _ => Some(column.get_array_memory_size()),
    }
}

/// Bytes of the longest value.
fn longest(values: &ArrayRef) -> Option<usize> {
    let lengths = |lengths: Vec<usize>| lengths.into_iter().max().unwrap_or(0);
    Some(match values.data_type() {
        DataType::Utf8 => lengths(values.as_string::<i32>().iter().map(|v| v.map_or(0, str::len)).collect()),
        DataType::LargeUtf8 => lengths(values.as_string::<i64>().iter().map(|v| v.map_or(0, str::len)).collect()),
        DataType::Utf8View => lengths(values.as_string_view().lengths().map(|n| n as usize).collect()),
        DataType::Binary => lengths(values.as_binary::<i32>().iter().map(|v| v.map_or(0, <[u8]>::len)).collect()),
        DataType::LargeBinary => lengths(values.as_binary::<i64>().iter().map(|v| v.map_or(0, <[u8]>::len)).collect()),
        DataType::BinaryView => lengths(values.as_binary_view().lengths().map(|n| n as usize).collect()),
        other => other.primitive_width().or(match other {
            DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
            DataType::Boolean => Some(1),
            _ => None,
        })?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{BinaryViewArray, DictionaryArray, Int32Array, LargeStringArray, StringArray, StringViewArray},
        datatypes::{Field, Int32Type},
    };

    fn sent(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(n, c)| (format!("c{n}"), c))).unwrap()
    }

    fn texts(columns: usize, kind: &DataType) -> SchemaRef {
        let fields: Vec<Field> = (0..columns).map(|n| Field::new(format!("c{n}"), kind.clone(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    #[test]
    fn every_layout_of_texts_and_bytes_becomes_the_planned_type() {
        let values = [Some("a"), None, Some("a text that is longer than a view holds"), Some("a")];
        let layouts: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(values.to_vec())),
            Arc::new(StringViewArray::from(values.to_vec())),
            Arc::new(LargeStringArray::from(values.to_vec())),
            Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        let batch = sent(layouts);
        let planned = texts(4, &DataType::Utf8);
        assert!(fits(&planned, batch.schema_ref()));
        let fitted = fitted(&planned, &batch).unwrap();
        assert_eq!(fitted.schema(), planned);
        for column in fitted.columns() {
            assert_eq!(column.as_string::<i32>().iter().collect::<Vec<_>>(), values);
        }
        let bytes = sent(vec![Arc::new(BinaryViewArray::from_iter_values([b"x", b"y"]))]);
        let planned = texts(1, &DataType::Binary);
        assert!(fits(&planned, bytes.schema_ref()));
        assert_eq!(super::fitted(&planned, &bytes).unwrap().column(0).as_binary::<i32>().value(1), b"y");
    }

    #[test]
    fn another_type_is_another_answer() {
        let numbers = sent(vec![Arc::new(Int32Array::from(vec![1]))]);
        for kind in [DataType::Utf8, DataType::Int64] {
            assert!(!fits(&texts(1, &kind), numbers.schema_ref()));
        }
        let binary = sent(vec![Arc::new(BinaryViewArray::from_iter_values([b"x"]))]);
        assert!(!fits(&texts(1, &DataType::Utf8), binary.schema_ref()));
    }

    #[test]
    fn few_bytes_dont_become_more_than_a_message_holds() {
        let long = "x".repeat(1 << 20);
        let keys = Int32Array::from(vec![0; 100]);
        let batch = sent(vec![Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![long.as_str()]))))]);
        assert!(fitted(&texts(1, &DataType::Utf8), &batch).is_none());
        let views = StringViewArray::from_iter_values([long.as_str()]);
        let again = arrow::compute::take(&views, &Int32Array::from(vec![0; 100]), None).unwrap();
        assert!(fitted(&texts(1, &DataType::Utf8), &sent(vec![again])).is_none());
    }
}
