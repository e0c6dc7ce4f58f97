//! A statement that the hub runs anew for a member, as the open zone would: what comes out is what that member could read there.
//!
//! INVARIANT: it goes the way of every statement of the open zone: identified, planned, permitted, released, and in the log.

use super::Core;
use crate::{
    identify::{Caller, choose},
    plan::Parameters,
    release::Note,
};
use arrow::array::{AsArray, RecordBatch};
use arrow_flight::{decode::FlightRecordBatchStream, error::FlightError};
use futures::{StreamExt, TryStreamExt};
use policies::zone::Zone;
use proto::{
    envelope::Proof,
    ids::{ProjectId, QueryId},
    refusal::{Kind, Refusal},
};
use runtime::telemetry::TraceParent;
use std::sync::Arc;

/// Rows of an answer that are read, at most.
const MOST_ROWS: usize = 50_000;

impl Core {
    /// The released answer to a member's statement.
    ///
    /// # Errors
    /// When the caller is no member, the open zone refuses the statement, or the answer has more rows than are compared.
    pub async fn released(
        self: &Arc<Self>,
        caller: Caller,
        project: &ProjectId,
        sql: &str,
    ) -> Result<Vec<RecordBatch>, Refusal> {
        if caller.zone != Zone::Open {
            return Err(Refusal::new(Kind::Internal, "only what the open zone answers is released at once"));
        }
        self.check_length(sql)?;
        let chosen = choose(&caller, &self.projects(), Some(project.as_str()), None)?;
        let context = self.context(caller.clone(), chosen, false, self.unwatched());
        let body = self.body(&context, sql, &Parameters::default(), self.config.query.timeout())?;
        let frames = self.run(caller, &body, QueryId::new(), Proof::default(), TraceParent::default());
        let frames = Box::pin(frames).await?;
        let frames = frames.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(frames);
        let (mut all, mut rows) = (Vec::new(), 0);
        while let Some(batch) = batches.next().await {
            let batch: RecordBatch = batch.map_err(|error| match error {
                FlightError::Tonic(status) => crate::registry::quoted(&status),
                _ => Refusal::new(Kind::Internal, "the answer can't be read"),
            })?;
            rows += batch.num_rows();
            if rows > MOST_ROWS {
                return Err(Refusal::new(Kind::TooLarge, format!("the answer has more than {MOST_ROWS} rows")));
            }
            all.push(batch);
        }
        Ok(all)
    }

    /// The rules that a member's statement meets in the open zone, as `EXPLAIN RELEASE` tells them. It reads no rows.
    ///
    /// # Errors
    /// When the caller is no member, or the statement is none.
    pub async fn rules(self: &Arc<Self>, caller: Caller, project: &ProjectId, sql: &str) -> Result<Vec<Note>, Refusal> {
        let batches = self.released(caller, project, &format!("EXPLAIN RELEASE {sql}")).await?;
        let mut notes = Vec::new();
        for batch in &batches {
            let [about, rule, what] = batch.columns() else { return Err(unreadable()) };
            let texts = [about, rule, what].map(|column| column.as_string_opt::<i32>().ok_or_else(unreadable));
            let [about, rule, what] = texts;
            for ((about, rule), what) in about?.iter().zip(rule?).zip(what?) {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                notes.push(Note { about: text(about), rule: text(rule).into(), what: text(what) });
            }
        }
        Ok(notes)
    }
}

fn unreadable() -> Refusal {
    Refusal::new(Kind::Internal, "the rules can't be read")
}
