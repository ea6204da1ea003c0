//! Who comes in: tickets opened, and people admitted who read the log, administer or use their own session.

use std::net::IpAddr;
use std::sync::Arc;

use super::peer::{Caller, Peer};
use super::{Gate, GateError};
use crate::decision::rules::{Reviews, RuleSet};
use crate::decision::{self, Facts, GenuineTicket, TicketFacts};
use crate::domain::access::{
    AccessRequest, Action, Basis, Consent, Proof, Provision, Subjects, TicketText,
};
use crate::domain::ids::Name;
use crate::domain::network::device_network;
use crate::domain::person::Person;
use crate::domain::reason::{ReasonCode, Stage};
use crate::domain::time::Timestamp;
use crate::identity::ticket::{Ticket, TicketError};

/// A person's proof as request metadata carry it.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The ticket.
    pub ticket: Option<TicketText>,
    /// The device address that it is bound to.
    pub client_ip: Option<IpAddr>,
    /// The session that it is bound to.
    pub session_ref: Option<Name>,
}

/// A ticket, opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) facts: TicketFacts,
    /// Where the ticket is genuine, expired or not.
    pub(super) ticket: Option<Ticket>,
    /// Where it is genuine and not expired.
    pub(super) person: Option<Arc<Person>>,
    /// Their second factor is disabled.
    pub(super) locked: bool,
    /// It is of a time that the clock has not reached.
    pub(super) ahead: bool,
}

/// A person who was not admitted, as far as they are known.
#[derive(Debug)]
pub(super) struct NotAdmitted {
    pub(super) code: ReasonCode,
    pub(super) person: Option<Arc<Person>>,
    pub(super) ticket: Option<Ticket>,
    pub(super) client_ip: Option<IpAddr>,
    /// The ticket is of a time that the clock has not reached.
    pub(super) ahead: bool,
}

/// A person who was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) person: Arc<Person>,
    pub(super) ticket: Ticket,
    pub(super) client_ip: IpAddr,
}

impl Admitted {
    /// Refused after all, for what their roles lack.
    pub(super) fn refused(self, code: ReasonCode) -> NotAdmitted {
        NotAdmitted {
            code,
            person: Some(self.person),
            ticket: Some(self.ticket),
            client_ip: Some(self.client_ip),
            ahead: false,
        }
    }
}

impl NotAdmitted {
    /// How it is told outside `Check`: what is wrong with a ticket as UNAUTHENTICATED to who asks with one for the session's
    /// own sake, everything else as PERMISSION_DENIED.
    pub(super) fn for_own_session(&self) -> GateError {
        if self.code.stage() == Stage::TwoStep {
            GateError::Ticket(self.code)
        } else {
            GateError::Refused(self.code)
        }
    }
}

impl Gate {
    /// The device's address: what the service says, or for sekisho's own programs the other end of the connection.
    pub(super) const fn device_address(
        &self,
        caller: &Caller<'_>,
        said: Option<IpAddr>,
    ) -> Option<IpAddr> {
        if caller.is_built_in {
            Some(caller.address)
        } else {
            said
        }
    }

    /// Opens a ticket and says what it is worth now. Costs no look into the store.
    pub(super) fn open_ticket(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        text: Option<&TicketText>,
        device: Option<IpAddr>,
        session_ref: Option<&str>,
        now: Timestamp,
    ) -> Opened {
        let closed = |facts| Opened {
            facts,
            ticket: None,
            person: None,
            locked: false,
            ahead: false,
        };
        let Some(text) = text else {
            return closed(TicketFacts::Missing);
        };
        let ticket = match self.verify_ticket(text) {
            Ok(ticket) => ticket,
            Err(TicketError::Older) => {
                return closed(TicketFacts::Expired { may_step_up: false });
            }
            Err(TicketError::NotGenuine) => return closed(TicketFacts::Invalid),
        };
        let last_use = self
            .sessions
            .last_use(ticket.session)
            .map_or(ticket.issued, |last| last.max(ticket.issued));
        let person = self.person(&ticket.person);
        let revoked = self.is_ended(&ticket, person.as_deref());
        let bound = device.is_some_and(|device| {
            ticket.is_bound_to(caller.id, device_network(device), session_ref)
        });
        // The clock was set back since: how long the session has been idle is not known, and one that began in a time to come
        // would outlast its end.
        let ahead = last_use.is_ahead_of(now) || ticket.second_step.is_ahead_of(now);
        let began_ahead = ticket.first_login.is_ahead_of(now);
        let idle = now.since(last_use) > rules.session.idle;
        if now >= ticket.expires || idle || ahead || began_ahead {
            let ended = now >= ticket.expires || began_ahead;
            return Opened {
                facts: TicketFacts::Expired {
                    may_step_up: !ended && !revoked && bound,
                },
                ticket: Some(ticket),
                person: None,
                locked: false,
                ahead: ahead || began_ahead,
            };
        }
        Opened {
            locked: self.is_locked_out(&ticket.person),
            facts: TicketFacts::Genuine(GenuineTicket {
                revoked,
                bound,
                second_step: Some(ticket.second_step),
                expires: ticket.expires,
            }),
            ticket: Some(ticket),
            person,
            ahead: false,
        }
    }

    /// The session was used now; a ticket that is older than a fifth of the idle limit is renewed.
    pub(super) fn use_session(
        &self,
        rules: &RuleSet,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Option<TicketText> {
        self.sessions.used(ticket.session, now);
        (now.since(ticket.issued) >= rules.session.idle / 5).then(|| {
            self.keys.tickets().issue(&Ticket {
                issued: now,
                ..ticket.clone()
            })
        })
    }

    /// Admits a person to a call that is theirs and no access to data: stages caller, network, two_step and person.
    pub(super) fn admit(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Admitted, Box<NotAdmitted>> {
        let device = self.device_address(caller, credentials.client_ip);
        let opened = self.open_ticket(
            rules,
            caller,
            credentials.ticket.as_ref(),
            device,
            credentials.session_ref.as_deref(),
            now,
        );
        self.admit_opened(rules, caller, opened, device, now)
    }

    pub(super) fn admit_opened(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        opened: Opened,
        device: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Admitted, Box<NotAdmitted>> {
        let request = coming_in(device);
        let facts = Facts {
            now,
            request: &request,
            caller: caller.facts(),
            ticket: opened.facts,
            person: opened.person.as_deref(),
            locked: opened.locked,
            subjects: &[],
            references: &[],
            all_known: true,
        };
        let refused = decision::admit(rules, &facts, self.admits_loopback(caller)).err();
        match (refused, opened.person, opened.ticket, device) {
            (None, Some(person), Some(ticket), Some(client_ip)) => Ok(Admitted {
                person,
                ticket,
                client_ip,
            }),
            (refused, person, ticket, client_ip) => Err(Box::new(NotAdmitted {
                code: refused.map_or(ReasonCode::TicketInvalid, |reason| reason.code),
                person,
                ticket,
                client_ip,
                ahead: opened.ahead,
            })),
        }
    }

    /// Admits a person of whom `may` tells something, and hands that over; anyone else is refused by an entry, who is admitted and may
    /// not with the words `otherwise`.
    pub(super) async fn admitted_or_refused<T: Send>(
        &self,
        rules: &RuleSet,
        (peer, caller): (&Peer, &Caller<'_>),
        credentials: &Credentials,
        (call, otherwise): (&'static str, &'static str),
        now: Timestamp,
        may: impl FnOnce(&Person) -> Option<T> + Send,
    ) -> Result<(Admitted, T), GateError> {
        let (refused, error) = match self.admit(rules, caller, credentials, now) {
            Err(refused) => {
                let error = GateError::Refused(refused.code);
                (refused, error)
            }
            Ok(admitted) => match may(&admitted.person) {
                Some(told) => return Ok((admitted, told)),
                None => {
                    let refused = Box::new(admitted.refused(ReasonCode::ActionNotPermitted));
                    (refused, GateError::NotAuthorised(otherwise))
                }
            },
        };
        Err(self
            .refuse_person(peer, caller, call, refused, error, now)
            .await)
    }

    /// Whether a device at loopback is admitted from sekisho's own programs.
    pub(super) const fn admits_loopback(&self, caller: &Caller<'_>) -> bool {
        self.settings.allow_loopback_device && caller.is_built_in && is_loopback(caller.address)
    }
}

const fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

/// A request that asks for nothing but to be admitted.
fn coming_in(client_ip: Option<IpAddr>) -> AccessRequest {
    AccessRequest {
        request_id: None,
        proof: Proof::Missing,
        client_ip,
        session_ref: None,
        action: Action::Read,
        system: None,
        subject_kind: None,
        subjects: Subjects::Unnamed,
        categories: Vec::new(),
        record_count: 1,
        collected_via: None,
        origin_country: None,
        purpose: None,
        basis: Basis {
            consent: Consent::None,
            exception: None,
            reference: None,
            consent_difficult: false,
            subject_request: false,
        },
        provision: Provision::default(),
        case_ref: None,
        break_glass: None,
        automated_decision: false,
        allow_partial: false,
        relation: None,
    }
}

/// The most that a person's roles let them see of the log at `now`.
pub(super) fn reviews(rules: &RuleSet, person: &Person, now: Timestamp) -> Reviews {
    let roles = person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?));
    let mut most = Reviews::Nothing;
    for role in roles {
        match (role.reviews, role.audits) {
            (Reviews::Everything, _) | (_, true) => return Reviews::Everything,
            (Reviews::Department, _) => most = Reviews::Department,
            (Reviews::Nothing, _) => {}
        }
    }
    most
}

/// Whether one of a person's roles reviews everything at `now`.
pub(super) fn reviews_all(rules: &RuleSet, person: &Person, now: Timestamp) -> bool {
    person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?))
        .any(|role| role.reviews == Reviews::Everything)
}

/// Whether one of a person's roles administers at `now`.
pub(super) fn administers(rules: &RuleSet, person: &Person, now: Timestamp) -> bool {
    person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?))
        .any(|role| role.administers)
}
