//! Subject after subject at a machine's pace: nobody reads a record every other second for a minute.

use std::collections::HashMap;

use super::Detect;
use crate::review::finding::Detector;
use crate::review::seen::Seen;
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, Today, World};

/// Looks one after the other, each soon after the last.
#[derive(Debug, Clone, Default)]
struct Run {
    began: i64,
    last: i64,
    entries: Evidence,
}

#[derive(Debug, Default)]
struct OfDay {
    now: Run,
    longest: Run,
    roles: usize,
}

#[derive(Debug, Default)]
pub(super) struct Pace {
    today: HashMap<ActorId, OfDay>,
}

impl Detect for Pace {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        // A person seen before that day is none more; a list is one look.
        if !look.is_person || !look.is_close() || look.new_records == 0 {
            return;
        }
        let Some(limits) = world.limits(look.roles, Detector::MachinePace) else {
            return;
        };
        let of_day = self.today.entry(look.actor).or_default();
        of_day.roles = look.roles;
        let gap = look.at.saturating_sub(of_day.now.last);
        // The items of one batch have one time: they were asked for at once.
        if gap == 0 && of_day.now.entries.count > 0 {
            return;
        }
        if gap > limits.within || of_day.now.entries.count == 0 {
            of_day.now = Run {
                began: look.at,
                ..Run::default()
            };
        }
        of_day.now.last = look.at;
        of_day.now.entries.add(look.index);
        if of_day.now.entries.count >= limits.least.max(of_day.longest.entries.count) {
            of_day.longest.clone_from(&of_day.now);
        }
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (actor, of_day) in std::mem::take(&mut self.today) {
            let Some(limits) = world.limits(of_day.roles, Detector::MachinePace) else {
                continue;
            };
            let run = of_day.longest;
            if run.entries.count < limits.least {
                continue;
            }
            let seconds = run.last.saturating_sub(run.began) / 1_000_000;
            notes.tell(actor, day, || Noted {
                detector: Detector::MachinePace,
                suffices: true,
                facts: vec![
                    ("subjects", run.entries.count.to_string()),
                    ("seconds", seconds.max(1).to_string()),
                    ("least", limits.least.to_string()),
                    ("within", (limits.within / 1_000_000).to_string()),
                ],
                evidence: run.entries,
            });
        }
    }
}
