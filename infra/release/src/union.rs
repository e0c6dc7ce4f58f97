//! Rows of several inputs under each other, and distinct rows.

use crate::release::{
    cells::Cells,
    people::{Carries, People, PersonColumn, PersonId, column_at},
    refusal::{Instead, ReleaseRefusal},
    walk::{Analysis, At, Part},
};
use datafusion::{
    common::DFSchema,
    logical_expr::{Distinct, Expr, LogicalPlan, Projection, Union},
};
use std::{collections::BTreeSet, sync::Arc};

impl Analysis<'_> {
    pub(super) fn union(&mut self, node: &Union, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let mut people = Vec::new();
        let mut cells = Vec::new();
        let mut references = 0;
        for input in &node.inputs {
            match self.visit(input, at)? {
                Part::Reference(_) => references += 1,
                Part::People(part) => people.push(part),
                Part::Cells(part) => cells.push(part),
            }
        }
        let all = node.inputs.len();
        if references == all {
            Ok(Part::Reference(plan.clone()))
        } else if people.len() == all {
            self.union_people(node, people).map(Part::People)
        } else if cells.len() == all {
            let flags = self.fresh();
            let united = Cells::union(cells, node, flags);
            Ok(Part::Cells(self.built(united)?))
        } else {
            Err(self.examples.refuse(
                "The parts of a UNION must be alike: all of them rows of people, to be counted together, or all of them \
                 aggregates.",
                Instead::Count,
            ))
        }
    }

    fn union_people(&mut self, node: &Union, parts: Vec<People>) -> Result<People, ReleaseRefusal> {
        let mut persons = Vec::with_capacity(parts.len());
        for part in &parts {
            persons.push(self.one_person(part)?);
        }
        let who = PersonId(self.fresh());
        let width = node.schema.fields().len();
        let visible: Vec<Vec<usize>> = parts.iter().map(|part| part.visible().collect()).collect();
        if visible.iter().any(|columns| columns.len() != width) {
            return Err(self.unsupported("this form of UNION"));
        }
        let mut columns: Vec<PersonColumn> = Vec::with_capacity(width + 1);
        for position in 0..width {
            let carries = parts
                .iter()
                .zip(&visible)
                .filter_map(|(part, visible)| part.columns.get(*visible.get(position)?).map(|column| column.carries));
            columns.push(PersonColumn::seen(in_common(carries, who)));
        }
        let always = Carries::Person { who, always: true };
        let hidden = (!columns.iter().any(|column| column.carries == always)).then(|| self.hidden("person"));

        let mut inputs = Vec::with_capacity(parts.len());
        for ((part, person), visible) in parts.iter().zip(&persons).zip(&visible) {
            let schema = part.plan.schema();
            let mut exprs: Vec<Expr> = visible.iter().map(|i| column_at(schema, *i)).collect();
            if let (Some(name), Some(carrier)) = (&hidden, part.carrier(*person)) {
                exprs.push(column_at(schema, carrier).alias(name));
            }
            let projected = Projection::try_new(exprs, Arc::new(part.plan.clone()));
            inputs.push(Arc::new(LogicalPlan::Projection(self.built(projected)?)));
        }
        if hidden.is_some() {
            columns.push(PersonColumn { carries: always, hidden: true });
        }
        let schema = united(node, inputs.iter().map(|input| input.schema().as_ref()));
        let schema = Arc::new(self.built(schema)?);
        // a UNION inside a correlated subquery: each part must have been linked by itself
        let anchored = parts.iter().zip(&persons).all(|(part, person)| part.anchored.contains(person));
        let anchored = if anchored { BTreeSet::from([who]) } else { BTreeSet::new() };
        Ok(People { plan: LogicalPlan::Union(Union { inputs, schema }), columns, anchored })
    }

    /// DISTINCT over rows of people: rows that show their person stay rows; others are groups.
    pub(super) fn distinct_people(&mut self, people: People) -> Result<Part, ReleaseRefusal> {
        let who = self.one_person(&people)?;
        let schema = Arc::clone(people.plan.schema());
        let visible: Vec<usize> = people.visible().collect();
        let shown: Vec<PersonColumn> = visible.iter().filter_map(|i| people.columns.get(*i)).copied().collect();
        let keys: Vec<Expr> = visible.iter().map(|i| column_at(&schema, *i)).collect();
        if !shown.iter().any(|column| column.carries == Carries::Person { who, always: true }) {
            return self.cells(people, who, keys, Vec::new());
        }
        let projected = Projection::try_new(keys, Arc::new(people.plan));
        let input = LogicalPlan::Projection(self.built(projected)?);
        let plan = LogicalPlan::Distinct(Distinct::All(Arc::new(input)));
        Ok(Part::People(People { plan, columns: shown, anchored: people.anchored }))
    }
}

/// What a column of a union carries: a person only when all parts have a person there.
fn in_common(parts: impl Iterator<Item = Carries>, who: PersonId) -> Carries {
    parts
        .map(|carries| match carries {
            Carries::Person { always, .. } => Carries::Person { who, always },
            other => other,
        })
        .reduce(|a, b| match (a, b) {
            (Carries::Person { always: a, .. }, Carries::Person { always: b, .. }) => {
                Carries::Person { who, always: a && b }
            }
            (Carries::Value, Carries::Value) => Carries::Value,
            _ => Carries::Key,
        })
        .unwrap_or(Carries::Key)
}

/// The union's own columns, nullable where an input is, followed by what release added to the inputs.
pub(super) fn united<'s>(
    node: &Union,
    inputs: impl Iterator<Item = &'s DFSchema> + Clone,
) -> datafusion::common::Result<DFSchema> {
    let first = inputs.clone().next();
    let own = node.schema.fields().len();
    let mut fields = Vec::new();
    for i in 0..first.map_or(0, |schema| schema.fields().len()) {
        let nullable = inputs.clone().any(|schema| schema.fields().get(i).is_none_or(|field| field.is_nullable()));
        let (qualifier, field) = match first {
            Some(schema) if i >= own => schema.qualified_field(i),
            _ => node.schema.qualified_field(i),
        };
        let qualifier = if i >= own { None } else { qualifier.cloned() };
        fields.push((qualifier, Arc::new(field.as_ref().clone().with_nullable(nullable))));
    }
    DFSchema::new_with_metadata(fields, node.schema.metadata().clone())
}
