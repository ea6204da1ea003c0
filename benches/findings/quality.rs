//! How good findings are on a generated year: how many of the misuses that were put into it make a case, how many of the cases are a
//! misuse, and how many cases there are.

use std::collections::{BTreeMap, HashMap, HashSet};

use sekisho::decision::rules::RuleSet;
use sekisho::domain::detector::Detector;
use sekisho::domain::ids::LogIndex;
use sekisho::domain::time::Timestamp;
use sekisho::proto::{Decision, EntryKind, StoredEntry};
use sekisho::review::finding::{Actor, Case};
use sekisho::review::{Days, Scan};
use time::Date;

use super::year::{KINDS, PAST, Year};

/// Julian day of 1970-01-01, and 2025-01-01 in days since.
const EPOCH: i32 = 2_440_588;
const BEGIN_DAY: i32 = 20_089;
/// Days of a month.
const MONTH: f64 = 30.4375;

fn date(day: i32) -> Date {
    Date::from_julian_day(EPOCH + BEGIN_DAY + day).unwrap()
}

/// What came of one kind.
#[derive(Default, Clone, Copy)]
pub(crate) struct OfKind {
    pub(crate) done: usize,
    pub(crate) found: usize,
    pub(crate) naive: usize,
}

/// What came of a year.
pub(crate) struct Quality {
    pub(crate) entries: u64,
    pub(crate) people: usize,
    pub(crate) kinds: Vec<OfKind>,
    /// Cases from when on there is a past; those of break glass alone apart.
    pub(crate) cases: usize,
    pub(crate) break_glass: usize,
    /// Cases that are of a misuse.
    pub(crate) right: usize,
    pub(crate) months: f64,
    /// Alarms of an hourly z-score.
    pub(crate) naive: usize,
    pub(crate) naive_right: usize,
    /// In how many cases that are no misuse each detector is.
    pub(crate) wrong: BTreeMap<Detector, usize>,
}

impl Quality {
    pub(crate) fn recall(&self) -> f64 {
        share(
            self.kinds.iter().map(|kind| kind.found).sum(),
            self.kinds.iter().map(|kind| kind.done).sum(),
        )
    }

    /// Of the cases that are not there in any case, for break glass.
    pub(crate) fn precision(&self) -> f64 {
        share(self.right, self.cases - self.break_glass)
    }

    /// For 100 people and a month.
    pub(crate) fn budget(&self, cases: usize) -> f64 {
        cases as f64 * 100.0 / self.people as f64 / self.months
    }
}

pub(crate) fn share(part: usize, of: usize) -> f64 {
    part as f64 / (of.max(1)) as f64
}

/// Alarms where an hour of a person has more accesses than the mean and three standard deviations of all their hours before.
#[derive(Default)]
struct Naive {
    hours: HashMap<String, (u64, f64, f64)>,
    now: HashMap<String, u64>,
    hour: i64,
    alarms: Vec<(String, i32)>,
}

impl Naive {
    fn look(&mut self, entry: &StoredEntry, wanted: bool) {
        let hour = entry.time_us.div_euclid(3_600_000_000);
        if hour != self.hour {
            for (person, count) in std::mem::take(&mut self.now) {
                let (hours, sum, squares) = self.hours.entry(person.clone()).or_default();
                let (n, value) = (*hours as f64, count as f64);
                let mean = *sum / n.max(1.0);
                let deviation = (*squares / n.max(1.0) - mean * mean).max(0.0).sqrt();
                if wanted && *hours >= 30 && value > mean + 3.0 * deviation {
                    let day = i32::try_from(self.hour.div_euclid(24)).unwrap();
                    self.alarms.push((person, day));
                }
                *hours += 1;
                *sum += value;
                *squares += value * value;
            }
            self.hour = hour;
        }
        *self.now.entry(entry.person.clone()).or_default() += 1;
    }
}

/// Looks through a year in quarters, as a manager would.
pub(crate) fn quality(rules: &RuleSet, seed: u64, people: usize, days: i32) -> Quality {
    let mut year = Year::new(seed, people, days);
    let directory = year.directory();
    let newest = Timestamp::beginning_of(date(days), rules.utc_offset);
    let mut quarters = Vec::new();
    let mut first = PAST;
    while first < days {
        let last = (first + 90).min(days - 1);
        let wanted = Days::new(date(first), date(last)).unwrap();
        quarters.push((
            last,
            Some(Scan::new(rules, directory.iter(), wanted, newest)),
            wanted.read(rules.utc_offset).1,
        ));
        first = last + 1;
    }
    let mut naive = Naive::default();
    let mut index = 0_u64;
    let mut cases: Vec<Case> = Vec::new();
    for day in 0..days {
        for entry in year.day(day) {
            let time = Timestamp::from_micros(entry.time_us);
            for (_, scan, until) in &mut quarters {
                if let Some(scan) = scan.as_mut().filter(|_| time < *until) {
                    scan.take(LogIndex(index), &entry);
                }
            }
            if entry.kind == i32::from(EntryKind::Decision)
                && entry.decision == i32::from(Decision::Allow)
            {
                naive.look(&entry, day >= PAST);
            }
            index += 1;
        }
        for (last, scan, _) in &mut quarters {
            if day > *last + 31
                && let Some(scan) = scan.take()
            {
                cases.extend(scan.finish());
            }
        }
    }
    for (_, scan, _) in quarters {
        cases.extend(scan.map(Scan::finish).into_iter().flatten());
    }
    judge(&year, index, days, &cases, &naive)
}

fn judge(year: &Year, entries: u64, days: i32, cases: &[Case], naive: &Naive) -> Quality {
    let key = |case: &Case| match &case.actor {
        Actor::Person(id) | Actor::Workload(id) => {
            (id.to_string(), case.day.to_julian_day() - EPOCH)
        }
    };
    let found: HashSet<(String, i32)> = cases.iter().map(key).collect();
    let alarms: HashSet<&(String, i32)> = naive.alarms.iter().collect();
    let mut kinds = vec![OfKind::default(); KINDS.len()];
    let mut done: HashSet<&(String, i32)> = HashSet::new();
    for misuse in &year.misuses {
        let of = &mut kinds[misuse.kind];
        of.done += 1;
        of.found += usize::from(misuse.done.iter().any(|one| found.contains(one)));
        of.naive += usize::from(misuse.done.iter().any(|one| alarms.contains(one)));
        done.extend(&misuse.done);
    }
    let mut wrong = BTreeMap::new();
    let (mut right, mut break_glass) = (0, 0);
    for case in cases {
        if done.contains(&key(case)) {
            right += 1;
            continue;
        }
        if case
            .findings
            .iter()
            .any(|one| one.detector == Detector::BreakGlass)
        {
            break_glass += 1;
            continue;
        }
        for finding in &case.findings {
            *wrong.entry(finding.detector).or_default() += 1;
        }
    }
    Quality {
        entries,
        people: year.people(),
        kinds,
        cases: cases.len(),
        break_glass,
        right,
        months: f64::from(days - PAST) / MONTH,
        naive: naive.alarms.len(),
        naive_right: naive.alarms.iter().filter(|one| done.contains(one)).count(),
        wrong,
    }
}
