//! One subject seen by many: a neighbour, a colleague's divorce, somebody in the news.

use std::collections::{BTreeMap, HashSet};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::seen::{LATELY, Seen};
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, Today, World};

#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Subjects of whom somebody opened something today, and from how many on they are many: the least of what is set for who did.
    today: BTreeMap<u64, u64>,
    /// Whom it was told of already, until the day is too long ago.
    told: HashSet<(ActorId, u64, Day)>,
}

impl Detect for Watched {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        if !look.is_person || !look.is_close() {
            return;
        }
        let Some(limits) = world.limits(look.roles, Detector::SubjectSeenByMany) else {
            return;
        };
        for subject in look.subjects {
            let least = self.today.entry(*subject).or_insert(limits.least);
            *least = limits.least.min(*least);
        }
    }

    fn day_ends(&mut self, _: &World<'_>, day: Day, _: &[Today], seen: &Seen, notes: &mut Notes) {
        let oldest = day.saturating_sub(LATELY);
        self.told.retain(|(_, _, then)| *then > oldest);
        for (subject, least) in std::mem::take(&mut self.today) {
            let persons = seen.close_watchers(subject).count();
            if u64::try_from(persons).unwrap_or(u64::MAX) < least {
                continue;
            }
            for (actor, on, index) in seen.close_watchers(subject) {
                if !self.told.insert((actor, subject, on)) {
                    continue;
                }
                notes.tell(actor, on, || Noted {
                    detector: Detector::SubjectSeenByMany,
                    suffices: true,
                    facts: vec![
                        ("persons", persons.to_string()),
                        ("days", LATELY.to_string()),
                        ("least", least.to_string()),
                    ],
                    evidence: Evidence::of(index),
                });
            }
        }
    }
}
