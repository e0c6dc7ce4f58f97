//! A function or an operator that gives NULL where it would fail.
//!
//! INVARIANT: its name is none that a fragment can say, so that it runs at the hub and not, unwrapped, at a spoke.

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::concat,
    datatypes::{DataType, Field, FieldRef, Schema},
};
use datafusion::{
    common::{Result, ScalarValue, config::ConfigOptions, internal_datafusion_err},
    logical_expr::{
        ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, expr::ScalarFunction,
    },
    physical_expr::{
        PhysicalExpr,
        expressions::{Column, binary},
    },
};
use std::sync::Arc;

/// What is computed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Function(Arc<ScalarUDF>),
    Operator(Operator),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OrNull {
    of: Of,
    name: String,
    signature: Signature,
}

impl OrNull {
    pub(super) fn function(function: &Arc<ScalarUDF>) -> Self {
        Self::new(Of::Function(Arc::clone(function)), &format!("{}_or_null", function.name()))
    }

    pub(super) fn operator(operator: Operator) -> Self {
        Self::new(Of::Operator(operator), &format!("{operator} or_null"))
    }

    fn new(of: Of, name: &str) -> Self {
        // Types were settled before it was wrapped.
        Self { of, name: name.to_owned(), signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// The expression.
    pub(super) fn call(self, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction { func: Arc::new(ScalarUDF::new_from_impl(self)), args })
    }

    /// What it gives of constants, failing where it fails.
    pub(super) fn tried(&self, constants: &[ScalarValue]) -> Result<ColumnarValue> {
        let field = |value: &ScalarValue| Arc::new(Field::new("constant", value.data_type(), true));
        let arg_fields: Vec<FieldRef> = constants.iter().map(field).collect();
        let scalar_arguments: Vec<Option<&ScalarValue>> = constants.iter().map(Some).collect();
        let known = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalar_arguments };
        let return_field = self.return_field_from_args(known)?;
        self.computed(ScalarFunctionArgs {
            args: constants.iter().cloned().map(ColumnarValue::Scalar).collect(),
            arg_fields,
            number_rows: 1,
            return_field,
            config_options: Arc::new(ConfigOptions::default()),
        })
    }

    fn physical(operator: Operator, fields: &[FieldRef]) -> Result<(Arc<dyn PhysicalExpr>, Schema)> {
        let named = |at: usize, field: &FieldRef| Field::new(format!("{at}"), field.data_type().clone(), true);
        let schema = Schema::new(fields.iter().enumerate().map(|(at, field)| named(at, field)).collect::<Vec<_>>());
        let side = |at: usize| Arc::new(Column::new(&at.to_string(), at));
        Ok((binary(side(0), operator, side(1), &schema)?, schema))
    }

    fn computed(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &self.of {
            Of::Function(function) => function.invoke_with_args(args),
            Of::Operator(operator) => {
                let (expr, schema) = Self::physical(*operator, &args.arg_fields)?;
                let columns: Result<Vec<ArrayRef>> =
                    args.args.iter().map(|value| value.to_array(args.number_rows)).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
                expr.evaluate(&RecordBatch::try_new_with_options(Arc::new(schema), columns?, &options)?)
            }
        }
    }

    /// Rows that fail are looked for by halves, so that a batch with few of them costs little.
    fn rows(&self, args: &ScalarFunctionArgs, from: usize, count: usize, found: &mut Vec<ArrayRef>) -> Result<()> {
        let some = ScalarFunctionArgs {
            args: args
                .args
                .iter()
                .map(|value| match value {
                    ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, count)),
                    ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
                })
                .collect(),
            number_rows: count,
            ..args.clone()
        };
        match self.computed(some).and_then(|value| value.to_array(count)) {
            Ok(values) => found.push(values),
            Err(_) if count <= 1 => found.push(new_null_array(args.return_field.data_type(), count)),
            Err(_) => {
                self.rows(args, from, count / 2, found)?;
                self.rows(args, from + count / 2, count - count / 2, found)?;
            }
        }
        Ok(())
    }
}

impl ScalarUDFImpl for OrNull {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(internal_datafusion_err!("{}: its type depends on its constants", self.name))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let kind = match &self.of {
            Of::Function(function) => function.return_field_from_args(args)?.data_type().clone(),
            Of::Operator(operator) => {
                let (expr, schema) = Self::physical(*operator, args.arg_fields)?;
                expr.data_type(&schema)?
            }
        };
        Ok(Arc::new(Field::new(&self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Ok(value) = self.computed(args.clone()) {
            return Ok(value);
        }
        if args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(args.return_field.data_type())?));
        }
        let mut found = Vec::new();
        self.rows(&args, 0, args.number_rows, &mut found)?;
        let found: Vec<_> = found.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&found)?))
    }
}
