//! From rows of people to cells: which aggregates may be released, and which hidden counts of people each needs.
//!
//! INVARIANT: a statistic is shown only when at least [`THRESHOLD`] different people stand behind its group, and
//! nobody or as many behind the rows that it is made of (its FILTER, its values that are not NULL, not zero for a
//! sum).

use crate::release::{
    cells::{Cells, Flag},
    expr::{Scope, Seen, bare},
    people::{Carries, People, PersonColumn, PersonId, column_at},
    persons::{WIDTH, persons},
    refusal::{Instead, ReleaseRefusal},
    walk::{Analysis, At, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, ScalarValue, TableReference},
    functions_aggregate::{average, count, stddev, sum, variance},
    logical_expr::{
        Aggregate, AggregateUDF, Case, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Volatility,
        binary_expr, expr::AggregateFunction, lit,
    },
};
use policies::disclosure::THRESHOLD;
use std::{collections::BTreeSet, sync::Arc};

/// How a statistic depends on its argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// on which values are there
    Count,
    /// on the values; zeros add nothing
    Sum,
}

impl Analysis<'_> {
    /// An aggregate over rows of people: per person (then the rows are still about people), or cells.
    pub(super) fn count_people(&mut self, node: &Aggregate, people: People, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let who = self.one_person(&people)?;
        let schema = Arc::clone(people.plan.schema());
        let mut keys = Vec::with_capacity(node.group_expr.len());
        let mut identifying = None;
        {
            let scope = Scope { schema: &schema, columns: &people.columns, outer: at.outer };
            for expr in &node.group_expr {
                if let Expr::GroupingSet(_) = expr {
                    return Err(self.examples.refuse(
                        "GROUPING SETS, ROLLUP and CUBE show totals beside their parts, from which a hidden part could be \
                         worked out. Ask for one level at a time.",
                        Instead::Count,
                    ));
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
                let rebuilt =
                    Aggregate::try_new(Arc::new(people.plan), node.group_expr.clone(), node.aggr_expr.clone());
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
        self.cells(people, who, node.group_expr.clone(), node.aggr_expr.clone())
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
        if let Some(key) = keys.iter().find(|key| !matches!(self.check(key, &scope), Ok(Seen::Value))) {
            let shown = key.schema_name();
            let reason = format!("Column {shown} identifies people and can't be shown.");
            return Err(self.examples.refuse(reason, Instead::Count));
        }
        let Some(carrier) = people.carrier(who) else {
            return Err(self.unsupported("rows without a person column"));
        };
        let person = column_at(&schema, carrier);
        if *schema.field(carrier).data_type() != DataType::FixedSizeBinary(WIDTH) {
            return Err(self.unsupported("a person column that doesn't hold pseudonyms"));
        }

        // the conditions under which people must be counted; the first is the group itself
        let mut conditions: Vec<Option<Expr>> = vec![None];
        let mut needs = Vec::with_capacity(statistics.len());
        for statistic in &statistics {
            let function = self.aggregate_function(statistic, &scope)?;
            let kind = self.releasable(function)?;
            let condition = contributes(function, kind, &schema, |argument| carries_always(argument, &people, who));
            let place = conditions.iter().position(|known| *known == condition).unwrap_or_else(|| {
                conditions.push(condition);
                conditions.len() - 1
            });
            needs.push(place);
        }
        self.suppressed(&people, person, Groups { keys, statistics, conditions, needs })
    }

    fn releasable(&self, function: &AggregateFunction) -> Result<Kind, ReleaseRefusal> {
        let params = &function.params;
        let name = function.func.name();
        let known = [
            (count::count_udaf(), Kind::Count),
            (sum::sum_udaf(), Kind::Sum),
            (average::avg_udaf(), Kind::Sum),
            (variance::var_samp_udaf(), Kind::Sum),
            (variance::var_pop_udaf(), Kind::Sum),
            (stddev::stddev_udaf(), Kind::Sum),
            (stddev::stddev_pop_udaf(), Kind::Sum),
        ];
        let Some((_, kind)) = known.into_iter().find(|(allowed, _)| *allowed == function.func) else {
            let reason = match name {
                "min" | "max" => format!(
                    "{name}() shows the value of a single person. Use avg() and stddev(), or count people above a limit: \
                     count(*) FILTER (WHERE ..)."
                ),
                "median" | "approx_median" | "percentile_cont" | "quantile_cont" | "approx_percentile_cont"
                | "approx_percentile_cont_with_weight" => format!(
                    "{name}() shows the value of a single person. Use avg() and stddev(), or count people in intervals: \
                     GROUP BY floor(value / 10)."
                ),
                "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value" => format!(
                    "{name}() shows values of single people. Count people per value instead: GROUP BY the column."
                ),
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

    /// Aggregate with hidden counts, then a projection that shows only what may be shown, then one row for all the rest.
    fn suppressed(&mut self, people: &People, person: Expr, groups: Groups) -> Result<Part, ReleaseRefusal> {
        let Groups { keys, statistics, conditions, needs } = groups;
        let input = Arc::new(people.plan.clone());
        let counts: Vec<String> = conditions.iter().map(|_| self.hidden("people")).collect();
        let mut measures = Vec::with_capacity(statistics.len() + counts.len());
        // count(DISTINCT person) is what the hidden counts say anyway
        let is_people: Vec<bool> = statistics.iter().map(|statistic| counts_people(statistic, people)).collect();
        measures.extend(statistics.iter().zip(&is_people).filter(|(_, same)| !**same).map(|(s, _)| s.clone()));
        for (condition, name) in conditions.iter().zip(&counts) {
            measures.push(persons(person.clone(), condition.clone()).alias(name));
        }
        // names and types of the columns as the rest of the statement knows them
        let shape = if statistics.is_empty() {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), vec![persons(person, None)])
        } else {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), statistics.clone())
        };
        let shape = self.built(shape)?.schema;
        let grouped = !keys.is_empty();
        let key_count = keys.len();
        let aggregated = Aggregate::try_new(input, keys, measures);
        let aggregated = self.built(aggregated)?;

        let few = |name: &String| {
            Expr::IsTrue(Box::new(binary_expr(hidden_column(name), Operator::Lt, lit(THRESHOLD))))
        };
        let Some(few_in_group) = counts.first().map(few) else {
            return Err(self.unsupported("an aggregate without a group"));
        };
        let row = Flag(self.fresh());
        let mut flags = vec![(row, few_in_group.clone())];
        let mut own: Vec<Option<Flag>> = vec![None; conditions.len()];
        for (place, name) in counts.iter().enumerate().skip(1) {
            let flag = Flag(self.fresh());
            // inside the folded row all flags are alike, or it would not fold
            let shown_group = Expr::IsNotTrue(Box::new(few_in_group.clone()));
            flags.push((flag, binary_expr(shown_group, Operator::And, few(name))));
            if let Some(slot) = own.get_mut(place) {
                *slot = Some(flag);
            }
        }
        let flag_expr = |flag: &Flag| flags.iter().find(|(known, _)| known == flag).map(|(_, expr)| expr.clone());

        let mut exprs = Vec::new();
        let mut columns: Vec<BTreeSet<Flag>> = Vec::new();
        for i in 0..key_count + statistics.len() {
            let (qualifier, field) = shape.qualified_field(i);
            let mut when = BTreeSet::from([row]);
            let shown = match i.checked_sub(key_count) {
                None => column_at(&aggregated.schema, i),
                Some(place) => {
                    let need = needs.get(place).copied().unwrap_or_default();
                    when.extend(own.get(need).copied().flatten());
                    if is_people.get(place).copied().unwrap_or_default() {
                        let people = counts.get(need).map(hidden_column).unwrap_or_else(|| lit(ScalarValue::Int64(None)));
                        or_zero(people)
                    } else {
                        column_at(&shape, i)
                    }
                }
            };
            let hide = when.iter().filter_map(flag_expr).reduce(|a, b| binary_expr(a, Operator::Or, b));
            exprs.push(unless(hide, shown).alias_qualified(qualifier.cloned(), field.name()));
            columns.push(when);
        }
        for (flag, expr) in flags {
            exprs.push(expr.alias(flag.name()));
            columns.push(BTreeSet::new());
        }
        let projected = Projection::try_new(exprs, Arc::new(LogicalPlan::Aggregate(aggregated)));
        let mut plan = LogicalPlan::Projection(self.built(projected)?);
        if grouped {
            plan = LogicalPlan::Distinct(Distinct::All(Arc::new(plan)));
        }
        let all: Vec<Flag> = std::iter::once(row).chain(own.into_iter().flatten()).collect();
        Ok(Part::Cells(Cells::new(plan, key_count + statistics.len(), &columns, &all, row)))
    }
}

/// What becomes cells.
struct Groups {
    keys: Vec<Expr>,
    statistics: Vec<Expr>,
    /// conditions under which people are counted
    conditions: Vec<Option<Expr>>,
    /// the condition of each statistic
    needs: Vec<usize>,
}

fn hidden_column(name: &String) -> Expr {
    Expr::Column(datafusion::common::Column::new(None::<TableReference>, name))
}

/// NULL when `hide` holds.
pub(super) fn unless(hide: Option<Expr>, shown: Expr) -> Expr {
    match hide {
        None => shown,
        Some(hide) => Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(Expr::IsNotTrue(Box::new(hide))), Box::new(shown))],
            else_expr: None,
        }),
    }
}

fn or_zero(count: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(Expr::IsNull(Box::new(count.clone()))), Box::new(lit(0_i64)))],
        else_expr: Some(Box::new(count)),
    })
}

/// `count(DISTINCT person)`, under whatever filter.
fn counts_people(statistic: &Expr, people: &People) -> bool {
    let Expr::AggregateFunction(function) = bare(statistic) else { return false };
    let [argument] = function.params.args.as_slice() else { return false };
    let Expr::Column(column) = bare(argument) else { return false };
    let carries = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    function.params.distinct
        && function.func == count::count_udaf()
        && carries.is_some_and(|column| matches!(column.carries, Carries::Person { .. }))
}

/// A column that holds the row's person in every row.
fn carries_always(argument: &Expr, people: &People, who: PersonId) -> bool {
    let Expr::Column(column) = argument else { return false };
    let found = people.plan.schema().maybe_index_of_column(column).and_then(|i| people.columns.get(i));
    found.is_some_and(|column| column.carries == Carries::Person { who, always: true })
}

/// The rows that a statistic is made of, when they can be fewer than the group's.
fn contributes(
    function: &AggregateFunction,
    kind: Kind,
    schema: &DFSchema,
    is_person: impl Fn(&Expr) -> bool,
) -> Option<Expr> {
    let params = &function.params;
    let filter = params.filter.as_deref().cloned();
    let arguments = params.args.iter().filter_map(|argument| {
        let argument = bare(argument);
        if is_person(argument) {
            return None; // people without a number are not counted as people anyway
        }
        if let Expr::Literal(value, _) = argument {
            return value.is_null().then(|| lit(false));
        }
        let not_null = || Expr::IsNotNull(Box::new(argument.clone()));
        match kind {
            Kind::Count => argument.nullable(schema).unwrap_or(true).then(not_null),
            Kind::Sum => {
                let zero = argument.get_type(schema).ok().and_then(|kind| ScalarValue::new_zero(&kind).ok());
                Some(match zero {
                    Some(zero) => binary_expr(argument.clone(), Operator::NotEq, lit(zero)),
                    None => not_null(),
                })
            }
        }
    });
    filter.into_iter().chain(arguments).reduce(|a, b| binary_expr(a, Operator::And, b))
}
