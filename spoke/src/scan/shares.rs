//! The answer to a question of a blind total: this spoke's numbers under masks, and the seed of the masks for the custodian.
//!
//! INVARIANT: of an admitted question under a permit with blind totals nothing else leaves: the rows of its plan end here.
//! INVARIANT: what is masked is what the rules would let out by itself (`release::shared`), and no refusal depends on a number.
//! INVARIANT: each answer has a seed of its own, from the operating system, which leaves signed and sealed to the custodian that
//! the permit names, and in no other form.

use arrow::{
    array::{ArrayRef, BinaryArray, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use chrono::Utc;
use datafusion::error::DataFusionError;
use futures::{FutureExt, StreamExt, TryStreamExt, stream, stream::BoxStream};
use policies::permit::Blind;
use prost::Message;
use proto::{
    blind::{self, Of, SEED, SEED_INFO, Seed, SeedStatement, WORDS, columns},
    ids::{ControllerId, ProjectId, QueryId, TableName},
    refusal::{Kind, Refusal},
    wire::SealedSeed,
};
use runtime::sign::SigningKey;
use std::{collections::BTreeMap, sync::Arc};
use zeroize::Zeroizing;

/// To what a share belongs: all that is signed with its seed.
pub(crate) struct ShareOf {
    /// which total
    pub(crate) total: QueryId,
    /// whose share it is
    pub(crate) controller: ControllerId,
    /// the permit's project
    pub(crate) project: ProjectId,
    /// the permit's members and custodian
    pub(crate) blind: Blind,
    /// SHA-256 of the fragment
    pub(crate) fragment: [u8; 32],
    /// versions of the tables that it reads
    pub(crate) snapshots: BTreeMap<TableName, i64>,
    /// the spoke's signing identity
    pub(crate) signing: Arc<SigningKey>,
}

type Rows = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// What leaves instead of `rows` of `schema`.
///
/// # Errors
/// When a column can't be added exactly.
pub(super) fn instead(rows: Rows, schema: &Schema, of: ShareOf) -> Result<(SchemaRef, Rows), Refusal> {
    columns::check(schema).map_err(|inexact| Refusal::new(Kind::Invalid, inexact.to_string()))?;
    let share = async move {
        let rows: Vec<RecordBatch> =
            rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0)).try_collect().await?;
        of.answer(&rows).map_err(|refusal| DataFusionError::External(Box::new(refusal)))
    };
    Ok((columns::answer_schema(), stream::once(share.boxed()).boxed()))
}

impl ShareOf {
    /// One row: words and sealed seed.
    fn answer(&self, rows: &[RecordBatch]) -> Result<RecordBatch, Refusal> {
        // An aggregate without groups has one row, always.
        let [row] = rows else { return Err(broken("it has no single row")) };
        if row.num_rows() != 1 {
            return Err(broken("it has several rows"));
        }
        let values = columns::values(row, 0).map_err(|inexact| Refusal::new(Kind::Invalid, inexact.to_string()))?;
        let seed = fresh()?;
        let of = Of { total: &self.total, fragment: &self.fragment };
        let words = blind::shares(&seed, of, 0, &values, self.blind.members.len());
        let sealed = self.sealed(seed, values.len() * WORDS)?;
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_vec(vec![words.as_slice()])),
            Arc::new(BinaryArray::from_vec(vec![sealed.as_slice()])),
        ];
        RecordBatch::try_new(columns::answer_schema(), columns).map_err(|_| broken("it has another form"))
    }

    /// The seed for the custodian alone, signed with what it belongs to.
    fn sealed(&self, seed: Seed, words: usize) -> Result<Vec<u8>, Refusal> {
        let statement = SeedStatement {
            version: SeedStatement::VERSION,
            controller: self.controller.clone(),
            project: self.project.clone(),
            members: self.blind.members.clone(),
            custodian: self.blind.custodian.to_bytes(),
            total: self.total,
            fragment: self.fragment,
            snapshots: self.snapshots.clone(),
            words: u32::try_from(words).map_err(|_| broken("it has too many words"))?,
            seed,
            at: Utc::now(),
        };
        let text = serde_json::to_vec(&statement).map(Zeroizing::new).map_err(|_| broken("it can't be written"))?;
        let signed = Zeroizing::new(self.signing.sign(SEED, &text));
        let sealed = self.blind.custodian.seal(SEED_INFO, &[], signed.as_bytes());
        let sealed = sealed.map_err(|_| broken("its seed can't be sealed"))?;
        let (controller, encapsulated, ciphertext) =
            (self.controller.to_string(), sealed.encapsulated, sealed.ciphertext);
        Ok(SealedSeed { controller, encapsulated, ciphertext }.encode_to_vec())
    }
}

fn fresh() -> Result<Seed, Refusal> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| broken("the operating system gives no randomness"))?;
    Ok(Seed::new(*seed))
}

fn broken(what: &str) -> Refusal {
    Refusal::new(
        Kind::Internal,
        format!("no share of the blind total could be made: {what}. Tell the spoke's operator"),
    )
}
