//! A year of an office's accesses, made up from a seed, day by day: people of six roles who work much or little, come and go, have
//! holidays, weekends, busy quarters' ends, monthly exports, overtime and business trips, mistype and retry. Into it forty misuses of
//! twelve kinds are put, and it is known who did them when.

use std::collections::HashSet;

use sekisho::domain::ids::Name;
use sekisho::domain::person::Person;
use sekisho::domain::subject::Pseudonym;
use sekisho::proto::{
    Action, Decision, EntryKind, ReasonCode, Relation, StoredEntry, StoredObligation, StoredReason,
};

use super::numbers::Numbers;

/// 2025-01-01 00:00 UTC, a Wednesday, and its day since 1970-01-01.
const BEGIN_US: i64 = 1_735_689_600_000_000;
const BEGIN_DAY: i32 = 20_089;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const SUBJECTS: u64 = 200_000;
/// Days that are no working days, from 0, besides weekends: national holidays, the Bon festival and the turn of the year.
const HOLIDAYS: [i32; 25] = [
    0, 1, 2, 12, 41, 53, 78, 118, 122, 123, 124, 201, 222, 224, 225, 226, 257, 265, 285, 306, 326,
    361, 362, 363, 364,
];
/// Misuses are put in after a past of so many days.
pub(crate) const PAST: i32 = 100;

struct Role {
    id: &'static str,
    /// Of a hundred people.
    share: u64,
    /// Accesses on a working day.
    mean: f64,
    /// Of seven days (with weekends) or of five, in hundredths.
    presence: u64,
    weekends: bool,
    purposes: &'static [&'static str],
    /// Of a hundred accesses, those to somebody whom they aren't assigned to.
    unassigned: f64,
}

const ROLES: [Role; 6] = [
    Role {
        id: "call-centre",
        share: 25,
        mean: 55.0,
        presence: 68,
        weekends: true,
        purposes: &["enquiry", "complaint", "contract"],
        unassigned: 30.0,
    },
    Role {
        id: "sales",
        share: 30,
        mean: 28.0,
        presence: 93,
        weekends: false,
        purposes: &["proposal", "contract", "enquiry", "billing"],
        unassigned: 0.1,
    },
    Role {
        id: "clerk",
        share: 20,
        mean: 22.0,
        presence: 94,
        weekends: false,
        purposes: &["billing", "contract", "statistics"],
        unassigned: 0.1,
    },
    Role {
        id: "manager",
        share: 10,
        mean: 7.0,
        presence: 92,
        weekends: false,
        purposes: &["supervision", "complaint"],
        unassigned: 0.5,
    },
    Role {
        id: "part-time",
        share: 10,
        mean: 1.0,
        presence: 60,
        weekends: false,
        purposes: &["billing"],
        unassigned: 0.0,
    },
    Role {
        id: "personnel",
        share: 5,
        mean: 15.0,
        presence: 94,
        weekends: false,
        purposes: &["employment", "payroll"],
        unassigned: 0.0,
    },
];
const PERSONNEL: usize = 5;

struct Worker {
    id: String,
    role: usize,
    department: String,
    mean: f64,
    /// Hours at which they begin and end.
    hours: (f64, f64),
    office: u64,
    home: Option<u64>,
    from: i32,
    until: i32,
    /// Two holidays of their own.
    away: [(i32, i32); 2],
    /// Exports its figures every month.
    reports: bool,
    own: Option<[u8; 32]>,
}

/// Kinds of misuse, and how many there are of each.
pub(crate) const KINDS: [(&str, usize); 12] = [
    ("bulk reading", 4),
    ("slow crawl", 4),
    ("scraping", 4),
    ("one subject, many eyes", 4),
    ("own or colleague's record", 3),
    ("export burst", 3),
    ("purpose made to fit", 3),
    ("stolen account at night", 3),
    ("dormant account", 3),
    ("account in two places", 3),
    ("not assigned", 3),
    ("outcome missing or larger", 3),
];

/// One misuse.
pub(crate) struct Misuse {
    pub(crate) kind: usize,
    /// Who did something on which day since 1970-01-01; any of these found is the misuse found.
    pub(crate) done: HashSet<(String, i32)>,
}

struct Planned {
    kind: usize,
    day: i32,
    worker: usize,
    number: u64,
    of: usize,
}

pub(crate) struct Year {
    seed: u64,
    days: i32,
    workers: Vec<Worker>,
    planned: Vec<Planned>,
    pub(crate) misuses: Vec<Misuse>,
    decisions: u64,
}

fn part(numbers: &mut Numbers) -> f64 {
    f64::from(u32::try_from(numbers.below(1 << 30)).unwrap_or(0)) / f64::from(1_u32 << 30)
}

/// Nearly a normal deviate (the sum of twelve).
fn deviate(numbers: &mut Numbers) -> f64 {
    (0..12).map(|_| part(numbers)).sum::<f64>() - 6.0
}

fn chance(numbers: &mut Numbers, hundredths: f64) -> bool {
    part(numbers) * 100.0 < hundredths
}

fn pick(numbers: &mut Numbers, from: i32, until: i32) -> i32 {
    let span = u64::try_from((until - from).max(1)).unwrap_or(1);
    from + i32::try_from(numbers.below(span)).unwrap_or(0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

#[allow(clippy::cast_possible_truncation)]
fn at(day: i32, hours: f64) -> i64 {
    BEGIN_US + i64::from(day) * DAY + (hours * HOUR as f64) as i64
}

fn bytes<const N: usize>(number: u64) -> [u8; N] {
    let mut numbers = Numbers(number);
    std::array::from_fn(|_| u8::try_from(numbers.below(256)).unwrap_or(0))
}

fn subject(number: u64) -> [u8; 32] {
    bytes(number)
}

fn own_of(number: usize) -> [u8; 32] {
    subject(10_000_000 + number as u64)
}

fn is_weekend(day: i32) -> bool {
    (day + 2) % 7 >= 5
}

fn works(day: i32) -> bool {
    !is_weekend(day) && !HOLIDAYS.contains(&(day % 365))
}

fn address(block: u64) -> String {
    format!(
        "10.{}.{}.{}",
        block / 256 % 256,
        block % 256,
        10 + block % 200
    )
}

impl Year {
    /// `days` of an office of so many people.
    pub(crate) fn new(seed: u64, people: usize, days: i32) -> Self {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9));
        let mut workers = Vec::new();
        for number in 0..people {
            let mut share = number as u64 * 37 % 100;
            let role = ROLES
                .iter()
                .position(|role| {
                    let here = share < role.share;
                    share = share.saturating_sub(role.share);
                    here
                })
                .unwrap_or(0);
            let of = &ROLES[role];
            let begins = 9.0 + deviate(&mut numbers) * 0.7;
            let joins = chance(&mut numbers, 10.0);
            let leaves = chance(&mut numbers, 10.0);
            let office = numbers.below(12);
            let home = chance(&mut numbers, 40.0).then(|| 1_000 + number as u64 * 20);
            let reports = matches!(role, 1 | 2) && chance(&mut numbers, 8.0);
            let away = [0, 1].map(|_| {
                let from = pick(&mut numbers, 0, days);
                (from, from + pick(&mut numbers, 4, 11))
            });
            workers.push(Worker {
                id: format!("worker-{number}"),
                role,
                department: format!("department-{office}"),
                mean: of.mean * (deviate(&mut numbers) * 0.35).exp(),
                hours: (begins, begins + 8.5 + part(&mut numbers)),
                office,
                home,
                from: if joins {
                    pick(&mut numbers, 0, days)
                } else {
                    0
                },
                until: if leaves && !joins {
                    pick(&mut numbers, 60, days)
                } else {
                    days
                },
                away,
                reports,
                own: chance(&mut numbers, 40.0).then(|| own_of(number)),
            });
        }
        let mut year = Self {
            seed,
            days,
            workers,
            planned: Vec::new(),
            misuses: Vec::new(),
            decisions: 0,
        };
        year.plan(&mut numbers);
        year
    }

    /// The people of the directory, with the pseudonyms of their own data.
    pub(crate) fn directory(&self) -> Vec<Person> {
        let named = |text: &str| Name::parse(text).unwrap();
        let people = self.workers.iter().map(|worker| {
            let mut person = Person::new(named(&worker.id), named(&worker.department));
            person.subjects = worker.own.iter().map(|own| Pseudonym(*own)).collect();
            person
        });
        people.collect()
    }

    /// How many work in the middle of it.
    pub(crate) fn people(&self) -> usize {
        let middle = self.days / 2;
        let there = |worker: &&Worker| worker.from <= middle && middle < worker.until;
        self.workers.iter().filter(there).count()
    }

    fn plan(&mut self, numbers: &mut Numbers) {
        let kinds: Vec<usize> = KINDS
            .iter()
            .enumerate()
            .flat_map(|(kind, (_, count))| std::iter::repeat_n(kind, *count))
            .collect();
        let span = self.days - 20 - PAST;
        for (number, kind) in kinds.iter().enumerate() {
            let step = i32::try_from(number * 7 % kinds.len()).unwrap_or(0);
            let mut day = PAST + span * step / i32::try_from(kinds.len()).unwrap_or(1);
            while !works(day) {
                day += 1;
            }
            self.misuses.push(Misuse {
                kind: *kind,
                done: HashSet::new(),
            });
            let suits = |worker: &Worker, day: i32| match kind {
                // Somebody who left, and whose account was forgotten.
                8 => (75..300).contains(&(day - worker.until)) && worker.from < worker.until - 20,
                // Of roles that don't do that all day.
                10 => matches!(worker.role, 1..=3),
                4 => worker.role != PERSONNEL && worker.own.is_some(),
                // Whoever has hardly a past is not known to do more than usual.
                0 | 1 | 5 => worker.role <= 3,
                _ => worker.role <= 3,
            } && (*kind == 8
                || worker.from + 60 < day
                    && day + 15 < worker.until
                    && worker.away.iter().all(|(from, until)| day + 14 < *from || *until < day));
            let mut some: Vec<usize> = (0..self.workers.len())
                .filter(|worker| suits(&self.workers[*worker], day))
                // Who came back once is not away any more.
                .filter(|worker| {
                    let mut planned = self.planned.iter();
                    *kind != 8 || !planned.any(|one| one.kind == 8 && one.worker == *worker)
                })
                .collect();
            if some.is_empty() && *kind == 8 {
                // Nobody has left so long ago: one who will be away from today on.
                let worker = (0..self.workers.len())
                    .find(|worker| {
                        let worker = &self.workers[*worker];
                        worker.until == self.days && worker.from == 0 && worker.role <= 3
                    })
                    .unwrap_or(0);
                self.workers[worker].until = day - 80;
                some = vec![worker];
            }
            let first = some[usize::try_from(numbers.below(some.len() as u64)).unwrap_or(0)];
            let shares = |day: i32, worker: usize| Planned {
                kind: *kind,
                day,
                worker,
                number: number as u64,
                of: number,
            };
            match kind {
                1 => {
                    let mut on = day;
                    for _ in 0..10 {
                        while !works(on) {
                            on += 1;
                        }
                        self.planned.push(shares(on, first));
                        on += 1;
                    }
                }
                3 => {
                    for share in 0..14_usize {
                        let on = day + i32::try_from(share / 4).unwrap_or(0);
                        let worker = some[(first + share * 3) % some.len()];
                        self.planned.push(shares(on, worker));
                    }
                }
                _ => self.planned.push(shares(day, first)),
            }
        }
        for planned in &self.planned {
            let who = self.workers[planned.worker].id.clone();
            let done = &mut self.misuses[planned.of].done;
            done.insert((who, BEGIN_DAY + planned.day));
        }
    }

    /// The entries of one day, counted from 0, in the order of time.
    pub(crate) fn day(&mut self, day: i32) -> Vec<StoredEntry> {
        let mut entries = Vec::new();
        let mut numbers = Numbers(self.seed ^ (u64::from(day.unsigned_abs()) << 32));
        // A little more each month, and half as much again at the end of a quarter.
        let season = 1.0 + 0.2 * f64::from(day) / 365.0;
        let quarter = matches!(day % 365 % 91, 87..=90);
        let season = if quarter { season * 1.5 } else { season };
        for place in 0..self.workers.len() {
            let worker = &self.workers[place];
            let of = &ROLES[worker.role];
            let there = (worker.from..worker.until).contains(&day)
                && worker
                    .away
                    .iter()
                    .all(|(from, until)| day < *from || *until < day)
                && (works(day) || (of.weekends && !HOLIDAYS.contains(&(day % 365))))
                && chance(&mut numbers, of.presence as f64);
            let overtime = !is_weekend(day) && !works(day) && chance(&mut numbers, 1.0)
                || is_weekend(day) && !of.weekends && chance(&mut numbers, 0.5);
            if there || (overtime && (worker.from..worker.until).contains(&day)) {
                let season = if there { season } else { 0.3 };
                let mut of_day = OfDay::new(self.seed, day, place, worker, &mut numbers);
                self.decisions += of_day.usual(worker, season, &mut numbers);
                entries.append(&mut of_day.entries);
            }
        }
        for planned in self.planned.iter().filter(|planned| planned.day == day) {
            let mut numbers =
                Numbers(self.seed ^ 0x5eed ^ (planned.number << 20) ^ planned.worker as u64);
            let worker = &self.workers[planned.worker];
            let mut of_day = OfDay::new(self.seed, day, planned.worker, worker, &mut numbers);
            let own_of_other = self
                .workers
                .iter()
                .filter(|other| other.id != worker.id)
                .find_map(|other| other.own);
            of_day.misuse(planned, worker, own_of_other, &mut numbers);
            entries.append(&mut of_day.entries);
        }
        entries.sort_by_key(|entry| entry.time_us);
        entries
    }
}

/// One worker's day.
struct OfDay<'w> {
    id: u64,
    day: i32,
    worker: &'w Worker,
    block: u64,
    entries: Vec<StoredEntry>,
}

impl<'w> OfDay<'w> {
    fn new(seed: u64, day: i32, place: usize, worker: &'w Worker, numbers: &mut Numbers) -> Self {
        let block = match worker.home {
            // The provider gives another address now and then.
            Some(home) if chance(numbers, 40.0) => home + u64::from(day.unsigned_abs()) / 45,
            _ if chance(numbers, 0.4) => 30_000 + numbers.below(20_000),
            _ => worker.office,
        };
        Self {
            id: seed ^ (place as u64) << 40 ^ u64::from(day.unsigned_abs()) << 20,
            day,
            worker,
            block,
            entries: Vec::new(),
        }
    }

    fn entry(&mut self, time_us: i64, action: Action, subjects: Vec<Vec<u8>>) -> StoredEntry {
        self.id += 1;
        let role = &ROLES[self.worker.role];
        let named = subjects.len() as u64;
        StoredEntry {
            time_us,
            kind: EntryKind::Decision.into(),
            decision_id: bytes::<16>(self.id).to_vec(),
            caller: "crm".to_owned(),
            caller_ip: "10.200.0.1".to_owned(),
            person: self.worker.id.clone(),
            roles: vec![role.id.to_owned()],
            department: self.worker.department.clone(),
            client_ip: address(self.block),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
            second_step_us: time_us - HOUR,
            session: bytes::<16>(self.id >> 20).to_vec(),
            action: action.into(),
            system: "customers".to_owned(),
            subject_kind: "customer".to_owned(),
            subjects,
            categories: vec!["contact".to_owned(), "contract".to_owned()],
            record_count: named.max(1),
            purpose: role.purposes
                [usize::try_from(self.id % role.purposes.len() as u64).unwrap_or(0)]
            .to_owned(),
            relation: Relation::Assigned.into(),
            decision: Decision::Allow.into(),
            policy_revision: vec![7; 32],
            rule: "policy.csv:12".to_owned(),
            valid_until_us: time_us + 60 * SECOND,
            allowed_records: named.max(1),
            session_used: true,
            ..StoredEntry::default()
        }
    }

    fn denied(entry: &mut StoredEntry, purpose: &str) {
        entry.decision = Decision::Deny.into();
        entry.allowed_records = 0;
        entry.valid_until_us = 0;
        entry.purpose = purpose.to_owned();
        entry.reasons = vec![StoredReason {
            code: ReasonCode::PurposeNotForCategory.into(),
            about: purpose.to_owned(),
        }];
    }

    /// An export whose outcome is reported later, if at all.
    fn export(&mut self, time_us: i64, records: u64, read: Option<u64>) {
        let mut entry = self.entry(time_us, Action::Export, Vec::new());
        entry.record_count = records;
        entry.allowed_records = records;
        entry.obligations = vec![StoredObligation {
            id: "report-outcome".to_owned(),
            report_outcome_by_us: time_us + DAY,
            ..StoredObligation::default()
        }];
        let outcome = read.map(|read| StoredEntry {
            time_us: time_us + 60 * SECOND,
            kind: EntryKind::Outcome.into(),
            decision_id: entry.decision_id.clone(),
            caller: entry.caller.clone(),
            person: entry.person.clone(),
            department: entry.department.clone(),
            action: entry.action,
            record_count: records,
            records_accessed: read,
            ..StoredEntry::default()
        });
        self.entries.push(entry);
        self.entries.extend(outcome);
    }

    /// The day's work; how many decisions it took.
    fn usual(&mut self, worker: &Worker, season: f64, numbers: &mut Numbers) -> u64 {
        let of = &ROLES[worker.role];
        let mean = worker.mean * season * (deviate(numbers) * 0.3 - 0.045).exp();
        let count = rounded(mean + mean.sqrt() * deviate(numbers)).max(1);
        let (begins, mut ends) = worker.hours;
        if chance(numbers, 4.0) {
            ends += 3.0 * part(numbers);
        }
        let office = self.block;
        let mine = 500 + worker.id.len() as u64;
        let base = bytes::<8>(u64::from_be_bytes(bytes(self.id >> 40)));
        let base = u64::from_be_bytes(base) % SUBJECTS;
        for _ in 0..count {
            let time = at(self.day, begins + (ends - begins) * part(numbers));
            // Mostly their own customers, else anybody's.
            let whose = if chance(numbers, 85.0) {
                (base + numbers.below(mine)) % SUBJECTS
            } else {
                numbers.below(SUBJECTS)
            };
            if chance(numbers, 0.3) {
                let records = 1 + numbers.below(20);
                let read = (!chance(numbers, 0.5)).then_some(records);
                self.export(time, records, read);
                continue;
            }
            if chance(numbers, 5.0) {
                let found = (0..10 + numbers.below(11)).map(|next| {
                    subject((base + next * 7 + numbers.below(mine)) % SUBJECTS).to_vec()
                });
                let found: Vec<Vec<u8>> = found.collect();
                let entry = self.entry(time, Action::Search, found);
                self.entries.push(entry);
                continue;
            }
            let colleague =
                worker.role == PERSONNEL && chance(numbers, 30.0) || chance(numbers, 0.002);
            let whom = if colleague {
                own_of(usize::try_from(numbers.below(40)).unwrap_or(0))
            } else {
                subject(whose)
            };
            let mut entry = self.entry(time, Action::Read, vec![whom.to_vec()]);
            if chance(numbers, of.unassigned) {
                entry.relation = Relation::None.into();
            } else if chance(numbers, 10.0) {
                entry.relation = Relation::Team.into();
            }
            if chance(numbers, 0.03) {
                entry.purpose = "research".to_owned();
            }
            if chance(numbers, 0.02 * 100.0 / (worker.mean * 20.0)) {
                entry.break_glass = true;
            }
            if chance(numbers, 1.5) {
                let again = entry.clone();
                Self::denied(&mut entry, "enquiry-other");
                if chance(numbers, 20.0) {
                    self.id += 1;
                    let again = StoredEntry {
                        time_us: time + 40 * SECOND,
                        decision_id: bytes::<16>(self.id).to_vec(),
                        ..again
                    };
                    self.entries.push(again);
                }
            }
            self.entries.push(entry);
        }
        // On the first working day of a month.
        let first = self.day % 30 == 0 && worker.reports;
        if first {
            let time = at(self.day, begins + 1.0);
            let records = 100 + numbers.below(200);
            self.export(time, records, Some(records));
        }
        debug_assert_eq!(office, self.block);
        count
    }

    fn read_somebody(&mut self, time: i64, whom: [u8; 32]) -> StoredEntry {
        let mut entry = self.entry(time, Action::Read, vec![whom.to_vec()]);
        entry.relation = Relation::Unspecified.into();
        entry
    }

    fn misuse(
        &mut self,
        planned: &Planned,
        worker: &Worker,
        colleague: Option<[u8; 32]>,
        numbers: &mut Numbers,
    ) {
        let (begins, ends) = worker.hours;
        let during = |numbers: &mut Numbers| begins + (ends - begins) * part(numbers);
        match planned.kind {
            0 => {
                let more = worker.mean * (4.0 + 4.0 * part(numbers));
                for _ in 0..rounded(more).max(80) {
                    let time = at(self.day, during(numbers));
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            1 => {
                for _ in 0..rounded(worker.mean * 0.8).max(15) {
                    let time = at(self.day, during(numbers));
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            2 => {
                let mut time = at(self.day, during(numbers));
                for _ in 0..60 + numbers.below(90) {
                    time += 800_000 + i64::try_from(numbers.below(700_000)).unwrap_or(0);
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            3 => {
                for _ in 0..2 {
                    let time = at(self.day, during(numbers));
                    let entry = self.read_somebody(time, subject(5_000_000 + planned.number));
                    self.entries.push(entry);
                }
            }
            4 => {
                let whom = match planned.number % 2 {
                    0 => worker.own,
                    _ => colleague,
                };
                for _ in 0..1 + numbers.below(3) {
                    let time = at(self.day, during(numbers));
                    let entry = self.read_somebody(time, whom.unwrap_or_default());
                    self.entries.push(entry);
                }
            }
            5 => {
                for _ in 0..1 + numbers.below(3) {
                    let records = 300 + numbers.below(1_200);
                    let time = at(self.day, during(numbers));
                    self.export(time, records, Some(records));
                }
            }
            6 => {
                for _ in 0..4 + numbers.below(3) {
                    let time = at(self.day, during(numbers));
                    let whom = subject(numbers.below(SUBJECTS));
                    let mut denied = self.read_somebody(time, whom);
                    Self::denied(&mut denied, "marketing");
                    let allowed = self.read_somebody(time + 50 * SECOND, whom);
                    self.entries.extend([denied, allowed]);
                }
            }
            7 => {
                self.block = 60_000 + planned.number;
                for _ in 0..30 + numbers.below(30) {
                    let time = at(self.day, 2.0 + 1.5 * part(numbers));
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            8 => {
                for _ in 0..10 + numbers.below(10) {
                    let time = at(self.day, during(numbers));
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            9 => {
                let (here, mut time) = (self.block, at(self.day, begins + 2.0));
                for turn in 0..16 {
                    self.block = if turn % 2 == 0 {
                        here
                    } else {
                        50_000 + planned.number
                    };
                    time += 60 * SECOND + i64::try_from(numbers.below(90)).unwrap_or(0) * SECOND;
                    let entry = self.read_somebody(time, subject(numbers.below(SUBJECTS)));
                    self.entries.push(entry);
                }
            }
            10 => {
                for _ in 0..10 + numbers.below(10) {
                    let time = at(self.day, during(numbers));
                    let whom = subject(numbers.below(SUBJECTS));
                    let mut entry = self.read_somebody(time, whom);
                    entry.relation = Relation::None.into();
                    self.entries.push(entry);
                }
            }
            _ if planned.number.is_multiple_of(2) => {
                for _ in 0..4 + numbers.below(3) {
                    self.export(at(self.day, during(numbers)), 10, None);
                }
            }
            _ => self.export(at(self.day, during(numbers)), 5, Some(200)),
        }
    }
}
