//! `contributions(person, value)`: who adds something to a sum or a mean, and how much the largest do, as [`Contributions`].
//!
//! One table of (group, person) with the sum of that person's values says all that release asks of such a statistic: who has
//! a value, who has one that isn't zero, the total of what they contribute, and the two largest contributions.
//!
//! And [`amounts`]: marks of who adds how much, by which a later statistic of nearly the same contributions is known again. What somebody
//! adds to a sum is the sum of their values, to a mean also how many values they have, to a spread also what the squares of these add up to.
//! A statement's means and spreads ask for them (`contributions_mean`, `contributions_spread`); no other statement has them sent.
//!
//! And who adds the most and the least, one by one ([`outer`]).
//!
//! The answer is NULL for a cell of which no row has a value. Rows without a person number are nobody's: they count as no
//! contributor, and what they add up to stands among the contributions as that of one more.

pub mod amounts;
mod groups;
pub mod outer;
mod parts;
mod rows;

use super::{gathered::words, persons::WIDTH};
use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, TypeSignature, Volatility,
        expr::AggregateFunction,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
};
use groups::Groups;
use std::sync::{Arc, LazyLock};

pub use parts::{Contributions, Merged, Sizes};

/// For which statistics the contributions can be told from others, each with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tells {
    /// what each person's values add up to
    Sum,
    /// and how many they are
    Mean,
    /// and what their squares add up to
    Spread,
}

impl Tells {
    /// All of them, in their order.
    pub const ALL: [Self; MOST] = [Self::Sum, Self::Mean, Self::Spread];

    /// So many numbers are added up for each person.
    #[must_use]
    pub const fn numbers(self) -> usize {
        match self {
            Self::Sum => 1,
            Self::Mean => 2,
            Self::Spread => MOST,
        }
    }
}

/// The most numbers that are added up for a person.
pub const MOST: usize = 3;

/// The aggregate functions `contributions`, `contributions_mean` and `contributions_spread`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Contributing {
    tells: Tells,
    signature: Signature,
}

static CONTRIBUTIONS: LazyLock<[Arc<AggregateUDF>; MOST]> = LazyLock::new(|| {
    Tells::ALL.map(|tells| {
        // the numbers as they come from rows, or as they were added up elsewhere
        let of = |numbers| {
            let numbers = std::iter::repeat_n(DataType::Float64, numbers);
            TypeSignature::Exact(std::iter::once(DataType::FixedSizeBinary(WIDTH)).chain(numbers).collect())
        };
        let mut signatures = vec![of(1)];
        if tells != Tells::Sum {
            signatures.push(of(tells.numbers()));
        }
        let signature = Signature::one_of(signatures, Volatility::Immutable);
        Arc::new(AggregateUDF::new_from_impl(Contributing { tells, signature }))
    })
});

/// The function, to register with an engine that reads plans from elsewhere.
#[must_use]
pub fn contributions_udaf(tells: Tells) -> Arc<AggregateUDF> {
    let [sum, mean, spread] = &*CONTRIBUTIONS;
    Arc::clone(match tells {
        Tells::Sum => sum,
        Tells::Mean => mean,
        Tells::Spread => spread,
    })
}

/// For what a function tells contributions, if it is one of these.
#[must_use]
pub fn tells(function: &AggregateUDF) -> Option<Tells> {
    Tells::ALL.into_iter().find(|tells| *contributions_udaf(*tells) == *function)
}

/// `contributions(person, value) FILTER (WHERE filter)`; `value` is Float64.
#[must_use]
pub fn contributions(tells: Tells, person: Expr, value: Expr, filter: Option<Expr>) -> Expr {
    call(tells, vec![person, value], filter)
}

/// The same from what each person's values were added up to elsewhere: sum, number, sum of squares, as many as [`Tells`] says; all Float64.
#[must_use]
pub fn contributions_of_sums(tells: Tells, person: Expr, sums: impl IntoIterator<Item = Expr>) -> Expr {
    call(tells, std::iter::once(person).chain(sums).collect(), None)
}

fn call(tells: Tells, args: Vec<Expr>, filter: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        contributions_udaf(tells),
        args,
        false,
        filter.map(Box::new),
        Vec::new(),
        None,
    ))
}

impl AggregateUDFImpl for Contributing {
    fn name(&self) -> &str {
        match self.tells {
            Tells::Sum => "contributions",
            Tells::Mean => "contributions_mean",
            Tells::Spread => "contributions_spread",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name, kind| Arc::new(Field::new(format_state_name(args.name, name), kind, true));
        Ok(vec![field("sums", DataType::List(groups::item(self.tells.numbers()))), field("nobody", DataType::Float64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match self.tells {
            Tells::Sum => Box::new(One(Groups::<{ words(1) }>::default())),
            Tells::Mean => Box::new(One(Groups::<{ words(2) }>::default())),
            Tells::Spread => Box::new(One(Groups::<{ words(MOST) }>::default())),
        })
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.tells {
            Tells::Sum => Box::new(Groups::<{ words(1) }>::default()),
            Tells::Mean => Box::new(Groups::<{ words(2) }>::default()),
            Tells::Spread => Box::new(Groups::<{ words(MOST) }>::default()),
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// All rows as one group, for aggregates without GROUP BY.
#[derive(Debug)]
struct One<const W: usize>(Groups<W>);

impl<const W: usize> Accumulator for One<W> {
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
