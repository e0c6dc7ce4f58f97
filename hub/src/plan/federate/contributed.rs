//! Contributions of the people of parts that share nobody, as one.

use arrow::{
    array::{ArrayRef, AsArray},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue, exec_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
};
use proto::plan::{
    contributions::{Contributions, MOST, Merged},
    persons::NoSummary,
};
use std::sync::{Arc, LazyLock};

static MERGED: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let signature = Signature::exact(vec![DataType::Binary], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Contributed { signature }))
});

/// `merged_contributions(contributions)` over parts; NULL where no part has a value.
pub(super) fn merged_contributions() -> Arc<AggregateUDF> {
    Arc::clone(&MERGED)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Contributed {
    signature: Signature,
}

impl AggregateUDFImpl for Contributed {
    fn name(&self) -> &str {
        "merged_contributions"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "contributions"), DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merge(None)))
    }
}

#[derive(Debug)]
struct Merge(Option<Merged>);

impl Accumulator for Merge {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(parts) = values.first().and_then(|parts| parts.as_binary_opt::<i32>()) else {
            return exec_err!("contributions of parts are merged");
        };
        for part in parts.iter().flatten() {
            let part = Contributions::read(part).and_then(Merged::of).map_err(unread)?;
            match &mut self.0 {
                Some(whole) => whole.merge(&part),
                None => self.0 = Some(part),
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.0.as_ref().map(Merged::write).transpose().map_err(unread)?))
    }

    fn size(&self) -> usize {
        // with the marks of those who have a value, of those who add something, and of what they add
        size_of_val(self) + (2 + MOST) * proto::plan::persons::MARKS
    }
}

fn unread(error: NoSummary) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}
