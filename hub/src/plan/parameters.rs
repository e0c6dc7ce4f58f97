//! Values for a statement's parameters.

use super::{Manner, Planner, parse, trouble};
use crate::request::RequestContext;
use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use datafusion::{
    common::{ParamValues, ScalarValue},
    logical_expr::LogicalPlan,
};
use proto::refusal::{Kind, Refusal};
use std::sync::Arc;

/// Parameters that one statement may have.
const MAX_PARAMETERS: usize = 1000;
/// Rows of values that may be bound at once. Each is a statement of its own, to the spokes and to every cap.
const MAX_ROWS: usize = 100;

/// The values bound to a statement: a row for each time that it runs.
#[derive(Debug, Clone, Default)]
pub struct Parameters(Option<RecordBatch>);

/// What a client wants to know of a prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// the answer's schema; `None` when it depends on the values
    pub dataset: Option<SchemaRef>,
    /// one field a parameter, in order; type Null where the statement leaves it open
    pub parameters: SchemaRef,
}

impl Parameters {
    /// Takes the rows that a client bound.
    ///
    /// # Errors
    /// When they are too many.
    pub fn new(batches: &[RecordBatch]) -> Result<Self, Refusal> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let Some(first) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(Self::default()) };
        if rows > MAX_ROWS {
            return Err(Refusal::new(
                Kind::TooLarge,
                format!(
                    "{rows} rows of values are bound, and {MAX_ROWS} are taken at once: each runs the statement anew. \
                     Bind fewer, or say it as one statement with IN or a join"
                ),
            ));
        }
        if first.num_columns() > MAX_PARAMETERS {
            return Err(Refusal::new(Kind::TooLarge, format!("a statement may have {MAX_PARAMETERS} parameters")));
        }
        let different = || Refusal::new(Kind::Invalid, "the rows bound are of different types: bind them one by one");
        // A stream may change its schema on the way, and what joins batches takes their columns by number.
        let types = |batch: &RecordBatch| batch.columns().iter().map(|c| c.data_type().clone()).collect::<Vec<_>>();
        let wanted = types(first);
        if batches.iter().any(|batch| types(batch) != wanted) {
            return Err(different());
        }
        let all = concat_batches(first.schema_ref(), batches).map_err(|_| different())?;
        Ok(Self(Some(all)))
    }

    /// Each row by itself, in order; one without values when nothing is bound.
    #[must_use]
    pub fn rows(&self) -> Vec<Self> {
        match &self.0 {
            Some(batch) => (0..batch.num_rows()).map(|row| Self(Some(batch.slice(row, 1)))).collect(),
            None => vec![Self::default()],
        }
    }

    /// The values as bytes, to travel in a ticket; empty when there are none.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        let Some(batch) = &self.0 else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        StreamWriter::try_new(&mut bytes, batch.schema_ref())
            .and_then(|mut writer| writer.write(batch).and_then(|()| writer.finish()))
            .map_err(|_| Refusal::new(Kind::Invalid, "the values bound can't be sent: check their types"))?;
        Ok(bytes)
    }

    /// The values from what [`Parameters::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let batches = StreamReader::try_new(bytes, None)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|_| Refusal::new(Kind::Invalid, "the values bound can't be read"))?;
        Self::new(&batches)
    }

    /// The plan with values in place of parameters.
    pub(super) fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
        let invalid = |message: String| Refusal::new(Kind::Invalid, message);
        if self.0.as_ref().is_some_and(|batch| batch.num_rows() > 1) {
            return Err(invalid(
                "several rows of values are bound: ask for FlightInfo, which lists an answer for each".to_owned(),
            ));
        }
        let wanted = count(&plan)?;
        let given = self.0.as_ref().map_or(0, RecordBatch::num_columns);
        if wanted != given {
            return Err(invalid(format!("the statement has {wanted} parameters, and {given} values are bound")));
        }
        let Some(batch) = self.0.as_ref().filter(|_| wanted > 0) else { return Ok(plan) };
        let values: Vec<ScalarValue> = batch
            .columns()
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect::<Result<_, _>>()
            .map_err(|_| invalid("a value of this type can't be bound".to_owned()))?;
        plan.with_param_values(ParamValues::from(values))
            .map_err(|error| invalid(format!("the values don't fit the statement: {}", trouble::plain(&error))))
    }
}

/// Parameters are `$1` to `$n`, all of them.
fn count(plan: &LogicalPlan) -> Result<usize, Refusal> {
    let names = plan.get_parameter_names().map_err(|_| Refusal::new(Kind::Invalid, "the parameters can't be read"))?;
    let mut highest = 0;
    for name in &names {
        match name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
            Some(n) if (1..=MAX_PARAMETERS).contains(&n) => highest = highest.max(n),
            _ => return Err(Refusal::new(Kind::Invalid, format!("parameter {name}: write ? or $1, $2 and so on"))),
        }
    }
    if highest != names.len() {
        return Err(Refusal::new(Kind::Invalid, format!("parameters up to ${highest} are used, but not all of them")));
    }
    Ok(highest)
}

impl Planner {
    /// What a client wants to know of a statement before it binds values.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub async fn prepare(&self, context: &Arc<RequestContext>, sql: &str) -> Result<Prepared, Refusal> {
        let reading = parse(sql)?;
        let (state, logical, _) = self.bind(context, &reading, None).await?;
        let wanted = count(&logical)?;
        let mut types = logical.get_parameter_types().map_err(|e| trouble::planning(&e, &context.query))?;
        let types: Vec<Option<DataType>> = (1..=wanted).map(|n| types.remove(&format!("${n}")).flatten()).collect();
        let fields: Vec<Field> = types
            .iter()
            .enumerate()
            .map(|(n, kind)| Field::new(format!("${}", n + 1), kind.clone().unwrap_or(DataType::Null), true))
            .collect();
        let known: Option<Vec<ScalarValue>> =
            types.iter().map(|kind| kind.as_ref().and_then(|k| ScalarValue::try_from(k).ok())).collect();
        let dataset = match known {
            Some(nulls) => {
                let bound = if nulls.is_empty() {
                    logical
                } else {
                    logical
                        .with_param_values(ParamValues::from(nulls))
                        .map_err(|e| trouble::planning(&e, &context.query))?
                };
                let typed = wanted == 0 || reading.manner != Manner::Answer;
                // With NULL for every value it may not be plannable; then only running it can tell.
                match self.release(context, state, reading.manner, bound) {
                    Ok(planned) => Some(Arc::clone(planned.schema())),
                    Err(refusal) if typed || refusal.kind == Kind::Denied => return Err(refusal),
                    Err(_) => None,
                }
            }
            None => None,
        };
        Ok(Prepared { dataset, parameters: Arc::new(Schema::new(fields)) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(n, c)| (format!("p{n}"), c))).unwrap()
    }

    fn numbers(of: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(of.to_vec()))
    }

    #[test]
    fn rows_of_several_batches_keep_their_order_through_a_ticket() {
        let bound =
            Parameters::new(&[batch(vec![numbers(&[3, 1])]), batch(vec![numbers(&[])]), batch(vec![numbers(&[2])])]);
        let bytes = bound.unwrap().to_bytes().unwrap();
        let rows = Parameters::from_bytes(&bytes).unwrap().rows();
        let values: Vec<ArrayRef> = rows.iter().map(|row| Arc::clone(row.0.as_ref().unwrap().column(0))).collect();
        assert_eq!(values, [numbers(&[3]), numbers(&[1]), numbers(&[2])]);
        assert_eq!(Parameters::new(&[]).unwrap().rows().len(), 1, "without values it runs once");
    }

    #[test]
    fn batches_that_differ_are_refused() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let two = || batch(vec![numbers(&[1]), numbers(&[2])]);
        for other in [batch(vec![numbers(&[1])]), batch(vec![numbers(&[1]), text])] {
            let refusal = Parameters::new(&[two(), other]).unwrap_err();
            assert!(refusal.message.contains("different types"), "{refusal:?}");
        }
    }
}
