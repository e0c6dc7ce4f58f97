//! Values for a statement's parameters.

use super::{Manner, Planner, parse, trouble};
use crate::request::RequestContext;
use arrow::{
    array::RecordBatch,
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

/// The values bound to a statement, one row.
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
    /// Takes the rows that a client bound: none or one.
    ///
    /// # Errors
    /// When there are several.
    pub fn new(batches: &[RecordBatch]) -> Result<Self, Refusal> {
        let mut rows = batches.iter().filter(|batch| batch.num_rows() > 0);
        let Some(first) = rows.next() else { return Ok(Self::default()) };
        if first.num_rows() > 1 || rows.next().is_some() {
            return Err(Refusal::new(
                Kind::Invalid,
                "several rows of values are bound to one statement: bind one row, and run the statement once for each",
            ));
        }
        if first.num_columns() > MAX_PARAMETERS {
            return Err(Refusal::new(Kind::TooLarge, format!("a statement may have {MAX_PARAMETERS} parameters")));
        }
        Ok(Self(Some(first.clone())))
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
