//! The functions that make shown numbers of exact ones: which people a cell has goes in, as `persons` says it, and no exact number
//! of people comes out.
//!
//! INVARIANT: they run after the last aggregate, at the hub or at a spoke that checks its own cells; a fragment can't say them, so that nobody
//! chooses where noise comes in.
//! INVARIANT: no count is shown below the threshold that holds for its statement.

mod limits;
mod numbers;
mod remembered;

use super::{charge::Statement, ledger::Ledger, limited::Limited};
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array},
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::{DataFusionError, Result, exec_datafusion_err, internal_err},
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction, lit,
    },
};
pub(super) use limits::within;
pub(super) use numbers::largest;
use numbers::{Number, floats, numbers};
use policies::disclosure::{
    Threshold,
    noise::{self, CellKey},
    statistic::{Share, noise_of},
};
use proto::plan::persons::{NoSummary, Summary, head};
use remembered::Kind;
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
    /// `shown(value, adding, contributions)`: of a sum
    Statistic,
    /// `shown_count(value, adding, contributions)`: of a count of rows, or of a constant for each
    Counted,
    /// `shown_mean(value, adding, all, deviation, contributions)`: of a mean of all, to which some add
    Mean,
    /// `shown_share(value, adding, all, deviation, contributions)`: of a mean of zeros and ones
    Share,
    /// `shown_spread(value, all, contributions)`: of a variance or standard deviation
    Spread(Spread),
    /// `shown_spread_of_share(value, adding, all, contributions)`: the same of zeros and ones, of whom some add
    SpreadOfShare(Spread),
}

/// Which of the four statistics that say how far values are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Spread {
    /// a variance, not its root
    pub(super) squared: bool,
    /// of a sample, not of all
    pub(super) sample: bool,
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
    let any = |arguments| Signature::any(arguments, Volatility::Immutable);
    let signature = match makes {
        Makes::People | Makes::Shown => any(1),
        Makes::Statistic | Makes::Counted | Makes::Spread(_) => any(3),
        Makes::SpreadOfShare(_) => any(4),
        Makes::Mean | Makes::Share => any(5),
    };
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
    shown: Arc<ScalarUDF>,
    statistic: Arc<ScalarUDF>,
    counted: Arc<ScalarUDF>,
    mean: Arc<ScalarUDF>,
    share: Arc<ScalarUDF>,
    ledger: Arc<Ledger>,
    least: Threshold,
    /// whose numbers are counted; none before it is known
    statement: Option<Arc<Statement>>,
}

impl Noise {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Self {
        Self::of(ledger, Threshold::DEFAULT, None)
    }

    /// The same in this statement, whose numbers are about so many people at least.
    pub(super) fn under(&self, least: Threshold, statement: &LogicalPlan) -> Self {
        Self::of(&self.ledger, least, Some(Statement::of(statement, &self.ledger)))
    }

    /// `shown`, which is counted as a number that the project is shown for each row for which it is evaluated.
    pub(super) fn charged(&self, shown: Expr, row: Expr, place: usize) -> Expr {
        match &self.statement {
            Some(statement) => statement.counted(shown, row, place),
            None => shown,
        }
    }

    /// The number `code` of a row that is there in any case, counted as so many statistics.
    pub(super) fn charged_once(&self, code: u8, statistics: usize) -> Expr {
        match &self.statement {
            Some(statement) => statement.begun(code, statistics),
            None => lit(code),
        }
    }

    fn of(ledger: &Arc<Ledger>, least: Threshold, statement: Option<Arc<Statement>>) -> Self {
        let of = |makes| function(makes, ledger, least);
        Self {
            shown: of(Makes::Shown),
            statistic: of(Makes::Statistic),
            counted: of(Makes::Counted),
            mean: of(Makes::Mean),
            share: of(Makes::Share),
            ledger: Arc::clone(ledger),
            least,
            statement,
        }
    }

    /// How many people are shown.
    pub(super) fn people(&self, summary: Expr) -> Expr {
        call(&self.shown, vec![summary])
    }

    /// What is shown of `value`, which the people of `adding` add up to, as `contributions` says.
    pub(super) fn sum(&self, value: Expr, adding: Expr, contributions: Expr) -> Expr {
        call(&self.statistic, vec![value, adding, contributions])
    }

    /// The same of a count, in whatever words: where everybody has one row as exact as the people's, and remembered with them.
    pub(super) fn counted(&self, value: Expr, adding: Expr, contributions: Expr) -> Expr {
        call(&self.counted, vec![value, adding, contributions])
    }

    /// What is shown of a mean over `all`, to which the people of `adding` add, with its standard deviation; of zeros and ones it is a
    /// share.
    pub(super) fn mean(
        &self,
        value: Expr,
        (adding, all): (Expr, Expr),
        deviation: Expr,
        contributions: Expr,
        share: bool,
    ) -> Expr {
        let function = if share { &self.share } else { &self.mean };
        call(function, vec![value, adding, all, deviation, contributions])
    }

    /// What is shown of a variance or standard deviation over `all`.
    pub(super) fn spread(&self, value: Expr, all: Expr, contributions: Expr, of: Spread) -> Expr {
        call(&function(Makes::Spread(of), &self.ledger, self.least), vec![value, all, contributions])
    }

    /// The same of zeros and ones over `all`, of whom those of `adding` have a one.
    pub(super) fn spread_of_share(
        &self,
        value: Expr,
        (adding, all): (Expr, Expr),
        contributions: Expr,
        of: Spread,
    ) -> Expr {
        call(&function(Makes::SpreadOfShare(of), &self.ledger, self.least), vec![value, adding, all, contributions])
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
            Makes::Share => "shown_share",
            Makes::Spread(_) => "shown_spread",
            Makes::SpreadOfShare(_) => "shown_spread_of_share",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.makes, arguments.first()) {
            (Makes::People | Makes::Shown, _) | (_, None) => Ok(DataType::Int64),
            (_, Some(value)) => Ok(value.clone()),
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
            (Makes::Statistic | Makes::Counted, [value, _, _]) => {
                let limited = limits::of(summaries(2)?)?;
                let value = match self.makes {
                    Makes::Counted => limits::counts(value, &limited)?,
                    _ => limits::sums(value, &limited)?,
                };
                let contributed = remembered::amounts(Kind::Sum, summaries(2)?)?;
                // A count is remembered as one, in whatever words, and so is one of which nobody sees who has how many rows.
                let known = |row: usize| contributed.get(row).is_some_and(Option::is_some);
                let counts = self.released_where(&value, summaries(1)?, |row, value, people| match self.makes {
                    Makes::Counted => !known(row) || equal(limits::at(&limited, row), people),
                    _ => value.abs() == people && equal(limits::at(&limited, row), people),
                })?;
                let counted = |row| cell(&counts, row).is_some();
                let exact = cells(summaries(1)?, Cell::exact)?;
                let own: Vec<_> =
                    exact.iter().zip(&counts).map(|(own, counts)| counts.or(own.map(Cell::plain))).collect();
                let noise = |row| cell(&exact, row).map_or(0.0, |cell| cell.noise(OF_SUMS, contributed.get(row)));
                // As if everybody added as much as counts of one; where all do, they do.
                let size = |row| {
                    let limited = limits::at(&limited, row)?;
                    let people = cell(&own, row).map_or(0.0, |own| own.people as f64);
                    let most = if equal(Some(limited), people) { 0.0 } else { limited.most * people };
                    Some(limited.size.max(most))
                };
                let own = times(&value, &own, size, |row| if counted(row) { 0.0 } else { noise(row) })?;
                remembered::shown(&self.ledger, Kind::Sum, &own, &contributed, counted)?
            }
            (Makes::Mean | Makes::Share, [value, _, _, deviation, _]) => {
                let limited = limits::of(summaries(4)?)?;
                let value = limits::means(value, &limited)?;
                let (adding, all) = (self.released(summaries(1)?)?, self.released(summaries(2)?)?);
                let contributed = match self.makes {
                    Makes::Share => Vec::new(),
                    _ => remembered::amounts(Kind::Mean, summaries(4)?)?,
                };
                let Some(deviation) = deviation.as_primitive_opt::<Float64Type>() else {
                    return internal_err!("{}: a standard deviation is missing", self.name());
                };
                let own = floats(&value, |row, value| {
                    let (Some(adding), Some(all)) = (cell(&adding, row), cell(&all, row)) else { return value };
                    let (Some(adds), Some(of)) = (adding.share(), all.share()) else { return value };
                    let reach = match limits::at(&limited, row).and_then(|limited| limited.mean) {
                        Some(mean) => mean.reach(all.people),
                        None if deviation.is_valid(row) => deviation.value(row),
                        None => 0.0,
                    };
                    adds.mean(of, value, reach, all.noise(OF_MEANS, contributed.get(row)))
                })?;
                remembered::shown(&self.ledger, Kind::Mean, &own, &contributed, |_| false)?
            }
            (Makes::Spread(of), [value, _, _]) => {
                let limited = limits::of(summaries(2)?)?;
                let value = limits::spreads(value, &limited, of)?;
                let all = cells(summaries(1)?, Cell::exact)?;
                let contributed = remembered::amounts(Kind::Spread(of), summaries(2)?)?;
                let own = floats(&value, |row, value| {
                    let Some(cell) = cell(&all, row) else { return value };
                    let noise = cell.noise(OF_SPREADS, contributed.get(row));
                    // twice an average person's part of a variance is once of its root
                    let reach = limits::at(&limited, row).and_then(|limited| limited.mean);
                    let reach = reach.map_or(2.0, |mean| mean.reach_of_variance(cell.people));
                    cell.share().map_or(value, |all| all.spread(value, reach, noise, of.squared))
                })?;
                remembered::shown(&self.ledger, Kind::Spread(of), &own, &contributed, |_| false)?
            }
            (Makes::SpreadOfShare(of), [value, _, _, _]) => {
                let value = limits::spreads(value, &limits::of(summaries(3)?)?, of)?;
                let (adding, all) = (self.released(summaries(1)?)?, self.released(summaries(2)?)?);
                floats(&value, |row, value| {
                    let (Some(adding), Some(all)) = (cell(&adding, row), cell(&all, row)) else { return value };
                    let (Some(adds), Some(all)) = (adding.share(), all.share()) else { return value };
                    all.spread_of_share(adds, value, of.squared)
                })?
            }
            _ => return internal_err!("{}: arguments are missing", self.name()),
        };
        Ok(ColumnarValue::Array(shown))
    }
}

/// What other noise than the count's is looked up under: the key, turned so. With the count's own, many sums over the same people would tell it.
const OF_SUMS: u8 = 0x33;
const OF_MEANS: u8 = 0x55;
const OF_SPREADS: u8 = 0xaa;

impl Perturb {
    /// Cells as they are shown, which the ledger knows from now on.
    fn released(&self, summaries: &BinaryArray) -> Result<Vec<Option<Cell>>> {
        let whole = summaries.iter().map(|summary| summary.map(Summary::read).transpose().map_err(unread));
        let whole = whole.collect::<Result<Vec<_>>>()?;
        let shown = self.ledger.shown_under(&whole, self.least)?;
        let cell = |(cell, shown): (Option<Summary>, Option<u64>)| {
            let cell = cell.as_ref()?;
            Some(Cell { shown: shown?, ..Cell::of(cell.people, cell.key) })
        };
        Ok(whole.into_iter().zip(shown).map(cell).collect())
    }

    /// Those cells, as they are shown, whose statistic is nothing but a count, by its value and the number of people.
    fn released_where(
        &self,
        values: &ArrayRef,
        summaries: &BinaryArray,
        counts: impl Fn(usize, f64, f64) -> bool,
    ) -> Result<Vec<Option<Cell>>> {
        let cells = cells(summaries, Cell::exact)?;
        let values = numbers::read(values)?;
        let counted: BinaryArray = summaries
            .iter()
            .enumerate()
            .map(|(row, summary)| {
                let people = cell(&cells, row)?.people as f64;
                let value = values.get(row).copied().flatten();
                summary.filter(|_| value.is_some_and(|value| counts(row, value, people)))
            })
            .collect();
        self.released(&counted)
    }
}

/// Whether so many people all add the same, so that a sum of it says nothing but who they are.
fn equal(limited: Option<Limited>, people: f64) -> bool {
    limited.is_some_and(|limited| (limited.largest[0] * people - limited.size).abs() <= limited.size * f64::EPSILON)
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

    /// All of them, without noise.
    fn plain(self) -> Self {
        Self { shown: self.people, ..self }
    }

    /// The noise of a statistic of these people: theirs, and that of who adds how much, where it is known.
    fn noise(self, turned: u8, contributed: Option<&Option<Summary>>) -> f64 {
        let of = |key: u8| {
            let above = self.people.saturating_sub(Threshold::DEFAULT.least());
            noise::noise(above, CellKey::new(key ^ turned))
        };
        let people = of(self.key);
        match contributed.and_then(Option::as_ref) {
            // All marks together change when anybody adds something else.
            Some(amounts) => noise_of(people, of(amounts.marks.iter().fold(0, |key, mark| key ^ mark))),
            None => people as f64,
        }
    }
}

/// Statistics that grow with their people: times those shown, and so many `more`, over those there are. `size`: what people add, without its
/// sign, where that is known.
fn times(
    values: &ArrayRef,
    people: &[Option<Cell>],
    size: impl Fn(usize) -> Option<f64>,
    more: impl Fn(usize) -> f64,
) -> Result<ArrayRef> {
    let scale = 10_f64.powi(numbers::scale(values));
    numbers(values, |row, value| {
        let Some(share) = cell(people, row).and_then(Cell::share) else { return Some(value) };
        let share = share.moved(more(row));
        let size = size(row);
        match value {
            Number::Whole(value) => Some(Number::Whole(share.whole_of(value, size.map(|size| size * scale)))),
            Number::Float(value) => Some(Number::Float(share.number_of(value, size))),
        }
    })
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
