//! One request with all that is known about it: gathered, decided, and turned into its entry.

use std::sync::Arc;

use super::admission::Opened;
use super::counters::{Bound, Charge, Way};
use super::peer::{Caller, Peer};
use super::{Gate, GateError, content, entry};
use crate::decision::rules::RuleSet;
use crate::decision::{self, Demand, Facts, LimitOutcome, Verdict};
use crate::domain::access::{AccessRequest, Proof};
use crate::domain::reference::{Reference, is_registered};
use crate::domain::subject::{Pseudonym, SubjectState};
use crate::domain::time::Timestamp;
use crate::proto::{EntryKind, ReferenceStanding, StoredEntry};

/// One request with all that is known about it.
pub(super) struct Case {
    pub(super) request: AccessRequest,
    pub(super) opened: Opened,
    pub(super) pseudonyms: Vec<Pseudonym>,
    pub(super) states: Vec<Arc<SubjectState>>,
    /// Registered for nobody in particular, under what the request refers to.
    pub(super) references: Vec<Arc<Reference>>,
    /// Whether that is all that was registered.
    pub(super) all_known: bool,
}

impl Case {
    pub(super) fn facts<'a>(&'a self, caller: &Caller<'a>, now: Timestamp) -> Facts<'a> {
        Facts {
            now,
            request: &self.request,
            caller: caller.facts(),
            ticket: self.opened.facts,
            person: self.opened.person.as_deref(),
            locked: self.opened.locked,
            subjects: &self.states,
            references: &self.references,
            all_known: self.all_known,
        }
    }

    /// What stands behind what the request refers to.
    fn standing(&self, said: Option<&str>, now: Timestamp) -> ReferenceStanding {
        let Some(said) = said else {
            return ReferenceStanding::Unspecified;
        };
        let request = &self.request;
        let everybody = request.subjects.all_people() >= request.record_count;
        let people = if everybody { &*self.states } else { &[] };
        let registered = request
            .purpose
            .as_deref()
            .is_some_and(|purpose| is_registered(said, purpose, &self.references, people, now));
        if registered {
            ReferenceStanding::Registered
        } else {
            ReferenceStanding::Declared
        }
    }

    /// Digest of what is asked: all but the id, the proof as person and time of second step.
    pub(super) fn content(&self) -> [u8; 32] {
        let person = self.opened.ticket.as_ref();
        content::digest(
            &self.request,
            &self.pseudonyms,
            person.map(|ticket| (&*ticket.person, ticket.second_step)),
        )
    }
}

impl Gate {
    /// Gathers what is known about a request now.
    pub(super) fn case(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        mut request: AccessRequest,
        now: Timestamp,
    ) -> Case {
        request.client_ip = match request.proof {
            Proof::Workload => request.client_ip,
            _ => self.device_address(caller, request.client_ip),
        };
        let ticket = match &request.proof {
            Proof::Ticket(ticket) => Some(ticket),
            Proof::Missing | Proof::Workload => None,
        };
        let opened = self.open_ticket(
            rules,
            caller,
            ticket,
            request.client_ip,
            request.session_ref.as_deref(),
            now,
        );
        self.case_of(opened, request)
    }

    /// The rest of what is known, once it is known who asks.
    pub(super) fn case_of(&self, opened: Opened, request: AccessRequest) -> Case {
        let pseudonyms: Vec<Pseudonym> = request
            .subjects
            .named()
            .iter()
            .map(|subject| self.keyring.pseudonyms.pseudonym(subject))
            .collect();
        let states = pseudonyms
            .iter()
            .map(|pseudonym| self.subjects.state(pseudonym))
            .collect();
        let said = [
            request.basis.reference.as_deref(),
            request.case_ref.as_deref(),
        ];
        let references = said
            .into_iter()
            .flatten()
            .flat_map(|said| self.subjects.general(said))
            .collect();
        Case {
            request,
            opened,
            pseudonyms,
            states,
            references,
            all_known: self.knows_all_subjects(),
        }
    }

    /// The verdict, and what was reserved for it; a repeat reserves nothing.
    pub(super) fn decide_case(
        &self,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: &Case,
        repeats: bool,
        now: Timestamp,
    ) -> (Verdict, Vec<Charge>) {
        let mut charges = Vec::new();
        let verdict = decision::decide(rules, &case.facts(caller, now), |demand, passed| {
            let only_look = !passed || repeats;
            match self.reserve(rules, case, demand, now, only_look) {
                Ok(_) if only_look => LimitOutcome::Within,
                Ok(reserved) => {
                    charges = reserved;
                    LimitOutcome::Within
                }
                Err(position) => LimitOutcome::Exceeded(position),
            }
        });
        (verdict, charges)
    }

    /// Says who asked for what. Takes the case: its words become the entry's.
    pub(super) fn who_and_what(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: Case,
        now: Timestamp,
    ) -> Result<StoredEntry, GateError> {
        let basis = case.standing(case.request.basis.reference.as_deref(), now);
        let case_ref = case.standing(case.request.case_ref.as_deref(), now);
        let Case {
            mut request,
            opened,
            pseudonyms,
            ..
        } = case;
        let mut entry = entry::event(EntryKind::Decision, now, caller, peer);
        entry.decision_id = entry::new_id(now).to_bytes();
        if let Some(person) = &opened.person {
            entry::acted_by(&mut entry, person);
        } else if let Some(ticket) = &opened.ticket {
            entry.person = ticket.person.to_string();
        }
        if request.proof == Proof::Workload
            && let Some(role) = caller.service.and_then(|service| service.workload_role)
        {
            entry.roles = vec![rules.roles.name(role).to_owned()];
        }
        if let Some(ticket) = &opened.ticket {
            entry::in_session(&mut entry, ticket);
        }
        if let Some(reason) = request.break_glass.take() {
            entry.free_text = reason.into();
        }
        entry::asked(&mut entry, request, &pseudonyms);
        entry.basis_reference_standing = basis.into();
        entry.case_ref_standing = case_ref.into();
        Ok(entry)
    }

    fn reserve(
        &self,
        rules: &RuleSet,
        case: &Case,
        demand: &Demand,
        now: Timestamp,
        only_look: bool,
    ) -> Result<Vec<Charge>, usize> {
        let limits: Vec<(usize, Bound<'_>)> = demand
            .limits
            .iter()
            .filter_map(|position| {
                let limit = rules.limits.get(*position)?;
                let bound = Bound {
                    id: &limit.id,
                    people: limit.people,
                    way: Way::of(limit),
                };
                Some((*position, bound))
            })
            .collect();
        let bounds: Vec<Bound<'_>> = limits.iter().map(|(_, bound)| *bound).collect();
        let subjects: Vec<Pseudonym> = demand
            .subjects
            .iter()
            .filter_map(|position| case.pseudonyms.get(*position).copied())
            .collect();
        let person = case.opened.person.as_ref().map_or("", |person| &*person.id);
        self.counters
            .reserve(person, &bounds, &subjects, demand.records, now, only_look)
            .map_err(|position| {
                limits
                    .get(position)
                    .map_or(usize::MAX, |(position, _)| *position)
            })
    }
}
