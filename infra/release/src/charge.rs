//! What a statement costs of its project's caps (`ledger::Caps`), counted where its cells are shown.
//!
//! INVARIANT: only groups that are shown are counted, and the statement's statistics once, whether there is a group or not: so the cost
//! tells nothing of small groups, and of hidden statistics only how many the asker asked for.

use super::ledger::{Digest, Ledger};
use arrow::{
    array::{ArrayRef, UInt8Array},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Case, ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction, lit,
    },
};
use sha2::{Digest as _, Sha256};
use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A statement, and what it has cost since it was planned.
#[derive(Debug)]
pub(super) struct Statement {
    digest: Digest,
    cost: AtomicU64,
    ledger: Arc<Ledger>,
}

/// Takes what a plan hashes, of which nothing is left out as its text leaves out long lists.
struct Hashed(Sha256);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Statement {
    pub(super) fn of(plan: &LogicalPlan, ledger: &Arc<Ledger>) -> Arc<Self> {
        let mut hashed = Hashed(Sha256::new());
        plan.hash(&mut hashed);
        let mut digest = Digest::default();
        digest.iter_mut().zip(hashed.0.finalize()).for_each(|(byte, of)| *byte = of);
        Arc::new(Self { digest, cost: AtomicU64::new(0), ledger: Arc::clone(ledger) })
    }

    fn costs(&self, more: usize) -> Result<()> {
        let more = more as u64;
        let before = self.cost.fetch_add(more, Ordering::Relaxed);
        self.ledger.count(self.digest, before.saturating_add(more))
    }

    /// `shown`, counted for each row for which it is evaluated; `place`: which statistic it is.
    pub(super) fn counted(self: &Arc<Self>, shown: Expr, row: Expr, place: usize) -> Expr {
        let counts = self.call(Counts::Rows, Volatility::Immutable, vec![row, lit(place as u64)]);
        Expr::Case(Case { expr: None, when_then_expr: vec![(Box::new(counts), Box::new(shown))], else_expr: None })
    }

    /// The number `code`, once it is counted that there are so many statistics.
    pub(super) fn begun(self: &Arc<Self>, code: u8, statistics: usize) -> Expr {
        self.call(Counts::Once { code, statistics: statistics.max(1) }, Volatility::Volatile, Vec::new())
    }

    fn call(self: &Arc<Self>, counts: Counts, volatility: Volatility, args: Vec<Expr>) -> Expr {
        let signature = match args.len() {
            0 => Signature::nullary(volatility),
            some => Signature::any(some, volatility),
        };
        let function = ScalarUDF::new_from_impl(Count {
            counts,
            signature,
            statement: Arc::clone(self),
            begun: AtomicBool::new(false),
        });
        Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args })
    }
}

/// When something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counts {
    /// `counted(row, place)`: for each row; true
    Rows,
    /// `counted_once()`: once; the code
    Once { code: u8, statistics: usize },
}

#[derive(Debug)]
struct Count {
    counts: Counts,
    signature: Signature,
    statement: Arc<Statement>,
    /// what is counted once has been
    begun: AtomicBool,
}

impl PartialEq for Count {
    fn eq(&self, other: &Self) -> bool {
        self.counts == other.counts && Arc::ptr_eq(&self.statement, &other.statement)
    }
}

impl Eq for Count {}

impl Hash for Count {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.counts.hash(state);
        self.statement.digest.hash(state);
    }
}

impl ScalarUDFImpl for Count {
    fn name(&self) -> &str {
        match self.counts {
            Counts::Rows => "counted",
            Counts::Once { .. } => "counted_once",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.counts {
            Counts::Rows => DataType::Boolean,
            Counts::Once { .. } => DataType::UInt8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.counts {
            Counts::Rows => {
                self.statement.costs(args.number_rows)?;
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
            }
            Counts::Once { code, statistics } => {
                if !self.begun.swap(true, Ordering::Relaxed) {
                    self.statement.costs(statistics)?;
                }
                let codes: ArrayRef = Arc::new(UInt8Array::from(vec![code; args.number_rows]));
                Ok(ColumnarValue::Array(codes))
            }
        }
    }
}
