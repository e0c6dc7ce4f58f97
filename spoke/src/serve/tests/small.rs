//! Small questions over large tables: what is known of the files is read once, and what can't match isn't looked into.

use super::fixture::{Fixture, LMDB, count, direct, question, read_of};
use crate::{
    admit::Admission,
    publish::{Pin, Store},
    rules::Rules,
    scan::Effort,
    serve,
};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    common::ScalarValue,
    logical_expr::Expr,
    prelude::{col, lit},
};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, path::Path,
};
use proto::{
    plan,
    wire::{MeasureKind, Rel},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Counts what is read of data files and of tables' logs.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn ObjectStore>,
    data: Arc<AtomicUsize>,
    log: Arc<AtomicUsize>,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let log = path.as_ref().contains("_delta_log");
        if !options.head {
            (if log { &self.log } else { &self.data }).fetch_add(1, Ordering::SeqCst);
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

const ROWS: usize = 300_000;
const GROUP: usize = 1_000;

struct Counted {
    spoke: Fixture,
    admission: Admission,
    data: Arc<AtomicUsize>,
    log: Arc<AtomicUsize>,
}

impl Counted {
    /// What was read of data files and of logs since the last call.
    fn reads(&self) -> (usize, usize) {
        (self.data.swap(0, Ordering::SeqCst), self.log.swap(0, Ordering::SeqCst))
    }

    async fn ask(&self, root: Rel) -> (Vec<RecordBatch>, Effort) {
        direct(&self.admission, question("diabetes", root)).await.unwrap()
    }
}

/// A table of many row groups, through a store that counts.
async fn counted() -> Counted {
    let spoke = Fixture::new().await;
    spoke.publish("large", ROWS, GROUP).await;
    spoke.grant("diabetes", "enclave", &["anna@example.org"], &LMDB.replace("lmdb", "large"));
    let (data, log) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counters = (Arc::clone(&data), Arc::clone(&log));
    let store = Store::open(&spoke.config).unwrap();
    let store = store.through(|inner| Arc::new(Counting { inner, data: counters.0, log: counters.1 }));
    let runtime = serve::engine(&spoke.config.serve, &spoke.config.spill_dir()).unwrap();
    let admission = Admission::new(&spoke.config, store, runtime, Rules::new().unwrap()).await.unwrap();
    Counted { spoke, admission, data, log }
}

fn total() -> Rel {
    plan::aggregate(read_of("large", &[]), vec![], vec![plan::measure("n", MeasureKind::Count, None)])
}

#[tokio::test(flavor = "multi_thread")]
async fn footers_are_read_once_for_all_questions_of_a_process_and_logs_of_a_snapshot_that_is_pinned_too() {
    let large = counted().await;
    let (rows, _) = large.ask(total()).await;
    assert_eq!(count(&rows), 1);
    let (first, _) = large.reads();
    assert!(first >= 1, "the footer was read");
    for _ in 0..3 {
        large.ask(total()).await;
    }
    assert_eq!(large.reads(), (0, 0), "neither footers nor the log");
    // Another session, another projection: the same footers.
    let (_, effort) = large.ask(read_of("large", &["row"])).await;
    assert!(effort.bytes_scanned > 0);
    // A project that has pinned a snapshot.
    let pin = Pin { project: "diabetes".parse().unwrap(), table: "large".parse().unwrap(), version: 0 };
    large.spoke.state().await.pin(&pin).await.unwrap();
    large.ask(total()).await;
    large.reads();
    for _ in 0..3 {
        large.ask(total()).await;
    }
    assert_eq!(large.reads(), (0, 0), "the pinned snapshot is known");
    // What is published anew is seen at once by who has pinned nothing, and not by who has.
    large.spoke.publish("large", 3_000, GROUP).await;
    let rows = |batches: &[RecordBatch]| arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
    assert!(rows(&large.ask(total()).await.0).contains(&ROWS.to_string()));
    large.spoke.state().await.unpin(&pin.project).await.unwrap();
    assert!(rows(&large.ask(total()).await.0).contains("3000"));
}

fn person(spoke: &Fixture, place: usize) -> Expr {
    col("pnr").eq(lit(ScalarValue::FixedSizeBinary(16, Some(spoke.pseudonym("diabetes", place).to_vec()))))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_that_cannot_match_are_not_looked_into() {
    let large = counted().await;
    let each = ROWS / super::fixture::PEOPLE;
    large.ask(total()).await;
    large.reads();
    for place in [0, 1_700, 2_999] {
        let (rows, effort) = large.ask(found(&["row"], &person(&large.spoke, place))).await;
        assert_eq!(count(&rows), each);
        assert!(effort.row_groups_unopened >= ROWS / GROUP - 2, "{effort:?}");
        let (data, _) = large.reads();
        assert!(data <= 8, "{data} reads");
    }
    // Days, numbers, both together, and what matches nothing or can't be told from bounds.
    let day = |day: i32| lit(ScalarValue::Date32(Some(super::fixture::FIRST_DAY + day)));
    for (condition, wanted, most) in [
        (col("eksd").eq(day(7)), 100, 1),
        (col("row").between(lit(999_i64), lit(1_000_i64)), 2, 2),
        (col("row").lt(lit(5_i64)).or(col("row").gt_eq(lit(ROWS as i64 - 5))), 10, 2),
        (col("row").lt(lit(0_i64)), 0, 0),
        (col("atc").eq(lit("nothing")), 0, 0),
        (col("row").in_list(vec![lit(3_i64), lit(150_000_i64)], false), 2, 2),
    ] {
        let (rows, effort) = large.ask(found(&["row"], &condition)).await;
        assert_eq!(count(&rows), wanted, "{condition}");
        assert_eq!(effort.row_groups_unopened, ROWS / GROUP - most, "{condition}: {effort:?}");
    }
    let (rows, _) = large.ask(found(&["row"], &(col("row") % lit(2_i64)).eq(lit(0_i64)))).await;
    assert_eq!(count(&rows), ROWS / 2);
}

/// As `filtered`, of the large table.
fn found(columns: &[&str], condition: &Expr) -> Rel {
    let mut needed: Vec<&str> = columns.to_vec();
    let refs: Vec<String> = condition.column_refs().iter().map(|column| column.name.clone()).collect();
    needed.extend(refs.iter().map(String::as_str).filter(|name| !columns.contains(name)));
    let shown = columns.iter().map(|&name| plan::named(name, plan::encode_expr(&col(name)).unwrap())).collect();
    plan::project(plan::filter(read_of("large", &needed), plan::encode_expr(condition).unwrap()), shown)
}
