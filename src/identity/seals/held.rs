//! The keys that are in memory. Nothing in this file touches a disk, so its lock is held for a look and no longer, whatever
//! the disk does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SealName;
use crate::domain::calendar::Month;
use crate::identity::keys::SealingKey;

/// How many keys are held besides those that are ready: about 300 bytes each.
pub(super) const READ_MAX: usize = 32;

/// What is known of a key.
#[derive(Debug, Clone)]
pub(super) enum Held {
    Key(Arc<SealingKey>),
    Destroyed,
}

/// A look that found nothing: what is read after it counts only as long as no key is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look(u64);

#[derive(Debug, Default)]
struct State {
    /// On the disk for good: what is sealed is sealed under these. No reader drives them out.
    ready: BTreeMap<SealName, Arc<SealingKey>>,
    /// Wanted and not ready, and why.
    unready: BTreeMap<SealName, String>,
    /// For reading, the most lately used last.
    read: VecDeque<(SealName, Held)>,
    /// Rises whenever a key was destroyed.
    destructions: u64,
    /// How many notes of destructions were seen in the directory.
    notes: usize,
}

/// The keys in memory.
#[derive(Debug, Default)]
pub(super) struct HeldKeys(Mutex<State>);

impl HeldKeys {
    /// Never given to anybody outside: no guard of it can be held where a disk is waited for.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key to seal with.
    pub(super) fn ready(&self, name: &SealName) -> Option<Arc<SealingKey>> {
        self.lock().ready.get(name).cloned()
    }

    /// What is held of a key.
    pub(super) fn find(&self, name: &SealName) -> Result<Held, Look> {
        let mut state = self.lock();
        if let Some(key) = state.ready.get(name) {
            return Ok(Held::Key(Arc::clone(key)));
        }
        let Some(at) = state.read.iter().rposition(|(held, _)| held == name) else {
            return Err(Look(state.destructions));
        };
        // Most often the last one used.
        if at.saturating_add(1) < state.read.len()
            && let Some(found) = state.read.remove(at)
        {
            state.read.push_back(found);
        }
        let found = state.read.back().map(|(_, held)| held.clone());
        found.ok_or(Look(state.destructions))
    }

    /// Holds what was read after `look`; false when a key was destroyed since, which may be this one: it is to be read again.
    pub(super) fn keep(&self, name: &SealName, held: Held, look: Look) -> bool {
        let mut state = self.lock();
        let holds = look == Look(state.destructions);
        if holds {
            state.hold(name, held);
        }
        holds
    }

    /// Lets go of the keys of other months, and notes which are wanted from now on.
    pub(super) fn want(&self, wanted: &[SealName], months: &RangeInclusive<Month>) {
        let mut state = self.lock();
        let state = &mut *state;
        state.ready.retain(|name, _| months.contains(&name.month()));
        state.unready.retain(|name, _| wanted.contains(name));
        for name in wanted {
            if !state.ready.contains_key(name) && !state.unready.contains_key(name) {
                let why = "it is being prepared, and that has not come to an end";
                state.unready.insert(name.clone(), why.to_owned());
            }
        }
    }

    /// From now on it is sealed under this one.
    pub(super) fn make_ready(&self, name: &SealName, key: Arc<SealingKey>) {
        let mut state = self.lock();
        state.unready.remove(name);
        state.ready.insert(name.clone(), key);
    }

    pub(super) fn note_failure(&self, name: &SealName, why: String) {
        self.lock().unready.insert(name.clone(), why);
    }

    /// Those that are wanted and not ready, with the reason.
    pub(super) fn unready(&self) -> Vec<(SealName, String)> {
        let state = self.lock();
        let pairs = state.unready.iter();
        pairs
            .map(|(name, why)| (name.clone(), why.clone()))
            .collect()
    }

    /// Nothing more is sealed under it.
    pub(super) fn withhold(&self, name: &SealName) {
        self.lock().ready.remove(name);
    }

    /// Its destruction was noted on the disk: nobody who read it before may put it back.
    pub(super) fn destroyed(&self, name: &SealName) {
        let mut state = self.lock();
        state.destructions = state.destructions.saturating_add(1);
        state.ready.remove(name);
        state.hold(name, Held::Destroyed);
    }

    /// As [`Self::destroyed`], for what was found in the directory, where another process may have put it.
    pub(super) fn found_destroyed(&self, noted: &BTreeSet<SealName>) {
        let mut state = self.lock();
        if state.notes == noted.len() {
            return;
        }
        state.notes = noted.len();
        state.destructions = state.destructions.saturating_add(1);
        state.ready.retain(|name, _| !noted.contains(name));
        state.read.retain(|(name, _)| !noted.contains(name));
    }

    #[cfg(test)]
    pub(super) fn held_for_reading(&self) -> usize {
        self.lock().read.len()
    }
}

impl State {
    fn hold(&mut self, name: &SealName, held: Held) {
        self.read.retain(|(other, _)| other != name);
        while self.read.len() >= READ_MAX {
            self.read.pop_front();
        }
        self.read.push_back((name.clone(), held));
    }
}
