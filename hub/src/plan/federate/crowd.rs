//! Summaries of the people of parts that share nobody, as one summary.

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
use proto::plan::persons::{NoSummary, Summary};
use std::sync::{Arc, LazyLock};

static MERGED: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let signature = Signature::exact(vec![DataType::Binary], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Crowd { signature }))
});

/// `merged_persons(summary)` over parts; NULL where no part has rows.
pub(super) fn merged_persons() -> Arc<AggregateUDF> {
    Arc::clone(&MERGED)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Crowd {
    signature: Signature,
}

impl AggregateUDFImpl for Crowd {
    fn name(&self) -> &str {
        "merged_persons"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "persons"), DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merge(None)))
    }
}

#[derive(Debug)]
struct Merge(Option<Summary>);

impl Accumulator for Merge {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(parts) = values.first().and_then(|parts| parts.as_binary_opt::<i32>()) else {
            return exec_err!("summaries of people are merged");
        };
        for part in parts.iter().flatten() {
            let part = Summary::read(part).map_err(unread)?;
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
        Ok(ScalarValue::Binary(self.0.as_ref().map(Summary::write).transpose().map_err(unread)?))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.as_ref().map_or(0, |summary| size_of_val(&*summary.marks))
    }
}

fn unread(error: NoSummary) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}
