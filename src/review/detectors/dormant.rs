//! An account that wasn't used for long, and is again.

use crate::domain::ids::LogIndex;
use crate::review::finding::Detector;
use crate::review::world::{ActorId, ByActor, Day, Evidence, Noted, Notes, World};

#[derive(Debug, Default)]
pub(crate) struct Dormant {
    last: ByActor<Option<Day>>,
}

impl Dormant {
    /// A person did something, of whatever kind.
    pub(crate) fn used(
        &mut self,
        world: &World<'_>,
        (actor, roles): (ActorId, usize),
        (day, index): (Day, LogIndex),
        notes: &mut Notes,
    ) {
        let Some(last) = self.last.of(actor) else {
            return;
        };
        let before = last.replace(day);
        let (Some(before), Some(limits)) = (before, world.limits(roles, Detector::DormantReturns))
        else {
            return;
        };
        let days = i64::from(day.saturating_sub(before));
        if days.saturating_mul(86_400_000_000) < limits.within {
            return;
        }
        notes.tell(actor, day, || Noted {
            detector: Detector::DormantReturns,
            suffices: true,
            facts: vec![
                ("days", days.to_string()),
                ("least", (limits.within / 86_400_000_000).to_string()),
            ],
            evidence: Evidence::of(index),
        });
    }
}
