//! Tables that the platform computes itself: a member asks outside, the open zone answers, and the answer leaves as a crate at
//! once. With an earlier submission, which checkers have approved, it leaves only when that one's tables are the same, cell by cell.
//!
//! INVARIANT: nothing is told outside of a submission that checkers have not approved; of one that they have, whether the answer
//! is the same, and nothing of where it isn't.
//! INVARIANT: what leaves without people is the open zone's own answer, written by the platform: no byte of it, and no word
//! about it, was written inside. No figure, no PDF, no notebook, no text.

use super::{
    Airlock, AirlockError, Kind, SubmissionRecord, Who,
    check::{
        Table,
        table::{self, Unreadable},
    },
    read::{self, blocking},
    submit::{MOST_BYTES, MOST_FILE, insert, step},
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
    disclosure::{STATUS_COLUMN, is_small_groups},
};
use proto::ids::{ProjectId, SubmissionId};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::{collections::BTreeMap, sync::Arc};

/// Answers of one crate, at most: they are computed while the caller waits.
pub const MOST_ANSWERS: usize = 10;
/// Answers of a project that nobody has taken out yet, at most.
const MOST_WAITING: i64 = 20;
/// All answers of a project that lie in the airlock, bytes.
const MOST_KEPT: u64 = 256 << 20;
/// How often answers are compared with one submission.
const MOST_COMPARED: i64 = 20;

/// Why a table doesn't leave at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// It is no table, or nobody says what gives it.
    #[error("only a table with its query leaves at once: name it .csv, give the query, and leave 'inside' out")]
    NoTable,
    /// The earlier submission has another table, or none of that name.
    #[error(
        "the platform's answer is not the earlier submission's table, cell by cell (release_status aside), or there is none of that name \
         that leaves. Inside, hub airlock show says what is in it; without 'earlier' the answer leaves as it is"
    )]
    Other,
    /// Nothing was released.
    #[error("the platform's answer has no released row")]
    Nothing,
    /// The answer is too large.
    #[error(
        "the platform's answer is larger than what leaves at once: 8 MiB a file, 32 MiB in all, 50,000 rows. Aggregate it more"
    )]
    Large,
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

fn unreadable(why: Unreadable) -> Differs {
    match why {
        Unreadable::Large => Differs::Large,
        _ => Differs::Unreadable,
    }
}

/// The released answer as a table: without the column that says so, without the row that stands for all small groups, and without
/// rows that say nothing.
fn released(batches: &[RecordBatch]) -> Result<Table, Differs> {
    let options = FormatOptions::default();
    let schema = batches.first().ok_or(Differs::Nothing)?.schema();
    let columns: Vec<String> =
        schema.fields().iter().map(|field| field.name().clone()).filter(|name| name != STATUS_COLUMN).collect();
    if columns.len() + 1 != schema.fields().len() {
        return Err(Differs::Unreadable);
    }
    let mut table = Table::new(columns).map_err(unreadable)?;
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
            let small = status
                .iter()
                .any(|(_, column, format)| text(column, format).is_some_and(|status| is_small_groups(&status)));
            let cells: Vec<Option<String>> = values.iter().map(|(_, column, format)| text(column, format)).collect();
            if !small && cells.iter().any(Option::is_some) {
                table.push(cells).map_err(unreadable)?;
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
fn same(file: &Table, answer: &Table) -> bool {
    let Some(at) = file.columns.iter().map(|name| answer.at(name)).collect::<Option<Vec<usize>>>() else {
        return false;
    };
    let rows = |table: &Table, at: &[usize]| {
        counted((0..table.rows.len()).map(|row| at.iter().map(|column| cell(table.cell(row, *column))).collect()))
    };
    let own: Vec<usize> = (0..file.columns.len()).collect();
    at.len() == answer.columns.len() && rows(file, &own) == rows(answer, &at)
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

    /// Whether answers to that form may be taken, as far as that can be said before they are there: asking may take long.
    ///
    /// # Errors
    /// When what it follows was not approved or was compared with too often, or too many answers lie in the airlock.
    pub async fn may_answer(&self, submission: &Submission) -> Result<(), AirlockError> {
        let mut connection = self.pool.acquire().await?;
        if let Some(earlier) = &submission.earlier {
            approved(&mut connection, submission, earlier).await?;
        }
        room(&mut connection, &submission.project, 0).await
    }

    /// Takes the platform's own answers to the form's queries: they are approved as they are.
    ///
    /// # Errors
    /// When nothing was released, it is too large, the earlier submission's tables are others, or they can't be kept.
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
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        let mut bytes = 0;
        for (name, batches) in answers {
            let differs = |differs| AirlockError::Differs(name.clone(), differs);
            let answer = released(&batches).map_err(differs)?;
            let text = written(&answer).map_err(differs)?;
            bytes += text.len() as u64;
            if text.len() > MOST_FILE || bytes > MOST_BYTES {
                return Err(differs(Differs::Large));
            }
            files.insert(name.clone(), text);
            if submission.earlier.is_some() {
                tables.insert(name, answer);
            }
        }
        if let Some(earlier) = &submission.earlier {
            self.compared(submission, earlier, tables, who).await?;
        }
        let mut tx = self.begin_write().await?;
        room(&mut tx, &submission.project, bytes).await?;
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

    /// Compares the answers with what checkers have approved. Each time is counted and written down before.
    async fn compared(
        &self,
        submission: &Submission,
        earlier: &SubmissionId,
        answers: BTreeMap<String, Table>,
        who: &Who,
    ) -> Result<(), AirlockError> {
        let mut tx = self.begin_write().await?;
        let before = approved(&mut tx, submission, earlier).await?;
        sqlx::query("UPDATE submission SET compared = compared + 1 WHERE id = ?")
            .bind(earlier.to_string())
            .execute(&mut *tx)
            .await?;
        self.log(&before, who, "compared_outside", json!({ "files": answers.len() })).await?;
        tx.commit().await?;
        let known = self.files(earlier).await?;
        for (name, answer) in answers {
            let other = || AirlockError::Differs(name.clone(), Differs::Other);
            // What stays inside was approved by nobody.
            let leaves = before.submission.leaving().any(|leaving| leaving == name);
            let file =
                known.iter().find(|file| file.name == name && leaves && file.kind.is_table()).ok_or_else(other)?;
            let (kind, bytes) = (file.kind, self.frozen(earlier, file).await?);
            let is_same = blocking(move || table::read(kind, &bytes).is_ok_and(|file| same(&file, &answer))).await?;
            if !is_same {
                return Err(other());
            }
        }
        Ok(())
    }
}

/// The submission that answers are to be the same as.
async fn approved(
    connection: &mut SqliteConnection,
    submission: &Submission,
    earlier: &SubmissionId,
) -> Result<SubmissionRecord, AirlockError> {
    let known = match read::record(&mut *connection, earlier).await {
        Err(ApplyError::NotFound(_)) => None,
        read => Some(read?),
    };
    let known = known.filter(|known| {
        known.project() == &submission.project && matches!(known.state, State::Approved | State::Released)
    });
    // The same for one that isn't there: how far another one is, is read elsewhere.
    let known = known.ok_or_else(|| {
        AirlockError::Conflict("'earlier' names no submission of this project that checkers have approved".to_owned())
    })?;
    let compared: i64 = sqlx::query_scalar("SELECT compared FROM submission WHERE id = ?")
        .bind(earlier.to_string())
        .fetch_one(connection)
        .await?;
    if compared >= MOST_COMPARED {
        return Err(AirlockError::Conflict(format!(
            "answers were compared {MOST_COMPARED} times with that submission, and are no more: leave 'earlier' out, or take the \
             submission itself out (hub airlock release)"
        )));
    }
    Ok(known)
}

/// Whether the project's answers may take so many bytes more.
async fn room(connection: &mut SqliteConnection, project: &ProjectId, bytes: u64) -> Result<(), AirlockError> {
    let (waiting, kept): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(DISTINCT CASE WHEN s.state = 'APPROVED' THEN s.id END), COALESCE(SUM(f.bytes), 0) FROM submission s \
         JOIN submission_file f ON f.submission = s.id WHERE s.project = ? AND s.computed = 1 AND s.state IN ('APPROVED', 'RELEASED')",
    )
    .bind(project.to_string())
    .fetch_one(connection)
    .await?;
    if waiting >= MOST_WAITING {
        return Err(AirlockError::Conflict(format!(
            "the project has {MOST_WAITING} answers that nobody has taken out: release or withdraw one (hub airlock release, withdraw)"
        )));
    }
    if u64::try_from(kept).unwrap_or(u64::MAX).saturating_add(bytes) > MOST_KEPT {
        return Err(AirlockError::Conflict(format!(
            "the project's answers in the airlock have {} MiB at most: ask the open zone itself (hub sql), which gives the same numbers",
            MOST_KEPT >> 20
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
