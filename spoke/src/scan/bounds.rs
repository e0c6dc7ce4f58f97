//! Which row groups can hold rows that meet a question's conditions, by the bounds that stand in the footers.
//!
//! Asked once a file, before its pieces become readers: opening one costs far more than a look at bounds, and a question about
//! one person has to open one or two of thousands.
//!
//! INVARIANT: bounds only spare reading. What may match is read, and the conditions are evaluated on it.

use super::pieces::FileRows;
use arrow::{
    array::{ArrayRef, BooleanArray, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{Column, ScalarValue, pruning::PruningStatistics},
    physical_expr::{PhysicalExpr, conjunction},
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};
use parquet::{arrow::arrow_reader::statistics::StatisticsConverter, file::metadata::ParquetMetaData};
use std::{collections::HashSet, sync::Arc};

/// Row groups of each file: whether one can hold matching rows. Nothing is said of a file of which nothing is known.
pub(crate) struct Possible(Vec<Option<Vec<bool>>>);

impl Possible {
    /// By conditions on the snapshot's columns, all of which must hold.
    pub(crate) fn new(files: &[FileRows], schema: &SchemaRef, conditions: &[Arc<dyn PhysicalExpr>]) -> Self {
        let all = conjunction(conditions.to_vec());
        let predicate = if conditions.is_empty() {
            None
        } else {
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(all).ok()
        };
        let Some(predicate) = predicate.filter(|predicate| !predicate.always_true()) else {
            return Self(Vec::new());
        };
        let of = |file: &FileRows| file.footer.as_deref().and_then(|footer| possible(&predicate, footer, schema));
        Self(files.iter().map(of).collect())
    }

    /// Whether a row group can hold matching rows.
    pub(crate) fn in_group(&self, file: usize, group: usize) -> bool {
        let groups = self.0.get(file).and_then(Option::as_ref);
        groups.and_then(|groups| groups.get(group)).copied().unwrap_or(true)
    }
}

fn possible(predicate: &PruningPredicate, footer: &ParquetMetaData, schema: &SchemaRef) -> Option<Vec<bool>> {
    predicate.prune(&Bounds { footer, schema }).ok()
}

/// The bounds of a file's row groups.
struct Bounds<'a> {
    footer: &'a ParquetMetaData,
    schema: &'a SchemaRef,
}

impl<'a> Bounds<'a> {
    fn of(&self, column: &Column) -> Option<StatisticsConverter<'a>> {
        let file = self.footer.file_metadata().schema_descr();
        StatisticsConverter::try_new(column.name(), self.schema, file).ok()
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_mins(self.footer.row_groups()).ok()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_maxes(self.footer.row_groups()).ok()
    }

    fn num_containers(&self) -> usize {
        self.footer.num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.of(column)?.row_group_null_counts(self.footer.row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
