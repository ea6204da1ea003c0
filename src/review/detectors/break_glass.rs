//! Break glass: every use, whatever a pack sets.

use std::collections::BTreeMap;

use super::Detect;
use crate::review::finding::Detector;
use crate::review::seen::Seen;
use crate::review::world::{ActorId, Day, Evidence, Look, Noted, Notes, Today, World};

#[derive(Debug, Default)]
pub(super) struct BreakGlass {
    today: BTreeMap<ActorId, Evidence>,
}

impl Detect for BreakGlass {
    fn look(&mut self, _: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        if look.allowed && look.entry.break_glass {
            self.today.entry(look.actor).or_default().add(look.index);
        }
    }

    fn day_ends(&mut self, _: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (actor, evidence) in std::mem::take(&mut self.today) {
            notes.tell(actor, day, || Noted {
                detector: Detector::BreakGlass,
                suffices: true,
                facts: vec![("times", evidence.count.to_string())],
                evidence,
            });
        }
    }
}
