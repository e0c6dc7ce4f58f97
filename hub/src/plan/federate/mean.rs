//! The mean of decimals from their sum and their number, as the engine's own `avg` has it.

use arrow::{
    array::{Array, AsArray, Decimal128Array},
    datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, DecimalType, Int64Type},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use std::sync::Arc;

/// `total / n` as Decimal128(precision, scale), cut and not rounded; NULL when `n` is 0.
pub(super) fn mean(total: Expr, n: Expr, precision: u8, scale: i8) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::new_from_impl(Mean { precision, scale, signature }).call(vec![total, n])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mean {
    precision: u8,
    scale: i8,
    signature: Signature,
}

impl ScalarUDFImpl for Mean {
    fn name(&self) -> &str {
        "mean_of_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [totals, numbers] = arrays.as_slice() else { return exec_err!("mean_of_sum takes two arguments") };
        let DataType::Decimal128(_, from) = totals.data_type() else {
            return exec_err!("mean_of_sum takes a decimal sum");
        };
        let Some(totals) = totals.as_primitive_opt::<Decimal128Type>() else {
            return exec_err!("mean_of_sum takes a decimal sum");
        };
        let Some(numbers) = numbers.as_primitive_opt::<Int64Type>() else {
            return exec_err!("mean_of_sum takes a count");
        };
        let Some(factor) = u32::try_from(self.scale - from).ok().and_then(|places| 10_i128.checked_pow(places)) else {
            return exec_err!("mean_of_sum can't make a mean of fewer decimals than the sum has");
        };
        let one = |row: usize| {
            let n = i128::from(numbers.value(row));
            if totals.is_null(row) || numbers.is_null(row) || n == 0 {
                return Ok(None);
            }
            let mean = totals.value(row).checked_mul(factor).map(|total| total / n);
            match mean {
                Some(mean) => {
                    Decimal128Type::validate_decimal_precision(mean, self.precision, self.scale)?;
                    Ok(Some(mean))
                }
                None => exec_err!("a mean is too large for its type"),
            }
        };
        let means = (0..totals.len()).map(one).collect::<Result<Decimal128Array>>()?;
        let precision = self.precision.min(DECIMAL128_MAX_PRECISION);
        Ok(ColumnarValue::Array(Arc::new(means.with_precision_and_scale(precision, self.scale)?)))
    }
}
