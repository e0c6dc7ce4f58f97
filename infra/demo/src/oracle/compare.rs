//! What the platform's answers must be, given the oracle's.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use policies::disclosure::STATUS_COLUMN;

use super::{OracleError, small_cells};
use crate::questions::{PEOPLE, Question};

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

/// What the open zone must answer, given the oracle's answer to [`Question::counted`]: cells of 1 to 4 people are gone, and one row
/// of nulls stands for all of them, at the end; a statistic that a rule hides is null.
pub fn open(question: &Question, oracle: &RecordBatch) -> Result<Cells, OracleError> {
    let small = small_cells(oracle)?;
    let schema = oracle.schema();
    let people = schema.index_of(PEOPLE).map_err(datafusion::error::DataFusionError::from)?;
    let statistics = schema.fields().len() - question.behind.len();
    let mut shown = Vec::new();
    for (row, mut cells) in cells(oracle)?.into_iter().enumerate() {
        if small.contains(&row) {
            continue;
        }
        let count = |at: usize| cells.get(at).and_then(|cell| cell.as_deref()?.parse::<i64>().ok());
        let hidden = question.behind.iter().enumerate().filter_map(|(place, (name, _, by))| {
            by.hides(count(statistics + place)?, count(people)?)?;
            schema.index_of(name).ok()
        });
        for at in hidden.collect::<Vec<_>>() {
            cells[at] = None;
        }
        cells.truncate(statistics);
        shown.push(cells);
    }
    if !small.is_empty() {
        shown.push(vec![None; statistics]);
    }
    Ok(shown)
}

/// Whether the open zone's answer is what it must be, but for the noise in its numbers: people may be off by five; a
/// statistic by five people of those who are behind it, who may be fewer than the cell's.
///
/// # Errors
/// Says which cell differs.
pub fn near(question: &Question, wanted: &Cells, shown: &Cells, schema: &Schema) -> Result<(), String> {
    if wanted.len() != shown.len() {
        return Err(format!("{} rows, {} expected", shown.len(), wanted.len()));
    }
    let people = schema.index_of(PEOPLE).map_err(|error| error.to_string())?;
    let number = |cell: &Option<String>| cell.as_deref().and_then(|cell| cell.parse::<f64>().ok());
    for (row, (wanted, shown)) in wanted.iter().zip(shown).enumerate() {
        let behind = wanted.get(people).and_then(number).unwrap_or(1.0);
        for (at, (wanted, shown)) in wanted.iter().zip(shown).enumerate() {
            let off = |value: f64| match schema.field(at).name() {
                name if name == PEOPLE => 5.0,
                // a share of those people
                name if name.starts_with("percent") => (value + 100.0) * 10.0 / behind,
                _ => 5.5 + value.abs() * 20.0 / behind,
            };
            let fits = match (number(wanted), number(shown)) {
                (Some(wanted), Some(shown)) if at >= question.keys => (wanted - shown).abs() <= off(wanted),
                _ => wanted == shown,
            };
            if !fits {
                return Err(format!("row {row}, '{}': {shown:?}, expected {wanted:?}", schema.field(at).name()));
            }
        }
    }
    Ok(())
}
