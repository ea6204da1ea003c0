//! One's own record, or a colleague's: whose own data are kept under the pseudonyms that the directory names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Detect;
use crate::review::finding::{Actor, Detector};
use crate::review::past::{History, PAST_LEAST};
use crate::review::seen::Seen;
use crate::review::world::{ActorId, ByActor, Day, Evidence, Look, Noted, Notes, Today, World};

/// On so many of a hundred days: whose work are colleagues' records (personnel) has them on more.
const SELDOM: usize = 10;
/// With fewer days of its people a role has no past.
const ROLE_LEAST: usize = 50;

/// On how many days there was one.
#[derive(Debug, Default)]
struct Share {
    of_days: History,
}

impl Share {
    /// Whether it is part of their work; `None` with too few days to tell.
    fn is_usual(&mut self, day: Day, least: usize) -> Option<bool> {
        self.of_days.keep(day);
        let days = self.of_days.days();
        let with = self.of_days.values(day).filter(|one| *one > 0).count();
        (days >= least).then(|| with.saturating_mul(100) > days.saturating_mul(SELDOM))
    }
}

#[derive(Debug, Default)]
struct OfDay {
    roles: usize,
    own: Evidence,
    colleagues: Evidence,
    who: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Relatives {
    today: BTreeMap<ActorId, OfDay>,
    persons: ByActor<Share>,
    roles: HashMap<usize, Share>,
}

impl Detect for Relatives {
    fn look(&mut self, world: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        if !look.is_person || !look.allowed {
            return;
        }
        let (mut own, mut colleagues) = (false, false);
        for subject in &look.entry.subjects {
            let Some(owner) = world.owner(subject) else {
                continue;
            };
            let of_day = self.today.entry(look.actor).or_default();
            of_day.roles = look.roles;
            match world.name(look.actor) {
                Some(Actor::Person(person)) if **person == *owner => own = true,
                _ => {
                    colleagues = true;
                    of_day.who.insert(owner.into());
                }
            }
        }
        if let Some(of_day) = self.today.get_mut(&look.actor) {
            if own {
                of_day.own.add(look.index);
            }
            if colleagues {
                of_day.colleagues.add(look.index);
            }
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
        let mut had = BTreeSet::new();
        for (actor, of_day) in &mut met {
            if of_day.colleagues.count > 0 {
                had.insert(*actor);
            }
            let own = std::mem::take(&mut of_day.own);
            if own.count > 0 && world.limits(of_day.roles, Detector::OwnRecord).is_some() {
                notes.tell(*actor, day, || Noted {
                    detector: Detector::OwnRecord,
                    suffices: true,
                    facts: vec![("times", own.count.to_string())],
                    evidence: own,
                });
            }
            let colleagues = std::mem::take(&mut of_day.colleagues);
            let looks = world.limits(of_day.roles, Detector::ColleaguesRecord);
            if colleagues.count == 0 || looks.is_none() {
                continue;
            }
            let person = self.persons.of(*actor);
            let by_person = person.and_then(|share| share.is_usual(day, PAST_LEAST));
            let role = self
                .roles
                .entry(world.first_role(of_day.roles))
                .or_default();
            let by_role = role.is_usual(day, ROLE_LEAST);
            if by_person == Some(true) || (by_person.is_none() && by_role == Some(true)) {
                continue;
            }
            let who = std::mem::take(&mut of_day.who);
            notes.tell(*actor, day, || Noted {
                detector: Detector::ColleaguesRecord,
                suffices: true,
                facts: vec![
                    ("times", colleagues.count.to_string()),
                    ("persons", who.len().to_string()),
                ],
                evidence: colleagues,
            });
        }
        for one in today.iter().filter(|one| one.is_person) {
            let value = u64::from(had.contains(&one.actor));
            if let Some(share) = self.persons.of(one.actor) {
                share.of_days.add(day, value);
            }
            let role = self.roles.entry(world.first_role(one.roles)).or_default();
            role.of_days.add(day, value);
        }
    }
}
