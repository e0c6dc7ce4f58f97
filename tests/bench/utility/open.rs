//! Tables of the registers as they are, and as the open zone shows them.

use super::{rules::Cells, tables::Asked};
use anyhow::{Context, Result};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type},
};
use datafusion::{dataframe::DataFrame, logical_expr::LogicalPlan, prelude::SessionContext};
use hub::release::{Ledger, SchemaRoles, analyse};
use policies::zone::Zone;
use std::sync::Arc;

/// The analysed plan of a statement, as release takes it.
pub(crate) async fn planned(session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    let state = session.state();
    let plan = state.create_logical_plan(sql).await?;
    Ok(state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?)
}

/// The same, as it runs in the open zone.
pub(crate) async fn released(session: &SessionContext, sql: &str, ledger: &Arc<Ledger>) -> Result<LogicalPlan> {
    let plan = planned(session, sql).await?;
    let released = analyse(plan, Zone::Open, &SchemaRoles, ledger);
    Ok(released.map_err(|refusal| anyhow::anyhow!("{sql}: {refusal}"))?.into_inner())
}

/// A table with all its totals; by `ledger`, what the open zone shows of it to a project that was shown what is in there.
pub(super) async fn table(session: &SessionContext, asked: &Asked, ledger: Option<&Arc<Ledger>>) -> Result<Cells> {
    let mut cells = Cells::new();
    let variables = asked.variables.len();
    // The finest first, as a researcher would.
    for kept in (0_u32..1 << variables).rev() {
        let by: Vec<bool> = (0..variables).map(|place| kept >> place & 1 == 1).collect();
        let sql = asked.sql(&by);
        let plan = match ledger {
            Some(ledger) => released(session, &sql, ledger).await?,
            None => planned(session, &sql).await?,
        };
        for batch in DataFrame::new(session.state(), plan).collect().await? {
            read(&batch, &by, &mut cells).with_context(|| sql.clone())?;
        }
    }
    Ok(cells)
}

/// Rows with a number; the others are hidden.
fn read(batch: &RecordBatch, by: &[bool], cells: &mut Cells) -> Result<()> {
    let keys = by.iter().filter(|kept| **kept).count();
    let codes = (0..keys).map(|at| batch.column(at).as_primitive_opt::<Int32Type>().context("a code"));
    let codes: Vec<_> = codes.collect::<Result<_>>()?;
    let people = batch.column(keys).as_primitive_opt::<Int64Type>().context("a number of people")?;
    for row in (0..batch.num_rows()).filter(|row| people.is_valid(*row)) {
        let mut codes = codes.iter();
        let key = by.iter().map(|kept| {
            let code = if *kept { codes.next() } else { None };
            code.map(|codes| u32::try_from(codes.value(row))).transpose()
        });
        let key = key.collect::<Result<_, _>>()?;
        let people = u64::try_from(people.value(row))?;
        // Nobody is no cell.
        if people > 0 {
            cells.insert(key, people);
        }
    }
    Ok(())
}
