//! The columns that an expression may name, and the person equalities among them.

use crate::release::{
    people::{Carries, PersonColumn, PersonId},
    walk::At,
};
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Expr, Operator, utils::split_conjunction},
};

/// The columns that an expression may name: of its own input, and of the statements around it.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) schema: &'s DFSchema,
    /// as the fields of the schema
    pub(super) columns: &'s [PersonColumn],
    pub(super) outer: Option<&'s Scope<'s>>,
}

/// What an expression stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Value,
    /// bare column of another identifier
    Key {
        name: String,
    },
    /// bare column of a person; `own` when it belongs to the innermost statement
    Person {
        name: String,
        who: PersonId,
        always: bool,
        own: bool,
    },
}

impl Seen {
    pub(super) fn identifies(&self) -> Option<&str> {
        match self {
            Self::Value => None,
            Self::Key { name } | Self::Person { name, .. } => Some(name),
        }
    }
}

/// An equality of two persons that every row fulfils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// two columns of the same scope
    Own(usize, usize),
    /// a column, and a person of an enclosing statement
    Outer(usize),
}

impl Scope<'_> {
    pub(super) fn own(&self, column: &Column) -> Option<(usize, Carries)> {
        let i = self.schema.maybe_index_of_column(column)?;
        Some((i, self.columns.get(i)?.carries))
    }

    pub(super) fn enclosing(&self, column: &Column) -> Option<Carries> {
        let mut scope = self.outer;
        while let Some(outer) = scope {
            if let Some((_, carries)) = outer.own(column) {
                return Some(carries);
            }
            scope = outer.outer;
        }
        None
    }

    /// The person equalities among the conditions that must all hold.
    pub(super) fn links(&self, predicate: &Expr) -> Vec<Link> {
        split_conjunction(predicate)
            .into_iter()
            .filter_map(|condition| match condition {
                Expr::BinaryExpr(binary) if binary.op == Operator::Eq => self.link(&binary.left, &binary.right),
                _ => None,
            })
            .collect()
    }

    /// The person equality that `left = right` states.
    pub(super) fn link(&self, left: &Expr, right: &Expr) -> Option<Link> {
        match (self.person(left)?, self.person(right)?) {
            (Some(left), Some(right)) => Some(Link::Own(left, right)),
            (Some(own), None) | (None, Some(own)) => Some(Link::Outer(own)),
            (None, None) => None,
        }
    }

    /// Position of a person column of this scope, `Some(None)` for a person of an enclosing one.
    fn person(&self, expr: &Expr) -> Option<Option<usize>> {
        match bare(expr) {
            Expr::Column(column) => match self.own(column)? {
                (i, Carries::Person { .. }) => Some(Some(i)),
                _ => None,
            },
            Expr::OuterReferenceColumn(_, column) => match self.enclosing(column)? {
                Carries::Person { .. } => Some(None),
                Carries::Value | Carries::Key => None,
            },
            _ => None,
        }
    }
}

/// The expression under its aliases.
pub(super) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

pub(super) fn name_of(column: &Column) -> String {
    column.flat_name()
}

/// Columns of which none identifies.
pub(super) fn plain(schema: &DFSchema) -> Vec<PersonColumn> {
    vec![PersonColumn::VALUE; schema.fields().len()]
}

impl<'s> Scope<'s> {
    pub(super) fn plain(schema: &'s DFSchema, at: At<'s>, columns: &'s [PersonColumn]) -> Self {
        Self { schema, columns, outer: at.outer }
    }
}

/// What a bare column stands for.
pub(super) fn seen(column: &Column, carries: Carries, own: bool) -> Seen {
    match carries {
        Carries::Value => Seen::Value,
        Carries::Key => Seen::Key { name: name_of(column) },
        Carries::Person { who, always } => Seen::Person { name: name_of(column), who, always, own },
    }
}
