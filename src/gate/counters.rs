//! How many people's records each person has reached lately: sliding windows, in memory, rebuilt from the log at start.
//! Bounded by the limits themselves, since nothing past a limit is counted but what was reported afterwards.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::decision::rules::{Actions, Limit};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;

const SHARDS: usize = 64;

/// What one access adds to one count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charge {
    /// Id of the limit.
    pub(super) limit: Box<str>,
    pub(super) way: Way,
    /// People newly counted that nobody named.
    pub(super) unnamed: u64,
    /// Those newly counted by name.
    pub(super) named: Vec<Pseudonym>,
}

/// What a limit counts, and for how long. Limits of one id that count in another way, as before and after a change of the pack, have
/// counts of their own: what left the shorter window is still in the longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    actions: Actions,
    window: Duration,
}

impl Way {
    pub(super) const fn of(limit: &Limit) -> Self {
        Self {
            actions: limit.actions,
            window: limit.window,
        }
    }
}

/// Whether both limits have the same count.
pub(super) fn share_a_count(one: &Limit, other: &Limit) -> bool {
    one.id == other.id && Way::of(one) == Way::of(other)
}

/// A limit as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) id: &'a str,
    pub(super) people: u64,
    pub(super) way: Way,
}

#[derive(Debug, Default)]
struct Window {
    /// In order of time.
    counted: VecDeque<(Timestamp, Counted)>,
    /// Each named person who is counted.
    named: HashMap<Pseudonym, Named>,
    total: u64,
}

#[derive(Debug, Clone, Copy)]
struct Named {
    /// When they were counted.
    at: Timestamp,
    /// Another request was charged nothing for them because they were.
    relied_on: bool,
}

#[derive(Debug)]
enum Counted {
    Named(Pseudonym),
    Unnamed(u64),
}

impl Window {
    /// Forgets what left the window: it counted up to and including `window` after. What was counted while the clock was ahead by
    /// more than that counts as of `window` to come: once the clock is set right, nobody waits for it to be there again.
    fn slide(&mut self, now: Timestamp, window: Duration) {
        let furthest = now.plus(window);
        for (at, counted) in self.counted.iter_mut().rev() {
            if *at <= furthest {
                break;
            }
            if let Counted::Named(subject) = counted
                && let Some(named) = self.named.get_mut(subject)
                && named.at == *at
            {
                named.at = furthest;
            }
            *at = furthest;
        }
        let from = now.minus(window);
        while let Some((at, _)) = self.counted.front() {
            if *at >= from {
                break;
            }
            match self.counted.pop_front() {
                Some((at, Counted::Named(subject))) => {
                    if self.named.get(&subject).is_some_and(|named| named.at == at) {
                        self.named.remove(&subject);
                    }
                    self.total = self.total.saturating_sub(1);
                }
                Some((_, Counted::Unnamed(count))) => self.total = self.total.saturating_sub(count),
                None => break,
            }
        }
    }

    fn add(&mut self, at: Timestamp, charge: &Charge, window: Duration) {
        self.slide(at, window);
        // A clock that stepped back must not put a new count before older ones, or it would leave too early.
        let at = self.counted.back().map_or(at, |(last, _)| at.max(*last));
        for subject in &charge.named {
            let named = Named {
                at,
                relied_on: false,
            };
            // One who is counted already stays counted from then.
            if let Entry::Vacant(slot) = self.named.entry(*subject) {
                slot.insert(named);
                self.counted.push_back((at, Counted::Named(*subject)));
                self.total = self.total.saturating_add(1);
            }
        }
        if charge.unnamed > 0 {
            self.counted
                .push_back((at, Counted::Unnamed(charge.unnamed)));
            self.total = self.total.saturating_add(charge.unnamed);
        }
    }

    /// Takes a charge back, but for people whom another request relied on meanwhile: they stay counted.
    fn take_back(&mut self, charge: &Charge) {
        for subject in &charge.named {
            if self
                .named
                .get(subject)
                .is_some_and(|named| !named.relied_on)
            {
                self.named.remove(subject);
                self.forget_last(
                    1,
                    |counted| matches!(counted, Counted::Named(named) if named == subject),
                );
            }
        }
        if charge.unnamed > 0 {
            self.forget_last(
                charge.unnamed,
                |counted| matches!(counted, Counted::Unnamed(count) if *count == charge.unnamed),
            );
        }
    }

    fn forget_last(&mut self, people: u64, is_it: impl Fn(&Counted) -> bool) {
        if let Some(position) = self.counted.iter().rposition(|(_, counted)| is_it(counted)) {
            self.counted.remove(position);
            self.total = self.total.saturating_sub(people);
        }
    }
}

type Windows = HashMap<Box<str>, OfPerson>;

/// A person's windows: as many as there are limits, which are few.
#[derive(Debug, Default)]
struct OfPerson(Vec<(Box<str>, Way, Window)>);

impl OfPerson {
    fn get_mut(&mut self, limit: &str, way: Way) -> Option<&mut Window> {
        let mut all = self.0.iter_mut();
        let found = all.find(|(id, its, _)| *its == way && **id == *limit)?;
        Some(&mut found.2)
    }

    fn or_new(&mut self, limit: &str, way: Way) -> Option<&mut Window> {
        let mut all = self.0.iter();
        if !all.any(|(id, its, _)| *its == way && **id == *limit) {
            self.0.push((limit.into(), way, Window::default()));
        }
        self.get_mut(limit, way)
    }
}

/// All windows, by person and limit.
#[derive(Debug)]
pub(super) struct Counters {
    shards: Vec<Mutex<Windows>>,
    hasher: RandomState,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn with<T>(&self, person: &str, act: impl FnOnce(&mut Windows) -> T) -> Option<T> {
        let hash = usize::try_from(self.hasher.hash_one(person)).unwrap_or(0);
        let shard = self.shards.get(hash % SHARDS)?;
        let mut windows = shard.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut windows))
    }

    /// Counts an access on every bound, or on none: `Err` is the position of the first bound that it would pass. With
    /// `only_look` nothing is counted. `subjects` are the people named, `records` all people's records, theirs included.
    pub(super) fn reserve(
        &self,
        person: &str,
        bounds: &[Bound<'_>],
        subjects: &[Pseudonym],
        records: u64,
        now: Timestamp,
        only_look: bool,
    ) -> Result<Vec<Charge>, usize> {
        let mut distinct = subjects.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let people = u64::try_from(distinct.len()).unwrap_or(u64::MAX);
        let unnamed = records.saturating_sub(people);
        let reserved = self.with(person, |windows| {
            let windows = match windows.get_mut(person) {
                Some(windows) => windows,
                None => windows.entry(person.into()).or_default(),
            };
            let mut charges = Vec::with_capacity(bounds.len());
            for (position, bound) in bounds.iter().enumerate() {
                let Some(window) = windows.or_new(bound.id, bound.way) else {
                    return Err(position);
                };
                window.slide(now, bound.way.window);
                let named: Vec<Pseudonym> = distinct
                    .iter()
                    .filter(|subject| !window.named.contains_key(*subject))
                    .copied()
                    .collect();
                let newly = unnamed.saturating_add(u64::try_from(named.len()).unwrap_or(u64::MAX));
                if window.total.saturating_add(newly) > bound.people {
                    return Err(position);
                }
                charges.push(Charge {
                    limit: bound.id.into(),
                    way: bound.way,
                    unnamed,
                    named,
                });
            }
            if !only_look {
                for bound in bounds {
                    if let Some(window) = windows.get_mut(bound.id, bound.way) {
                        for subject in &distinct {
                            if let Some(named) = window.named.get_mut(subject) {
                                named.relied_on = true;
                            }
                        }
                    }
                }
                for charge in &charges {
                    if let Some(window) = windows.get_mut(&charge.limit, charge.way) {
                        window.add(now, charge, charge.way.window);
                    }
                }
            }
            Ok(charges)
        });
        reserved.unwrap_or(Err(0))
    }

    /// Counts without asking: what the log says was read, or what an outcome reports beyond its decision.
    pub(super) fn add(&self, person: &str, charges: &[Charge], at: Timestamp) {
        if charges.is_empty() {
            return;
        }
        self.with(person, |windows| {
            let windows = windows.entry(person.into()).or_default();
            for charge in charges {
                if let Some(window) = windows.or_new(&charge.limit, charge.way) {
                    window.add(at, charge, charge.way.window);
                }
            }
        });
    }

    /// Takes back what [`Self::reserve`] counted, for an access that came to nothing.
    pub(super) fn release(&self, person: &str, charges: &[Charge]) {
        self.with(person, |windows| {
            if let Some(windows) = windows.get_mut(person) {
                for charge in charges {
                    if let Some(window) = windows.get_mut(&charge.limit, charge.way) {
                        window.take_back(charge);
                    }
                }
            }
        });
    }

    /// Forgets windows that are empty, so that memory follows the people at work.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.retain(|_, way, window| {
            window.slide(now, way.window);
            !window.counted.is_empty()
        });
    }

    /// Forgets all counts but those of these limits.
    pub(super) fn keep(&self, limits: &[Limit]) {
        self.retain(|id, way, _| {
            let mut limits = limits.iter();
            limits.any(|limit| *limit.id == *id && Way::of(limit) == way)
        });
    }

    fn retain(&self, mut stays: impl FnMut(&str, Way, &mut Window) -> bool) {
        for shard in &self.shards {
            let mut windows = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for of_person in windows.values_mut() {
                let all = &mut of_person.0;
                all.retain_mut(|(id, way, window)| stays(id, *way, window));
            }
            windows.retain(|_, of_person| !of_person.0.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn way(window: Duration) -> Way {
        Way {
            actions: Actions::default(),
            window,
        }
    }

    fn bound(people: u64) -> [Bound<'static>; 1] {
        [Bound {
            id: "read",
            people,
            way: way(HOUR),
        }]
    }

    fn subject(number: u8) -> Pseudonym {
        Pseudonym([number; 32])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_person_seen_again_within_the_window_counts_once() {
        let counters = Counters::new();
        for second in 0..10 {
            let one = counters.reserve("p", &bound(1), &[subject(1)], 1, at(second), false);
            assert!(one.is_ok());
        }
        assert_eq!(
            counters.reserve("p", &bound(1), &[subject(2)], 1, at(11), false),
            Err(0)
        );
    }

    #[test]
    fn a_request_that_would_pass_the_limit_is_refused_whole() {
        let counters = Counters::new();
        assert!(
            counters
                .reserve("p", &bound(10), &[], 8, at(0), false)
                .is_ok()
        );
        assert_eq!(
            counters.reserve("p", &bound(10), &[], 3, at(1), false),
            Err(0)
        );
        assert!(
            counters
                .reserve("p", &bound(10), &[], 2, at(2), false)
                .is_ok()
        );
    }

    #[test]
    fn what_was_counted_leaves_after_the_window_and_not_before() {
        let counters = Counters::new();
        assert!(
            counters
                .reserve("p", &bound(10), &[], 10, at(0), false)
                .is_ok()
        );
        assert_eq!(
            counters.reserve("p", &bound(10), &[], 1, at(3600), false),
            Err(0)
        );
        assert!(
            counters
                .reserve("p", &bound(10), &[], 10, at(3601), false)
                .is_ok()
        );
    }

    #[test]
    fn the_larger_of_records_and_people_named_counts() {
        let counters = Counters::new();
        let named = [subject(1), subject(2), subject(2)];
        let charges = counters
            .reserve("p", &bound(10), &named, 5, at(0), false)
            .unwrap();
        assert_eq!((charges[0].named.len(), charges[0].unnamed), (2, 3));
        assert_eq!(
            counters.reserve("p", &bound(10), &[], 6, at(1), true),
            Err(0)
        );
        assert!(
            counters
                .reserve("p", &bound(10), &[], 5, at(1), true)
                .is_ok()
        );
    }

    #[test]
    fn looking_counts_nothing_and_a_release_gives_all_back() {
        let counters = Counters::new();
        for _ in 0..5 {
            assert!(
                counters
                    .reserve("p", &bound(10), &[], 10, at(0), true)
                    .is_ok()
            );
        }
        let charges = counters
            .reserve("p", &bound(10), &[subject(1)], 10, at(0), false)
            .unwrap();
        counters.release("p", &charges);
        let again = counters.reserve("p", &bound(10), &[subject(2)], 10, at(0), false);
        assert!(again.is_ok());
    }

    #[test]
    fn a_release_forgets_nobody_whom_another_request_relied_on() {
        let counters = Counters::new();
        let first = counters
            .reserve("p", &bound(1), &[subject(1)], 1, at(0), false)
            .unwrap();
        assert!(
            counters
                .reserve("p", &bound(1), &[subject(1)], 1, at(1), false)
                .is_ok()
        );
        counters.release("p", &first);
        assert_eq!(
            counters.reserve("p", &bound(1), &[subject(2)], 1, at(2), false),
            Err(0)
        );
    }

    #[test]
    fn somebody_reported_again_within_the_window_is_free_no_longer_than_it() {
        let counters = Counters::new();
        let one = [Charge {
            limit: "read".into(),
            way: way(HOUR),
            unnamed: 0,
            named: vec![subject(1)],
        }];
        counters.add("p", &one, at(0));
        counters.add("p", &one, at(1_800));
        let again = counters.reserve("p", &bound(1), &[subject(1)], 1, at(3_700), false);
        assert_eq!(again.unwrap()[0].named, [subject(1)]);
    }

    #[test]
    fn somebody_counted_again_after_the_window_is_counted_anew() {
        let counters = Counters::new();
        let one = [Charge {
            limit: "read".into(),
            way: way(HOUR),
            unnamed: 0,
            named: vec![subject(1)],
        }];
        counters.add("p", &one, at(0));
        counters.add("p", &one, at(7_200));
        assert_eq!(
            counters.reserve("p", &bound(1), &[subject(2)], 1, at(7_201), true),
            Err(0)
        );
        assert!(
            counters
                .reserve("p", &bound(1), &[subject(2)], 1, at(10_801), true)
                .is_ok()
        );
    }

    #[test]
    fn what_was_counted_far_ahead_leaves_two_windows_after_the_clock_was_set_right() {
        let counters = Counters::new();
        let month = 30 * 24 * 3_600;
        let reserve = |subjects: &[Pseudonym], second| {
            counters
                .reserve("p", &bound(3), subjects, 1, at(second), false)
                .is_ok()
        };
        assert!(reserve(&[subject(1)], month) && reserve(&[], month + 1));
        // It counts on, and what is new comes behind it.
        assert!(reserve(&[subject(2)], 0) && !reserve(&[], 1));
        assert!(reserve(&[subject(1)], 7_200), "counted already");
        assert!(!reserve(&[subject(3)], 7_200));
        assert!(reserve(&[subject(3)], 7_203) && reserve(&[subject(4), subject(5)], 7_204));
        assert!(!reserve(&[], 7_204));
    }

    #[test]
    fn a_clock_that_steps_back_frees_nobody_early() {
        let counters = Counters::new();
        assert!(
            counters
                .reserve("p", &bound(10), &[], 5, at(1000), false)
                .is_ok()
        );
        assert!(
            counters
                .reserve("p", &bound(10), &[], 5, at(0), false)
                .is_ok()
        );
        assert_eq!(
            counters.reserve("p", &bound(10), &[], 1, at(4600), false),
            Err(0)
        );
    }

    #[test]
    fn limits_of_one_id_that_count_for_longer_have_a_count_of_their_own() {
        let counters = Counters::new();
        let [short] = bound(1);
        let long = Bound {
            way: way(HOUR * 24),
            ..short
        };
        let reserve = |bound: Bound<'_>, person: u8, second| {
            counters.reserve("p", &[bound], &[subject(person)], 1, at(second), false)
        };
        let charge = Charge {
            way: long.way,
            ..reserve(short, 1, 0).unwrap().remove(0)
        };
        counters.add("p", &[charge], at(0));
        // It left the shorter one, and that one's look forgets nothing of the other.
        let second = reserve(short, 2, 7_200).unwrap();
        assert_eq!(reserve(long, 2, 7_200), Err(0));
        counters.release("p", &second);
        assert_eq!(reserve(long, 2, 7_201), Err(0));
        counters.tidy(at(20_000));
        assert_eq!(reserve(long, 2, 20_000), Err(0));
        counters.keep(&[]);
        assert!(reserve(long, 2, 20_000).is_ok());
    }

    #[test]
    fn fifty_at_once_dont_pass_a_limit_together() {
        let counters = Counters::new();
        let allowed = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    if counters
                        .reserve("p", &bound(20), &[], 1, at(0), false)
                        .is_ok()
                    {
                        allowed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 20);
    }
}
