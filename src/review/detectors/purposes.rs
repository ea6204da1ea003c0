//! A purpose that is rare for the role.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::past::{PAST_DAYS, as_float};
use crate::review::seen::Seen;
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, Today, World};

/// With fewer accesses behind it, a role has no past.
const ROLE_LEAST: u64 = 500;
/// Rare is less than one in so many.
const ONE_IN: u64 = 500;

#[derive(Debug, Default)]
struct OfRole {
    days: VecDeque<(Day, HashMap<Box<str>, u64>)>,
    by_purpose: HashMap<Box<str>, u64>,
    all: u64,
    today: HashMap<Box<str>, u64>,
}

impl OfRole {
    fn forget(&mut self, day: Day) {
        let oldest = day.saturating_sub(PAST_DAYS);
        while let Some((_, gone)) = self.days.pop_front_if(|(then, _)| *then < oldest) {
            for (purpose, count) in gone {
                self.all = self.all.saturating_sub(count);
                if let Some(kept) = self.by_purpose.get_mut(&purpose) {
                    *kept = kept.saturating_sub(count);
                }
            }
        }
    }

    fn day_ends(&mut self, day: Day) {
        let today = std::mem::take(&mut self.today);
        for (purpose, count) in &today {
            self.all = self.all.saturating_add(*count);
            let kept = self.by_purpose.entry(purpose.clone()).or_default();
            *kept = kept.saturating_add(*count);
        }
        if !today.is_empty() {
            self.days.push_back((day, today));
        }
    }
}

#[derive(Debug, Default)]
struct Rare {
    roles: usize,
    past: u64,
    all: u64,
    evidence: Evidence,
}

#[derive(Debug, Default)]
pub(super) struct Purposes {
    roles: HashMap<usize, OfRole>,
    today: BTreeMap<(ActorId, Box<str>), Rare>,
}

impl Detect for Purposes {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        if !look.is_person || !look.allowed {
            return;
        }
        let purpose = look.entry.purpose.as_str();
        let role = self.roles.entry(world.first_role(look.roles)).or_default();
        match role.today.get_mut(purpose) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                role.today.insert(purpose.into(), 1);
            }
        }
        role.forget(look.day);
        let past = role.by_purpose.get(purpose).copied().unwrap_or(0);
        if role.all < ROLE_LEAST || past.saturating_mul(ONE_IN) >= role.all {
            return;
        }
        let rare = self.today.entry((look.actor, purpose.into())).or_default();
        (rare.roles, rare.past, rare.all) = (look.roles, past, role.all);
        rare.evidence.add(look.index);
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for ((actor, purpose), rare) in std::mem::take(&mut self.today) {
            let Some(limits) = world.limits(rare.roles, Detector::RarePurpose) else {
                continue;
            };
            notes.tell(actor, day, || Noted {
                detector: Detector::RarePurpose,
                suffices: rare.evidence.count >= limits.least,
                facts: vec![
                    ("purpose", purpose.into()),
                    ("times", rare.evidence.count.to_string()),
                    ("past", rare.past.to_string()),
                    ("all", rare.all.to_string()),
                    (
                        "share",
                        format!("{:.2}", 100.0 * as_float(rare.past) / as_float(rare.all)),
                    ),
                    ("least", limits.least.to_string()),
                ],
                evidence: rare.evidence,
            });
        }
        for role in self.roles.values_mut() {
            role.day_ends(day);
        }
    }
}
