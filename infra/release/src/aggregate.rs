//! Aggregates over people: per person, or the cells of the result, and which functions may be released.
//!
//! INVARIANT: a function is released because it is listed here, by identity and not by name.

use crate::release::{
    need::{Asked, Kind},
    origin::{self, sources},
    people::{Carries, People, PersonColumn, PersonId, column_at},
    refusal::{Instead, ReleaseRefusal, range, table_name},
    roles::ColumnRole,
    scope::{Scope, Seen, bare},
    suppress::Groups,
    walk::{Analysis, At, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::utils::quote_identifier,
    functions_aggregate::{average, count, stddev, sum, variance},
    logical_expr::{
        Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, TableScan, Volatility, expr::AggregateFunction,
    },
};
use proto::plan::persons::WIDTH;
use std::sync::Arc;

/// What is grouped by, each once: a key that stands twice in GROUP BY is one column of the groups.
fn distinct(groups: &[Expr]) -> Vec<Expr> {
    let mut seen: Vec<Expr> = Vec::with_capacity(groups.len());
    for group in groups {
        if !seen.contains(group) {
            seen.push(group.clone());
        }
    }
    seen
}

/// The range of a column of numbers, as the table calls it; `None` of what is computed.
fn number_of_table(argument: &Expr, over: &LogicalPlan) -> Option<String> {
    let (mut expr, mut plan) = (bare(argument).clone(), over);
    if !expr.get_type(plan.schema()).ok()?.is_numeric() {
        return None;
    }
    loop {
        let Expr::Column(column) = bare(&expr) else { return None };
        if let LogicalPlan::TableScan(scan) = plan {
            return Some(range(&quote_identifier(&column.name), &table_name(&scan.table_name)));
        }
        let source = sources(column, plan)?.pop()?;
        (expr, plan) = (source.expr, source.plan);
    }
}

/// What is grouped by, whether in sets or not.
fn each(groups: &[Expr]) -> Vec<&Expr> {
    groups
        .iter()
        .flat_map(|group| match group {
            Expr::GroupingSet(set) => set.distinct_expr(),
            other => vec![other],
        })
        .collect()
}

impl Analysis<'_> {
    /// An aggregate over rows of people: per person (then the rows are still about people), or cells.
    pub(super) fn count_people(
        &mut self,
        node: &Aggregate,
        people: People,
        at: At<'_>,
    ) -> Result<Part, ReleaseRefusal> {
        let who = self.one_person(&people)?;
        let schema = Arc::clone(people.plan.schema());
        let groups = distinct(&node.group_expr);
        let mut keys = Vec::with_capacity(groups.len());
        let mut identifying = None;
        {
            let scope = Scope { schema: &schema, columns: &people.columns, outer: at.outer };
            for expr in &groups {
                if let Expr::GroupingSet(set) = expr {
                    // Totals are of many people, so that nobody's person may be among the keys.
                    for key in set.distinct_expr() {
                        if let Seen::Key { name } | Seen::Person { name, .. } = self.check(key, &scope)? {
                            identifying.get_or_insert(name);
                        }
                    }
                    continue;
                }
                let seen = self.check(expr, &scope)?;
                let carries = match (&seen, bare(expr)) {
                    (Seen::Value, _) => Carries::Value,
                    (Seen::Person { who, always, own: true, .. }, Expr::Column(_)) => {
                        Carries::Person { who: *who, always: *always }
                    }
                    _ => Carries::Key,
                };
                if let Seen::Key { name } | Seen::Person { name, .. } = seen {
                    identifying.get_or_insert(name);
                }
                keys.push(PersonColumn::seen(carries));
            }
            let per_person = keys.iter().any(|key| key.carries == Carries::Person { who, always: true });
            if per_person {
                for expr in &node.aggr_expr {
                    self.aggregate_function(expr, &scope)?;
                }
                let mut columns = keys;
                columns.extend(node.aggr_expr.iter().map(|_| PersonColumn::VALUE));
                let rebuilt = Aggregate::try_new(Arc::new(people.plan), groups.clone(), node.aggr_expr.clone());
                let plan = LogicalPlan::Aggregate(self.built(rebuilt)?);
                return Ok(Part::People(People { plan, columns, anchored: people.anchored }));
            }
        }
        if let Some(name) = identifying {
            let person = self.name_of(&people, who);
            let reason = format!(
                "Column {name} identifies people and can't be grouped by. To aggregate per person first, group by \
                 {person} in a WITH or a subquery, and count the result."
            );
            return Err(self.examples.refuse(reason, Instead::PerPerson));
        }
        self.cells(people, who, groups.clone(), node.aggr_expr.clone())
    }

    /// The arguments of an aggregate function: COUNT may look at identifiers, nothing else may.
    pub(super) fn arguments(
        &mut self,
        function: &AggregateUDF,
        arguments: &[Expr],
        scope: &Scope<'_>,
    ) -> Result<(), ReleaseRefusal> {
        if function.signature().volatility == Volatility::Volatile {
            return Err(self.unsupported(&format!("{}()", function.name())));
        }
        for argument in arguments {
            if *function == *count::count_udaf() {
                self.check(argument, scope)?;
            } else {
                self.value(argument, scope, &format!("{}()", function.name()))?;
            }
        }
        Ok(())
    }

    /// Checks what an aggregate function looks at.
    pub(super) fn aggregate_function<'e>(
        &mut self,
        expr: &'e Expr,
        scope: &Scope<'_>,
    ) -> Result<&'e AggregateFunction, ReleaseRefusal> {
        let Expr::AggregateFunction(function) = bare(expr) else {
            return Err(self.unsupported("this form of aggregate"));
        };
        let params = &function.params;
        self.arguments(&function.func, &params.args, scope)?;
        self.values(params.filter.as_deref(), scope, "FILTER")?;
        self.values(params.order_by.iter().map(|key| &key.expr), scope, "ORDER BY of an aggregate")?;
        Ok(function)
    }

    /// Groups rows of people into cells and suppresses the small ones.
    pub(super) fn cells(
        &mut self,
        people: People,
        who: PersonId,
        keys: Vec<Expr>,
        statistics: Vec<Expr>,
    ) -> Result<Part, ReleaseRefusal> {
        let schema = Arc::clone(people.plan.schema());
        let scope = Scope { schema: &schema, columns: &people.columns, outer: None };
        if let Some(key) = each(&keys).into_iter().find(|key| !matches!(self.check(key, &scope), Ok(Seen::Value))) {
            let shown = key.schema_name();
            let reason = format!("Column {shown} identifies people and can't be shown.");
            return Err(self.examples.refuse(reason, Instead::Count));
        }
        if !self.accepted {
            self.coarser_than_days(&each(&keys), &people.plan)?;
        }
        let Some(carrier) = people.carrier(who) else {
            return Err(self.unsupported("rows without a person column"));
        };
        let person = column_at(&schema, carrier);
        if *schema.field(carrier).data_type() != DataType::FixedSizeBinary(WIDTH) {
            return Err(self.unsupported("a person column that doesn't hold pseudonyms"));
        }

        let mut asked = Asked::new();
        for statistic in &statistics {
            let function = self.aggregate_function(statistic, &scope)?;
            let kind = self.releasable(function, &people.plan)?;
            if function.params.distinct && !self.counts_stored_identifiers(function, &people) {
                return Err(self.distinct_values(function));
            }
            asked.add(function, kind, &people, who);
        }
        self.suppressed(&people, person, Groups { keys, statistics, asked })
    }

    /// Whether it counts people, or ids of people's own things, as tables hold them. One person more or less is then no more
    /// than this person's own ids, where a value that nobody else has tells of its only holder, among however many people.
    fn counts_stored_identifiers(&self, function: &AggregateFunction, people: &People) -> bool {
        let [argument] = function.params.args.as_slice() else { return false };
        let Expr::Column(column) = bare(argument) else { return false };
        let carries = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
        match carries.map(|column| column.carries) {
            Some(Carries::Person { .. }) => true,
            Some(Carries::Key) => origin::tables(column, &people.plan).is_some_and(|tables| {
                let key = |(scan, name): &(&TableScan, String)| {
                    self.roles.role(scan.source.as_ref(), name) == ColumnRole::Key
                };
                tables.iter().all(key)
            }),
            Some(Carries::Value) | None => false,
        }
    }

    fn distinct_values(&self, function: &AggregateFunction) -> ReleaseRefusal {
        let name = function.func.name();
        let reason = format!(
            "{name}(DISTINCT ..) of values isn't released: one person can be the only one with a value, and would be seen. \
             count(DISTINCT ..) counts people, or contacts and the like: a column that identifies, as its table holds it. To count \
             values, group by them and count the groups that are shown."
        );
        self.examples.refuse(reason, Instead::Values)
    }

    fn releasable(&self, function: &AggregateFunction, over: &LogicalPlan) -> Result<Kind, ReleaseRefusal> {
        let params = &function.params;
        let name = function.func.name();
        let known = [
            (count::count_udaf(), Kind::Count),
            (sum::sum_udaf(), Kind::Sum),
            (average::avg_udaf(), Kind::Mean),
            (variance::var_samp_udaf(), Kind::Spread),
            (variance::var_pop_udaf(), Kind::Spread),
            (stddev::stddev_udaf(), Kind::Spread),
            (stddev::stddev_pop_udaf(), Kind::Spread),
        ];
        let Some((_, kind)) = known.into_iter().find(|(allowed, _)| *allowed == function.func) else {
            let reason = match name {
                "min" | "max" => format!(
                    "{name}() shows the value of a single person. Use avg() and stddev(), or count people above a limit: \
                     count(*) FILTER (WHERE ..)."
                ),
                "median"
                | "approx_median"
                | "percentile_cont"
                | "quantile_cont"
                | "approx_percentile_cont"
                | "approx_percentile_cont_with_weight" => {
                    let reason = format!(
                        "{name}() shows the value of a single person. Ask in which range it is: quantile_range(x, 0.5) is the \
                         median's, with at least 10 people in it, below it and above it; quantile_low and quantile_high are its \
                         ends as numbers."
                    );
                    let example = params.args.iter().find_map(|argument| number_of_table(argument, over));
                    return Err(match example {
                        Some(example) => ReleaseRefusal { reason, example },
                        None => self.examples.refuse(reason, Instead::Range),
                    });
                }
                "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value" => format!(
                    "{name}() shows values of single people. Count people per value instead: GROUP BY the column."
                ),
                _ if ["corr", "covar", "regr"].iter().any(|begins| name.starts_with(begins)) => {
                    let reason = format!(
                        "{name}() isn't released. Make it of spreads: the covariance of x and y is (var_samp(x + y) - var_samp(x) - \
                         var_samp(y)) / 2, the slope of y on x is that over var_samp(x), the correlation that over stddev(x) * \
                         stddev(y). Multiply one of them so that both vary about alike. \
                         Of fewer than 100,000 people sums of what is left over numbers near the means are nearer: docs/release.md, Regression."
                    );
                    return Err(self.examples.refuse(reason, Instead::Spreads));
                }
                "approx_distinct" => {
                    "approx_distinct() can't be checked. Use count(DISTINCT ..), of people or contacts.".to_owned()
                }
                _ => format!(
                    "{name}() isn't among the aggregates that are released: count, sum, avg, var_samp, var_pop, \
                     stddev_samp and stddev_pop."
                ),
            };
            return Err(self.examples.refuse(reason, Instead::Mean));
        };
        if params.distinct && kind != Kind::Count {
            return Err(self.distinct_values(function));
        }
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            let reason = format!("{name}() with ORDER BY or IGNORE NULLS isn't released. Leave it out.");
            return Err(self.examples.refuse(reason, Instead::Mean));
        }
        Ok(kind)
    }
}
