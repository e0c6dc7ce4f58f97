//! Answers that do without members of a national table that can't be asked, because the session allows it.
//!
//! INVARIANT: such an answer says so wherever it is read: in its schema, in a last column of each row, and in `EXPLAIN`. One that
//! says nothing is whole.

use super::national::NationalTable;
use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{common::tree_node::TreeNodeRecursion, datasource::source_as_provider, logical_expr::LogicalPlan};
use proto::ids::ControllerId;
use std::{collections::BTreeSet, sync::Arc};

/// Metadata of an answer's schema: controllers whose rows are not in it, separated by commas.
pub const PARTIAL: &str = "eger:partial";
/// The last column of a partial answer, which holds the same: not every client shows metadata.
pub const LEFT_OUT: &str = "left_out";

/// Controllers that a statement does without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut(BTreeSet<ControllerId>);

impl LeftOut {
    /// Of all national tables that a plan reads, in subqueries too.
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        let mut all = BTreeSet::new();
        // The closure never fails.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && let Some(national) = provider.downcast_ref::<NationalTable>()
            {
                all.extend(national.left_out().iter().cloned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        Self(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(",")
    }

    /// The schema of an answer without them.
    pub(super) fn marked(&self, schema: SchemaRef) -> SchemaRef {
        if self.is_empty() {
            return schema;
        }
        let mut metadata = schema.metadata().clone();
        metadata.insert(PARTIAL.to_owned(), self.names());
        let fields = schema.fields().iter().cloned().chain([Arc::new(Field::new(LEFT_OUT, DataType::Utf8, false))]);
        Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata))
    }

    /// The last column of `rows` rows; none of a whole answer.
    pub(super) fn column(&self, rows: usize) -> Option<ArrayRef> {
        let names = (!self.is_empty()).then(|| self.names())?;
        Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(names, rows))))
    }

    /// One line for each, for `EXPLAIN`.
    pub(super) fn lines(&self) -> impl Iterator<Item = (String, String)> {
        let line = "(left out: it can't be reached, and the session allows partial answers)";
        self.0.iter().map(move |controller| (controller.to_string(), line.to_owned()))
    }
}
