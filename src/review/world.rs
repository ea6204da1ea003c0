//! What detectors look at: accesses with their words as numbers, days, and what is set for whom.

use std::collections::HashMap;

use super::finding::{Actor, Detector, ENTRIES_NAMED_MAX};
use crate::decision::rules::RuleSet;
use crate::domain::detector::Thresholds;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::proto::StoredEntry;

/// A day of the pack's calendar, counted from 1970-01-01.
pub(super) type Day = i32;

/// Entries that something rests on: the first of them, and how many there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) first: Vec<LogIndex>,
    pub(super) count: u64,
}

impl Evidence {
    pub(super) fn of(index: LogIndex) -> Self {
        let mut evidence = Self::default();
        evidence.add(index);
        evidence
    }

    pub(super) fn add(&mut self, index: LogIndex) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < ENTRIES_NAMED_MAX {
            self.first.push(index);
        }
    }
}

/// Who acts, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ActorId(pub(super) u32);

/// Something for each actor, by number.
#[derive(Debug)]
pub(super) struct ByActor<T>(Vec<T>);

impl<T> Default for ByActor<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> ByActor<T> {
    /// The actor's own. `None` only beyond what memory addresses.
    pub(super) fn of(&mut self, actor: ActorId) -> Option<&mut T> {
        let place = usize::try_from(actor.0).ok()?;
        if place >= self.0.len() {
            self.0.resize_with(place.checked_add(1)?, T::default);
        }
        self.0.get_mut(place)
    }
}

/// What one finding says, before it is known whether it makes a case.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) detector: Detector,
    /// It makes a case by itself; else it takes a second finding of another family.
    pub(super) suffices: bool,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) evidence: Evidence,
}

/// What was noted of the days that are wanted.
#[derive(Debug)]
pub(super) struct Notes {
    first: Day,
    last: Day,
    noted: HashMap<(ActorId, Day), Vec<Noted>>,
}

impl Notes {
    pub(super) fn new(first: Day, last: Day) -> Self {
        Self {
            first,
            last,
            noted: HashMap::new(),
        }
    }

    /// Whether anybody wants to know of that day.
    pub(super) fn wants(&self, day: Day) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// Notes a finding, where its day is wanted.
    pub(super) fn tell(&mut self, actor: ActorId, day: Day, noted: impl FnOnce() -> Noted) {
        if self.wants(day) {
            self.noted.entry((actor, day)).or_default().push(noted());
        }
    }

    pub(super) fn into_noted(self) -> HashMap<(ActorId, Day), Vec<Noted>> {
        self.noted
    }
}

/// One decision, as detectors look at it.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) index: LogIndex,
    /// Microseconds since the epoch.
    pub(super) at: i64,
    pub(super) day: Day,
    pub(super) hour: u8,
    pub(super) actor: ActorId,
    pub(super) is_person: bool,
    /// The service that asked.
    pub(super) caller: ActorId,
    /// The set of roles, by number.
    pub(super) roles: usize,
    pub(super) allowed: bool,
    /// The block that the device is in.
    pub(super) block: Option<Block>,
    /// Whose data, shortened: none where nobody is named.
    pub(super) subjects: &'a [u64],
    /// How many people's records it is for that this person hadn't had that day.
    pub(super) new_records: u64,
    pub(super) entry: &'a StoredEntry,
}

impl Look<'_> {
    /// Somebody opens the data of one person, or of very few; a list of search results is not a look at each of them.
    pub(super) fn is_close(&self) -> bool {
        self.allowed && (1..=CLOSE_MAX).contains(&self.subjects.len())
    }
}

/// So many people at most are looked at closely at once.
pub(super) const CLOSE_MAX: usize = 3;

/// A block of addresses: a /24 of IPv4, a /48 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Block(std::net::IpAddr);

impl Block {
    pub(super) fn of(address: &str) -> Option<Self> {
        use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
        Some(Self(
            match crate::domain::network::parse_address(address).ok()? {
                IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
                IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
            },
        ))
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{length}", self.0)
    }
}

/// What an actor did on one day.
#[derive(Debug)]
pub(super) struct Today {
    pub(super) actor: ActorId,
    pub(super) is_person: bool,
    pub(super) roles: usize,
    /// People's records that were allowed, each person that is named counted once.
    pub(super) records: u64,
    pub(super) accesses: Evidence,
    /// Of them, by an export or a provision.
    pub(super) exported: u64,
    pub(super) exports: Evidence,
    /// How many different people were looked at in the last seven days, lists not counted.
    pub(super) named_lately: u64,
}

/// What each detector goes by for one set of roles.
type OfRoles = [Option<Thresholds>; Detector::ALL.len()];

/// Pseudonyms of people's own data, by their shortened form.
type Owners = HashMap<u64, Vec<([u8; 32], Box<str>)>>;

/// What is the same for all detectors.
#[derive(Debug)]
pub(super) struct World<'r> {
    rules: &'r RuleSet,
    persons: HashMap<Box<str>, ActorId>,
    workloads: HashMap<Box<str>, ActorId>,
    names: Vec<Actor>,
    role_sets: HashMap<Vec<String>, usize>,
    /// By set of roles: what is set, and the first role's number.
    of_roles: Vec<(OfRoles, usize)>,
    roles: HashMap<String, usize>,
    /// Whose own data a subject's are.
    owners: Owners,
}

impl<'r> World<'r> {
    pub(super) fn new<'p>(rules: &'r RuleSet, people: impl Iterator<Item = &'p Person>) -> Self {
        let mut owners = Owners::new();
        for person in people {
            for subject in &person.subjects {
                let of = owners.entry(short(&subject.0)).or_default();
                of.push((subject.0, (&*person.id).into()));
            }
        }
        Self {
            rules,
            persons: HashMap::new(),
            workloads: HashMap::new(),
            names: Vec::new(),
            role_sets: HashMap::new(),
            of_roles: Vec::new(),
            roles: HashMap::new(),
            owners,
        }
    }

    /// Who acted, if anybody is named.
    pub(super) fn actor(&mut self, is_person: bool, id: &str) -> Option<ActorId> {
        let known = if is_person {
            &mut self.persons
        } else {
            &mut self.workloads
        };
        if let Some(known) = known.get(id) {
            return Some(*known);
        }
        let name = Name::parse(id).ok()?;
        let number = ActorId(u32::try_from(self.names.len()).ok()?);
        known.insert(id.into(), number);
        self.names.push(if is_person {
            Actor::Person(name)
        } else {
            Actor::Workload(name)
        });
        Some(number)
    }

    pub(super) fn name(&self, actor: ActorId) -> Option<&Actor> {
        self.names.get(usize::try_from(actor.0).ok()?)
    }

    /// The number of a set of roles.
    pub(super) fn role_set(&mut self, roles: &[String]) -> usize {
        if let Some(known) = self.role_sets.get(roles) {
            return *known;
        }
        let names: Vec<&str> = roles.iter().map(String::as_str).collect();
        let mut of: OfRoles = [None; Detector::ALL.len()];
        for detector in Detector::ALL {
            if let Some(place) = of.get_mut(detector as usize) {
                *place = self.rules.thresholds(detector, &names);
            }
        }
        let first = roles.first().cloned().unwrap_or_default();
        let next = self.roles.len();
        let first = *self.roles.entry(first).or_insert(next);
        let number = self.of_roles.len();
        self.of_roles.push((of, first));
        self.role_sets.insert(roles.to_vec(), number);
        number
    }

    /// What a detector goes by for a set of roles; `None` where it doesn't look.
    pub(super) fn limits(&self, roles: usize, detector: Detector) -> Option<Limits> {
        let of = &self.of_roles.get(roles)?.0;
        (*of.get(detector as usize)?).map(|of| Limits {
            score: f64::from(of.score.unwrap_or(0)) / 10.0,
            least: of.least.unwrap_or(1),
            within: of.within.map_or(0, |within| {
                i64::try_from(within.as_micros()).unwrap_or(i64::MAX)
            }),
        })
    }

    /// The number of the first role of a set: with whom its people are compared.
    pub(super) fn first_role(&self, roles: usize) -> usize {
        self.of_roles.get(roles).map_or(0, |(_, first)| *first)
    }

    /// The person of the directory whose own data a subject's are.
    pub(super) fn owner(&self, subject: &[u8]) -> Option<&str> {
        let of = self.owners.get(&short(subject))?;
        let mut of = of.iter().filter(|(own, _)| own == subject);
        of.next().map(|(_, person)| &**person)
    }
}

/// What a detector goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) score: f64,
    pub(super) least: u64,
    /// Microseconds.
    pub(super) within: i64,
}

/// A pseudonym is a keyed hash: its first bytes are one, too.
pub(super) fn short(pseudonym: &[u8]) -> u64 {
    let first = pseudonym.first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The calendar of a pack's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    /// Microseconds.
    offset: i64,
}

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

impl Calendar {
    pub(super) fn new(offset: time::UtcOffset) -> Self {
        Self {
            offset: i64::from(offset.whole_seconds()).saturating_mul(1_000_000),
        }
    }

    pub(super) fn day(self, at: i64) -> Day {
        let day = at.saturating_add(self.offset).div_euclid(DAY);
        i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
    }

    pub(super) fn hour(self, at: i64) -> u8 {
        let within = at.saturating_add(self.offset).rem_euclid(DAY);
        u8::try_from(within / HOUR).unwrap_or(0)
    }

    /// The first instant of a day.
    pub(super) fn beginning(self, day: Day) -> Timestamp {
        Timestamp::from_micros(
            i64::from(day)
                .saturating_mul(DAY)
                .saturating_sub(self.offset),
        )
    }
}

/// Saturday or Sunday. 1970-01-01 was a Thursday.
pub(super) const fn is_weekend(day: Day) -> bool {
    day.saturating_add(3).rem_euclid(7) >= 5
}

/// Julian days of 1970-01-01.
const EPOCH: i32 = 2_440_588;

pub(super) fn day_of(date: time::Date) -> Day {
    date.to_julian_day().saturating_sub(EPOCH)
}

pub(super) fn date_of(day: Day) -> time::Date {
    time::Date::from_julian_day(day.saturating_add(EPOCH)).unwrap_or(time::Date::MAX)
}
