//! What runs where, for people to read.

use super::{partial::LeftOut, scan::SpokeScanExec};
use crate::{gather::Took, release::Note, watch};
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use policies::{
    disclosure::{coarse, moved, thousands},
    zone::Zone,
};
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;

/// Columns of EXPLAIN, and four more of EXPLAIN ANALYZE.
pub(super) fn schema(analyze: bool) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let mut fields = vec![text("runs_at"), text("what")];
    if analyze {
        fields.extend([text("rows"), text("bytes"), text("waited"), text("at_spoke")]);
    }
    Arc::new(Schema::new(fields))
}

/// Columns of EXPLAIN RELEASE.
pub(super) fn rules_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("about"), text("rule"), text("what")]))
}

/// One row for each rule that a statement meets.
pub(super) fn rules(notes: &[Note]) -> Result<RecordBatch, Refusal> {
    let column = |of: fn(&Note) -> &str| Arc::new(StringArray::from_iter_values(notes.iter().map(of))) as ArrayRef;
    let columns = vec![column(|note| &note.about), column(|note| &note.rule), column(|note| &note.what)];
    RecordBatch::try_new(rules_schema(), columns).map_err(|_| Refusal::new(Kind::Internal, "the rules can't be shown"))
}

/// What was measured: rows of the result.
pub(super) struct Measured {
    pub(super) rows: u64,
    pub(super) zone: Zone,
}

/// One row for each spoke's fragment, one for each that is left out, then why the rest is the hub's, then the hub's part line by
/// line.
pub(super) fn describe(
    plan: &Arc<dyn ExecutionPlan>,
    kept: &[String],
    left_out: &LeftOut,
    measured: Option<&Measured>,
) -> Result<RecordBatch, Refusal> {
    let mut scans = Vec::new();
    collect(plan, &mut scans);
    let mut lines: Vec<[String; 6]> = Vec::new();
    // Numbers of a result that is not shown must not say what it would have said.
    let edge = watch::edge();
    let shown = |n: u64| match measured.map(|m| m.zone) {
        Some(Zone::Enclave) => thousands(n),
        Some(Zone::Open) => coarse(moved(n, edge)),
        None => String::new(),
    };
    for scan in scans {
        let scan: &SpokeScanExec = scan;
        let (rows, bytes) = scan.received();
        let bytes_moved = match scan.sent() {
            0 => shown(bytes),
            sent => format!("{}, keys {}", shown(bytes), shown(sent)),
        };
        let (waited, at_spoke) = if measured.is_some() { times(&scan.took(), shown) } else { Default::default() };
        let text = match scan.question().blind() {
            Some(_) => format!("(only a share of a blind total leaves) {}", scan.text()),
            None => scan.text(),
        };
        lines.push([scan.controller().to_string(), text, shown(rows), bytes_moved, waited, at_spoke]);
    }
    lines.extend(
        left_out.lines().map(|(at, what)| [at, what, String::new(), String::new(), String::new(), String::new()]),
    );
    for reason in kept {
        lines.push(at_hub(format!("(stays here: {reason})"), String::new()));
    }
    let result = measured.map_or_else(String::new, |m| shown(m.rows));
    for (number, line) in displayable(plan.as_ref()).indent(false).to_string().lines().enumerate() {
        let rows = if number == 0 { result.clone() } else { String::new() };
        lines.push(at_hub(hub_line(line), rows));
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

fn at_hub(what: String, rows: String) -> [String; 6] {
    ["hub".to_owned(), what, rows, String::new(), String::new(), String::new()]
}

/// How long the hub waited, and what the spoke says of itself.
fn times(took: &Took, shown: impl Fn(u64) -> String) -> (String, String) {
    let mut waited = format!("{} ms", shown(took.answered));
    if took.keys > 0 {
        waited.push_str(&format!(", for keys {} ms", shown(took.keys)));
    }
    let mut at_spoke = String::new();
    if let Some((waited, worked)) = took.at_spoke {
        at_spoke = format!("waited {} ms, worked {} ms", shown(waited), shown(worked));
    }
    if let Some([rows, bytes, groups, skipped]) = took.read {
        let [rows, bytes, groups, skipped] = [rows, bytes, groups, skipped].map(shown);
        at_spoke.push_str(&format!(", read {rows} rows, {bytes} bytes, row groups {groups}, skipped {skipped}"));
    }
    (waited, at_spoke)
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
