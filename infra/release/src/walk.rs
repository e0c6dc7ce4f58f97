//! From the leaves of a statement to its result: which parts are about people, which are cells, and which are neither.
//!
//! INVARIANT: every kind of plan node is named here; one that isn't understood is refused by name.

use crate::release::{
    cells::Cells,
    explain::Note,
    people::{Carries, People, PersonColumn, column_at},
    perturb::Noise,
    ranges::Ranges,
    refusal::{Examples, Instead, ReleaseRefusal},
    roles::Roles,
    scope::{Scope, bare, plain},
};
use datafusion::{
    common::DFSchema,
    logical_expr::{Aggregate, Distinct, Expr, Filter, LogicalPlan, Projection, Sort, SubqueryAlias},
};
use policies::disclosure::Threshold;
use std::sync::Arc;

/// Deeper statements are refused; a worker's stack has room for a multiple of it.
const MAX_DEPTH: usize = 96;

/// A part of the statement, by what its rows are.
#[derive(Debug)]
pub(super) enum Part {
    /// rows without people
    Reference(LogicalPlan),
    /// rows about people
    People(People),
    /// released rows, one a group
    Cells(Cells),
}

/// Where a node stands.
#[derive(Clone, Copy, Default)]
pub(super) struct At<'s> {
    /// columns of the statements around a subquery
    pub(super) outer: Option<&'s Scope<'s>>,
    /// whether an aggregate stands above
    pub(super) counted: bool,
}

impl At<'_> {
    fn below_aggregate(self) -> Self {
        Self { counted: true, ..self }
    }
}

/// The analysis of one statement.
pub(super) struct Analysis<'a> {
    pub(super) roles: &'a dyn Roles,
    pub(super) examples: Examples,
    /// noise in shown numbers: always, but in tests of the other rules
    pub(super) noise: Option<Noise>,
    /// the least people that a number may be about
    pub(super) least: Threshold,
    /// which rules it meets
    pub(super) notes: Vec<Note>,
    /// whether the statement, as it was written, has been through this before
    pub(super) accepted: bool,
    next: u32,
    depth: usize,
}

impl<'a> Analysis<'a> {
    pub(super) fn new(roles: &'a dyn Roles, examples: Examples, noise: Option<Noise>) -> Self {
        Self {
            roles,
            examples,
            noise,
            least: Threshold::DEFAULT,
            notes: Vec::new(),
            accepted: false,
            next: 0,
            depth: 0,
        }
    }

    /// Of a statement that was rewritten after it had been found to be one that is answered.
    pub(super) fn found_acceptable(self) -> Self {
        Self { accepted: true, ..self }
    }

    /// The same under a threshold that is perhaps raised.
    pub(super) fn with_least(self, least: Threshold) -> Self {
        Self { least, ..self }
    }

    /// A number that no other person, flag or hidden column of this statement has.
    pub(super) fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(super) fn deeper(&mut self) -> Result<(), ReleaseRefusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self
                .examples
                .refuse("The statement is nested too deeply. Split it into several statements.", Instead::Count));
        }
        Ok(())
    }

    pub(super) fn shallower(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The engine's own complaint about a rewritten node. Its text may hold literals, so it goes nowhere.
    pub(super) fn built<T>(&self, result: datafusion::common::Result<T>) -> Result<T, ReleaseRefusal> {
        result.map_err(|_| {
            self.examples.refuse("The release rules can't be applied to this form of statement.", Instead::Count)
        })
    }

    pub(super) fn visit(&mut self, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        self.deeper()?;
        let part = self.visit_node(plan, at);
        self.shallower();
        part
    }

    /// A subquery in a condition, with the columns of `scope` in view.
    pub(super) fn visit_subquery(&mut self, plan: &LogicalPlan, scope: &Scope<'_>) -> Result<Part, ReleaseRefusal> {
        self.visit(plan, At { outer: Some(scope), counted: true })
    }

    fn visit_node(&mut self, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.table(scan, plan, at),
            LogicalPlan::EmptyRelation(_) => Ok(Part::Reference(plan.clone())),
            LogicalPlan::Values(values) => {
                let scope = Scope { schema: &DFSchema::empty(), columns: &[], outer: at.outer };
                self.values(values.values.iter().flatten(), &scope, "VALUES")?;
                Ok(Part::Reference(plan.clone()))
            }
            LogicalPlan::Projection(projection) => self.projection(projection, plan, at),
            LogicalPlan::Filter(filter) => self.filter(filter, plan, at),
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias, plan, at),
            LogicalPlan::Sort(sort) => self.sort(sort, plan, at),
            LogicalPlan::Limit(limit) => {
                let part = self.visit(&limit.input, at)?;
                match part {
                    Part::Reference(_) => Ok(Part::Reference(plan.clone())),
                    Part::Cells(cells) => Ok(cells.over(|input| {
                        let mut limit = limit.clone();
                        limit.input = input;
                        LogicalPlan::Limit(limit)
                    })),
                    Part::People(_) => Err(self.limited(at)),
                }
            }
            LogicalPlan::Window(window) => self.window(window, plan, at),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, plan, at),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input, plan, at),
            LogicalPlan::Distinct(Distinct::On(_)) => Err(self.unsupported("DISTINCT ON")),
            LogicalPlan::Join(join) => self.join(join, plan, at),
            LogicalPlan::Union(union) => self.union(union, plan, at),
            LogicalPlan::Subquery(_) => Err(self.unsupported("LATERAL")),
            LogicalPlan::Unnest(_) => Err(self.unsupported("unnest()")),
            LogicalPlan::RecursiveQuery(_) => Err(self.unsupported("WITH RECURSIVE")),
            LogicalPlan::Repartition(_) => Err(self.unsupported("DISTRIBUTE BY")),
            LogicalPlan::Explain(_) => Err(self.unsupported("EXPLAIN inside a statement")),
            LogicalPlan::Analyze(_) => Err(self.unsupported("EXPLAIN ANALYZE")),
            LogicalPlan::DescribeTable(_) => Err(self.unsupported("DESCRIBE")),
            LogicalPlan::Statement(statement) => Err(self.unsupported(statement.name())),
            LogicalPlan::Dml(_) => Err(self.unsupported("changes to data")),
            LogicalPlan::Ddl(ddl) => Err(self.unsupported(ddl.name())),
            LogicalPlan::Copy(_) => Err(self.unsupported("COPY")),
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<Ranges>() {
                Some(ranges) => self.ranges(ranges, at),
                None => Err(self.unsupported(extension.node.name())),
            },
        }
    }

    fn projection(&mut self, node: &Projection, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match self.visit(&node.input, at)? {
            Part::Reference(input) => {
                self.plain(&node.expr, input.schema(), at, "SELECT")?;
                Ok(Part::Reference(plan.clone()))
            }
            Part::Cells(cells) => {
                self.plain(&node.expr, cells.plan.schema(), at, "SELECT")?;
                let projected = cells.project(&node.expr, &node.schema);
                Ok(Part::Cells(self.built(projected)?))
            }
            Part::People(people) => self.project_people(node, &people, at).map(Part::People),
        }
    }

    fn project_people(&mut self, node: &Projection, input: &People, at: At<'_>) -> Result<People, ReleaseRefusal> {
        let schema = Arc::clone(input.plan.schema());
        let scope = Scope { schema: &schema, columns: &input.columns, outer: at.outer };
        let mut exprs = node.expr.clone();
        let mut columns = Vec::with_capacity(exprs.len());
        for expr in &node.expr {
            columns.push(match bare(expr) {
                Expr::Column(column) => {
                    let at = schema.maybe_index_of_column(column).and_then(|i| input.columns.get(i));
                    let carries = at.map_or(Carries::Key, |column| column.carries);
                    PersonColumn::seen(carries)
                }
                _ => {
                    self.value(expr, &scope, "SELECT")?;
                    PersonColumn::VALUE
                }
            });
        }
        for who in input.persons() {
            let kept = columns.iter().any(|column| column.carries == Carries::Person { who, always: true });
            if let (false, Some(carrier)) = (kept, input.carrier(who)) {
                exprs.push(column_at(&schema, carrier).alias(self.hidden("person")));
                columns.push(PersonColumn { carries: Carries::Person { who, always: true }, hidden: true });
            }
        }
        let projected = Projection::try_new(exprs, Arc::new(input.plan.clone()));
        let plan = LogicalPlan::Projection(self.built(projected)?);
        Ok(People { plan, columns, anchored: input.anchored.clone() })
    }

    /// Name of a column that release adds.
    pub(super) fn hidden(&mut self, what: &str) -> String {
        format!("{}{what}_{}", super::RESERVED, self.fresh())
    }

    fn filter(&mut self, node: &Filter, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match self.visit(&node.input, at)? {
            Part::Reference(input) => {
                self.plain([&node.predicate], input.schema(), at, "WHERE")?;
                Ok(Part::Reference(plan.clone()))
            }
            Part::Cells(cells) => {
                self.plain([&node.predicate], cells.plan.schema(), at, "HAVING")?;
                let filtered = Filter::try_new(node.predicate.clone(), Arc::new(cells.plan.clone()));
                let filtered = LogicalPlan::Filter(self.built(filtered)?);
                Ok(Part::Cells(cells.with(filtered)))
            }
            Part::People(mut people) => {
                let schema = Arc::clone(people.plan.schema());
                let scope = Scope { schema: &schema, columns: &people.columns, outer: at.outer };
                self.value(&node.predicate, &scope, "WHERE")?;
                let links = scope.links(&node.predicate);
                people.hold(&links);
                let filtered = Filter::try_new(node.predicate.clone(), Arc::new(people.plan));
                people.plan = LogicalPlan::Filter(self.built(filtered)?);
                Ok(Part::People(people))
            }
        }
    }

    fn alias(&mut self, node: &SubqueryAlias, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let renamed = |analysis: &Self, input: LogicalPlan| {
            let renamed = SubqueryAlias::try_new(Arc::new(input), node.alias.clone());
            analysis.built(renamed).map(LogicalPlan::SubqueryAlias)
        };
        match self.visit(&node.input, at)? {
            Part::Reference(_) => Ok(Part::Reference(plan.clone())),
            Part::People(people) => {
                let plan = renamed(self, people.plan)?;
                Ok(Part::People(People { plan, ..people }))
            }
            Part::Cells(cells) => {
                let plan = renamed(self, cells.plan.clone())?;
                Ok(Part::Cells(cells.with(plan)))
            }
        }
    }

    fn sort(&mut self, node: &Sort, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let keys = || node.expr.iter().map(|key| &key.expr);
        let sorted = |input: LogicalPlan| {
            LogicalPlan::Sort(Sort { expr: node.expr.clone(), input: Arc::new(input), fetch: node.fetch })
        };
        match self.visit(&node.input, at)? {
            Part::Reference(input) => {
                self.plain(keys(), input.schema(), at, "ORDER BY")?;
                Ok(Part::Reference(plan.clone()))
            }
            Part::Cells(cells) => {
                self.plain(keys(), cells.plan.schema(), at, "ORDER BY")?;
                let plan = sorted(cells.plan.clone());
                Ok(Part::Cells(cells.with(plan)))
            }
            Part::People(_) if node.fetch.is_some() => Err(self.limited(at)),
            Part::People(people) => {
                let scope = Scope { schema: people.plan.schema(), columns: &people.columns, outer: at.outer };
                for key in keys() {
                    self.check(key, &scope)?; // an order below an aggregate changes nothing, whatever it is by
                }
                let plan = sorted(people.plan);
                Ok(Part::People(People { plan, ..people }))
            }
        }
    }

    fn aggregate(&mut self, node: &Aggregate, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match self.visit(&node.input, at.below_aggregate())? {
            Part::Reference(input) => {
                let columns = plain(input.schema());
                let scope = Scope::plain(input.schema(), at, &columns);
                for expr in &node.group_expr {
                    match expr {
                        Expr::GroupingSet(sets) => self.values(sets.distinct_expr(), &scope, "GROUP BY")?,
                        expr => self.value(expr, &scope, "GROUP BY")?,
                    }
                }
                for expr in &node.aggr_expr {
                    self.aggregate_function(expr, &scope)?;
                }
                Ok(Part::Reference(plan.clone()))
            }
            Part::Cells(_) => Err(self.aggregate_of_cells()),
            Part::People(people) => self.count_people(node, people, at),
        }
    }

    fn aggregate_of_cells(&self) -> ReleaseRefusal {
        self.examples.refuse(
            "This aggregates groups that are aggregates already, of which those under 5 people are not known. Aggregate \
             the people once, at the level that you want to see. Over the groups that are shown a window counts and adds: count(..) OVER ().",
            Instead::Values,
        )
    }

    fn distinct(&mut self, input: &LogicalPlan, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        match self.visit(input, at.below_aggregate())? {
            Part::Reference(_) => Ok(Part::Reference(plan.clone())),
            Part::Cells(cells) => Ok(cells.over(|input| LogicalPlan::Distinct(Distinct::All(input)))),
            Part::People(people) => self.distinct_people(people),
        }
    }

    /// Checks expressions over rows that hold nothing that identifies.
    pub(super) fn plain<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        schema: &DFSchema,
        at: At<'_>,
        place: &str,
    ) -> Result<(), ReleaseRefusal> {
        let columns = plain(schema);
        self.values(exprs, &Scope::plain(schema, at, &columns), place)
    }
}
