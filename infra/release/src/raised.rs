//! A threshold above the platform's own, as a permit may ask for: one more look at what a statistic is made of.
//!
//! INVARIANT: it hides more, and nothing less: where it hides nothing, the platform's own rules are asked.

use crate::release::{cells::choose, cells::flagged, rule::code_of_few};
use arrow::{
    array::{ArrayRef, AsArray, BinaryArray, UInt8Array},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, exec_datafusion_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use policies::disclosure::Threshold;
use proto::plan::persons::head;
use std::sync::Arc;

/// The number of the raised threshold's rule where fewer than `least` of `people` are behind something, or so few of `whole` beside
/// them; elsewhere `rule`. All who are too few have one number, so that they fold into one row.
pub(super) fn raised(least: Threshold, rule: Expr, people: Expr, whole: Option<Expr>) -> Expr {
    if least <= Threshold::DEFAULT {
        return rule;
    }
    let args: Vec<Expr> = std::iter::once(people).chain(whole).collect();
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(Raised { least: least.least(), signature });
    let more = Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args });
    choose(flagged(more.clone()), more, rule)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Raised {
    least: u64,
    signature: Signature,
}

impl Raised {
    /// Nobody is few.
    fn of(&self, people: Option<&[u8]>, whole: Option<&[u8]>) -> Result<u8> {
        let count = |summary: Option<&[u8]>| -> Result<Option<u64>> {
            let found = summary.map(head).transpose().map_err(|error| exec_datafusion_err!("{error}"))?;
            Ok(found.map(|(people, _)| people))
        };
        let (people, whole) = (count(people)?, count(whole)?);
        let rest = whole.unwrap_or(0).saturating_sub(people.unwrap_or(0));
        let hidden = people.is_none_or(|people| people < self.least) || (rest > 0 && rest < self.least);
        Ok(if hidden { code_of_few(self.least) } else { 0 })
    }
}

impl ScalarUDFImpl for Raised {
    fn name(&self) -> &str {
        "rule_of_raised_threshold"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bytes = |at: usize| -> Result<&BinaryArray> {
            let array = arrays.get(at).and_then(|array| array.as_binary_opt::<i32>());
            array.ok_or_else(|| exec_datafusion_err!("{}: what is known of a cell is missing", self.name()))
        };
        let people = bytes(0)?;
        let codes: UInt8Array = if arrays.len() > 1 {
            people
                .iter()
                .zip(bytes(1)?)
                .map(|(people, whole)| self.of(people, whole).map(Some))
                .collect::<Result<_>>()?
        } else {
            people.iter().map(|people| self.of(people, None).map(Some)).collect::<Result<_>>()?
        };
        Ok(ColumnarValue::Array(Arc::new(codes) as ArrayRef))
    }
}
