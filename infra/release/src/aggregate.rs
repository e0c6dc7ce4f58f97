//! Aggregates over people: per person, or the cells of the result, and which functions may be released.
//!
//! INVARIANT: a function is released because it is listed here, by identity and not by name.

use crate::release::{
    need::{Asked, Kind},
    people::{Carries, People, PersonColumn, PersonId, column_at},
    refusal::{Instead, ReleaseRefusal},
    scope::{Scope, Seen, bare},
    suppress::Groups,
    walk::{Analysis, At, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    functions_aggregate::{average, count, stddev, sum, variance},
    logical_expr::{Aggregate, AggregateUDF, Expr, LogicalPlan, Volatility, expr::AggregateFunction},
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
            asked.add(function, self.releasable(function)?, &people, who);
        }
        self.suppressed(&people, person, Groups { keys, statistics, asked })
    }

    fn releasable(&self, function: &AggregateFunction) -> Result<Kind, ReleaseRefusal> {
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
                        "{name}() shows the value of a single person. Ask in which interval it is: count people in intervals, \
                         add the counts up, and keep the interval in which half of them (or another part) is reached. Make \
                         intervals of many people."
                    );
                    return Err(self.examples.refuse(reason, Instead::Intervals));
                }
                "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value" => format!(
                    "{name}() shows values of single people. Count people per value instead: GROUP BY the column."
                ),
                _ if ["corr", "covar", "regr"].iter().any(|begins| name.starts_with(begins)) => {
                    let reason = format!(
                        "{name}() isn't released. Make it of spreads: the covariance of x and y is (var_samp(x + y) - var_samp(x) - \
                         var_samp(y)) / 2, the slope of y on x is that over var_samp(x), the correlation that over stddev(x) * \
                         stddev(y). Multiply one of them so that both vary about alike."
                    );
                    return Err(self.examples.refuse(reason, Instead::Spreads));
                }
                "approx_distinct" => "approx_distinct() can't be checked. Use count(DISTINCT ..).".to_owned(),
                _ => format!(
                    "{name}() isn't among the aggregates that are released: count, sum, avg, var_samp, var_pop, \
                     stddev_samp and stddev_pop."
                ),
            };
            return Err(self.examples.refuse(reason, Instead::Mean));
        };
        if params.distinct && kind != Kind::Count {
            let reason = format!("{name}(DISTINCT ..) isn't released: DISTINCT goes with count only.");
            return Err(self.examples.refuse(reason, Instead::Mean));
        }
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            let reason = format!("{name}() with ORDER BY or IGNORE NULLS isn't released. Leave it out.");
            return Err(self.examples.refuse(reason, Instead::Mean));
        }
        Ok(kind)
    }
}
