//! The use case that the rest is for: may this access take place? Facts are gathered, `decision` decides, the entry is made
//! durable, and only then is there an answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::case::Case;
use super::counters::Charge;
use super::outcome::stored_charge;
use super::peer::{Caller, Peer};
use super::repeats::{Guard, Key, Known};
use super::{Gate, GateError, Violation, entry};
use crate::decision::rules::RuleSet;
use crate::decision::{ObligationKind, Verdict};
use crate::domain::access::{AccessRequest, TicketText};
use crate::domain::ids::LogIndex;
use crate::domain::reason::{ReasonCode, Stage};
use crate::domain::time::Timestamp;
use crate::log::{AppendError, Appending, Receipt};
use crate::proto::{EntryKind, StoredEntry};

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
    pub(super) receipt: Receipt,
}

/// The answers to a batch, in its order.
pub type Answers = Vec<Answer>;

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
    /// Without a request id, from a service at home, all is decided and queued before this returns: what is awaited is small,
    /// and only for the disk.
    ///
    /// # Errors
    /// When the request can't be taken, or no entry can be made durable; then nothing was allowed.
    pub fn check<'a>(
        self: &'a Arc<Self>,
        peer: &'a Peer,
        request: AccessRequest,
    ) -> impl Future<Output = Result<Answer, GateError>> + Send + 'a {
        let quick = self.quick(peer, request);
        async move {
            let mut answers = match quick {
                Quick::Queued(queued) => self.finish(queued).await?,
                Quick::Slow(requests) => Box::pin(self.check_batch(peer, requests)).await?,
                Quick::Failed(error @ GateError::Log(AppendError::TooLarge { .. })) => {
                    return Err(Box::pin(self.refuse_unheard(peer, "Check", error)).await);
                }
                Quick::Failed(error) => return Err(error),
            };
            match (answers.pop(), answers.is_empty()) {
                (Some(answer), true) => Ok(answer),
                _ => Err(GateError::Internal("one check, but not one answer")),
            }
        }
    }

    /// One request that waits for nothing but the disk; any other goes the long way.
    fn quick(&self, peer: &Peer, request: AccessRequest) -> Quick {
        let rules = self.rules.load();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        if request.request_id.is_some() || !caller.is_at_home() || !self.is_fresh() {
            return Quick::Slow(vec![request]);
        }
        let case = self.case(&rules, &caller, request, now);
        let decided = self.decide_case(&rules, &caller, &case, false, now);
        let queued = self
            .conclude(peer, &rules, &caller, case, decided, None, now)
            .and_then(|(ready, entry)| Ok(self.queue(vec![ready], vec![entry], now)?));
        match queued {
            Ok(queued) => Quick::Queued(queued),
            Err(error) => Quick::Failed(error),
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
        // A caller that hangs up and asks again under the same id gets this answer, and what is counted on the way needs its
        // entry: it must come to be without them.
        let (gate, peer) = (Arc::clone(self), peer.clone());
        tokio::spawn(async move { gate.decide_all(&peer, requests).await })
            .await
            .unwrap_or(Err(GateError::Internal("a check ended early")))
    }

    async fn decide_all(
        self: &Arc<Self>,
        peer: &Peer,
        mut requests: Vec<AccessRequest>,
    ) -> Result<Answers, GateError> {
        loop {
            match self.try_all(peer, requests).await? {
                Tried::Answered(answers) => return Ok(answers),
                Tried::WaitFor(mut first, again) => {
                    requests = again;
                    // Ends in an error when the first is through: its sender is dropped, whatever came of it. Then the clock
                    // is read again, and every fact gathered anew.
                    while first.changed().await.is_ok() {}
                }
                Tried::Stranger(code, mut requests) => {
                    let count = u64::try_from(requests.len()).unwrap_or(u64::MAX);
                    requests.truncate(1);
                    return self
                        .refuse_stranger(peer, requests.pop(), code, count)
                        .await;
                }
            }
        }
    }

    async fn try_all(
        self: &Arc<Self>,
        peer: &Peer,
        requests: Vec<AccessRequest>,
    ) -> Result<Tried, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        if let Some(code) = caller.stranger() {
            return Ok(Tried::Stranger(code, requests));
        }
        let call = match requests.len() {
            1 => "Check",
            _ => "BatchCheck",
        };
        if !self.is_fresh() {
            let error = GateError::Stale;
            return Err(self.refuse_call(peer, &caller, call, error, now).await);
        }
        let mut pace = Pace::default();
        let mut cases = Vec::with_capacity(requests.len());
        for request in requests {
            let people = Pace::people(&request);
            cases.push(self.case(&rules, &caller, request, now));
            pace.after(people).await;
        }
        let known = match self
            .take_request_ids(peer, &caller, call, &cases, now)
            .await?
        {
            Ok(known) => known,
            Err(first) => {
                let requests = cases.into_iter().map(|case| case.request).collect();
                return Ok(Tried::WaitFor(first, requests));
            }
        };
        let mut ready = Vec::with_capacity(cases.len());
        let mut entries = Vec::with_capacity(cases.len());
        for (case, known) in cases.into_iter().zip(known) {
            let people = Pace::people(&case.request);
            match self.prepare(peer, &rules, &caller, case, known, now).await {
                Ok((one, entry)) => {
                    ready.push(one);
                    entries.push(entry);
                }
                Err(error) => {
                    self.take_back(&ready, &entries);
                    return Err(error);
                }
            }
            pace.after(people).await;
        }
        match self.queue(ready, entries, now) {
            Ok(queued) => Ok(Tried::Answered(self.finish(queued).await?)),
            Err(error @ AppendError::TooLarge { .. }) => Err(self
                .refuse_call(peer, &caller, call, error.into(), now)
                .await),
            Err(error) => Err(error.into()),
        }
    }

    /// Queues the entries of a call; what can't be queued is taken back.
    fn queue(
        &self,
        ready: Vec<Ready>,
        entries: Vec<StoredEntry>,
        now: Timestamp,
    ) -> Result<Queued, AppendError> {
        match self.log.append(&entries) {
            Ok(appending) => Ok(Queued {
                appending,
                ready,
                entries,
                now,
            }),
            Err(error) => {
                self.take_back(&ready, &entries);
                Err(error)
            }
        }
    }

    /// Nobody waits any more; holds the request ids and counts of a call until it is known whether its entries were written.
    async fn finish_late(&self, late: Queued) {
        match late.appending.without_deadline().await {
            Ok(receipts) => {
                self.count_all_for_coming(&late.entries, receipts);
                for (ready, receipt) in late.ready.into_iter().zip(receipts.iter()) {
                    if let ReadyOutcome::Decided {
                        guard: Some(guard), ..
                    } = ready.outcome
                    {
                        guard.answered(receipt.index(), late.now);
                    }
                }
            }
            Err(_) => self.take_back(&late.ready, &late.entries),
        }
    }

    /// Waits until the entries are durable: only then are there answers.
    async fn finish(self: &Arc<Self>, queued: Queued) -> Result<Answers, GateError> {
        let Queued {
            mut appending,
            ready,
            entries,
            now,
        } = queued;
        let receipts = match (&mut appending).await {
            Ok(receipts) => receipts,
            Err(AppendError::Deadline) => {
                // The entries may still be written, and then they say that this was counted and under which request ids.
                let gate = Arc::clone(self);
                let late = Queued {
                    appending,
                    ready,
                    entries,
                    now,
                };
                tokio::spawn(async move { gate.finish_late(late).await });
                return Err(AppendError::Deadline.into());
            }
            Err(error) => {
                self.take_back(&ready, &entries);
                return Err(error.into());
            }
        };
        if receipts.len() != ready.len() {
            return Err(GateError::Internal("not one receipt for each entry"));
        }
        self.count_all_for_coming(&entries, receipts);
        Ok(ready
            .into_iter()
            .zip(entries)
            .zip(receipts.iter())
            .map(|((ready, entry), receipt)| answer(ready, entry, receipt, now))
            .collect())
    }

    /// Takes every request id, or none: waiting with one in hand for another's could wait for ever. `Err` is what to wait for.
    async fn take_request_ids(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        call: &'static str,
        cases: &[Case],
        now: Timestamp,
    ) -> Result<Result<Vec<Option<Known>>, watch::Receiver<()>>, GateError> {
        let mut all = Vec::with_capacity(cases.len());
        let mut used = Vec::new();
        let mut of_this_call = HashSet::new();
        for (position, case) in cases.iter().enumerate() {
            let Some(id) = case.request.request_id.as_deref() else {
                all.push(None);
                continue;
            };
            if !of_this_call.insert(id) {
                // Waiting for oneself would last for ever.
                let field = format!("items[{position}].request_id");
                used.push(Violation::new(field, "is that of another item too"));
                continue;
            }
            let known = self
                .repeats
                .begin(Key::of(caller.id, id), case.content(), now);
            match known {
                Known::OtherContent => {
                    let field = match cases.len() {
                        1 => "request_id".to_owned(),
                        _ => format!("items[{position}].request_id"),
                    };
                    let what =
                        "was used within the last ten minutes for another request: use a new one";
                    used.push(Violation::new(field, what));
                }
                Known::Full => {
                    let busy = GateError::Busy {
                        what: "too many request ids within ten minutes",
                        retry_after: Duration::from_secs(10),
                    };
                    return Err(self.refuse_call(peer, caller, call, busy, now).await);
                }
                Known::InFlight(first) => return Ok(Err(first)),
                known @ (Known::First(_) | Known::Answered(_)) => all.push(Some(known)),
            }
        }
        if used.is_empty() {
            return Ok(Ok(all));
        }
        drop(all);
        let error = GateError::Malformed(used);
        Err(self.refuse_call(peer, caller, call, error, now).await)
    }

    async fn prepare(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: Case,
        known: Option<Known>,
        now: Timestamp,
    ) -> Result<(Ready, StoredEntry), GateError> {
        let repeats = matches!(known, Some(Known::Answered(_)));
        let decided = self.decide_case(rules, caller, &case, repeats, now);
        match known {
            Some(Known::Answered(first_index)) if comes_in(&decided.0) => {
                let renewed_ticket = self.renewed(rules, &case, &decided.0, now);
                let mut entry = self.who_and_what(peer, rules, caller, case, now)?;
                entry.session_used = true;
                self.repeat(peer, caller, entry, first_index, renewed_ticket, now)
                    .await
            }
            Some(Known::First(guard)) => {
                self.conclude(peer, rules, caller, case, decided, Some(guard), now)
            }
            _ => self.conclude(peer, rules, caller, case, decided, None, now),
        }
    }

    /// The ticket, renewed where it is due, when the person came in; that is a use of the session.
    fn renewed(
        &self,
        rules: &RuleSet,
        case: &Case,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Option<TicketText> {
        let ticket = case.opened.ticket.as_ref().filter(|_| comes_in(verdict))?;
        self.use_session(rules, ticket, now)
    }

    /// A decision's entry, and what is to be done once it is durable.
    #[allow(clippy::too_many_arguments)] // each of them is a different thing, and a struct for one call would only hide it
    fn conclude(
        &self,
        peer: &Peer,
        rules: &RuleSet,
        caller: &Caller<'_>,
        case: Case,
        (verdict, charges): (Verdict, Vec<Charge>),
        guard: Option<Guard>,
        now: Timestamp,
    ) -> Result<(Ready, StoredEntry), GateError> {
        let renewed_ticket = self.renewed(rules, &case, &verdict, now);
        let used = case.opened.ticket.is_some() && comes_in(&verdict);
        let ahead = case.opened.ahead;
        let digest = guard.as_ref().map(|guard| guard.content().to_vec());
        let stored = charges
            .iter()
            .map(|charge| stored_charge(charge, &case.pseudonyms))
            .collect();
        let recorded = recorded_people(&case, &verdict);
        let mut entry = self.who_and_what(peer, rules, caller, case, now)?;
        entry.session_used = used;
        entry.request_digest = digest.unwrap_or_default();
        if ahead {
            entry::detail(&mut entry, entry::CLOCK, entry::SET_BACK);
        }
        entry::decided(&mut entry, rules, verdict, stored, now);
        if let Some(record) = &mut entry.record {
            record.subject_refs = recorded;
        }
        let ready = Ready {
            renewed_ticket,
            outcome: ReadyOutcome::Decided { charges, guard },
        };
        Ok((ready, entry))
    }

    async fn repeat(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        mut entry: StoredEntry,
        first_index: LogIndex,
        renewed_ticket: Option<TicketText>,
        now: Timestamp,
    ) -> Result<(Ready, StoredEntry), GateError> {
        let first = self.entry_at(first_index).await?;
        // One of a time to come, since the clock was set back, holds for nobody knows how long.
        let ended = now.micros() > first.valid_until_us
            || Timestamp::from_micros(first.time_us).is_ahead_of(now);
        if first.decision == i32::from(crate::proto::Decision::Allow) && ended {
            entry.kind = EntryKind::RefusedCall.into();
            entry.repeat_of.clone_from(&first.decision_id);
            let error = GateError::AllowanceEnded;
            return Err(self.refuse(peer, caller, entry, "Check", error).await);
        }
        let entry = repeat_of(&first, entry);
        let outcome = ReadyOutcome::Repeat {
            first: Arc::new(first),
            first_index,
        };
        let ready = Ready {
            renewed_ticket,
            outcome,
        };
        Ok((ready, entry))
    }

    fn take_back(&self, ready: &[Ready], entries: &[StoredEntry]) {
        for (one, entry) in ready.iter().zip(entries) {
            if let ReadyOutcome::Decided { charges, .. } = &one.outcome {
                self.counters.release(&entry.person, charges);
            }
        }
    }
}

/// Entries on their way to the disk, with what is to be done once they are there.
struct Queued {
    appending: Appending,
    ready: Vec<Ready>,
    entries: Vec<StoredEntry>,
    now: Timestamp,
}

/// How far one request came without waiting.
enum Quick {
    Queued(Queued),
    /// It has to wait for more than the disk.
    Slow(Vec<AccessRequest>),
    Failed(GateError),
}

/// How far all requests of a call came.
enum Tried {
    Answered(Answers),
    /// A first under one of the request ids is in flight.
    WaitFor(watch::Receiver<()>, Vec<AccessRequest>),
    Stranger(ReasonCode, Vec<AccessRequest>),
}

/// Lets other calls have their turn while a long list is worked through.
#[derive(Default)]
struct Pace {
    people: usize,
}

impl Pace {
    const PEOPLE: usize = 500;

    fn people(request: &AccessRequest) -> usize {
        request.subjects.named().len() + request.categories.len()
    }

    async fn after(&mut self, people: usize) {
        self.people += people;
        if self.people >= Self::PEOPLE {
            self.people = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Whose data a record of provision is of: those that are not withheld, once each. Nobody where there is no record.
fn recorded_people(case: &Case, verdict: &Verdict) -> Vec<String> {
    let Verdict::Allow(permit) = verdict else {
        return Vec::new();
    };
    let records =
        |obligation: &ObligationKind| matches!(obligation, ObligationKind::ProvisionRecord(_));
    if !permit.obligations.iter().any(records) {
        return Vec::new();
    }
    let withheld: HashSet<usize> = permit
        .withheld_subjects
        .iter()
        .map(|withheld| withheld.position)
        .collect();
    let mut told = HashSet::new();
    let named = case.request.subjects.named().iter().enumerate();
    named
        .filter(|(position, subject)| !withheld.contains(position) && told.insert(subject.expose()))
        .map(|(_, subject)| subject.expose().to_owned())
        .collect()
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
        further_reasons: first.further_reasons.clone(),
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
