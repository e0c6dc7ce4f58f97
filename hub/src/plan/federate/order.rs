//! In which order parts of a statement are joined: the one that gives and moves least, by what spokes tell of their tables.
//!
//! A part that comes later is joined with what is there already; where that is smaller, its keys travel to the later one's
//! spoke and leave rows out there. So each order has a price: rows that joins give, and bytes that leave the spokes.

use super::estimate::{Estimate, together};

/// Bytes that a row of a join's result costs the hub.
const ROW: f64 = 16.0;
/// With more parts only the smallest is tried as the first.
const TRIED: usize = 12;

/// A pair of parts that must be equal in something.
pub(super) struct Edge {
    /// places of the two parts
    pub(super) parts: (usize, usize),
    /// different values on either side
    pub(super) values: (f64, f64),
    /// pairs of one class follow from one another
    pub(super) class: Option<usize>,
}

/// The cheapest order of parts; each but the first is connected to one before it. `None`: they don't all hang together.
pub(super) fn cheapest(parts: &[Estimate], edges: &[Edge]) -> Option<Vec<usize>> {
    let mut firsts: Vec<usize> = (0..parts.len()).collect();
    if parts.len() > TRIED {
        firsts.sort_by(|a, b| rows(parts, *a).total_cmp(&rows(parts, *b)));
        firsts.truncate(1);
    }
    let mut best: Option<(f64, Vec<usize>)> = None;
    for first in firsts {
        let (price, order) = from(first, parts, edges)?;
        // Equal prices: the statement's own order.
        if best.as_ref().is_none_or(|(least, _)| price < least * 0.999) {
            best = Some((price, order));
        }
    }
    best.map(|(_, order)| order)
}

fn rows(parts: &[Estimate], place: usize) -> f64 {
    parts.get(place).map_or(0.0, |part| part.rows)
}

/// Beginning with one part, always the one that costs least next.
fn from(first: usize, parts: &[Estimate], edges: &[Edge]) -> Option<(f64, Vec<usize>)> {
    let mut there = parts.get(first)?.rows;
    let mut price = parts.get(first)?.bytes();
    let mut order = vec![first];
    while order.len() < parts.len() {
        let mut next: Option<(f64, f64, usize)> = None;
        for (place, part) in parts.iter().enumerate().filter(|(place, _)| !order.contains(place)) {
            let found = edges.iter().filter_map(|edge| match edge.parts {
                (a, b) if b == place && order.contains(&a) => Some((edge.class, edge.values)),
                (a, b) if a == place && order.contains(&b) => Some((edge.class, (edge.values.1, edge.values.0))),
                _ => None,
            });
            let mut keys: Vec<(f64, f64)> = Vec::new();
            let mut classes: Vec<usize> = Vec::new();
            for (class, (known, coming)) in found {
                match class {
                    Some(class) if classes.contains(&class) => continue,
                    _ => classes.extend(class),
                }
                keys.push((known.min(there).max(1.0), coming.min(part.rows).max(1.0)));
            }
            if keys.is_empty() {
                continue;
            }
            let mut values: Vec<f64> = keys.iter().map(|(known, coming)| known.max(*coming)).collect();
            let given = (there * part.rows / together(&mut values)).max(1.0);
            // Its rows that the keys there find; all of them when it would be the build side.
            let found = keys.iter().map(|(known, coming)| (known / coming).min(1.0)).fold(1.0, f64::min);
            let moved = part.bytes() * if there <= part.rows { found } else { 1.0 };
            let costs = given * ROW + moved;
            if next.as_ref().is_none_or(|(least, ..)| costs < least * 0.999) {
                next = Some((costs, given, place));
            }
        }
        let (costs, given, place) = next?;
        price += costs;
        there = given;
        order.push(place);
    }
    Some((price, order))
}
