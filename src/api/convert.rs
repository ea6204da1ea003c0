//! From the wire to the domain and back. Reading a message names every field that can't be taken, not only the first.

use std::net::IpAddr;

use tonic::metadata::MetadataMap;

use crate::domain::access::{
    AccessRequest, Action, Basis, CATEGORIES_MAX, Consent, LegalException, Proof, Provision,
    Relation, SUBJECTS_MAX, SubjectRef, Subjects, TEXT_MAX_BYTES, TicketText,
};
use crate::domain::ids::{DecisionId, LogIndex, Name, NameError};
use crate::domain::network::parse_address;
use crate::domain::reason::ReasonCode;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::{Answer, Credentials, ReadEntry, Violation};
use crate::proto;

/// Reads the fields of one message and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    prefix: String,
    violations: Vec<Violation>,
}

impl Fields {
    /// Everything read next is below `prefix`, e.g. `items[3].`.
    pub(super) fn below(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    pub(super) fn wrong(&mut self, field: &str, description: impl Into<String>) {
        self.violations.push(Violation::new(
            format!("{}{field}", self.prefix),
            description,
        ));
    }

    /// The value, or every violation.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(self.violations),
        }
    }

    /// A name that may be missing.
    pub(super) fn name(&mut self, field: &str, text: &str) -> Option<Name> {
        match Name::parse(text) {
            Ok(name) => Some(name),
            Err(NameError::Missing) => None,
            Err(error @ NameError::TooLong) => {
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

    fn known<T>(
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

    /// A request for access; `actor` is a batch's, for items that carry none.
    pub(super) fn access(
        &mut self,
        request: proto::CheckRequest,
        actor: Option<&proto::Actor>,
    ) -> Option<AccessRequest> {
        let request_id = self.name("request_id", &request.request_id);
        let actor = request.actor.as_ref().or(actor);
        let (proof, client_ip, session_ref) = match actor {
            Some(actor) => (
                self.proof(actor.proof.as_ref()),
                self.address("actor.client_ip", &actor.client_ip),
                self.name("actor.session_ref", &actor.session_ref),
            ),
            None => (Proof::Missing, None, None),
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
        let named = u64::try_from(subjects.named().len()).unwrap_or(u64::MAX);
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
        Some(AccessRequest {
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
            subjects,
            categories,
            record_count: data.record_count.max(named).max(1),
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

    fn categories(&mut self, texts: &[String]) -> Vec<Name> {
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
        for (field, text) in [
            ("provision.recipient_name", &provision.recipient_name),
            ("provision.recipient_address", &provision.recipient_address),
            (
                "provision.recipient_representative",
                &provision.recipient_representative,
            ),
            ("provision.recipient_country", &provision.recipient_country),
        ] {
            self.name(field, text);
        }
        Provision {
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

/// An instant on the wire; `None` for 0, which stands for none.
pub(super) fn instant(micros: i64) -> Option<prost_types::Timestamp> {
    (micros != 0).then(|| prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1_000,
    })
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn reason(stored: &proto::StoredReason) -> proto::Reason {
    let code = ReasonCode::from_number(stored.code);
    proto::Reason {
        code: stored.code,
        message: code.map_or("", ReasonCode::message).to_owned(),
        message_ja: code.map_or("", ReasonCode::message_ja).to_owned(),
        about: stored.about.clone(),
    }
}

fn decision_id(bytes: &[u8]) -> String {
    DecisionId::from_bytes(bytes).map_or_else(String::new, |id| id.to_string())
}

fn obligation(stored: &proto::StoredObligation) -> proto::Obligation {
    use proto::obligation::Kind;
    let kind = if !stored.mask.is_empty() {
        Some(Kind::Mask(proto::MaskCategories {
            categories: stored.mask.clone(),
        }))
    } else if !stored.provision_record_id.is_empty() {
        Some(Kind::ProvisionRecord(proto::ProvisionRecord {
            record_id: decision_id(&stored.provision_record_id),
            keep_until: instant(stored.provision_keep_until_us),
        }))
    } else if stored.report_outcome_by_us != 0 {
        instant(stored.report_outcome_by_us).map(Kind::ReportOutcomeBy)
    } else if stored.notify_within_seconds != 0 {
        Some(Kind::NotifySubject(proto::NotifySubject {
            within: Some(seconds(stored.notify_within_seconds)),
        }))
    } else if !stored.exclude_held.is_empty() {
        Some(Kind::ExcludeHeld(proto::ExcludeHeldSubjects {
            holds: stored.exclude_held.clone(),
        }))
    } else {
        None
    };
    proto::Obligation {
        id: stored.id.clone(),
        kind,
    }
}

/// The answer to a check, read from its entry.
pub(super) fn check_response(answer: &Answer, log: &str) -> proto::CheckResponse {
    let entry = &answer.entry;
    let position =
        |withheld: &proto::StoredWithheld| usize::try_from(withheld.index).unwrap_or(usize::MAX);
    proto::CheckResponse {
        decision: entry.decision,
        reasons: entry.reasons.iter().map(reason).collect(),
        obligations: entry.obligations.iter().map(obligation).collect(),
        decision_id: decision_id(&entry.decision_id),
        log_index: answer.index.0,
        step_up: entry.step_up.as_ref().map(|step_up| proto::StepUp {
            max_age: Some(seconds(step_up.max_age_seconds)),
            amr: step_up.amr.clone(),
        }),
        policy_revision: data_encoding::HEXLOWER.encode(&entry.policy_revision),
        decided_at: instant(entry.time_us),
        valid_until: instant(entry.valid_until_us),
        log: log.to_owned(),
        withheld_categories: entry
            .withheld_categories
            .iter()
            .map(|withheld| proto::WithheldCategory {
                category: entry
                    .categories
                    .get(position(withheld))
                    .cloned()
                    .unwrap_or_default(),
                reason: withheld.reason.as_ref().map(reason),
            })
            .collect(),
        withheld_subjects: entry
            .withheld_subjects
            .iter()
            .map(|withheld| proto::WithheldSubject {
                index: withheld.index,
                reason: withheld.reason.as_ref().map(reason),
            })
            .collect(),
        renewed_ticket: answer
            .renewed_ticket
            .as_ref()
            .map_or_else(String::new, |ticket| ticket.expose().to_owned()),
    }
}

/// An entry as reviewers read it.
pub(super) fn entry(read: ReadEntry, log: &str) -> proto::Entry {
    let ReadEntry {
        index,
        entry: stored,
        leaf_hash,
        break_glass_reason,
        records_accessed,
        ..
    } = read;
    let second_step_age_seconds = match stored.second_step_us {
        0 => 0,
        at => u64::try_from(stored.time_us.saturating_sub(at) / 1_000_000).unwrap_or(0),
    };
    let mut details: std::collections::HashMap<String, String> = stored
        .details
        .into_iter()
        .map(|detail| (detail.key, detail.value))
        .collect();
    if !stored.repeat_of.is_empty() {
        details.insert("repeat_of".to_owned(), decision_id(&stored.repeat_of));
    }
    if stored.sum_of > 1 {
        details.insert("sum_of".to_owned(), stored.sum_of.to_string());
    }
    if stored.abandoned {
        details.insert("abandoned".to_owned(), "true".to_owned());
    }
    let further: Vec<&str> = stored
        .further_reasons
        .iter()
        .filter_map(|reason| ReasonCode::from_number(reason.code))
        .map(ReasonCode::name)
        .collect();
    if !further.is_empty() {
        details.insert("further_reasons".to_owned(), further.join(", "));
    }
    proto::Entry {
        log_index: index.0,
        time: instant(stored.time_us),
        kind: stored.kind,
        decision_id: decision_id(&stored.decision_id),
        request_id: stored.request_id,
        log: log.to_owned(),
        caller: stored.caller,
        caller_ip: stored.caller_ip,
        person: stored.person,
        roles: stored.roles,
        department: stored.department,
        client_ip: stored.client_ip,
        amr: stored.amr,
        second_step_age_seconds,
        network: stored.network,
        session: decision_id(&stored.session),
        action: stored.action,
        system: stored.system,
        subject_kind: stored.subject_kind,
        subject_pseudonyms: stored
            .subjects
            .iter()
            .filter_map(|subject| Pseudonym::from_bytes(subject))
            .map(|subject| subject.to_string())
            .collect(),
        categories: stored.categories,
        record_count: stored.record_count,
        purpose: stored.purpose,
        case_ref: stored.case_ref,
        consent: stored.consent,
        exception: stored.exception,
        recipient: stored.recipient,
        provision_route: stored.provision_route,
        basis_reference: stored.basis_reference,
        subject_request: stored.subject_request,
        consent_difficult: stored.consent_difficult,
        collected_via: stored.collected_via,
        origin_country: stored.origin_country,
        safeguard: stored.safeguard,
        recipient_own_purpose: stored.recipient_own_purpose,
        automated_decision: stored.automated_decision,
        decision: stored.decision,
        reasons: stored.reasons.iter().map(|reason| reason.code).collect(),
        obligations: if stored.obligations.is_empty() {
            stored.fulfilled_obligations
        } else {
            stored
                .obligations
                .iter()
                .map(|obligation| obligation.id.clone())
                .collect()
        },
        policy_revision: data_encoding::HEXLOWER.encode(&stored.policy_revision),
        rule: stored.rule,
        break_glass: stored.break_glass,
        break_glass_reason,
        records_accessed: records_accessed.unwrap_or(stored.records_accessed),
        relation: stored.relation,
        details,
        leaf_hash: leaf_hash.to_vec(),
    }
}

/// A position as a page token, and back.
pub(super) fn page_token(at: LogIndex) -> String {
    format!("from-{}", at.0)
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
