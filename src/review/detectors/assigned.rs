//! Somebody whom the person isn't assigned to (担当外): the calling system said so. What it doesn't say is not taken for that.

use std::collections::BTreeMap;

use super::Detect;
use super::amount::{Told, compared};
use crate::domain::access::Relation;
use crate::review::finding::Detector;
use crate::review::past::History;
use crate::review::seen::Seen;
use crate::review::world::{ActorId, ByActor, Day, Evidence, Look, Noted, Notes, Today, World};

/// From so many times the score on, it makes a case by itself.
const FAR: f64 = 1.5;

#[derive(Debug, Default)]
struct Own {
    past: History,
    told: Told,
}

#[derive(Debug, Default)]
pub(super) struct Assigned {
    today: BTreeMap<ActorId, Evidence>,
    own: ByActor<Own>,
}

impl Detect for Assigned {
    fn look(&mut self, _: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        let none = look.entry.relation == Relation::None.number();
        if look.is_person && look.allowed && none && look.new_records > 0 {
            self.today.entry(look.actor).or_default().add(look.index);
        }
    }

    fn day_ends(
        &mut self,
        world: &World<'_>,
        day: Day,
        today: &[Today],
        _: &Seen,
        notes: &mut Notes,
    ) {
        let mut met = std::mem::take(&mut self.today);
        for one in today.iter().filter(|one| one.is_person) {
            let Some(own) = self.own.of(one.actor) else {
                continue;
            };
            let evidence = met.remove(&one.actor).unwrap_or_default();
            let count = evidence.count;
            let limits = world.limits(one.roles, Detector::NotAssigned);
            if let Some(limits) = limits.filter(|_| count > 0) {
                let usual = own.past.usual(day);
                let above = usual.is_none_or(|usual| usual.score(count) >= limits.score)
                    && !own.past.recurs(count);
                // Where it is daily work (a reception, a call centre), it is told only when it is more than usual.
                if above {
                    let far = usual.is_none_or(|usual| usual.score(count) >= FAR * limits.score);
                    let suffices = far && count >= limits.least && own.told.is_news(day, count);
                    notes.tell(one.actor, day, || Noted {
                        detector: Detector::NotAssigned,
                        suffices,
                        facts: match usual {
                            Some(usual) => compared(count, usual, limits),
                            None => vec![
                                ("value", count.to_string()),
                                ("least", limits.least.to_string()),
                            ],
                        },
                        evidence,
                    });
                }
            }
            own.past.add(day, count);
        }
    }
}
