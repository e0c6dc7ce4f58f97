//! A fragment as readable SQL, for `EXPLAIN` and for the controller's log. Never parsed again.
//!
//! INVARIANT: with [`Literals::Hidden`] no constant of the question is in the text, not even as a part of a
//! column's name. Any fragment can be shown, also one that was not checked.

use std::collections::HashMap;

use crate::wire::{Expr, Fragment, Join, JoinKind, MeasureKind, NamedMeasure, Rel, SortKey, rel};

mod constant;
mod expr;
mod name;
mod select;

use expr::Tight;
use name::Names;
use select::{Item, Select};

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
    let mut writer = Writer { literals, names: Names::new(literals), columns: HashMap::new() };
    match &f.root {
        Some(root) => writer.select(root, 0).finish(),
        None => "(empty)".to_owned(),
    }
}

struct Writer {
    literals: Literals,
    names: Names,
    /// What the columns of the input at hand stand for.
    columns: HashMap<String, (String, Tight)>,
}

impl Writer {
    fn select(&mut self, rel: &Rel, depth: usize) -> Select {
        if depth > MAX_DEPTH {
            return Select::of("...");
        }
        let input = |writer: &mut Self, input: Option<&Rel>| match input {
            Some(input) => writer.select(input, depth + 1),
            None => Select::of("(missing)"),
        };
        match &rel.kind {
            None => Select::of("(unknown)"),
            Some(rel::Kind::Read(read)) => {
                let mut select = Select::of(&self.names.shown(&read.table));
                select.items = read.columns.iter().map(|c| self.names.item(c)).collect();
                select
            }
            Some(rel::Kind::Filter(filter)) => {
                let select = input(self, filter.input.as_deref());
                let mut select = self.over(select, |s| s.ends().is_none() && s.condition().is_none());
                let predicate = self.part(filter.predicate.as_ref());
                match select.group {
                    Some(_) => select.having = Some(predicate),
                    None => select.filter = Some(predicate),
                }
                select
            }
            Some(rel::Kind::Project(project)) => {
                let select = input(self, project.input.as_deref());
                let mut select = self.over(select, |s| s.ends().is_none());
                let exprs = project.exprs.iter();
                select.items = exprs.map(|e| self.item(&e.name, e.expr.as_ref())).collect();
                select
            }
            Some(rel::Kind::Join(join)) => self.join(join, depth),
            Some(rel::Kind::Aggregate(aggregate)) => {
                let select = input(self, aggregate.input.as_deref());
                let mut select = self.over(select, |s| s.ends().is_none() && s.group.is_none());
                let groups = aggregate.groups.iter();
                let groups: Vec<_> = groups.map(|g| self.item(&g.name, g.expr.as_ref())).collect();
                select.group = Some(groups.iter().map(|g| g.sql.clone()).collect());
                let measures = aggregate.measures.iter().map(|m| self.measure(m));
                select.items = groups.into_iter().chain(measures).collect();
                select
            }
            Some(rel::Kind::SortLimit(sort)) => {
                let select = input(self, sort.input.as_deref());
                let sorts = !sort.keys.is_empty();
                let free = |s: &Select| s.limit.is_empty() && (s.order.is_empty() || !sorts);
                let mut select = self.over(select, free);
                let keys = sort.keys.iter().map(|k| self.sort_key(k));
                select.order.extend(keys);
                if let Some(rows) = sort.limit {
                    select.limit = format!(" LIMIT {rows}");
                }
                if sort.offset > 0 {
                    select.limit = format!("{} OFFSET {}", select.limit, sort.offset);
                }
                select
            }
        }
    }

    fn join(&mut self, join: &Join, depth: usize) -> Select {
        let mut side = |rel: Option<&Rel>| match rel {
            Some(rel) => {
                let select = self.select(rel, depth + 1);
                let names: Vec<_> = select.items.iter().map(|item| self.names.item(&item.name)).collect();
                (names, format!("({})", select.finish()))
            }
            None => (Vec::new(), "(missing)".to_owned()),
        };
        let ((left, left_sql), (right, right_sql)) = (side(join.left.as_deref()), side(join.right.as_deref()));
        let word = match JoinKind::try_from(join.kind).unwrap_or_default() {
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Semi => "LEFT SEMI JOIN",
            JoinKind::Anti => "LEFT ANTI JOIN",
            JoinKind::Unspecified => "(unknown) JOIN",
        };
        let equal = if join.nulls_match { "IS NOT DISTINCT FROM" } else { "=" };
        // The two sides have no name in common, so that both can be spoken of at once.
        self.speak_of(left.iter().chain(&right));
        let mut on: Vec<String> = join
            .on
            .iter()
            .map(|key| format!("{} {equal} {}", self.part(key.left.as_ref()), self.part(key.right.as_ref())))
            .collect();
        if join.condition.is_some() {
            on.push(self.part(join.condition.as_ref()));
        }
        let mut select = Select::of(&format!("{left_sql} AS l {word} {right_sql} AS r ON {}", on.join(" AND ")));
        select.items = left;
        if matches!(JoinKind::try_from(join.kind), Ok(JoinKind::Inner | JoinKind::Left)) {
            select.items.extend(right);
        }
        select
    }

    /// Expressions now speak of these columns.
    fn speak_of<'a>(&mut self, columns: impl Iterator<Item = &'a Item>) {
        self.columns = columns.map(|c| (c.name.clone(), (c.sql.clone(), c.tight))).collect();
    }

    /// The SELECT to go on with, itself where that can be said in it, else in brackets; its columns are the
    /// ones that expressions now speak of.
    fn over(&mut self, select: Select, fits: impl Fn(&Select) -> bool) -> Select {
        let select = match fits(&select) && select.is_short() {
            true => select,
            false => {
                let names = select.items.iter().map(|item| self.names.item(&item.name)).collect();
                let mut outer = Select::of(&format!("({})", select.finish()));
                outer.items = names;
                outer
            }
        };
        self.speak_of(select.items.iter());
        select
    }

    fn item(&mut self, name: &str, expr: Option<&Expr>) -> Item {
        let (sql, tight) = self.whole(expr);
        Item { name: name.to_owned(), shown: self.names.shown(name), sql, tight }
    }

    fn measure(&mut self, named: &NamedMeasure) -> Item {
        let sql = match &named.measure {
            None => "(missing)".to_owned(),
            Some(measure) => {
                let kind = MeasureKind::try_from(measure.kind).unwrap_or_default();
                let (function, distinct) = match kind {
                    MeasureKind::Count => ("count", ""),
                    MeasureKind::CountDistinct => ("count", "DISTINCT "),
                    MeasureKind::Sum => ("sum", ""),
                    MeasureKind::Min => ("min", ""),
                    MeasureKind::Max => ("max", ""),
                    MeasureKind::Avg => ("avg", ""),
                    MeasureKind::VarSamp => ("var_samp", ""),
                    MeasureKind::VarPop => ("var_pop", ""),
                    MeasureKind::StddevSamp => ("stddev_samp", ""),
                    MeasureKind::StddevPop => ("stddev_pop", ""),
                    MeasureKind::Persons => ("persons", ""),
                    MeasureKind::Contributions => ("contributions", ""),
                    MeasureKind::ContributionsMean => ("contributions_mean", ""),
                    MeasureKind::ContributionsSpread => ("contributions_spread", ""),
                    MeasureKind::Unspecified => ("(unknown)", ""),
                };
                let argument = match &measure.argument {
                    Some(argument) => self.part(Some(argument)),
                    None => "*".to_owned(),
                };
                let filter = match &measure.filter {
                    Some(filter) => format!(" FILTER (WHERE {})", self.part(Some(filter))),
                    None => String::new(),
                };
                let value = match &measure.value {
                    Some(value) => format!(", {}", self.part(Some(value))),
                    None => String::new(),
                };
                format!("{function}({distinct}{argument}{value}){filter}")
            }
        };
        let shown = self.names.shown(&named.name);
        Item { name: named.name.clone(), shown, sql, tight: Tight::Atom }
    }

    fn sort_key(&mut self, key: &SortKey) -> String {
        let expr = self.part(key.expr.as_ref());
        let direction = if key.descending { " DESC" } else { "" };
        // said where it is not what SQL would do anyway
        let nulls = match (key.descending, key.nulls_first) {
            (true, false) => " NULLS LAST",
            (false, true) => " NULLS FIRST",
            _ => "",
        };
        expr + direction + nulls
    }
}
