//! Joins: of people with people by the person, and of anything with tables without people.
//!
//! INVARIANT: a side that an outer join fills with NULLs, and a side that only decides whether a row stays, must be
//! linked by the person in the join's own condition; afterwards it's too late.

use crate::release::{
    cells::Cells,
    people::{Carries, People, PersonColumn, PersonId, merge, only_where_matched},
    refusal::{Instead, ReleaseRefusal},
    scope::{Link, Scope, plain},
    walk::{Analysis, At, Part},
};
use datafusion::{
    common::{DFSchema, JoinType, NullEquality},
    logical_expr::{Join, LogicalPlan, Operator},
};
use std::{collections::BTreeSet, sync::Arc};

/// One input of a join.
struct Side {
    plan: LogicalPlan,
    columns: Vec<PersonColumn>,
    anchored: BTreeSet<PersonId>,
    people: bool,
}

impl Side {
    fn of(part: Part) -> Self {
        match part {
            Part::Reference(plan) => {
                let columns = plain(plan.schema());
                Self { plan, columns, anchored: BTreeSet::new(), people: false }
            }
            Part::People(People { plan, columns, anchored }) => Self { plan, columns, anchored, people: true },
            Part::Cells(cells) => {
                let columns = plain(cells.plan.schema());
                Self { plan: cells.plan, columns, anchored: BTreeSet::new(), people: false }
            }
        }
    }
}

/// Which input is filled with NULLs, or only decides whether a row of the other one stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weak {
    Left,
    Right,
}

impl Analysis<'_> {
    pub(super) fn join(&mut self, node: &Join, plan: &LogicalPlan, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let left = self.visit(&node.left, at)?;
        let right = self.visit(&node.right, at)?;
        match (left, right) {
            (Part::Reference(left), Part::Reference(right)) => {
                let sides = (Side::of(Part::Reference(left)), Side::of(Part::Reference(right)));
                self.condition(node, &sides.0, &sides.1, at)?;
                Ok(Part::Reference(plan.clone()))
            }
            (Part::People(_), Part::Cells(_)) | (Part::Cells(_), Part::People(_)) => Err(self.examples.refuse(
                "This joins groups that are aggregates already with rows of people. Aggregate once, after the join.",
                Instead::Link,
            )),
            (Part::Cells(left), Part::Reference(right)) => {
                self.join_cells(node, left, Cells::reference(right), JoinType::Left, at)
            }
            (Part::Reference(left), Part::Cells(right)) => {
                self.join_cells(node, Cells::reference(left), right, JoinType::Right, at)
            }
            (Part::Cells(left), Part::Cells(right)) => self.join_cells(node, left, right, JoinType::Inner, at),
            (left, right) => self.join_people(node, Side::of(left), Side::of(right), at),
        }
    }

    /// Checks what the join's condition looks at, and finds the person equalities in it.
    fn condition(
        &mut self,
        node: &Join,
        left: &Side,
        right: &Side,
        at: At<'_>,
    ) -> Result<(DFSchema, Vec<PersonColumn>, Vec<Link>), ReleaseRefusal> {
        let joined = left.plan.schema().join(right.plan.schema());
        let schema = self.built(joined)?;
        let columns: Vec<PersonColumn> = left.columns.iter().chain(&right.columns).copied().collect();
        let scope = Scope { schema: &schema, columns: &columns, outer: at.outer };
        let mut links = Vec::new();
        for (a, b) in &node.on {
            let seen = (self.check(a, &scope)?, self.check(b, &scope)?);
            self.check_pair(&seen.0, Operator::Eq, &seen.1)?;
            links.extend(scope.link(a, b));
        }
        if node.null_equality == NullEquality::NullEqualsNull {
            // NULL matches NULL: only columns that always carry their person say then who is meant
            links.retain(|link| match link {
                Link::Own(a, b) => [a, b].into_iter().all(|i| {
                    matches!(columns.get(*i).map(|column| column.carries), Some(Carries::Person { always: true, .. }))
                }),
                Link::Outer(_) => false,
            });
        }
        if let Some(filter) = &node.filter {
            self.value(filter, &scope, "ON")?;
            links.extend(scope.links(filter));
        }
        Ok((schema, columns, links))
    }

    fn join_people(&mut self, node: &Join, left: Side, right: Side, at: At<'_>) -> Result<Part, ReleaseRefusal> {
        let (schema, columns, links) = self.condition(node, &left, &right, at)?;
        if node.null_aware {
            return Err(self.unsupported("a join that nobody passes when a value is missing"));
        }
        let weak = match node.join_type {
            JoinType::Inner => None,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => Some(Weak::Right),
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => Some(Weak::Left),
            JoinType::Full => {
                return Err(self.examples.refuse(
                    "FULL JOIN isn't covered by the release rules for people. Use UNION ALL of the two tables' rows, or \
                     a LEFT JOIN from the table that holds everybody.",
                    Instead::Link,
                ));
            }
            JoinType::LeftMark | JoinType::RightMark => return Err(self.unsupported("a mark join")),
        };
        let width = left.columns.len();
        let mut anchored = left.anchored.clone();
        let Some(weak) = weak else {
            anchored.extend(right.anchored);
            let joined = self.rebuilt(node, left.plan, right.plan)?;
            let mut people = People { plan: joined, columns, anchored };
            people.hold(&links);
            return Ok(Part::People(people));
        };
        let (strong_people, weak_people) = match weak {
            Weak::Right => (left.people, right.people),
            Weak::Left => (right.people, left.people),
        };
        let semi = !matches!(node.join_type, JoinType::Left | JoinType::Right);
        if !strong_people && semi {
            return Err(self.examples.refuse(
                "This selects rows of a table without people by what people have. Count the people per group instead.",
                Instead::Count,
            ));
        }
        if !strong_people {
            return Err(self.examples.refuse(
                "This keeps rows of a table without people that match nobody, which can't be counted as people. Count the \
                 people first, in a WITH, and join the table to the groups.",
                Instead::Count,
            ));
        }
        let mut columns = columns;
        if weak_people {
            self.weakly_linked(&schema, &mut columns, &links, width, weak)?;
        }
        let (left_columns, right_columns) = columns.split_at_mut(width);
        let (weak_columns, strong_columns) = match weak {
            Weak::Right => (right_columns, left_columns),
            Weak::Left => (left_columns, right_columns),
        };
        only_where_matched(weak_columns);
        let anchored = match weak {
            Weak::Right => left.anchored,
            Weak::Left => right.anchored,
        };
        let columns = if semi { strong_columns.to_vec() } else { columns };
        let plan = self.rebuilt(node, left.plan, right.plan)?;
        Ok(Part::People(People { plan, columns, anchored }))
    }

    /// Every person of the weak side must be, by the condition, a person of the other side.
    fn weakly_linked(
        &mut self,
        schema: &DFSchema,
        columns: &mut [PersonColumn],
        links: &[Link],
        width: usize,
        weak: Weak,
    ) -> Result<(), ReleaseRefusal> {
        let is_weak = |i: usize| (i < width) == (weak == Weak::Left);
        let who = |columns: &[PersonColumn], i: usize| match columns.get(i).map(|column| column.carries) {
            Some(Carries::Person { who, .. }) => Some(who),
            _ => None,
        };
        let pairs = links.iter().filter_map(|link| match link {
            Link::Own(a, b) => Some((*a, *b)),
            Link::Outer(_) => None,
        });
        // first what the condition says within the weak side, then across
        let (across, within): (Vec<_>, Vec<_>) =
            pairs.filter(|(a, b)| is_weak(*a) || is_weak(*b)).partition(|(a, b)| is_weak(*a) != is_weak(*b));
        let weak_range = |columns: &mut [PersonColumn], from: PersonId, to: PersonId| {
            let (left, right) = columns.split_at_mut(width);
            let side = if weak == Weak::Left { left } else { right };
            merge(side, &mut BTreeSet::new(), to, from);
        };
        for (a, b) in within {
            if let (Some(a), Some(b)) = (who(columns, a), who(columns, b)) {
                weak_range(columns, b, a);
            }
        }
        let mut linked: BTreeSet<PersonId> = BTreeSet::new();
        for (a, b) in across {
            let (weak, strong) = if is_weak(a) { (a, b) } else { (b, a) };
            if let (Some(from), Some(to)) = (who(columns, weak), who(columns, strong)) {
                weak_range(columns, from, to);
                linked.insert(to);
            }
        }
        let loose = columns
            .iter()
            .enumerate()
            .find(|(i, column)| {
                is_weak(*i) && matches!(column.carries, Carries::Person { who, .. } if !linked.contains(&who))
            })
            .map(|(i, _)| i);
        match loose {
            None => Ok(()),
            Some(loose) => {
                let other = (0..columns.len()).find(|i| !is_weak(*i) && who(columns, *i).is_some());
                Err(self.unlinked(schema, columns, other, Some(loose)))
            }
        }
    }

    fn join_cells(
        &mut self,
        node: &Join,
        left: Cells,
        right: Cells,
        outer: JoinType,
        at: At<'_>,
    ) -> Result<Part, ReleaseRefusal> {
        if node.join_type != JoinType::Inner && (node.join_type != outer || outer == JoinType::Inner) {
            return Err(self.examples.refuse(
                "A group that is missing after this join can be one of nobody or one that is not shown, and the two must \
                 not look alike. Use JOIN, or LEFT JOIN from the groups to a table without people.",
                Instead::Count,
            ));
        }
        let sides = (Side::of(Part::Cells(left.clone())), Side::of(Part::Cells(right.clone())));
        self.condition(node, &sides.0, &sides.1, at)?;
        let plan = self.rebuilt(node, left.plan.clone(), right.plan.clone())?;
        Ok(Part::Cells(left.joined(right, plan)))
    }

    fn rebuilt(&self, node: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan, ReleaseRefusal> {
        let joined = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            node.on.clone(),
            node.filter.clone(),
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        );
        self.built(joined).map(LogicalPlan::Join)
    }

    /// The one person that rows are about, or what to add to the statement.
    pub(super) fn one_person(&self, people: &People) -> Result<PersonId, ReleaseRefusal> {
        let mut everybody = people.persons().into_iter();
        match (everybody.next(), everybody.next()) {
            (Some(who), None) => Ok(who),
            (first, second) => {
                let carrier = |who: Option<PersonId>| who.and_then(|who| people.carrier(who));
                Err(self.unlinked(people.plan.schema(), &people.columns, carrier(first), carrier(second)))
            }
        }
    }

    fn unlinked(
        &self,
        schema: &DFSchema,
        columns: &[PersonColumn],
        a: Option<usize>,
        b: Option<usize>,
    ) -> ReleaseRefusal {
        let hidden = |i: Option<usize>| i.and_then(|i| columns.get(i)).is_none_or(|column| column.hidden);
        let reason = match (a, b) {
            (Some(a), Some(b)) if !hidden(Some(a)) && !hidden(Some(b)) => format!(
                "Tables of people must hang together by the person. Add to the join's condition: AND {} = {}",
                shown(schema, a),
                shown(schema, b)
            ),
            _ => "Tables of people must hang together by the person. Select the person column in every subquery, and join \
                  on it."
                .to_owned(),
        };
        self.examples.refuse(reason, Instead::Link)
    }

    /// How the statement calls this person.
    pub(super) fn name_of(&self, people: &People, who: PersonId) -> String {
        let visible = people.carrier(who).filter(|i| people.columns.get(*i).is_some_and(|column| !column.hidden));
        visible.map_or_else(|| "the person column".to_owned(), |i| shown(people.plan.schema(), i))
    }
}

fn shown(schema: &DFSchema, i: usize) -> String {
    let (qualifier, field) = schema.qualified_field(i);
    match qualifier {
        Some(table) => format!("{}.{}", crate::release::refusal::table_name(table), field.name()),
        None => field.name().clone(),
    }
}
