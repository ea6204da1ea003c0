//! Who is logged in, and ending that: a session, all of a person, all tickets of a service. An entry first, then in force for
//! every check that begins afterwards.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::ids::{LogIndex, Name, SessionId};
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::changes::{Decided, Wish};
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::reason_violations;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::identity::challenge::{Challenge, ChallengePurpose};
use crate::identity::live::LiveSession;
use crate::identity::ticket::{Passage, Ticket};
use crate::proto::stored_change::Kind;
use crate::proto::{
    EntryKind, StoredChange, StoredEntry, StoredEpoch, StoredServiceEnd, StoredSession,
    StoredSessionEnd,
};
use crate::store::StoreError;

/// No pack lets a session last longer.
const SESSION_MAX: Duration = Duration::from_hours(366 * 24);
/// How many are told at once.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;

/// Which sessions are asked for.
#[derive(Debug, Default)]
pub struct SessionQuery {
    /// Of this person.
    pub person: Option<Name>,
    /// That began at this service.
    pub service: Option<Name>,
    /// 1 to 1,000; 0 is 100.
    pub page_size: u32,
    /// From the page before.
    pub page_token: String,
}

/// A page of sessions, the newest first.
#[derive(Debug)]
pub struct SessionPage {
    /// Each with its last use, where that is remembered.
    pub sessions: Vec<(LiveSession, Option<Timestamp>)>,
    /// For the next page; empty after the last.
    pub next: String,
}

/// What is to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One session.
    Session(SessionId),
    /// All of a person.
    Person(Name),
    /// All tickets of a service.
    Service(Name),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its entry.
    pub index: LogIndex,
    /// How many sessions were live.
    pub ended: usize,
}

impl Gate {
    /// The live sessions.
    ///
    /// # Errors
    /// When nobody who administers asks, a field can't be taken, or the call can't be logged.
    pub async fn list_sessions(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        query: SessionQuery,
    ) -> Result<SessionPage, GateError> {
        const CALL: &str = "ListSessions";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let page_size = match usize::try_from(query.page_size).unwrap_or(usize::MAX) {
            0 => Ok(PAGE),
            size if size <= PAGE_MAX => Ok(size),
            _ => Err(Violation::new("page_size", "is over 1,000")),
        };
        let (page_size, after) = match (page_size, read_token(&query.page_token)) {
            (Ok(size), Ok(after)) => (size, after),
            (size, after) => {
                let violations = size.err().into_iter().chain(after.err()).collect();
                return Err(self
                    .refuse_administrator(peer, &administrator, CALL, violations, now)
                    .await);
            }
        };
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "call", CALL);
        for (key, name) in [("of", &query.person), ("service", &query.service)] {
            if let Some(name) = name {
                entry::detail(&mut entry, key, &**name);
            }
        }
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let wanted = |one: &LiveSession| {
            query.person.as_ref().is_none_or(|of| *of == one.person)
                && query.service.as_ref().is_none_or(|of| *of == one.caller)
        };
        let mut found = self.listed(now, wanted, after, page_size.saturating_add(1));
        let next = match (
            found.len() > page_size,
            found.get(page_size.saturating_sub(1)),
        ) {
            (true, Some(last)) => token(last),
            _ => String::new(),
        };
        found.truncate(page_size);
        let sessions = found
            .into_iter()
            .map(|one| {
                let used = self.sessions.last_use(one.session);
                (one, used)
            })
            .collect();
        Ok(SessionPage { sessions, next })
    }

    /// Ends sessions. They are refused from the next check on.
    ///
    /// # Errors
    /// When nobody who administers asks, there is nothing such, or the entry can't be written.
    pub async fn revoke(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        what: Revocation,
        reason: String,
    ) -> Result<Revoked, GateError> {
        let call = match &what {
            Revocation::Session(_) => "RevokeSession",
            Revocation::Person(_) => "RevokePerson",
            Revocation::Service(_) => "RevokeService",
        };
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, call, now)
            .await?;
        self.hear_others().await?;
        let mut violations = reason_violations(&reason);
        let live = match &what {
            Revocation::Session(session) => {
                // Of one that is not listed a ticket may be about all the same.
                self.listed(now, |one| one.session == *session, None, 1)
            }
            Revocation::Person(person) => {
                if self.person(person).is_none() {
                    violations.push(Violation::new("person", "is nobody who is known"));
                }
                self.listed(now, |one| one.person == *person, None, usize::MAX)
            }
            Revocation::Service(service) => {
                let known = rules.services.id(service).is_some()
                    || self.settings.built_in.values().any(|own| own == service);
                if !known {
                    violations.push(Violation::new("service", "is no service of the pack"));
                }
                self.listed(now, |one| one.caller == *service, None, usize::MAX)
            }
        };
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, call, violations, now)
                .await);
        }
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "ended", live.len().to_string());
        entry.free_text = reason;
        let index = match what {
            Revocation::Session(session) => {
                let longest = now.plus(SESSION_MAX);
                let until = live.first().map_or(longest, |one| one.expires);
                entry::detail(&mut entry, "change", "revoke-session");
                entry::detail(&mut entry, "revoked_session", session.0.to_string());
                if let Some(one) = live.first() {
                    entry::detail(&mut entry, "of", &*one.person);
                }
                entry.change = changing(Kind::EndSession(StoredSessionEnd {
                    session: session.to_bytes(),
                    until_us: until.micros(),
                }));
                let apply = move |gate: &Self| gate.end_now(session, until);
                self.change(entry, crate::gate::changes::Always, apply)
                    .await?
            }
            Revocation::Person(person) => {
                entry::detail(&mut entry, "change", "revoke-person");
                entry::detail(&mut entry, "of", &*person);
                let raise = RaiseEpoch(person.clone());
                let apply = move |gate: &Self, epoch| gate.raise_epoch(&person, epoch, now);
                self.change_epoch(entry, raise, apply).await?
            }
            Revocation::Service(service) => {
                entry::detail(&mut entry, "change", "revoke-service");
                entry::detail(&mut entry, "service", &*service);
                let end = EndService {
                    entry,
                    service,
                    now,
                };
                self.make(end).await?.first()
            }
        };
        Ok(Revoked {
            index: index.index(),
            ended: live.len(),
        })
    }

    /// Live sessions; those that a higher epoch or generation ended are none.
    fn listed(
        &self,
        now: Timestamp,
        wanted: impl Fn(&LiveSession) -> bool,
        after: Option<(Timestamp, SessionId)>,
        at_most: usize,
    ) -> Vec<LiveSession> {
        let people = self.people.load();
        let lives = |one: &LiveSession| {
            let person = people.get(&one.person);
            person.is_some_and(|person| one.epoch >= person.epoch)
                && one.generation >= self.generation(&one.caller)
                && wanted(one)
        };
        self.live.list(now, lives, after, at_most)
    }

    /// A session that begins, as its entry has it.
    pub(in crate::gate) fn opened(ticket: &Ticket, at_most: u32) -> StoredSession {
        let device = match ticket.device {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        StoredSession {
            session: ticket.session.to_bytes(),
            person: ticket.person.to_string(),
            caller: where_it_began(ticket).0.to_string(),
            device: Ipv6Addr::octets(&device).to_vec(),
            began_us: ticket.first_login.micros(),
            expires_us: ticket.expires.micros(),
            epoch: ticket.epoch,
            generation: where_it_began(ticket).1,
            at_most,
        }
    }

    /// In memory: a session begins, and the oldest of the person's give way.
    pub(in crate::gate) fn open_now(&self, ticket: &Ticket, at_most: u32) {
        let (caller, generation) = where_it_began(ticket);
        let opened = LiveSession {
            session: ticket.session,
            person: ticket.person.clone(),
            caller: caller.clone(),
            device: ticket.device,
            began: ticket.first_login,
            expires: ticket.expires,
            epoch: ticket.epoch,
            generation,
        };
        for gone in self.live.open(opened, at_most) {
            self.sessions
                .revoke(gone.session, gone.expires, self.clock.steady());
        }
    }

    /// In memory: a session ends.
    pub(in crate::gate) fn end_now(&self, session: SessionId, until: Timestamp) {
        self.sessions.revoke(session, until, self.clock.steady());
        self.live.end(session);
    }

    /// In memory: every ticket of a person of an older epoch ends.
    pub(in crate::gate) fn raise_epoch(&self, person: &Name, epoch: u64, now: Timestamp) {
        self.people.rcu(|people| {
            let mut people = HashMap::clone(people);
            if let Some(one) = people.get_mut(person) {
                let raised = Arc::make_mut(one);
                raised.epoch = raised.epoch.max(epoch);
            }
            people
        });
        self.live.end_of_person(person, now);
    }

    /// How often the tickets of a service were ended.
    pub(in crate::gate) fn generation(&self, service: &str) -> u64 {
        self.generations
            .load()
            .get(service)
            .copied()
            .unwrap_or_default()
    }

    /// In memory: generations are at least these.
    fn raise_generations(&self, to: &[(Name, u64)]) {
        if to.is_empty() {
            return;
        }
        self.generations.rcu(|generations| {
            let mut generations = HashMap::clone(generations);
            for (service, generation) in to {
                let known = generations.entry(service.clone()).or_default();
                *known = (*known).max(*generation);
            }
            generations
        });
    }

    /// Whether a ticket was ended before its time: its session, or all of its person, or all that came of the tickets of a
    /// service. Takes no lock, and compares no clock.
    pub(in crate::gate) fn is_ended(&self, ticket: &Ticket, person: Option<&Person>) -> bool {
        let generations = self.generations.load();
        let older = |passage: &Passage| {
            let now = generations.get(&passage.service);
            now.is_some_and(|now| passage.generation < *now)
        };
        self.sessions.is_revoked(ticket.session)
            || ticket.through.iter().any(older)
            || person.is_none_or(|person| ticket.epoch < person.epoch)
    }

    /// Why a challenge is worth nothing any more; the words are for the log alone.
    pub(in crate::gate) fn why_over(
        &self,
        challenge: &Challenge,
        person: &Person,
    ) -> Option<&'static str> {
        if person.epoch != challenge.epoch {
            return Some("the challenge is of before a change of the account");
        }
        if challenge.generation < self.generation(&challenge.caller) {
            return Some("the challenge is of before the tickets of its service were ended");
        }
        match &challenge.purpose {
            ChallengePurpose::StepUp(ticket) if self.is_ended(ticket, Some(person)) => {
                Some("the session was ended")
            }
            ChallengePurpose::StepUp(_) | ChallengePurpose::Login => None,
        }
    }

    /// Takes up from the store who is logged in.
    pub(in crate::gate) async fn read_live(&self) -> Result<(), StoreError> {
        let (live, ended) = (
            self.store.live_sessions().await?,
            self.store.generations().await?,
        );
        self.live.replace(live);
        self.raise_generations(&ended);
        Ok(())
    }
}

pub(in crate::gate) const fn changing(kind: Kind) -> Option<StoredChange> {
    Some(StoredChange { kind: Some(kind) })
}

/// Where the login was, and of which generation the service was then.
fn where_it_began(ticket: &Ticket) -> (&Name, u64) {
    let first = ticket.through.first();
    first.map_or((&ticket.caller, 0), |passage| {
        (&passage.service, passage.generation)
    })
}

/// Raises a service's generation to one more than it is when nobody else changes anything.
struct EndService {
    entry: StoredEntry,
    service: Name,
    now: Timestamp,
}

impl Wish for EndService {
    async fn decide(mut self, gate: &Gate) -> Result<Decided, GateError> {
        let generation = gate.generation(&self.service).saturating_add(1);
        entry::detail(&mut self.entry, "generation", generation.to_string());
        self.entry.change = changing(Kind::EndService(StoredServiceEnd {
            service: self.service.to_string(),
            generation,
        }));
        let (service, now) = (self.service, self.now);
        let apply = Box::new(move |gate: &Gate, _| {
            gate.raise_generations(&[(service.clone(), generation)]);
            gate.live.end_of_service(&service, generation, now);
        });
        Ok((vec![self.entry], apply))
    }
}

/// Raises a person's epoch to one more than it is when nobody else changes anything.
struct RaiseEpoch(Name);

impl crate::gate::changes::PersonChange for RaiseEpoch {
    fn of(&self) -> &Name {
        &self.0
    }

    fn change(&self, epoch: u64) -> Kind {
        Kind::RaiseEpoch(StoredEpoch {
            person: self.0.to_string(),
            epoch,
        })
    }
}

fn token(last: &LiveSession) -> String {
    format!("{}.{}", last.began.micros(), last.session.0.simple())
}

fn read_token(text: &str) -> Result<Option<(Timestamp, SessionId)>, Violation> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (began, session) = text.split_once('.')?;
        let session = Uuid::try_parse(session).ok()?;
        let began = Timestamp::from_micros(began.parse().ok()?);
        Some((began, SessionId(session)))
    };
    read()
        .map(Some)
        .ok_or_else(|| Violation::new("page_token", "is not one of an answer"))
}
