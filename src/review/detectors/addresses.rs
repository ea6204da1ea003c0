//! From an address block that the person wasn't seen at: a /24 of IPv4, a /48 of IPv6.

use std::collections::{BTreeMap, HashMap};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::past::{PAST_DAYS, PAST_LEAST};
use crate::review::seen::Seen;
use crate::review::world::{
    ActorId, Block, ByActor, Day, Evidence, Look, Noted, Notes, Today, World,
};

/// Blocks that one person is remembered at; those not seen for longest go.
const BLOCKS_MAX: usize = 256;

#[derive(Debug, Default)]
struct Own {
    /// When last.
    blocks: BTreeMap<Block, Day>,
    /// On how many days they were seen, and when last.
    days: usize,
    last: Option<Day>,
}

impl Own {
    fn knows(&self, block: Block, day: Day) -> bool {
        let oldest = day.saturating_sub(PAST_DAYS);
        self.blocks.get(&block).is_some_and(|last| *last >= oldest)
    }

    fn note(&mut self, block: Block, day: Day) {
        if self.last != Some(day) {
            self.last = Some(day);
            self.days = self.days.saturating_add(1);
        }
        self.blocks.insert(block, day);
        if self.blocks.len() > BLOCKS_MAX {
            let oldest = self.blocks.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(block, _)| *block) {
                self.blocks.remove(&oldest);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Addresses {
    own: ByActor<Own>,
    /// Until when anybody was seen there.
    anybody: HashMap<Block, Day>,
    today: BTreeMap<(ActorId, Block), (usize, Evidence, bool)>,
}

impl Detect for Addresses {
    fn look(&mut self, _: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        let (true, Some(block)) = (look.is_person, look.block) else {
            return;
        };
        if let Some((_, evidence, _)) = self.today.get_mut(&(look.actor, block)) {
            evidence.add(look.index);
            return;
        }
        let Some(own) = self.own.of(look.actor) else {
            return;
        };
        if own.days >= PAST_LEAST && !own.knows(block, look.day) {
            let known = self
                .anybody
                .get(&block)
                .is_some_and(|last| look.day.saturating_sub(*last) <= PAST_DAYS);
            let found = (look.roles, Evidence::of(look.index), known);
            self.today.insert((look.actor, block), found);
        }
        own.note(block, look.day);
        self.anybody.insert(block, look.day);
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for ((actor, block), (roles, evidence, known)) in std::mem::take(&mut self.today) {
            if world.limits(roles, Detector::NewAddress).is_some() {
                notes.tell(actor, day, || Noted {
                    detector: Detector::NewAddress,
                    suffices: false,
                    facts: vec![
                        ("block", block.to_string()),
                        ("times", evidence.count.to_string()),
                        ("others", known.to_string()),
                    ],
                    evidence,
                });
            }
        }
        if self.anybody.len() > BLOCKS_MAX.saturating_mul(256) {
            self.anybody
                .retain(|_, last| day.saturating_sub(*last) <= PAST_DAYS);
        }
    }
}
