//! The sessions that have not ended: who is logged in, where, since when. Kept so that they can be listed and ended, and so that
//! nobody has more of them than the pack allows; whether a ticket is good is not asked here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::ids::{Name, SessionId};
use crate::domain::time::Timestamp;

/// A session, from its login on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub person: Name,
    /// The service where the person logged in.
    pub caller: Name,
    /// What its tickets are bound to.
    pub device: IpAddr,
    /// The login.
    pub began: Timestamp,
    /// The end that nothing moves.
    pub expires: Timestamp,
    /// The person's epoch at the login: once the person's is higher, the session has ended.
    pub epoch: u64,
    /// The service's generation at the login: once the service's is higher, the session has ended.
    pub generation: u64,
}

/// All of them. Bounded by how many a person may have at once.
#[derive(Debug, Default)]
pub struct LiveSessions(Mutex<HashMap<Name, Vec<LiveSession>>>);

impl LiveSessions {
    /// A login. Those of the person that have run out don't count; of the others the oldest give way where there would be
    /// more than `at_most` with the new one, and are handed back: they end. Before any of them, those go that began in a time
    /// to come: the clock was set back since.
    pub fn open(&self, opened: LiveSession, at_most: u32) -> Vec<LiveSession> {
        let mut all = self.lock();
        let own = all.entry(opened.person.clone()).or_default();
        let began = opened.began;
        own.retain(|one| one.session != opened.session);
        own.push(opened);
        own.sort_by_key(|one| (one.began, one.session));
        let mut counted: Vec<(bool, Timestamp, SessionId)> = own
            .iter()
            .filter(|one| one.expires > began)
            .map(|one| (!one.began.is_ahead_of(began), one.began, one.session))
            .collect();
        counted.sort_unstable();
        let over = counted
            .len()
            .saturating_sub(usize::try_from(at_most).unwrap_or(usize::MAX));
        counted.truncate(over);
        let goes = |one: &LiveSession| {
            counted
                .iter()
                .any(|(_, _, session)| *session == one.session)
        };
        own.extract_if(.., |one| goes(one)).collect()
    }

    /// Ends one; `None` where there is none such.
    pub fn end(&self, session: SessionId) -> Option<LiveSession> {
        let mut all = self.lock();
        let (person, at) = all.iter().find_map(|(person, own)| {
            let at = own.iter().position(|one| one.session == session)?;
            Some((person.clone(), at))
        })?;
        let own = all.get_mut(&person)?;
        let ended = own.remove(at);
        if own.is_empty() {
            all.remove(&person);
        }
        Some(ended)
    }

    /// Ends all of a person; tells how many had not run out at `now`.
    pub fn end_of_person(&self, person: &str, now: Timestamp) -> usize {
        let own = self.lock().remove(person).unwrap_or_default();
        own.iter().filter(|one| one.expires > now).count()
    }

    /// Ends all that began at a service before it was of `generation`; tells how many had not run out at `now`.
    pub fn end_of_service(&self, service: &str, generation: u64, now: Timestamp) -> usize {
        let mut ended = 0_usize;
        self.lock().retain(|_, own| {
            own.retain(|one| {
                let stays = &*one.caller != service || one.generation >= generation;
                ended = ended.saturating_add(usize::from(!stays && one.expires > now));
                stays
            });
            !own.is_empty()
        });
        ended
    }

    /// Those that have not run out at `now` and are `wanted`, the newest first, after the one of `after` (its login and id).
    #[must_use]
    pub fn list(
        &self,
        now: Timestamp,
        wanted: impl Fn(&LiveSession) -> bool,
        after: Option<(Timestamp, SessionId)>,
        at_most: usize,
    ) -> Vec<LiveSession> {
        let all = self.lock();
        let mut found: Vec<&LiveSession> = all
            .values()
            .flatten()
            .filter(|one| one.expires > now && wanted(one))
            .filter(|one| after.is_none_or(|after| (one.began, one.session) < after))
            .collect();
        found.sort_by_key(|one| std::cmp::Reverse((one.began, one.session)));
        found.into_iter().take(at_most).cloned().collect()
    }

    /// Takes these in place of all that are known.
    pub fn replace(&self, sessions: Vec<LiveSession>) {
        let mut anew: HashMap<Name, Vec<LiveSession>> = HashMap::new();
        for one in sessions {
            anew.entry(one.person.clone()).or_default().push(one);
        }
        for own in anew.values_mut() {
            own.sort_by_key(|one| (one.began, one.session));
        }
        *self.lock() = anew;
    }

    /// Forgets what had run out at `before`.
    pub fn forget(&self, before: Timestamp) {
        self.lock().retain(|_, own| {
            own.retain(|one| one.expires > before);
            !own.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Vec<LiveSession>>> {
        // Nothing under the lock panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    fn session(number: u128, person: &str, caller: &str, began: i64) -> LiveSession {
        LiveSession {
            session: SessionId(Uuid::from_u128(number)),
            person: Name::parse(person).unwrap(),
            caller: Name::parse(caller).unwrap(),
            device: [10, 0, 0, 1].into(),
            began: at(began),
            expires: at(began + 100),
            epoch: 0,
            generation: 0,
        }
    }

    fn numbers(sessions: &[LiveSession]) -> Vec<u128> {
        sessions.iter().map(|one| one.session.0.as_u128()).collect()
    }

    #[test]
    fn the_oldest_give_way_and_what_has_run_out_does_not_count() {
        let live = LiveSessions::default();
        for (number, began) in [(1, 0), (2, 50), (3, 60)] {
            assert_eq!(live.open(session(number, "a", "crm", began), 3), []);
        }
        assert_eq!(numbers(&live.open(session(4, "a", "crm", 70), 3)), [1]);
        // 2 and 3 have run out by then.
        assert_eq!(live.open(session(5, "a", "crm", 165), 2), []);
        assert_eq!(live.open(session(6, "b", "crm", 165), 1), []);
        let all = live.list(at(165), |_| true, None, 10);
        assert_eq!(numbers(&all), [6, 5, 4]);
    }

    #[test]
    fn they_are_listed_in_pages_and_ended_by_session_person_or_service() {
        let live = LiveSessions::default();
        for number in 0..6 {
            let (person, caller) = [("a", "crm"), ("b", "crm"), ("a", "pay")][number as usize % 3];
            live.open(session(number, person, caller, number as i64), 9);
        }
        let page = live.list(at(10), |_| true, None, 4);
        assert_eq!(numbers(&page), [5, 4, 3, 2]);
        let last = page.last().map(|one| (one.began, one.session));
        assert_eq!(numbers(&live.list(at(10), |_| true, last, 4)), [1, 0]);
        assert_eq!(
            numbers(&live.list(at(10), |one| &*one.person == "b", None, 9)),
            [4, 1]
        );

        assert_eq!(
            live.end(SessionId(Uuid::from_u128(0))).unwrap().began,
            at(0)
        );
        assert_eq!(live.end(SessionId(Uuid::from_u128(0))), None);
        assert_eq!(live.end_of_service("pay", 0, at(10)), 0);
        assert_eq!(live.end_of_service("pay", 1, at(10)), 2);
        assert_eq!(live.end_of_person("b", at(10)), 2);
        assert_eq!(numbers(&live.list(at(10), |_| true, None, 9)), [3]);
        live.forget(at(103));
        assert_eq!(live.list(at(10), |_| true, None, 9), []);
    }

    #[test]
    fn a_clock_that_was_ahead_costs_nobody_the_session_that_they_open_next() {
        let live = LiveSessions::default();
        assert_eq!(live.open(session(1, "a", "crm", 0), 2), []);
        for (number, began) in [(2, 5_000), (3, 5_001)] {
            assert_eq!(live.open(session(number, "a", "crm", began), 2), []);
        }
        // Set back: what had run out by the clock is there again, what began in a time to come goes first.
        assert_eq!(numbers(&live.list(at(10), |_| true, None, 9)), [3, 2, 1]);
        assert_eq!(numbers(&live.open(session(4, "a", "crm", 20), 2)), [2, 3]);
        assert_eq!(numbers(&live.list(at(20), |_| true, None, 9)), [4, 1]);
    }
}
