//! What the log has of a campaign's days: who asked for access on which day, where break glass was used, and when each role was used
//! last. Reads every decision of the days once, off the threads that serve.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use time::{Date, UtcOffset};

use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::records::read_log::{unread, unreadable};
use crate::gate::{Gate, GateError};
use crate::index::{Condition, Order, Query, Walk};
use crate::log::Period;
use crate::proto::{Decision, EntryKind, StoredEntry};
use crate::review::finding::{Actor, Case, Detector, ENTRIES_NAMED_MAX, Finding};
use crate::review::sample::Population;

/// Which entries.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The first and the last day.
    pub(super) days: (Date, Date),
    /// Only of these; of all where there are none.
    pub(super) departments: Vec<Name>,
    /// Entries below it.
    pub(super) log_size: u64,
    /// The pack's clock.
    pub(super) utc_offset: UtcOffset,
    /// Nothing at all where entries of it were disposed of.
    pub(super) whole: bool,
}

impl Scope {
    pub(super) fn period(&self) -> Period {
        Period {
            from: Some(Timestamp::beginning_of(self.days.0, self.utc_offset)),
            until: Some(Timestamp::end_of(self.days.1, self.utc_offset).plus(MICROSECOND)),
        }
    }

    /// Whether a person whose entry names these departments is meant.
    pub(super) fn has_department<'a>(&self, mut of: impl Iterator<Item = &'a str>) -> bool {
        self.departments.is_empty()
            || of.any(|has| self.departments.iter().any(|wanted| **wanted == *has))
    }

    /// Whether what somebody did, who belongs to a department, is meant.
    pub(super) fn has_case(&self, case: &Case) -> bool {
        self.has_department(std::iter::once(&*case.department))
            && (self.days.0..=self.days.1).contains(&case.day)
    }
}

const MICROSECOND: std::time::Duration = std::time::Duration::from_micros(1);
/// How often a reading looks whether the daemon stops.
const LOOKS_EVERY: u64 = 4_096;

/// What it has.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) people: Population,
    pub(super) workloads: Population,
    /// How many entries of decisions.
    pub(super) decisions: u64,
    /// Cases of break glass.
    pub(super) break_glass: Vec<Case>,
    /// When a person was last allowed something, by person and role.
    pub(super) last_uses: HashMap<(String, String), (Timestamp, LogIndex)>,
}

impl Seen {
    /// Whether a case is of a day that there is.
    pub(super) fn has_day(&self, case: &Case) -> bool {
        match &case.actor {
            Actor::Person(person) => self.people.has(person, case.day),
            Actor::Workload(service) => self.workloads.has(service, case.day),
        }
    }
}

/// By who and when: the department, the first entries, and how many.
type BreakGlass = BTreeMap<(Actor, Date), (String, Vec<LogIndex>, u64)>;

impl Gate {
    /// Reads the scope. Where the whole is wanted it fails if entries were disposed of: what is left would pass for all there was.
    pub(super) async fn read_scope(self: &Arc<Self>, scope: Scope) -> Result<Seen, GateError> {
        let _place = self
            .scans
            .acquire()
            .await
            .map_err(|_| GateError::Internal("no scans any more"))?;
        let (gate, mut stopping) = (Arc::clone(self), self.stopping.subscribe());
        stopping.mark_unchanged();
        tokio::task::spawn_blocking(move || {
            let reader = gate.log.reader();
            if scope.whole {
                reader.disposed_within(scope.period()).map_err(unread)?;
            }
            let mut seen = Seen::default();
            let mut break_glass = BreakGlass::new();
            let query = Query::all().and(Condition::Kind(EntryKind::Decision.into()));
            let walk = Walk::new(
                reader,
                gate.index(),
                query,
                scope.period(),
                LogIndex(0),
                Order::OldestFirst,
            );
            for (count, kept) in (0_u64..).zip(walk) {
                if count % LOOKS_EVERY == 0 && stopping.has_changed().unwrap_or(true) {
                    return Err(GateError::Unready("the daemon stops"));
                }
                let kept = kept.map_err(unread)?;
                if kept.index.0 >= scope.log_size {
                    break;
                }
                let opened = gate.log.open(&kept).map_err(unreadable)?;
                take(
                    &mut seen,
                    &mut break_glass,
                    &scope,
                    kept.index,
                    &opened.entry,
                );
            }
            seen.break_glass = break_glass.into_iter().map(case).collect();
            Ok(seen)
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))?
    }
}

/// The day of an instant by the pack's clock.
pub(super) fn day_of(at: Timestamp, utc_offset: UtcOffset) -> Option<Date> {
    Some(at.to_utc()?.checked_to_offset(utc_offset)?.date())
}

fn take(
    seen: &mut Seen,
    break_glass: &mut BreakGlass,
    scope: &Scope,
    index: LogIndex,
    entry: &StoredEntry,
) {
    let at = Timestamp::from_micros(entry.time_us);
    let departments = std::iter::once(&*entry.department)
        .chain(entry.further_departments.iter().map(String::as_str));
    let first = entry.repeat_of.is_empty() && entry.kind == i32::from(EntryKind::Decision);
    // The walk goes by blocks of entries: those of the days around may come too.
    let meant = |day: &Date| first && (scope.days.0..=scope.days.1).contains(day);
    let Some(day) = day_of(at, scope.utc_offset).filter(meant) else {
        return;
    };
    let actor = if let Ok(person) = Name::parse(&entry.person) {
        if !scope.has_department(departments) {
            return;
        }
        seen.people.add(&person, day, &entry.department);
        if entry.decision == i32::from(Decision::Allow) {
            for role in &entry.roles {
                let key = (entry.person.clone(), role.clone());
                seen.last_uses.insert(key, (at, index));
            }
        }
        Actor::Person(person)
    } else if let (true, Ok(caller)) = (scope.departments.is_empty(), Name::parse(&entry.caller)) {
        seen.workloads.add(&caller, day, &caller);
        Actor::Workload(caller)
    } else {
        return;
    };
    seen.decisions = seen.decisions.saturating_add(1);
    if entry.break_glass {
        let (_, named, all) = break_glass
            .entry((actor, day))
            .or_insert_with(|| (entry.department.clone(), Vec::new(), 0));
        if named.len() < ENTRIES_NAMED_MAX {
            named.push(index);
        }
        *all = all.saturating_add(1);
    }
}

fn case(
    ((actor, day), (department, entries, all)): ((Actor, Date), (String, Vec<LogIndex>, u64)),
) -> Case {
    Case {
        actor,
        department,
        day,
        findings: vec![Finding {
            detector: Detector::BreakGlass,
            facts: vec![("times", all.to_string())],
            entries,
            entries_in_all: all,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_of_its_days_count_whatever_the_walk_brings() {
        let day = |day| Date::from_calendar_date(2026, time::Month::October, day).unwrap();
        let utc_offset = UtcOffset::from_hms(9, 0, 0).unwrap();
        let scope = Scope {
            days: (day(10), day(11)),
            departments: Vec::new(),
            log_size: 100,
            utc_offset,
            whole: false,
        };
        let begins = Timestamp::beginning_of(day(10), utc_offset);
        let ends = Timestamp::end_of(day(11), utc_offset);
        let (mut seen, mut break_glass) = (Seen::default(), BreakGlass::new());
        for at in [
            begins.minus(MICROSECOND),
            begins,
            ends,
            ends.plus(MICROSECOND),
        ] {
            let entry = StoredEntry {
                time_us: at.micros(),
                kind: EntryKind::Decision.into(),
                person: "adviser-1".to_owned(),
                decision: Decision::Allow.into(),
                break_glass: true,
                ..StoredEntry::default()
            };
            take(&mut seen, &mut break_glass, &scope, LogIndex(1), &entry);
        }
        assert_eq!(seen.decisions, 2);
        let days: Vec<Date> = break_glass.into_keys().map(|(_, day)| day).collect();
        assert_eq!(days, [day(10), day(11)]);
    }
}
