//! Tables that the platform computes itself: a member asks outside, the open zone answers, and the answer leaves as a crate at
//! once. With an earlier submission it leaves only when that one's tables are the same, cell by cell.
//!
//! INVARIANT: what leaves without people is the open zone's own answer, written by the platform: no byte of it, and no word
//! about it, was written inside. No figure, no PDF, no notebook, no text.

use super::{
    Airlock, AirlockError, Kind, SubmissionRecord, Who,
    check::{Table, table},
    read::{self, blocking},
    submit::{insert, step},
    told,
};
use crate::apply::ApplyError;
use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, Utc};
use policies::{
    airlock::{Event, State, Submission},
    disclosure::{STATUS_COLUMN, SUPPRESSED},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Answers of one crate, at most: they are computed while the caller waits.
pub const MOST_ANSWERS: usize = 10;

/// Why a table doesn't leave at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// It is no table, or nobody says what gives it.
    #[error("only a table with its query leaves at once: name it .csv, give the query, and leave 'inside' out")]
    NoTable,
    /// The answer has other columns.
    #[error("the platform's answer has other columns than the earlier submission's table (release_status aside)")]
    Columns,
    /// The answer has other rows.
    #[error("the platform's answer has {there} released rows, the earlier submission's table {here}")]
    Rows {
        /// in the earlier submission
        here: usize,
        /// in the answer
        there: usize,
    },
    /// A row that the answer doesn't have.
    #[error("row {row} of the earlier submission's table is not in the platform's answer")]
    Row {
        /// from 1
        row: usize,
    },
    /// Nothing was released.
    #[error("the platform's answer has no released row")]
    Nothing,
    /// The earlier submission has no such table.
    #[error("the earlier submission has no table of that name")]
    Missing,
    /// Something can't be read as a table.
    #[error("can't be read as a table")]
    Unreadable,
}

/// A cell as it is compared: numbers by their value, whatever they are written like.
fn cell(text: Option<&str>) -> String {
    match text.map(|text| (text, text.parse::<f64>())) {
        None => String::new(),
        Some((_, Ok(number))) if number.is_finite() => format!("{number:e}"),
        Some((text, _)) => text.to_owned(),
    }
}

/// Rows and how often they stand there; those without any value count for nothing.
fn counted(rows: impl Iterator<Item = Vec<String>>) -> BTreeMap<Vec<String>, usize> {
    let mut all = BTreeMap::new();
    for row in rows.filter(|row| row.iter().any(|cell| !cell.is_empty())) {
        *all.entry(row).or_default() += 1;
    }
    all
}

/// The released answer as a table: without the column that says so, and without the row that stands for all small groups.
fn released(batches: &[RecordBatch]) -> Result<Table, Differs> {
    let options = FormatOptions::default();
    let schema = batches.first().ok_or(Differs::Nothing)?.schema();
    let columns: Vec<String> =
        schema.fields().iter().map(|field| field.name().clone()).filter(|name| name != STATUS_COLUMN).collect();
    if columns.len() + 1 != schema.fields().len() {
        return Err(Differs::Unreadable);
    }
    let mut table = Table::new(columns).map_err(|_| Differs::Unreadable)?;
    for batch in batches {
        let formats: Vec<(&String, &ArrayRef, ArrayFormatter<'_>)> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                let format = ArrayFormatter::try_new(column.as_ref(), &options).map_err(|_| Differs::Unreadable)?;
                Ok((field.name(), column, format))
            })
            .collect::<Result<_, Differs>>()?;
        for row in 0..batch.num_rows() {
            let text = |column: &ArrayRef, format: &ArrayFormatter<'_>| {
                let text = column.is_valid(row).then(|| format.value(row).to_string());
                text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
            };
            let (status, values): (Vec<_>, Vec<_>) = formats.iter().partition(|(name, ..)| *name == STATUS_COLUMN);
            if status.iter().all(|(_, column, format)| text(column, format).as_deref() != Some(SUPPRESSED)) {
                let cells = values.iter().map(|(_, column, format)| text(column, format)).collect();
                table.push(cells).map_err(|_| Differs::Unreadable)?;
            }
        }
    }
    if table.rows.is_empty() {
        return Err(Differs::Nothing);
    }
    // No order of rows tells anything.
    table.rows.sort();
    Ok(table)
}

fn written(table: &Table) -> Result<Vec<u8>, Differs> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.columns).map_err(|_| Differs::Unreadable)?;
    for row in &table.rows {
        writer
            .write_record(row.iter().map(|cell| cell.as_deref().unwrap_or_default()))
            .map_err(|_| Differs::Unreadable)?;
    }
    writer.into_inner().map_err(|_| Differs::Unreadable)
}

/// Whether the file holds the answer: the same columns in any order, the same rows in any order.
fn same(file: &Table, answer: &Table) -> Result<(), Differs> {
    let at: Vec<usize> =
        file.columns.iter().map(|name| answer.at(name)).collect::<Option<_>>().ok_or(Differs::Columns)?;
    if at.len() != answer.columns.len() {
        return Err(Differs::Columns);
    }
    let of = |table: &Table, row: usize, at: usize| cell(table.cell(row, at));
    let rows: Vec<Vec<String>> =
        (0..file.rows.len()).map(|row| (0..at.len()).map(|column| of(file, row, column)).collect()).collect();
    let there = (0..answer.rows.len()).map(|row| at.iter().map(|column| of(answer, row, *column)).collect());
    let (here, mut there) = (counted(rows.iter().cloned()), counted(there));
    let sum = |all: &BTreeMap<_, usize>| all.values().sum::<usize>();
    if sum(&here) != sum(&there) {
        return Err(Differs::Rows { here: sum(&here), there: sum(&there) });
    }
    for (row, cells) in rows.iter().enumerate().filter(|(_, cells)| !cells.iter().all(String::is_empty)) {
        match there.get_mut(cells) {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Err(Differs::Row { row: row + 1 }),
        }
    }
    Ok(())
}

impl Airlock {
    /// The statements that give each table of a form, by name.
    ///
    /// # Errors
    /// When it names anything but tables with their queries, or too many.
    pub fn questions(submission: &Submission) -> Result<BTreeMap<String, String>, AirlockError> {
        if submission.files.len() > MOST_ANSWERS {
            return Err(AirlockError::Conflict(format!("{MOST_ANSWERS} answers leave in one crate at most")));
        }
        let question = |file: &policies::airlock::Output| match &file.query {
            Some(query) if !file.inside && file.name.as_str().ends_with(".csv") => {
                Ok((file.name.to_string(), query.clone()))
            }
            _ => Err(AirlockError::Differs(file.name.to_string(), Differs::NoTable)),
        };
        submission.files.iter().map(question).collect()
    }

    /// Takes the platform's own answers to the form's queries: they are approved as they are.
    ///
    /// # Errors
    /// When nothing was released, the earlier submission's tables are others, or they can't be kept.
    pub async fn answered(
        &self,
        submission: &Submission,
        answers: BTreeMap<String, Vec<RecordBatch>>,
        snapshots: &BTreeMap<String, i64>,
        who: &Who,
        now: DateTime<Utc>,
    ) -> Result<SubmissionRecord, AirlockError> {
        let _place = self.place().await?;
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, batches) in answers {
            let differs = |differs| AirlockError::Differs(name.clone(), differs);
            let answer = released(&batches).map_err(differs)?;
            if let Some(earlier) = &submission.earlier {
                let of = self.get(earlier).await?;
                let known = self.files(earlier).await?.into_iter().find(|file| file.name == name);
                let known = known.filter(|file| file.kind.is_table() && of.project() == &submission.project);
                let known = known.filter(|_| of.state != State::Withdrawn).ok_or_else(|| differs(Differs::Missing))?;
                let bytes = self.frozen(earlier, &known).await?;
                let file = table::read(known.kind, &bytes).map_err(|_| differs(Differs::Unreadable))?;
                same(&file, &answer).map_err(differs)?;
            }
            let bytes = written(&answer).map_err(differs)?;
            files.insert(name, bytes);
        }
        let mut tx = self.begin_write().await?;
        let id = insert(&mut tx, submission, who, now).await?;
        let hashes: BTreeMap<&String, String> =
            files.iter().map(|(name, bytes)| (name, hex::encode(Sha256::digest(bytes)))).collect();
        for (name, bytes) in &files {
            sqlx::query("INSERT INTO submission_file (submission, name, kind, bytes, sha256) VALUES (?, ?, ?, ?, ?)")
                .bind(id.to_string())
                .bind(name)
                .bind(Kind::Csv.name())
                .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                .bind(hashes.get(name).cloned())
                .execute(&mut *tx)
                .await?;
        }
        step(&mut tx, &id, Event::Answer, now).await?;
        let snapshots = serde_json::to_string(snapshots)
            .map_err(|_| ApplyError::Corrupt { table: "submission", field: "snapshots" })?;
        sqlx::query("UPDATE submission SET snapshots = ?, computed = 1 WHERE id = ?")
            .bind(snapshots)
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        let record = read::record(&mut tx, &id).await?;
        told(&mut tx, record.project(), &id, &who.member(), "airlock_answered", json!({}), now).await?;
        self.log(&record, who, "answered", json!({ "sha256": hashes })).await?;
        let vault = Arc::clone(&self.vault);
        blocking(move || files.iter().try_for_each(|(name, bytes)| vault.put(&id, name, bytes))).await??;
        tx.commit().await?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::airlock::Kind;
    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn answer() -> Vec<RecordBatch> {
        let kom: ArrayRef = Arc::new(StringArray::from(vec![Some("101"), Some("147"), None]));
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(120), Some(45), None]));
        let mean: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, None]));
        let status: ArrayRef =
            Arc::new(StringArray::from(vec!["released", "suppressed: fewer than 5 people in mean", SUPPRESSED]));
        let columns = [("kom", kom), ("n", n), ("mean", mean), (STATUS_COLUMN, status)];
        vec![RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()]
    }

    fn compared(text: &str) -> Result<(), Differs> {
        same(&table::read(Kind::Csv, text.as_bytes()).unwrap(), &released(&answer()).unwrap())
    }

    #[test]
    fn the_platforms_own_writing_leaves_and_no_other() {
        let text = written(&released(&answer()).unwrap()).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "kom,n,mean\n101,120,1.5\n147,45,\n");
        // Nothing was released: a table of names alone could say anything.
        assert_eq!(released(&[]), Err(Differs::Nothing));
        assert_eq!(released(&[answer()[0].slice(2, 1)]), Err(Differs::Nothing));
        assert_eq!(released(&[answer()[0].project(&[0, 1]).unwrap()]), Err(Differs::Unreadable));
    }

    #[test]
    fn the_same_cells_in_any_order_are_the_same() {
        assert_eq!(compared("kom,n,mean\n101,120,1.5\n147,45,\n"), Ok(()));
        assert_eq!(compared("n,mean,kom\n45,,147\n120,1.50,101\n,,\n"), Ok(()));
    }

    #[test]
    fn attack_a_table_that_differs_in_one_cell_does_not_leave_at_once() {
        assert_eq!(compared("kom,n,mean\n101,121,1.5\n147,45,\n"), Err(Differs::Row { row: 1 }));
        // The cell that the platform doesn't show.
        assert_eq!(compared("kom,n,mean\n101,120,1.5\n147,45,2.5\n"), Err(Differs::Row { row: 2 }));
        // A group that it doesn't show, one twice, one too few.
        for (text, here) in [("kom,n,mean\n101,120,1.5\n147,45,\n151,3,\n", 3), ("kom,n,mean\n101,120,1.5\n", 1)] {
            assert_eq!(compared(text), Err(Differs::Rows { here, there: 2 }));
        }
        assert_eq!(compared("kom,n,mean\n101,120,1.5\n101,120,1.5\n"), Err(Differs::Row { row: 2 }));
        for text in ["kom,n\n101,120\n147,45\n", "kom,n,mean,more\n101,120,1.5,x\n", "kom,n,median\n101,120,1.5\n"] {
            assert_eq!(compared(text), Err(Differs::Columns), "{text}");
        }
        let status = "kom,n,mean,release_status\n101,120,1.5,released\n147,45,,released\n";
        assert_eq!(compared(status), Err(Differs::Columns));
    }
}
