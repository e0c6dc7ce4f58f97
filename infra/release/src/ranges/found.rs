//! The aggregate that makes a range of counts in intervals. It runs at the hub, over counts of people, never over people.

use super::{Gives, asked::Wanted};
use arrow::{
    array::{ArrayRef, AsArray, BinaryArray},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_datafusion_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility,
        expr::AggregateFunction,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
};
use policies::disclosure::quantile;
use proto::plan::interval::Grid;
use std::sync::Arc;

/// What counts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Counts {
    /// as they are
    Exact,
    /// as they are shown; the count of a row without an interval is of the people who have a value
    Shown,
}

/// `found(low, people)`: the range, of one group.
pub(super) fn found(wanted: Wanted, grid: Grid, counts: Counts, low: Expr, people: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Float64, DataType::Int64], Volatility::Immutable);
    let function = AggregateUDF::new_from_impl(Found { wanted, grid, counts, signature });
    Expr::AggregateFunction(AggregateFunction::new_udf(
        Arc::new(function),
        vec![low, people],
        false,
        None,
        Vec::new(),
        None,
    ))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Found {
    wanted: Wanted,
    grid: Grid,
    counts: Counts,
    signature: Signature,
}

impl AggregateUDFImpl for Found {
    fn name(&self) -> &str {
        match self.wanted.gives {
            Gives::Text => "range_of_counts",
            Gives::Low => "low_of_counts",
            Gives::High => "high_of_counts",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.wanted.gives.kind())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "counts"), DataType::Binary, true))])
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Self { wanted, grid, counts, .. } = *self;
        Ok(Box::new(Counting { wanted, grid, counts, cells: Vec::new() }))
    }
}

/// The counts of one group so far.
#[derive(Debug)]
struct Counting {
    wanted: Wanted,
    grid: Grid,
    counts: Counts,
    /// where an interval begins, and how many people are in it; without an interval: how many there are
    cells: Vec<(Option<f64>, u64)>,
}

/// A cell between two parts of an aggregate: whether there is an interval, where it begins, people.
const BYTES: usize = 17;

impl Counting {
    fn bytes(&self) -> Vec<u8> {
        let cell = |(low, people): &(Option<f64>, u64)| {
            let mut bytes = [0; BYTES];
            let (some, rest) = bytes.split_at_mut(1);
            let (begins, count) = rest.split_at_mut(8);
            some.fill(u8::from(low.is_some()));
            begins.copy_from_slice(&low.unwrap_or_default().to_le_bytes());
            count.copy_from_slice(&people.to_le_bytes());
            bytes
        };
        self.cells.iter().flat_map(cell).collect()
    }

    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        for cell in bytes.chunks(BYTES) {
            let (some, rest) = cell.split_first()?;
            let (begins, count) = rest.split_first_chunk::<8>()?;
            let low = (*some == 1).then(|| f64::from_le_bytes(*begins));
            self.cells.push((low, u64::from_le_bytes(count.try_into().ok()?)));
        }
        Some(())
    }

    fn range(&self) -> Option<(f64, f64)> {
        let people = self.cells.iter().find(|(low, _)| low.is_none()).map(|(_, people)| *people);
        let mut cells: Vec<(f64, u64)> =
            self.cells.iter().filter_map(|(low, people)| Some(((*low)?, *people))).collect();
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        let counts: Vec<u64> = cells.iter().map(|(_, people)| *people).collect();
        let fraction = self.wanted.fraction();
        let (first, last) = match self.counts {
            Counts::Exact => quantile::exactly(&counts, fraction).map(|at| (at, at)),
            Counts::Shown => quantile::range(&counts, people?, fraction),
        }?;
        Some((cells.get(first)?.0, self.grid.ends(cells.get(last)?.0)))
    }
}

impl Accumulator for Counting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [low, people] = values else { return Err(exec_datafusion_err!("a range is made of two columns")) };
        let (low, people) = (low.as_primitive::<Float64Type>(), people.as_primitive::<Int64Type>());
        let counted = low.iter().zip(people).filter_map(|(low, people)| Some((low, u64::try_from(people?).ok()?)));
        self.cells.extend(counted);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let broken = || exec_datafusion_err!("counts of a range can't be read");
        let states: &BinaryArray =
            states.first().and_then(|states| states.as_binary_opt::<i32>()).ok_or_else(broken)?;
        for state in states.iter().flatten() {
            self.read(state).ok_or_else(broken)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let range = self.range();
        Ok(match self.wanted.gives {
            Gives::Text => ScalarValue::Utf8(
                range.map(|(low, high)| if low == high { low.to_string() } else { format!("{low} to {high}") }),
            ),
            Gives::Low => ScalarValue::Float64(range.map(|(low, _)| low)),
            Gives::High => ScalarValue::Float64(range.map(|(_, high)| high)),
        })
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.bytes()))])
    }

    fn size(&self) -> usize {
        std::mem::size_of_val(self) + self.cells.capacity() * std::mem::size_of::<(Option<f64>, u64)>()
    }
}
