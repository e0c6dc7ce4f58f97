//! What the platform's answers must be, given the oracle's.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use policies::disclosure::STATUS_COLUMN;

use super::{OracleError, small_cells};
use crate::questions::{PEOPLE, Question, cell_by_lot};

/// Rows of cells as text; `None` is a null.
pub type Cells = Vec<Vec<Option<String>>>;

/// An answer as text, without the column that says what was released.
pub fn cells(answer: &RecordBatch) -> Result<Cells, OracleError> {
    let options = FormatOptions::default();
    let mut rows = vec![Vec::new(); answer.num_rows()];
    for (field, column) in answer.schema().fields().iter().zip(answer.columns()) {
        if field.name() == STATUS_COLUMN {
            continue;
        }
        let formatter = ArrayFormatter::try_new(column, &options).map_err(datafusion::error::DataFusionError::from)?;
        for (row, cells) in rows.iter_mut().enumerate() {
            cells.push(column.is_valid(row).then(|| formatter.value(row).to_string()));
        }
    }
    Ok(rows)
}

/// What the enclave zone must answer: the same, cell by cell.
pub fn enclave(oracle: &RecordBatch) -> Result<Cells, OracleError> {
    cells(oracle)
}

/// A row that the open zone must answer, which may be hidden in part or as a whole where that falls by lot.
#[derive(Debug, Clone)]
pub struct Wanted {
    cells: Vec<Option<String>>,
    /// of each cell
    by_lot: Vec<bool>,
    whole_by_lot: bool,
}

/// What the open zone must answer, given the oracle's answer to [`Question::counted`]: cells of 1 to 4 people are gone, and one row
/// of nulls stands for all of them, at the end; a statistic that a rule hides is null. What an oracle can't tell falls by the lot of the people.
#[derive(Debug, Clone)]
pub struct Open {
    rows: Vec<Wanted>,
    folded: bool,
}

/// See [`Open`].
pub fn open(question: &Question, oracle: &RecordBatch) -> Result<Open, OracleError> {
    let small = small_cells(oracle)?;
    let schema = oracle.schema();
    let people = schema.index_of(PEOPLE).map_err(datafusion::error::DataFusionError::from)?;
    let statistics = schema.fields().len() - question.behind.len();
    let mut rows = Vec::new();
    for (row, mut cells) in cells(oracle)?.into_iter().enumerate() {
        if small.contains(&row) {
            continue;
        }
        let count = |at: usize| cells.get(at).and_then(|cell| cell.as_deref()?.parse::<i64>().ok());
        let mut by_lot = vec![false; statistics];
        let mut hidden = Vec::new();
        for (place, (name, _, by)) in question.behind.iter().enumerate() {
            let (Ok(at), Some(behind), Some(all)) = (schema.index_of(name), count(statistics + place), count(people))
            else {
                continue;
            };
            if by.hides(behind, all).is_some() {
                hidden.push(at);
            }
            by_lot[at] = by.by_lot(behind, all);
        }
        let whole_by_lot = count(people).is_some_and(cell_by_lot);
        for at in hidden {
            cells[at] = None;
        }
        cells.truncate(statistics);
        rows.push(Wanted { cells, by_lot, whole_by_lot });
    }
    Ok(Open { rows, folded: !small.is_empty() })
}

/// Whether the open zone's answer is what it must be, but for the noise in its numbers and for lots: people may be off by five, or be those of an earlier cell that is up to twelve away; a
/// statistic by five people of those who are behind it, who may be fewer than the cell's.
///
/// # Errors
/// Says which cell differs.
pub fn near(question: &Question, wanted: &Open, shown: &Cells, schema: &Schema) -> Result<(), String> {
    let people = schema.index_of(PEOPLE).map_err(|error| error.to_string())?;
    let number = |cell: &Option<String>| cell.as_deref().and_then(|cell| cell.parse::<f64>().ok());
    let mut left = shown.iter().enumerate().peekable();
    let mut folded = wanted.folded;
    for Wanted { cells, by_lot, whole_by_lot } in &wanted.rows {
        let same_keys =
            |shown: &Vec<Option<String>>| shown.iter().take(question.keys).eq(cells.iter().take(question.keys));
        let Some((row, shown)) = left.next_if(|(_, shown)| same_keys(shown)) else {
            if *whole_by_lot {
                folded = true;
                continue;
            }
            return Err(format!("{:?} is missing", cells.iter().take(question.keys).collect::<Vec<_>>()));
        };
        let behind = cells.get(people).and_then(number).unwrap_or(1.0);
        for (at, (wanted, shown)) in cells.iter().zip(shown).enumerate() {
            let off = |value: f64| match schema.field(at).name() {
                // as in an earlier cell that is up to twelve people away
                name if name == PEOPLE => 17.0,
                // a share of those people
                name if name.starts_with("percent") => (value + 100.0) * 10.0 / behind,
                _ => 5.5 + value.abs() * 20.0 / behind,
            };
            let fits = match (number(wanted), number(shown)) {
                (Some(wanted), Some(shown)) if at >= question.keys => (wanted - shown).abs() <= off(wanted),
                _ => wanted == shown || (shown.is_none() && by_lot.get(at) == Some(&true)),
            };
            if !fits {
                return Err(format!("row {row}, '{}': {shown:?}, expected {wanted:?}", schema.field(at).name()));
            }
        }
    }
    match (left.next(), folded) {
        (None, false) => Ok(()),
        (Some((_, row)), true) if row.iter().all(Option::is_none) && left.next().is_none() => Ok(()),
        (Some((row, _)), _) => Err(format!("row {row} is one too many")),
        (None, true) => Err("no row stands for the small cells".to_owned()),
    }
}
