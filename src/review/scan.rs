//! Reads the log's entries in their order and tells what stands out on the days that are wanted. Memory: what each person did on each of
//! 91 days as a few numbers, whom they saw in the last seven, and some fifty bytes for each allowance of the days that are wanted.

use std::collections::HashMap;

use ::time::{Date, UtcOffset};

use super::cases::cases;
use super::detectors::{self, Detect, DoneAlone, Dormant, Outcomes};
use super::finding::Case;
use super::past::PAST_DAYS;
use super::seen::{LATELY, Seen, Watched};
use super::world::{
    ActorId, Block, CLOSE_MAX, Calendar, Day, Evidence, Look, Notes, Today, World, day_of, short,
};
use crate::decision::rules::RuleSet;
use crate::domain::access::{Action, Relation};
use crate::domain::ids::LogIndex;
use crate::domain::person::Person;
use crate::domain::reason::{ReasonCode, Stage};
use crate::domain::time::Timestamp;
use crate::proto::{Decision, EntryKind, StoredEntry};

/// How far back accounts are known to have been used: thirteen months.
const KNOWN_DAYS: i32 = 400;
/// How long after the last day outcomes and reviews of it are looked for.
const AFTER_DAYS: i32 = 31;

/// Days of the pack's calendar, from a first one to a last one, both of them included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days {
    first: Date,
    last: Date,
}

/// Why days can't be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DaysError {
    /// The last is before the first.
    #[error("ends before it begins")]
    EndsBefore,
    /// There are too many.
    #[error("is longer than {} days", Days::MAX)]
    TooMany,
}

impl Days {
    /// The most that are looked at at once: a quarter.
    pub const MAX: i64 = 92;

    /// From `first` to `last`.
    ///
    /// # Errors
    /// When they are in the wrong order, or more than [`Self::MAX`].
    pub fn new(first: Date, last: Date) -> Result<Self, DaysError> {
        if last < first {
            return Err(DaysError::EndsBefore);
        }
        if (last - first).whole_days() >= Self::MAX {
            return Err(DaysError::TooMany);
        }
        Ok(Self { first, last })
    }

    /// The first.
    #[must_use]
    pub const fn first(self) -> Date {
        self.first
    }

    /// The last.
    #[must_use]
    pub const fn last(self) -> Date {
        self.last
    }

    /// From when to when (before) entries have a say in what stands out on these days, where the clock reads `offset` from UTC: from
    /// thirteen months before, to a month after for what was reported and reviewed later.
    #[must_use]
    pub fn read(self, offset: UtcOffset) -> (Timestamp, Timestamp) {
        let calendar = Calendar::new(offset);
        let (first, last) = (day_of(self.first), day_of(self.last));
        (
            calendar.beginning(first.saturating_sub(KNOWN_DAYS)),
            calendar.beginning(last.saturating_add(AFTER_DAYS).saturating_add(1)),
        )
    }
}

/// The day that entries are at.
#[derive(Debug, Default)]
struct Now {
    day: Option<Day>,
    today: Vec<Today>,
    /// Where in `today` an actor is.
    places: HashMap<ActorId, usize>,
}

/// Looks through entries. The same entries, rules and people bring the same cases.
#[derive(Debug)]
pub struct Scan<'r> {
    world: World<'r>,
    calendar: Calendar,
    first: Day,
    last: Day,
    /// The day of the log's last entry: none that the scan may read is later, whatever the clock said.
    newest: Day,
    as_of: i64,
    notes: Notes,
    detectors: Vec<Box<dyn Detect>>,
    dormant: Dormant,
    outcomes: Outcomes,
    alone: DoneAlone,
    seen: Seen,
    now: Now,
    /// Of wanted days, the department of an actor's first entry.
    departments: HashMap<(ActorId, Day), Box<str>>,
}

impl<'r> Scan<'r> {
    /// For the findings of `days` under `rules`. `people` are those of the directory, whose own data are known by pseudonym; `as_of` is
    /// the time of the last entry of the log as it is looked at, which tells what is overdue.
    pub fn new<'p>(
        rules: &'r RuleSet,
        people: impl Iterator<Item = &'p Person>,
        days: Days,
        as_of: Timestamp,
    ) -> Self {
        let calendar = Calendar::new(rules.utc_offset);
        let (first, last) = (day_of(days.first), day_of(days.last));
        let (_, until) = days.read(rules.utc_offset);
        Self {
            world: World::new(rules, people),
            calendar,
            first,
            last,
            newest: calendar.day(as_of.micros()),
            // Outcomes that came later than what is read are not known to be missing.
            as_of: as_of.min(until).micros(),
            notes: Notes::new(first, last),
            detectors: detectors::all(),
            dormant: Dormant::default(),
            outcomes: Outcomes::default(),
            alone: DoneAlone::default(),
            seen: Seen::default(),
            now: Now::default(),
            departments: HashMap::new(),
        }
    }

    /// Takes the next entry, as it is opened. Entries come in the order of the log; those outside [`Days::read`] need not come.
    pub fn take(&mut self, index: LogIndex, entry: &StoredEntry) {
        let kind = EntryKind::try_from(entry.kind).unwrap_or(EntryKind::Unspecified);
        if kind == EntryKind::Outcome {
            self.outcomes.reported(&self.world, index, entry);
            return;
        }
        self.alone.reviewed(entry);
        let day = self.reach(self.calendar.day(entry.time_us));
        if day > self.last.saturating_add(LATELY) {
            return;
        }
        self.note_person(index, entry, day);
        if day < self.first.saturating_sub(PAST_DAYS).saturating_sub(LATELY) {
            return;
        }
        if kind == EntryKind::Decision {
            self.decided(index, entry, day);
        } else if DoneAlone::is_of(entry) && self.notes.wants(day) {
            self.done_alone(index, entry, day);
        }
    }

    /// What stands out, by day and then by who acted.
    #[must_use]
    pub fn finish(mut self) -> Vec<Case> {
        self.end_day();
        self.outcomes
            .finish(&self.world, self.as_of, &mut self.notes);
        self.alone.finish(&mut self.notes);
        let departments = &self.departments;
        cases(&self.world, self.notes.into_noted(), |actor, day| {
            departments.get(&(actor, day))
        })
    }

    /// Ends the days before `day`. An entry whose clock was set back counts on the day that the log had reached; one whose clock was
    /// ahead, on no later day than the log's last.
    fn reach(&mut self, day: Day) -> Day {
        let day = day.min(self.newest).max(self.now.day.unwrap_or(Day::MIN));
        if self.now.day != Some(day) {
            self.end_day();
            self.seen.forget(day);
            self.now.day = Some(day);
        }
        day
    }

    fn end_day(&mut self) {
        let Some(day) = self.now.day else { return };
        let mut today = std::mem::take(&mut self.now.today);
        self.now.places.clear();
        for one in &mut today {
            one.named_lately = self.seen.named_by(one.actor);
        }
        for detector in &mut self.detectors {
            detector.day_ends(&self.world, day, &today, &self.seen, &mut self.notes);
        }
    }

    fn department(&mut self, actor: ActorId, day: Day, entry: &StoredEntry) {
        if self.notes.wants(day) {
            let of = self.departments.entry((actor, day));
            of.or_insert_with(|| entry.department.as_str().into());
        }
    }

    /// An account is used by whatever its owner does in a session; a login that failed is none of its uses.
    fn note_person(&mut self, index: LogIndex, entry: &StoredEntry, day: Day) {
        if entry.person.is_empty() || entry.session.is_empty() {
            return;
        }
        let Some(actor) = self.world.actor(true, &entry.person) else {
            return;
        };
        self.department(actor, day, entry);
        let roles = self.world.role_set(&entry.roles);
        self.dormant
            .used(&self.world, (actor, roles), (day, index), &mut self.notes);
    }

    fn done_alone(&mut self, index: LogIndex, entry: &StoredEntry, day: Day) {
        let (is_person, id) = match (&*entry.person, &*entry.caller) {
            ("", "") => (false, HOST),
            ("", caller) => (false, caller),
            (person, _) => (true, person),
        };
        if let Some(actor) = self.world.actor(is_person, id) {
            self.department(actor, day, entry);
            self.alone.done(index, actor, day, entry);
        }
    }

    fn decided(&mut self, index: LogIndex, entry: &StoredEntry, day: Day) {
        // What is answered again as before is looked at once.
        if !entry.repeat_of.is_empty() {
            return;
        }
        let is_person = !entry.person.is_empty();
        if !is_person && !is_workload(entry) {
            return;
        }
        let id = if is_person {
            &entry.person
        } else {
            &entry.caller
        };
        let (Some(actor), Some(caller)) = (
            self.world.actor(is_person, id),
            self.world.actor(false, &entry.caller),
        ) else {
            return;
        };
        self.department(actor, day, entry);
        let roles = self.world.role_set(&entry.roles);
        let allowed = entry.decision == i32::from(Decision::Allow);
        let close = is_person && entry.subjects.len() <= CLOSE_MAX && allowed;
        let in_charge = entry.relation == Relation::Assigned.number();
        let mut new_records = 0_u64;
        let mut named = 0_u64;
        let mut subjects = Vec::with_capacity(entry.subjects.len());
        for (position, pseudonym) in entry.subjects.iter().enumerate() {
            if is_withheld(entry, position) {
                continue;
            }
            let subject = short(pseudonym);
            subjects.push(subject);
            named = named.saturating_add(1);
            let look = Watched {
                actor,
                day,
                index,
                close,
                in_charge,
            };
            if allowed && self.seen.note(subject, look) {
                new_records = new_records.saturating_add(1);
            }
        }
        if allowed {
            new_records =
                new_records.saturating_add(entry.allowed_records.max(1).saturating_sub(named));
        }
        let look = Look {
            index,
            at: entry.time_us,
            day,
            hour: self.calendar.hour(entry.time_us),
            actor,
            is_person,
            caller,
            roles,
            allowed,
            block: Block::of(&entry.client_ip),
            subjects: &subjects,
            new_records,
            entry,
        };
        if allowed {
            self.count(&look);
        }
        if self.notes.wants(day) {
            self.outcomes.decided(&look);
        }
        for detector in &mut self.detectors {
            detector.look(&self.world, &look, &mut self.notes);
        }
    }

    fn count(&mut self, look: &Look<'_>) {
        let today = &mut self.now.today;
        let place = *self.now.places.entry(look.actor).or_insert_with(|| {
            today.push(Today {
                actor: look.actor,
                is_person: look.is_person,
                roles: look.roles,
                records: 0,
                accesses: Evidence::default(),
                exported: 0,
                exports: Evidence::default(),
                named_lately: 0,
            });
            today.len().saturating_sub(1)
        });
        let Some(one) = today.get_mut(place) else {
            return;
        };
        one.records = one.records.saturating_add(look.new_records);
        one.accesses.add(look.index);
        let action = look.entry.action;
        if action == Action::Export.number() || action == Action::Provide.number() {
            // What was read before it is exported leaves all the same.
            let leaves = look.entry.allowed_records.max(1);
            one.exported = one.exported.saturating_add(leaves);
            one.exports.add(look.index);
        }
    }
}

/// Who did what no entry names anybody for.
const HOST: &str = "host";

fn is_workload(entry: &StoredEntry) -> bool {
    let second_step =
        |code| ReasonCode::from_number(code).is_some_and(|code| code.stage() == Stage::TwoStep);
    let mut reasons = entry.reasons.iter().chain(&entry.further_reasons);
    entry.session.is_empty() && !reasons.any(|reason| second_step(reason.code))
}

fn is_withheld(entry: &StoredEntry, position: usize) -> bool {
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    let mut groups = entry.withheld_subjects.iter();
    groups.any(|group| group.indexes.contains(&position))
}
