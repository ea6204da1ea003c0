//! Challenges: what lies between the two steps. In memory only, since one lives for minutes; after a restart people begin
//! with the first step again.
//!
//! A challenge is good for five tries, one success, five minutes and one calling service. It bounds guessing through one
//! challenge; guessing through many is for the durable count of the second factor's failures in `store`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::ticket::Ticket;
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;

/// How long a challenge lives.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// How many codes may be tried with one.
const TRIES: u8 = 5;
/// How many are open at a time.
const OPEN_MAX: usize = 100_000;
/// How many one person has open at a time.
const OPEN_MAX_PER_PERSON: usize = 20;
/// 144 random bits.
const ID_BYTES: usize = 18;

type RawId = [u8; ID_BYTES];

/// What the second step is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengePurpose {
    /// A new session.
    Login,
    /// A fresh second step in the session of this ticket.
    StepUp(Ticket),
}

/// Who passed the first step, where, and through which service.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who.
    pub person: Name,
    /// The service that may answer it.
    pub caller: Name,
    /// What a ticket is to be bound to ([`crate::domain::network::device_network`]).
    pub device: IpAddr,
    /// The address of the person's device, as told.
    pub client_ip: IpAddr,
    /// The service's own session.
    pub session_ref: Option<Name>,
    /// What the second step is for.
    pub purpose: ChallengePurpose,
    /// When the first step was passed.
    pub opened: Timestamp,
    /// The person's epoch then: raised since, the challenge is worth nothing.
    pub epoch: u64,
    /// The service's generation then: raised since, the challenge is worth nothing.
    pub generation: u64,
}

/// The session reference may be a secret of the service, so it is left out.
impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("person", &self.person)
            .field("caller", &self.caller)
            .field("client_ip", &self.client_ip)
            .field("purpose", &self.purpose)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

/// Names an open challenge: 144 random bits in base64url. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ChallengeId(Box<str>);

impl ChallengeId {
    /// The text, for the calling service.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeId(..)")
    }
}

/// Why no challenge was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// As many as may be are open: nobody's fault, to be tried again in minutes.
    #[error("too many logins are under way")]
    Full,
    /// The system gives no random numbers: the operator's.
    #[error("the system gives no random numbers")]
    Random,
}

/// All open challenges: at most 100,000, and 20 of one person, of which the oldest goes for a new one.
#[derive(Default)]
pub struct Challenges {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<RawId, Held>,
    by_person: HashMap<Name, VecDeque<RawId>>,
    /// The first to expire first.
    by_expiry: BTreeSet<(Timestamp, RawId)>,
}

struct Held {
    challenge: Challenge,
    expires: Timestamp,
    tries: u8,
    /// When the second step within a session was passed with it: it is good for one change more, and for no ticket.
    passed: Option<Timestamp>,
}

impl Challenges {
    /// With none open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a challenge, and says until when it can be answered.
    ///
    /// # Errors
    /// [`ChallengeError::Full`], [`ChallengeError::Random`].
    pub fn open(
        &self,
        challenge: Challenge,
        now: Timestamp,
    ) -> Result<(ChallengeId, Timestamp), ChallengeError> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).map_err(|_| ChallengeError::Random)?;
        let expires = now.plus(LIFE);
        let mut open = self.lock();
        open.drop_expired(now);
        open.make_room_for(&challenge.person);
        if open.by_id.len() >= OPEN_MAX {
            return Err(ChallengeError::Full);
        }
        open.by_person
            .entry(challenge.person.clone())
            .or_default()
            .push_back(id);
        open.by_expiry.insert((expires, id));
        let held = Held {
            challenge,
            expires,
            tries: 0,
            passed: None,
        };
        open.by_id.insert(id, held);
        Ok((ChallengeId(BASE64URL_NOPAD.encode(&id).into()), expires))
    }

    /// Counts a try, and only then says what the challenge is: of parallel tries none goes uncounted. `None` when it is
    /// unknown, closed, expired, used up, or was opened for another service, whose tries don't count.
    #[must_use]
    pub fn charge(&self, id: &str, caller: &str, now: Timestamp) -> Option<Challenge> {
        self.charge_any(id, caller, now)
            .filter(|(_, passed)| passed.is_none())
            .map(|(challenge, _)| challenge)
    }

    /// The same for what may be asked for after the second step, too: tells also when that was passed with the challenge.
    #[must_use]
    pub fn charge_any(
        &self,
        id: &str,
        caller: &str,
        now: Timestamp,
    ) -> Option<(Challenge, Option<Timestamp>)> {
        let id = read_id(id)?;
        let mut open = self.lock();
        let held = open.by_id.get_mut(&id)?;
        // Opened in a time to come: the clock was set back, and nobody knows how old it is.
        let over = now >= held.expires || held.challenge.opened.is_ahead_of(now);
        if over || &*held.challenge.caller != caller || held.tries >= TRIES {
            return None;
        }
        held.tries = held.tries.saturating_add(1);
        Some((held.challenge.clone(), held.passed))
    }

    /// Notes that the second step was passed with a challenge. True for exactly one caller, who alone may make a ticket of it;
    /// from then on it is good for one change of the person's credentials, with as many tries as a new one.
    #[must_use]
    pub fn pass(&self, id: &str, now: Timestamp) -> bool {
        let Some(id) = read_id(id) else { return false };
        let mut open = self.lock();
        match open.by_id.get_mut(&id) {
            Some(held) if held.passed.is_none() => {
                (held.passed, held.tries) = (Some(now), 0);
                true
            }
            _ => false,
        }
    }

    /// Closes a challenge. True for exactly one caller, who alone may make a ticket of it.
    #[must_use]
    pub fn close(&self, id: &str) -> bool {
        read_id(id).is_some_and(|id| self.lock().remove(&id))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing under the lock panics halfway; a poisoned lock must not end all logins.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenges({} open)", self.lock().by_id.len())
    }
}

impl Open {
    fn remove(&mut self, id: &RawId) -> bool {
        let Some(held) = self.by_id.remove(id) else {
            return false;
        };
        self.by_expiry.remove(&(held.expires, *id));
        if let Some(of_person) = self.by_person.get_mut(&held.challenge.person) {
            of_person.retain(|other| other != id);
            if of_person.is_empty() {
                self.by_person.remove(&held.challenge.person);
            }
        }
        true
    }

    fn drop_expired(&mut self, now: Timestamp) {
        while let Some((expires, id)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.remove(&id);
        }
    }

    fn make_room_for(&mut self, person: &Name) {
        while let Some(of_person) = self.by_person.get(person)
            && of_person.len() >= OPEN_MAX_PER_PERSON
            && let Some(oldest) = of_person.front().copied()
        {
            self.remove(&oldest);
        }
    }
}

fn read_id(text: &str) -> Option<RawId> {
    // Bounded before it is decoded.
    if text.len() != ID_BYTES / 3 * 4 {
        return None;
    }
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn challenge(person: &str) -> Challenge {
        Challenge {
            person: Name::parse(person).unwrap(),
            caller: Name::parse("ats").unwrap(),
            device: "10.0.0.1".parse().unwrap(),
            client_ip: "10.0.0.1".parse().unwrap(),
            session_ref: Some(Name::parse("cookie").unwrap()),
            purpose: ChallengePurpose::Login,
            opened: at(0),
            epoch: 0,
            generation: 0,
        }
    }

    fn open(challenges: &Challenges, person: &str) -> ChallengeId {
        challenges.open(challenge(person), at(0)).unwrap().0
    }

    fn is_empty(challenges: &Challenges) -> bool {
        let open = challenges.lock();
        open.by_id.is_empty() && open.by_person.is_empty() && open.by_expiry.is_empty()
    }

    #[test]
    fn the_sixth_try_is_refused_even_in_parallel() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        let granted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    if challenges.charge(id.expose(), "ats", at(1)).is_some() {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(granted.into_inner(), 5);
        assert_eq!(challenges.charge(id.expose(), "ats", at(1)), None);
        assert!(challenges.close(id.expose()), "the fifth try may still win");
    }

    #[test]
    fn of_many_that_close_a_challenge_one_succeeds() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        let closed = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    if challenges.close(id.expose()) {
                        closed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(closed.into_inner(), 1);
        assert_eq!(challenges.charge(id.expose(), "ats", at(1)), None);
        assert!(is_empty(&challenges));
    }

    #[test]
    fn a_challenge_ends_after_five_minutes() {
        let challenges = Challenges::new();
        let (id, expires) = challenges.open(challenge("p"), at(0)).unwrap();
        assert_eq!(expires, at(300));
        let last = Timestamp::from_micros(at(300).micros() - 1);
        assert_eq!(
            challenges.charge(id.expose(), "ats", last),
            Some(challenge("p"))
        );
        assert_eq!(challenges.charge(id.expose(), "ats", at(300)), None);
        let other = challenges.open(challenge("q"), at(300)).unwrap().0;
        assert!(!challenges.close(id.expose()), "the expired one is gone");
        assert!(challenges.close(other.expose()));
        assert!(is_empty(&challenges));
    }

    #[test]
    fn another_service_can_neither_answer_nor_use_up_a_challenge() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        for _ in 0..10 {
            assert_eq!(challenges.charge(id.expose(), "crm", at(1)), None);
        }
        assert!(challenges.charge(id.expose(), "ats", at(1)).is_some());
    }

    #[test]
    fn a_challenge_that_was_passed_makes_no_other_ticket_and_serves_one_change() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        for _ in 0..5 {
            assert!(challenges.charge(id.expose(), "ats", at(1)).is_some());
        }
        assert!(challenges.pass(id.expose(), at(2)));
        assert!(!challenges.pass(id.expose(), at(2)));
        assert_eq!(challenges.charge(id.expose(), "ats", at(3)), None);
        let (_, passed) = challenges.charge_any(id.expose(), "ats", at(3)).unwrap();
        assert_eq!(passed, Some(at(2)));
        assert_eq!(challenges.charge_any(id.expose(), "crm", at(3)), None);
        assert!(challenges.close(id.expose()) && !challenges.close(id.expose()));
        assert!(!challenges.pass(id.expose(), at(4)));
    }

    #[test]
    fn an_unknown_or_misspelt_id_is_refused() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        let text = id.expose();
        assert_eq!(text.len(), 24);
        for bad in [
            "",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            &text[..23],
            &format!("{text}="),
            &format!(" {text}"),
            &"x".repeat(100_000),
        ] {
            assert_eq!(challenges.charge(bad, "ats", at(1)), None);
            assert!(!challenges.close(bad));
        }
        assert!(challenges.close(text));
    }

    #[test]
    fn of_one_person_the_oldest_goes_and_others_stay() {
        let challenges = Challenges::new();
        let other = open(&challenges, "q");
        let ids: Vec<ChallengeId> = (0..25).map(|_| open(&challenges, "p")).collect();
        let alive: Vec<bool> = ids
            .iter()
            .map(|id| challenges.charge(id.expose(), "ats", at(1)).is_some())
            .collect();
        assert_eq!(alive.iter().filter(|alive| **alive).count(), 20);
        assert_eq!(alive[..5], [false; 5]);
        assert!(challenges.charge(other.expose(), "ats", at(1)).is_some());
    }

    #[test]
    fn what_is_open_is_bounded_and_expires() {
        let challenges = Challenges::new();
        for person in 0..OPEN_MAX {
            open(&challenges, &person.to_string());
        }
        assert_eq!(
            challenges.open(challenge("one more"), at(1)).unwrap_err(),
            ChallengeError::Full
        );
        assert!(challenges.open(challenge("one more"), at(300)).is_ok());
        assert_eq!(format!("{challenges:?}"), "Challenges(1 open)");
    }

    #[test]
    fn a_challenge_prints_neither_its_id_nor_a_session_reference() {
        let challenges = Challenges::new();
        let id = open(&challenges, "p");
        let printed = format!("{id:?} {:?} {challenges:?}", challenge("p"));
        assert!(!printed.contains("cookie") && !printed.contains(id.expose()));
    }
}
