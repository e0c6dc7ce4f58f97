//! Plans that end when they are told to, also in the middle of a join.
//!
//! The engine looks whether anybody still waits where batches are handed on. A join that pairs many rows and keeps few hands
//! on nothing for minutes: whoever went away, a deadline and a permit that ended would all wait for it.

use datafusion::{
    arrow::{
        datatypes::{DataType, FieldRef, Schema},
        record_batch::RecordBatch,
    },
    common::tree_node::{Transformed, TreeNode},
    error::{DataFusionError, Result},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec, utils::JoinFilter},
    },
};
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Tells a plan to end. Dropping what [`Stop::guard`] gave does so.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Ends a plan when it is dropped.
#[derive(Debug)]
pub struct Guard(Stop);

impl Stop {
    /// To be kept with the plan's rows.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    fn told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The same plan, whose joins end when `stop` is told, and let other tasks run in between.
///
/// # Errors
/// When the engine can't put it together again.
pub fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = |filter: Option<&JoinFilter>| {
        filter.map(|filter| {
            let inner = Arc::clone(filter.expression());
            let watched = Arc::new(Watched { inner, stop: stop.clone() });
            JoinFilter::new(watched, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
        })
    };
    plan.transform_up(|node| {
        let join: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            match watched(join.filter()) {
                Some(filter) => join.builder().with_filter(Some(filter)).build_exec()?,
                None => node,
            }
        } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let projection = join.projection().as_ref().map(|columns| columns.to_vec());
            let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
            Arc::new(NestedLoopJoinExec::try_new(left, right, watched(join.filter()), join.join_type(), projection)?)
        } else if node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>() {
            node
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
    })
    .map(|whole| whole.data)
}

/// A join's condition that fails once the plan is told to end.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.told() {
            return Err(DataFusionError::Execution("nobody waits for this any more".to_owned()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;
    use datafusion::{physical_plan::collect, prelude::SessionContext};

    const NUMBERS: &str = "SELECT count(*) FROM generate_series(1, 30000) a(n) JOIN generate_series(1, 30000) b(m) ON \
                           a.n % 2 = b.m % 2 AND a.n + b.m < 0";

    async fn planned(sql: &str, stop: &Stop) -> (Arc<dyn ExecutionPlan>, SessionContext) {
        let context = SessionContext::new();
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        (stoppable(plan, stop).unwrap(), context)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_join_that_keeps_nothing_ends_when_it_is_told() {
        let stop = Stop::default();
        let (plan, context) = planned(NUMBERS, &stop).await;
        let joins = plan.clone();
        let work = tokio::spawn(collect(plan, context.task_ctx()));
        // It has begun to pair rows.
        let paired = |plan: &Arc<dyn ExecutionPlan>| {
            let mut rows = 0;
            plan.apply(|node| {
                let metrics = node.is::<HashJoinExec>().then(|| node.metrics()).flatten();
                rows += metrics.and_then(|m| m.sum_by_name("input_rows")).map_or(0, |rows| rows.as_usize());
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
            })
            .unwrap();
            rows
        };
        while paired(&joins) == 0 {
            tokio::task::yield_now().await;
        }
        drop(stop.guard());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), work).await.unwrap().unwrap();
        assert!(ended.unwrap_err().to_string().contains("nobody waits"));
    }

    #[tokio::test]
    async fn answers_are_the_same() {
        let stop = Stop::default();
        let _guard = stop.guard();
        for (sql, count) in [
            (
                "SELECT count(*) FROM generate_series(1, 9) a(n) JOIN generate_series(1, 9) b(m) ON a.n = b.m AND a.n + b.m < 9",
                4,
            ),
            ("SELECT count(*) FROM generate_series(1, 9) a(n) JOIN generate_series(1, 9) b(m) ON a.n < b.m", 36),
            ("SELECT count(*) FROM generate_series(1, 9) a(n) CROSS JOIN generate_series(1, 9) b(m)", 81),
        ] {
            let (plan, context) = planned(sql, &stop).await;
            let batches = collect(plan, context.task_ctx()).await.unwrap();
            let shown = datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
            assert!(shown.contains(&format!("| {count} ")), "{sql}: {shown}");
        }
    }
}
