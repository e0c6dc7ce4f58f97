//! `persons(column)`: how many different people stand behind a cell.
//!
//! `count(DISTINCT ..)` over 16-byte pseudonyms keeps one boxed value per person and group; this one keeps a single
//! hash set of (group, pseudonym) for all groups.
//!
//! The answer is NULL for a cell without rows, and 0 for a cell whose rows all lack a person number: release treats
//! the two differently.

mod groups;

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

/// Width of a pseudonym in bytes.
pub const WIDTH: i32 = 16;

/// The aggregate function `persons`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Persons {
    signature: Signature,
    /// said of a cell without rows
    nobody: Option<i64>,
}

static PERSONS: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Persons::new(None))));

static COUNTED: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Persons::new(Some(0)))));

impl Persons {
    fn new(nobody: Option<i64>) -> Self {
        let signature = Signature::exact(vec![DataType::FixedSizeBinary(WIDTH)], Volatility::Immutable);
        Self { signature, nobody }
    }
}

/// `count(DISTINCT ..)` of pseudonyms, counted as [`persons`] does: 0 for a cell without rows.
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
        if self.nobody.is_some() { "counted_persons" } else { "persons" }
    }

    fn is_nullable(&self) -> bool {
        self.nobody.is_none()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = DataType::List(groups::item());
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "persons"), list, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Groups::new(self.nobody))))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.nobody)))
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
        Ok(ScalarValue::Int64(self.0.first()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.first_state()
    }

    fn size(&self) -> usize {
        std::mem::size_of_val(self) + self.0.bytes()
    }
}
