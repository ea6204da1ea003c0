//! What waits for a second administrator, of every kind: seen, declined; and what one person did alone, reviewed. How each is asked
//! for and approved is where it is done.

use std::sync::Arc;

use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::accounts::sessions::changing;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::pending::{ALONE_WAITS, Pending, RequestKind, StillPending};
use crate::gate::records::log_holds::{Who, reason_violations};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::EntryKind;
use crate::proto::StoredDeclined;
use crate::proto::stored_change::Kind;

/// A request that waits, or that one person carried out alone and nobody reviewed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSeen {
    /// The entry that asked.
    pub index: LogIndex,
    /// What was asked for.
    pub kind: RequestKind,
    /// For whom; nobody for what is of the log.
    pub people: Vec<Name>,
    /// Who asked; `host` for a reset on the host.
    pub asked_by: Name,
    /// When.
    pub asked_at: Timestamp,
    /// Until when it can be approved; `None` for one that nobody approves.
    pub until: Option<Timestamp>,
    /// Alone: when it is carried out, or was, or from when on it can be.
    pub effective: Option<Timestamp>,
    /// Carried out.
    pub done: bool,
}

impl RequestSeen {
    /// As it is at `now`.
    fn of(pending: Pending, now: Timestamp) -> Self {
        // What waits on the host waits for as long as the daemon serves.
        let effective = match pending.effective {
            Some(_) if pending.is_on_host() && !pending.done => {
                Some(now.plus(ALONE_WAITS.saturating_sub(pending.waited)))
            }
            other => other,
        };
        Self {
            index: pending.id,
            kind: pending.wish.kind(),
            people: pending.wish.people().to_vec(),
            until: (!pending.is_on_host()).then_some(pending.until),
            asked_by: pending.by,
            asked_at: pending.asked,
            effective,
            done: pending.done,
        }
    }
}

/// Which requests a call is about.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// The call, as the log names it.
    pub call: &'static str,
    /// What is done, as entries of changes name it.
    pub change: &'static str,
    /// Of one kind only.
    pub only: Option<RequestKind>,
}

impl Which {
    fn is(self, pending: &Pending) -> bool {
        self.only.is_none_or(|only| pending.wish.kind() == only)
    }

    /// As errors name them.
    const fn name(self) -> &'static str {
        match self.only {
            Some(RequestKind::ResetSecondFactor) => "reset",
            _ => "request",
        }
    }
}

impl Gate {
    /// Takes back what was asked for and not carried out yet.
    ///
    /// # Errors
    /// When nobody who administers asks, there is no such request, or the entry can't be written.
    pub async fn decline_request(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        which: Which,
        (request, reason): (LogIndex, String),
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let call = which.call;
        let administrator = self
            .administrator(&rules, peer, credentials, call, now)
            .await?;
        let mut violations = reason_violations(&reason);
        let mut all = self.requests().await?.into_iter();
        let found = all.find(|one| one.id == request && which.is(one) && one.waits(now));
        if found.is_none() {
            let what = format!("is no {} that waits", which.name());
            violations.push(Violation::new("pending", what));
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, call, violations, now)
                .await);
        }
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "change", which.change);
        entry::detail(&mut entry, "request_entry", request.to_string());
        if let Some(found) = &found {
            tell(&mut entry, found);
        }
        entry.free_text = reason;
        entry.change = changing(Kind::Decline(StoredDeclined { request: request.0 }));
        let still = StillPending(request);
        Ok(self.change(entry, still, |_| ()).await?.index())
    }

    /// Somebody who reviews looked at what one person did alone: it is marked no more.
    ///
    /// # Errors
    /// When nobody who reviews everything asks, it is their own, there is no such request, or the entry can't be written.
    pub async fn review_request(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        which: Which,
        (request, finding): (LogIndex, String),
    ) -> Result<LogIndex, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let call = which.call;
        let reviewer = self
            .admitted_with(&rules, peer, credentials, call, now, Who::Reviewer)
            .await?;
        let mut violations = reason_violations(&finding);
        for violation in &mut violations {
            violation.field = "finding".to_owned();
        }
        let own = reviewer.admitted.person.id.clone();
        let mut done = self.requests().await?;
        done.retain(|one| one.done);
        let found = done.iter().find(|one| one.id == request && which.is(one));
        let why_not = match found {
            None => Some(format!(
                "is no {} that one person did alone and that waits for a review",
                which.name()
            )),
            Some(found) if found.by == own => {
                Some("is your own: nobody reviews what they did".to_owned())
            }
            // Where there is one administrator only, the host was in their hands.
            Some(_) if self.administers_now(&rules, &own, now) => {
                let what = "was done with an administrator's means: somebody who doesn't administer reviews it";
                Some(what.to_owned())
            }
            // Whoever did it alone may be this person too, through whichever daemon.
            Some(_) => self
                .done_alone()
                .await?
                .iter()
                .find(|one| one.wish.people().contains(&own))
                .map(|one| match one.wish.kind() {
                    RequestKind::ResetSecondFactor if one.id == request => {
                        "is of your own second factor: nobody reviews that of theirs".to_owned()
                    }
                    _ => format!(
                        "can't be reviewed by you: of your own account one person did something alone (request {}), which nobody reviewed yet",
                        one.id
                    ),
                }),
        };
        violations.extend(why_not.map(|what| Violation::new("pending", what)));
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &reviewer, call, violations, now)
                .await);
        }
        let mut entry = self.administrators_entry(EntryKind::Administration, peer, &reviewer, now);
        entry::detail(&mut entry, "change", which.change);
        entry::detail(&mut entry, "request_entry", request.to_string());
        if let Some(found) = found {
            tell(&mut entry, found);
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

    /// The requests that wait, and those that one person carried out alone and nobody reviewed.
    ///
    /// # Errors
    /// When nobody who administers asks, or the call can't be logged.
    pub async fn list_requests(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        which: Which,
    ) -> Result<Vec<RequestSeen>, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let call = which.call;
        let administrator = self
            .administrator(&rules, peer, credentials, call, now)
            .await?;
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "call", call);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let seen = self.requests().await?.into_iter();
        Ok(seen
            .filter(|pending| which.is(pending) && (pending.done || pending.waits(now)))
            .map(|pending| RequestSeen::of(pending, now))
            .collect())
    }
}

fn tell(entry: &mut crate::proto::StoredEntry, pending: &Pending) {
    entry::detail(entry, "request", pending.wish.kind().name());
    let people: Vec<&str> = pending.wish.people().iter().map(|id| &**id).collect();
    if !people.is_empty() {
        // As many as a detail holds.
        entry::detail(entry, "of", people.join(" "));
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
