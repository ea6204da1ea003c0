//! Exports and provisions in a burst: records that leave in a day, against the person's own past.

use super::Detect;
use super::amount::{Told, compared, is_far};
use crate::review::finding::Detector;
use crate::review::past::History;
use crate::review::seen::Seen;
use crate::review::world::{ByActor, Day, Look, Noted, Notes, Today, World};

#[derive(Debug, Default)]
struct Own {
    /// Of every day on which something was allowed, zero included: who never exports is usually at zero.
    exported: History,
    told: Told,
}

#[derive(Debug, Default)]
pub(super) struct Exports {
    own: ByActor<Own>,
}

impl Detect for Exports {
    fn look(&mut self, _: &World<'_>, _: &Look<'_>, _: &mut Notes) {}

    fn day_ends(
        &mut self,
        world: &World<'_>,
        day: Day,
        today: &[Today],
        _: &Seen,
        notes: &mut Notes,
    ) {
        for one in today {
            let Some(own) = self.own.of(one.actor) else {
                continue;
            };
            let limits = world.limits(one.roles, Detector::ExportBurst);
            if let Some(limits) = limits.filter(|limits| one.exported >= limits.least)
                && let Some(usual) = own.exported.usual(day)
                && usual.score(one.exported) >= limits.score
                && !own.exported.recurs(one.exported)
            {
                let far = is_far(limits, usual.score(one.exported), one.exported);
                let suffices = far && own.told.is_news(day, one.exported);
                notes.tell(one.actor, day, || {
                    let mut facts = compared(one.exported, usual, limits);
                    facts.push(("exports", one.exports.count.to_string()));
                    Noted {
                        detector: Detector::ExportBurst,
                        suffices,
                        facts,
                        evidence: one.exports.clone(),
                    }
                });
            }
            own.exported.add(day, one.exported);
        }
    }
}
