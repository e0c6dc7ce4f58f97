//! The functions that make shown numbers of exact ones: which people a cell has goes in, as `persons` says it, and no exact number
//! of people comes out.
//!
//! INVARIANT: they run after the last aggregate, at the hub or at a spoke that checks its own cells; a fragment can't say them, so that nobody
//! chooses where noise comes in.
//! INVARIANT: no count is shown below the threshold that holds for its statement.

use super::ledger::Ledger;
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, PrimitiveArray},
    compute::cast,
    datatypes::{
        ArrowNativeTypeOp, ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use datafusion::{
    common::{
        DataFusionError, Result, ScalarValue, exec_datafusion_err, exec_err, internal_datafusion_err, internal_err,
    },
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use policies::disclosure::{
    Threshold,
    noise::{self, CellKey},
    statistic::Share,
};
use proto::plan::persons::{NoSummary, Summary, head};
use std::{
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

/// What is made of a cell's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Makes {
    /// `people(summary)`: how many there are, for the rules; never shown
    People,
    /// `shown_people(summary)`: how many are shown; 0 where there are no rows
    Shown,
    /// `shown(value, summary)`: of a statistic that grows with its people
    Statistic,
    /// `shown_count(value, summary)`: of one that says nothing but who they are: rows, or a constant for each
    Counted,
    /// `shown_mean(value, adding, all, deviation)`: of a mean of all, to which some add
    Mean,
    /// `shown_spread(value, all)`: of a variance or standard deviation
    Spread,
}

#[derive(Debug)]
struct Perturb {
    makes: Makes,
    signature: Signature,
    ledger: Arc<Ledger>,
    /// of the statement
    least: Threshold,
}

impl PartialEq for Perturb {
    fn eq(&self, other: &Self) -> bool {
        self.makes == other.makes && self.least == other.least && Arc::ptr_eq(&self.ledger, &other.ledger)
    }
}

impl Eq for Perturb {}

impl Hash for Perturb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.makes.hash(state);
        self.least.hash(state);
    }
}

fn function(makes: Makes, ledger: &Arc<Ledger>, least: Threshold) -> Arc<ScalarUDF> {
    let signature = Signature::any(
        match makes {
            Makes::People | Makes::Shown => 1,
            Makes::Statistic | Makes::Counted | Makes::Spread => 2,
            Makes::Mean => 4,
        },
        Volatility::Immutable,
    );
    Arc::new(ScalarUDF::new_from_impl(Perturb { makes, signature, ledger: Arc::clone(ledger), least }))
}

static PEOPLE: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| function(Makes::People, &Arc::default(), Threshold::DEFAULT));

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction { func: Arc::clone(function), args })
}

/// How many people there are; NULL where there are no rows.
pub(super) fn people(summary: Expr) -> Expr {
    call(&PEOPLE, vec![summary])
}

/// [`people`], for statements of tests.
#[cfg(test)]
pub(super) fn people_udf() -> Arc<ScalarUDF> {
    Arc::clone(&PEOPLE)
}

/// Noise in the numbers of one project, whose released cells are in a ledger.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    ledger: Arc<Ledger>,
    shown: Arc<ScalarUDF>,
    statistic: Arc<ScalarUDF>,
    counted: Arc<ScalarUDF>,
    mean: Arc<ScalarUDF>,
    spread: Arc<ScalarUDF>,
}

impl Noise {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Self {
        Self::of(ledger, Threshold::DEFAULT)
    }

    /// The same in a statement whose numbers are about so many people at least.
    pub(super) fn under(&self, least: Threshold) -> Self {
        Self::of(&self.ledger, least)
    }

    fn of(ledger: &Arc<Ledger>, least: Threshold) -> Self {
        let of = |makes| function(makes, ledger, least);
        Self {
            ledger: Arc::clone(ledger),
            shown: of(Makes::Shown),
            statistic: of(Makes::Statistic),
            counted: of(Makes::Counted),
            mean: of(Makes::Mean),
            spread: of(Makes::Spread),
        }
    }

    /// How many people are shown.
    pub(super) fn people(&self, summary: Expr) -> Expr {
        call(&self.shown, vec![summary])
    }

    /// What is shown of `value`, which `summary`'s people add up to.
    pub(super) fn sum(&self, value: Expr, summary: Expr) -> Expr {
        call(&self.statistic, vec![value, summary])
    }

    /// The same of a count, in whatever words: as exact as the people's, and remembered with them.
    pub(super) fn counted(&self, value: Expr, summary: Expr) -> Expr {
        call(&self.counted, vec![value, summary])
    }

    /// What is shown of a mean over `all`, to which the people of `adding` add, with its standard deviation.
    pub(super) fn mean(&self, value: Expr, adding: Expr, all: Expr, deviation: Expr) -> Expr {
        call(&self.mean, vec![value, adding, all, deviation])
    }

    /// What is shown of a variance or standard deviation over `all`.
    pub(super) fn spread(&self, value: Expr, all: Expr) -> Expr {
        call(&self.spread, vec![value, all])
    }
}

impl ScalarUDFImpl for Perturb {
    fn name(&self) -> &str {
        match self.makes {
            Makes::People => "people",
            Makes::Shown => "shown_people",
            Makes::Statistic => "shown",
            Makes::Counted => "shown_count",
            Makes::Mean => "shown_mean",
            Makes::Spread => "shown_spread",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.makes, arguments.first()) {
            (Makes::Statistic | Makes::Counted | Makes::Mean | Makes::Spread, Some(value)) => Ok(value.clone()),
            _ => Ok(DataType::Int64),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let summaries = |at: usize| -> Result<&BinaryArray> {
            let array = arrays.get(at).and_then(|array| array.as_binary_opt::<i32>());
            array.ok_or_else(|| exec_datafusion_err!("{}: a summary of people is missing", self.name()))
        };
        let shown: ArrayRef = match (self.makes, arrays.as_slice()) {
            (Makes::People, _) => {
                let people = cells(summaries(0)?, Cell::exact)?;
                Arc::new(people.into_iter().map(|cell| Some(cell?.people)).map(count).collect::<Result<Int64Array>>()?)
            }
            (Makes::Shown, _) => {
                let people = self.released(summaries(0)?)?;
                Arc::new(people.into_iter().map(|cell| Some(cell?.shown)).map(count).collect::<Result<Int64Array>>()?)
            }
            (Makes::Statistic | Makes::Counted, [value, _]) => {
                let exact = cells(summaries(1)?, Cell::exact)?;
                let released = match self.makes {
                    Makes::Counted => self.released(summaries(1)?)?,
                    _ => self.ones(value, summaries(1)?)?,
                };
                numbers(value, |row, value| {
                    let Some(own) = cell(&exact, row) else { return Some(value) };
                    let share = cell(&released, row).unwrap_or(own).share();
                    let Some(share) = share else { return Some(value) };
                    match value {
                        Number::Whole(value) => Some(Number::Whole(share.whole(value))),
                        Number::Float(value) => Some(Number::Float(share.number(value))),
                    }
                })?
            }
            (Makes::Mean, [value, _, _, deviation]) => {
                let (adding, all) = (self.released(summaries(1)?)?, self.released(summaries(2)?)?);
                let Some(deviation) = deviation.as_primitive_opt::<Float64Type>() else {
                    return internal_err!("{}: a standard deviation is missing", self.name());
                };
                floats(value, |row, value| {
                    let (Some(adding), Some(all)) = (cell(&adding, row), cell(&all, row)) else { return value };
                    let (Some(adds), Some(of)) = (adding.share(), all.share()) else { return value };
                    let deviation = if deviation.is_valid(row) { deviation.value(row) } else { 0.0 };
                    adds.mean(of, value, deviation, all.noise(OF_MEANS))
                })?
            }
            (Makes::Spread, [value, _]) => {
                let all = cells(summaries(1)?, Cell::exact)?;
                floats(value, |row, value| {
                    let Some(cell) = cell(&all, row) else { return value };
                    cell.share().map_or(value, |of| of.spread(value, cell.noise(OF_SPREADS)))
                })?
            }
            _ => return internal_err!("{}: arguments are missing", self.name()),
        };
        Ok(ColumnarValue::Array(shown))
    }
}

/// What other noise than the count's is looked up under: the key, turned so.
const OF_MEANS: u8 = 0x55;
const OF_SPREADS: u8 = 0xaa;

impl Perturb {
    /// Cells as they are shown, which the ledger knows from now on.
    fn released(&self, summaries: &BinaryArray) -> Result<Vec<Option<Cell>>> {
        let whole = summaries.iter().map(|summary| summary.map(Summary::read).transpose().map_err(unread));
        let whole = whole.collect::<Result<Vec<_>>>()?;
        let shown = self.ledger.shown_under(&whole, self.least)?;
        let cell = |(cell, shown): (Option<Summary>, Option<u64>)| {
            Some(Cell { shown: shown?, ..Cell::of(cell.as_ref()?.people, cell.as_ref()?.key) })
        };
        Ok(whole.into_iter().zip(shown).map(cell).collect())
    }

    /// Those cells, as they are shown, whose statistic is nothing but their number of people: a count in other words.
    fn ones(&self, values: &ArrayRef, summaries: &BinaryArray) -> Result<Vec<Option<Cell>>> {
        let cells = cells(summaries, Cell::exact)?;
        let values = cast(values, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let ones: BinaryArray = summaries
            .iter()
            .enumerate()
            .map(|(row, summary)| {
                let people = cell(&cells, row)?.people as f64;
                summary.filter(|_| values.is_valid(row) && (values.value(row).abs() - people).abs() < f64::EPSILON)
            })
            .collect();
        self.released(&ones)
    }
}

/// The people of a cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    people: u64,
    shown: u64,
    key: u8,
}

impl Cell {
    /// With its own noise, whatever was released before: of what is no count, so that no raised threshold bounds it below. There the noise
    /// of the fewest people is as large as that of all others.
    fn exact(summary: &[u8]) -> Result<Self> {
        let (people, key) = head(summary).map_err(unread)?;
        Ok(Self::of(people, key))
    }

    fn of(people: u64, key: u8) -> Self {
        Self { people, shown: noise::perturbed(people, CellKey::new(key), Threshold::DEFAULT), key }
    }

    /// None where nobody adds anything, so that there is nothing to be hidden.
    fn share(self) -> Option<Share> {
        Share::new(self.shown, self.people)
    }

    fn noise(self, turned: u8) -> i64 {
        let above = self.people.saturating_sub(Threshold::DEFAULT.least());
        noise::noise(above, CellKey::new(self.key ^ turned))
    }
}

fn unread(error: NoSummary) -> DataFusionError {
    exec_datafusion_err!("{error}")
}

fn count(people: Option<u64>) -> Result<Option<i64>> {
    people.map(i64::try_from).transpose().map_err(|_| exec_datafusion_err!("too many people in one cell"))
}

/// NULL where there are no rows.
fn cells(summaries: &BinaryArray, of: impl Fn(&[u8]) -> Result<Cell>) -> Result<Vec<Option<Cell>>> {
    summaries.iter().map(|summary| summary.map(&of).transpose()).collect()
}

fn cell(cells: &[Option<Cell>], row: usize) -> Option<Cell> {
    cells.get(row).copied().flatten()
}

/// One value of a statistic; a decimal in its smallest units.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Float(f64),
}

/// The same kind of numbers, each changed; one that doesn't fit any more is the largest or smallest that does: an error would tell of
/// the noise and of whoever makes the number so large.
fn numbers(values: &ArrayRef, change: impl Fn(usize, Number) -> Option<Number>) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Int8 => whole::<Int8Type>(values, change)?,
        DataType::Int16 => whole::<Int16Type>(values, change)?,
        DataType::Int32 => whole::<Int32Type>(values, change)?,
        DataType::Int64 => whole::<Int64Type>(values, change)?,
        DataType::UInt8 => whole::<UInt8Type>(values, change)?,
        DataType::UInt16 => whole::<UInt16Type>(values, change)?,
        DataType::UInt32 => whole::<UInt32Type>(values, change)?,
        DataType::UInt64 => whole::<UInt64Type>(values, change)?,
        DataType::Decimal128(..) => whole::<Decimal128Type>(values, change)?,
        DataType::Float64 => {
            let shown = values.as_primitive::<Float64Type>().iter().enumerate().map(|(row, value)| {
                let Some(value) = value else { return Ok(None) };
                match change(row, Number::Float(value)) {
                    Some(Number::Float(value)) => Ok(Some(value)),
                    _ => internal_err!("a statistic of another type"),
                }
            });
            Arc::new(shown.collect::<Result<Float64Array>>()?)
        }
        DataType::Null => Arc::clone(values),
        other => return exec_err!("a statistic of type {other} can't be released"),
    })
}

/// The least and the largest number of a type; of a decimal in its smallest units.
fn bounds<T: ArrowPrimitiveType>(kind: &DataType) -> (i128, i128)
where
    T::Native: Into<i128>,
{
    match kind {
        DataType::Decimal128(digits, _) => {
            let most = 10_i128.pow(u32::from(*digits)) - 1;
            (-most, most)
        }
        _ => (T::Native::MIN_TOTAL_ORDER.into(), T::Native::MAX_TOTAL_ORDER.into()),
    }
}

/// The largest number that a sum of this type can be, as an array of one and as a float; `None` of types that hold any.
pub(super) fn largest(kind: &DataType) -> Result<Option<(ArrayRef, f64)>> {
    let (most, scale) = match kind {
        DataType::Int64 => (bounds::<Int64Type>(kind).1, 0),
        DataType::UInt64 => (bounds::<UInt64Type>(kind).1, 0),
        DataType::Decimal128(_, scale) => (bounds::<Decimal128Type>(kind).1, *scale),
        _ => return Ok(None),
    };
    let one = match kind {
        DataType::Int64 => ScalarValue::Int64(i64::try_from(most).ok()),
        DataType::UInt64 => ScalarValue::UInt64(u64::try_from(most).ok()),
        DataType::Decimal128(digits, scale) => ScalarValue::Decimal128(Some(most), *digits, *scale),
        _ => return Ok(None),
    };
    Ok(Some((one.to_array()?, most as f64 / 10_f64.powi(i32::from(scale)))))
}

fn whole<T: ArrowPrimitiveType>(values: &ArrayRef, change: impl Fn(usize, Number) -> Option<Number>) -> Result<ArrayRef>
where
    T::Native: Into<i128> + TryFrom<i128>,
{
    let (least, most) = bounds::<T>(values.data_type());
    let values = values.as_primitive::<T>();
    let shown = values.iter().enumerate().map(|(row, value)| {
        let Some(value) = value else { return Ok(None) };
        match change(row, Number::Whole(value.into())) {
            Some(Number::Whole(shown)) => {
                let fits = T::Native::try_from(shown.clamp(least, most));
                fits.map(Some).map_err(|_| internal_datafusion_err!("a statistic that doesn't fit its type"))
            }
            _ => internal_err!("a statistic of another type"),
        }
    });
    let shown = shown.collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(shown.with_data_type(values.data_type().clone())))
}

/// The same for statistics that aren't whole numbers; a decimal keeps its digits.
fn floats(values: &ArrayRef, change: impl Fn(usize, f64) -> f64) -> Result<ArrayRef> {
    let scale = match values.data_type() {
        DataType::Decimal128(_, scale) => 10_f64.powi(i32::from(*scale)),
        _ => 1.0,
    };
    numbers(values, |row, value| match value {
        Number::Float(value) => Some(Number::Float(change(row, value))),
        Number::Whole(value) => {
            // what is larger than any whole number becomes the largest
            Some(Number::Whole((change(row, value as f64 / scale) * scale).round() as i128))
        }
    })
}
