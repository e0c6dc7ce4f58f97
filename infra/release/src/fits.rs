//! Sums that their type can't hold: the engine adds whole numbers and decimals up without looking whether they fit, and what comes out
//! then, the rest after so many times the size of the type, tells of the last digit of what is in it.
//!
//! What all people contribute, each without its sign, is at least as large as the sum. So where that doesn't fit, the sum may not either, and the
//! largest number of the type is shown in its place, whoever makes it so large.
//!
//! INVARIANT: it comes after the noise: of a number that is known beforehand, the noise would tell how many people there are.

use crate::release::{limited::Limited, perturb::largest};
use arrow::{
    array::{Array, AsArray},
    compute::interleave,
    datatypes::DataType,
};
use datafusion::{
    common::{Result, exec_datafusion_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use proto::plan::contributions::Contributions;
use std::sync::{Arc, LazyLock};

/// Totals are floats, and the nearer they are to the largest number the less they say on which side of it.
const NEAR: f64 = 1.0 - 1e-6;

static FITTING: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Fitting { signature: Signature::any(2, Volatility::Immutable) }))
});

/// `sum`, or the largest number of its type where `contributions` are too large for it.
pub(super) fn fitting(sum: Expr, contributions: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&FITTING), args: vec![sum, contributions] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Fitting {
    signature: Signature,
}

impl ScalarUDFImpl for Fitting {
    fn name(&self) -> &str {
        "fitting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(|| exec_datafusion_err!("fitting: a sum is missing"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(sums), Some(said)) = (arrays.first(), arrays.get(1).and_then(|said| said.as_binary_opt::<i32>()))
        else {
            return Err(exec_datafusion_err!("fitting: what a sum is made of is missing"));
        };
        let Some((largest, most)) = largest(sums.data_type())? else {
            return Ok(ColumnarValue::Array(Arc::clone(sums)));
        };
        let mut choice = Vec::with_capacity(sums.len());
        for (row, said) in said.iter().enumerate() {
            let said = said.map(Contributions::read).transpose().map_err(|error| exec_datafusion_err!("{error}"))?;
            // One who adds more than the limits let them doesn't decide it.
            let limited = said.as_ref().map(Limited::of).transpose()?.flatten();
            let total = match limited {
                Some(limited) => limited.size,
                None => said.and_then(|said| said.sizes).map_or(0.0, |sizes| sizes.total),
            };
            // Not a number is too large, too.
            let fits = total < most * NEAR || sums.is_null(row);
            choice.push(if fits { (0, row) } else { (1, 0) });
        }
        Ok(ColumnarValue::Array(interleave(&[sums.as_ref(), largest.as_ref()], &choice)?))
    }
}
