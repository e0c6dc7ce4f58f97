//! The rewriting of an aggregate over people: hidden counts, NULL for what may not be shown, one row for all small groups.
//!
//! INVARIANT: a statistic is shown only when at least [`policies::disclosure::THRESHOLD`] different people stand behind its group, and
//! nobody or as many behind the rows that it is made of (its FILTER, its values that are not NULL, not zero for a sum), and when
//! none of the rules on what people contribute or on everybody of a group hides it (`rule`).

use crate::release::{
    RESERVED,
    cells::{Cells, Flag, choose, flagged},
    explain::Note,
    fits::fitting,
    need::{Asked, Giving, Kind, Made, Need, Said, counts_people, deviation},
    people::{People, column_at},
    perturb::{self, Spread},
    raised::raised,
    refusal::{Instead, ReleaseRefusal},
    rule::{Boundaries, Looks, code_of_few},
    totals::{KEYS, rule_of_totals},
    walk::{Analysis, Part},
};
use datafusion::{
    common::{Column, DFSchema, ScalarValue, metadata::FieldMetadata},
    logical_expr::{
        Aggregate, Case, Expr, Filter, LogicalPlan, Operator, Projection, Union, Values, Window, binary_expr, lit,
    },
};
use policies::disclosure::{PERTURBED, SUPPRESSED};
use proto::plan::{
    contributions::{Tells, contributions},
    persons::persons,
};
use std::{collections::BTreeSet, sync::Arc};

/// What may hide a statistic beside the size of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Few(usize),
    Part(usize),
    Share(usize, usize),
    Sum(usize),
    /// with the place of the statistic, as the next
    Mean(usize, usize),
    Spread(usize, usize),
}

impl Cause {
    fn of(need: &Need, place: usize) -> Option<Self> {
        match (need.made, need.kind) {
            // the group itself
            (Made::Counted { adding: 0, .. }, _) => None,
            (Made::Counted { adding, part: true, .. }, _) => Some(Self::Part(adding)),
            (Made::Counted { adding, part: false, .. }, _) => Some(Self::Few(adding)),
            (Made::Share { adding, all, .. }, _) => Some(Self::Share(adding, all)),
            (Made::Contributed(giving), Kind::Mean) => Some(Self::Mean(giving, place)),
            (Made::Contributed(giving), Kind::Spread) => Some(Self::Spread(giving, place)),
            (Made::Contributed(giving), Kind::Sum | Kind::Count) => Some(Self::Sum(giving)),
        }
    }
}

/// Names of the columns that say of a cell what the rules ask.
struct Hidden {
    /// summaries of people, for each condition: of its own, or as what they contribute says it
    people: Vec<(Said, String)>,
    /// what they contribute
    contributions: Vec<String>,
    boundaries: Boundaries,
}

impl Hidden {
    fn looks(&self, looks: Looks, args: Vec<Expr>) -> Expr {
        looks.at(args, self.boundaries)
    }

    fn people(&self, condition: usize) -> Expr {
        match self.people.get(condition) {
            None => lit(ScalarValue::Binary(None)),
            Some((Said::Alone, name)) => hidden_column(name),
            Some((Said::Having(giving), _)) => self.looks(Looks::All, vec![self.contributions(*giving)]),
            Some((Said::Adding(giving), _)) => self.looks(Looks::Adding, vec![self.contributions(*giving)]),
        }
    }

    fn contributions(&self, giving: usize) -> Expr {
        self.contributions.get(giving).map_or_else(|| lit(ScalarValue::Binary(None)), hidden_column)
    }

    /// Those who add something to a statistic, and those whom it is about.
    fn made_of(&self, made: Made) -> (Expr, Expr) {
        match made {
            Made::Counted { adding, .. } => (self.people(adding), self.people(adding)),
            Made::Share { adding, all, .. } => (self.people(adding), self.people(all)),
            Made::Contributed(giving) => {
                let said = self.contributions(giving);
                (self.looks(Looks::Adding, vec![said.clone()]), self.looks(Looks::All, vec![said]))
            }
        }
    }

    /// Of whom they are a part, when who is left over must not be few either.
    fn beside(&self, made: Made) -> Option<Expr> {
        match made {
            Made::Counted { part: true, .. } => Some(self.people(0)),
            Made::Share { all, .. } => Some(self.people(all)),
            Made::Counted { part: false, .. } | Made::Contributed(_) => None,
        }
    }

    /// The number of the rule that hides a statistic; `value`: the statistic, or of a mean how far its values are apart; `squared`: it is
    /// a variance.
    fn rule(&self, cause: Cause, value: Expr, squared: bool) -> Expr {
        match cause {
            Cause::Few(adding) => self.looks(Looks::Few, vec![self.people(adding)]),
            Cause::Part(adding) => self.looks(Looks::Part, vec![self.people(adding), self.people(0)]),
            Cause::Share(adding, all) => self.looks(Looks::Share, vec![self.people(adding), self.people(all)]),
            Cause::Sum(giving) => self.looks(Looks::Sum, vec![self.contributions(giving)]),
            Cause::Mean(giving, _) | Cause::Spread(giving, _) => {
                let looks = if squared { Looks::Variance } else { Looks::Deviation };
                self.looks(looks, vec![self.contributions(giving), value])
            }
        }
    }
}

impl Analysis<'_> {
    /// Aggregate with hidden counts, then a projection that shows only what may be shown, then one row for all the rest,
    /// if there is any or not.
    pub(super) fn suppressed(&mut self, people: &People, person: Expr, groups: Groups) -> Result<Part, ReleaseRefusal> {
        let Groups { keys, statistics, asked: Asked { conditions, said, givings, needs } } = groups;
        let input = Arc::new(people.plan.clone());
        let hidden = Hidden {
            people: said.into_iter().map(|said| (said, self.hidden("people"))).collect(),
            contributions: givings.iter().map(|_| self.hidden("contributions")).collect(),
            boundaries: if self.noise.is_some() { Boundaries::ByLot } else { Boundaries::Exact },
        };
        let mut measures = Vec::with_capacity(statistics.len() + conditions.len() + givings.len());
        // count(DISTINCT person) is what the hidden counts say anyway
        let is_people: Vec<bool> = statistics.iter().map(|statistic| counts_people(statistic, people)).collect();
        measures.extend(statistics.iter().zip(&is_people).filter(|(_, same)| !**same).map(|(s, _)| s.clone()));
        for (condition, (said, name)) in conditions.iter().zip(&hidden.people) {
            if *said == Said::Alone {
                measures.push(persons(person.clone(), condition.clone()).alias(name));
            }
        }
        for (Giving { value, filter, tells }, name) in givings.into_iter().zip(&hidden.contributions) {
            // Tests of the other rules remember nothing.
            let tells = if self.noise.is_some() { tells } else { Tells::Sum };
            measures.push(contributions(tells, person.clone(), value, filter).alias(name));
        }
        // how far a mean is moved depends on how far its values are apart
        let deviations: Vec<Option<String>> = statistics
            .iter()
            .zip(&needs)
            .map(|(statistic, need)| {
                let spread = (need.kind == Kind::Mean).then(|| deviation(statistic))??;
                let name = self.hidden("deviation");
                measures.push(spread.alias(&name));
                Some(name)
            })
            .collect();
        // names and types of the columns as the rest of the statement knows them
        let shape = if statistics.is_empty() {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), vec![persons(person, None)])
        } else {
            Aggregate::try_new(Arc::clone(&input), keys.clone(), statistics.clone())
        };
        let shape = self.built(shape)?.schema;
        let grouped = !keys.is_empty();
        let key_count = shape.fields().len() - statistics.len().max(1);
        let sets = matches!(keys.as_slice(), [Expr::GroupingSet(_)]);
        let aggregated = Aggregate::try_new(input, keys, measures);
        let aggregated = self.built(aggregated)?;
        let cell_schema = Arc::clone(&aggregated.schema);
        let mut cells = LogicalPlan::Aggregate(aggregated);

        let few_in_group = hidden.looks(Looks::Few, vec![hidden.people(0)]);
        let few_in_group = raised(self.least, few_in_group, hidden.people(0), None);
        // of sums that stand beside their totals, what hides one for the others' sake; counts have noise of their own
        let mut totals: Vec<Option<Expr>> = Vec::new();
        let sums: Vec<bool> = (0..hidden.contributions.len())
            .map(|giving| needs.iter().any(|need| need.made == Made::Contributed(giving)))
            .collect();
        if sets && sums.contains(&true) {
            let names: Vec<String> = hidden.contributions.iter().map(|_| self.hidden("totals")).collect();
            totals.extend(names.iter().zip(&sums).map(|(name, sum)| sum.then(|| hidden_column(name))));
            let Some(keys) = key_count.checked_sub(1).filter(|keys| *keys <= KEYS) else {
                return Err(self.too_many_keys());
            };
            let rules = names.iter().enumerate().filter(|(giving, _)| sums.get(*giving) == Some(&true));
            let rules = rules.map(|(giving, name)| {
                let own = hidden.looks(Looks::Sum, vec![hidden.contributions(giving)]);
                let own = choose(flagged(few_in_group.clone()), few_in_group.clone(), own);
                let keys = (0..keys).map(|i| column_at(&cell_schema, i)).collect();
                rule_of_totals(column_at(&cell_schema, key_count - 1), keys, hidden.contributions(giving), own)
                    .alias(name)
            });
            let windowed = Window::try_new(rules.collect(), Arc::new(cells));
            cells = LogicalPlan::Window(self.built(windowed)?);
            self.notes.push(Note::new("sums beside their totals", COMPLEMENT, TOTALS));
        }
        let row = Flag(self.fresh());
        let mut flags: Vec<(Option<Cause>, Flag, Expr)> = vec![(None, row, few_in_group.clone())];
        let mut own: Vec<Option<Flag>> = Vec::with_capacity(needs.len());
        for (place, need) in needs.iter().enumerate() {
            let Some(cause) = Cause::of(need, place) else {
                own.push(None);
                continue;
            };
            if let Some((_, flag, _)) = flags.iter().find(|(known, ..)| *known == Some(cause)) {
                own.push(Some(*flag));
                continue;
            }
            let flag = Flag(self.fresh());
            let value = match deviations.get(place).and_then(Option::as_ref) {
                Some(deviation) => hidden_column(deviation),
                None if need.kind == Kind::Mean => return Err(self.unsupported("a mean in this form")),
                None => column_at(&shape, key_count + place),
            };
            let mut rule = hidden.rule(cause, value, need.squared);
            let (adding, all) = hidden.made_of(need.made);
            rule = raised(self.least, rule, all, None);
            rule = raised(self.least, rule, adding, hidden.beside(need.made));
            if let (Made::Contributed(giving), false) = (need.made, totals.is_empty()) {
                let Some(beside) = totals.get(giving).and_then(Option::as_ref) else {
                    return Err(self.unsupported("totals of this statistic"));
                };
                rule = choose(flagged(beside.clone()), beside.clone(), rule);
            }
            // inside the folded row all flags are alike, or it would not fold
            let rule = choose(flagged(few_in_group.clone()), lit(0_u8), rule);
            flags.push((Some(cause), flag, rule));
            own.push(Some(flag));
        }
        let flag_expr = |flag: &Flag| flags.iter().find(|(_, known, _)| known == flag).map(|(.., rule)| rule.clone());

        let mut exprs = Vec::new();
        let mut columns: Vec<BTreeSet<Flag>> = Vec::new();
        for i in 0..key_count + statistics.len() {
            let (qualifier, field) = shape.qualified_field(i);
            let mut when = BTreeSet::from([row]);
            let shown = match i.checked_sub(key_count) {
                None => column_at(&cell_schema, i),
                Some(place) => {
                    let Some(need) = needs.get(place) else {
                        return Err(self.unsupported("an aggregate without people"));
                    };
                    when.extend(own.get(place).copied().flatten());
                    let (adding, all) = hidden.made_of(need.made);
                    if is_people.get(place).copied().unwrap_or_default() {
                        or_zero(match &self.noise {
                            Some(noise) => noise.people(adding),
                            None => perturb::people(adding),
                        })
                    } else {
                        let exact = column_at(&shape, i);
                        let deviation = deviations.get(place).and_then(Option::as_ref).map(hidden_column);
                        let said = match need.made {
                            Made::Contributed(giving) | Made::Share { giving, .. } => hidden.contributions(giving),
                            Made::Counted { rows: Some(giving), .. } => hidden.contributions(giving),
                            Made::Counted { rows: None, .. } => lit(ScalarValue::Binary(None)),
                        };
                        let share = matches!(need.made, Made::Share { .. });
                        let counted = matches!(need.made, Made::Counted { .. });
                        let spread = Spread { squared: need.squared, sample: need.sample };
                        match (&self.noise, need.kind, deviation) {
                            (None, ..) => exact,
                            (Some(noise), Kind::Mean, Some(deviation)) => {
                                noise.mean(exact, (adding, all), deviation, said, share)
                            }
                            (Some(noise), Kind::Spread, _) if share => {
                                noise.spread_of_share(exact, (adding, all), said, spread)
                            }
                            (Some(noise), Kind::Spread, _) => noise.spread(exact, all, said, spread),
                            (Some(noise), Kind::Count | Kind::Sum, _) if counted => noise.counted(exact, adding, said),
                            (Some(noise), Kind::Count | Kind::Sum, _) => {
                                fitting(noise.sum(exact, adding, said.clone()), said)
                            }
                            (Some(_), Kind::Mean, None) => {
                                return Err(self.unsupported("a mean without a spread"));
                            }
                        }
                    }
                }
            };
            let hide = when.iter().filter_map(flag_expr).map(flagged).reduce(|a, b| binary_expr(a, Operator::Or, b));
            let mut shown = unless(hide, shown);
            // What the project is shown counts; hidden statistics of a group that is shown do, too.
            if let Some(noise) = self.noise.as_ref().filter(|_| i >= key_count || (i == 0 && statistics.is_empty())) {
                shown = noise.charged(shown, hidden.people(0), i);
                if grouped {
                    shown = unless(Some(flagged(few_in_group.clone())), shown);
                }
            }
            exprs.push(shown.alias_qualified(qualifier.cloned(), field.name()));
            columns.push(when);
        }
        let all: Vec<Flag> = flags.iter().map(|(_, flag, _)| *flag).collect();
        for (_, flag, rule) in flags {
            exprs.push(rule.alias(flag.name()));
        }
        let projected = Projection::try_new(exprs, Arc::new(cells));
        let mut plan = LogicalPlan::Projection(self.built(projected)?);
        if grouped {
            plan = self.folded(plan, key_count + statistics.len(), statistics.len(), row)?;
            let keys: Vec<&str> = shape.fields().iter().take(key_count).map(|field| field.name().as_str()).collect();
            self.notes.push(Note::new(keys.join(", "), SUPPRESSED, FOLDED));
        }
        for (place, (need, is_people)) in needs.iter().zip(&is_people).enumerate() {
            let name = shape.fields().get(key_count + place).map_or("", |field| field.name());
            self.notes.extend(told(name, need, *is_people));
        }
        let cells = Cells::new(plan, key_count + statistics.len(), &columns, &all, row);
        Ok(Part::Cells(if self.noise.is_some() && !statistics.is_empty() {
            cells.with_noise(key_count)
        } else {
            cells
        }))
    }
}

impl Analysis<'_> {
    /// The rows of `groups` and the one that stands for all small groups, which is there whether there are any or not: else a result
    /// without it would say that all people are in the groups that it shows.
    fn folded(
        &self,
        groups: LogicalPlan,
        shown: usize,
        statistics: usize,
        row: Flag,
    ) -> Result<LogicalPlan, ReleaseRefusal> {
        let schema = Arc::clone(groups.schema());
        let mut small = Vec::with_capacity(schema.fields().len());
        let mut fields = Vec::with_capacity(schema.fields().len());
        let mut cells = Vec::with_capacity(schema.fields().len());
        for (i, field) in schema.fields().iter().enumerate() {
            // a union loses what tables columns are of, and what isn't known of all its parts
            let name = format!("{RESERVED}cell_{i}");
            let known = FieldMetadata::from(field.metadata().clone());
            cells.push(column_at(&schema, i).alias_with_metadata(&name, Some(known)));
            fields.push((None, Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))));
            small.push(lit(match i < shown {
                true => self.built(ScalarValue::try_from(field.data_type()))?,
                false if *field.name() == row.name() => {
                    let code = code_of_few(self.least.least());
                    small.push(self.noise.as_ref().map_or(lit(code), |noise| noise.charged_once(code, statistics)));
                    continue;
                }
                false => ScalarValue::UInt8(Some(0)),
            }));
        }
        let of_small = self.built(DFSchema::new_with_metadata(fields, schema.metadata().clone()))?;
        let small = LogicalPlan::Values(Values { schema: Arc::new(of_small), values: vec![small] });
        let large = binary_expr(Expr::Column(Column::new_unqualified(row.name())), Operator::Eq, lit(0_u8));
        let groups = LogicalPlan::Filter(self.built(Filter::try_new(large, Arc::new(groups)))?);
        let groups = LogicalPlan::Projection(self.built(Projection::try_new(cells, Arc::new(groups)))?);
        let united = self.built(Union::try_new(vec![Arc::new(groups), Arc::new(small)]))?;
        let rows = LogicalPlan::Union(united);
        let columns = schema.iter().enumerate().map(|(i, (qualifier, field))| {
            column_at(rows.schema(), i).alias_qualified(qualifier.cloned(), field.name())
        });
        let projected = Projection::try_new(columns.collect(), Arc::new(rows.clone()));
        self.built(projected).map(LogicalPlan::Projection)
    }

    fn too_many_keys(&self) -> ReleaseRefusal {
        let reason = format!(
            "Sums and means beside their totals are checked against each other, which works for up to {KEYS} keys in GROUPING \
             SETS, ROLLUP and CUBE. Use fewer keys, counts only, or one level at a time."
        );
        self.examples.refuse(reason, Instead::Count)
    }
}

const COMPLEMENT: &str = "suppressed: would tell a hidden cell";
const TOTALS: &str =
    "So many more are hidden that a hidden one stays open over a fifth of its value. Counts have noise instead.";

const FOLDED: &str = "Groups of one to four people, and by lot of five to seven, come as one row together, without keys and numbers. It is there if there are none, too.";

/// What a statistic will look like, and what hides it.
fn told(name: &str, need: &Need, is_people: bool) -> Vec<Note> {
    let shown = match need.kind {
        _ if is_people => {
            "People, off by up to 5, by 1.4 on average. Who differ by fewer than 10 people from those of an earlier answer are shown as it was."
        }
        Kind::Count | Kind::Sum if need.counts() => {
            "Times shown people over people; one row a person: the number of people. Of unequal numbers of rows: off by up to 7 people's besides, each with the most rows that count."
        }
        Kind::Count | Kind::Sum => {
            "Off by up to 7 times the most that counts of one person, and rounded to a tenth of it."
        }
        Kind::Mean => {
            "Off by up to 7 times what one person at a limit moves it by, and rounded. Of zeros and ones: one shown count over the other."
        }
        Kind::Spread => {
            "Off by up to 7 times what one person at a limit moves it by, and rounded. Of zeros and ones: that of the shown share."
        }
    };
    let mut notes = Vec::new();
    let few = match need.made {
        Made::Counted { adding: 0, .. } => "Hidden where 0 to 4 people are behind it, by lot up to 7.",
        _ => {
            "Hidden where 0 to 4 people, by lot up to 7, add something to it: who pass its FILTER and have a value, not zero for a sum or mean."
        }
    };
    notes.push(Note::new(name, PERTURBED, format!("{shown} {few}")));
    match need.made {
        Made::Counted { adding: 0, .. } | Made::Counted { part: false, .. } => {}
        Made::Counted { .. } => notes.push(Note::new(name, GROUP, PART)),
        Made::Share { .. } => notes.push(Note::new(name, GROUP, SHARE)),
        Made::Contributed(_) => {
            notes.push(Note::new(name, PERTURBED, NEARLY));
            notes.push(Note::new(name, CONTRIBUTORS, GIVERS));
            notes.push(Note::new(name, DOMINATED, LARGEST));
            if need.kind != Kind::Sum {
                notes.push(Note::new(name, GROUP, ALIKE));
            }
        }
    }
    notes
}

const NEARLY: &str = "To which all but 9 people or fewer add the same as to an earlier one is shown as that was.";
const CONTRIBUTORS: &str = "suppressed: fewer than 10 contributors";
const GIVERS: &str = "Contributors are people whose value isn't zero; 10 to 12 of them are enough by lot.";
const DOMINATED: &str = "suppressed: dominated by two people";
const LARGEST: &str =
    "The two largest contributions are 90 % or more; one person's is the sum of their values, without its sign.";
const GROUP: &str = "suppressed: everybody or nobody in the group";
const PART: &str = "Of all people of the group, or all but 1 to 4, by lot up to 7.";
const SHARE: &str = "Fewer than 5 have a one, or fewer than 5 have none; by lot up to 7.";
const ALIKE: &str = "The values don't differ.";

/// What becomes cells.
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    pub(super) statistics: Vec<Expr>,
    /// what the rules ask of each cell
    pub(super) asked: Asked,
}

fn hidden_column(name: &String) -> Expr {
    Expr::Column(Column::new_unqualified(name))
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

pub(super) fn or_zero(count: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(Expr::IsNull(Box::new(count.clone()))), Box::new(lit(0_i64)))],
        else_expr: Some(Box::new(count)),
    })
}
