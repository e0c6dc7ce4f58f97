//! Window functions: within one person below an aggregate, over shown cells above it.

use crate::release::{
    people::{Carries, People, PersonColumn},
    refusal::{Instead, ReleaseRefusal},
    scope::{Scope, bare, plain},
    walk::{Analysis, At, Part},
};
use datafusion::logical_expr::{Expr, LogicalPlan, Window, WindowFunctionDefinition, expr::WindowFunction};
use std::sync::Arc;

impl Analysis<'_> {
    pub(super) fn window(&mut self, node: &Window, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match self.visit(&node.input, at)? {
            Part::Reference(input) => {
                for expr in &node.window_expr {
                    self.window_function(expr, &Scope::plain(input.schema(), at, &plain(input.schema())))?;
                }
                Ok(Part::Reference(plan.clone()))
            }
            Part::Cells(cells) => {
                let schema = Arc::clone(cells.plan.schema());
                for expr in &node.window_expr {
                    self.window_function(expr, &Scope::plain(&schema, at, &plain(&schema)))?;
                }
                let windowed = cells.window(&node.window_expr);
                Ok(Part::Cells(self.built(windowed)?))
            }
            Part::People(people) => self.window_people(node, people, at),
        }
    }

    fn window_people(&mut self, node: &Window, people: People, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        if !at.counted {
            return Err(self.rows());
        }
        let who = self.one_person(&people)?;
        let scope = Scope { schema: people.plan.schema(), columns: &people.columns, outer: at.outer };
        for expr in &node.window_expr {
            let function = self.window_function(expr, &scope)?;
            let within = function.params.partition_by.iter().any(|key| match bare(key) {
                Expr::Column(column) => {
                    let found = scope.schema.maybe_index_of_column(column).and_then(|i| people.columns.get(i));
                    found.is_some_and(|column| column.carries == Carries::Person { who, always: true })
                }
                _ => false,
            });
            if !within {
                let name = function.fun.name().to_owned();
                let person = self.name_of(&people, who);
                let reason = format!(
                    "{name}() OVER looks at the rows of several people. Below an aggregate a window must stay within one \
                     person: OVER (PARTITION BY {person} ORDER BY ..)."
                );
                return Err(self.examples.refuse(reason, Instead::PerPerson));
            }
        }
        let mut columns = people.columns.clone();
        columns.extend(node.window_expr.iter().map(|_| PersonColumn::VALUE));
        let windowed = Window::try_new(node.window_expr.clone(), Arc::new(people.plan));
        let plan = LogicalPlan::Window(self.built(windowed)?);
        Ok(Part::People(People { plan, columns, anchored: people.anchored }))
    }

    /// Checks what a window function looks at; its partition keys may be bare identifiers.
    fn window_function<'e>(&mut self, expr: &'e Expr, scope: &Scope<'_>) -> Result<&'e WindowFunction, ReleaseRefusal> {
        let Expr::WindowFunction(function) = bare(expr) else {
            return Err(self.unsupported("this form of OVER"));
        };
        let params = &function.params;
        match &function.fun {
            WindowFunctionDefinition::AggregateUDF(aggregate) => {
                self.arguments(aggregate, &params.args, scope)?;
            }
            WindowFunctionDefinition::WindowUDF(ranking) => {
                self.values(&params.args, scope, &format!("{}()", ranking.name()))?;
            }
        }
        for key in &params.partition_by {
            self.check(key, scope)?;
        }
        self.values(params.order_by.iter().map(|key| &key.expr), scope, "ORDER BY of a window")?;
        self.values(params.filter.as_deref(), scope, "FILTER")?;
        Ok(function)
    }
}
