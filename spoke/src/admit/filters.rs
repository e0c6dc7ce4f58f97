//! Which of the hub's filters can be evaluated on stored columns, and how they read there.
//!
//! Within one project, S and the pseudonym stand for one another one to one: equality holds for one exactly if it
//! holds for the other. So `person = x` becomes `S = inverse(x)`, and row groups prune. Order, text and arithmetic
//! mean something else on S, and what uses them stays above pseudonymisation.
//!
//! INVARIANT: an expression returned by [`on_stored`] gives, on stored columns, the same truth value as the
//! original on the project's pseudonyms.
//! INVARIANT: what may fail on a value (division, casts that don't fit, functions) is not returned: it must not run on
//! rows before the permit's row filter has taken out what does not exist for the project.

use crate::pseudonym::Recoder;
use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList, expr_rewriter::unnormalize_col},
};
use proto::plan::keys::{Keys, in_keys, of_in_keys};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a pseudonym.
const WIDTH: i32 = 16;

/// What the columns of a view are made of.
pub(crate) struct Columns<'a> {
    /// the stored schema
    pub(crate) stored: &'a Schema,
    /// the view's linking columns
    pub(crate) linking: &'a HashMap<String, Arc<Recoder>>,
    /// lists of keys, as they read on stored columns
    pub(crate) lists: &'a StoredLists,
}

/// Lists of keys, each turned into stored pseudonyms once: a list may hold millions.
#[derive(Default)]
pub(crate) struct StoredLists(Mutex<Vec<StoredList>>);

struct StoredList {
    column: String,
    /// as it came
    list: Arc<Keys>,
    /// as it reads on the stored column
    stored: Arc<Keys>,
}

impl StoredLists {
    fn of(&self, column: &str, list: &Arc<Keys>, recoder: &Recoder) -> Arc<Keys> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|known| known.column == column && Arc::ptr_eq(&known.list, list));
        if let Some(found) = found {
            return Arc::clone(&found.stored);
        }
        let stored = Arc::new(match list.sorted_ids() {
            Some(ids) => Keys::ids(ids.iter().map(|id| recoder.inverse(&id.to_be_bytes()))),
            None => Keys::everything(),
        });
        known.push(StoredList { column: column.to_owned(), list: Arc::clone(list), stored: Arc::clone(&stored) });
        stored
    }
}

/// `filter` as it reads on stored columns, if it can be evaluated there.
pub(crate) fn on_stored(filter: &Expr, columns: &Columns<'_>) -> Option<Expr> {
    if let Some((value, list)) = of_in_keys(filter) {
        let Expr::Column(column) = value else { return None };
        return Some(match columns.linking.get(&column.name) {
            // A filter knows pseudonyms of the project only: it is asked after they were made.
            Some(_) if list.is_bloom() => return None,
            Some(recoder) => in_keys(plain(&column.name), columns.lists.of(&column.name, list, recoder)),
            None => unqualified(filter),
        });
    }
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            Some(binary(on_stored(left, columns)?, *op, on_stored(right, columns)?))
        }
        Expr::Not(inner) => Some(Expr::Not(Box::new(on_stored(inner, columns)?))),
        Expr::IsNull(inner) => match inner.as_ref() {
            Expr::Column(column) => Some(Expr::IsNull(Box::new(plain(&column.name)))),
            _ => None,
        },
        Expr::IsNotNull(inner) => match inner.as_ref() {
            Expr::Column(column) => Some(Expr::IsNotNull(Box::new(plain(&column.name)))),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if same_on_both_sides(*op) => {
            let (name, recoder, constant) = match (columns.link(left), columns.link(right)) {
                (Some((name, recoder)), None) => (name, recoder, right),
                (None, Some((name, recoder))) => (name, recoder, left),
                // Two linking columns may be of different roles, whose pseudonyms are made by different keys.
                (Some(_), Some(_)) => return None,
                (None, None) => return harmless(filter, columns).then(|| unqualified(filter)),
            };
            Some(binary(plain(name), *op, stored(constant, recoder)?))
        }
        Expr::InList(InList { expr, list, negated }) if columns.link(expr).is_some() => {
            let (name, recoder) = columns.link(expr)?;
            let list = list.iter().map(|constant| stored(constant, recoder)).collect::<Option<Vec<_>>>()?;
            Some(Expr::InList(InList { expr: Box::new(plain(name)), list, negated: *negated }))
        }
        other => harmless(other, columns).then(|| unqualified(other)),
    }
}

impl Columns<'_> {
    /// The linking column that an expression is, perhaps cast to another form of bytes.
    fn link<'e>(&self, expr: &'e Expr) -> Option<(&'e str, &Arc<Recoder>)> {
        match expr {
            Expr::Column(column) => Some((column.name.as_str(), self.linking.get(&column.name)?)),
            Expr::Cast(cast) if bytes(cast.field.data_type()) => self.link(&cast.expr),
            _ => None,
        }
    }

    fn type_of(&self, expr: &Expr) -> Option<&DataType> {
        match expr {
            Expr::Column(column) => self.stored.field_with_name(&column.name).ok().map(|f| f.data_type()),
            _ => None,
        }
    }
}

fn bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(WIDTH)
    )
}

fn compares(op: Operator) -> bool {
    use Operator::{And, Gt, GtEq, Lt, LtEq, Or};
    same_on_both_sides(op) || matches!(op, Lt | LtEq | Gt | GtEq | And | Or)
}

fn same_on_both_sides(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// The constant's S. `None` when it is no pseudonym: such a comparison is left to the one who knows its meaning.
fn stored(constant: &Expr, recoder: &Recoder) -> Option<Expr> {
    let Expr::Literal(value, _) = constant else { return None };
    let bytes = match value {
        ScalarValue::FixedSizeBinary(_, Some(bytes))
        | ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => bytes,
        _ => return None,
    };
    let pseudonym: &[u8; 16] = bytes.as_slice().try_into().ok()?;
    let value = ScalarValue::FixedSizeBinary(WIDTH, Some(recoder.inverse(pseudonym).to_vec()));
    Some(Expr::Literal(value, None))
}

/// Whether an expression uses no linking column and can't fail on any value.
fn harmless(expr: &Expr, columns: &Columns<'_>) -> bool {
    let fine = |e: &Expr| harmless(e, columns);
    match expr {
        Expr::Column(column) => !columns.linking.contains_key(&column.name),
        Expr::Literal(..) => true,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => compares(*op) && fine(left) && fine(right),
        Expr::Not(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNotFalse(e)
        | Expr::IsNotUnknown(e) => fine(e),
        Expr::Between(between) => fine(&between.expr) && fine(&between.low) && fine(&between.high),
        Expr::InList(list) => fine(&list.expr) && list.list.iter().all(fine),
        // A pattern that is no constant might be malformed in some row.
        Expr::Like(like) => fine(&like.expr) && matches!(like.pattern.as_ref(), Expr::Literal(..)),
        Expr::Cast(cast) => {
            fine(&cast.expr) && columns.type_of(&cast.expr).is_some_and(|from| widens(from, cast.field.data_type()))
        }
        _ => false,
    }
}

/// Whether every value of `from` has a counterpart in `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    from == to
        || matches!(
            (from, to),
            (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
                | (Int16, Int32 | Int64 | Float32 | Float64)
                | (Int32, Int64 | Float64)
                | (Int64, Float64)
                | (Float32, Float64)
                | (Utf8, Utf8View | LargeUtf8)
        )
}

fn plain(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(name))
}

fn unqualified(expr: &Expr) -> Expr {
    unnormalize_col(expr.clone())
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}
