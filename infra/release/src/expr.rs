//! What expressions over rows of people may do with the columns that identify.
//!
//! INVARIANT: an expression is a value only when nothing that identifies flows into it. Persons and keys can be
//! compared with their like, tested for NULL, looked up in a subquery, and counted; every other use is refused, and so
//! is every kind of expression that isn't listed here.

use crate::release::{
    people::{Carries, People},
    refusal::{Instead, ReleaseRefusal},
    scope::{Scope, Seen, name_of, seen},
    walk::{Analysis, Part},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::Column,
    logical_expr::{
        Expr, Operator, Subquery, Volatility,
        expr::{Case, InSubquery},
    },
};
use proto::plan::persons::WIDTH;

/// Longest chain of operators; the engine evaluates it by recursion, on a worker's stack.
const MAX_CHAIN: usize = 256;

impl Analysis<'_> {
    /// Refuses unless `expr` is a value; `place` says where it stands.
    pub(super) fn value(&mut self, expr: &Expr, scope: &Scope<'_>, place: &str) -> Result<(), ReleaseRefusal> {
        match self.check(expr, scope)?.identifies() {
            None => Ok(()),
            Some(name) => Err(self.identifying(name, place)),
        }
    }

    pub(super) fn values<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        scope: &Scope<'_>,
        place: &str,
    ) -> Result<(), ReleaseRefusal> {
        exprs.into_iter().try_for_each(|expr| self.value(expr, scope, place))
    }

    fn identifying(&self, name: &str, place: &str) -> ReleaseRefusal {
        let reason = format!(
            "Column {name} identifies people and can't be used in {place}. It can be counted, compared with a column of \
             the same kind in another table, tested with IS NULL, and looked up with IN (SELECT ..)."
        );
        self.examples.refuse(reason, Instead::Count)
    }

    /// What the expression stands for, or why it may not stand here.
    pub(super) fn check(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Seen, ReleaseRefusal> {
        self.deeper()?;
        let seen = self.check_node(expr, scope);
        self.shallower();
        seen
    }

    #[allow(deprecated)] // `Wildcard` must be named to keep the match exhaustive
    fn check_node(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Seen, ReleaseRefusal> {
        match expr {
            Expr::Alias(alias) => return self.check(&alias.expr, scope),
            Expr::Column(column) => {
                let Some((_, carries)) = scope.own(column) else {
                    return Err(self.unknown_column(column));
                };
                return Ok(seen(column, carries, true));
            }
            Expr::OuterReferenceColumn(_, column) => {
                let Some(carries) = scope.enclosing(column) else {
                    return Err(self.unknown_column(column));
                };
                return Ok(seen(column, carries, false));
            }
            Expr::Literal(..) | Expr::Placeholder(_) => {}
            Expr::BinaryExpr(_) => return self.check_spine(expr, scope),
            Expr::Like(like) => self.values([like.expr.as_ref(), like.pattern.as_ref()], scope, "LIKE")?,
            Expr::SimilarTo(like) => self.values([like.expr.as_ref(), like.pattern.as_ref()], scope, "SIMILAR TO")?,
            Expr::Not(inner) => self.value(inner, scope, "NOT")?,
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                self.check(inner, scope)?; // whether a person number is missing says nothing about who it is
            }
            Expr::IsTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsNotUnknown(inner) => self.value(inner, scope, "IS TRUE or IS FALSE")?,
            Expr::Negative(inner) => self.value(inner, scope, "arithmetic")?,
            Expr::Between(between) => {
                self.values([between.expr.as_ref(), between.low.as_ref(), between.high.as_ref()], scope, "BETWEEN")?
            }
            Expr::Case(case) => self.check_case(case, scope)?,
            Expr::Cast(cast) => self.value(&cast.expr, scope, "a cast or a comparison with a value")?,
            Expr::TryCast(cast) => self.value(&cast.expr, scope, "a cast or a comparison with a value")?,
            Expr::ScalarFunction(call) => {
                if call.func.signature().volatility == Volatility::Volatile {
                    let reason = format!(
                        "{}() gives another answer every time. A released number must be repeatable.",
                        call.func.name()
                    );
                    return Err(self.examples.refuse(reason, Instead::Count));
                }
                self.values(&call.args, scope, &format!("{}()", call.func.name()))?;
            }
            Expr::InList(list) => {
                self.value(&list.expr, scope, "a list of values")?;
                self.values(&list.list, scope, "a list of values")?;
            }
            Expr::Exists(exists) => self.linked_subquery(&exists.subquery, scope)?,
            Expr::InSubquery(lookup) => self.check_lookup(lookup, scope)?,
            Expr::ScalarSubquery(subquery) => match self.subquery(subquery, scope)? {
                Part::Reference(_) => {}
                Part::People(_) | Part::Cells(_) => {
                    return Err(self.examples.refuse(
                        "A subquery in place of a value may only read tables without people. Give it a name with WITH \
                         and join it: by the person, if it has one row per person, or with CROSS JOIN, if it is a total.",
                        Instead::PerPerson,
                    ));
                }
            },
            Expr::AggregateFunction(call) => {
                return Err(self.unsupported(&format!("{}() in this place", call.func.name())));
            }
            Expr::WindowFunction(call) => {
                return Err(self.unsupported(&format!("{} OVER in this place", call.fun.name())));
            }
            Expr::ScalarVariable(..) => return Err(self.unsupported("a variable")),
            Expr::SetComparison(_) => return Err(self.unsupported("= ANY (SELECT ..) or ALL")),
            Expr::GroupingSet(_) => return Err(self.unsupported("GROUPING SETS, ROLLUP or CUBE in this place")),
            Expr::Unnest(_) => return Err(self.unsupported("unnest()")),
            Expr::HigherOrderFunction(call) => return Err(self.unsupported(&format!("{}()", call.name()))),
            Expr::Lambda(_) | Expr::LambdaVariable(_) => return Err(self.unsupported("a lambda")),
            Expr::Wildcard { .. } => return Err(self.unsupported("* in this place")),
        }
        Ok(Seen::Value)
    }

    /// `a AND b AND c ..` is a tree as deep as it is long; its left edge is walked in a loop.
    fn check_spine(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Seen, ReleaseRefusal> {
        let mut rights = Vec::new();
        let mut leftmost = expr;
        while let Expr::BinaryExpr(binary) = leftmost {
            rights.push((binary.op, binary.right.as_ref()));
            leftmost = &binary.left;
        }
        if rights.len() > MAX_CHAIN {
            return Err(self.examples.refuse(
                "A condition or computation has too many parts. Use IN (..), or join a list: JOIN (VALUES ..) AS v(code).",
                Instead::Count,
            ));
        }
        let mut left = self.check(leftmost, scope)?;
        for (op, right) in rights.into_iter().rev() {
            let right = self.check(right, scope)?;
            self.check_pair(&left, op, &right)?;
            left = Seen::Value;
        }
        Ok(left)
    }

    /// The operands of one operator.
    pub(super) fn check_pair(&self, left: &Seen, op: Operator, right: &Seen) -> Result<(), ReleaseRefusal> {
        let equality =
            matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
        match (left, right) {
            (Seen::Value, Seen::Value) => Ok(()),
            (Seen::Person { .. }, Seen::Person { .. }) | (Seen::Key { .. }, Seen::Key { .. }) if equality => Ok(()),
            (identifier, other) | (other, identifier) if equality && identifier.identifies().is_some() => {
                let name = identifier.identifies().unwrap_or_default();
                let reason = match other {
                    Seen::Value => format!(
                        "Column {name} identifies people and can't be compared with a value: that would ask about one \
                         person. Compare it with a column of the same kind in another table."
                    ),
                    Seen::Key { name: key } | Seen::Person { name: key, .. } => {
                        format!("Columns {name} and {key} identify different things and can't be compared.")
                    }
                };
                Err(self.examples.refuse(reason, Instead::Within))
            }
            (identifier, other) => {
                let name = identifier.identifies().or(other.identifies()).unwrap_or_default();
                Err(self.identifying(name, &format!("the operator {op}")))
            }
        }
    }

    fn check_case(&mut self, case: &Case, scope: &Scope<'_>) -> Result<(), ReleaseRefusal> {
        self.values(case.expr.as_deref(), scope, "CASE")?;
        for (when, then) in &case.when_then_expr {
            self.values([when.as_ref(), then.as_ref()], scope, "CASE")?;
        }
        self.values(case.else_expr.as_deref(), scope, "CASE")
    }

    /// The part that a subquery is, analysed with the enclosing columns in view. The subquery itself stays as written:
    /// what release would add to it is not needed inside a condition.
    fn subquery(&mut self, subquery: &Subquery, scope: &Scope<'_>) -> Result<Part, ReleaseRefusal> {
        self.visit_subquery(&subquery.subquery, scope)
    }

    /// A subquery whose answer depends on the row's own person only.
    fn linked_subquery(&mut self, subquery: &Subquery, scope: &Scope<'_>) -> Result<(), ReleaseRefusal> {
        match self.subquery(subquery, scope)? {
            Part::Reference(_) => Ok(()),
            Part::People(people) => {
                if anchored(&people) {
                    Ok(())
                } else {
                    Err(self.unlinked_subquery())
                }
            }
            Part::Cells(_) => Err(self.unlinked_subquery()),
        }
    }

    fn check_lookup(&mut self, lookup: &InSubquery, scope: &Scope<'_>) -> Result<(), ReleaseRefusal> {
        let wanted = self.check(&lookup.expr, scope)?;
        let people = match self.subquery(&lookup.subquery, scope)? {
            Part::Reference(_) => {
                return match wanted.identifies() {
                    None => Ok(()),
                    Some(name) => Err(self.identifying(name, "IN (SELECT ..) from a table without people")),
                };
            }
            Part::Cells(_) => return Err(self.unlinked_subquery()),
            Part::People(people) => people,
        };
        let first = people.visible().next();
        let offered = first.and_then(|i| people.columns.get(i)).map(|column| column.carries);
        let pseudonyms = DataType::FixedSizeBinary(WIDTH);
        match (&wanted, offered) {
            (Seen::Person { .. }, Some(Carries::Person { who, .. })) => {
                // Another type would not be told from a value when missing ones are left out (`lookup`).
                if first.is_none_or(|i| *people.plan.schema().field(i).data_type() != pseudonyms) {
                    return Err(self.unsupported("a person column that doesn't hold pseudonyms"));
                }
                if people.persons().iter().all(|other| *other == who || people.anchored.contains(other)) {
                    Ok(())
                } else {
                    Err(self.unlinked_subquery())
                }
            }
            (Seen::Key { .. }, Some(Carries::Key)) | (Seen::Value, Some(Carries::Value)) => {
                if anchored(&people) {
                    Ok(())
                } else {
                    Err(self.unlinked_subquery())
                }
            }
            (Seen::Value, _) => Err(self.unlinked_subquery()),
            (Seen::Key { name } | Seen::Person { name, .. }, _) => {
                Err(self.identifying(name, "IN (SELECT ..) with another kind of column"))
            }
        }
    }

    fn unlinked_subquery(&self) -> ReleaseRefusal {
        self.examples.refuse(
            "A subquery over people must be linked by the person, so that it tells about the row's own person only: \
             WHERE pnr IN (SELECT pnr ..), or WHERE EXISTS (SELECT 1 FROM b WHERE b.pnr = a.pnr ..).",
            Instead::Within,
        )
    }

    fn unknown_column(&self, column: &Column) -> ReleaseRefusal {
        let reason = format!("Column {} isn't known in this place.", name_of(column));
        self.examples.refuse(reason, Instead::Count)
    }

    /// A kind of expression or statement that the release rules don't know.
    pub(super) fn unsupported(&self, what: &str) -> ReleaseRefusal {
        let reason =
            format!("The release rules don't cover {what}, so it isn't answered outside the secure environment.");
        self.examples.refuse(reason, Instead::Count)
    }
}

/// Whether every row of a subquery is about the enclosing row's person.
fn anchored(people: &People) -> bool {
    let everybody = people.persons();
    !everybody.is_empty() && everybody.iter().all(|who| people.anchored.contains(who))
}
