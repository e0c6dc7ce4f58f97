//! A threshold above the platform's own, as a permit may ask for: one more look at what a statistic is made of.
//!
//! It falls by lot as the platform's own does (`policies::disclosure::lot`), and by the same lot: of people who just reach it few pass. With an exact one,
//! whoever can name one fewer would see by one answer whether somebody is counted.
//!
//! INVARIANT: it hides more, and nothing less: where it hides nothing, the platform's own rules are asked.
//! INVARIANT: fewer than the raised threshold are hidden whatever the lot.

use crate::release::{cells::choose, cells::flagged, rule::code_of_few};
use arrow::{
    array::{ArrayRef, AsArray, BinaryArray, UInt8Array},
    datatypes::DataType,
};
use datafusion::{
    common::{DataFusionError, Result, exec_datafusion_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction,
    },
};
use policies::disclosure::{
    Threshold,
    lot::{Lot, WIDTH},
    noise::CellKey,
};
use proto::plan::persons::{NoSummary, Summary, head};
use std::sync::Arc;

/// The number of the raised threshold's rule where fewer than `least` of `people`, by lot up to two more, are behind something, or so few of `whole`
/// beside them; elsewhere `rule`. All who are too few have one number, so that they fold into one row.
pub(super) fn raised(least: Threshold, rule: Expr, people: Expr, whole: Option<Expr>) -> Expr {
    if least <= Threshold::DEFAULT {
        return rule;
    }
    let args: Vec<Expr> = std::iter::once(people).chain(whole).collect();
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(Raised { least: least.least(), signature });
    let more = Expr::ScalarFunction(ScalarFunction { func: Arc::new(function), args });
    choose(flagged(more.clone()), more, rule)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Raised {
    least: u64,
    signature: Signature,
}

impl Raised {
    /// Whether so many are too few; who they are is only looked at where it falls by lot.
    fn few(&self, people: u64, who: impl FnOnce() -> Result<Summary>) -> Result<bool> {
        if people < self.least || people >= self.least + WIDTH {
            return Ok(people < self.least);
        }
        let Summary { key, marks, .. } = who()?;
        Ok(!Lot::of_people(CellKey::new(key), marks.as_slice()).reaches(self.least, people))
    }

    /// Nobody is few.
    fn of(&self, people: Option<&[u8]>, whole: Option<&[u8]>) -> Result<u8> {
        let read = |summary: &[u8]| Summary::read(summary).map_err(unread);
        let number = |summary: Option<&[u8]>| -> Result<Option<u64>> {
            Ok(summary.map(head).transpose().map_err(unread)?.map(|(people, _)| people))
        };
        let (some, all) = (number(people)?, number(whole)?);
        let rest = all.unwrap_or(0).saturating_sub(some.unwrap_or(0));
        let own = || read(people.unwrap_or_default());
        let left = || {
            let mut left = read(whole.unwrap_or_default())?;
            if let Some(people) = people {
                left.part_with(&read(people)?);
            }
            Ok(left)
        };
        let few = match some {
            Some(some) => self.few(some, own)?,
            None => true,
        };
        let hidden = few || (rest > 0 && self.few(rest, left)?);
        Ok(if hidden { code_of_few(self.least) } else { 0 })
    }
}

fn unread(error: NoSummary) -> DataFusionError {
    exec_datafusion_err!("{error}")
}

impl ScalarUDFImpl for Raised {
    fn name(&self) -> &str {
        "rule_of_raised_threshold"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bytes = |at: usize| -> Result<&BinaryArray> {
            let array = arrays.get(at).and_then(|array| array.as_binary_opt::<i32>());
            array.ok_or_else(|| exec_datafusion_err!("{}: what is known of a cell is missing", self.name()))
        };
        let people = bytes(0)?;
        let codes: UInt8Array = if arrays.len() > 1 {
            people
                .iter()
                .zip(bytes(1)?)
                .map(|(people, whole)| self.of(people, whole).map(Some))
                .collect::<Result<_>>()?
        } else {
            people.iter().map(|people| self.of(people, None).map(Some)).collect::<Result<_>>()?
        };
        Ok(ColumnarValue::Array(Arc::new(codes) as ArrayRef))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(who: std::ops::Range<u64>) -> Vec<u8> {
        let mut summary = Summary::default();
        for person in who {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&(person + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            summary.add(&bytes);
        }
        summary.write().unwrap()
    }

    /// How many of 400 groups are hidden: of so many people, and of so many who are left over of 60.
    fn hidden(least: u64, people: u64) -> [usize; 2] {
        let raised = Raised { least, signature: Signature::any(1, Volatility::Immutable) };
        let groups = || (0..400).map(|group| group * 1_000);
        let few = groups().filter(|from| raised.of(Some(&of(*from..from + people)), None).unwrap() > 0);
        let rests = groups().filter(|from| {
            let (part, whole) = (of(from + people..from + 60), of(*from..from + 60));
            raised.of(Some(&part), Some(&whole)).unwrap() > 0
        });
        [few.count(), rests.count()]
    }

    #[test]
    fn attack_by_one_fewer_than_a_raised_threshold_is_told_by_lot_as_by_the_platforms_own() {
        for least in [6, 10, 20] {
            assert_eq!(hidden(least, least - 1), [400; 2]);
            assert_eq!(hidden(least, least + 3), [0; 2]);
            for (above, shares) in [(0, 320..380), (1, 160..240), (2, 25..80)] {
                let found = hidden(least, least + above);
                assert!(found.iter().all(|found| shares.contains(found)), "{found:?} of 400 of {}", least + above);
                // the same people, one lot
                assert_eq!(found[0], found[1]);
            }
        }
        let raised = Raised { least: 10, signature: Signature::any(1, Volatility::Immutable) };
        assert_eq!(raised.of(None, Some(&of(0..9))).unwrap(), code_of_few(10));
        let nobody = [raised.of(None, None).unwrap(), raised.of(Some(&of(0..0)), None).unwrap()];
        assert_eq!(nobody, [code_of_few(10); 2], "nobody is few");
    }
}
