//! Taking a second factor away. No single person can: one administrator asks, another approves, neither being the one it is
//! for. Where an office has one administrator only, that one asks on the daemon's host, proves it by the keyring, and waits until
//! the daemon has served for 24 hours, whatever its wall clock says; it stays marked until somebody reviewed it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::decision::rules::RuleSet;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::accounts::sessions::changing;
use crate::gate::admission::administers;
use crate::gate::changes::{PersonChange, StillWanted as _};
use crate::gate::peer::Peer;
use crate::gate::pending::{ALONE_WAITS, StillPending, Wish};
use crate::gate::records::log_holds::{by_whom, reason_violations};
use crate::gate::running::start::own_entry;
use crate::gate::running::upkeep::Task;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredDeclined, StoredReset};

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
    /// When it is carried out at the earliest, asked for by one person alone.
    pub effective: Option<Timestamp>,
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
        let factor = self.store.second_factor_of(&wish.person).await?;
        let what = Wish::ResetSecondFactor {
            person: wish.person.clone(),
            factor,
        };
        let mut asked_by = None;
        if let Some(id) = wish.approve.filter(|_| wish.person != asker) {
            match self.to_approve(&rules, id, &asker, now).await? {
                Ok(pending) if pending.wish == what => asked_by = Some((id, pending.by)),
                Ok(pending) => {
                    let newer = matches!(
                        &pending.wish,
                        Wish::ResetSecondFactor { person, .. } if *person == wish.person
                    );
                    let what = if newer {
                        "is of another second factor than the person has now: ask anew"
                    } else {
                        "is a request for something else than the reset of this person"
                    };
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
            .carry_out_reset(entry, (&wish.person, factor), request, now)
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
        // What was served before it was asked for does not count for it.
        self.count_waits().await?;
        let effective = now.plus(ALONE_WAITS);
        let mut entry = entry::event(EntryKind::Administration, now, &caller, peer);
        entry::detail(&mut entry, "of", &*wish.person);
        entry::detail(&mut entry, "request", "reset-second-factor");
        entry::detail(&mut entry, "alone", "true");
        entry::detail(&mut entry, "effective", effective.to_string());
        entry.free_text = wish.reason;
        let what = Wish::ResetSecondFactor {
            person: wish.person.clone(),
            factor: self.store.second_factor_of(&wish.person).await?,
        };
        let by = Name::parse("host").map_err(|_| GateError::Internal("a name"))?;
        let (index, _) = self.ask(entry, &what, &by, Some(effective), now).await?;
        Ok(ResetOutcome {
            index,
            pending_until: None,
            effective: Some(effective),
        })
    }

    /// Carries out what was asked for on the host and has waited long enough.
    pub async fn carry_out_due_resets(self: &Arc<Self>) {
        if let Err(error) = self.try_due_resets().await {
            tracing::warn!(%error, "a reset that is due could not be carried out");
        }
    }

    async fn try_due_resets(self: &Arc<Self>) -> Result<(), GateError> {
        let now = self.now();
        self.count_waits().await?;
        let requests = self.requests().await?;
        let unreviewed = requests.iter().filter(|pending| pending.done).count();
        let told = (unreviewed > 0).then(|| {
            format!("{unreviewed} requests that take two administrators were carried out by one person alone and nobody reviewed them")
        });
        self.upkeep.tell(Task::Review, told);
        for pending in requests {
            let due = pending.is_on_host() && pending.waited >= ALONE_WAITS;
            let Wish::ResetSecondFactor { person, factor } = &pending.wish else {
                continue;
            };
            if !due || pending.done {
                continue;
            }
            let mut entry = own_entry(EntryKind::Administration, now);
            entry::detail(&mut entry, "of", &**person);
            entry::detail(&mut entry, "asked_by", &*pending.by);
            entry::detail(&mut entry, "request_entry", pending.id.to_string());
            if self.store.second_factor_of(person).await? != *factor {
                // Enrolled or taken away since: what is there now was not meant.
                entry::detail(&mut entry, "change", "decline-reset");
                entry::detail(
                    &mut entry,
                    "why",
                    "the person has another second factor by now",
                );
                entry.change = changing(Kind::Decline(StoredDeclined {
                    request: pending.id.0,
                }));
                self.change(entry, StillPending(pending.id), |_| ()).await?;
                continue;
            }
            entry::detail(&mut entry, "change", "reset-second-factor");
            entry::detail(&mut entry, "alone", "true");
            self.carry_out_reset(entry, (person, *factor), pending.id, now)
                .await?;
        }
        Ok(())
    }

    /// Notes for how long the daemon has served since this was last called, by a clock that nobody sets: a restart, and whatever
    /// was not noted, lengthens a wait and never shortens it.
    async fn count_waits(&self) -> Result<(), GateError> {
        let mut counted = self.waits_counted.lock().await;
        let steady = self.clock.steady();
        let by = steady.saturating_sub(*counted);
        *counted = steady;
        Ok(self.store.count_waits(by).await?)
    }

    async fn carry_out_reset(
        self: &Arc<Self>,
        entry: crate::proto::StoredEntry,
        (person, factor): (&Name, Option<Uuid>),
        request: LogIndex,
        now: Timestamp,
    ) -> Result<LogIndex, GateError> {
        let reset = Reset {
            person: person.clone(),
            factor,
            request,
        };
        let of = person.clone();
        let apply = move |gate: &Self, epoch| {
            gate.raise_epoch(&of, epoch, now);
            gate.let_in(&of);
        };
        Ok(self.change_epoch(entry, reset, apply).await?.index())
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
    factor: Option<Uuid>,
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
            factor: Some(
                self.factor
                    .map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            ),
        })
    }

    async fn look(&self, gate: &Gate) -> Result<(), GateError> {
        StillPending(self.request).look(gate).await?;
        if gate.store.second_factor_of(&self.person).await? == self.factor {
            return Ok(());
        }
        Err(GateError::NotFound(
            "the person enrolled another second factor meanwhile",
        ))
    }
}

/// How many proofs are remembered. Only whoever has the keyring makes any.
const PROOFS_MAX: usize = 1_000;

/// Proofs of the host are good once. By their moments and not by the latest: a clock that was ahead once must not refuse all that
/// come after it was set right.
#[derive(Debug, Default)]
pub(in crate::gate) struct HostProofs(std::sync::Mutex<BTreeSet<Timestamp>>);

impl HostProofs {
    fn is_new(&self, at: Timestamp) -> bool {
        let mut used = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = used.insert(at);
        if used.len() > PROOFS_MAX {
            used.pop_first();
        }
        new
    }
}
