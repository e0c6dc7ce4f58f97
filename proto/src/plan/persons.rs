//! `persons(column)`: which different people stand behind a cell, as a [`Summary`].
//!
//! `count(DISTINCT ..)` over 16-byte pseudonyms keeps one boxed value per person and group; this one keeps the pseudonyms, side by
//! side by group.
//!
//! The answer is NULL for a cell without rows, and a summary of nobody for a cell whose rows all lack a person number: release
//! treats the two differently.

pub(super) mod groups;
pub(super) mod summary;

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
        expr::AggregateFunction,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
};
use groups::Groups;
use std::sync::{Arc, LazyLock};

pub use summary::{MARKS, NoSummary, Summary, head};

/// Width of a pseudonym in bytes.
pub const WIDTH: i32 = 16;

/// What is said of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Says {
    /// how many: of a cell without rows 0
    Count,
    /// a summary: of a cell without rows NULL
    #[default]
    Summary,
}

/// The aggregate function `persons`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Persons {
    signature: Signature,
    says: Says,
}

static PERSONS: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Persons::new(Says::Summary))));

static COUNTED: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Persons::new(Says::Count))));

impl Persons {
    fn new(says: Says) -> Self {
        Self { signature: Signature::exact(vec![DataType::FixedSizeBinary(WIDTH)], Volatility::Immutable), says }
    }
}

/// `count(DISTINCT ..)` of pseudonyms, kept as [`persons`] does: 0 for a cell without rows.
pub(super) fn counted_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&COUNTED)
}

/// The function, to register with an engine that reads plans from elsewhere.
#[must_use]
pub fn persons_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&PERSONS)
}

/// `persons(person) FILTER (WHERE filter)`.
#[must_use]
pub fn persons(person: Expr, filter: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        persons_udaf(),
        vec![person],
        false,
        filter.map(Box::new),
        Vec::new(),
        None,
    ))
}

impl AggregateUDFImpl for Persons {
    fn name(&self) -> &str {
        if self.says == Says::Count { "counted_persons" } else { "persons" }
    }

    fn is_nullable(&self) -> bool {
        self.says == Says::Summary
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(if self.says == Says::Count { DataType::Int64 } else { DataType::Binary })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = DataType::List(groups::item());
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "persons"), list, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Groups::new(self.says))))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.says)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// All rows as one group, for aggregates without GROUP BY.
#[derive(Debug)]
struct One(Groups);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.add_all(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_all(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.first()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.first_state()
    }

    fn size(&self) -> usize {
        std::mem::size_of_val(self) + self.0.bytes()
    }
}
