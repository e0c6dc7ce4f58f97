//! Which columns stand for people: asked of the table behind a scan, never guessed from a name.
//!
//! INVARIANT: what is not said to be harmless counts as people. A table that doesn't say that it is a reference
//! table holds people.

use crate::release::Layout;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::{LogicalPlan, TableSource},
};
use policies::disclosure::Threshold;
use proto::schema;

/// What a column identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnRole {
    /// A person's pseudonym.
    Person,
    /// A pseudonym of something else that links, a contact or a requisition.
    Key,
    /// A value: a date, a code, a measurement.
    Value,
}

/// Knows the tables of the session that planned the statement.
pub trait Roles {
    /// What `column` of this table identifies.
    fn role(&self, source: &dyn TableSource, column: &str) -> ColumnRole;

    /// Whether rows of this table are about people. `false` only for reference tables (code lists, calendars).
    /// A table whose person column the project may not see still holds people.
    fn has_people(&self, source: &dyn TableSource) -> bool;

    /// The least people that a number made of this table may be about, as the permit has it under which it is there.
    fn least(&self, source: &dyn TableSource) -> Threshold {
        let _ = source;
        Threshold::DEFAULT
    }

    /// What its columns are, if it isn't a table but cells that their spoke has released.
    fn cells(&self, source: &dyn TableSource) -> Option<Layout> {
        let _ = source;
        None
    }
}

/// The largest threshold of the tables about people that a statement reads, wherever in it. It holds for all of the statement: a number of
/// one table beside one of another is then about as many people, and the same people have one noise in it.
pub(super) fn least(plan: &LogicalPlan, roles: &dyn Roles) -> Threshold {
    let mut least = Threshold::DEFAULT;
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && roles.has_people(scan.source.as_ref())
        {
            least = least.max(roles.least(scan.source.as_ref()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    least
}

pub use proto::schema::{REFERENCE, TABLE_ROLE};

/// The roles as the spokes write them into the Arrow schema: `eger.role` of a field, and [`TABLE_ROLE`] of the table.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaRoles;

impl Roles for SchemaRoles {
    fn role(&self, source: &dyn TableSource, column: &str) -> ColumnRole {
        let found = source.schema();
        let Ok(field) = found.field_with_name(column) else {
            return ColumnRole::Key; // unknown to its own table: treat as identifying
        };
        match field.metadata().get(schema::ROLE).map(String::as_str) {
            None => ColumnRole::Value,
            Some(schema::PERSON) => ColumnRole::Person,
            Some(_) => ColumnRole::Key,
        }
    }

    fn has_people(&self, source: &dyn TableSource) -> bool {
        let found = source.schema();
        let marked = found.metadata().get(TABLE_ROLE).is_some_and(|role| role == REFERENCE);
        !marked || found.fields().iter().any(|field| field.metadata().contains_key(schema::ROLE))
    }
}
