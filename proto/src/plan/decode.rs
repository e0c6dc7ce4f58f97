//! A fragment as a logical plan, bound to the tables of one request.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, JoinConstraint, JoinType, NullEquality, TableReference};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, Join, Limit, LogicalPlan, Projection, Sort, SortExpr, lit,
};

use super::Tables;
use super::decode_expr::{Binder, shown};
use super::keys::Keys;
use super::measure::decode_measure;
use super::persons;
use crate::fragment::{self, FragmentError, Limits};
use crate::wire::{self, JoinKind, NamedExpr, Rel, rel};

type Decoded<T> = Result<T, FragmentError>;

/// Checks a fragment and binds it. The plan is neither analysed nor optimised yet.
pub fn decode(
    f: &wire::Fragment,
    tables: &dyn Tables,
    functions: &dyn FunctionRegistry,
    limits: &Limits,
) -> Result<LogicalPlan, FragmentError> {
    decode_with(f, &[], tables, functions, limits)
}

/// The same with the lists of keys that came beside the fragment.
pub fn decode_with(
    f: &wire::Fragment,
    keys: &[Arc<Keys>],
    tables: &dyn Tables,
    functions: &dyn FunctionRegistry,
    limits: &Limits,
) -> Result<LogicalPlan, FragmentError> {
    fragment::check(f, limits)?; // bounds the recursion below
    let decoder = Decoder { tables, functions, keys, counts: true };
    decoder.rel(f.root.as_ref())
}

/// The same in the engine's own functions, for rules that know them by identity.
pub fn decode_plainly(
    f: &wire::Fragment,
    tables: &dyn Tables,
    functions: &dyn FunctionRegistry,
    limits: &Limits,
) -> Result<LogicalPlan, FragmentError> {
    fragment::check(f, limits)?; // bounds the recursion below
    let decoder = Decoder { tables, functions, keys: &[], counts: false };
    decoder.rel(f.root.as_ref())
}

struct Decoder<'a> {
    tables: &'a dyn Tables,
    functions: &'a dyn FunctionRegistry,
    keys: &'a [Arc<Keys>],
    /// different pseudonyms are counted by a function of ours
    counts: bool,
}

impl Decoder<'_> {
    fn rel(&self, rel: Option<&Rel>) -> Decoded<LogicalPlan> {
        let kind = rel.and_then(|rel| rel.kind.as_ref());
        match kind.ok_or(FragmentError::Missing("Rel.kind"))? {
            rel::Kind::Read(read) => self.read(read),
            rel::Kind::Filter(filter) => {
                let input = self.rel(filter.input.as_deref())?;
                let predicate = self.bind(&input).expr(filter.predicate.as_ref())?;
                typed(&predicate, &input, "Filter")?;
                let filter = Filter::try_new(predicate, Arc::new(input));
                filter.map(LogicalPlan::Filter).map_err(|_| FragmentError::Mismatch("Filter"))
            }
            rel::Kind::Project(project) => {
                let input = self.rel(project.input.as_deref())?;
                let exprs = self.named(&project.exprs, &input, "Project")?;
                let projection = Projection::try_new(exprs, Arc::new(input));
                projection.map(LogicalPlan::Projection).map_err(|_| FragmentError::Mismatch("Project"))
            }
            rel::Kind::Join(join) => self.join(join),
            rel::Kind::Aggregate(aggregate) => self.aggregate(aggregate),
            rel::Kind::SortLimit(sort) => self.sort_limit(sort),
        }
    }

    fn bind<'a>(&'a self, input: &'a LogicalPlan) -> Binder<'a> {
        Binder { schema: input.schema(), functions: self.functions, keys: self.keys }
    }

    fn read(&self, read: &wire::Read) -> Decoded<LogicalPlan> {
        let source = self.tables.table(&read.table);
        let source = source.ok_or_else(|| FragmentError::Table(read.table.clone()))?;
        let schema = source.schema();
        let column = |name: &String| schema.index_of(name).map_err(|_| FragmentError::Column(shown(name)));
        let projection = read.columns.iter().map(column).collect::<Decoded<Vec<_>>>()?;
        // `bare` takes the name as it is: no dots are split, no case is folded
        TableScanBuilder::new(TableReference::bare(read.table.as_str()), source)
            .with_projection(Some(projection))
            .build()
            .map(LogicalPlan::TableScan)
            .map_err(|_| FragmentError::Mismatch("Read"))
    }

    fn named(&self, exprs: &[NamedExpr], input: &LogicalPlan, node: &'static str) -> Decoded<Vec<Expr>> {
        let binder = self.bind(input);
        let named = exprs.iter().map(|named| {
            let expr = binder.expr(named.expr.as_ref())?;
            typed(&expr, input, node)?;
            Ok(rename(expr, &named.name))
        });
        named.collect()
    }

    fn join(&self, join: &wire::Join) -> Decoded<LogicalPlan> {
        let mismatch = |_| FragmentError::Mismatch("Join");
        let left = unqualified(self.rel(join.left.as_deref())?)?;
        let right = unqualified(self.rel(join.right.as_deref())?)?;
        let both = left.schema().join(right.schema()).map_err(mismatch)?;
        let mut on = Vec::with_capacity(join.on.len());
        for key in &join.on {
            let (a, b) = (self.bind(&left).expr(key.left.as_ref())?, self.bind(&right).expr(key.right.as_ref())?);
            typed(&a, &left, "Join")?;
            typed(&b, &right, "Join")?;
            on.push((a, b));
        }
        let condition = match &join.condition {
            None => None,
            Some(condition) => {
                let condition =
                    Binder { schema: &both, functions: self.functions, keys: self.keys }.expr(Some(condition))?;
                if !boolean(&condition, &both)? {
                    return Err(FragmentError::Mismatch("Join"));
                }
                Some(condition)
            }
        };
        let kind = match JoinKind::try_from(join.kind) {
            Ok(JoinKind::Inner) => JoinType::Inner,
            Ok(JoinKind::Left) => JoinType::Left,
            Ok(JoinKind::Semi) => JoinType::LeftSemi,
            Ok(JoinKind::Anti) => JoinType::LeftAnti,
            Ok(JoinKind::Unspecified) | Err(_) => {
                return Err(FragmentError::Unknown { what: "JoinKind", value: join.kind });
            }
        };
        let nulls = match join.nulls_match {
            true => NullEquality::NullEqualsNull,
            false => NullEquality::NullEqualsNothing,
        };
        let on_both = JoinConstraint::On;
        Join::try_new(Arc::new(left), Arc::new(right), on, condition, kind, on_both, nulls, false)
            .map(LogicalPlan::Join)
            .map_err(mismatch)
    }

    fn aggregate(&self, aggregate: &wire::Aggregate) -> Decoded<LogicalPlan> {
        let mismatch = || FragmentError::Mismatch("Aggregate");
        let input = self.rel(aggregate.input.as_deref())?;
        let binder = self.bind(&input);
        let (mut groups, mut measures) = (Outputs::default(), Outputs::default());
        for named in &aggregate.groups {
            let expr = binder.expr(named.expr.as_ref())?;
            typed(&expr, &input, "Aggregate")?;
            groups.add(expr, &named.name);
        }
        for named in &aggregate.measures {
            let measure = named.measure.as_ref();
            let measure = measure.ok_or(FragmentError::Missing("NamedMeasure.measure"))?;
            let optional = |e: Option<&wire::Expr>| e.map(|e| binder.expr(Some(e))).transpose();
            let argument = optional(measure.argument.as_ref())?;
            let filter = optional(measure.filter.as_ref())?;
            let value = optional(measure.value.as_ref())?;
            if let Some(filter) = &filter
                && !boolean(filter, input.schema())?
            {
                return Err(mismatch());
            }
            // One alone the engine takes apart into two plain groupings.
            let width = argument.as_ref().filter(|_| aggregate.measures.len() > 1).map(|e| e.get_type(input.schema()));
            let of_pseudonyms = self.counts && matches!(width, Some(Ok(DataType::FixedSizeBinary(persons::WIDTH))));
            let expr = decode_measure(measure, argument, value, filter, self.functions, of_pseudonyms)?;
            typed(&expr, &input, "Aggregate")?;
            measures.add(expr, &named.name);
        }
        let input = Arc::new(input);
        // The engine's rules for aggregates (COUNT(DISTINCT ..) among them) look for functions without another
        // name, so the names are given one step above.
        let bare = Aggregate::try_new(Arc::clone(&input), groups.exprs.clone(), measures.exprs.clone());
        let Ok(plan) = bare else {
            // a group and a measure may have one name by themselves
            return Aggregate::try_new(input, groups.renamed(), measures.renamed())
                .map(LogicalPlan::Aggregate)
                .map_err(|_| mismatch());
        };
        let columns = plan.schema.columns();
        if columns.len() != groups.exprs.len() + measures.exprs.len() {
            return Err(mismatch());
        }
        let measured = measures.names.iter().map(|(at, name)| (groups.exprs.len() + at, name));
        let named = groups.names.iter().map(|(at, name)| (*at, name)).chain(measured);
        let named = named.map(|(at, name)| columns.get(at).map(|c| rename(Expr::Column(c.clone()), name)));
        let named = named.collect::<Option<Vec<_>>>().ok_or_else(mismatch)?;
        let plan = LogicalPlan::Aggregate(plan);
        let same = named.iter().eq(columns.into_iter().map(Expr::Column).collect::<Vec<_>>().iter());
        if same {
            return Ok(plan);
        }
        Projection::try_new(named, Arc::new(plan)).map(LogicalPlan::Projection).map_err(|_| mismatch())
    }

    fn sort_limit(&self, sort: &wire::SortLimit) -> Decoded<LogicalPlan> {
        let mut plan = self.rel(sort.input.as_deref())?;
        if !sort.keys.is_empty() {
            let binder = self.bind(&plan);
            let mut keys = Vec::with_capacity(sort.keys.len());
            for key in &sort.keys {
                let expr = binder.expr(key.expr.as_ref())?;
                typed(&expr, &plan, "SortLimit")?;
                keys.push(SortExpr::new(expr, !key.descending, key.nulls_first));
            }
            plan = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(plan), fetch: None });
        }
        if sort.limit.is_none() && sort.offset == 0 {
            return Ok(plan);
        }
        let rows = |n: u64| match i64::try_from(n) {
            Ok(n) => Ok(Box::new(lit(n))),
            Err(_) => Err(FragmentError::Mismatch("SortLimit")),
        };
        Ok(LogicalPlan::Limit(Limit {
            skip: (sort.offset > 0).then(|| rows(sort.offset)).transpose()?,
            fetch: sort.limit.map(rows).transpose()?,
            input: Arc::new(plan),
        }))
    }
}

/// Expressions without doubles, and the names that each is wanted under.
#[derive(Default)]
struct Outputs {
    exprs: Vec<Expr>,
    names: Vec<(usize, String)>,
}

impl Outputs {
    fn add(&mut self, expr: Expr, name: &str) {
        let at = self.exprs.iter().position(|e| *e == expr).unwrap_or(self.exprs.len());
        if at == self.exprs.len() {
            self.exprs.push(expr);
        }
        self.names.push((at, name.to_owned()));
    }

    fn renamed(&self) -> Vec<Expr> {
        let named = self.names.iter().filter_map(|(at, name)| Some((self.exprs.get(*at)?, name)));
        named.map(|(e, name)| rename(e.clone(), name)).collect()
    }
}

/// Refuses an expression that has no type over its input. The engine's own message is not passed on: it
/// repeats the expression with its constants.
fn typed(expr: &Expr, input: &LogicalPlan, node: &'static str) -> Decoded<()> {
    match expr.get_type(input.schema()) {
        Ok(_) => Ok(()),
        Err(_) => Err(FragmentError::Mismatch(node)),
    }
}

fn boolean(expr: &Expr, schema: &DFSchema) -> Decoded<bool> {
    use datafusion::arrow::datatypes::DataType::{Boolean, Null};
    let t = expr.get_type(schema).map_err(|_| FragmentError::Mismatch("Aggregate"))?;
    Ok(matches!(t, Boolean | Null))
}

/// The same columns without the names of tables, so that one table may be joined to itself.
fn unqualified(plan: LogicalPlan) -> Decoded<LogicalPlan> {
    if plan.schema().iter().all(|(table, _)| table.is_none()) {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    let projection = Projection::try_new(columns.collect(), Arc::new(plan));
    projection.map(LogicalPlan::Projection).map_err(|_| FragmentError::Mismatch("Join"))
}

/// Gives the expression the name of its column, unless that is its name anyway.
fn rename(expr: Expr, name: &str) -> Expr {
    let same = match &expr {
        Expr::Column(column) => column.name == name,
        other => other.schema_name().to_string() == name,
    };
    if same { expr } else { expr.alias(name) }
}
