//! What a researcher reads when a statement can't be answered in the open zone: the reason, and a statement that works.
//!
//! INVARIANT: names of tables, columns and functions only; no literal of the statement and no value of the data.

use crate::release::roles::{ColumnRole, Roles};
use datafusion::{
    arrow::datatypes::DataType,
    common::{Result, TableReference, tree_node::TreeNodeRecursion, utils::quote_identifier},
    logical_expr::{LogicalPlan, TableScan},
};

/// A statement that may not be answered outside the secure environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}\nThis works: {example}")]
pub struct ReleaseRefusal {
    /// Why, and what to write instead.
    pub reason: String,
    /// A statement over the same tables that is answered.
    pub example: String,
}

/// Which kind of statement shows the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// people and rows per group
    Count,
    /// a mean and a spread
    Mean,
    /// two tables joined by the person
    Link,
    /// people of one table that are in another
    Within,
    /// one row per person first, then a count
    PerPerson,
    /// people per month
    Month,
    /// values that are shown, counted
    Values,
    /// the range that holds a median
    Range,
    /// means and spreads of two numbers and of their sum
    Spreads,
}

/// A table of people that the statement names, as far as examples need it.
#[derive(Debug, Clone)]
struct Table {
    name: String,
    person: String,
    group: Option<String>,
    number: Option<String>,
    other: Option<String>,
    day: Option<String>,
}

/// The tables at hand, from which examples are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Examples {
    tables: Vec<Table>,
}

impl Examples {
    /// Looks at every table that the statement names.
    pub(super) fn of(plan: &LogicalPlan, roles: &dyn Roles) -> Result<Self> {
        let mut tables: Vec<Table> = Vec::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(table) = describe(scan, roles)
                && !tables.iter().any(|seen| seen.name == table.name)
            {
                tables.push(table);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { tables })
    }

    /// A refusal with a fitting example.
    pub(super) fn refuse(&self, reason: impl Into<String>, instead: Instead) -> ReleaseRefusal {
        ReleaseRefusal { reason: reason.into(), example: self.example(instead) }
    }

    fn example(&self, instead: Instead) -> String {
        let Some(table) = self.tables.first() else {
            return "SELECT count(*) AS n FROM controller.table_of_people".to_owned();
        };
        let other = self.tables.get(1).unwrap_or(table);
        let Table { name, person, .. } = table;
        match instead {
            Instead::Count => count(table),
            Instead::Mean => match &table.number {
                Some(number) => {
                    format!(
                        "SELECT avg({number}) AS mean, stddev({number}) AS spread, count({number}) AS n FROM {name}"
                    )
                }
                None => count(table),
            },
            Instead::Link => format!(
                "SELECT count(DISTINCT a.{person}) AS people FROM {name} a JOIN {} b ON a.{person} = b.{}",
                other.name, other.person
            ),
            Instead::Within => format!(
                "SELECT count(DISTINCT {person}) AS people FROM {name} WHERE {person} IN (SELECT {} FROM {})",
                other.person, other.name
            ),
            Instead::Month => {
                let dated = self.tables.iter().find_map(|table| Some((table, table.day.as_ref()?)));
                dated.map_or_else(
                    || count(table),
                    |(Table { name, person, .. }, day)| {
                        format!(
                            "SELECT date_trunc('month', {day}) AS month, count(DISTINCT {person}) AS people FROM {name} \
                             GROUP BY date_trunc('month', {day})"
                        )
                    },
                )
            }
            Instead::Values => match &table.group {
                Some(group) => format!(
                    "WITH g AS (SELECT {group} FROM {name} GROUP BY {group}) \
                     SELECT DISTINCT count({group}) OVER () AS shown_values FROM g WHERE {group} IS NOT NULL"
                ),
                None => count(table),
            },
            Instead::Range => match &table.number {
                Some(number) => range(number, name),
                None => count(table),
            },
            Instead::Spreads => match (&table.number, &table.other) {
                (Some(x), Some(y)) => format!(
                    "SELECT count(*) AS n, avg({x}) AS mean_x, avg({y}) AS mean_y, var_samp({x}) AS var_x, var_samp({y}) AS var_y, \
                     var_samp({x} + {y}) AS var_sum FROM {name} WHERE {x} IS NOT NULL AND {y} IS NOT NULL"
                ),
                _ => count(table),
            },
            Instead::PerPerson => format!(
                "WITH each AS (SELECT {person}, count(*) AS n FROM {name} GROUP BY {person}) \
                 SELECT avg(n) AS mean_per_person FROM each"
            ),
        }
    }
}

/// The median of a column of numbers, as a range.
pub(super) fn range(number: &str, table: &str) -> String {
    format!("SELECT quantile_range({number}, 0.5) AS median, count({number}) AS n FROM {table}")
}

fn count(table: &Table) -> String {
    let Table { name, person, group, .. } = table;
    match group {
        Some(group) => {
            format!("SELECT {group}, count(*) AS n, count(DISTINCT {person}) AS people FROM {name} GROUP BY {group}")
        }
        None => format!("SELECT count(*) AS n, count(DISTINCT {person}) AS people FROM {name}"),
    }
}

fn describe(scan: &TableScan, roles: &dyn Roles) -> Option<Table> {
    let source = scan.source.as_ref();
    let schema = source.schema();
    let of_role = |role| schema.fields().iter().filter(move |field| roles.role(source, field.name()) == role);
    let mut people = of_role(ColumnRole::Person);
    let person = quote_identifier(people.next()?.name()).into_owned();
    if people.next().is_some() {
        return None;
    }
    let value = |wanted: fn(&DataType) -> bool| {
        of_role(ColumnRole::Value)
            .find(|field| wanted(field.data_type()))
            .map(|field| quote_identifier(field.name()).into_owned())
    };
    let number = value(DataType::is_floating).or_else(|| value(DataType::is_numeric));
    let numbers = of_role(ColumnRole::Value).filter(|field| field.data_type().is_numeric());
    let other =
        numbers.map(|field| quote_identifier(field.name()).into_owned()).find(|other| Some(other) != number.as_ref());
    Some(Table {
        name: table_name(&scan.table_name),
        person,
        group: value(|kind| kind.is_string() || kind.is_integer() || *kind == DataType::Boolean),
        number,
        other,
        day: value(|kind| matches!(kind, DataType::Date32 | DataType::Timestamp(..))),
    })
}

/// A table's name as the researcher writes it: the project's catalog is understood.
pub(super) fn table_name(table: &TableReference) -> String {
    let short = match table {
        TableReference::Full { schema, table, .. } => {
            TableReference::partial(std::sync::Arc::clone(schema), std::sync::Arc::clone(table))
        }
        other => other.clone(),
    };
    short.to_quoted_string()
}
