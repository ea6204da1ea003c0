//! The questions as requests of people who are all in order, so that what the rules say settles each decision.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sekisho::decision::rules::RuleSet;
use sekisho::decision::{
    CallerFacts, Facts, GenuineTicket, LimitOutcome, TicketFacts, Verdict, decide,
};
use sekisho::domain::access::{
    AccessRequest, Basis, Consent, Proof, Provision, SubjectRef, Subjects, TicketText,
};
use sekisho::domain::ids::Name;
use sekisho::domain::person::{Person, Pledge, RoleAssignment};
use sekisho::domain::subject::SubjectState;
use sekisho::domain::time::Timestamp;

use super::Question;
use super::support::Outcome;

/// One request for each question, by the person who has its role.
pub(super) struct Decisions {
    now: Timestamp,
    subjects: [Arc<SubjectState>; 1],
    people: Vec<Person>,
    /// Each with the position of who asks.
    requests: Vec<(AccessRequest, usize)>,
}

impl Decisions {
    pub(super) fn of(pack: &RuleSet, questions: &[Question]) -> Outcome<Self> {
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut people = Vec::new();
        let mut by_role = HashMap::new();
        let mut requests = Vec::new();
        for question in questions {
            let key = question.key;
            let role = Name::parse(pack.roles.name(key.role))?;
            let position = match by_role.get(&role) {
                Some(position) => *position,
                None => {
                    let mut person = Person::new(role.clone(), Name::parse("desk")?);
                    person.roles.push(RoleAssignment::for_good(role.clone()));
                    person.trained_until = Some(now.plus(Duration::from_secs(3_600)));
                    person.pledge = Pledge::Given;
                    people.push(person);
                    by_role.insert(role, people.len() - 1);
                    people.len() - 1
                }
            };
            let request = AccessRequest {
                request_id: None,
                proof: Proof::Ticket(TicketText::new("ticket")),
                client_ip: Some("203.0.113.10".parse()?),
                session_ref: None,
                action: question.action,
                system: Some(Name::parse("charts")?),
                subject_kind: Some(Name::parse(pack.kinds.name(key.kind))?),
                subjects: Subjects::One(SubjectRef::new(&Name::parse("subject")?)),
                categories: vec![Name::parse(pack.categories.name(key.category))?],
                record_count: 1,
                collected_via: None,
                origin_country: None,
                purpose: Some(Name::parse(pack.purposes.name(key.purpose))?),
                basis: Basis {
                    consent: Consent::Prior,
                    exception: None,
                    reference: None,
                    consent_difficult: false,
                    subject_request: question.on_request,
                },
                provision: Provision::default(),
                case_ref: None,
                break_glass: None,
                automated_decision: false,
                allow_partial: false,
                relation: None,
            };
            requests.push((request, position));
        }
        Ok(Self {
            now,
            subjects: [Arc::new(SubjectState::default())],
            people,
            requests,
        })
    }

    /// All eight stages of one of them.
    pub(super) fn decide(&self, pack: &RuleSet, number: usize) -> Option<Verdict> {
        let (request, person) = self.requests.get(number)?;
        let service = pack.services.id("desk");
        let facts = Facts {
            now: self.now,
            request,
            caller: CallerFacts {
                service: service.and_then(|id| pack.services.get(id)),
                address: IpAddr::from([10, 9, 0, 1]),
            },
            ticket: TicketFacts::Genuine(GenuineTicket {
                revoked: false,
                bound: true,
                second_step: Some(self.now),
                expires: self.now.plus(Duration::from_secs(3_600)),
            }),
            person: self.people.get(*person),
            locked: false,
            subjects: &self.subjects,
            references: &[],
            all_known: true,
        };
        Some(decide(pack, &facts, |_, _| LimitOutcome::Within))
    }
}
