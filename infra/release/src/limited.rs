//! Statistics of contributions within limits (`policies::disclosure::limits`), from who adds the most and the least and what all others add up to.

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use policies::disclosure::limits::{Limits, Ranked};
use proto::plan::{
    contributions::{
        Contributions,
        outer::{Face, Outer, Somebody},
    },
    persons::NoSummary,
};

/// Values that differ by less than this part of them are equal.
const SAME: f64 = 1e-9;

/// What a cell comes to when nobody adds more than the limits let them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limited {
    /// what is added up, and the same of what each person adds, without its sign
    pub(super) sum: f64,
    pub(super) size: f64,
    /// the sum without limits
    pub(super) exact: f64,
    /// what the two add who add the most, without its sign
    pub(super) largest: [f64; 2],
    /// the most that counts of one person, without its sign
    pub(super) most: f64,
    /// whether a limit changes the sum
    pub(super) sum_changed: bool,
    /// where it is known how many values everybody has
    pub(super) mean: Option<Mean>,
}

/// What their values are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    pub(super) mean: f64,
    pub(super) rows: f64,
    /// the variance of people's means, each as often as they have values
    pub(super) between: f64,
    /// the mean of people's own variances; 0 where nobody asked
    pub(super) within: f64,
    /// how far one person can move the mean, times all rows, whose part they are: somebody with the most rows and values at a limit
    reach: f64,
    /// the same of the variance
    reach_of_variance: f64,
    /// whether a limit changes the mean
    pub(super) changed: bool,
    /// whether one changes the variance too
    pub(super) spread_changed: bool,
    /// all values of all people are the same, but for few people
    pub(super) alike: bool,
}

/// By every face.
struct Bounds {
    sum: Limits,
    rows: Limits,
    mean: Limits,
    within: Limits,
}

impl Limited {
    /// Of what `contributions` says; `None` of a blind total, of which nobody sees what single people add.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn of(said: &Contributions<'_>) -> Result<Option<Self>> {
        Ok(said.outer().map_err(unread)?.map(|outer| Self::of_outer(&outer)))
    }

    fn of_outer(outer: &Outer) -> Self {
        let bounds = Bounds {
            sum: limits(outer, Face::Sum),
            rows: limits(outer, Face::Rows),
            mean: limits(outer, Face::Mean),
            within: limits(outer, Face::Within),
        };
        let others = outer.others();
        let (mut sum, mut size, mut largest, mut sum_changed) = (others.sum, others.size, [0.0, 0.0], false);
        let exact = sum + outer.listed().iter().map(|somebody| somebody.sum).sum::<f64>();
        for somebody in outer.listed() {
            let adds = bounds.sum.within(somebody.sum);
            sum += adds;
            size += adds.abs();
            sum_changed |= adds != somebody.sum;
            let [first, second] = largest;
            largest = match adds.abs() {
                most if most > first => [most, first],
                more if more > second => [first, more],
                _ => largest,
            };
        }
        let mean = outer.knows(2).then(|| Mean::of(outer, &bounds));
        Self { sum, size, exact, largest, most: bounds.sum.most(), sum_changed, mean }
    }
}

impl Mean {
    fn of(outer: &Outer, bounds: &Bounds) -> Self {
        let others = outer.others();
        let (mut rows, mut sum, mut between, mut within) = (others.rows, others.sum, others.between, others.within);
        let (mut changed, mut spread_changed) = (false, false);
        for somebody in outer.listed() {
            let [own, mean, apart] = [Face::Rows, Face::Mean, Face::Within].map(|face| somebody.face(face));
            let [counted, meant, spread] =
                [bounds.rows.within(own), bounds.mean.within(mean), bounds.within.within(apart)];
            rows += counted;
            sum += counted * meant;
            between += counted * meant * meant;
            within += counted * spread;
            changed |= counted != own || meant != mean;
            spread_changed |= spread != apart;
        }
        let rows = rows.max(1.0);
        let mean = sum / rows;
        let alike = bounds.mean.alike() && within <= mean * mean * rows * SAME * SAME;
        // Of equal numbers it is what is left of their digits.
        let between = if bounds.mean.alike() { 0.0 } else { (between / rows - mean * mean).max(0.0) };
        let (reach, most) = (bounds.mean.reach(mean), bounds.rows.most());
        let apart = reach * reach + bounds.within.most();
        Self {
            mean,
            rows,
            between,
            within: within / rows,
            reach: reach * most,
            reach_of_variance: apart * most,
            changed,
            spread_changed: changed || spread_changed,
            alike,
        }
    }

    /// How far one of so many people can move the mean, times the people.
    pub(super) fn reach(&self, people: u64) -> f64 {
        self.reach / self.rows * people as f64
    }

    /// What part of the variance one of so many people can be, times the people; not less than an average person's.
    pub(super) fn reach_of_variance(&self, people: u64) -> f64 {
        let variance = self.variance(false);
        if variance > 0.0 { (self.reach_of_variance / variance / self.rows * people as f64).max(1.0) } else { 1.0 }
    }

    /// The variance of the values; of a sample, or of all.
    pub(super) fn variance(&self, sample: bool) -> f64 {
        let of_all = self.between + self.within;
        if sample && self.rows > 1.0 { of_all * self.rows / (self.rows - 1.0) } else { of_all }
    }
}

fn limits(outer: &Outer, face: Face) -> Limits {
    let ranked = |highest| -> Vec<Ranked> {
        let number = |one: &Somebody| Ranked { number: one.face(face), tag: one.tag };
        outer.ranked(face, highest).iter().map(number).collect()
    };
    Limits::of(&ranked(false), &ranked(true), outer.people())
}

fn unread(error: NoSummary) -> DataFusionError {
    exec_datafusion_err!("{error}")
}
