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

/// One who looked at somebody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watcher {
    pub(super) actor: ActorId,
    /// When last, and the first entry of that day.
    pub(super) day: Day,
    pub(super) index: LogIndex,
    /// Not in a list only, and without being in charge.
    pub(super) close: bool,
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
    pub(super) fn note(&mut self, subject: u64, look: Watcher) -> bool {
        let watchers = self.watchers.entry(subject).or_default();
        let known = watchers.iter_mut().find(|one| one.actor == look.actor);
        match known {
            Some(known) if known.day == look.day => {
                known.close |= look.close;
                return false;
            }
            Some(known) => {
                *known = look;
            }
            None => {
                watchers.push(look);
                if let Some(named) = self.named.of(look.actor) {
                    *named = named.saturating_add(1);
                }
            }
        }
        match self.days.back_mut() {
            Some((day, subjects)) if *day == look.day => subjects.push(subject),
            _ => self.days.push_back((look.day, vec![subject])),
        }
        true
    }

    /// How many different people an actor saw lately.
    pub(super) fn named_by(&mut self, actor: ActorId) -> u64 {
        self.named.of(actor).map_or(0, |named| u64::from(*named))
    }

    /// Who looked closely at a subject lately.
    pub(super) fn close_watchers(&self, subject: u64) -> impl Iterator<Item = &Watcher> {
        let watchers = self.watchers.get(&subject);
        watchers.into_iter().flatten().filter(|one| one.close)
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
                watchers.retain(|one| {
                    let stays = one.day >= oldest;
                    if !stays && let Some(count) = named.of(one.actor) {
                        *count = count.saturating_sub(1);
                    }
                    stays
                });
                if watchers.is_empty() {
                    self.watchers.remove(&subject);
                }
            }
        }
    }
}
