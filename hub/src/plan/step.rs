//! Which controllers a statement asks, and whether their keys are in step.
//!
//! INVARIANT: rows of two controllers meet only when both made their pseudonyms with one key; else nobody would match
//! anybody, and the answer would be wrong without looking so.

use super::{SpokeTable, checked::CheckedCells, national::NationalTable};
use crate::registry::TableOffer;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::source_as_provider,
    logical_expr::{LogicalPlan, TableScan},
};
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
    schema,
};
use std::{collections::BTreeSet, sync::Arc};

/// Refuses tables of people whose controllers name different keys.
pub(super) fn check(named: &[Arc<TableOffer>]) -> Result<(), Refusal> {
    let mut people = named
        .iter()
        .filter(|offer| offer.schema.fields().iter().any(|field| field.metadata().contains_key(schema::ROLE)));
    let Some(first) = people.next() else { return Ok(()) };
    let key = |offer: &TableOffer| (offer.terms.epoch, offer.terms.key_id.clone());
    match people.find(|offer| key(offer) != key(first)) {
        None => Ok(()),
        Some(other) => Err(Refusal::new(
            Kind::Unavailable,
            format!(
                "the keys of '{}' and '{}' are not in step yet; try again in a minute",
                first.controller, other.controller
            ),
        )),
    }
}

/// The epoch of the key under which the people of a plan's tables have their pseudonyms; 0 when there are no people. All
/// name the same one ([`check`]).
pub(super) fn epoch(plan: &LogicalPlan) -> u32 {
    let mut epoch = None;
    let offer = |scan: &TableScan| {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<SpokeTable>().map(|table| table.offer().terms.epoch);
        table
            .or_else(|| Some(provider.downcast_ref::<NationalTable>()?.members().find_map(|member| member.terms.epoch)))
    };
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            epoch = epoch.max(offer(scan).flatten());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    epoch.unwrap_or(0)
}

/// The controllers whose tables a plan reads, in subqueries too.
pub(super) fn controllers(plan: &LogicalPlan) -> BTreeSet<ControllerId> {
    let mut all = BTreeSet::new();
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            if let Some(table) = provider.downcast_ref::<SpokeTable>() {
                all.insert(table.offer().controller.clone());
            }
            if let Some(cells) = provider.downcast_ref::<CheckedCells>() {
                all.insert(cells.controller().clone());
            }
            if let Some(national) = provider.downcast_ref::<NationalTable>() {
                all.extend(national.members().map(|member| member.controller.clone()));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::registry::Terms;
    use arrow::datatypes::{DataType, Field, Schema};

    fn offer(controller: &str, epoch: u32, id: &str, people: bool) -> Arc<TableOffer> {
        let role = people.then(|| (schema::ROLE.to_owned(), schema::PERSON.to_owned()));
        let field = Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(role.into_iter().collect());
        Arc::new(TableOffer {
            controller: controller.parse().unwrap(),
            name: "bef".parse().unwrap(),
            schema: Arc::new(Schema::new(vec![field])),
            snapshot: 0,
            statistics: crate::registry::TableStatistics::default(),
            fingerprint: Vec::new(),
            parts: Vec::new(),
            disjoint: false,
            left_out: Vec::new(),
            terms: Arc::new(Terms { epoch: Some(epoch), key_id: id.to_owned(), ..Terms::default() }),
        })
    }

    #[test]
    fn tables_of_people_meet_only_under_one_key() {
        let (dst, sds) = (offer("dst", 2, "aa", true), offer("sds", 2, "aa", true));
        check(&[Arc::clone(&dst), sds]).unwrap();
        for other in [offer("sds", 1, "aa", true), offer("sds", 2, "bb", true)] {
            let refusal = check(&[Arc::clone(&dst), other]).unwrap_err();
            assert_eq!(refusal.kind, Kind::Unavailable);
            assert!(
                refusal.message.contains("'dst' and 'sds' are not in step yet; try again in a minute"),
                "{refusal}"
            );
        }
        // a list of codes has no people to match
        check(&[dst, offer("sds", 1, "bb", false)]).unwrap();
    }
}
