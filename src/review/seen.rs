//! Who was looked at by whom within the last seven days. Memory: a few dozen bytes for each pair of these days.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::world::{ActorId, ByActor, Day};
use crate::domain::ids::LogIndex;

/// How many days.
pub(super) const LATELY: i32 = 7;

/// A shortened pseudonym is a hash already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// By shortened pseudonym.
pub(super) type BySubject<T> = HashMap<u64, T, BuildHasherDefault<AsItIs>>;

/// A look at somebody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    pub(super) actor: ActorId,
    pub(super) day: Day,
    pub(super) index: LogIndex,
    /// Not in a list only.
    pub(super) close: bool,
    /// They are in charge of the subject.
    pub(super) in_charge: bool,
}

/// One who looked at somebody lately.
#[derive(Debug)]
struct Watcher {
    actor: ActorId,
    /// When last, in a list or closely.
    day: Day,
    /// Their last close look: its day, and that day's first such entry.
    close: Option<(Day, LogIndex)>,
    in_charge: bool,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    watchers: BySubject<Vec<Watcher>>,
    named: ByActor<u32>,
    /// By day, whom somebody saw then for the first time that day.
    days: VecDeque<(Day, Vec<u64>)>,
}

impl Seen {
    /// Notes a look; whether it is the actor's first at this subject on that day.
    pub(super) fn note(&mut self, subject: u64, look: Watched) -> bool {
        let watchers = self.watchers.entry(subject).or_default();
        let place = watchers.iter().position(|one| one.actor == look.actor);
        let place = place.unwrap_or_else(|| {
            watchers.push(Watcher {
                actor: look.actor,
                day: Day::MIN,
                close: None,
                in_charge: false,
            });
            watchers.len().saturating_sub(1)
        });
        let Some(known) = watchers.get_mut(place) else {
            return false;
        };
        if look.close && known.close.is_none_or(|(day, _)| day != look.day) {
            if known.close.is_none()
                && let Some(named) = self.named.of(look.actor)
            {
                *named = named.saturating_add(1);
            }
            known.close = Some((look.day, look.index));
        }
        known.in_charge |= look.in_charge;
        let is_first = known.day != look.day;
        known.day = look.day;
        if is_first {
            match self.days.back_mut() {
                Some((day, subjects)) if *day == look.day => subjects.push(subject),
                _ => self.days.push_back((look.day, vec![subject])),
            }
        }
        is_first
    }

    /// How many different people an actor looked at closely lately; lists of search results are not the person's choice.
    pub(super) fn named_by(&mut self, actor: ActorId) -> u64 {
        self.named.of(actor).map_or(0, |named| u64::from(*named))
    }

    /// Who looked closely at a subject lately, without being in charge: when last, and by which entry.
    pub(super) fn close_watchers(
        &self,
        subject: u64,
    ) -> impl Iterator<Item = (ActorId, Day, LogIndex)> {
        let watchers = self.watchers.get(&subject).into_iter().flatten();
        let others = watchers.filter(|one| !one.in_charge);
        others.filter_map(|one| one.close.map(|(day, index)| (one.actor, day, index)))
    }

    /// Forgets, before a day begins, what is longer ago than that.
    pub(super) fn forget(&mut self, day: Day) {
        let oldest = day.saturating_sub(LATELY).saturating_add(1);
        while let Some((_, subjects)) = self.days.pop_front_if(|(then, _)| *then < oldest) {
            for subject in subjects {
                let Some(watchers) = self.watchers.get_mut(&subject) else {
                    continue;
                };
                let named = &mut self.named;
                for one in watchers.iter_mut() {
                    if one.close.take_if(|(then, _)| *then < oldest).is_some()
                        && let Some(count) = named.of(one.actor)
                    {
                        *count = count.saturating_sub(1);
                    }
                }
                watchers.retain(|one| one.day >= oldest);
                if watchers.is_empty() {
                    self.watchers.remove(&subject);
                }
            }
        }
    }
}
