//! Rows about people, and which of their columns say about whom.
//!
//! INVARIANT: every value of a row depends only on the data of that row's person, and on tables without people. That is
//! why a count of distinct persons over the rows of a cell is a count of everybody behind the cell. Whoever adds a
//! node to [`crate::release::walk`] must keep this true.

use crate::release::scope::Link;
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Expr, LogicalPlan},
};
use std::collections::BTreeSet;

/// One of the people that a row is about. Two tables joined without a person equality have two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PersonId(pub(super) u32);

/// What a column says about the row's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// nothing that identifies
    Value,
    /// another identifier, or person columns mixed with something else
    Key,
    /// the person; `always`, or else only where the column isn't NULL (after an outer join)
    Person { who: PersonId, always: bool },
}

/// A column of a part of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PersonColumn {
    pub(super) carries: Carries,
    /// added by release, not in the statement
    pub(super) hidden: bool,
}

impl PersonColumn {
    pub(super) const VALUE: Self = Self { carries: Carries::Value, hidden: false };

    pub(super) const fn seen(carries: Carries) -> Self {
        Self { carries, hidden: false }
    }
}

/// A part of the statement whose rows are about people. Each person has at least one column that always carries it.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) plan: LogicalPlan,
    /// as the columns of the plan
    pub(super) columns: Vec<PersonColumn>,
    /// people that are equal to a person of an enclosing statement (correlated subqueries)
    pub(super) anchored: BTreeSet<PersonId>,
}

impl People {
    /// Everybody whom a row is about.
    pub(super) fn persons(&self) -> BTreeSet<PersonId> {
        persons(&self.columns)
    }

    /// A column that always carries this person, preferably one of the statement's own.
    pub(super) fn carrier(&self, who: PersonId) -> Option<usize> {
        let carries = |column: &PersonColumn| column.carries == (Carries::Person { who, always: true });
        self.columns
            .iter()
            .position(|column| carries(column) && !column.hidden)
            .or_else(|| self.columns.iter().position(carries))
    }

    /// Takes note of equalities that every row fulfils.
    pub(super) fn hold(&mut self, links: &[Link]) {
        for link in links {
            match *link {
                Link::Own(a, b) => {
                    if let (Some(first), Some(second)) = (self.who(a), self.who(b)) {
                        merge(&mut self.columns, &mut self.anchored, first, second);
                        self.always(a);
                        self.always(b);
                    }
                }
                Link::Outer(own) => {
                    if let Some(who) = self.who(own) {
                        self.anchored.insert(who);
                        self.always(own);
                    }
                }
            }
        }
    }

    /// Whom column `i` carries.
    pub(super) fn who(&self, i: usize) -> Option<PersonId> {
        match self.columns.get(i)?.carries {
            Carries::Person { who, .. } => Some(who),
            Carries::Value | Carries::Key => None,
        }
    }

    /// Column `i` equals a person, so it isn't NULL and is the row's person.
    fn always(&mut self, i: usize) {
        if let Some(Carries::Person { always, .. }) = self.columns.get_mut(i).map(|column| &mut column.carries) {
            *always = true;
        }
    }

    /// Positions of the statement's own columns.
    pub(super) fn visible(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, column)| !column.hidden).map(|(i, _)| i)
    }
}

/// Everybody who is named by these columns.
pub(super) fn persons(columns: &[PersonColumn]) -> BTreeSet<PersonId> {
    columns
        .iter()
        .filter_map(|column| match column.carries {
            Carries::Person { who, .. } => Some(who),
            Carries::Value | Carries::Key => None,
        })
        .collect()
}

/// Column `i` of a schema as an expression.
pub(super) fn column_at(schema: &DFSchema, i: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(i)))
}

/// `b` turns out to be `a`.
pub(super) fn merge(columns: &mut [PersonColumn], anchored: &mut BTreeSet<PersonId>, a: PersonId, b: PersonId) {
    for column in columns {
        if let Carries::Person { who, .. } = &mut column.carries
            && *who == b
        {
            *who = a;
        }
    }
    if anchored.remove(&b) {
        anchored.insert(a);
    }
}

/// After an outer join these columns are NULL where nothing matched.
pub(super) fn only_where_matched(columns: &mut [PersonColumn]) {
    for column in columns {
        if let Carries::Person { always, .. } = &mut column.carries {
            *always = false;
        }
    }
}
