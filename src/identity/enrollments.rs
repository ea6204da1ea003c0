//! Enrolments that are under way: the seed that a person's authenticator was shown, until a code shows that it has it. In memory
//! only, for ten minutes; after a restart people begin again.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::ticket::Ticket;
use super::totp::Seed;
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;

/// How long one lives.
const LIFE: Duration = Duration::from_mins(10);
/// How many codes may be tried with one.
const TRIES: u8 = 5;
/// How many are under way at a time: one of a person.
const OPEN_MAX: usize = 10_000;
/// 144 random bits.
const ID_BYTES: usize = 18;

/// An enrolment that waits for its code.
pub struct Enrollment {
    /// Whose.
    pub person: Name,
    /// The service that may confirm it.
    pub caller: Name,
    /// The address of the person's device, as told.
    pub client_ip: IpAddr,
    /// What the authenticator was shown.
    pub seed: Seed,
    /// The second factor that it takes the place of; `None` for the first one.
    pub replaces: Option<Uuid>,
    /// The hash of the administrator's one-time code, where one was asked for.
    pub code: Option<[u8; 32]>,
    /// The session that it was asked for in, where it was.
    pub session: Option<Ticket>,
    /// The person's epoch then: once it is another, the enrolment is worth nothing.
    pub epoch: u64,
    /// The service's generation then: raised since, the enrolment is worth nothing.
    pub generation: u64,
}

impl fmt::Debug for Enrollment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrollment")
            .field("person", &self.person)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Why none was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentError {
    /// As many as may be are under way: nobody's fault, to be tried again in minutes.
    #[error("too many enrolments are under way")]
    Full,
    /// The system gives no random numbers: the operator's.
    #[error("the system gives no random numbers")]
    Random,
}

struct Held {
    enrollment: Arc<Enrollment>,
    opened: Timestamp,
    expires: Timestamp,
    tries: u8,
}

/// All that are under way; a person's new one takes the place of the old one.
#[derive(Default)]
pub struct Enrollments {
    open: Mutex<HashMap<Box<str>, Held>>,
}

impl Enrollments {
    /// Opens one, and says by which id and until when it can be confirmed.
    ///
    /// # Errors
    /// [`EnrollmentError::Full`], [`EnrollmentError::Random`].
    pub fn open(
        &self,
        enrollment: Enrollment,
        now: Timestamp,
    ) -> Result<(String, Timestamp), EnrollmentError> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).map_err(|_| EnrollmentError::Random)?;
        let id = BASE64URL_NOPAD.encode(&id);
        let expires = now.plus(LIFE);
        let mut open = self.lock();
        open.retain(|_, held| held.expires > now && held.enrollment.person != enrollment.person);
        if open.len() >= OPEN_MAX {
            return Err(EnrollmentError::Full);
        }
        let held = Held {
            enrollment: Arc::new(enrollment),
            opened: now,
            expires,
            tries: 0,
        };
        open.insert(id.as_str().into(), held);
        Ok((id, expires))
    }

    /// Counts a try, and only then says what it is. `None` when it is unknown, over, used up, or another service's.
    #[must_use]
    pub fn charge(&self, id: &str, caller: &str, now: Timestamp) -> Option<Arc<Enrollment>> {
        let mut open = self.lock();
        let held = open.get_mut(id)?;
        // Opened in a time to come: the clock was set back, and nobody knows how old it is.
        let over = now >= held.expires || held.opened.is_ahead_of(now);
        if over || *held.enrollment.caller != *caller || held.tries >= TRIES {
            return None;
        }
        held.tries = held.tries.saturating_add(1);
        Some(Arc::clone(&held.enrollment))
    }

    /// Closes one. True for exactly one caller.
    #[must_use]
    pub fn close(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }

    /// Wipes those whose time is over.
    pub fn drop_expired(&self, now: Timestamp) {
        self.lock().retain(|_, held| held.expires > now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Held>> {
        // Nothing under the lock panics halfway.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Enrollments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enrollments({} under way)", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn enrollment(person: &str) -> Enrollment {
        Enrollment {
            person: Name::parse(person).unwrap(),
            caller: Name::parse("ats").unwrap(),
            client_ip: "10.0.0.1".parse().unwrap(),
            seed: Seed::random().unwrap(),
            replaces: None,
            code: None,
            session: None,
            epoch: 0,
            generation: 0,
        }
    }

    #[test]
    fn one_lives_for_ten_minutes_five_tries_and_one_service() {
        let all = Enrollments::default();
        let (id, expires) = all.open(enrollment("p"), at(0)).unwrap();
        assert_eq!(expires, at(600));
        assert!(all.charge(&id, "crm", at(1)).is_none());
        for _ in 0..5 {
            assert!(all.charge(&id, "ats", at(599)).is_some());
        }
        assert!(all.charge(&id, "ats", at(599)).is_none());
        let (other, _) = all.open(enrollment("q"), at(0)).unwrap();
        assert!(all.charge(&other, "ats", at(600)).is_none());
        assert!(all.close(&other) && !all.close(&other));
        all.drop_expired(at(600));
        assert_eq!(format!("{all:?}"), "Enrollments(0 under way)");
    }

    #[test]
    fn a_persons_new_one_takes_the_place_of_the_old_one() {
        let all = Enrollments::default();
        let (old, _) = all.open(enrollment("p"), at(0)).unwrap();
        let (new, _) = all.open(enrollment("p"), at(1)).unwrap();
        assert!(all.charge(&old, "ats", at(2)).is_none());
        let found = all.charge(&new, "ats", at(2)).unwrap();
        assert!(!format!("{found:?}").contains(&*found.seed.to_base32()));
    }
}
