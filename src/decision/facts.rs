//! What is known when a decision is made: gathered by `gate`, read by the stages.

use std::net::IpAddr;
use std::sync::Arc;

use super::rules::{Id, Role, RuleSet, Service};
use crate::domain::access::{AccessRequest, Proof};
use crate::domain::person::Person;
use crate::domain::reference::Reference;
use crate::domain::subject::SubjectState;
use crate::domain::time::Timestamp;

/// Everything the stages may look at.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The instant of the decision.
    pub now: Timestamp,
    /// What is asked.
    pub request: &'a AccessRequest,
    /// Which service asks, from where.
    pub caller: CallerFacts<'a>,
    /// What became of the ticket.
    pub ticket: TicketFacts,
    /// The person of a ticket that is genuine and not expired.
    pub person: Option<&'a Person>,
    /// Their second factor is disabled after too many failures.
    pub locked: bool,
    /// What is registered for the subjects, in the request's order; as many as it names.
    pub subjects: &'a [Arc<SubjectState>],
    /// What is registered for nobody in particular under what the request refers to.
    pub references: &'a [Arc<Reference>],
    /// Whether `subjects` and `references` are all that was ever registered; otherwise nothing may be decided by them.
    pub all_known: bool,
}

/// The calling service.
#[derive(Debug, Clone, Copy)]
pub struct CallerFacts<'a> {
    /// The service that its certificate names; `None` where it names none, or none that is known.
    pub service: Option<&'a Service>,
    /// The peer address of the connection, canonical.
    pub address: IpAddr,
}

/// The person's ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketFacts {
    /// None was sent.
    Missing,
    /// Not genuine.
    Invalid,
    /// Past its session's end, or idle for too long.
    Expired {
        /// Only idle: a fresh second step takes the session up again.
        may_step_up: bool,
    },
    /// Genuine and in time.
    Genuine(GenuineTicket),
}

/// What a genuine ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenuineTicket {
    /// Its session or its person's epoch was ended.
    pub revoked: bool,
    /// It was given to this caller, device address and session.
    pub bound: bool,
    /// When the second step was passed.
    pub second_step: Option<Timestamp>,
    /// When the session ends, whatever happens.
    pub expires: Timestamp,
}

/// Who acts, as roles.
#[derive(Debug)]
pub(super) enum Actor {
    /// A person nothing is known of.
    Unknown,
    /// A person's roles that count now and that the pack has; may be none.
    Person(Vec<Id<Role>>),
    /// The service itself, where it has a workload role.
    Workload(Option<Id<Role>>),
}

impl Actor {
    pub(super) fn of(rules: &RuleSet, facts: &Facts<'_>) -> Self {
        match (&facts.request.proof, facts.person) {
            (Proof::Workload, _) => Self::Workload(
                facts
                    .caller
                    .service
                    .and_then(|service| service.workload_role),
            ),
            (_, Some(person)) => Self::Person(roles_of(rules, person, facts.now)),
            (_, None) => Self::Unknown,
        }
    }

    /// The roles whose grants count; `None` where nobody is known.
    pub(super) fn roles(&self) -> Option<&[Id<Role>]> {
        match self {
            Self::Unknown | Self::Workload(None) => None,
            Self::Person(roles) => Some(roles),
            Self::Workload(Some(role)) => Some(std::slice::from_ref(role)),
        }
    }
}

/// The roles of a person that count now and that the pack has.
pub(super) fn roles_of(rules: &RuleSet, person: &Person, now: Timestamp) -> Vec<Id<Role>> {
    person
        .roles_at(now)
        .filter_map(|role| rules.roles.id(role))
        .collect()
}
