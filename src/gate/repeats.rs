//! Request ids of the last ten minutes: what each was asked, and where in the log its answer is. Bounded; rebuilt from the
//! log at start. The answers themselves stay in the log.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;

/// How long a request id is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(600);

/// One caller's request id, shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of(caller: &str, request_id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(
            u64::try_from(caller.len())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        hash.update(caller);
        hash.update(request_id);
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(key)
    }
}

/// SHA-256 of what was asked.
pub(super) type ContentDigest = [u8; 32];

#[derive(Debug)]
enum Slot {
    InFlight(ContentDigest, watch::Sender<()>),
    Answered(ContentDigest, LogIndex, Timestamp),
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Key, Slot>,
    /// Answered ones in order of time.
    by_time: VecDeque<(Timestamp, Key)>,
}

/// What is known of a request id.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing: this is the first, and the guard speaks for it.
    First(Guard),
    /// It was answered, at this position.
    Answered(LogIndex),
    /// The first is in flight: wait for it, then ask again.
    InFlight(watch::Receiver<()>),
    /// It was asked something else.
    OtherContent,
    /// As many as are remembered: this one can't be.
    Full,
}

/// The table.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    table: Arc<Mutex<Table>>,
    max: usize,
}

impl Repeats {
    pub(super) fn new(max: usize) -> Self {
        Self {
            table: Arc::default(),
            max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a request id and, where it is new, takes it.
    pub(super) fn begin(&self, key: Key, content: ContentDigest, now: Timestamp) -> Known {
        let mut table = self.lock();
        table.forget(now);
        let full = table.slots.len() >= self.max;
        match table.slots.entry(key) {
            Entry::Occupied(slot) => match slot.get() {
                Slot::InFlight(asked, _) | Slot::Answered(asked, ..) if *asked != content => {
                    Known::OtherContent
                }
                Slot::InFlight(_, done) => Known::InFlight(done.subscribe()),
                Slot::Answered(_, index, _) => Known::Answered(*index),
            },
            Entry::Vacant(_) if full => Known::Full,
            Entry::Vacant(slot) => {
                slot.insert(Slot::InFlight(content, watch::Sender::new(())));
                Known::First(Guard {
                    repeats: self.clone(),
                    key,
                    content,
                })
            }
        }
    }

    /// Puts in an answer that the log has.
    pub(super) fn remember(
        &self,
        key: Key,
        content: ContentDigest,
        index: LogIndex,
        at: Timestamp,
    ) {
        let mut table = self.lock();
        table.slots.insert(key, Slot::Answered(content, index, at));
        table.by_time.push_back((at, key));
    }
}

impl Table {
    fn forget(&mut self, now: Timestamp) {
        let from = now.minus(REMEMBERED);
        while self.by_time.front().is_some_and(|(at, _)| *at < from) {
            // An id that was used anew since has a later time, and its own place in the order.
            if let Some((_, key)) = self.by_time.pop_front()
                && matches!(self.slots.get(&key), Some(Slot::Answered(_, _, at)) if *at < from)
            {
                self.slots.remove(&key);
            }
        }
    }
}

/// Speaks for the first request of an id until it is answered. Dropped before, the id is free again and those who waited
/// ask anew.
#[derive(Debug)]
pub(super) struct Guard {
    repeats: Repeats,
    key: Key,
    content: ContentDigest,
}

impl Guard {
    /// The answer is durable at `index`.
    pub(super) fn answered(self, index: LogIndex, at: Timestamp) {
        // Replacing the slot drops its sender, which wakes those who wait; the drop below then finds nothing in flight.
        self.repeats.remember(self.key, self.content, index, at);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut table = self.repeats.lock();
        if matches!(table.slots.get(&self.key), Some(Slot::InFlight(..))) {
            table.slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_request_id_is_remembered_for_ten_minutes() {
        let repeats = Repeats::new(10);
        let key = Key::of("crm", "a");
        let Known::First(guard) = repeats.begin(key, [1; 32], at(0)) else {
            panic!()
        };
        guard.answered(LogIndex(7), at(0));
        assert!(matches!(
            repeats.begin(key, [1; 32], at(600)),
            Known::Answered(LogIndex(7))
        ));
        assert!(matches!(
            repeats.begin(key, [2; 32], at(600)),
            Known::OtherContent
        ));
        assert!(matches!(
            repeats.begin(key, [1; 32], at(601)),
            Known::First(_)
        ));
    }

    #[test]
    fn an_id_used_anew_is_remembered_from_then_also_when_rebuilt() {
        let repeats = Repeats::new(10);
        let key = Key::of("crm", "a");
        repeats.remember(key, [1; 32], LogIndex(0), at(0));
        repeats.remember(key, [2; 32], LogIndex(1), at(601));
        assert!(matches!(
            repeats.begin(key, [2; 32], at(1201)),
            Known::Answered(LogIndex(1))
        ));
        assert!(matches!(
            repeats.begin(key, [2; 32], at(1202)),
            Known::First(_)
        ));
    }

    #[test]
    fn one_that_came_to_nothing_is_free_again_and_wakes_who_waited() {
        let repeats = Repeats::new(10);
        let key = Key::of("crm", "a");
        let first = repeats.begin(key, [1; 32], at(0));
        let Known::InFlight(mut waiting) = repeats.begin(key, [1; 32], at(0)) else {
            panic!()
        };
        drop(first);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(runtime.block_on(waiting.changed()).is_err());
        assert!(matches!(
            repeats.begin(key, [1; 32], at(0)),
            Known::First(_)
        ));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_nobody_for_a_newcomer() {
        let repeats = Repeats::new(1);
        let Known::First(guard) = repeats.begin(Key::of("crm", "a"), [1; 32], at(0)) else {
            panic!()
        };
        guard.answered(LogIndex(0), at(0));
        assert!(matches!(
            repeats.begin(Key::of("crm", "b"), [1; 32], at(1)),
            Known::Full
        ));
        assert!(matches!(
            repeats.begin(Key::of("crm", "a"), [1; 32], at(1)),
            Known::Answered(_)
        ));
    }

    #[test]
    fn two_callers_never_share_an_id() {
        assert_ne!(Key::of("a", "bc"), Key::of("ab", "c"));
    }
}
