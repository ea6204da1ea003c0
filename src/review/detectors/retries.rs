//! Denied, then allowed for the same person after another purpose or category was declared: the declaration was made to fit.

use std::collections::{BTreeMap, VecDeque};

use super::Detect;
use crate::domain::reason::{ReasonCode, Stage};
use crate::review::finding::Detector;
use crate::review::seen::Seen;
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, Today, World};

/// Denials of one person that are remembered, the last ones.
const DENIALS_MAX: usize = 16;

#[derive(Debug)]
struct Denied {
    at: i64,
    index: crate::domain::ids::LogIndex,
    subject: u64,
    action: i32,
    purpose: Box<str>,
    categories: Vec<Box<str>>,
}

#[derive(Debug, Default)]
struct OfDay {
    roles: usize,
    denied: VecDeque<Denied>,
    /// How many times a denial was got around, and by which purpose in place of which, the first time.
    times: u64,
    purposes: Option<(Box<str>, Box<str>)>,
    evidence: Evidence,
}

#[derive(Debug, Default)]
pub(super) struct Retries {
    today: BTreeMap<ActorId, OfDay>,
}

impl Detect for Retries {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        let (true, Some(subject)) = (look.is_person, look.subjects.first()) else {
            return;
        };
        if look.allowed && !self.today.contains_key(&look.actor) {
            return;
        }
        let entry = look.entry;
        let of_day = self.today.entry(look.actor).or_default();
        of_day.roles = look.roles;
        let boxed = || {
            let categories = entry.categories.iter();
            categories.map(|one| one.as_str().into()).collect()
        };
        if !look.allowed {
            // Denied for what was declared; a full count or a lapsed training is nothing that a declaration gets around.
            let declared = entry.reasons.iter().any(|reason| {
                ReasonCode::from_number(reason.code)
                    .is_some_and(|code| matches!(code.stage(), Stage::Grant | Stage::Subject))
            });
            if declared {
                if of_day.denied.len() >= DENIALS_MAX {
                    of_day.denied.pop_front();
                }
                of_day.denied.push_back(Denied {
                    at: look.at,
                    index: look.index,
                    subject: *subject,
                    action: entry.action,
                    purpose: entry.purpose.as_str().into(),
                    categories: boxed(),
                });
            }
            return;
        }
        let Some(limits) = world.limits(look.roles, Detector::ChangedAfterDenial) else {
            return;
        };
        let around = of_day.denied.iter().position(|denied| {
            denied.subject == *subject
                && denied.action == entry.action
                && look.at.saturating_sub(denied.at) <= limits.within
                && (*denied.purpose != *entry.purpose || denied.categories != boxed())
        });
        if let Some(denied) = around.and_then(|place| of_day.denied.remove(place)) {
            of_day.times = of_day.times.saturating_add(1);
            of_day.evidence.add(denied.index);
            of_day.evidence.add(look.index);
            of_day
                .purposes
                .get_or_insert((denied.purpose, entry.purpose.as_str().into()));
        }
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (actor, of_day) in std::mem::take(&mut self.today) {
            let limits = world.limits(of_day.roles, Detector::ChangedAfterDenial);
            let (Some(limits), Some((denied, allowed))) = (limits, of_day.purposes) else {
                continue;
            };
            // Who mistypes corrects it once or twice.
            if of_day.times < limits.least {
                continue;
            }
            notes.tell(actor, day, || Noted {
                detector: Detector::ChangedAfterDenial,
                suffices: true,
                facts: vec![
                    ("times", of_day.times.to_string()),
                    ("minutes", (limits.within / 60_000_000).to_string()),
                    ("denied", denied.into()),
                    ("allowed", allowed.into()),
                    ("least", limits.least.to_string()),
                ],
                evidence: of_day.evidence,
            });
        }
    }
}
