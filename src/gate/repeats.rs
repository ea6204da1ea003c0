//! Request ids of the last ten minutes: what each was asked, and where in the log its answer is. Bounded for each caller, so
//! that none can use up another's; rebuilt from the log at start. The answers themselves stay in the log.

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

/// One caller's request id, shortened to the first half of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    caller: Box<str>,
    id: [u8; 16],
}

impl Key {
    pub(super) fn of(caller: &str, request_id: &str) -> Self {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(Sha256::digest(request_id)) {
            *to = from;
        }
        Self {
            caller: caller.into(),
            id,
        }
    }
}

/// SHA-256 of what was asked.
pub(super) type ContentDigest = [u8; 32];

#[derive(Debug)]
enum Slot {
    InFlight(ContentDigest, watch::Sender<()>),
    Answered(ContentDigest, LogIndex, Timestamp),
}

/// One caller's ids.
#[derive(Debug, Default)]
struct Table {
    slots: HashMap<[u8; 16], Slot>,
    /// Answered ones, nearly in order of time.
    by_time: VecDeque<(Timestamp, [u8; 16])>,
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
    /// By caller: as many as the pack has services.
    tables: Arc<Mutex<HashMap<Box<str>, Table>>>,
    max: usize,
}

impl Repeats {
    pub(super) fn new(max: usize) -> Self {
        Self {
            tables: Arc::default(),
            max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a request id and, where it is new, takes it.
    pub(super) fn begin(&self, key: Key, content: ContentDigest, now: Timestamp) -> Known {
        let mut tables = self.lock();
        let table = tables.entry(key.caller.clone()).or_default();
        table.forget(now);
        let full = table.slots.len() >= self.max;
        match table.slots.entry(key.id) {
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
        let mut tables = self.lock();
        let table = tables.entry(key.caller).or_default();
        table
            .slots
            .insert(key.id, Slot::Answered(content, index, at));
        table.by_time.push_back((at, key.id));
    }
}

impl Table {
    fn forget(&mut self, now: Timestamp) {
        // One from the future was put in before the clock stepped back; it must not hold up those behind it for ever.
        let (from, until) = (now.minus(REMEMBERED), now.plus(REMEMBERED));
        while self
            .by_time
            .front()
            .is_some_and(|(at, _)| *at < from || *at > until)
        {
            // An id that was used anew since has another time, and its own place in the order.
            if let Some((popped, id)) = self.by_time.pop_front()
                && matches!(self.slots.get(&id), Some(Slot::Answered(_, _, at)) if *at == popped)
            {
                self.slots.remove(&id);
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
    /// Digest of what was asked.
    pub(super) const fn content(&self) -> &ContentDigest {
        &self.content
    }

    /// The answer is durable at `index`.
    pub(super) fn answered(self, index: LogIndex, at: Timestamp) {
        // Replacing the slot drops its sender, which wakes those who wait; the drop below then finds nothing in flight.
        self.repeats
            .remember(self.key.clone(), self.content, index, at);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut tables = self.repeats.lock();
        if let Some(table) = tables.get_mut(&self.key.caller)
            && matches!(table.slots.get(&self.key.id), Some(Slot::InFlight(..)))
        {
            table.slots.remove(&self.key.id);
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
        let Known::First(guard) = repeats.begin(key.clone(), [1; 32], at(0)) else {
            panic!()
        };
        guard.answered(LogIndex(7), at(0));
        assert!(matches!(
            repeats.begin(key.clone(), [1; 32], at(600)),
            Known::Answered(LogIndex(7))
        ));
        assert!(matches!(
            repeats.begin(key.clone(), [2; 32], at(600)),
            Known::OtherContent
        ));
        assert!(matches!(
            repeats.begin(key.clone(), [1; 32], at(601)),
            Known::First(_)
        ));
    }

    #[test]
    fn an_id_used_anew_is_remembered_from_then_also_when_rebuilt() {
        let repeats = Repeats::new(10);
        let key = Key::of("crm", "a");
        repeats.remember(key.clone(), [1; 32], LogIndex(0), at(0));
        repeats.remember(key.clone(), [2; 32], LogIndex(1), at(601));
        assert!(matches!(
            repeats.begin(key.clone(), [2; 32], at(1201)),
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
        let first = repeats.begin(key.clone(), [1; 32], at(0));
        let Known::InFlight(mut waiting) = repeats.begin(key.clone(), [1; 32], at(0)) else {
            panic!()
        };
        drop(first);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(runtime.block_on(waiting.changed()).is_err());
        assert!(matches!(
            repeats.begin(key.clone(), [1; 32], at(0)),
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
    fn one_caller_never_meets_or_uses_up_anothers() {
        let repeats = Repeats::new(1);
        let _first = repeats.begin(Key::of("crm", "a"), [1; 32], at(0));
        assert!(matches!(
            repeats.begin(Key::of("billing", "a"), [2; 32], at(0)),
            Known::First(_)
        ));
    }

    #[test]
    fn a_clock_that_stepped_back_holds_up_nothing() {
        let repeats = Repeats::new(10);
        repeats.remember(Key::of("crm", "future"), [1; 32], LogIndex(0), at(100_000));
        repeats.remember(Key::of("crm", "old"), [1; 32], LogIndex(1), at(0));
        assert!(matches!(
            repeats.begin(Key::of("crm", "old"), [1; 32], at(700)),
            Known::First(_)
        ));
    }
}
