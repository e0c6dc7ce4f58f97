//! Sums beside their totals (ROLLUP, CUBE, GROUPING SETS): which more of them are hidden so that a hidden one can't be computed.
//!
//! It looks at all rows of the result at once, as a window function above the aggregate. Counts need none of it: each is shown with noise
//! of its own, and a total less its parts is off by more than what is hidden. A hidden sum can be one person's who has
//! more than the noise of many others.
//!
//! INVARIANT: fails closed. A table that can't be looked at is withheld.

use super::rule::code;
use arrow::{
    array::{Array, ArrayRef, AsArray, UInt8Array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, UInt8Type, UInt64Type},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{Result, exec_datafusion_err, exec_err},
    logical_expr::{
        Expr, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF, WindowUDFImpl,
        expr::WindowFunction,
        function::{PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
};
use policies::disclosure::{
    Rule,
    complementary::{DIMENSIONS, Entry, Known, Protection, Table, protect},
};
use proto::plan::contributions::Contributions;
use std::{collections::HashMap, sync::Arc};

/// Keys that a statement with totals may have.
pub(super) const KEYS: usize = DIMENSIONS;

/// The largest sum of a table is that many.
const SCALE: f64 = 1e9;
/// Boxes of cells that are looked at for one table; each takes about a microsecond.
const BOXES: usize = 4_000_000;
/// As the library tries them for each key.
const TRIED: usize = 40;

/// `rule_of_totals(id, keys .., contributions, rule) OVER ()`: 0, or the number of the rule that hides a sum because of others.
/// `id`: the engine's own column that tells grouping sets apart; `rule`: what hides the sum by itself.
pub(super) fn rule_of_totals(id: Expr, keys: Vec<Expr>, contributions: Expr, rule: Expr) -> Expr {
    let args: Vec<Expr> = std::iter::once(id).chain(keys).chain([contributions, rule]).collect();
    let function = WindowUDF::new_from_impl(Totals { signature: Signature::any(args.len(), Volatility::Immutable) });
    Expr::from(WindowFunction::new(WindowFunctionDefinition::WindowUDF(Arc::new(function)), args))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Totals {
    signature: Signature,
}

impl WindowUDFImpl for Totals {
    fn name(&self) -> &str {
        "rule_of_totals"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Whole))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::UInt8, false)))
    }
}

/// The whole result at once.
#[derive(Debug)]
struct Whole;

impl PartitionEvaluator for Whole {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let [id, keys @ .., contributions, rules] = values else {
            return exec_err!("rule_of_totals: arguments are missing");
        };
        let (id, rules) = (cast(id, &DataType::UInt64)?, cast(rules, &DataType::UInt8)?);
        let (id, rules) = (id.as_primitive::<UInt64Type>(), rules.as_primitive::<UInt8Type>());
        let Some(contributions) = contributions.as_binary_opt::<i32>() else {
            return exec_err!("rule_of_totals: what people contribute is missing");
        };
        let codes = keys.iter().map(numbered).collect::<Result<Vec<_>>>()?;
        let mut totals = Vec::with_capacity(rows);
        let mut nobody = Vec::with_capacity(rows);
        for said in contributions {
            let said = said.map(Contributions::read).transpose().map_err(|error| exec_datafusion_err!("{error}"))?;
            nobody.push(said.as_ref().is_none_or(|said| said.adding.is_none()));
            totals.push(said.and_then(|said| said.sizes).map_or(0.0, |sizes| sizes.total));
        }
        let place = |row: usize| {
            let key = codes.iter().enumerate().map(|(at, codes)| {
                let total = id.value(row) >> (codes_left(keys.len(), at)) & 1 == 1;
                codes.get(row).copied().filter(|_| !total)
            });
            key.collect()
        };
        // a sum of nobody is hidden, but no other for its sake: it is nothing that anybody has
        let hidden = nobody.iter().enumerate();
        let hidden: Vec<bool> =
            hidden.map(|(row, nobody)| !nobody && (rules.is_null(row) || rules.value(row) > 0)).collect();
        let found = hiding((0..rows).map(place).collect(), &totals, &hidden);
        Ok(Arc::new(found.into_iter().map(|rule| Some(rule.map_or(0, code))).collect::<UInt8Array>()))
    }
}

/// The first key is the highest bit.
const fn codes_left(keys: usize, at: usize) -> usize {
    keys - 1 - at
}

/// Equal values of a key have one number.
fn numbered(values: &ArrayRef) -> Result<Vec<u32>> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    let numbers = rows.iter().map(|row| {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        *known.entry(row.as_ref().to_vec()).or_insert(next)
    });
    Ok(numbers.collect())
}

/// What hides each cell because of others.
fn hiding(keys: Vec<Vec<Option<u32>>>, totals: &[f64], hidden: &[bool]) -> Vec<Option<Rule>> {
    let withheld = || vec![Some(Rule::Withheld); totals.len()];
    if !hidden.contains(&true) {
        return vec![None; totals.len()];
    }
    let largest = totals.iter().copied().fold(0.0, f64::max);
    if !largest.is_finite() || !totals.iter().all(|total| total.is_finite()) {
        return withheld();
    }
    let levels: usize = (0..keys.first().map_or(0, Vec::len))
        .map(|at| {
            keys.iter().filter_map(|key| key.get(at).copied().flatten()).max().map_or(1, |most| most as usize + 2)
        })
        .map(|levels| levels.min(TRIED))
        .product();
    if levels.saturating_mul(hidden.iter().filter(|hidden| **hidden).count()) > BOXES {
        return withheld();
    }
    let scale = if largest > 0.0 { SCALE / largest } else { 1.0 };
    let entries = keys.into_iter().zip(totals).zip(hidden).map(|((key, total), hidden)| {
        let value = (total * scale).round() as i64;
        Entry { key, value, hidden: hidden.then(|| Known::dominated(value)) }
    });
    let Ok(table) = Table::new(entries.collect()) else { return withheld() };
    // Of a sum that is hidden for others nothing is known but that it is there.
    match protect(&table, Known { from: 1, to: None, width: 1 }) {
        Protection::Also(cells) => {
            (0..totals.len()).map(|cell| cells.contains(&cell).then_some(Rule::Complement)).collect()
        }
        Protection::Alike { also, .. } => {
            let all = hidden.iter().enumerate();
            all.map(|(cell, hidden)| (*hidden || also.contains(&cell)).then_some(Rule::Complement)).collect()
        }
        Protection::Withhold => withheld(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two keys of 3 and 3 values with all totals.
    fn table() -> (Vec<Vec<Option<u32>>>, Vec<f64>) {
        let (mut keys, mut totals) = (Vec::new(), Vec::new());
        let levels = [Some(0), Some(1), Some(2), None];
        let part = |at: Option<u32>| match at {
            Some(at) => vec![f64::from(at)],
            None => vec![0.0, 1.0, 2.0],
        };
        for a in levels {
            for b in levels {
                keys.push(vec![a, b]);
                let cells = part(a).into_iter().flat_map(|a| part(b).into_iter().map(move |b| 10.0 + 3.0 * a + b));
                totals.push(cells.sum());
            }
        }
        (keys, totals)
    }

    #[test]
    fn no_hidden_sum_is_alone_in_a_line() {
        let (keys, totals) = table();
        for cell in 0..keys.len() {
            let hidden: Vec<bool> = (0..keys.len()).map(|at| at == cell).collect();
            let found = hiding(keys.clone(), &totals, &hidden);
            let gone: Vec<bool> = found.iter().zip(&hidden).map(|(found, hidden)| found.is_some() || *hidden).collect();
            assert!(gone.iter().any(|gone| !gone), "something is shown");
            for line in 0..4_usize {
                let row = (0..4).filter(|at| gone[line * 4 + at]).count();
                let column = (0..4).filter(|at| gone[at * 4 + line]).count();
                assert!(row != 1 && column != 1, "{cell}: {gone:?}");
            }
        }
        assert_eq!(hiding(keys.clone(), &totals, &[false; 16]), vec![None; 16]);
    }

    #[test]
    fn what_cannot_be_looked_at_is_withheld() {
        let (keys, mut totals) = table();
        totals[3] = f64::NAN;
        let hidden: Vec<bool> = (0..16).map(|at| at == 0).collect();
        assert_eq!(hiding(keys.clone(), &totals, &hidden), vec![Some(Rule::Withheld); 16]);
        let twice = vec![keys[0].clone(); 16];
        assert_eq!(hiding(twice, &[1.0; 16], &hidden), vec![Some(Rule::Withheld); 16]);
    }
}
