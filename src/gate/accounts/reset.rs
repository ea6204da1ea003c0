//! Taking a second factor away. No single person can: one administrator asks, another approves, neither being the one it is
//! for. Where an office has one administrator only, that one asks on the daemon's host, proves it by the keyring, and waits 24
//! hours; it stays marked until somebody reviewed it.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::rules::RuleSet;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::accounts::sessions::changing;
use crate::gate::admission::administers;
use crate::gate::changes::{PersonChange, StillWanted};
use crate::gate::peer::Peer;
use crate::gate::pending::{Pending, StillPending, Wish};
use crate::gate::records::log_holds::{Who, by_whom, reason_violations};
use crate::gate::running::start::own_entry;
use crate::gate::running::upkeep::Task;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredDeclined, StoredReset};

/// How long what one person did alone waits.
const ALONE_WAITS: Duration = Duration::from_hours(24);
/// How far the host's clock may be from the daemon's, and how long a proof is good.
const PROOF_AGE: Duration = Duration::from_mins(1);

/// What is asked for.
#[derive(Debug)]
pub struct ResetWish {
    /// Whose second factor.
    pub person: Name,
    /// Why: sealed in the log.
    pub reason: String,
    /// Another administrator's request.
    pub approve: Option<LogIndex>,
}

/// What is asked for on the host.
#[derive(Debug)]
pub struct HostResetWish {
    /// Whose second factor.
    pub person: Name,
    /// Why: sealed in the log.
    pub reason: String,
    /// When it was asked.
    pub at: Timestamp,
    /// That it was asked by whoever has the keyring.
    pub proof: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetOutcome {
    /// The entry of the reset, or of the request.
    pub index: LogIndex,
    /// Until when another administrator must approve.
    pub pending_until: Option<Timestamp>,
    /// When it is carried out, asked for by one person alone.
    pub effective: Option<Timestamp>,
}

/// A reset that waits, or that one person did alone and nobody reviewed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetSeen {
    /// The entry that asked.
    pub index: LogIndex,
    /// Whose second factor.
    pub person: Name,
    /// Who asked; `host` for one on the host.
    pub asked_by: Name,
    /// When.
    pub asked_at: Timestamp,
    /// Until when it can be approved; `None` for one that nobody approves.
    pub until: Option<Timestamp>,
    /// Alone: when it is carried out, or was.
    pub effective: Option<Timestamp>,
    /// Carried out.
    pub done: bool,
}

const CALL: &str = "ResetSecondFactor";

impl Gate {
    /// Asks for a reset, or approves what another administrator asked for.
    ///
    /// # Errors
    /// When nobody who administers asks, a field can't be taken, or the entry can't be written.
    pub async fn reset_second_factor(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ResetWish,
    ) -> Result<ResetOutcome, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let asker = administrator.admitted.person.id.clone();
        let mut violations = reason_violations(&wish.reason);
        if self.person(&wish.person).is_none() {
            violations.push(Violation::new("person", "is nobody who is known"));
        } else if wish.person == asker {
            let what = "is yourself: two other administrators reset it";
            violations.push(Violation::new("person", what));
        }
        let what = Wish::ResetSecondFactor {
            person: wish.person.clone(),
        };
        let mut asked_by = None;
        if let Some(id) = wish.approve {
            match self.to_approve(id, &asker, now).await? {
                Ok(pending)
                    if pending.wish == what && !self.administers_now(&rules, &pending.by, now) =>
                {
                    let what = "was asked for by somebody who administers no more: ask anew";
                    violations.push(Violation::new("approve", what));
                }
                Ok(pending) if pending.wish == what => asked_by = Some((id, pending.by)),
                Ok(_) => {
                    let what = "is a request for something else than the reset of this person";
                    violations.push(Violation::new("approve", what));
                }
                Err(violation) => violations.push(violation),
            }
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        }
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "of", &*wish.person);
        entry.free_text = wish.reason;
        let Some((request, first)) = asked_by else {
            entry::detail(&mut entry, "request", "reset-second-factor");
            let (index, until) = self.ask(entry, &what, &asker, None, now).await?;
            return Ok(ResetOutcome {
                index,
                pending_until: Some(until),
                effective: None,
            });
        };
        entry::detail(&mut entry, "change", "reset-second-factor");
        by_whom(&mut entry, Some(&first), Some(request));
        let index = self
            .carry_out_reset(entry, &wish.person, request, now)
            .await?;
        Ok(ResetOutcome {
            index,
            pending_until: None,
            effective: None,
        })
    }

    /// Asks for a reset on the daemon's host, where there is one administrator only.
    ///
    /// # Errors
    /// [`GateError::NotAuthorised`] where the configuration says otherwise or another administrator could be asked,
    /// [`GateError::NotGenuine`] for a proof that is not; when a field can't be taken, or the entry can't be written.
    pub async fn reset_on_host(
        self: &Arc<Self>,
        peer: &Peer,
        wish: HostResetWish,
    ) -> Result<ResetOutcome, GateError> {
        const CALL: &str = "ResetOnHost";
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        if !caller.is_at_home() || !caller.is_built_in {
            let error = GateError::Refused(ReasonCode::CallerMayNotActForPeople);
            return Err(self.refuse_call(peer, &caller, CALL, error, now).await);
        }
        let apart = now.since(wish.at).max(wish.at.since(now));
        let genuine = apart <= PROOF_AGE
            && self
                .keyring
                .host_proof
                .is_genuine(&wish.person, &wish.reason, wish.at, &wish.proof)
            && self.host_proofs.is_new(wish.at);
        if !genuine {
            return Err(self
                .refuse_call(peer, &caller, CALL, GateError::NotGenuine, now)
                .await);
        }
        let mut violations = reason_violations(&wish.reason);
        if self.person(&wish.person).is_none() {
            violations.push(Violation::new("person", "is nobody who is known"));
        }
        if !violations.is_empty() {
            let error = GateError::Malformed(violations);
            return Err(self.refuse_call(peer, &caller, CALL, error, now).await);
        }
        let others = self.administrators_besides(&rules, &wish.person, now);
        if !self.settings.small_office || others > 1 {
            let why = if self.settings.small_office {
                "there are other administrators: two of them reset it"
            } else {
                "the configuration names no small office: two administrators reset it"
            };
            let error = GateError::NotAuthorised(why);
            return Err(self.refuse_call(peer, &caller, CALL, error, now).await);
        }
        let effective = now.plus(ALONE_WAITS);
        let mut entry = entry::event(EntryKind::Administration, now, &caller, peer);
        entry::detail(&mut entry, "of", &*wish.person);
        entry::detail(&mut entry, "request", "reset-second-factor");
        entry::detail(&mut entry, "alone", "true");
        entry::detail(&mut entry, "effective", effective.to_string());
        entry.free_text = wish.reason;
        let what = Wish::ResetSecondFactor {
            person: wish.person.clone(),
        };
        let by = Name::parse("host").map_err(|_| GateError::Internal("a name"))?;
        let (index, _) = self.ask(entry, &what, &by, Some(effective), now).await?;
        Ok(ResetOutcome {
            index,
            pending_until: None,
            effective: Some(effective),
        })
    }

    /// Takes back a reset that was asked for.
    ///
    /// # Errors
    /// When nobody who administers asks, there is no such request, or the entry can't be written.
    pub async fn decline_reset(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        request: LogIndex,
        reason: String,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "DeclineReset";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut violations = reason_violations(&reason);
        let found = self
            .resets()
            .await?
            .into_iter()
            .find(|(pending, _)| pending.id == request && pending.waits(now));
        if found.is_none() {
            violations.push(Violation::new("pending", "is no reset that waits"));
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        }
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "change", "decline-reset");
        entry::detail(&mut entry, "request_entry", request.to_string());
        if let Some((_, person)) = &found {
            entry::detail(&mut entry, "of", &**person);
        }
        entry.free_text = reason;
        entry.change = changing(Kind::Decline(StoredDeclined { request: request.0 }));
        let still = StillPending(request);
        Ok(self.change(entry, still, |_| ()).await?.index())
    }

    /// Somebody who reviews looked at what one person did alone: it is marked no more.
    ///
    /// # Errors
    /// When nobody who reviews everything asks, it is their own, there is no such reset, or the entry can't be written.
    pub async fn review_reset(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        request: LogIndex,
        finding: String,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "ReviewReset";
        let rules = self.rules.load_full();
        let now = self.now();
        let reviewer = self
            .admitted_with(&rules, peer, credentials, CALL, now, Who::Reviewer)
            .await?;
        let mut violations = reason_violations(&finding);
        for violation in &mut violations {
            violation.field = "finding".to_owned();
        }
        let own = reviewer.admitted.person.id.clone();
        let found = self
            .resets()
            .await?
            .into_iter()
            .find(|(pending, _)| pending.id == request && pending.done);
        match &found {
            None => {
                let what = "is no reset that one person did alone and that waits for a review";
                violations.push(Violation::new("pending", what));
            }
            Some((_, person)) if *person == own => {
                let what = "is of your own second factor: nobody reviews that of theirs";
                violations.push(Violation::new("pending", what));
            }
            // Where there is one administrator only, the host was in their hands.
            Some(_) if self.administers_now(&rules, &own, now) => {
                let what = "was done with an administrator's means: somebody who doesn't administer reviews it";
                violations.push(Violation::new("pending", what));
            }
            Some(_) => {}
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &reviewer, CALL, violations, now)
                .await);
        }
        let mut entry = self.administrators_entry(EntryKind::Administration, peer, &reviewer, now);
        entry::detail(&mut entry, "change", "review-reset");
        entry::detail(&mut entry, "request_entry", request.to_string());
        if let Some((_, person)) = &found {
            entry::detail(&mut entry, "of", &**person);
        }
        entry.free_text = finding;
        entry.change = changing(Kind::Decline(StoredDeclined { request: request.0 }));
        let index = self
            .change(entry, StillDone(request), |_| ())
            .await?
            .index();
        self.carry_out_due_resets().await;
        Ok(index)
    }

    /// The resets that wait, and those that one person did alone and nobody reviewed.
    ///
    /// # Errors
    /// When nobody who administers asks, or the call can't be logged.
    pub async fn list_resets(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Vec<ResetSeen>, GateError> {
        const CALL: &str = "ListResets";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "call", CALL);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let seen = self.resets().await?.into_iter();
        Ok(seen
            .filter(|(pending, _)| pending.done || pending.waits(now))
            .map(|(pending, person)| ResetSeen {
                index: pending.id,
                person,
                asked_at: pending.until.minus(crate::gate::pending::WAITS),
                asked_by: pending.by,
                until: pending.effective.is_none().then_some(pending.until),
                effective: pending.effective,
                done: pending.done,
            })
            .collect())
    }

    /// Carries out what was asked for on the host and has waited long enough.
    pub async fn carry_out_due_resets(self: &Arc<Self>) {
        if let Err(error) = self.try_due_resets().await {
            tracing::warn!(%error, "a reset that is due could not be carried out");
        }
    }

    async fn try_due_resets(self: &Arc<Self>) -> Result<(), GateError> {
        let now = self.now();
        let resets = self.resets().await?;
        let unreviewed = resets.iter().filter(|(pending, _)| pending.done).count();
        let told = (unreviewed > 0).then(|| {
            format!("{unreviewed} resets of second factors were done by one person alone and nobody reviewed them")
        });
        self.upkeep.tell(Task::Review, told);
        for (pending, person) in resets {
            let due = pending.effective.is_some_and(|effective| effective <= now);
            if !due || pending.done {
                continue;
            }
            let mut entry = own_entry(EntryKind::Administration, now);
            entry::detail(&mut entry, "change", "reset-second-factor");
            entry::detail(&mut entry, "of", &*person);
            entry::detail(&mut entry, "asked_by", &*pending.by);
            entry::detail(&mut entry, "request_entry", pending.id.to_string());
            entry::detail(&mut entry, "alone", "true");
            self.carry_out_reset(entry, &person, pending.id, now)
                .await?;
        }
        Ok(())
    }

    async fn carry_out_reset(
        self: &Arc<Self>,
        entry: crate::proto::StoredEntry,
        person: &Name,
        request: LogIndex,
        now: Timestamp,
    ) -> Result<LogIndex, GateError> {
        let reset = Reset {
            person: person.clone(),
            request,
        };
        let of = person.clone();
        let apply = move |gate: &Self, epoch| {
            gate.raise_epoch(&of, epoch, now);
            gate.let_in(&of);
        };
        Ok(self.change_epoch(entry, reset, apply).await?.index())
    }

    async fn resets(&self) -> Result<Vec<(Pending, Name)>, GateError> {
        let resets = self.requests().await?.into_iter();
        Ok(resets
            .filter_map(|pending| match &pending.wish {
                Wish::ResetSecondFactor { person } => {
                    let person = person.clone();
                    Some((pending, person))
                }
                Wish::Dispose { .. } | Wish::ReleaseLogHold { .. } => None,
            })
            .collect())
    }

    fn administers_now(&self, rules: &RuleSet, person: &Name, now: Timestamp) -> bool {
        self.person(person).is_some_and(|one| {
            administers(rules, &one, now)
                && !one.disabled
                && !one.has_ended(now)
                && !one.is_on_leave(now)
        })
    }

    /// How many administrators may log in at `now`, `person` not counted.
    fn administrators_besides(&self, rules: &RuleSet, person: &Name, now: Timestamp) -> usize {
        self.people
            .load()
            .values()
            .filter(|one| one.id != *person && administers(rules, one, now))
            .filter(|one| !one.disabled && !one.has_ended(now) && !one.is_on_leave(now))
            .count()
    }
}

/// A reset, for a person and after a request.
struct Reset {
    person: Name,
    request: LogIndex,
}

impl PersonChange for Reset {
    fn of(&self) -> &Name {
        &self.person
    }

    fn change(&self, epoch: u64) -> Kind {
        Kind::ResetSecondFactor(StoredReset {
            person: self.person.to_string(),
            epoch,
            settles: self.request.0,
        })
    }

    async fn look(&self, gate: &Gate) -> Result<(), GateError> {
        StillPending(self.request).look(gate).await
    }
}

/// Nobody reviewed it meanwhile.
struct StillDone(LogIndex);

impl StillWanted for StillDone {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let kept = gate.requests().await?;
        if kept.iter().any(|one| one.id == self.0 && one.done) {
            return Ok(());
        }
        Err(GateError::NotFound("it was reviewed meanwhile"))
    }
}

/// Proofs of the host are good once: each is later than every one before.
#[derive(Debug, Default)]
pub(in crate::gate) struct HostProofs(std::sync::Mutex<Timestamp>);

impl HostProofs {
    fn is_new(&self, at: Timestamp) -> bool {
        let mut latest = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = at > *latest;
        *latest = at.max(*latest);
        new
    }
}
