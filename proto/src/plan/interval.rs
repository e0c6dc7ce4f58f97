//! Intervals of numbers, in which the people of a quantile are counted: [`interval`] is the lower end of the one that a value is in.
//!
//! Where intervals begin and end is written down here and depends on no table, so that neither does a range that is made of them:
//! the values that begin with one digit (20 to 30, 300,000 to 400,000), zero by itself, or multiples of a step. Hub and spokes
//! compute it alike. The rule is in `rule`.
//!
//! INVARIANT: an interval is called by the number nearest to its lower end, to the last bit, whatever value of it is looked at.

mod rule;

pub use rule::Grid;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
        lit,
    },
};
use std::sync::{Arc, LazyLock};

/// The function's name, in fragments too.
pub const NAME: &str = "interval_low";

/// Where the interval of `value`, a Float64, begins: a Float64, NULL for what is no number or infinite.
#[must_use]
pub fn interval(value: Expr, grid: Grid) -> Expr {
    let step = grid.step().map(lit);
    Expr::ScalarFunction(ScalarFunction { func: udf(), args: std::iter::once(value).chain(step).collect() })
}

/// The function. No session has it under its name: statements can't call it.
#[must_use]
pub fn udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Interval { signature }))
    });
    Arc::clone(&UDF)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Interval {
    signature: Signature,
}

impl ScalarUDFImpl for Interval {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [DataType::Float64] | [DataType::Float64, DataType::Float64] => Ok(DataType::Float64),
            _ => plan_err!("{NAME}() takes a number and perhaps a step, both Float64"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (value, grid) = match args.args.as_slice() {
            [value] => (value, Grid::digit()),
            [value, ColumnarValue::Scalar(ScalarValue::Float64(Some(step)))] => match Grid::of(*step) {
                Some(grid) => (value, grid),
                None => return exec_err!("{NAME}() takes a step above zero"),
            },
            _ => return exec_err!("{NAME}() takes a number and perhaps a step that is a constant"),
        };
        let begins = |values: &ArrayRef| -> Result<ArrayRef> {
            let Some(values) = values.as_primitive_opt::<Float64Type>() else {
                return exec_err!("{NAME}() takes Float64");
            };
            Ok(Arc::new(values.iter().map(|value| grid.begins(value?)).collect::<Float64Array>()))
        };
        Ok(match value {
            ColumnarValue::Array(values) => ColumnarValue::Array(begins(values)?),
            ColumnarValue::Scalar(value) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&begins(&value.to_array()?)?, 0)?)
            }
        })
    }
}
