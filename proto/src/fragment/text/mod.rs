//! A fragment as readable SQL, for `EXPLAIN` and for the controller's log. Never parsed again.
//!
//! INVARIANT: with [`Literals::Hidden`] no constant of the question is in the text, not even as a part of a
//! column's name. Any fragment can be shown, also one that was not checked.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::wire::{Fragment, MeasureKind, NamedExpr, NamedMeasure, Rel, SortKey, rel};

mod constant;
mod expr;

/// Whether constants are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// As they are.
    Shown,
    /// A question mark in place of each.
    Hidden,
}

/// Deeper than this is shown as dots.
const MAX_DEPTH: usize = 100;

/// The fragment as one line of SQL.
pub fn text(f: &Fragment, literals: Literals) -> String {
    let mut writer = Writer {
        literals,
        hidden: HashMap::new(),
    };
    match &f.root {
        Some(root) => writer.select(root, 0).finish(),
        None => "(empty)".to_owned(),
    }
}

struct Writer {
    literals: Literals,
    /// Names that may hold constants, and what is shown in their place.
    hidden: HashMap<String, String>,
}

/// One SELECT in the making.
#[derive(Default)]
struct Select {
    items: Vec<String>,
    from: String,
    filter: Option<String>,
    group: Option<Vec<String>>,
    order: Option<String>,
    limit: Option<String>,
    /// The items are plain columns of `from`.
    plain: bool,
}

impl Select {
    fn finish(self) -> String {
        let items = match self.items.is_empty() {
            true => "no columns".to_owned(),
            false => self.items.join(", "),
        };
        let mut sql = format!("SELECT {items} FROM {}", self.from);
        if let Some(filter) = self.filter {
            sql = sql + " WHERE " + &filter;
        }
        if let Some(group) = self.group
            && !group.is_empty()
        {
            sql = sql + " GROUP BY " + &group.join(", ");
        }
        if let Some(order) = self.order {
            sql = sql + " ORDER BY " + &order;
        }
        sql + &self.limit.unwrap_or_default()
    }

    /// Whether WHERE, GROUP BY or other items may still be put in without changing what it says.
    fn open(&self) -> bool {
        self.plain && self.group.is_none() && self.order.is_none() && self.limit.is_none()
    }
}

impl Writer {
    fn select(&mut self, rel: &Rel, depth: usize) -> Select {
        let dots = |from: &str| Select {
            from: from.to_owned(),
            ..Select::default()
        };
        if depth > MAX_DEPTH {
            return dots("...");
        }
        let input = |writer: &mut Self, input: Option<&Rel>| match input {
            Some(input) => writer.select(input, depth + 1),
            None => dots("(missing)"),
        };
        match &rel.kind {
            None => dots("(unknown)"),
            Some(rel::Kind::Read(read)) => Select {
                items: read.columns.iter().map(|c| self.name(c)).collect(),
                from: self.name(&read.table),
                plain: true,
                ..Select::default()
            },
            Some(rel::Kind::Filter(filter)) => {
                let mut select = input(self, filter.input.as_deref());
                let predicate = self.part(filter.predicate.as_ref());
                if !select.open() || select.filter.is_some() {
                    select = self.nest(select, filter.input.as_deref());
                }
                select.filter = Some(predicate);
                select
            }
            Some(rel::Kind::Project(project)) => {
                let mut select = input(self, project.input.as_deref());
                if !select.open() {
                    select = self.nest(select, project.input.as_deref());
                }
                select.items = project.exprs.iter().map(|e| self.named(e)).collect();
                select.plain = false;
                select
            }
            Some(rel::Kind::Aggregate(aggregate)) => {
                let mut select = input(self, aggregate.input.as_deref());
                if !select.open() {
                    select = self.nest(select, aggregate.input.as_deref());
                }
                let groups = aggregate.groups.iter();
                select.group = Some(groups.clone().map(|g| self.part(g.expr.as_ref())).collect());
                select.items = groups.map(|g| self.named(g)).collect();
                let measures = aggregate.measures.iter().map(|m| self.measure(m));
                select.items.extend(measures);
                select.plain = false;
                select
            }
            Some(rel::Kind::SortLimit(sort)) => {
                let mut select = input(self, sort.input.as_deref());
                if select.limit.is_some() || (select.order.is_some() && !sort.keys.is_empty()) {
                    select = self.nest(select, sort.input.as_deref());
                }
                if !sort.keys.is_empty() {
                    let keys: Vec<_> = sort.keys.iter().map(|k| self.sort_key(k)).collect();
                    select.order = Some(keys.join(", "));
                }
                let mut limit = String::new();
                // writing to a String cannot fail
                if let Some(rows) = sort.limit {
                    let _ = write!(limit, " LIMIT {rows}");
                }
                if sort.offset > 0 {
                    let _ = write!(limit, " OFFSET {}", sort.offset);
                }
                select.limit = (!limit.is_empty()).then_some(limit);
                select
            }
        }
    }

    /// Puts a SELECT into FROM of another one that has the same columns.
    fn nest(&mut self, inner: Select, rel: Option<&Rel>) -> Select {
        Select {
            items: self.columns(rel),
            from: format!("({})", inner.finish()),
            plain: true,
            ..Select::default()
        }
    }

    /// The names of the columns that a relation gives.
    fn columns(&mut self, mut rel: Option<&Rel>) -> Vec<String> {
        loop {
            rel = match rel.and_then(|rel| rel.kind.as_ref()) {
                None => return Vec::new(),
                Some(rel::Kind::Read(read)) => {
                    return read.columns.iter().map(|c| self.name(c)).collect();
                }
                Some(rel::Kind::Filter(filter)) => filter.input.as_deref(),
                Some(rel::Kind::SortLimit(sort)) => sort.input.as_deref(),
                Some(rel::Kind::Project(project)) => {
                    return project.exprs.iter().map(|e| self.name(&e.name)).collect();
                }
                Some(rel::Kind::Aggregate(aggregate)) => {
                    let groups = aggregate.groups.iter().map(|g| &g.name);
                    let names = groups.chain(aggregate.measures.iter().map(|m| &m.name));
                    return names.map(|n| self.name(n)).collect();
                }
            }
        }
    }

    fn named(&mut self, named: &NamedExpr) -> String {
        let expr = self.part(named.expr.as_ref());
        let name = self.name(&named.name);
        if expr == name {
            return expr;
        }
        format!("{expr} AS {name}")
    }

    fn measure(&mut self, named: &NamedMeasure) -> String {
        let name = self.name(&named.name);
        let Some(measure) = &named.measure else {
            return format!("(missing) AS {name}");
        };
        let function = match MeasureKind::try_from(measure.kind) {
            Ok(MeasureKind::Count | MeasureKind::CountDistinct) => "count",
            Ok(MeasureKind::Sum) => "sum",
            Ok(MeasureKind::Min) => "min",
            Ok(MeasureKind::Max) => "max",
            Ok(MeasureKind::Avg) => "avg",
            Ok(MeasureKind::VarSamp) => "var_samp",
            Ok(MeasureKind::VarPop) => "var_pop",
            Ok(MeasureKind::StddevSamp) => "stddev_samp",
            Ok(MeasureKind::StddevPop) => "stddev_pop",
            Ok(MeasureKind::Unspecified) | Err(_) => "(unknown)",
        };
        let distinct = match measure.kind == i32::from(MeasureKind::CountDistinct) {
            true => "DISTINCT ",
            false => "",
        };
        let argument = match &measure.argument {
            Some(argument) => self.part(Some(argument)),
            None => "*".to_owned(),
        };
        let mut sql = format!("{function}({distinct}{argument})");
        if let Some(filter) = &measure.filter {
            let filter = self.part(Some(filter));
            sql = format!("{sql} FILTER (WHERE {filter})");
        }
        format!("{sql} AS {name}")
    }

    fn sort_key(&mut self, key: &SortKey) -> String {
        let expr = self.part(key.expr.as_ref());
        let direction = if key.descending { " DESC" } else { "" };
        let nulls = match key.nulls_first {
            true => " NULLS FIRST",
            false => " NULLS LAST",
        };
        expr + direction + nulls
    }

    /// A name, quoted where SQL wants it.
    fn name(&mut self, name: &str) -> String {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let letter = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        let is_word = name.len() <= 64
            && name.bytes().all(word)
            && name.as_bytes().first().is_some_and(letter);
        if is_word && name.bytes().all(|b| !b.is_ascii_uppercase()) {
            return name.to_owned();
        }
        if !is_word && self.literals == Literals::Hidden {
            // the engine names an expression after its text, with the constants in it
            let next = self.hidden.len() + 1;
            let known = self.hidden.entry(name.to_owned());
            return known.or_insert_with(|| format!("\"expr {next}\"")).clone();
        }
        format!("\"{}\"", constant::escaped(name, '"'))
    }
}
