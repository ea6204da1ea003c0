//! The two steps. Refusals are generic: the words never tell a wrong id from a wrong password, a wrong code from a used
//! one; the log tells. Whoever calls these runs them to their end, also when the client hangs up: what was charged or spent
//! has its entry.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

use crate::decision::TicketFacts;
use crate::decision::rules::RuleSet;
use crate::domain::access::TicketText;
use crate::domain::ids::{Name, SessionId};
use crate::domain::network::device_network;
use crate::domain::person::Person;
use crate::domain::person::id::canonical;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::accounts::second_factor::{Attempt, FactorPassed, Shown};
use crate::gate::accounts::sessions::changing;
use crate::gate::admission::{NotAdmitted, Opened};
use crate::gate::changes::Always;
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::identity::challenge::{Challenge, ChallengePurpose};
use crate::identity::password::{PasswordError, Secret};
use crate::identity::ticket::{Method, Passage, SERVICES_MAX, Ticket, TicketError};
use crate::proto::{
    Decision, EntryKind, StoredChange, StoredEntry, StoredSessionEnd, stored_change,
    stored_change::Kind,
};

/// The first step.
#[derive(Debug)]
pub struct LoginRequest {
    /// Who they say they are.
    pub person: Name,
    /// Their password.
    pub password: Secret,
    /// Their device, as the service says.
    pub client_ip: Option<IpAddr>,
    /// The service's session.
    pub session_ref: Option<Name>,
}

/// The second step is to come.
#[derive(Debug)]
pub struct ChallengeOpened {
    /// To be answered with a code.
    pub challenge: String,
    /// Until when.
    pub expires: Timestamp,
    /// What answers it; empty until a second factor is enrolled.
    pub methods: Vec<&'static str>,
    /// No second factor is enrolled: nothing answers the challenge until one is.
    pub enrollment_required: bool,
    /// Somebody else set the password: the challenge is good for changing it, and for nothing else.
    pub password_change_required: bool,
}

/// A ticket and what it says.
#[derive(Debug)]
pub struct TicketGiven {
    /// The ticket.
    pub ticket: TicketText,
    /// When the second step was passed.
    pub authenticated_at: Timestamp,
    /// When the session ends, whatever happens.
    pub expires: Timestamp,
    /// The methods (RFC 8176).
    pub methods: Vec<Method>,
    /// How many recovery codes are left, where one was used.
    pub recovery_codes_left: Option<u32>,
}

/// A fresh second step is wanted within a session.
#[derive(Debug)]
pub struct StepUpRequest {
    /// The session's ticket with its bindings.
    pub credentials: Credentials,
}

/// What answers a challenge within a session.
const METHOD_NAMES: [&str; 2] = ["totp", "recovery_code"];
/// What a ticket says was passed. A recovery code is a one-time password, too (RFC 8176).
const METHODS: [Method; 3] = [Method::Pwd, Method::Otp, Method::Mfa];

impl Gate {
    /// First step: ID and password.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for whatever is wrong with the person.
    pub async fn verify_password(
        &self,
        peer: &Peer,
        login: LoginRequest,
    ) -> Result<ChallengeOpened, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self
            .people_service(&rules, peer, "VerifyPassword", now)
            .await?;
        let Some(device) = self.device_address(&caller, login.client_ip) else {
            let missing = Violation::new("client_ip", "is missing");
            let error = GateError::Malformed(vec![missing]);
            return Err(self
                .refuse_call(peer, &caller, "VerifyPassword", error, now)
                .await);
        };
        // However it was typed: full-width or upper case is the same person.
        let id = canonical(&login.person);
        let person = self.person(&id);
        let credential = self.store.credential(&id).await?;
        let stored = credential
            .as_ref()
            .filter(|_| person.is_some())
            .map(|credential| credential.password_hash.clone());
        let checked = self
            .passwords
            .verify_and_renew(login.password, stored.clone())
            .await;
        let (right, renewed) = match checked {
            Ok(checked) => checked,
            Err(PasswordError::Busy) => {
                let busy = busy("too many logins at once", 2);
                return Err(self
                    .refuse_call(peer, &caller, "VerifyPassword", busy, now)
                    .await);
            }
            Err(_) => return Err(GateError::Internal("a stored password can't be read")),
        };
        let mut entry = self.step_entry(peer, &caller, "password", device, now);
        let refused = match &person {
            None => Some("unknown id"),
            Some(person) => {
                entry::acted_by(&mut entry, person);
                if right {
                    why_not(self, &rules, &caller, person, device, now)
                } else {
                    Some("wrong password")
                }
            }
        };
        let (Some(person), None, Some(credential)) = (person, refused, credential) else {
            return Err(self
                .step_refused(entry, refused.unwrap_or("no credential"))
                .await);
        };
        if let (Some(old), Some(new)) = (stored, renewed)
            && let Err(error) = self.store.rehash_password(&person.id, &old, &new).await
        {
            // The old hash stays in force; another login tries again.
            tracing::warn!(%error, "a password was not hashed anew");
        }
        let mut methods = Vec::new();
        if let Some(factor) = &credential.second_factor {
            methods.push("totp");
            if self.store.recovery_codes_left(factor.id).await? > 0 {
                methods.push("recovery_code");
            }
        }
        let challenge = Challenge {
            person: person.id.clone(),
            caller: Name::parse(caller.id)
                .map_err(|_| GateError::Internal("a caller without id"))?,
            device: device_network(device),
            client_ip: device,
            session_ref: login.session_ref,
            purpose: ChallengePurpose::Login,
            opened: now,
            epoch: person.epoch,
            generation: self.generation(caller.id),
        };
        let Ok((challenge, expires)) = self.challenges.open(challenge, now) else {
            let busy = busy("too many challenges are open", 60);
            return Err(self
                .refuse_call(peer, &caller, "VerifyPassword", busy, now)
                .await);
        };
        self.step_passed(entry).await?;
        Ok(ChallengeOpened {
            challenge: challenge.expose().to_owned(),
            expires,
            methods,
            enrollment_required: credential.second_factor.is_none(),
            password_change_required: credential.must_change,
        })
    }

    /// Second step: the code. Counted before it is looked at, spent before success is told.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for a wrong, used or late code, an unknown or used-up challenge; [`GateError::Throttled`] after
    /// too many wrong ones.
    pub async fn verify_second_factor(
        self: &Arc<Self>,
        peer: &Peer,
        challenge_id: &str,
        code: &str,
    ) -> Result<TicketGiven, GateError> {
        let shown = Shown::Code(code.to_owned().into());
        self.verify_second_step(peer, challenge_id, &shown).await
    }

    /// Second step, by a code of the authenticator or a recovery code in its place.
    ///
    /// # Errors
    /// As for [`Self::verify_second_factor`].
    pub async fn verify_second_step(
        self: &Arc<Self>,
        peer: &Peer,
        challenge_id: &str,
        shown: &Shown,
    ) -> Result<TicketGiven, GateError> {
        const CALL: &str = "VerifySecondFactor";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, CALL, now).await?;
        let Some(challenge) = self.challenges.charge(challenge_id, caller.id, now) else {
            let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
            entry::detail(&mut entry, "step", "second-factor");
            return Err(self
                .step_refused(entry, "unknown, ended or used-up challenge")
                .await);
        };
        let step = match challenge.purpose {
            ChallengePurpose::Login => "second-factor",
            ChallengePurpose::StepUp(_) => "step-up",
        };
        let mut entry = self.step_entry(peer, &caller, step, challenge.client_ip, now);
        if matches!(shown, Shown::RecoveryCode(_)) {
            entry::detail(&mut entry, "method", "recovery-code");
        }
        let Some(person) = self.person(&challenge.person) else {
            return Err(self.step_refused(entry, "unknown id").await);
        };
        entry::acted_by(&mut entry, &person);
        if let Some(why) = self.why_over(&challenge, &person) {
            return Err(self.step_refused(entry, why).await);
        }
        let credential = self.store.credential(&person.id).await?;
        let must_change = credential.as_ref().is_some_and(|it| it.must_change)
            && challenge.purpose == ChallengePurpose::Login;
        let Some(factor) = credential.and_then(|credential| credential.second_factor) else {
            let error = GateError::NotEnrolled;
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        };
        if must_change {
            let error = GateError::PasswordChangeRequired;
            return Err(self.refuse(peer, &caller, entry, CALL, error).await);
        }
        let attempt = Attempt {
            rules: &rules,
            peer,
            caller: &caller,
            call: CALL,
            person: &person,
            factor: &factor,
            client_ip: challenge.client_ip,
            shown,
            now,
        };
        let FactorPassed {
            mut entry,
            recovery_codes_left,
        } = self.pass_second_factor(attempt, entry).await?;
        let first = match &challenge.purpose {
            ChallengePurpose::Login => self.challenges.close(challenge_id),
            // Within a session it is then good for a change of what the person proves themselves with.
            ChallengePurpose::StepUp(_) => self.challenges.pass(challenge_id, now),
        };
        if !first {
            return Err(self
                .step_refused(entry, "challenge used at the same time")
                .await);
        }
        let ticket = match &challenge.purpose {
            ChallengePurpose::StepUp(ticket) if self.is_ended(ticket, Some(&*person)) => {
                return Err(self.step_refused(entry, "the session was ended").await);
            }
            ChallengePurpose::StepUp(ticket) => Ticket {
                second_step: now,
                issued: now,
                ..Ticket::clone(ticket)
            },
            ChallengePurpose::Login => Ticket {
                caller: challenge.caller.clone(),
                device: challenge.device,
                session_ref: challenge.session_ref.clone(),
                person: person.id.clone(),
                session: SessionId(Uuid::new_v4()),
                first_login: now,
                second_step: now,
                methods: METHODS.to_vec(),
                issued: now,
                expires: now.plus(rules.session.absolute),
                epoch: person.epoch,
                // Of the first step: whatever was ended since has ended this.
                through: vec![Passage {
                    service: challenge.caller.clone(),
                    generation: challenge.generation,
                }],
            },
        };
        entry::in_session(&mut entry, &ticket);
        self.sessions.used(ticket.session, now);
        entry.session_used = true;
        if challenge.purpose == ChallengePurpose::Login {
            let at_most = rules.session.max_concurrent;
            entry.change = changing(Kind::OpenSession(Self::opened(&ticket, at_most)));
            entry::detail(&mut entry, "outcome", "passed");
            let (opened, writes) = (ticket.clone(), entry.store_writes);
            let begin = move |gate: &Self| gate.open_now(&opened, at_most);
            self.change(entry, Always, begin).await?;
            self.note_factor_writes(writes);
        } else {
            self.step_passed(entry).await?;
        }
        Ok(TicketGiven {
            recovery_codes_left,
            ..self.given(&ticket)
        })
    }

    /// Opens a challenge for a fresh second step within a session, which may be idle but not past its end.
    ///
    /// # Errors
    /// [`GateError::Ticket`] when the ticket won't do.
    pub async fn begin_step_up(
        &self,
        peer: &Peer,
        request: StepUpRequest,
    ) -> Result<ChallengeOpened, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self
            .people_service(&rules, peer, "BeginStepUp", now)
            .await?;
        let opened = self.open_credentials(&rules, &caller, &request.credentials, now);
        let opened = take_up_again(self, opened);
        let device = self.device_address(&caller, request.credentials.client_ip);
        let admitted = match self.admit_opened(&rules, &caller, opened, device, now) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let error = refused.for_own_session();
                return Err(self
                    .refuse_person(peer, &caller, "BeginStepUp", refused, error, now)
                    .await);
            }
        };
        let challenge = Challenge {
            person: admitted.person.id.clone(),
            caller: admitted.ticket.caller.clone(),
            device: admitted.ticket.device,
            client_ip: admitted.client_ip,
            session_ref: admitted.ticket.session_ref.clone(),
            purpose: ChallengePurpose::StepUp(admitted.ticket.clone()),
            opened: now,
            epoch: admitted.person.epoch,
            generation: self.generation(caller.id),
        };
        let Ok((challenge, expires)) = self.challenges.open(challenge, now) else {
            let busy = busy("too many challenges are open", 60);
            return Err(self
                .refuse_call(peer, &caller, "BeginStepUp", busy, now)
                .await);
        };
        let mut entry = self.step_entry(peer, &caller, "begin-step-up", admitted.client_ip, now);
        entry::acted_by(&mut entry, &admitted.person);
        entry::in_session(&mut entry, &admitted.ticket);
        self.step_passed(entry).await?;
        Ok(ChallengeOpened {
            challenge: challenge.expose().to_owned(),
            expires: expires.min(admitted.ticket.expires),
            methods: METHOD_NAMES.to_vec(),
            enrollment_required: false,
            password_change_required: false,
        })
    }

    /// Ends a session: every ticket of the login, whoever holds it.
    ///
    /// # Errors
    /// [`GateError::Ticket`] when the ticket is not genuine or another service's.
    pub async fn end_session(
        self: &Arc<Self>,
        peer: &Peer,
        ticket: &TicketText,
    ) -> Result<(), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.people_service(&rules, peer, "EndSession", now).await?;
        let verified = self.verify_ticket(ticket);
        let ticket = match verified {
            Ok(ticket) if *ticket.caller == *caller.id => ticket,
            other => {
                let code = match other {
                    Ok(_) => ReasonCode::TicketBindingMismatch,
                    Err(TicketError::Older) => ReasonCode::TicketExpired,
                    Err(TicketError::NotGenuine) => ReasonCode::TicketInvalid,
                };
                let refused = NotAdmitted {
                    code,
                    person: None,
                    ticket: other.ok(),
                    client_ip: None,
                    ahead: false,
                };
                let error = refused.for_own_session();
                return Err(self
                    .refuse_person(peer, &caller, "EndSession", refused, error, now)
                    .await);
            }
        };
        let mut entry = entry::event(EntryKind::Authentication, now, &caller, peer);
        entry::detail(&mut entry, "step", "end-session");
        match self.person(&ticket.person) {
            Some(person) => entry::acted_by(&mut entry, &person),
            None => entry.person = ticket.person.to_string(),
        }
        entry::in_session(&mut entry, &ticket);
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::EndSession(StoredSessionEnd {
                session: ticket.session.to_bytes(),
                until_us: ticket.expires.micros(),
            })),
        });
        self.change(entry, Always, move |gate| {
            gate.end_now(ticket.session, ticket.expires);
        })
        .await?;
        Ok(())
    }

    /// Gives the calling service a ticket of its own for the session of another that the pack pairs with it. It has the same
    /// second step and the same end.
    ///
    /// # Errors
    /// [`GateError::Ticket`] when the ticket won't do, or its service is not paired with this one.
    pub async fn exchange_ticket(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        new_session_ref: Option<Name>,
    ) -> Result<TicketGiven, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self
            .people_service(&rules, peer, "ExchangeTicket", now)
            .await?;
        let partner = credentials
            .ticket
            .as_ref()
            .and_then(|ticket| self.verify_ticket(ticket).ok())
            .and_then(|ticket| rules.services.id(&ticket.caller));
        let paired = partner.filter(|partner| {
            caller
                .service
                .is_some_and(|service| service.exchanges_with.contains(partner))
        });
        let as_partner = Caller {
            id: paired.map_or("", |partner| rules.services.name(partner)),
            ..caller
        };
        let opened = self.open_credentials(&rules, &as_partner, credentials, now);
        let admitted = match self.admit_opened(&rules, &caller, opened, credentials.client_ip, now)
        {
            Ok(admitted) => admitted,
            Err(refused) => {
                let error = refused.for_own_session();
                return Err(self
                    .refuse_person(peer, &caller, "ExchangeTicket", refused, error, now)
                    .await);
            }
        };
        let ticket = Ticket {
            session_ref: new_session_ref,
            issued: now,
            ..admitted.ticket
        };
        let mut entry = self.step_entry(peer, &caller, "exchange-ticket", admitted.client_ip, now);
        entry::acted_by(&mut entry, &admitted.person);
        let own = Name::parse(caller.id).map_err(|_| GateError::Internal("a caller without id"))?;
        let Some(ticket) = ticket.passed_on(own, self.generation(caller.id)) else {
            let error = GateError::TooLarge(format!(
                "the session was passed on through {SERVICES_MAX} services, and to no more: the person logs in anew"
            ));
            return Err(self
                .refuse(peer, &caller, entry, "ExchangeTicket", error)
                .await);
        };
        entry::in_session(&mut entry, &ticket);
        entry::detail(&mut entry, "from", as_partner.id);
        self.sessions.used(ticket.session, now);
        entry.session_used = true;
        self.step_passed(entry).await?;
        Ok(self.given(&ticket))
    }

    fn open_credentials(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Opened {
        self.open_ticket(
            rules,
            caller,
            credentials.ticket.as_ref(),
            self.device_address(caller, credentials.client_ip),
            credentials.session_ref.as_deref(),
            now,
        )
    }

    pub(in crate::gate) fn given(&self, ticket: &Ticket) -> TicketGiven {
        TicketGiven {
            ticket: self.keys.tickets().issue(ticket),
            authenticated_at: ticket.second_step,
            expires: ticket.expires,
            methods: ticket.methods.clone(),
            recovery_codes_left: None,
        }
    }

    /// A service that may act for people, at home; anyone else is refused.
    pub(in crate::gate) async fn people_service<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Caller<'a>, GateError> {
        let otherwise = GateError::Refused(ReasonCode::CallerMayNotActForPeople);
        self.caller_that(
            |service| service.acts_for_people,
            otherwise,
            rules,
            peer,
            call,
            now,
        )
        .await
    }

    pub(in crate::gate) fn step_entry(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        step: &'static str,
        device: IpAddr,
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry = entry::event(EntryKind::Authentication, now, caller, peer);
        entry.client_ip = device.to_string();
        entry::detail(&mut entry, "step", step);
        entry
    }

    pub(in crate::gate) async fn step_passed(
        &self,
        mut entry: StoredEntry,
    ) -> Result<(), GateError> {
        entry::detail(&mut entry, "outcome", "passed");
        self.log.append(std::slice::from_ref(&entry))?.await?;
        self.note_factor_writes(entry.store_writes);
        Ok(())
    }

    /// An entry that is durable names what the store wrote for a second factor.
    pub(in crate::gate) fn note_factor_writes(&self, writes: u64) {
        self.named_factor_writes.fetch_max(writes, Ordering::AcqRel);
    }

    pub(in crate::gate) async fn step_refused(
        &self,
        mut entry: StoredEntry,
        why: &'static str,
    ) -> GateError {
        entry.decision = Decision::Deny.into();
        entry::detail(&mut entry, "outcome", "refused");
        entry::detail(&mut entry, "why", why);
        let written = match self.log.append(std::slice::from_ref(&entry)) {
            Ok(appending) => appending.await.map(|_| ()),
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                self.note_factor_writes(entry.store_writes);
                GateError::NotGenuine
            }
            Err(error) => error.into(),
        }
    }
}

/// Why this person may not log in now; the words are for the log alone.
pub(in crate::gate) fn why_not(
    gate: &Gate,
    rules: &RuleSet,
    caller: &Caller<'_>,
    person: &Person,
    device: IpAddr,
    now: Timestamp,
) -> Option<&'static str> {
    if person.disabled {
        return Some("account disabled");
    }
    if gate.is_locked_out(&person.id) {
        return Some("the second factor is disabled");
    }
    if person.has_ended(now) {
        return Some("employment ended");
    }
    if person.is_on_leave(now) {
        return Some("on leave");
    }
    let in_a_network = rules
        .networks
        .iter()
        .any(|(_, _, network)| network.blocks.iter().any(|block| block.contains(&device)));
    let excepted = || {
        let mut exceptions = person.network_exceptions.iter();
        exceptions.any(|exception| exception.admits(device, now))
    };
    (!in_a_network && !excepted() && !gate.admits_loopback(caller))
        .then_some("device in no network of the policy")
}

/// An idle session that a fresh second step takes up again: its ticket counts as genuine here, and its bindings count.
fn take_up_again(gate: &Gate, opened: Opened) -> Opened {
    if opened.facts != (TicketFacts::Expired { may_step_up: true }) {
        return opened;
    }
    let Some(ticket) = opened.ticket else {
        return opened;
    };
    Opened {
        locked: gate.is_locked_out(&ticket.person),
        facts: TicketFacts::Genuine(crate::decision::GenuineTicket {
            revoked: false,
            bound: true, // else no step-up would take it up
            second_step: Some(ticket.second_step),
            expires: ticket.expires,
        }),
        person: gate.person(&ticket.person),
        ticket: Some(ticket),
        ahead: false,
    }
}

const fn busy(what: &'static str, seconds: u64) -> GateError {
    GateError::Busy {
        what,
        retry_after: std::time::Duration::from_secs(seconds),
    }
}
