//! What is usual: medians of days that were, and how far a day is from them.
//!
//! A mean and a standard deviation are moved by the very days that are looked for; the median and the median absolute deviation (MAD)
//! are not. The score is 0.6745·(x − median) / MAD (Iglewicz and Hoaglin, 1993: from 3.5 on an outlier), by days and not by hours:
//! most hours of most people are empty, so that any hour with something in it would stand out.

use std::collections::VecDeque;

/// How many days back something counts as a person's past: thirteen weeks.
pub(super) const PAST_DAYS: i32 = 91;
/// With fewer days than this behind them, a person has no past to be compared with.
pub(super) const PAST_LEAST: usize = 10;

/// The middle of a past, and how far its days are from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    pub(super) median: f64,
    /// The MAD, or its floor.
    pub(super) spread: f64,
    /// How many days it is of.
    pub(super) days: usize,
}

impl Usual {
    /// Of these values, in any order; `None` where there are fewer than `least`.
    ///
    /// Counts scatter by chance alone by the root of their mean, so the MAD is taken for no less than that of such counts, and for no
    /// less than one: somebody who opened exactly three records on each of ten days is not suspicious with eight.
    pub(super) fn of(values: impl Iterator<Item = u32>, least: usize) -> Option<Self> {
        let mut values: Vec<f64> = values.map(f64::from).collect();
        if values.len() < least.max(1) {
            return None;
        }
        let median = middle(&mut values)?;
        let mut away: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        let spread = middle(&mut away)?.max(0.6745 * median.sqrt()).max(1.0);
        Some(Self {
            median,
            spread,
            days: values.len(),
        })
    }

    /// The robust z-score of a value.
    pub(super) fn score(&self, value: u64) -> f64 {
        0.6745 * (as_float(value) - self.median) / self.spread
    }
}

/// Counts of people's records are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_float(value: u64) -> f64 {
    value as f64
}

/// The lower of the two in the middle counts with the upper one by half.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get((values.len() / 2).checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// One value for each of the days on which there was something.
#[derive(Debug, Clone, Default)]
pub(super) struct History(VecDeque<(i32, u32)>);

impl History {
    /// Adds a day's value; those that are past for no longer go.
    pub(super) fn add(&mut self, day: i32, value: u64) {
        self.keep(day);
        self.0
            .push_back((day, u32::try_from(value).unwrap_or(u32::MAX)));
    }

    /// Lets go what is too old on `day`.
    pub(super) fn keep(&mut self, day: i32) {
        let oldest = day.saturating_sub(PAST_DAYS);
        while self.0.front().is_some_and(|(then, _)| *then < oldest) {
            self.0.pop_front();
        }
    }

    /// How many days it has.
    pub(super) fn days(&self) -> usize {
        self.0.len()
    }

    /// The values of the days up to `until`.
    pub(super) fn values(&self, until: i32) -> impl Iterator<Item = u32> {
        let kept = self.0.iter();
        kept.take_while(move |(day, _)| *day <= until)
            .map(|(_, value)| *value)
    }

    /// Whether it was about as much on at least two of these days: what recurs, as a report each month, doesn't stand out.
    pub(super) fn recurs(&self, value: u64) -> bool {
        let about =
            |one: &&(i32, u32)| u64::from(one.1).saturating_mul(3) >= value.saturating_mul(2);
        self.0.iter().filter(about).nth(1).is_some()
    }

    /// What is usual, looking from `day`.
    pub(super) fn usual(&mut self, day: i32) -> Option<Usual> {
        self.keep(day);
        Usual::of(self.values(day), PAST_LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_that_of_iglewicz_and_hoaglin_with_a_floor_under_the_spread() {
        let days = [8, 9, 10, 10, 11, 12, 14, 20, 30, 40];
        let usual = Usual::of(days.into_iter(), 10).unwrap();
        assert_eq!((usual.median, usual.days), (11.5, 10));
        // Deviations: 0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 3.5, 8.5, 18.5, 28.5.
        assert_eq!(usual.spread, 2.5);
        assert!((usual.score(40) - 0.6745 * 28.5 / 2.5).abs() < 1e-9);
        let constant = Usual::of(std::iter::repeat_n(3, 20), 10).unwrap();
        assert!((constant.spread - 0.6745 * 3.0_f64.sqrt()).abs() < 1e-9);
        let idle = Usual::of(std::iter::repeat_n(0, 20), 10).unwrap();
        assert_eq!(idle.spread, 1.0);
        assert!(Usual::of(days.into_iter().take(9), 10).is_none());
    }

    #[test]
    fn what_was_about_as_much_twice_recurs() {
        let mut history = History::default();
        for (day, value) in [(1, 0), (2, 200), (31, 210), (60, 3)] {
            history.add(day, value);
        }
        assert!(history.recurs(300));
        assert!(!history.recurs(301));
    }

    #[test]
    fn a_past_is_thirteen_weeks_long() {
        let mut history = History::default();
        for day in 0..200 {
            history.add(day, 5);
        }
        assert_eq!(history.usual(200).unwrap().days, 91);
        assert!(history.usual(400).is_none(), "too long ago");
    }
}
