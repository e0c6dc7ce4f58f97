//! One SELECT in the making.

use super::expr::Tight;

/// A column that a SELECT gives.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its name in the fragment.
    pub(super) name: String,
    /// Its name as SQL.
    pub(super) shown: String,
    /// What it is.
    pub(super) sql: String,
    /// How tightly that holds together.
    pub(super) tight: Tight,
}

/// The parts of a SELECT, as SQL.
#[derive(Debug, Default)]
pub(super) struct Select {
    pub(super) items: Vec<Item>,
    from: String,
    pub(super) filter: Option<String>,
    pub(super) group: Option<Vec<String>>,
    pub(super) having: Option<String>,
    pub(super) order: Vec<String>,
    pub(super) limit: String,
}

/// Longer expressions are not repeated where their column is used.
const MAX_SHORT: usize = 100;

impl Select {
    pub(super) fn of(from: &str) -> Self {
        Self { from: from.to_owned(), ..Self::default() }
    }

    /// ORDER BY or LIMIT, above which nothing more fits in.
    pub(super) fn ends(&self) -> Option<()> {
        (!self.order.is_empty() || !self.limit.is_empty()).then_some(())
    }

    /// The place where a filter of what this gives would go, if it is taken.
    pub(super) fn condition(&self) -> Option<&String> {
        match self.group {
            Some(_) => self.having.as_ref(),
            None => self.filter.as_ref(),
        }
    }

    /// Whether the columns may be replaced by what they stand for; otherwise columns of columns would double
    /// the text with each level.
    pub(super) fn is_short(&self) -> bool {
        self.items.iter().all(|item| item.sql.len() <= MAX_SHORT)
    }

    pub(super) fn finish(self) -> String {
        let items = self.items.iter().map(|item| match item.sql == item.shown {
            true => item.sql.clone(),
            false => format!("{} AS {}", item.sql, item.shown),
        });
        let items = match self.items.is_empty() {
            true => "no columns".to_owned(),
            false => items.collect::<Vec<_>>().join(", "),
        };
        let mut sql = format!("SELECT {items} FROM {}", self.from);
        if let Some(filter) = self.filter {
            sql = sql + " WHERE " + &filter;
        }
        match self.group {
            Some(group) if !group.is_empty() => sql = sql + " GROUP BY " + &group.join(", "),
            _ => {}
        }
        if let Some(having) = self.having {
            sql = sql + " HAVING " + &having;
        }
        if !self.order.is_empty() {
            sql = sql + " ORDER BY " + &self.order.join(", ");
        }
        sql + &self.limit
    }
}
