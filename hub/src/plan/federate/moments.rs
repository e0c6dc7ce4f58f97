//! Variances and standard deviations of several parts from each part's number, mean and variance.
//!
//! Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979):
//! M2 = M2a + M2b + d^2 na nb / n, where d is the difference of the means.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    functions_aggregate::{stddev, variance},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
};
use std::sync::Arc;

/// Which statistic is made of the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    VarSample,
    VarPopulation,
    StddevSample,
    StddevPopulation,
}

impl Kind {
    /// The engine's function that it stands for.
    pub(super) fn of(function: &AggregateUDF) -> Option<Self> {
        let known = [
            (variance::var_samp_udaf(), Self::VarSample),
            (variance::var_pop_udaf(), Self::VarPopulation),
            (stddev::stddev_udaf(), Self::StddevSample),
            (stddev::stddev_pop_udaf(), Self::StddevPopulation),
        ];
        known.into_iter().find(|(udaf, _)| **udaf == *function).map(|(_, kind)| kind)
    }
}

/// `moments(n, mean, var_pop)` over parts.
pub(super) fn moments(kind: Kind) -> Arc<AggregateUDF> {
    let arguments = vec![DataType::Int64, DataType::Float64, DataType::Float64];
    let signature = Signature::exact(arguments, Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Moments { kind, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moments {
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Moments {
    fn name(&self) -> &str {
        match self.kind {
            Kind::VarSample => "merged_var_samp",
            Kind::VarPopulation => "merged_var_pop",
            Kind::StddevSample => "merged_stddev_samp",
            Kind::StddevPopulation => "merged_stddev_pop",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name, kind| Arc::new(Field::new(format_state_name(args.name, name), kind, true));
        Ok(vec![field("n", DataType::Int64), field("mean", DataType::Float64), field("var_pop", DataType::Float64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merge { kind: self.kind, n: 0.0, mean: 0.0, m2: 0.0 }))
    }
}

#[derive(Debug)]
struct Merge {
    kind: Kind,
    n: f64,
    mean: f64,
    /// sum of squared distances from the mean
    m2: f64,
}

impl Merge {
    fn add(&mut self, n: f64, mean: f64, m2: f64) {
        let both = self.n + n;
        let apart = mean - self.mean;
        self.m2 += m2 + apart * apart * self.n * n / both;
        self.mean += apart * n / both;
        self.n = both;
    }
}

impl Accumulator for Merge {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [n, mean, spread] = values else { return exec_err!("three arguments are merged") };
        let (Some(n), Some(mean), Some(spread)) = (
            n.as_primitive_opt::<Int64Type>(),
            mean.as_primitive_opt::<Float64Type>(),
            spread.as_primitive_opt::<Float64Type>(),
        ) else {
            return exec_err!("a number, a mean and a variance are merged");
        };
        for row in 0..n.len() {
            // A part without values has neither mean nor variance.
            if n.is_valid(row) && n.value(row) > 0 && mean.is_valid(row) && spread.is_valid(row) {
                let number = n.value(row) as f64;
                self.add(number, mean.value(row), spread.value(row) * number);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let some = self.n > 0.0;
        // a count of rows, far below 2^53
        let n = self.n as i64;
        Ok(vec![
            ScalarValue::Int64(Some(n)),
            ScalarValue::Float64(some.then_some(self.mean)),
            ScalarValue::Float64(some.then_some(self.m2 / self.n)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (least, divisor) = match self.kind {
            Kind::VarSample | Kind::StddevSample => (2.0, self.n - 1.0),
            Kind::VarPopulation | Kind::StddevPopulation => (1.0, self.n),
        };
        let variance = (self.n >= least).then(|| self.m2 / divisor);
        Ok(ScalarValue::Float64(match self.kind {
            Kind::VarSample | Kind::VarPopulation => variance,
            Kind::StddevSample | Kind::StddevPopulation => variance.map(f64::sqrt),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
