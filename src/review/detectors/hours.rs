//! At an hour, or on a day, at which the person doesn't work. No pack and no directory says when people work: their own past does.

use std::collections::{BTreeMap, VecDeque};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::past::{PAST_DAYS, PAST_LEAST};
use crate::review::seen::Seen;
use crate::review::world::{
    ActorId, ByActor, Day, Evidence, Look, Noted, Notes, Today, World, is_weekend,
};

/// An hour is usual when on so many past days, or on one of so many, there was something in it or in the hour before or after.
const TWICE: usize = 2;
const ONE_OF: usize = 20;

/// The hours of a day, a bit each.
type Bits = u32;

#[derive(Debug, Default)]
struct Own {
    days: VecDeque<(Day, Bits)>,
}

impl Own {
    /// The hours that are usual on a day like this; `None` without a past.
    fn usual(&mut self, day: Day) -> Option<Bits> {
        let oldest = day.saturating_sub(PAST_DAYS);
        while self.days.pop_front_if(|(then, _)| *then < oldest).is_some() {}
        if self.days.len() < PAST_LEAST {
            return None;
        }
        let weekend = is_weekend(day);
        let like = self.days.iter();
        let like: Vec<Bits> = like
            .filter(|(then, _)| is_weekend(*then) == weekend)
            .map(|(_, hours)| *hours)
            .collect();
        let needed = TWICE.max(like.len() / ONE_OF);
        let mut usual = 0;
        for hour in 0..24_u32 {
            let bit: Bits = 1 << hour;
            let around = bit | bit << 1 | bit >> 1;
            if like.iter().filter(|one| **one & around != 0).count() >= needed {
                usual |= bit;
            }
        }
        Some(usual)
    }
}

#[derive(Debug, Default)]
struct OfDay {
    hours: Bits,
    usual: Option<Bits>,
    roles: usize,
    /// The first hour that isn't usual, and all that came at one.
    first: u8,
    evidence: Evidence,
}

#[derive(Debug, Default)]
pub(super) struct Hours {
    own: ByActor<Own>,
    today: BTreeMap<ActorId, OfDay>,
}

impl Detect for Hours {
    fn look(&mut self, _: &World<'_>, look: &Look<'_>, _: &mut Notes) {
        if !look.is_person {
            return;
        }
        let own = &mut self.own;
        let of_day = self.today.entry(look.actor).or_insert_with(|| OfDay {
            usual: own.of(look.actor).and_then(|own| own.usual(look.day)),
            ..OfDay::default()
        });
        let bit: Bits = 1 << u32::from(look.hour);
        of_day.hours |= bit;
        of_day.roles = look.roles;
        if of_day.usual.is_some_and(|usual| usual & bit == 0) {
            if of_day.evidence.count == 0 {
                of_day.first = look.hour;
            }
            of_day.evidence.add(look.index);
        }
    }

    fn day_ends(&mut self, world: &World<'_>, day: Day, _: &[Today], _: &Seen, notes: &mut Notes) {
        for (actor, of_day) in std::mem::take(&mut self.today) {
            if let Some(own) = self.own.of(actor) {
                own.days.push_back((day, of_day.hours));
            }
            let looks = world.limits(of_day.roles, Detector::OutOfHours).is_some();
            if of_day.evidence.count > 0 && looks {
                notes.tell(actor, day, || Noted {
                    detector: Detector::OutOfHours,
                    suffices: false,
                    facts: vec![
                        ("times", of_day.evidence.count.to_string()),
                        ("hour", format!("{:02}:00", of_day.first)),
                        ("weekend", is_weekend(day).to_string()),
                    ],
                    evidence: of_day.evidence,
                });
            }
        }
    }
}
