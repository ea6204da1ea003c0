//! The use case that the rest is for: may this access take place? Facts are gathered, `decision` decides, the entry is made
//! durable, and only then is there an answer.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::admission::Opened;
use super::counters::{Bound, Charge};
use super::peer::{Caller, Peer};
use super::repeats::{Guard, Key, Known};
use super::{Gate, GateError, Violation, entry};
use crate::decision::rules::RuleSet;
use crate::decision::{self, Demand, Facts, LimitOutcome, Verdict};
use crate::domain::access::{AccessRequest, Proof, TicketText};
use crate::domain::ids::LogIndex;
use crate::domain::reason::{ReasonCode, Stage};
use crate::domain::subject::{Pseudonym, SubjectState};
use crate::domain::time::Timestamp;
use crate::log::{AppendError, Receipt};
use crate::proto::{EntryKind, StoredCharge, StoredEntry};

/// An answer to one check. There is none without a receipt.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was decided: the entry of the decision, which for a repeat is the first's.
    pub entry: Arc<StoredEntry>,
    /// Where that entry is.
    pub index: LogIndex,
    /// The person's ticket, renewed by this use.
    pub renewed_ticket: Option<TicketText>,
    /// That this very call is in the log.
    receipt: Receipt,
}

/// The answers to a batch, in its order.
pub type Answers = Vec<Answer>;

/// One request with all that is known about it.
struct Case {
    request: AccessRequest,
    opened: Opened,
    pseudonyms: Vec<Pseudonym>,
    states: Vec<Arc<SubjectState>>,
}

impl Case {
    fn facts<'a>(&'a self, caller: &Caller<'a>, now: Timestamp) -> Facts<'a> {
        Facts {
            now,
            request: &self.request,
            caller: caller.facts(),
            ticket: self.opened.facts,
            person: self.opened.person.as_deref(),
            subjects: &self.states,
        }
    }

    /// Digest of what is asked: all but the id, the proof as person and time of second step.
    fn content(&self) -> [u8; 32] {
        let request = AccessRequest {
            request_id: None,
            proof: match self.request.proof {
                Proof::Workload => Proof::Workload,
                Proof::Ticket(_) | Proof::Missing => Proof::Missing,
            },
            ..self.request.clone()
        };
        let mut hash = Sha256::new();
        // The subjects by pseudonym: their own form prints nothing.
        for pseudonym in &self.pseudonyms {
            hash.update(pseudonym.0);
        }
        let ticket = self.opened.ticket.as_ref();
        let person = ticket.map(|ticket| (&ticket.person, ticket.second_step));
        hash.update(format!("{request:?}{person:?}"));
        hash.finalize().into()
    }
}

/// What became of one request, beside its entry.
struct Ready {
    renewed_ticket: Option<TicketText>,
    outcome: ReadyOutcome,
}

enum ReadyOutcome {
    /// Decided now.
    Decided {
        charges: Vec<Charge>,
        guard: Option<Guard>,
    },
    /// A repeat of the decision at this position.
    Repeat {
        first: Arc<StoredEntry>,
        first_index: LogIndex,
    },
}

impl Gate {
    /// Decides one access.
    ///
    /// # Errors
    /// When the request can't be taken, or no entry can be made durable; then nothing was allowed.
    pub async fn check(
        self: &Arc<Self>,
        peer: &Peer,
        request: AccessRequest,
    ) -> Result<Answer, GateError> {
        let mut answers = self.check_batch(peer, vec![request]).await?;
        match (answers.pop(), answers.is_empty()) {
            (Some(answer), true) => Ok(answer),
            _ => Err(GateError::Internal("one check, but not one answer")),
        }
    }

    /// Decides many accesses with one durable write, each with its own entry.
    ///
    /// # Errors
    /// As for [`Self::check`]; then none was allowed.
    pub async fn check_batch(
        self: &Arc<Self>,
        peer: &Peer,
        requests: Vec<AccessRequest>,
    ) -> Result<Answers, GateError> {
        if requests.iter().all(|request| request.request_id.is_none()) {
            return self.decide_all(peer, requests).await;
        }
        // A caller that hangs up and asks again under the same id gets this answer: it must come to be without them.
        let (gate, peer) = (Arc::clone(self), peer.clone());
        tokio::spawn(async move { gate.decide_all(&peer, requests).await })
            .await
            .unwrap_or(Err(GateError::Internal("a check ended early")))
    }

    async fn decide_all(
        &self,
        peer: &Peer,
        requests: Vec<AccessRequest>,
    ) -> Result<Answers, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let cases: Vec<Case> = requests
            .into_iter()
            .map(|request| self.case(&rules, &caller, request, now))
            .collect();
        let is_stranger = caller
            .service
            .is_none_or(|service| !decision::is_from_its_blocks(service, caller.address));
        if is_stranger {
            return self
                .refuse_stranger(peer, &rules, &caller, &cases, now)
                .await;
        }
        let known = match self.take_request_ids(&caller, &cases, now).await {
            Ok(known) => known,
            Err(GateError::Malformed(violations)) => {
                return Err(self
                    .malformed_of(peer, &caller, "Check", violations, now)
                    .await);
            }
            Err(error) => return Err(error),
        };
        let mut ready = Vec::with_capacity(cases.len());
        let mut entries = Vec::with_capacity(cases.len());
        for (case, known) in cases.iter().zip(known) {
            match self.prepare(peer, &rules, &caller, case, known, now).await {
                Ok((one, entry)) => {
                    ready.push(one);
                    entries.push(entry);
                }
                Err(error) => {
                    self.take_back(&ready, &entries);
                    return Err(match error {
                        GateError::AllowanceEnded => {
                            let entry = self.late_repeat(peer, &rules, &caller, case, now);
                            self.refused_entry(entry, "Check", error).await
                        }
                        error => error,
                    });
                }
            }
        }
        let receipts = match self.log.append(&entries) {
            Ok(appending) => appending.await,
            Err(error) => Err(error),
        };
        let receipts = match receipts {
            Ok(receipts) => receipts,
            Err(error) => {
                // Past the deadline the entry may still be written, and then it says that this was counted.
                if !matches!(error, AppendError::Deadline) {
                    self.take_back(&ready, &entries);
                }
                return Err(error.into());
            }
        };
        if receipts.len() != ready.len() {
            return Err(GateError::Internal("not one receipt for each entry"));
        }
        Ok(ready
            .into_iter()
            .zip(entries)
            .zip(receipts.iter())
            .map(|((ready, entry), receipt)| answer(ready, entry, receipt, now))
            .collect())
    }

    fn case(
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
        Case {
            request,
            opened,
            pseudonyms,
            states,
        }
    }

    /// Takes every request id, or none: waiting with one in hand for another's could wait for ever.
    async fn take_request_ids(
        &self,
        caller: &Caller<'_>,
        cases: &[Case],
        now: Timestamp,
    ) -> Result<Vec<Option<Known>>, GateError> {
        loop {
            let mut all = Vec::with_capacity(cases.len());
            let mut wait_for = None;
            for (position, case) in cases.iter().enumerate() {
                let Some(id) = case.request.request_id.as_deref() else {
                    all.push(None);
                    continue;
                };
                let known = self
                    .repeats
                    .begin(Key::of(caller.id, id), case.content(), now);
                let field = || match cases.len() {
                    1 => "request_id".to_owned(),
                    _ => format!("items[{position}].request_id"),
                };
                match known {
                    Known::OtherContent => {
                        return Err(GateError::Malformed(vec![Violation::new(
                            field(),
                            "was used within the last ten minutes for another request: use a new one",
                        )]));
                    }
                    Known::Full => {
                        return Err(GateError::Busy {
                            what: "too many request ids within ten minutes",
                            retry_after: std::time::Duration::from_secs(10),
                        });
                    }
                    Known::InFlight(receiver) => {
                        wait_for = Some(receiver);
                        break;
                    }
                    known @ (Known::First(_) | Known::Answered(_)) => all.push(Some(known)),
                }
            }
            let Some(mut first) = wait_for else {
                return Ok(all);
            };
            drop(all);
            // Ends in an error when the first is through: its sender is dropped, whatever came of it.
            while first.changed().await.is_ok() {}
        }
    }

    async fn prepare(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: &Case,
        known: Option<Known>,
        now: Timestamp,
    ) -> Result<(Ready, StoredEntry), GateError> {
        let facts = case.facts(caller, now);
        let repeats = matches!(known, Some(Known::Answered(_)));
        let mut charges = Vec::new();
        let verdict = decision::decide(rules, &facts, |demand, passed| {
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
        let comes_in = comes_in(&verdict);
        let renewed_ticket = match (&case.opened.ticket, comes_in) {
            (Some(ticket), true) => self.use_session(rules, ticket, now),
            _ => None,
        };
        let mut entry = self.who_and_what(peer, rules, caller, case, now);
        match known {
            Some(Known::Answered(first_index)) if comes_in => {
                let first = self.entry_at(first_index).await?;
                if first.decision == i32::from(crate::proto::Decision::Allow)
                    && now.micros() > first.valid_until_us
                {
                    return Err(GateError::AllowanceEnded);
                }
                let entry = repeat_of(&first, entry);
                let outcome = ReadyOutcome::Repeat {
                    first: Arc::new(first),
                    first_index,
                };
                Ok((
                    Ready {
                        renewed_ticket,
                        outcome,
                    },
                    entry,
                ))
            }
            known => {
                let guard = match known {
                    Some(Known::First(guard)) => Some(guard),
                    _ => None,
                };
                if guard.is_some() {
                    entry.request_digest = case.content().to_vec();
                }
                self.seal_break_glass_reason(&mut entry, case)?;
                let stored = charges
                    .iter()
                    .map(|charge| stored_charge(charge, case))
                    .collect();
                entry::decided(&mut entry, rules, verdict, stored, now);
                let outcome = ReadyOutcome::Decided { charges, guard };
                Ok((
                    Ready {
                        renewed_ticket,
                        outcome,
                    },
                    entry,
                ))
            }
        }
    }

    /// The entry of a repeat that came after its allowance had ended.
    fn late_repeat(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: &Case,
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry = StoredEntry {
            decision_id: Vec::new(),
            ..self.who_and_what(peer, rules, caller, case, now)
        };
        entry.kind = EntryKind::RefusedCall.into();
        entry
    }

    fn who_and_what(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: &Case,
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry = entry::event(EntryKind::Decision, now, caller, peer);
        entry.decision_id = entry::new_id(now).to_bytes();
        if let Some(person) = &case.opened.person {
            entry::acted_by(&mut entry, person);
        } else if let Some(ticket) = &case.opened.ticket {
            entry.person = ticket.person.to_string();
        }
        if case.request.proof == Proof::Workload
            && let Some(role) = caller.service.and_then(|service| service.workload_role)
        {
            entry.roles = vec![rules.roles.name(role).to_owned()];
        }
        if let Some(ticket) = &case.opened.ticket {
            entry::in_session(&mut entry, ticket);
        }
        entry::asked(&mut entry, &case.request, &case.pseudonyms);
        entry
    }

    fn seal_break_glass_reason(
        &self,
        entry: &mut StoredEntry,
        case: &Case,
    ) -> Result<(), GateError> {
        if let Some(reason) = &case.request.break_glass {
            entry.break_glass_reason_sealed = self
                .keyring
                .log_text
                .seal(&entry.decision_id, reason.as_bytes())
                .map_err(|_| GateError::Internal("the reason could not be sealed"))?;
        }
        Ok(())
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
                    window: limit.window,
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

    fn take_back(&self, ready: &[Ready], entries: &[StoredEntry]) {
        for (one, entry) in ready.iter().zip(entries) {
            if let ReadyOutcome::Decided { charges, .. } = &one.outcome {
                self.counters.release(&entry.person, charges);
            }
        }
    }

    /// A caller that is nobody, or not where it belongs: decided like any, but logged with a limit.
    async fn refuse_stranger(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        cases: &[Case],
        now: Timestamp,
    ) -> Result<Answers, GateError> {
        let Some(case) = cases.first() else {
            return Ok(Vec::new());
        };
        let facts = case.facts(caller, now);
        let verdict = decision::decide(rules, &facts, |_, _| LimitOutcome::Exceeded(usize::MAX));
        let code = match &verdict {
            Verdict::Deny(denial) => denial.reasons.first().map(|reason| reason.code),
            Verdict::Allow(_) => return Err(GateError::Internal("a stranger was allowed")),
        };
        let mut entry = self.who_and_what(peer, rules, caller, case, now);
        entry::decided(&mut entry, rules, verdict, Vec::new(), now);
        let key = (
            peer.certificate.fingerprint,
            code.map_or("", ReasonCode::name),
        );
        let count = u64::try_from(cases.len()).unwrap_or(u64::MAX);
        let (entry, receipt) = self.refusals.log(&self.log, key, entry, count).await?;
        Ok(cases
            .iter()
            .map(|_| Answer {
                entry: Arc::clone(&entry),
                index: receipt.index(),
                renewed_ticket: None,
                receipt,
            })
            .collect())
    }
}

/// Whether caller, network, two_step and person passed.
fn comes_in(verdict: &Verdict) -> bool {
    verdict
        .trace()
        .stages
        .iter()
        .filter(|stage| stage.stage <= Stage::Person)
        .all(|stage| stage.passed == Some(true))
}

/// The entry of a repeat: asked now, answered as the first was; charged and decided once.
fn repeat_of(first: &StoredEntry, asked: StoredEntry) -> StoredEntry {
    StoredEntry {
        repeat_of: first.decision_id.clone(),
        request_digest: first.request_digest.clone(),
        decision: first.decision,
        reasons: first.reasons.clone(),
        obligations: first.obligations.clone(),
        policy_revision: first.policy_revision.clone(),
        rule: first.rule.clone(),
        network: first.network.clone(),
        provision_route: first.provision_route.clone(),
        break_glass: first.break_glass,
        valid_until_us: first.valid_until_us,
        withheld_categories: first.withheld_categories.clone(),
        withheld_subjects: first.withheld_subjects.clone(),
        step_up: first.step_up.clone(),
        ..asked
    }
}

fn stored_charge(charge: &Charge, case: &Case) -> StoredCharge {
    StoredCharge {
        limit: charge.limit.to_string(),
        unnamed: charge.unnamed,
        named: charge
            .named
            .iter()
            .filter_map(|subject| case.pseudonyms.iter().position(|named| named == subject))
            .filter_map(|position| u32::try_from(position).ok())
            .collect(),
    }
}

fn answer(ready: Ready, entry: StoredEntry, receipt: Receipt, now: Timestamp) -> Answer {
    let (entry, index) = match ready.outcome {
        ReadyOutcome::Decided { guard, .. } => {
            if let Some(guard) = guard {
                guard.answered(receipt.index(), now);
            }
            (Arc::new(entry), receipt.index())
        }
        ReadyOutcome::Repeat { first, first_index } => (first, first_index),
    };
    Answer {
        entry,
        index,
        renewed_ticket: ready.renewed_ticket,
        receipt,
    }
}

impl Answer {
    /// Where this very call is in the log: for a repeat, not where the first is.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// Whether it allows.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.entry.decision == i32::from(crate::proto::Decision::Allow)
    }
}
