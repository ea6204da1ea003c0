//! What is known of the sessions that are in use: when each was last used, and which were ended early. Every check reads
//! this, so nothing here waits for a disk or for a change that is under way.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;

/// Neighbours in use rarely meet in one part, and what an end or an eviction copies or scans stays small.
const PARTS: usize = 64;
/// How late a use is told at most: no call takes longer.
const LATE_MAX: Duration = Duration::from_mins(1);
/// Sessions whose last use is kept, by default.
const REMEMBERED: usize = 100_000;

/// Last uses and revocations, by session.
///
/// Last uses are bounded: the least recent of a part goes for a new one, and a session whose last use is not known counts
/// from its ticket's own instants. A revocation is dropped by [`Self::forget`] only, long after the session would have ended
/// anyway, since that would bring it back; they are bounded by how many people can log in and out within that time.
pub struct Sessions {
    parts: Vec<Part>,
    remembered_per_part: usize,
}

#[derive(Default)]
struct Part {
    last_use: Mutex<HashMap<SessionId, Timestamp>>,
    revoked: ArcSwap<HashMap<SessionId, Revoked>>,
}

#[derive(Clone, Copy)]
struct Revoked {
    /// When its last ticket would have ended anyway.
    until: Timestamp,
    /// Since when this is known, by the clock that nobody sets.
    known: Duration,
}

impl Sessions {
    /// Remembers the last use of about `remembered` sessions, about 60 bytes each.
    #[must_use]
    pub fn new(remembered: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            remembered_per_part: remembered.div_ceil(PARTS).max(1),
        }
    }

    /// When the session was last used, where that is remembered.
    #[must_use]
    pub fn last_use(&self, session: SessionId) -> Option<Timestamp> {
        self.part(session)?.lock().get(&session).copied()
    }

    /// Remembers a use. One that is told late never moves the last use back; one of a time to come, which only a clock that was
    /// set back leaves, gives way.
    pub fn used(&self, session: SessionId, at: Timestamp) {
        let Some(part) = self.part(session) else {
            return;
        };
        let mut last_use = part.lock();
        if let Some(known) = last_use.get_mut(&session) {
            *known = if *known > at.plus(LATE_MAX) {
                at
            } else {
                at.max(*known)
            };
            return;
        }
        if last_use.len() >= self.remembered_per_part {
            // A scan, but of one part only and only when a session is new; it spares every use the upkeep of an order.
            let least_recent = last_use
                .iter()
                .min_by_key(|(_, used)| **used)
                .map(|(session, used)| (*session, *used));
            match least_recent {
                // The new one itself is the least recent: while uses are rebuilt, they may come in any order.
                Some((_, used)) if used > at => return,
                Some((session, _)) => last_use.remove(&session),
                None => None,
            };
        }
        last_use.insert(session, at);
    }

    /// Whether the session was ended early. Takes no lock.
    #[must_use]
    pub fn is_revoked(&self, session: SessionId) -> bool {
        // A part is always found; were it not, the session must not count as live.
        self.part(session)
            .is_none_or(|part| part.revoked.load().contains_key(&session))
    }

    /// Ends a session, effective for every check that begins after this returns. `until` is when its last ticket would have
    /// ended anyway, `steady` is [`crate::domain::time::Clock::steady`]. Several revocations of one session: the latest end
    /// counts.
    pub fn revoke(&self, session: SessionId, until: Timestamp, steady: Duration) {
        let Some(part) = self.part(session) else {
            return;
        };
        part.revoked.rcu(|revoked| {
            let mut next = HashMap::clone(revoked);
            let revoked = next.entry(session).or_insert(Revoked {
                until,
                known: steady,
            });
            revoked.until = until.max(revoked.until);
            revoked.known = steady.max(revoked.known);
            next
        });
    }

    /// Forgets the revocations of sessions that had ended before `before` in any case, where that is known since before
    /// `known_before` on the clock that nobody sets: neither clock alone brings a session back. Tells which.
    pub fn forget(&self, before: Timestamp, known_before: Duration) -> Vec<SessionId> {
        let goes = |one: &Revoked| one.until < before && one.known < known_before;
        let mut gone = Vec::new();
        for part in &self.parts {
            let found = part.revoked.load();
            if !found.values().any(goes) {
                continue;
            }
            let of_part: Vec<SessionId> = found
                .iter()
                .filter(|(_, one)| goes(one))
                .map(|(session, _)| *session)
                .collect();
            part.revoked.rcu(|revoked| {
                let mut next = HashMap::clone(revoked);
                next.retain(|_, one| !goes(one));
                next
            });
            gone.extend(of_part);
        }
        gone
    }

    fn part(&self, session: SessionId) -> Option<&Part> {
        // The low bits of a UUID of version 4 or 7 are random (RFC 9562).
        let [.., last] = *session.0.as_bytes();
        self.parts.get(usize::from(last) % PARTS)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new(REMEMBERED)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remembered: usize = self.parts.iter().map(|part| part.lock().len()).sum();
        let revoked: usize = self
            .parts
            .iter()
            .map(|part| part.revoked.load().len())
            .sum();
        write!(f, "Sessions({remembered} remembered, {revoked} revoked)")
    }
}

impl Part {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Timestamp>> {
        // Nothing under the lock panics halfway.
        self.last_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use uuid::Uuid;

    fn session(number: u128) -> SessionId {
        SessionId(Uuid::from_u128(number))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// Sessions that share a part.
    fn neighbour(number: u128) -> SessionId {
        session(number * 256)
    }

    #[test]
    fn the_last_use_is_the_latest_whatever_the_order() {
        let sessions = Sessions::default();
        assert_eq!(sessions.last_use(session(1)), None);
        for seconds in [10, 30, 20] {
            sessions.used(session(1), at(seconds));
        }
        assert_eq!(sessions.last_use(session(1)), Some(at(30)));
        assert_eq!(sessions.last_use(session(2)), None);
    }

    #[test]
    fn the_least_recent_goes_for_a_new_one() {
        let sessions = Sessions::new(3 * PARTS);
        for number in 1..=3 {
            sessions.used(neighbour(number), at(i64::try_from(number).unwrap()));
        }
        sessions.used(neighbour(1), at(9));
        sessions.used(neighbour(4), at(10));
        let known: Vec<bool> = (1..=4)
            .map(|number| sessions.last_use(neighbour(number)).is_some())
            .collect();
        assert_eq!(known, [true, false, true, true]);
        sessions.used(neighbour(5), at(0));
        assert_eq!(sessions.last_use(neighbour(5)), None);
        assert_eq!(sessions.last_use(neighbour(3)), Some(at(3)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let sessions = Sessions::new(1_000);
        for number in 0..20_000 {
            sessions.used(session(number), at(1));
        }
        let printed = format!("{sessions:?}");
        assert_eq!(printed, "Sessions(1024 remembered, 0 revoked)");
    }

    #[test]
    fn a_use_of_a_time_to_come_gives_way() {
        let sessions = Sessions::default();
        sessions.used(session(1), at(5_000));
        sessions.used(session(1), at(10));
        assert_eq!(sessions.last_use(session(1)), Some(at(10)));
        sessions.used(session(1), at(9));
        assert_eq!(sessions.last_use(session(1)), Some(at(10)));
    }

    #[test]
    fn a_revoked_session_stays_so_until_its_tickets_have_ended_by_both_clocks() {
        let steady = Duration::from_secs;
        let sessions = Sessions::default();
        sessions.revoke(neighbour(1), at(100), steady(0));
        assert!(sessions.is_revoked(neighbour(1)));
        assert!(!sessions.is_revoked(neighbour(2)));
        sessions.revoke(neighbour(1), at(50), steady(0));
        sessions.revoke(neighbour(2), at(200), steady(5));
        for (before, known_before) in [(100, 9), (9_999, 0), (150, 0)] {
            assert_eq!(sessions.forget(at(before), steady(known_before)), []);
        }
        assert!(sessions.is_revoked(neighbour(1)));
        assert_eq!(sessions.forget(at(9_999), steady(5)), [neighbour(1)]);
        assert!(!sessions.is_revoked(neighbour(1)));
        assert!(sessions.is_revoked(neighbour(2)));
        // Heard of again: known since then.
        sessions.revoke(neighbour(2), at(200), steady(7));
        assert_eq!(sessions.forget(at(9_999), steady(7)), []);
        assert_eq!(sessions.forget(at(9_999), steady(8)), [neighbour(2)]);
    }

    #[test]
    fn parallel_revocations_lose_none() {
        let sessions = Sessions::default();
        thread::scope(|scope| {
            for first in 0..8_u128 {
                let sessions = &sessions;
                scope.spawn(move || {
                    for number in 0..100 {
                        sessions.revoke(neighbour(first * 100 + number), at(9), Duration::ZERO);
                    }
                });
            }
        });
        assert!((0..800).all(|number| sessions.is_revoked(neighbour(number))));
    }
}
