//! An entry as facts for a decision.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::outcome::Outcome;
use crate::decision::rules::RuleSet;
use crate::decision::{
    CallerFacts, Demand, Facts, GenuineTicket, LimitOutcome, TicketFacts, Verdict, decide,
};
use crate::domain::access::{
    AccessRequest, Action, Basis, Consent, LegalException, Proof, Provision, Relation, SubjectRef,
    Subjects, TicketText, UnlistedRecipient,
};
use crate::domain::ids::Name;
use crate::domain::network::{parse_address, parse_block};
use crate::domain::person::{NetworkException, Person, Pledge, RoleAssignment};
use crate::domain::reason::{Reason, ReasonCode, Stage};
use crate::domain::reference::{Reference, ReferenceKind};
use crate::domain::subject::{Pseudonym, SubjectState, Word};
use crate::domain::time::Timestamp;
use crate::proto::{Decision, EntryKind, ReferenceStanding, StoredEntry, StoredReason};

/// Stands for a text that was there and isn't in the entry, or is sealed.
const NOT_TOLD: &str = "(was given; the entry does not tell it)";
/// 1900-01-01: before any date that may be registered counts.
const LONG_AGO: Timestamp = Timestamp::from_seconds(-2_208_988_800);
/// What the log writes before the block of an exception that admitted a device.
const EXCEPTION: &str = "exception ";

/// Why there is nothing to decide anew in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotADecision {
    /// It is of another kind.
    OtherKind,
    /// It was answered as another entry had been, without deciding again.
    Repeat,
    /// Its content can't be read: what it was sealed under is destroyed, or it isn't what this version knows.
    Unreadable,
}

/// A decision of the log, with all that its entry tells.
#[derive(Debug, Clone)]
pub struct Logged {
    pub(super) request: AccessRequest,
    pub(super) revision: Vec<u8>,
    /// What was decided.
    pub(super) recorded: Outcome,
    /// Role ids as the entry has them.
    pub(super) roles: Vec<String>,
    at: Timestamp,
    caller: Box<str>,
    caller_address: IpAddr,
    ticket: TicketFacts,
    person: Option<Person>,
    locked: bool,
    /// Of all stages.
    reasons: Vec<Reason>,
    /// By position of the subject.
    withheld: Vec<(usize, Reason)>,
    /// What the request refers to and was registered.
    registered: Vec<Name>,
}

fn name(text: &str) -> Option<Name> {
    Name::parse(text).ok()
}

fn reason(stored: &StoredReason) -> Option<Reason> {
    let code = ReasonCode::from_number(stored.code)?;
    Some(Reason::new(code, &stored.about))
}

impl Logged {
    /// Reads an entry as it is written, or as the log gives it back with what is sealed in it opened.
    ///
    /// # Errors
    /// When there is nothing in it to decide anew.
    pub fn of(entry: &StoredEntry) -> Result<Self, NotADecision> {
        if entry.kind != i32::from(EntryKind::Decision) {
            return Err(NotADecision::OtherKind);
        }
        if !entry.repeat_of.is_empty() {
            return Err(NotADecision::Repeat);
        }
        let allowed = match Decision::try_from(entry.decision) {
            Ok(Decision::Allow) => true,
            Ok(Decision::Deny) => false,
            Ok(Decision::Unspecified) | Err(_) => return Err(NotADecision::Unreadable),
        };
        let action = Action::from_number(entry.action).ok_or(NotADecision::Unreadable)?;
        let first = entry.reasons.iter().find_map(reason);
        let reasons: Vec<Reason> = entry
            .reasons
            .iter()
            .chain(&entry.further_reasons)
            .filter_map(reason)
            .collect();
        let at = Timestamp::from_micros(entry.time_us);
        let ticket = ticket(entry, &reasons);
        Ok(Self {
            request: request(entry, action, &reasons),
            revision: entry.policy_revision.clone(),
            recorded: Outcome {
                allowed,
                reason: first.map(|reason| reason.code),
                rule: entry.rule.as_str().into(),
                terms: Vec::new(),
            },
            roles: entry.roles.clone(),
            at,
            caller: entry.caller.as_str().into(),
            caller_address: parse_address(&entry.caller_ip)
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            ticket,
            person: match ticket {
                TicketFacts::Genuine(_) => person(entry, at, &reasons),
                _ => None,
            },
            locked: has(&reasons, ReasonCode::AccountLocked),
            withheld: withheld(entry),
            registered: registered(entry),
            reasons,
        })
    }

    /// When it was decided.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// What was asked, as far as the entry tells it; people are named by their pseudonyms.
    #[must_use]
    pub const fn request(&self) -> &AccessRequest {
        &self.request
    }

    /// What the log recorded; without its terms.
    #[must_use]
    pub const fn recorded(&self) -> &Outcome {
        &self.recorded
    }
}

fn has(reasons: &[Reason], code: ReasonCode) -> bool {
    reasons.iter().any(|reason| reason.code == code)
}

/// A person without a session always fails at two_step, and a service that asks for itself never does.
fn is_workload(entry: &StoredEntry, reasons: &[Reason]) -> bool {
    entry.session.is_empty()
        && !reasons
            .iter()
            .any(|reason| reason.code.stage() == Stage::TwoStep)
}

fn request(entry: &StoredEntry, action: Action, reasons: &[Reason]) -> AccessRequest {
    let named: Vec<SubjectRef> = entry
        .subjects
        .iter()
        .filter_map(|subject| name(&Pseudonym::from_bytes(subject)?.to_string()))
        .map(|pseudonym| SubjectRef::new(&pseudonym))
        .collect();
    AccessRequest {
        request_id: None,
        proof: if is_workload(entry, reasons) {
            Proof::Workload
        } else {
            Proof::Ticket(TicketText::new(""))
        },
        client_ip: parse_address(&entry.client_ip).ok(),
        session_ref: None,
        action,
        system: name(&entry.system),
        subject_kind: name(&entry.subject_kind),
        subjects: if named.is_empty() {
            Subjects::Unnamed
        } else {
            Subjects::List(named)
        },
        categories: entry
            .categories
            .iter()
            .filter_map(|one| name(one))
            .collect(),
        record_count: entry.record_count.max(1),
        collected_via: name(&entry.collected_via),
        origin_country: name(&entry.origin_country),
        purpose: name(&entry.purpose),
        basis: Basis {
            consent: Consent::from_number(entry.consent).unwrap_or(Consent::None),
            exception: LegalException::from_number(entry.exception),
            reference: name(&entry.basis_reference),
            consent_difficult: entry.consent_difficult,
            subject_request: entry.subject_request,
        },
        provision: match action {
            Action::Provide => Provision {
                recipient: name(&entry.recipient),
                unlisted: unlisted(entry, reasons),
                own_purpose: entry.recipient_own_purpose,
                safeguard: name(&entry.safeguard),
            },
            _ => Provision::default(),
        },
        case_ref: name(&entry.case_ref),
        break_glass: break_glass(entry, reasons),
        automated_decision: entry.automated_decision,
        allow_partial: entry.allow_partial,
        relation: Relation::from_number(entry.relation),
    }
}

/// What a request told of a recipient that it named itself: of an allowance its record tells it, of a denial the reasons tell what
/// was missing.
fn unlisted(entry: &StoredEntry, reasons: &[Reason]) -> UnlistedRecipient {
    let record = entry.record.as_ref();
    let told = |recorded: Option<&str>, field: &str| {
        let missing = reasons.iter().any(|reason| {
            reason.code == ReasonCode::RecordFieldsMissing
                && (reason.about.is_empty() || *reason.about == *field)
        });
        match recorded.and_then(name) {
            Some(recorded) => Some(recorded),
            None if missing => None,
            None => name(NOT_TOLD),
        }
    };
    UnlistedRecipient {
        name: told(
            record.map(|record| &*record.name),
            "provision.recipient_name",
        ),
        address: told(
            record.map(|record| &*record.address),
            "provision.recipient_address",
        ),
        representative: told(
            record.map(|record| &*record.representative),
            "provision.recipient_representative",
        ),
        country: record.and_then(|record| name(&record.country)),
    }
}

/// The reason of emergency access, where it was asked for. One that is sealed was taken or not, as the reasons tell, those of
/// categories that were withheld too.
fn break_glass(entry: &StoredEntry, reasons: &[Reason]) -> Option<Box<str>> {
    let withheld = entry.withheld_categories.iter();
    let withheld: Vec<Reason> = withheld
        .filter_map(|withheld| reason(withheld.reason.as_ref()?))
        .collect();
    let told = |code| has(reasons, code) || has(&withheld, code);
    if told(ReasonCode::BreakGlassReasonRequired) {
        return Some(entry.free_text.as_str().into());
    }
    let asked = entry.break_glass || told(ReasonCode::BreakGlassNotPermitted);
    match (entry.free_text.is_empty(), asked) {
        (false, _) => Some(entry.free_text.as_str().into()),
        (true, true) => Some(NOT_TOLD.into()),
        (true, false) => None,
    }
}

fn ticket(entry: &StoredEntry, reasons: &[Reason]) -> TicketFacts {
    if is_workload(entry, reasons) || has(reasons, ReasonCode::TicketMissing) {
        return TicketFacts::Missing;
    }
    if has(reasons, ReasonCode::TicketInvalid) {
        return TicketFacts::Invalid;
    }
    if has(reasons, ReasonCode::TicketExpired) {
        return TicketFacts::Expired {
            may_step_up: entry.step_up.is_some(),
        };
    }
    TicketFacts::Genuine(GenuineTicket {
        revoked: has(reasons, ReasonCode::TicketRevoked),
        bound: !has(reasons, ReasonCode::TicketBindingMismatch),
        second_step: (entry.second_step_us != 0 && !has(reasons, ReasonCode::SecondStepRequired))
            .then(|| Timestamp::from_micros(entry.second_step_us)),
        // Only how long an allowance holds depends on it, which is not compared.
        expires: Timestamp::from_micros(i64::MAX),
    })
}

/// The person as they were: with the roles that counted, and with no more amiss than the reasons tell.
fn person(entry: &StoredEntry, at: Timestamp, reasons: &[Reason]) -> Option<Person> {
    // One who is not in the directory any more has neither.
    if entry.roles.is_empty() && entry.department.is_empty() {
        return None;
    }
    let department = name(&entry.department).or_else(|| name(NOT_TOLD))?;
    let mut person = Person::new(name(&entry.person)?, department);
    let roles = entry.roles.iter().filter_map(|role| name(role));
    person.roles = roles.map(RoleAssignment::for_good).collect();
    let exception = entry.network.strip_prefix(EXCEPTION);
    if let Some(block) = exception.and_then(|block| parse_block(block).ok())
        && let Some(why) = name(NOT_TOLD)
    {
        person.network_exceptions.push(NetworkException {
            block,
            until: at,
            why,
        });
    }
    person.disabled = has(reasons, ReasonCode::AccountDisabled);
    if has(reasons, ReasonCode::EmploymentEnded) {
        person.employment_end = Some(Timestamp::from_micros(at.micros().saturating_sub(1)));
    }
    person.trained_until = (!has(reasons, ReasonCode::TrainingNotCurrent)).then_some(at);
    person.pledge = if has(reasons, ReasonCode::ConfidentialityPledgeMissing) {
        Pledge::NotGiven
    } else {
        Pledge::Given
    };
    Some(person)
}

fn withheld(entry: &StoredEntry) -> Vec<(usize, Reason)> {
    let groups = entry.withheld_subjects.iter();
    groups
        .filter_map(|group| Some((group, reason(group.reason.as_ref()?)?)))
        .flat_map(|(group, reason)| {
            let positions = group.indexes.iter();
            positions.filter_map(move |index| Some((usize::try_from(*index).ok()?, reason.clone())))
        })
        .collect()
}

fn registered(entry: &StoredEntry) -> Vec<Name> {
    [
        (entry.basis_reference_standing, &entry.basis_reference),
        (entry.case_ref_standing, &entry.case_ref),
    ]
    .into_iter()
    .filter(|(standing, _)| *standing == i32::from(ReferenceStanding::Registered))
    .filter_map(|(_, said)| name(said))
    .collect()
}

/// Decides an entry anew under `rules`. Costs what a decision costs. What the entry doesn't tell is taken to be as its reasons say,
/// and else to be in order: nothing more is registered for anybody, no count is full, the person's standing is good, the session
/// lives. Compare with what was recorded before you believe it: [`compare`](super::compare).
#[must_use]
pub fn redecide(rules: &RuleSet, logged: &Logged) -> Verdict {
    let service = rules.services.id(&logged.caller);
    let subjects = states(rules, logged);
    let references = references(logged);
    let facts = Facts {
        now: logged.at,
        request: &logged.request,
        caller: CallerFacts {
            service: service.and_then(|id| rules.services.get(id)),
            address: logged.caller_address,
        },
        ticket: logged.ticket,
        person: logged.person.as_ref(),
        locked: logged.locked,
        subjects: &subjects,
        references: &references,
        all_known: !has(&logged.reasons, ReasonCode::SubjectsIncomplete),
    };
    decide(rules, &facts, |demand, _| limit(rules, logged, demand))
}

/// A count is full where the entry says so of a limit that these rules have, too.
fn limit(rules: &RuleSet, logged: &Logged, demand: &Demand) -> LimitOutcome {
    let mut reasons = logged.reasons.iter();
    let Some(full) = reasons.find(|reason| reason.code == ReasonCode::BulkLimitExceeded) else {
        return LimitOutcome::Within;
    };
    let is_it = |position: &&usize| {
        rules
            .limits
            .get(**position)
            .is_some_and(|limit| full.about.is_empty() || *limit.id == *full.about)
    };
    match demand.limits.iter().find(is_it) {
        Some(position) => LimitOutcome::Exceeded(*position),
        None => LimitOutcome::Within,
    }
}

/// What is registered for the subjects, as far as the reasons tell: of all of them where the whole was denied for it, else of those
/// who were withheld.
fn states(rules: &RuleSet, logged: &Logged) -> Vec<Arc<SubjectState>> {
    let of_all = logged.reasons.iter();
    let mut all = SubjectState::default();
    for reason in of_all {
        // Of a consent that the caller claims not to have, the reason would be the same without a withdrawal.
        let claimed = logged.request.basis.consent != Consent::Withdrawn;
        if reason.code == ReasonCode::ConsentWithdrawn && claimed {
            withdraw(&mut all, logged);
        }
        note(rules, &mut all, reason);
    }
    let mut states = vec![all; logged.request.subjects.named().len()];
    for (position, reason) in &logged.withheld {
        if let Some(state) = states.get_mut(*position) {
            if is_about_consent(reason.code) {
                withdraw(state, logged);
            }
            note(rules, state, reason);
        }
    }
    states.into_iter().map(Arc::new).collect()
}

/// What is claimed is claimed for all: one who is withheld for want of consent has withdrawn it.
const fn is_about_consent(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::SpecialCareConsentRequired
            | ReasonCode::ConsentRequired
            | ReasonCode::ConsentWithdrawn
            | ReasonCode::AutomatedDecisionForbidden
            | ReasonCode::ThirdPartyConsentRequired
            | ReasonCode::ForeignConsentRequired
    )
}

fn withdraw(state: &mut SubjectState, logged: &Logged) {
    let purpose = logged.request.purpose.as_deref();
    let (Some(id), Some(purpose)) = (name(NOT_TOLD), purpose) else {
        return;
    };
    state.put_reference(Reference {
        kind: ReferenceKind::Consent,
        id,
        purposes: [Word::from(purpose)].into(),
        until: None,
        since: logged.at,
        given: None,
        withdrawn: true,
    });
}

fn note(rules: &RuleSet, state: &mut SubjectState, reason: &Reason) {
    let about = &*reason.about;
    if about.is_empty() {
        return;
    }
    match reason.code {
        ReasonCode::UseSuspended
        | ReasonCode::LegalHold
        | ReasonCode::ProvisionStopped
        | ReasonCode::OptedOutOfSaleOrSharing => state.add_hold(&Word::from(about)),
        ReasonCode::RetentionExpired => {
            let mut over = rules.retention.iter();
            if let Some(rule) = over.find(|rule| *rule.id == *about) {
                state.set_date(&Word::from(&*rule.date), LONG_AGO);
            }
        }
        ReasonCode::RetentionRequired => {
            let mut kept = rules.keep.iter();
            if let Some(rule) = kept.find(|rule| *rule.id == *about) {
                // The youngest that there can be: kept by any period.
                state.set_date(&Word::from(&*rule.date), Timestamp::from_micros(i64::MAX));
            }
        }
        _ => {}
    }
}

/// What was registered of what the request refers to. The entry doesn't tell as what: it is taken for what the rules ask.
fn references(logged: &Logged) -> Vec<Arc<Reference>> {
    let purposes: Arc<[Word]> = logged
        .request
        .purpose
        .iter()
        .map(|purpose| Word::from(&**purpose))
        .collect();
    let said = logged.registered.iter();
    said.flat_map(|said| {
        let purposes = Arc::clone(&purposes);
        ReferenceKind::ALL.iter().map(move |kind| {
            Arc::new(Reference {
                kind: *kind,
                id: said.clone(),
                purposes: Arc::clone(&purposes),
                until: None,
                since: logged.at,
                given: None,
                withdrawn: false,
            })
        })
    })
    .collect()
}
