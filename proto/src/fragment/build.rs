//! Fragments made by hand, part by part.

use super::VERSION;
use crate::ids::TableName;
use crate::wire::{
    Aggregate, Expr, Filter, Fragment, Join, JoinKey, JoinKind, Measure, MeasureKind, NamedExpr, NamedMeasure, Project,
    Read, Rel, SortKey, SortLimit, rel,
};

fn of(kind: rel::Kind) -> Rel {
    Rel { kind: Some(kind) }
}

/// Reads these columns, in this order.
pub fn read(table: &TableName, columns: &[String]) -> Rel {
    of(rel::Kind::Read(Read { table: table.to_string(), columns: columns.to_vec() }))
}

/// Keeps the rows for which the predicate is true.
pub fn filter(input: Rel, predicate: Expr) -> Rel {
    of(rel::Kind::Filter(Box::new(Filter { input: Some(Box::new(input)), predicate: Some(predicate) })))
}

/// Gives these columns instead of the input's.
pub fn project(input: Rel, exprs: Vec<NamedExpr>) -> Rel {
    of(rel::Kind::Project(Box::new(Project { input: Some(Box::new(input)), exprs })))
}

/// Matches the rows of two inputs that have no column name in common.
pub fn join(kind: JoinKind, left: Rel, right: Rel, on: Vec<JoinKey>) -> Join {
    Join {
        kind: kind.into(),
        left: Some(Box::new(left)),
        right: Some(Box::new(right)),
        on,
        condition: None,
        nulls_match: false,
    }
}

/// A join as a relation.
pub fn joined(join: Join) -> Rel {
    of(rel::Kind::Join(Box::new(join)))
}

/// Groups and measures.
pub fn aggregate(input: Rel, groups: Vec<NamedExpr>, measures: Vec<NamedMeasure>) -> Rel {
    of(rel::Kind::Aggregate(Box::new(Aggregate { input: Some(Box::new(input)), groups, measures })))
}

/// Sorts; with a limit, only the first rows.
pub fn sort(input: Rel, keys: Vec<SortKey>, limit: Option<u64>) -> Rel {
    sort_limit(input, keys, limit, 0)
}

/// At most `rows` rows, any of them.
pub fn limit(input: Rel, rows: u64) -> Rel {
    sort_limit(input, Vec::new(), Some(rows), 0)
}

/// Sorts if there are keys, then skips `offset` rows and gives at most `limit`.
pub fn sort_limit(input: Rel, keys: Vec<SortKey>, limit: Option<u64>, offset: u64) -> Rel {
    of(rel::Kind::SortLimit(Box::new(SortLimit { input: Some(Box::new(input)), keys, limit, offset })))
}

/// An expression with the name of the column that it makes.
pub fn named(name: impl Into<String>, expr: Expr) -> NamedExpr {
    NamedExpr { name: name.into(), expr: Some(expr) }
}

/// A measure with the name of the column that it makes; without an argument it counts rows.
pub fn measure(name: impl Into<String>, kind: MeasureKind, argument: Option<Expr>) -> NamedMeasure {
    NamedMeasure { name: name.into(), measure: Some(Measure { kind: kind.into(), argument, ..Measure::default() }) }
}

/// A whole fragment.
pub fn fragment(root: Rel) -> Fragment {
    Fragment { version: VERSION, root: Some(root) }
}
