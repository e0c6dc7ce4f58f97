//! Small registers, and an oracle: the same question asked in plain SQL with the counts of people written out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attacks;
mod checked;
mod contributions;
mod engine;
mod noise;
mod persons;
mod property;
mod ranges;
mod recipes;
mod refusals;
mod remembered;
mod resolution;
mod shapes;
mod status;
mod totals;

use super::{ReleaseRefusal, SchemaRoles, TABLE_ROLE, open, range_functions, ranged};
use arrow::{
    array::{ArrayRef, Date32Array, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    dataframe::DataFrame,
    datasource::MemTable,
    logical_expr::LogicalPlan,
    prelude::{SessionConfig, SessionContext},
};
use policies::{
    disclosure::{RELEASED, SUPPRESSED},
    zone::Zone,
};
use std::{collections::HashMap, sync::Arc};

/// Rows as text, in the order of the result.
pub(super) type Rows = Vec<Vec<String>>;

/// A pseudonym: person numbers of the tests are small integers, 0 is a missing one.
pub(super) fn pseudonyms(people: &[u32]) -> ArrayRef {
    let values = people.iter().map(|person| {
        (*person != 0).then(|| {
            let mut bytes = [0_u8; 16];
            bytes[..4].copy_from_slice(&person.to_le_bytes());
            bytes[12..].copy_from_slice(&person.wrapping_mul(0x9e37_79b9).to_le_bytes());
            bytes
        })
    });
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).unwrap())
}

pub(super) fn role(name: &str, role: &str) -> Field {
    let metadata = HashMap::from([("eger.role".to_owned(), role.to_owned())]);
    Field::new(name, DataType::FixedSizeBinary(16), true).with_metadata(metadata)
}

pub(super) fn register(ctx: &SessionContext, name: &str, fields: Vec<Field>, columns: Vec<ArrayRef>, reference: bool) {
    let metadata =
        if reference { HashMap::from([(TABLE_ROLE.to_owned(), "reference".to_owned())]) } else { HashMap::new() };
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    // two partitions, so that partial counts are merged
    let half = batch.num_rows() / 2;
    let parts = vec![vec![batch.slice(0, half)], vec![batch.slice(half, batch.num_rows() - half)]];
    let table = MemTable::try_new(schema, parts).unwrap();
    ctx.register_table(name, Arc::new(table)).unwrap();
}

/// The person that the attacks are after: alone in municipality 104, with this income. All values here are ones that the open zone
/// computes with as they are.
pub(super) const TARGET_INCOME: f64 = 988_000.0;

/// Population `bef` (municipality 101: 12 people, 102: 5, 103: 4, 104: the target, 105: rows without a person number,
/// 106: 7 people of whom 3 have an income, unknown: 3), laboratory `lab`, contacts `kontakt` with diagnoses `diag`,
/// and the reference table `kommuner`.
pub(super) fn registers() -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    range_functions().iter().for_each(|function| ctx.register_udaf(function.as_ref().clone()));
    let groups: [(Option<i32>, u32); 7] =
        [(Some(101), 12), (Some(102), 5), (Some(103), 4), (Some(104), 1), (Some(105), 6), (Some(106), 7), (None, 3)];
    let (mut people, mut kom, mut koen, mut income, mut born) = (vec![], vec![], vec![], vec![], vec![]);
    let mut next = 1;
    for (municipality, size) in groups {
        for i in 0..size {
            people.push(if municipality == Some(105) { 0 } else { next });
            kom.push(municipality);
            koen.push(Some(i32::try_from(i % 2).unwrap() + 1));
            income.push(match municipality {
                Some(104) => Some(TARGET_INCOME),
                Some(106) if i >= 3 => None,
                _ => Some(f64::from(next) * 1000.0),
            });
            born.push(i32::try_from(next % 5).unwrap() * 3650);
            next += 1;
        }
    }
    register(
        &ctx,
        "bef",
        vec![
            role("pnr", "person"),
            Field::new("kom", DataType::Int32, true),
            Field::new("koen", DataType::Int32, true),
            Field::new("indkomst", DataType::Float64, true),
            Field::new("foed_dag", DataType::Date32, false),
        ],
        vec![
            pseudonyms(&people),
            Arc::new(Int32Array::from(kom)),
            Arc::new(Int32Array::from(koen)),
            Arc::new(Float64Array::from(income)),
            Arc::new(Date32Array::from(born)),
        ],
        false,
    );
    // laboratory: persons 1..=30, i % 4 samples each; code B only for few
    let (mut who, mut code, mut value, mut day) = (vec![], vec![], vec![], vec![]);
    for person in 1..=30_u32 {
        for sample in 0..person % 4 {
            who.push(person);
            code.push(if person % 11 == 1 {
                "B"
            } else if sample == 2 {
                "C"
            } else {
                "A"
            });
            value.push((person % 7 != 0).then(|| f64::from(person * 10 + sample)));
            day.push(i32::try_from(person * 3 + sample).unwrap());
        }
    }
    register(
        &ctx,
        "lab",
        vec![
            role("pnr", "person"),
            Field::new("kode", DataType::Utf8, false),
            Field::new("vaerdi", DataType::Float64, true),
            Field::new("dato", DataType::Date32, false),
        ],
        vec![
            pseudonyms(&who),
            Arc::new(StringArray::from(code)),
            Arc::new(Float64Array::from(value)),
            Arc::new(Date32Array::from(day)),
        ],
        false,
    );
    let contacts: Vec<u32> = (1..=24).collect();
    let of: Vec<u32> = contacts.iter().map(|contact| contact % 16 + 1).collect();
    let ward: Vec<&str> = contacts.iter().map(|contact| if contact % 3 == 0 { "X" } else { "Y" }).collect();
    let icd: Vec<&str> = contacts.iter().map(|contact| if contact % 2 == 0 { "DE11" } else { "DI10" }).collect();
    register(
        &ctx,
        "kontakt",
        vec![role("pnr", "person"), role("kontakt_id", "key"), Field::new("afd", DataType::Utf8, false)],
        vec![pseudonyms(&of), pseudonyms(&contacts), Arc::new(StringArray::from(ward))],
        false,
    );
    register(
        &ctx,
        "diag",
        vec![role("pnr", "person"), role("kontakt_id", "key"), Field::new("kode", DataType::Utf8, false)],
        vec![pseudonyms(&of), pseudonyms(&contacts), Arc::new(StringArray::from(icd))],
        false,
    );
    register(
        &ctx,
        "kommuner",
        vec![Field::new("kom", DataType::Int32, false), Field::new("navn", DataType::Utf8, false)],
        vec![
            Arc::new(Int32Array::from(vec![101, 102, 103, 104, 106, 999])),
            Arc::new(StringArray::from(vec!["By", "Ø", "Vig", "Holm", "Næs", "Tom"])),
        ],
        true,
    );
    // people, but the grant left their column out; and a table with two people in a row
    register(
        &ctx,
        "uden",
        vec![Field::new("atc", DataType::Utf8, false)],
        vec![Arc::new(StringArray::from(vec!["A10", "B01"]))],
        false,
    );
    register(
        &ctx,
        "foraeldre",
        vec![role("barn", "person"), role("mor", "person")],
        vec![pseudonyms(&[1, 2]), pseudonyms(&[3, 4])],
        false,
    );
    ctx
}

/// The analysed plan of a statement.
pub(super) async fn planned(ctx: &SessionContext, sql: &str) -> LogicalPlan {
    let state = ctx.state();
    let plan = state.create_logical_plan(sql).await.unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let options = state.config_options();
    state.analyzer().execute_and_check(plan, options, |_, _| {}).unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

pub(super) async fn collect(ctx: &SessionContext, plan: LogicalPlan) -> (Vec<String>, Rows) {
    let schema = Arc::clone(plan.schema());
    let frame = DataFrame::new(ctx.state(), plan);
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{e}"));
    for batch in &batches {
        assert!(
            schema.as_arrow().fields().iter().zip(batch.schema().fields()).all(|(announced, sent)| {
                announced.name() == sent.name()
                    && announced.data_type() == sent.data_type()
                    && (announced.is_nullable() || !sent.is_nullable())
            }),
            "announced {:?}, sent {:?}",
            schema.as_arrow(),
            batch.schema()
        );
    }
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    (names, rows)
}

/// Without release.
pub(super) async fn plain(ctx: &SessionContext, sql: &str) -> Rows {
    let plan = planned(ctx, sql).await;
    collect(ctx, plan).await.1
}

/// By all rules but noise, whose answers an oracle can tell.
pub(super) async fn released(ctx: &SessionContext, sql: &str) -> Result<(Vec<String>, Rows), ReleaseRefusal> {
    let plan = ranged(planned(ctx, sql).await, Zone::Open, &SchemaRoles)?;
    Ok(collect(ctx, open(plan, &SchemaRoles, None)?).await)
}

/// What the open zone answers, as text rows.
pub(super) async fn answer(ctx: &SessionContext, sql: &str) -> Rows {
    released(ctx, sql).await.unwrap_or_else(|refusal| panic!("{sql}\n{refusal}")).1
}

/// The refusal, after trying out that its example works.
pub(super) async fn refusal(sql: &str) -> String {
    let ctx = registers();
    let refusal = match released(&ctx, sql).await {
        Ok((_, rows)) => panic!("answered: {sql}\n{rows:?}"),
        Err(refusal) => refusal,
    };
    if !refusal.example.contains("controller.table_of_people") {
        answer(&ctx, &refusal.example).await;
    }
    refusal.to_string()
}

/// What should be released: the rows of `oracle`, folded and hidden according to its last columns. `people_`: the number of
/// people of the row. Of a statistic: `people_NAME`, who are behind it; `part_NAME`, who of the row's people are; `share_NAME`, who have a
/// one; `givers_NAME`, who add something to it, none of whom stands out; `rule_NAME`: the rule that hides it. -1: no rows at all.
///
/// `grouped`: whether a row for small groups is there in any case.
pub(super) fn expected(names: &[String], oracle: Rows, grouped: bool) -> Rows {
    let kinds = ["people_", "part_", "share_", "givers_", "rule_"];
    let shown: Vec<usize> =
        (0..names.len()).filter(|i| !kinds.iter().any(|kind| names[*i].starts_with(kind))).collect();
    let row_count = names.iter().position(|name| name == "people_").expect("oracle counts people");
    let mut rows = Rows::new();
    let mut folded = grouped;
    for row in oracle {
        let count = |i: usize| row[i].parse::<i64>().unwrap();
        if count(row_count) < 5 {
            folded = true;
            continue;
        }
        let mut hidden: Vec<(String, Vec<String>)> = Vec::new();
        let mut out: Vec<String> = Vec::new();
        for i in &shown {
            let of = |kind: &str| names.iter().position(|name| *name == format!("{kind}{}", names[*i]));
            let few = |kind: &str, least: i64| of(kind).is_some_and(|own| count(own) < least);
            let all_but = |kind: &str| of(kind).is_some_and(|own| count(own) >= 0 && count(row_count) - count(own) < 5);
            let told = of("rule_").map(|own| row[own].clone()).filter(|rule| rule != "NULL");
            let rule = if few("people_", 5) || few("part_", 5) || few("givers_", 5) {
                Some("fewer than 5 people".to_owned())
            } else if few("givers_", 10) {
                Some("fewer than 10 contributors".to_owned())
            } else if all_but("part_") || all_but("share_") || of("share_").is_some_and(|own| count(own) < 5) {
                Some("everybody or nobody in the group".to_owned())
            } else {
                told
            };
            out.push(if rule.is_some() { "NULL".to_owned() } else { row[*i].clone() });
            if let Some(rule) = rule {
                match hidden.iter_mut().find(|(known, _)| *known == rule) {
                    Some((_, columns)) => columns.push(names[*i].clone()),
                    None => hidden.push((rule, vec![names[*i].clone()])),
                }
            }
        }
        out.push(match hidden.as_slice() {
            [] => RELEASED.to_owned(),
            [(rule, columns)] if columns.len() == shown.len() => format!("suppressed: {rule}"),
            hidden => {
                let words =
                    hidden.iter().map(|(rule, columns)| format!("suppressed: {rule} in {}", columns.join(", ")));
                words.collect::<Vec<_>>().join("; ")
            }
        });
        rows.push(out);
    }
    if folded {
        let mut row = vec!["NULL".to_owned(); shown.len()];
        row.push(SUPPRESSED.to_owned());
        rows.push(row);
    }
    rows.sort();
    rows
}

/// Whether a statement's rows are groups, with nothing in between that could lose one.
fn shows_groups(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
        LogicalPlan::Distinct(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Window(_) => {
            plan.inputs().into_iter().all(shows_groups)
        }
        LogicalPlan::Union(_) => plan.inputs().into_iter().any(shows_groups),
        LogicalPlan::Join(join) if join.on.is_empty() && join.filter.is_none() => {
            plan.inputs().into_iter().any(shows_groups)
        }
        _ => false,
    }
}

/// Compares the released answer with the oracle, cell by cell. `people` and the like are added to the oracle's columns:
/// `-1` stands for a group without rows.
pub(super) async fn same(ctx: &SessionContext, sql: &str, oracle: &str) -> Rows {
    let (_, mut rows) = released(ctx, sql).await.unwrap_or_else(|refusal| panic!("{sql}\n{refusal}"));
    rows.sort();
    let plan = planned(ctx, oracle).await;
    let (names, truth) = collect(ctx, plan).await;
    let grouped = shows_groups(&planned(ctx, sql).await);
    assert_eq!(summed(&rows), summed(&expected(&names, truth, grouped)), "{sql}");
    rows
}

/// The same rows in which the last digits, which depend on the order of adding up, are left out.
fn summed(rows: &Rows) -> Rows {
    let cell = |cell: &String| match cell.parse::<f64>() {
        Ok(number) if cell.contains('.') => format!("{number:.11e}"),
        _ => cell.clone(),
    };
    let mut rows: Rows = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    rows.sort();
    rows
}
