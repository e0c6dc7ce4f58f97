//! A small table, and the way there and back for one plan.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::prelude::{SessionConfig, SessionContext};
use prost::Message;
use proto::fragment::{FragmentError, Limits, Literals, from_bytes, text};
use proto::plan::{Tables, Unsayable, decode, encode_plan};
use proto::wire;

pub(crate) struct OneTable(Arc<MemTable>);

impl Tables for OneTable {
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        let known = name == "t";
        known.then(|| provider_as_source(Arc::clone(&self.0) as _))
    }
}

/// Forty rows with NULLs, equal values, empty texts and texts with wildcards in them.
static TABLE: LazyLock<Arc<MemTable>> = LazyLock::new(|| {
    let n = 40_i64;
    let some = |i: i64, every: i64| (i % every != 0).then_some(i);
    let codes = ["E11", "E119", "", "a%b", "A_1", "ÆØÅ x", "e11", " DE11 ", "K35\\2"];
    let code = |i: i64| some(i, 7).map(|i| codes[usize::try_from(i).unwrap() % codes.len()]);
    let pid = |i: i64| some(i, 9).map(|i| [u8::try_from(i % 5).unwrap(); 16]);
    let zone = || Some("+01:00");
    let day = 86_400_000_000_i64;
    let columns: Vec<(&str, bool, ArrayRef)> = vec![
        ("id", false, Arc::new((0..n).map(Some).collect::<Int64Array>())),
        (
            "i",
            true,
            Arc::new((0..n).map(|i| some(i, 6).map(|i| i32::try_from(i % 9 - 4).unwrap())).collect::<Int32Array>()),
        ),
        ("f", true, Arc::new((0..n).map(|i| some(i, 5).map(|i| (i % 11 - 5) as f64 * 0.75)).collect::<Float64Array>())),
        ("s", true, Arc::new((0..n).map(code).collect::<StringArray>())),
        ("v", true, Arc::new((0..n).map(|i| code(i + 3)).collect::<StringViewArray>())),
        ("b", true, Arc::new((0..n).map(|i| some(i, 4).map(|i| i % 3 == 0)).collect::<BooleanArray>())),
        (
            "d",
            true,
            Arc::new(
                (0..n).map(|i| some(i, 8).map(|i| i32::try_from(18_000 + i * 37).unwrap())).collect::<Date32Array>(),
            ),
        ),
        (
            "ts",
            true,
            Arc::new(
                (0..n)
                    .map(|i| some(i, 10).map(|i| 1_577_836_800_000_000 + i * day / 3))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        (
            "tz",
            true,
            Arc::new(
                (0..n)
                    .map(|i| some(i, 11).map(|i| 1_577_836_800_000_000 + i * day / 5))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone_opt(zone()),
            ),
        ),
        (
            "dec",
            true,
            Arc::new(
                (0..n)
                    .map(|i| some(i, 13).map(|i| i128::from(i % 17 - 8) * 125))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        ("pid", true, Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size((0..n).map(pid), 16).unwrap())),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, null, array)| Field::new(*name, array.data_type().clone(), *null)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())
});

/// The types that the table must keep having, for tests that rely on them.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(crate) fn tables() -> OneTable {
    OneTable(Arc::clone(&TABLE))
}

pub(crate) fn session() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(1);
    let session = SessionContext::new_with_config(config);
    session.register_table("t", Arc::clone(&TABLE) as _).unwrap();
    // A hub puts it into statements itself.
    session.register_udf(proto::plan::coarse::udf().as_ref().clone());
    session.register_udf(proto::plan::interval::udf().as_ref().clone());
    session
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Analysed,
    Optimised,
}

pub(crate) async fn plan(session: &SessionContext, sql: &str, form: Form) -> Result<LogicalPlan, DataFusionError> {
    let state = session.state();
    let plan = state.create_logical_plan(sql).await?;
    let options = state.config_options();
    let plan = state.analyzer().execute_and_check(plan, options, |_, _| {})?;
    match form {
        Form::Analysed => Ok(plan),
        Form::Optimised => state.optimize(&plan),
    }
}

/// Through bytes, as between hub and spoke.
pub(crate) fn travel(fragment: wire::Fragment) -> Result<wire::Fragment, FragmentError> {
    let envelope = wire::Envelope {
        version: 1,
        query_id: proto::ids::QueryId::new().to_string(),
        project: "p".into(),
        user: "u".into(),
        zone: wire::Zone::Enclave.into(),
        ..wire::Envelope::default()
    };
    let request = wire::ScanRequest {
        blind: None,
        quick: None,
        versions: Vec::new(),
        envelope: Some(envelope),
        fragment: Some(fragment),
        schema_fingerprint: Vec::new(),
        keys: Vec::new(),
        accepts: Vec::new(),
    };
    let request = from_bytes(&request.encode_to_vec(), &Limits::default())?;
    Ok(request.fragment.unwrap())
}

/// The rows as text; floats to nine digits, since the order of a sum may differ.
pub(crate) async fn rows(session: &SessionContext, plan: LogicalPlan) -> Result<Vec<String>, DataFusionError> {
    let batches = session.execute_logical_plan(plan).await?.collect().await?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<_> = columns.map(|c| ArrayFormatter::try_new(c, &options)).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().enumerate().map(|(i, c)| {
                let text = c.value(row).to_string();
                match (batch.schema().field(i).data_type(), text.parse::<f64>()) {
                    (DataType::Float64, Ok(f)) => format!("{f:.9e}").replace("-0.000000000e0", "0.000000000e0"),
                    _ => text,
                }
            });
            rows.push(cells.collect::<Vec<_>>().join(" | "));
        }
    }
    Ok(rows)
}

fn shape(plan: &LogicalPlan) -> Vec<(String, DataType)> {
    let fields = plan.schema().fields().iter();
    fields.map(|f| (f.name().clone(), f.data_type().clone())).collect()
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The same rows.
    Same,
    /// The engine refuses the plan itself, or fails when it runs it.
    EngineRefuses(String),
    /// A fragment cannot say it.
    Unsayable(Unsayable),
}

/// The way there and back; panics if the rows are not the same.
pub(crate) async fn there_and_back(session: &SessionContext, sql: &str, form: Form) -> Outcome {
    let original = match plan(session, sql, form).await {
        Ok(original) => original,
        Err(error) => return Outcome::EngineRefuses(error.to_string()),
    };
    let fragment = match encode_plan(&original) {
        Ok(fragment) => fragment,
        Err(unsayable) => return Outcome::Unsayable(unsayable),
    };
    let arrived = travel(fragment.clone()).unwrap_or_else(|e| panic!("{form:?} {sql}: refused: {e}"));
    // as bytes: NaN is not equal to itself
    assert_eq!(arrived.encode_to_vec(), fragment.encode_to_vec());
    let decoded = decode(&arrived, &tables(), &session.state(), &Limits::default())
        .unwrap_or_else(|e| panic!("{form:?} {sql}: not decoded: {e}\n{original}"));
    assert_eq!(shape(&decoded), shape(&original), "{form:?} {sql}");
    // decoding gives names to aggregates one step above; from there on the same is said again and again
    let again = encode_plan(&decoded).unwrap_or_else(|e| panic!("{form:?} {sql}: {e}"));
    let twice = decode(&again, &tables(), &session.state(), &Limits::default()).unwrap();
    let third = encode_plan(&twice).unwrap();
    assert!(
        third.encode_to_vec() == again.encode_to_vec(),
        "{form:?} {sql}: a decoded plan says the same: {} and {}",
        text(&third, Literals::Shown),
        text(&again, Literals::Shown)
    );

    let expected = match rows(session, original).await {
        Ok(expected) => expected,
        Err(error) => return Outcome::EngineRefuses(error.to_string()),
    };
    let got = rows(session, decoded.clone())
        .await
        .unwrap_or_else(|e| panic!("{form:?} {sql}: decoded does not run: {e}\n{}", decoded.display_indent()));
    let (mut expected_sorted, mut got_sorted) = (expected, got);
    if !sql.contains("ORDER BY") {
        expected_sorted.sort();
        got_sorted.sort();
    }
    assert_eq!(got_sorted, expected_sorted, "{form:?} {sql}\n{}", decoded.display_indent());
    Outcome::Same
}
