//! How much: people's records in a day, against the person's own past and that of the role; different people in a week.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Detect;
use crate::review::finding::Detector;
use crate::review::past::{History, PAST_LEAST, Usual, as_float};
use crate::review::seen::{LATELY, Seen};
use crate::review::world::{ActorId, ByActor, Day, Limits, Look, Noted, Notes, Today, World};

/// How many days of a role are compared with.
const ROLE_DAYS: Day = 28;
/// With fewer people, or fewer days of theirs, a role has no past.
const ROLE_PEOPLE: usize = 5;
const ROLE_LEAST: usize = 50;
/// From so many times the score on, a finding makes a case by itself.
pub(super) const FAR: f64 = 2.0;
/// A week is told when it has so many times the people of others.
const MORE: f64 = 1.5;
/// What was told is not told again for so many days, unless it is half as much again.
const QUIET: Day = 7;

/// What was told by itself last: when, and how much it was.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told(Option<(Day, u64)>);

impl Told {
    /// Whether this is news; then it counts as told.
    pub(super) fn is_news(&mut self, day: Day, value: u64) -> bool {
        let known = self.0.is_some_and(|(then, told)| {
            day.saturating_sub(then) <= QUIET && value < told.saturating_add(told / 2)
        });
        if !known {
            self.0 = Some((day, value));
        }
        !known
    }
}

/// Whether a value of so much is far enough from what is usual to make a case by itself.
pub(super) fn is_far(limits: Limits, score: f64, value: u64) -> bool {
    score >= FAR * limits.score && value >= limits.least.saturating_mul(2)
}

/// The numbers that a comparison tells.
pub(super) fn compared(value: u64, usual: Usual, limits: Limits) -> Vec<(&'static str, String)> {
    vec![
        ("value", value.to_string()),
        ("usual", format!("{:.1}", usual.median)),
        ("spread", format!("{:.1}", usual.spread)),
        ("days", usual.days.to_string()),
        ("score", format!("{:.1}", usual.score(value))),
        ("threshold", format!("{:.1}", limits.score)),
        ("least", limits.least.to_string()),
    ]
}

/// The days of one role: by day, each person's records.
#[derive(Debug, Default)]
struct OfRole {
    days: VecDeque<(Day, Vec<(ActorId, u32)>)>,
    /// What is usual, as of a day.
    usual: Option<(Day, Option<Usual>)>,
}

impl OfRole {
    fn usual(&mut self, day: Day) -> Option<Usual> {
        if let Some((then, usual)) = self.usual
            && then == day
        {
            return usual;
        }
        let oldest = day.saturating_sub(ROLE_DAYS);
        while self.days.pop_front_if(|(then, _)| *then < oldest).is_some() {}
        let all = self.days.iter().flat_map(|(_, of_day)| of_day);
        let people: HashSet<ActorId> = all.clone().map(|(actor, _)| *actor).collect();
        let usual = (people.len() >= ROLE_PEOPLE)
            .then(|| Usual::of(all.map(|(_, records)| *records), ROLE_LEAST))
            .flatten();
        self.usual = Some((day, usual));
        usual
    }

    fn add(&mut self, day: Day, actor: ActorId, records: u64) {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        match self.days.back_mut() {
            Some((then, of_day)) if *then == day => of_day.push((actor, records)),
            _ => self.days.push_back((day, vec![(actor, records)])),
        }
    }
}

#[derive(Debug, Default)]
struct Own {
    records: History,
    named: History,
    told: Told,
    told_role: Told,
    told_named: Told,
}

#[derive(Debug, Default)]
pub(super) struct Amount {
    own: ByActor<Own>,
    roles: HashMap<usize, OfRole>,
}

impl Detect for Amount {
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
            let role = self.roles.entry(world.first_role(one.roles)).or_default();
            above_own(world, day, one, own, notes);
            if one.is_person {
                above_role(world, day, one, own, role, notes);
                many(world, day, one, own, notes);
            }
        }
        // All are compared with the days before.
        for one in today {
            if let Some(own) = self.own.of(one.actor) {
                own.records.add(day, one.records);
                own.named.add(day, one.named_lately);
            }
            if one.is_person {
                let role = self.roles.entry(world.first_role(one.roles)).or_default();
                role.add(day, one.actor, one.records);
            }
        }
    }
}

fn above_own(world: &World<'_>, day: Day, one: &Today, own: &mut Own, notes: &mut Notes) {
    let Some(limits) = world.limits(one.roles, Detector::VolumeAboveOwn) else {
        return;
    };
    if one.records < limits.least {
        return;
    }
    let Some(usual) = own.records.usual(day) else {
        return;
    };
    let score = usual.score(one.records);
    if score < limits.score || own.records.recurs(one.records) {
        return;
    }
    let far = is_far(limits, score, one.records);
    let suffices = far && own.told.is_news(day, one.records);
    notes.tell(one.actor, day, || Noted {
        detector: Detector::VolumeAboveOwn,
        suffices,
        facts: compared(one.records, usual, limits),
        evidence: one.accesses.clone(),
    });
}

/// Who has a past of their own, and does no more than they do otherwise, only works more than others.
fn above_role(
    world: &World<'_>,
    day: Day,
    one: &Today,
    own: &mut Own,
    role: &mut OfRole,
    notes: &mut Notes,
) {
    let Some(limits) = world.limits(one.roles, Detector::VolumeAboveRole) else {
        return;
    };
    if one.records < limits.least {
        return;
    }
    let Some(usual) = role.usual(day) else {
        return;
    };
    let score = usual.score(one.records);
    if score < limits.score {
        return;
    }
    let past = own.records.usual(day);
    if past.is_some_and(|past| past.score(one.records) < limits.score) {
        return;
    }
    let is_new = past.is_none();
    let far = is_new && is_far(limits, score, one.records);
    let suffices = far && own.told_role.is_news(day, one.records);
    notes.tell(one.actor, day, || Noted {
        detector: Detector::VolumeAboveRole,
        suffices,
        facts: compared(one.records, usual, limits),
        evidence: one.accesses.clone(),
    });
}

/// A little more each day adds up: different people within seven days, against the weeks before these.
fn many(world: &World<'_>, day: Day, one: &Today, own: &mut Own, notes: &mut Notes) {
    let Some(limits) = world.limits(one.roles, Detector::ManySubjects) else {
        return;
    };
    if one.named_lately < limits.least {
        return;
    }
    own.named.keep(day);
    let before = own.named.values(day.saturating_sub(LATELY));
    let Some(usual) = Usual::of(before, PAST_LEAST) else {
        return;
    };
    let score = usual.score(one.named_lately);
    // The weeks of one person are much alike, so that the score alone is soon reached.
    if score < limits.score || as_float(one.named_lately) < MORE * usual.median {
        return;
    }
    let suffices = own.told_named.is_news(day, one.named_lately);
    notes.tell(one.actor, day, || Noted {
        detector: Detector::ManySubjects,
        suffices,
        facts: compared(one.named_lately, usual, limits),
        evidence: one.accesses.clone(),
    });
}
