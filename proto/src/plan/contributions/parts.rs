//! What is said of the contributions to a cell, and its bytes.
//!
//! The bytes: a mark that no summary of people begins with, flags, three numbers (total, largest, second; little-endian), and summaries,
//! each after its length: of all who have a value, of those who add something, where it is another one, and of who adds how
//! much, for as many statistics as the flags say; at the end the outermost people ([`Outer`]). A summary of people by itself can be read too: of a blind total nothing else is known.

use super::{MOST, outer::Outer};
use crate::plan::persons::{NoSummary, Summary};

/// No cell has so many people.
const MARK: [u8; 4] = u32::MAX.to_le_bytes();
/// Somebody adds something, people or rows of nobody.
const ADDING: u8 = 1;
/// All who have a value add something.
const SAME: u8 = 2;
/// In the bits from here on: for how many statistics there are amounts.
const AMOUNTS: u32 = 2;

/// What a sum or a mean is made of, as `contributions` says it. The summaries are bytes of [`Summary`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contributions<'a> {
    /// those who have a value
    pub all: &'a [u8],
    /// those who have one that isn't zero; `None` where no row has one
    pub adding: Option<&'a [u8]>,
    /// how much they contribute; `None` in a blind total, of which nobody sees it
    pub sizes: Option<Sizes>,
    /// who adds how much (`amounts`): to a sum, to a mean, to a spread; `None` of those that weren't asked for
    pub amounts: [Option<&'a [u8]>; MOST],
    /// bytes of who adds the most and the least; `None` in a blind total
    pub outer: Option<&'a [u8]>,
}

/// How much people contribute, each the sum of their values without its sign.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sizes {
    /// all together
    pub total: f64,
    /// the largest
    pub largest: f64,
    /// the largest but one; 0 when there is none
    pub second: f64,
}

impl Sizes {
    /// Adds one contribution.
    pub(super) fn add(&mut self, sum: f64) {
        let size = sum.abs();
        self.total += size;
        // Not a number is neither above nor below; the total is none then, which is found.
        if size > self.largest {
            self.second = self.largest;
            self.largest = size;
        } else if size > self.second {
            self.second = size;
        }
    }

    /// Adds those of other people.
    fn merge(&mut self, other: Self) {
        let total = self.total + other.total;
        self.add(other.largest);
        self.add(other.second);
        self.total = total;
    }
}

impl<'a> Contributions<'a> {
    /// Its bytes.
    ///
    /// # Errors
    /// When a summary is longer than one can be.
    pub fn write(self) -> Result<Vec<u8>, NoSummary> {
        let Some(sizes) = self.sizes else { return Ok(self.adding.unwrap_or_default().to_vec()) };
        let same = self.adding == Some(self.all);
        let amounts = self.amounts.iter().flatten();
        let told = u8::try_from(amounts.clone().count()).map_err(|_| NoSummary)?;
        let flags = if self.adding.is_some() { ADDING } else { 0 } | if same { SAME } else { 0 } | told << AMOUNTS;
        let mut bytes = MARK.to_vec();
        bytes.push(flags);
        for number in [sizes.total, sizes.largest, sizes.second] {
            bytes.extend(number.to_le_bytes());
        }
        let adding = self.adding.iter().filter(|_| !same);
        for summary in std::iter::once(&self.all).chain(adding).chain(amounts) {
            bytes.extend(u16::try_from(summary.len()).map_err(|_| NoSummary)?.to_le_bytes());
            bytes.extend(*summary);
        }
        bytes.extend(self.outer.unwrap_or_default());
        Ok(bytes)
    }

    /// Of its bytes, or those of a summary of people.
    ///
    /// # Errors
    /// When they are neither.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NoSummary> {
        let Some(rest) = bytes.strip_prefix(&MARK) else {
            return Ok(Self { all: bytes, adding: Some(bytes), sizes: None, amounts: [None; MOST], outer: None });
        };
        let (flags, rest) = rest.split_first().ok_or(NoSummary)?;
        let ([total, largest, second], rest) = numbers(rest).ok_or(NoSummary)?;
        let (all, mut rest) = next(rest)?;
        let adding = match *flags & (ADDING | SAME) {
            0 => None,
            ADDING => {
                let (adding, left) = next(rest)?;
                rest = left;
                Some(adding)
            }
            flags if flags == ADDING | SAME => Some(all),
            _ => return Err(NoSummary),
        };
        let mut amounts = [None; MOST];
        let told = usize::from(*flags >> AMOUNTS);
        for amount in amounts.get_mut(..told).ok_or(NoSummary)? {
            let (summary, left) = next(rest)?;
            rest = left;
            *amount = Some(summary);
        }
        let outer = Some(rest).filter(|rest| !rest.is_empty());
        Ok(Self { all, adding, sizes: Some(Sizes { total, largest, second }), amounts, outer })
    }

    /// Who adds the most and the least; `None` in a blind total, of which nobody sees it.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn outer(&self) -> Result<Option<Outer>, NoSummary> {
        self.outer.map(Outer::read).transpose()
    }
}

/// The next summary after its length, and the rest.
fn next(bytes: &[u8]) -> Result<(&[u8], &[u8]), NoSummary> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(NoSummary)?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or(NoSummary)
}

fn numbers(bytes: &[u8]) -> Option<([f64; 3], &[u8])> {
    let (a, bytes) = bytes.split_first_chunk::<8>()?;
    let (b, bytes) = bytes.split_first_chunk::<8>()?;
    let (c, bytes) = bytes.split_first_chunk::<8>()?;
    Some(([*a, *b, *c].map(f64::from_le_bytes), bytes))
}

/// Contributions of several parts of people who share nobody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    all: Summary,
    adding: Option<Summary>,
    sizes: Option<Sizes>,
    amounts: [Option<Summary>; MOST],
    outer: Option<Outer>,
}

impl Merged {
    /// Of one part.
    ///
    /// # Errors
    /// When the part can't be read.
    pub fn of(part: Contributions<'_>) -> Result<Self, NoSummary> {
        let adding = part.adding.map(Summary::read).transpose()?;
        let mut amounts = [const { None }; MOST];
        for (own, amount) in amounts.iter_mut().zip(part.amounts) {
            *own = amount.map(Summary::read).transpose()?;
        }
        Ok(Self { all: Summary::read(part.all)?, adding, sizes: part.sizes, amounts, outer: part.outer()? })
    }

    /// Adds another part.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        match (&mut self.adding, &other.adding) {
            (Some(own), Some(other)) => own.merge(other),
            (own @ None, other) => own.clone_from(other),
            (Some(_), None) => {}
        }
        // What is not known of a part is not known of the whole.
        for (own, other) in self.amounts.iter_mut().zip(&other.amounts) {
            match (&mut *own, other) {
                (Some(own), Some(other)) => own.merge(other),
                _ => *own = None,
            }
        }
        match (&mut self.outer, &other.outer) {
            (Some(own), Some(other)) => own.merge(other),
            (own, _) => *own = None,
        }
        match (&mut self.sizes, other.sizes) {
            (Some(own), Some(other)) => own.merge(other),
            (own, _) => *own = None,
        }
    }

    /// Its bytes, as [`Contributions::write`] has them.
    ///
    /// # Errors
    /// When there are more people than a summary counts.
    pub fn write(&self) -> Result<Vec<u8>, NoSummary> {
        let (all, adding) = (self.all.write()?, self.adding.as_ref().map(Summary::write).transpose()?);
        let mut written = [const { None }; MOST];
        for (written, amount) in written.iter_mut().zip(&self.amounts) {
            *written = amount.as_ref().map(Summary::write).transpose()?;
        }
        let amounts = written.each_ref().map(Option::as_deref);
        let outer = self.outer.as_ref().map(Outer::write);
        let (adding, outer) = (adding.as_deref(), outer.as_deref());
        Contributions { all: &all, adding, sizes: self.sizes, amounts, outer }.write()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::amounts::add as amount, *};
    use proptest::prelude::*;

    fn people(ids: &[u8]) -> Summary {
        let mut summary = Summary::default();
        ids.iter().for_each(|id| summary.add(&[*id; 16]));
        summary
    }

    fn sizes(of: &[f64]) -> Sizes {
        let mut sizes = Sizes::default();
        of.iter().for_each(|sum| sizes.add(*sum));
        sizes
    }

    #[test]
    fn there_and_back() {
        let (all, few) = (people(&[1, 2, 3]).write().unwrap(), people(&[1, 3]).write().unwrap());
        let sizes = Some(sizes(&[1.0, -7.0, 3.0]));
        assert_eq!(sizes, Some(Sizes { total: 11.0, largest: 7.0, second: 3.0 }));
        for adding in [None, Some(few.as_slice()), Some(all.as_slice())] {
            for told in 0..=MOST {
                let mut amounts = [None; MOST];
                amounts[..told].fill(Some(few.as_slice()));
                let outer = Outer::new(1).write();
                let said = Contributions { all: &all, adding, sizes, amounts, outer: Some(&outer) };
                let bytes = said.write().unwrap();
                assert_eq!(Contributions::read(&bytes).unwrap(), said);
                let merged = Merged::of(said).unwrap();
                assert_eq!(Contributions::read(&merged.write().unwrap()).unwrap(), said);
                assert!(Contributions::read(&bytes[..20]).is_err());
                assert!(Contributions::read(&[&bytes[..], &[0]].concat()).unwrap().outer().is_err());
            }
        }
        let blind = Contributions::read(&few).unwrap();
        assert_eq!(
            blind,
            Contributions { all: &few, adding: Some(&few), sizes: None, amounts: [None; MOST], outer: None }
        );
        assert_eq!(blind.write().unwrap(), few);
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole(values in prop::collection::vec(-1e6_f64..1e6, 0..12), cut in 0_usize..12) {
            let ids: Vec<u8> = (0..12).collect();
            let of = |from: usize, to: usize| {
                let values = &values[from.min(values.len())..to.min(values.len())];
                let summary = people(&ids[from.min(ids.len())..from + values.len()]);
                let mut amounts = Summary::default();
                let ids = ids.iter().skip(from).zip(values);
                ids.for_each(|(id, value)| amount(&mut amounts, &[*id; 16], &[*value]));
                let amounts = [Some(amounts), None, None];
                Merged { adding: Some(summary.clone()), all: summary, sizes: Some(sizes(values)), amounts, outer: None }
            };
            let mut merged = of(0, cut);
            merged.merge(&of(cut, 12));
            let whole = of(0, 12);
            prop_assert_eq!((&merged.all, &merged.adding), (&whole.all, &whole.adding));
            prop_assert_eq!(&merged.amounts, &whole.amounts);
            let (a, b) = (merged.sizes.unwrap(), whole.sizes.unwrap());
            prop_assert_eq!((a.largest, a.second), (b.largest, b.second));
            prop_assert!((a.total - b.total).abs() <= b.total * 1e-12);
        }

        #[test]
        fn whatever_the_bytes_are_nothing_breaks(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let marked = [&MARK[..], &bytes].concat();
            for bytes in [&bytes, &marked] {
                if let Ok(said) = Contributions::read(bytes) {
                    let _ = Merged::of(said).map(|merged| merged.write());
                }
            }
        }
    }
}
