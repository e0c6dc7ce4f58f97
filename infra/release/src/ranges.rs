//! Quantiles as ranges: `quantile_range(x, 0.5)` beside other aggregates, in both zones.
//!
//! A quantile is one person's value. These functions tell the interval that it is in: people are counted in intervals of a grid that is
//! written down (`proto::plan::interval`), each once in each interval, and the range is found from these counts
//! (`policies::disclosure::quantile`). No row is ever looked at by them: [`ranged`] rewrites the statement, before any rule of
//! release looks at it, into what could be written without them:
//!
//! | part | is |
//! |---|---|
//! | the groups | the same aggregate without the ranges |
//! | the people in intervals | an aggregate by the same keys and the interval, which counts people |
//! | the people with a value | an aggregate by the same keys, which counts people (in the open zone) |
//!
//! In the open zone each of them is released by itself, with thresholds, lots, noise and ledger, and the range is made of what is shown
//! (`cells`, over `node`). In the enclave the counts are exact.
//!
//! INVARIANT: in the open zone nothing comes in but cells that have been released. A function that is left anywhere is refused.

mod asked;
mod beside;
mod cells;
mod found;
mod node;
mod rewrite;

pub(super) use node::Ranges;
pub use rewrite::ranged;

use arrow::datatypes::DataType;
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, WindowFunctionDefinition,
        function::AccumulatorArgs,
    },
};
use std::sync::{Arc, LazyLock};

/// What of a range a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Gives {
    /// both ends, to read
    Text,
    /// the lower end, which is in the range
    Low,
    /// the upper end, which isn't, unless it is the lower one
    High,
}

impl Gives {
    const ALL: [Self; 3] = [Self::Text, Self::Low, Self::High];

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "quantile_range",
            Self::Low => "quantile_low",
            Self::High => "quantile_high",
        }
    }

    const fn kind(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Low | Self::High => DataType::Float64,
        }
    }
}

/// The functions, for sessions: `quantile_range(x, fraction[, step])`, a text like `40 to 50`, and `quantile_low` and `quantile_high`, the
/// same range's ends as Float64. A statement that uses them has to go through [`ranged`].
#[must_use]
pub fn range_functions() -> Vec<Arc<AggregateUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function)).collect()
}

static FUNCTIONS: LazyLock<[(Gives, Arc<AggregateUDF>); 3]> = LazyLock::new(|| {
    Gives::ALL.map(|gives| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        (gives, Arc::new(AggregateUDF::new_from_impl(Quantile { gives, signature })))
    })
});

/// What a function gives, if it is one of these.
fn gives(function: &AggregateUDF) -> Option<Gives> {
    FUNCTIONS.iter().find(|(_, known)| known.as_ref() == function).map(|(gives, _)| *gives)
}

/// The function that an expression calls, if it is one of these, and whether it is called in the way that is answered.
fn called(expr: &Expr) -> Option<(Gives, bool)> {
    match expr {
        Expr::AggregateFunction(call) => gives(&call.func).map(|gives| (gives, true)),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => gives(function).map(|gives| (gives, false)),
            WindowFunctionDefinition::WindowUDF(_) => None,
        },
        _ => None,
    }
}

/// Stands for a range until the statement is rewritten.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantile {
    gives: Gives,
    signature: Signature,
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        self.gives.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.gives.kind())
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        exec_err!("{}() can't be computed in this place", self.name())
    }
}
