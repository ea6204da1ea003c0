//! Allowances whose outcome was never reported, and outcomes larger than what was allowed. Memory: some fifty bytes for each allowance of
//! the days that are wanted.

use std::collections::{BTreeMap, HashMap};

use crate::domain::ids::LogIndex;
use crate::proto::StoredEntry;
use crate::review::finding::Detector;
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, World};

/// Of a service's outcomes that were due on a day, so many of a hundred are missing: then it is the service that doesn't report, and
/// no finding about each of its people.
const SERVICE_FAILS: u64 = 50;

#[derive(Debug)]
struct Allowed {
    index: LogIndex,
    actor: ActorId,
    service: ActorId,
    day: Day,
    roles: u32,
    records: u64,
    /// Microseconds since the epoch; none where no outcome is asked for.
    due: Option<i64>,
}

/// How many were due, and those that are missing.
#[derive(Debug, Default)]
struct Missing {
    roles: u32,
    due: u64,
    missing: Evidence,
}

#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// By the decision's id.
    waiting: HashMap<u128, Allowed>,
    /// By service and day: how many that were due came.
    came: BTreeMap<(ActorId, Day), u64>,
    larger: BTreeMap<(ActorId, Day), (u64, u64, Evidence)>,
}

fn id_of(entry: &StoredEntry) -> Option<u128> {
    let bytes: [u8; 16] = entry.decision_id.as_slice().try_into().ok()?;
    Some(u128::from_be_bytes(bytes))
}

impl Outcomes {
    /// A decision of a day that is wanted.
    pub(crate) fn decided(&mut self, look: &Look<'_>) {
        let Some(id) = id_of(look.entry).filter(|_| look.allowed) else {
            return;
        };
        let due = look.entry.obligations.iter();
        let due = due
            .map(|obligation| obligation.report_outcome_by_us)
            .find(|by| *by != 0);
        let allowed = Allowed {
            index: look.index,
            actor: look.actor,
            service: look.caller,
            day: look.day,
            roles: u32::try_from(look.roles).unwrap_or(u32::MAX),
            records: look.entry.allowed_records.max(1),
            due,
        };
        self.waiting.insert(id, allowed);
    }

    /// An outcome, of whatever day.
    pub(crate) fn reported(&mut self, world: &World<'_>, index: LogIndex, entry: &StoredEntry) {
        let Some(allowed) = id_of(entry).and_then(|id| self.waiting.remove(&id)) else {
            return;
        };
        if allowed.due.is_some() {
            let came = self.came.entry((allowed.service, allowed.day)).or_default();
            *came = came.saturating_add(1);
        }
        let roles = usize::try_from(allowed.roles).unwrap_or(usize::MAX);
        let looks = world.limits(roles, Detector::OutcomeLarger).is_some();
        if entry.records_accessed > allowed.records && looks {
            let of_day = self.larger.entry((allowed.actor, allowed.day));
            let (read, was_allowed, evidence) = of_day.or_default();
            *read = read.saturating_add(entry.records_accessed);
            *was_allowed = was_allowed.saturating_add(allowed.records);
            evidence.add(allowed.index);
            evidence.add(index);
        }
    }

    /// The log is read; what was due before `as_of` and isn't there is missing.
    pub(crate) fn finish(self, world: &World<'_>, as_of: i64, notes: &mut Notes) {
        for ((actor, day), (read, allowed, evidence)) in self.larger {
            notes.tell(actor, day, || Noted {
                detector: Detector::OutcomeLarger,
                suffices: true,
                facts: vec![
                    ("read", read.to_string()),
                    ("allowed", allowed.to_string()),
                    ("times", (evidence.count / 2).to_string()),
                ],
                evidence,
            });
        }
        let mut missing: Vec<&Allowed> = self
            .waiting
            .values()
            .filter(|one| one.due.is_some_and(|due| due < as_of))
            .collect();
        missing.sort_unstable_by_key(|one| one.index);
        let mut services: BTreeMap<(ActorId, Day), Missing> = BTreeMap::new();
        for one in &missing {
            let of_day = services.entry((one.service, one.day)).or_default();
            of_day.roles = one.roles;
            of_day.missing.add(one.index);
        }
        services.retain(|key, of_day| {
            let came = self.came.get(key).copied().unwrap_or(0);
            of_day.due = came.saturating_add(of_day.missing.count);
            of_day.missing.count.saturating_mul(100) >= of_day.due.saturating_mul(SERVICE_FAILS)
        });
        let mut persons: BTreeMap<(ActorId, Day), Missing> = BTreeMap::new();
        for one in missing {
            if services.contains_key(&(one.service, one.day)) {
                continue;
            }
            let of_day = persons.entry((one.actor, one.day)).or_default();
            of_day.roles = one.roles;
            of_day.missing.add(one.index);
        }
        for (of_service, all) in [(true, services), (false, persons)] {
            for ((actor, day), of_day) in all {
                let roles = usize::try_from(of_day.roles).unwrap_or(usize::MAX);
                let Some(limits) = world.limits(roles, Detector::NoOutcome) else {
                    continue;
                };
                notes.tell(actor, day, || {
                    let mut facts = vec![
                        ("missing", of_day.missing.count.to_string()),
                        ("least", limits.least.to_string()),
                    ];
                    if of_service {
                        facts.push(("due", of_day.due.to_string()));
                    }
                    Noted {
                        detector: Detector::NoOutcome,
                        suffices: of_day.missing.count >= limits.least,
                        facts,
                        evidence: of_day.missing,
                    }
                });
            }
        }
    }
}
