//! A table as the checks see it: names of columns, and cells as text. CSV, Parquet and JSON records become one.

use super::{csv, json};
use crate::airlock::kind::Kind;
use arrow::{
    array::Array,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;
use datafusion::parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    basic::Compression,
};
use std::{collections::BTreeSet, panic::catch_unwind};

/// Rows of one table, at most.
pub(super) const MOST_ROWS: usize = 50_000;
/// Columns of one table, at most.
pub(super) const MOST_COLUMNS: usize = 300;
/// The longest cell, bytes.
const LONGEST_CELL: usize = 1_000;
/// All cells together, bytes: what is packed small may unfold large.
const MOST_BYTES: usize = 32 << 20;
/// Rows read from a Parquet file at once: one long text may stand in each of them.
const BATCH: usize = 16;
/// What programs write about themselves into a Parquet file, bytes in all.
const MOST_NOTES: usize = 16 << 10;

/// Why a file can't be taken as a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::airlock) enum Unreadable {
    /// It is none.
    #[error("can't be read as a table: a line of column names, then rows with as many cells")]
    Form,
    /// JSON that is no list of records.
    #[error("is JSON, and no list of records with plain values: [{{\"kom\": 101, \"n\": 12}}, ..]")]
    Records,
    /// A name stands twice in one record.
    #[error(
        "has '{name}' twice in row {row}: a reader keeps one of them, and the other would leave unseen. Write each name once"
    )]
    Doubled {
        /// from 1
        row: usize,
        /// which, as it may be shown
        name: String,
    },
    /// Too large.
    #[error(
        "is larger than what people can check: 50,000 rows, 300 columns, 1,000 characters in a cell, 32 MiB in all. Aggregate it"
    )]
    Large,
    /// Two columns have one name, or one has none.
    #[error("has a column without a name, or two of one name")]
    Names,
    /// A column of something else than values.
    #[error("column '{0}' holds no plain values: numbers, text, days and true/false may leave")]
    Type(String),
    /// A Parquet file is packed in a way whose unpacking has no end.
    #[error(
        "is packed in a way that is not unpacked here: write it with snappy, zstd or lz4, without packing, or as CSV"
    )]
    Packed,
    /// A Parquet file carries more than its table.
    #[error("carries notes beside its table (key-value metadata): write it without, or as CSV")]
    Notes,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::airlock) struct Table {
    pub(in crate::airlock) columns: Vec<String>,
    pub(in crate::airlock) rows: Vec<Vec<Option<String>>>,
    bytes: usize,
}

impl Table {
    pub(in crate::airlock) fn new(columns: Vec<String>) -> Result<Self, Unreadable> {
        let distinct: BTreeSet<&String> = columns.iter().collect();
        if columns.len() > MOST_COLUMNS || columns.iter().any(|name| name.len() > LONGEST_CELL) {
            return Err(Unreadable::Large);
        }
        if distinct.len() != columns.len() || columns.iter().any(|name| name.trim().is_empty()) {
            return Err(Unreadable::Names);
        }
        Ok(Self { columns, rows: Vec::new(), bytes: 0 })
    }

    pub(in crate::airlock) fn push(&mut self, row: Vec<Option<String>>) -> Result<(), Unreadable> {
        if row.len() != self.columns.len() {
            return Err(Unreadable::Form);
        }
        let lengths = row.iter().flatten().map(String::len);
        self.bytes += lengths.clone().sum::<usize>();
        if self.rows.len() >= MOST_ROWS || self.bytes > MOST_BYTES || lengths.max().unwrap_or(0) > LONGEST_CELL {
            return Err(Unreadable::Large);
        }
        self.rows.push(row);
        Ok(())
    }

    /// Where a column stands.
    pub(in crate::airlock) fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// A cell's text.
    pub(in crate::airlock) fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.rows.get(row).and_then(|row| row.get(column)).and_then(Option::as_deref)
    }
}

/// Reads a file of a kind that is a table.
pub(in crate::airlock) fn read(kind: Kind, bytes: &[u8]) -> Result<Table, Unreadable> {
    match kind {
        Kind::Csv => csv::read(bytes),
        Kind::Json => json::read(bytes),
        // The library panics on some files that are broken.
        Kind::Parquet => catch_unwind(|| parquet(bytes)).unwrap_or(Err(Unreadable::Form)),
        Kind::Png | Kind::Svg | Kind::Pdf | Kind::Text | Kind::Notebook => Err(Unreadable::Form),
    }
}

fn parquet(bytes: &[u8]) -> Result<Table, Unreadable> {
    // Of what programs note about types nothing is read: the columns say what they are, and a note that is broken panics its reader.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::copy_from_slice(bytes), options)
        .map_err(|_| Unreadable::Form)?;
    let known = builder.metadata();
    let unfolded: i64 =
        known.row_groups().iter().flat_map(|group| group.columns()).map(|c| c.uncompressed_size()).sum();
    if known.file_metadata().num_rows() > MOST_ROWS as i64 || unfolded > MOST_BYTES as i64 {
        return Err(Unreadable::Large);
    }
    // The others unpack as much as there is, whatever the file says of its length.
    let bounded = |packing| {
        matches!(packing, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW)
    };
    if !known.row_groups().iter().flat_map(|group| group.columns()).all(|column| bounded(column.compression())) {
        return Err(Unreadable::Packed);
    }
    let notes = known.file_metadata().key_value_metadata();
    let mut length = 0;
    for note in notes.into_iter().flatten() {
        length += note.value.as_ref().map_or(0, String::len);
        // What the usual programs write of the columns' types.
        if !["ARROW:schema", "pandas"].contains(&note.key.as_str()) || length > MOST_NOTES {
            return Err(Unreadable::Notes);
        }
    }
    let schema = builder.schema().clone();
    for field in schema.fields() {
        if !plain(field.data_type()) {
            return Err(Unreadable::Type(json::shown(field.name())));
        }
    }
    let mut table = Table::new(schema.fields().iter().map(|field| field.name().clone()).collect())?;
    let reader = builder.with_batch_size(BATCH).build().map_err(|_| Unreadable::Form)?;
    let options = FormatOptions::default();
    for batch in reader {
        let batch = batch.map_err(|_| Unreadable::Form)?;
        let cells: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).map_err(|_| Unreadable::Form))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let cell = |(column, cells): (&arrow::array::ArrayRef, &ArrayFormatter<'_>)| {
                let text = column.is_valid(row).then(|| cells.value(row).to_string());
                text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
            };
            table.push(batch.columns().iter().zip(&cells).map(cell).collect())?;
        }
    }
    Ok(table)
}

fn plain(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean | DataType::Null => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        other => other.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::{
        array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray},
        datatypes::{Field, Schema},
    };
    use datafusion::parquet::{
        arrow::ArrowWriter,
        basic::ZstdLevel,
        file::{metadata::KeyValue, properties::WriterProperties},
    };
    use std::sync::Arc;

    fn written(columns: Vec<(&str, ArrayRef)>, notes: Option<Vec<KeyValue>>) -> Vec<u8> {
        packed(columns, WriterProperties::builder().set_key_value_metadata(notes).build())
    }

    fn packed(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
        let fields: Vec<Field> =
            columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn three_kinds_give_one_table() {
        let csv = read(Kind::Csv, b"kom,n\n101,12\n147,\n").unwrap();
        let json = read(Kind::Json, br#"[{"kom": "101", "n": 12}, {"kom": "147", "n": null}]"#).unwrap();
        let kom: ArrayRef = Arc::new(StringArray::from(vec!["101", "147"]));
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(12), None]));
        let parquet = read(Kind::Parquet, &written(vec![("kom", kom), ("n", n)], None)).unwrap();
        assert_eq!(csv, json);
        assert_eq!(csv, parquet);
        assert_eq!((csv.at("n"), csv.cell(0, 1), csv.cell(1, 1)), (Some(1), Some("12"), None));
    }

    #[test]
    fn attack_what_unpacks_without_an_end_is_not_unpacked() {
        let with = |packing| {
            let n: ArrayRef = Arc::new(Int64Array::from(vec![12; 5_000]));
            read(Kind::Parquet, &packed(vec![("n", n)], WriterProperties::builder().set_compression(packing).build()))
        };
        for packing in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
            assert_eq!(with(packing).map(|table| table.rows.len()), Ok(5_000), "{packing}");
        }
        assert_eq!(with(Compression::LZ4_RAW).map(|table| table.rows.len()), Ok(5_000));
        // Of those that are refused, the one that this build can write.
        assert_eq!(with(Compression::LZ4), Err(Unreadable::Packed));
    }

    #[test]
    fn what_hides_beside_a_table_is_found() {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![12]));
        let note = KeyValue::new("rows".to_owned(), "who they are".to_owned());
        let noted = written(vec![("n", Arc::clone(&n))], Some(vec![note]));
        assert_eq!(read(Kind::Parquet, &noted), Err(Unreadable::Notes));
        let pseudonyms: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([[7u8; 16]].iter()).unwrap());
        let binary = written(vec![("who", pseudonyms), ("n", n)], None);
        assert_eq!(read(Kind::Parquet, &binary), Err(Unreadable::Type("who".to_owned())));
        assert_eq!(read(Kind::Json, br#"[{"n": {"hidden": 1}}]"#), Err(Unreadable::Records));
        assert_eq!(read(Kind::Csv, b"n,n\n1,2\n"), Err(Unreadable::Names));
        let large = format!("a,b\n{}", "1,2\n".repeat(MOST_ROWS + 1));
        assert_eq!(read(Kind::Csv, large.as_bytes()), Err(Unreadable::Large));
    }
}
