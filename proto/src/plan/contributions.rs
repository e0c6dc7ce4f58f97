//! `contributions(person, value)`: who adds something to a sum or a mean, and how much the largest do, as [`Contributions`].
//!
//! One table of (group, person) with the sum of that person's values says all that release asks of such a statistic: who has
//! a value, who has one that isn't zero, the total of what they contribute, and the two largest contributions.
//!
//! The answer is NULL for a cell of which no row has a value. Rows without a person number are nobody's: they count as no
//! contributor, and what they add up to stands among the contributions as that of one more.

mod groups;
mod parts;

use super::persons::WIDTH;
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

pub use parts::{Contributions, Merged, Sizes};

/// The aggregate function `contributions`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Contributing {
    signature: Signature,
}

static CONTRIBUTIONS: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let signature = Signature::exact(vec![DataType::FixedSizeBinary(WIDTH), DataType::Float64], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Contributing { signature }))
});

/// The function, to register with an engine that reads plans from elsewhere.
#[must_use]
pub fn contributions_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&CONTRIBUTIONS)
}

/// `contributions(person, value) FILTER (WHERE filter)`; `value` is Float64.
#[must_use]
pub fn contributions(person: Expr, value: Expr, filter: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        contributions_udaf(),
        vec![person, value],
        false,
        filter.map(Box::new),
        Vec::new(),
        None,
    ))
}

impl AggregateUDFImpl for Contributing {
    fn name(&self) -> &str {
        "contributions"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name, kind| Arc::new(Field::new(format_state_name(args.name, name), kind, true));
        Ok(vec![field("sums", DataType::List(groups::item())), field("nobody", DataType::Float64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Groups::default())))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
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
