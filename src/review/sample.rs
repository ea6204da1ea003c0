//! A random sample that anybody can draw again: the seed is the root hash of the log, which nobody could choose when the accesses were made.
//!
//! **Population.** Every day on which a person asked for at least one access, allowed or denied, of the days and departments of the
//! campaign, by the pack's clock. Its stratum is the department that the person's first entry of that day has. Days of services that
//! asked for nobody, or for somebody who was not known, are a population of their own, whose strata are the services.
//!
//! **How many.** n is the least number with (1 − p)ⁿ ≤ 1 − C, which is ⌈ln(1−C)/ln(1−p)⌉: 59 for C = 95 % and p = 5 %. Of a stratum
//! with the share w of the population ⌈n·w⌉ are drawn. No stratum has less than its share, so a share p of misuses is missed with a
//! probability of at most (1 − p)ⁿ, however it is spread over the strata (by the concavity of the logarithm). A population of n or fewer
//! is taken whole.
//!
//! **Which.** Those whose SHA-256 comes first, of five lines without a last line feed: the root hash in lower-case hexadecimal,
//! `person` or `workload`, the stratum, the id, the day as YYYY-MM-DD. There is no random number generator to trust.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use time::Date;

/// Days by who acted, each with its stratum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Population {
    days: BTreeMap<(Box<str>, Date), Box<str>>,
}

/// Who the days are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// People.
    Person,
    /// Services that act for nobody.
    Workload,
}

impl Sort {
    /// As it goes into the hash.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Workload => "workload",
        }
    }
}

/// One day that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drawn {
    /// The department, or the service.
    pub stratum: Box<str>,
    /// Who acted.
    pub actor: Box<str>,
    /// By the pack's clock.
    pub day: Date,
}

/// A stratum, and what was drawn from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratum {
    /// Its name.
    pub name: Box<str>,
    /// How many days it has.
    pub population: u32,
    /// How many were drawn.
    pub drawn: u32,
}

impl Population {
    /// A day on which somebody acted. The first one that is told has the stratum.
    pub fn add(&mut self, actor: &str, day: Date, stratum: &str) {
        self.days
            .entry((actor.into(), day))
            .or_insert_with(|| stratum.into());
    }

    /// Whether somebody acted on a day.
    #[must_use]
    pub fn has(&self, actor: &str, day: Date) -> bool {
        self.days.contains_key(&(actor.into(), day))
    }

    /// How many days there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Draws at least `needed` by the seed, or all where there are no more; each stratum, by its name, with what it has.
    #[must_use]
    pub fn draw(&self, seed: &[u8; 32], sort: Sort, needed: u32) -> (Vec<Stratum>, Vec<Drawn>) {
        let mut strata: BTreeMap<&str, Vec<([u8; 32], Drawn)>> = BTreeMap::new();
        for ((actor, day), stratum) in &self.days {
            let drawn = Drawn {
                stratum: stratum.clone(),
                actor: actor.clone(),
                day: *day,
            };
            let place = place(seed, sort, &drawn);
            strata.entry(stratum).or_default().push((place, drawn));
        }
        let all = self.days.len();
        let mut told = Vec::new();
        let mut sample = Vec::new();
        for (name, mut days) in strata {
            let population = days.len();
            let share = share(usize::try_from(needed).unwrap_or(all), population, all);
            days.sort_unstable();
            days.truncate(share);
            told.push(Stratum {
                name: name.into(),
                population: u32::try_from(population).unwrap_or(u32::MAX),
                drawn: u32::try_from(days.len()).unwrap_or(u32::MAX),
            });
            sample.extend(days.into_iter().map(|(_, drawn)| drawn));
        }
        (told, sample)
    }
}

/// Of `needed`, what a stratum of `population` out of `all` has, rounded up; never more than it has.
fn share(needed: usize, population: usize, all: usize) -> usize {
    let share = needed.saturating_mul(population).div_ceil(all.max(1));
    share.min(population)
}

fn place(seed: &[u8; 32], sort: Sort, drawn: &Drawn) -> [u8; 32] {
    let root = data_encoding::HEXLOWER.encode(seed);
    let Drawn {
        stratum,
        actor,
        day,
    } = drawn;
    let text = format!("{root}\n{}\n{stratum}\n{actor}\n{day}", sort.word());
    Sha256::digest(text).into()
}

/// How many have to be drawn, so that with a probability of `confidence_percent` at least one is among them that `rate_percent` of
/// all are. Both are from 1 to 99.
#[must_use]
pub fn needed(confidence_percent: u32, rate_percent: u32) -> u32 {
    let share = |percent: u32| f64::from(percent.clamp(1, 99)) / 100.0;
    let allowed = 1.0 - share(confidence_percent);
    let each = 1.0 - share(rate_percent);
    let mut missed = 1.0;
    let mut count = 0;
    while missed > allowed {
        missed *= each;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::Month;

    fn day(number: u8) -> Date {
        Date::from_calendar_date(2026, Month::October, number).unwrap()
    }

    fn office(people: usize, days: u8) -> Population {
        let mut population = Population::default();
        for person in 0..people {
            let department = ["career", "support", "legal"][person % 7 % 3];
            for number in 1..=days {
                population.add(&format!("p-{person}"), day(number), department);
            }
        }
        population
    }

    #[test]
    fn as_many_as_the_formula_says() {
        assert_eq!(needed(95, 5), 59);
        assert_eq!(needed(99, 1), 459);
        assert_eq!(needed(90, 10), 22);
        assert_eq!(needed(50, 50), 1);
        for (confidence, rate) in [(95.0_f64, 5.0_f64), (99.0, 2.0), (80.0, 3.0), (60.0, 30.0)] {
            let formula = ((1.0 - confidence / 100.0).ln() / (1.0 - rate / 100.0).ln()).ceil();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let (confidence, rate) = (confidence as u32, rate as u32);
            assert!((f64::from(needed(confidence, rate)) - formula).abs() < 0.5);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_others() {
        let office = office(40, 20);
        let (strata, drawn) = office.draw(&[7; 32], Sort::Person, 59);
        assert_eq!(
            office.draw(&[7; 32], Sort::Person, 59),
            (strata.clone(), drawn.clone())
        );
        assert_ne!(office.draw(&[8; 32], Sort::Person, 59).1, drawn);
        assert_ne!(office.draw(&[7; 32], Sort::Workload, 59).1, drawn);
        let all: u32 = strata.iter().map(|stratum| stratum.population).sum();
        assert_eq!(all, 800);
        for stratum in &strata {
            assert!(
                stratum.drawn * all >= 59 * stratum.population,
                "{stratum:?}"
            );
        }
        assert!((59..59 + 3).contains(&drawn.len()), "{}", drawn.len());
    }

    #[test]
    fn an_auditor_draws_it_with_sha256_and_sort() {
        // printf '0707…07\nperson\ncareer\np-1\n2026-10-01' | sha256sum
        let drawn = Drawn {
            stratum: "career".into(),
            actor: "p-1".into(),
            day: day(1),
        };
        let text = format!("{}\nperson\ncareer\np-1\n2026-10-01", "07".repeat(32));
        let expected: [u8; 32] = Sha256::digest(text).into();
        assert_eq!(place(&[7; 32], Sort::Person, &drawn), expected);
    }

    #[test]
    fn a_small_population_is_taken_whole() {
        let office = office(5, 3);
        let (_, drawn) = office.draw(&[1; 32], Sort::Person, 59);
        assert_eq!(drawn.len(), office.len());
        assert!(
            Population::default()
                .draw(&[1; 32], Sort::Person, 59)
                .1
                .is_empty()
        );
    }

    #[test]
    fn a_day_counts_once_in_the_stratum_of_its_first_entry() {
        let mut population = Population::default();
        population.add("p", day(1), "a");
        population.add("p", day(1), "b");
        let (strata, drawn) = population.draw(&[0; 32], Sort::Person, 9);
        assert_eq!((strata.len(), &*drawn[0].stratum), (1, "a"));
    }

    proptest! {
        #[test]
        fn no_stratum_has_less_than_its_share(
            sizes in prop::collection::vec(1_usize..300, 1..8),
            needed in 1_usize..500,
        ) {
            let all: usize = sizes.iter().sum();
            for size in &sizes {
                let share = share(needed.min(all), *size, all);
                prop_assert!(share <= *size && share * all >= needed.min(all) * size);
            }
        }
    }
}
