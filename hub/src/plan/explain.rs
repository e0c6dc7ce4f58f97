//! What runs where, for people to read.

use super::scan::SpokeScanExec;
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use policies::{
    disclosure::{coarse, thousands},
    zone::Zone,
};
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;

/// Columns of EXPLAIN, and two more of EXPLAIN ANALYZE.
pub(super) fn schema(analyze: bool) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let mut fields = vec![text("runs_at"), text("what")];
    if analyze {
        fields.extend([text("rows"), text("bytes")]);
    }
    Arc::new(Schema::new(fields))
}

/// What was measured: rows of the result.
pub(super) struct Measured {
    pub(super) rows: u64,
    pub(super) zone: Zone,
}

/// One row for each spoke's fragment, then why the rest is the hub's, then the hub's part line by line.
pub(super) fn describe(
    plan: &Arc<dyn ExecutionPlan>,
    kept: &[String],
    measured: Option<&Measured>,
) -> Result<RecordBatch, Refusal> {
    let mut scans = Vec::new();
    collect(plan, &mut scans);
    let mut lines: Vec<[String; 4]> = Vec::new();
    // Numbers of a result that is not shown must not say what it would have said.
    let shown = |n: u64| match measured.map(|m| m.zone) {
        Some(Zone::Enclave) => thousands(n),
        Some(Zone::Open) => coarse(n),
        None => String::new(),
    };
    for scan in scans {
        let scan: &SpokeScanExec = scan;
        let (rows, bytes) = scan.received();
        let moved = match scan.sent() {
            0 => shown(bytes),
            sent => format!("{}, keys {}", shown(bytes), shown(sent)),
        };
        lines.push([scan.controller().to_string(), scan.text(), shown(rows), moved]);
    }
    for reason in kept {
        lines.push(["hub".to_owned(), format!("(stays here: {reason})"), String::new(), String::new()]);
    }
    let result = measured.map_or_else(String::new, |m| shown(m.rows));
    for (number, line) in displayable(plan.as_ref()).indent(false).to_string().lines().enumerate() {
        let rows = if number == 0 { result.clone() } else { String::new() };
        lines.push(["hub".to_owned(), hub_line(line), rows, String::new()]);
    }
    let schema = schema(measured.is_some());
    let columns: Vec<ArrayRef> = (0..schema.fields().len())
        .map(|column| {
            let values = lines.iter().map(|line| line.get(column).map_or("", String::as_str));
            Arc::new(StringArray::from_iter_values(values)) as ArrayRef
        })
        .collect();
    RecordBatch::try_new(schema, columns).map_err(|_| Refusal::new(Kind::Internal, "the plan can't be shown"))
}

/// A spoke's fragment stands in its own row already.
fn hub_line(line: &str) -> String {
    line.split_once(", fragment=").map_or(line, |(before, _)| before).to_owned()
}

pub(super) fn collect<'a>(plan: &'a Arc<dyn ExecutionPlan>, scans: &mut Vec<&'a SpokeScanExec>) {
    if let Some(scan) = plan.downcast_ref::<SpokeScanExec>() {
        scans.push(scan);
    }
    for child in plan.children() {
        collect(child, scans);
    }
}
