//! From the wire to the domain. Reading a message names every field that can't be taken, not only the first.

use std::net::IpAddr;

use tonic::metadata::MetadataMap;

use crate::domain::access::{
    AccessRequest, Action, Basis, CATEGORIES_MAX, Consent, LegalException, Proof, Provision,
    Relation, SUBJECTS_MAX, SubjectRef, Subjects, TEXT_MAX_BYTES, TicketText, UnlistedRecipient,
};
use crate::domain::ids::{DecisionId, LogIndex, Name, NameError};
use crate::domain::network::parse_address;
use crate::domain::person::id::canonical;
use crate::domain::time::Timestamp;
use crate::gate::{Credentials, Violation};
use crate::proto;

/// Who asks, from where, in which session.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) proof: Proof,
    pub(super) client_ip: Option<IpAddr>,
    pub(super) session_ref: Option<Name>,
}

impl Default for Actor {
    fn default() -> Self {
        Self {
            proof: Proof::Missing,
            client_ip: None,
            session_ref: None,
        }
    }
}

/// Reads the fields of one message and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    prefix: String,
    violations: Vec<Violation>,
    /// Those that are not named any more.
    more: usize,
}

/// The most violations that are named one by one: an answer has to fit into its headers.
const VIOLATIONS_MAX: usize = 32;

impl Fields {
    /// Everything read next is below `prefix`, e.g. `items[3].`.
    pub(super) fn below(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    pub(super) fn wrong(&mut self, field: &str, description: impl Into<String>) {
        if self.violations.len() >= VIOLATIONS_MAX {
            self.more += 1;
            return;
        }
        self.violations.push(Violation::new(
            format!("{}{field}", self.prefix),
            description,
        ));
    }

    /// The value, or every violation.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => {
                if self.more > 0 {
                    let what = format!("and {} more fields can't be taken", self.more);
                    self.violations.push(Violation::new("…", what));
                }
                Err(self.violations)
            }
        }
    }

    /// A name that may be missing.
    pub(super) fn name(&mut self, field: &str, text: &str) -> Option<Name> {
        match Name::parse(text) {
            Ok(name) => Some(name),
            Err(NameError::Missing) => None,
            Err(error @ (NameError::TooLong | NameError::Nul)) => {
                self.wrong(field, error.to_string());
                None
            }
        }
    }

    /// A name that must be there.
    pub(super) fn required(&mut self, field: &str, text: &str) -> Option<Name> {
        match Name::parse(text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(field, error.to_string());
                None
            }
        }
    }

    /// An address that may be empty.
    pub(super) fn address(&mut self, field: &str, text: &str) -> Option<IpAddr> {
        if text.trim().is_empty() {
            return None;
        }
        parse_address(text)
            .map_err(|error| self.wrong(field, error.to_string()))
            .ok()
    }

    /// A ticket that may be missing.
    pub(super) fn ticket(&mut self, field: &str, text: &str) -> Option<TicketText> {
        if text.len() > TicketText::MAX_BYTES {
            self.wrong(field, "is over 1,024 bytes");
            return None;
        }
        (!text.trim().is_empty()).then(|| TicketText::new(text))
    }

    /// A list of subjects, none of them missing.
    pub(super) fn subjects(
        &mut self,
        field: &str,
        texts: &[String],
        max: usize,
    ) -> Vec<SubjectRef> {
        if texts.len() > max {
            self.wrong(
                field,
                format!("names {} people; at most {max} are taken", texts.len()),
            );
            return Vec::new();
        }
        texts
            .iter()
            .enumerate()
            .filter_map(|(position, text)| self.required(&format!("{field}[{position}]"), text))
            .map(|name| SubjectRef::new(&name))
            .collect()
    }

    pub(super) fn known<T>(
        &mut self,
        field: &str,
        number: i32,
        from: impl FnOnce(i32) -> Option<T>,
    ) -> Option<T> {
        if number == 0 {
            return None;
        }
        let known = from(number);
        if known.is_none() {
            self.wrong(field, format!("has no value {number}"));
        }
        known
    }

    /// A decision's id.
    pub(super) fn decision_id(&mut self, field: &str, text: &str) -> Option<DecisionId> {
        let id = uuid::Uuid::try_parse(text).ok().map(DecisionId);
        if id.is_none() {
            self.wrong(field, "is not a decision's id (a UUID)");
        }
        id
    }

    /// An instant that may be missing.
    pub(super) fn instant(
        &mut self,
        field: &str,
        at: Option<&prost_types::Timestamp>,
    ) -> Option<Timestamp> {
        let at = at?;
        let micros = at
            .seconds
            .checked_mul(1_000_000)
            .and_then(|micros| micros.checked_add(i64::from(at.nanos / 1_000)))
            .filter(|_| (0..1_000_000_000).contains(&at.nanos));
        if micros.is_none() {
            self.wrong(field, "is no instant");
        }
        micros.map(Timestamp::from_micros)
    }

    /// Who asks.
    pub(super) fn actor(&mut self, actor: &proto::Actor) -> Actor {
        Actor {
            proof: self.proof(actor.proof.as_ref()),
            client_ip: self.address("actor.client_ip", &actor.client_ip),
            session_ref: self.name("actor.session_ref", &actor.session_ref),
        }
    }

    /// A request for access; `actor` is a batch's, for items that carry none.
    pub(super) fn access(
        &mut self,
        request: proto::CheckRequest,
        actor: Option<Actor>,
    ) -> Option<AccessRequest> {
        let request_id = self.name("request_id", &request.request_id);
        let Actor {
            proof,
            client_ip,
            session_ref,
        } = match &request.actor {
            Some(own) => self.actor(own),
            None => actor.unwrap_or_default(),
        };
        let action = match self.known("action", request.action, Action::from_number) {
            Some(action) => Some(action),
            None => {
                if request.action == 0 {
                    self.wrong("action", "is missing");
                }
                None
            }
        };
        let data = request.data.unwrap_or_default();
        let categories = self.categories(&data.categories);
        let subjects = self.whose(&data);
        let basis = request.basis.unwrap_or_default();
        let basis = Basis {
            consent: self
                .known("basis.consent", basis.consent, Consent::from_number)
                .unwrap_or(Consent::None),
            exception: self.known(
                "basis.exception",
                basis.exception,
                LegalException::from_number,
            ),
            reference: self.name("basis.reference", &basis.reference),
            consent_difficult: basis.consent_difficult,
            subject_request: basis.subject_request,
        };
        let provision = self.provision(action, request.provision);
        let break_glass = request.break_glass.map(|break_glass| {
            if break_glass.reason.len() > TEXT_MAX_BYTES {
                self.wrong("break_glass.reason", "is over 2,048 bytes");
            }
            break_glass.reason.into_boxed_str()
        });
        let people = subjects.all_people();
        Some(AccessRequest {
            subjects,
            request_id,
            proof,
            client_ip,
            session_ref,
            system: self.name("data.system", &data.system),
            subject_kind: self.name("data.subject_kind", &data.subject_kind),
            collected_via: self.name("data.collected_via", &data.collected_via),
            origin_country: self.name("data.origin_country", &data.origin_country),
            purpose: self.name("purpose", &request.purpose),
            case_ref: self.name("case_ref", &request.case_ref),
            relation: self.known("relation", request.relation, Relation::from_number),
            categories,
            record_count: data.record_count.max(people).max(1),
            basis,
            provision,
            break_glass,
            automated_decision: request.automated_decision,
            allow_partial: request.allow_partial,
            action: action?,
        })
    }

    fn proof(&mut self, proof: Option<&proto::actor::Proof>) -> Proof {
        use proto::actor::Proof as Wire;
        match proof {
            None => Proof::Missing,
            Some(Wire::SessionTicket(ticket)) => self
                .ticket("actor.session_ticket", ticket)
                .map_or(Proof::Missing, Proof::Ticket),
            Some(Wire::IdToken(_)) => {
                self.wrong("actor.id_token", "not supported yet");
                Proof::Missing
            }
            Some(Wire::Workload(true)) => Proof::Workload,
            Some(Wire::Workload(false)) => {
                self.wrong("actor.workload", "only `true` is valid");
                Proof::Missing
            }
        }
    }

    pub(super) fn categories(&mut self, texts: &[String]) -> Vec<Name> {
        if texts.is_empty() {
            self.wrong("data.categories", "is missing");
        }
        if texts.len() > CATEGORIES_MAX {
            self.wrong(
                "data.categories",
                format!(
                    "names {} categories; at most {CATEGORIES_MAX} are taken",
                    texts.len()
                ),
            );
            return Vec::new();
        }
        texts
            .iter()
            .enumerate()
            .filter_map(|(position, text)| {
                self.required(&format!("data.categories[{position}]"), text)
            })
            .collect()
    }

    fn whose(&mut self, data: &proto::DataScope) -> Subjects {
        let one = self.name("data.subject_ref", &data.subject_ref);
        let list = self.subjects("data.subject_refs", &data.subject_refs, SUBJECTS_MAX);
        match (one, list.is_empty()) {
            (None, true) => Subjects::Unnamed,
            (None, false) => Subjects::List(list),
            (Some(one), true) => Subjects::One(SubjectRef::new(&one)),
            (Some(_), false) => {
                self.wrong(
                    "data.subject_refs",
                    "stands instead of data.subject_ref, not beside it",
                );
                Subjects::Unnamed
            }
        }
    }

    fn provision(
        &mut self,
        action: Option<Action>,
        provision: Option<proto::Provision>,
    ) -> Provision {
        if action != Some(Action::Provide) {
            return Provision::default();
        }
        let Some(provision) = provision else {
            self.wrong("provision", "is missing: ACTION_PROVIDE needs it");
            return Provision::default();
        };
        let unlisted = UnlistedRecipient {
            name: self.name("provision.recipient_name", &provision.recipient_name),
            address: self.name("provision.recipient_address", &provision.recipient_address),
            representative: self.name(
                "provision.recipient_representative",
                &provision.recipient_representative,
            ),
            country: self.name("provision.recipient_country", &provision.recipient_country),
        };
        Provision {
            unlisted,
            recipient: self.name("provision.recipient", &provision.recipient),
            own_purpose: provision.recipient_own_purpose,
            safeguard: self.name("provision.safeguard", &provision.safeguard),
        }
    }

    /// A person's proof in the metadata of a call.
    pub(super) fn credentials(&mut self, metadata: &MetadataMap) -> Credentials {
        let text = |key: &str| {
            metadata
                .get(key)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("")
                .to_owned()
        };
        Credentials {
            ticket: self.ticket("sekisho-ticket", &text("sekisho-ticket")),
            client_ip: self.address("sekisho-client-ip", &text("sekisho-client-ip")),
            session_ref: self.name("sekisho-session-ref", &text("sekisho-session-ref")),
        }
    }
}

/// Reads how many a page has; 0 is 100.
pub(super) fn page_size(fields: &mut Fields, asked: i32) -> usize {
    const USUAL: usize = 100;
    const MAX: i32 = 1_000;
    match asked {
        0 => USUAL,
        size if (1..=MAX).contains(&size) => usize::try_from(size).unwrap_or(USUAL),
        _ => {
            fields.wrong("page_size", "must be from 1 to 1,000");
            USUAL
        }
    }
}

/// Before the id after which a page begins.
pub(super) const AFTER: &str = "after-";

/// Reads a page token that names the last person of the page before; empty is the first page.
pub(super) fn after_person(fields: &mut Fields, token: &str) -> Option<Name> {
    let id = token.strip_prefix(AFTER);
    let after = id.and_then(|id| Name::parse(id).ok().filter(|_| canonical(id) == id));
    if after.is_none() && !token.is_empty() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    after
}

/// Reads a page token; empty is the first page.
pub(super) fn page_start(fields: &mut Fields, token: &str) -> Option<LogIndex> {
    if token.is_empty() {
        return None;
    }
    let position = token.strip_prefix("from-").and_then(|at| at.parse().ok());
    if position.is_none() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    position.map(LogIndex)
}
