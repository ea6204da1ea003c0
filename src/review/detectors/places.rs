//! One account in two places at once; all people of a service at one address.

use std::collections::{BTreeMap, BTreeSet};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::past::{History, PAST_LEAST};
use crate::review::seen::Seen;
use crate::review::world::{ActorId, Block, Day, Evidence, Look, Noted, Notes, Today, World};

/// Where one person was, on one day.
#[derive(Debug, Default)]
struct Places {
    roles: usize,
    /// When last.
    last: BTreeMap<Block, i64>,
    now: Option<Block>,
    returns: Evidence,
    between: Option<(Block, Block)>,
}

/// Blocks of one person and day that are told apart.
const PLACES_MAX: usize = 64;

/// They are here, then there, then here again, within a time in which nobody travels.
#[derive(Debug, Default)]
pub(super) struct TwoPlaces {
    today: BTreeMap<ActorId, Places>,
}

impl Detect for TwoPlaces {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        let (true, Some(block)) = (look.is_person, look.block) else {
            return;
        };
        let places = self.today.entry(look.actor).or_default();
        places.roles = look.roles;
        if let Some(now) = places.now.filter(|now| *now != block)
            && let Some(last) = places.last.get(&block)
            && let Some(limits) = world.limits(look.roles, Detector::TwoPlaces)
            && look.at.saturating_sub(*last) <= limits.within
        {
            places.returns.add(look.index);
            places.between.get_or_insert((now, block));
        }
        places.now = Some(block);
        if places.last.len() < PLACES_MAX || places.last.contains_key(&block) {
            places.last.insert(block, look.at);
        }
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (actor, places) in std::mem::take(&mut self.today) {
            let limits = world.limits(places.roles, Detector::TwoPlaces);
            let (Some(limits), Some((one, other))) = (limits, places.between) else {
                continue;
            };
            if places.returns.count < limits.least {
                continue;
            }
            notes.tell(actor, day, || Noted {
                detector: Detector::TwoPlaces,
                suffices: true,
                facts: vec![
                    ("block", one.min(other).to_string()),
                    ("other", one.max(other).to_string()),
                    ("times", places.returns.count.to_string()),
                    ("least", limits.least.to_string()),
                    ("minutes", (limits.within / 60_000_000).to_string()),
                ],
                evidence: places.returns,
            });
        }
    }
}

/// Whom a service brought, and from where.
#[derive(Debug, Default)]
struct Brought {
    roles: usize,
    persons: BTreeSet<ActorId>,
    /// Two are enough to know.
    addresses: BTreeSet<Box<str>>,
    evidence: Evidence,
}

/// The people of a service who came from several addresses all come from one: the service tells its own, or a proxy's.
#[derive(Debug, Default)]
pub(super) struct OneAddress {
    today: BTreeMap<ActorId, Brought>,
    /// By service, of days with many people: how many addresses, two at most.
    past: BTreeMap<ActorId, History>,
}

impl Detect for OneAddress {
    fn look(&mut self, _: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        let entry = look.entry;
        if !look.is_person || entry.client_ip.is_empty() {
            return;
        }
        let brought = self.today.entry(look.caller).or_default();
        brought.roles = look.roles;
        brought.persons.insert(look.actor);
        if brought.addresses.len() < 2 && !brought.addresses.contains(&*entry.client_ip) {
            brought.addresses.insert(entry.client_ip.as_str().into());
        }
        brought.evidence.add(look.index);
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (service, brought) in std::mem::take(&mut self.today) {
            // Whether it looks at all is said for everybody: no role is that of a service.
            let Some(limits) = world.limits(brought.roles, Detector::OneAddress) else {
                continue;
            };
            let persons = u64::try_from(brought.persons.len()).unwrap_or(u64::MAX);
            if persons < limits.least {
                continue;
            }
            let past = self.past.entry(service).or_default();
            past.keep(day);
            let several = past.values(day).filter(|addresses| *addresses > 1).count();
            let days = past.days();
            let used_to = days >= PAST_LEAST && several.saturating_mul(5) >= days.saturating_mul(4);
            if brought.addresses.len() == 1 && used_to {
                let address = brought.addresses.first().map_or("", |one| &**one);
                notes.tell(service, day, || Noted {
                    detector: Detector::OneAddress,
                    suffices: true,
                    facts: vec![
                        ("persons", persons.to_string()),
                        ("address", address.to_owned()),
                        ("days", several.to_string()),
                        ("past", days.to_string()),
                        ("least", limits.least.to_string()),
                    ],
                    evidence: brought.evidence,
                });
            }
            let addresses = u64::try_from(brought.addresses.len()).unwrap_or(u64::MAX);
            past.add(day, addresses);
        }
    }
}
