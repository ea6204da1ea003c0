//! Legal hold of the access log: while one lasts, nothing of its time is disposed of. Placed, seen and released by
//! administrators only.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::rules::RuleSet;
use crate::domain::access::TEXT_MAX_BYTES;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::admission::{Admitted, administers, reviews_all};
use crate::gate::changes::StillWanted;
use crate::gate::peer::{Caller, Peer};
use crate::gate::pending::{StillPending, Wish};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::{
    EntryKind, StoredChange, StoredEntry, StoredLogHold, StoredLogHoldRelease, stored_change,
};
use crate::store::LogHold;

/// How old the second step may be for what can't be undone.
pub(in crate::gate) const FRESH: Duration = Duration::from_mins(5);
/// How many holds of the log may be in force: each is looked at for each segment that is to go.
const HOLDS_MAX: usize = 1_000;
/// 1900-01-01 and 2200-12-31, in seconds since the epoch: a date outside is a slip of the pen.
pub(in crate::gate) const DATES: std::ops::RangeInclusive<i64> = -2_208_988_800..=7_289_654_399;

/// A hold to place.
#[derive(Debug)]
pub struct LogHoldPlace {
    /// Not before; `None` is from the beginning.
    pub from: Option<Timestamp>,
    /// Before; `None` is for ever.
    pub until: Option<Timestamp>,
    /// Why: sealed in the log.
    pub reason: String,
}

/// A hold to release.
#[derive(Debug)]
pub struct LogHoldRelease {
    /// Which: the entry that placed it.
    pub hold: LogIndex,
    /// Why: sealed in the log.
    pub reason: String,
    /// Another administrator's request for it.
    pub approve: Option<LogIndex>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHoldReleased {
    /// The entry of the release, or of the request for it.
    pub index: LogIndex,
    /// Until when another administrator must approve; `None` when it is released.
    pub pending_until: Option<Timestamp>,
}

/// A hold as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHoldSeen {
    /// Which, and for which time.
    pub hold: LogHold,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: Timestamp,
}

/// An administrator whose second step is fresh, and from where they call.
pub(in crate::gate) struct Administrator<'a> {
    pub(in crate::gate) caller: Caller<'a>,
    pub(in crate::gate) admitted: Admitted,
}

/// Who is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gate) enum Who {
    Administrator,
    /// Somebody who reviews everything.
    Reviewer,
}

impl Who {
    fn is(self, rules: &RuleSet, person: &Person, now: Timestamp) -> bool {
        match self {
            Self::Administrator => administers(rules, person, now),
            Self::Reviewer => reviews_all(rules, person, now),
        }
    }

    const fn missing(self) -> &'static str {
        match self {
            Self::Administrator => "this needs an administrator",
            Self::Reviewer => "this needs somebody who reviews everything",
        }
    }
}

impl Gate {
    /// Admits an administrator whose second step is of the last five minutes; anyone else is refused.
    pub(in crate::gate) async fn administrator<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Administrator<'a>, GateError> {
        self.admitted_with(rules, peer, credentials, call, now, Who::Administrator)
            .await
    }

    /// Admits whoever is `wanted`, with a second step of the last five minutes; anyone else is refused.
    pub(in crate::gate) async fn admitted_with<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
        wanted: Who,
    ) -> Result<Administrator<'a>, GateError> {
        let caller = self.caller(rules, peer, now);
        if !self.is_fresh() {
            return Err(self
                .refuse_call(peer, &caller, call, GateError::Stale, now)
                .await);
        }
        let (admitted, ()) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, wanted.missing()),
                now,
                |person| wanted.is(rules, person, now).then_some(()),
            )
            .await?;
        let age = now.age_of(admitted.ticket.second_step);
        if age.is_some_and(|age| age <= FRESH) {
            return Ok(Administrator { caller, admitted });
        }
        let code = ReasonCode::StepUpRequired;
        let (refused, error) = (admitted.refused(code), GateError::Refused(code));
        Err(self
            .refuse_person(peer, &caller, call, refused, error, now)
            .await)
    }

    /// Refuses what an administrator asked for, with the fields that can't be taken.
    pub(in crate::gate) async fn refuse_administrator(
        &self,
        peer: &Peer,
        administrator: &Administrator<'_>,
        call: &'static str,
        violations: Vec<Violation>,
        now: Timestamp,
    ) -> GateError {
        let mut entry = self.administrators_entry(EntryKind::RefusedCall, peer, administrator, now);
        for violation in &violations {
            entry::detail(&mut entry, "why", violation.description.as_str());
        }
        let error = GateError::Malformed(violations);
        self.refuse(peer, &administrator.caller, entry, call, error)
            .await
    }

    /// An entry of what an administrator does; a use of their session.
    pub(in crate::gate) fn administrators_entry(
        &self,
        kind: EntryKind,
        peer: &Peer,
        administrator: &Administrator<'_>,
        now: Timestamp,
    ) -> StoredEntry {
        let Administrator { caller, admitted } = administrator;
        let mut entry = entry::event(kind, now, caller, peer);
        entry::acted_by(&mut entry, &admitted.person);
        entry::in_session(&mut entry, &admitted.ticket);
        entry.client_ip = admitted.client_ip.to_string();
        self.sessions.used(admitted.ticket.session, now);
        entry.session_used = true;
        entry
    }

    /// Places a hold. From the answer on nothing of its time is disposed of.
    ///
    /// # Errors
    /// When nobody who administers asks, a field can't be taken, or the entry can't be written.
    pub async fn place_log_hold(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        place: LogHoldPlace,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "PlaceLogHold";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut violations = reason_violations(&place.reason);
        for (field, at) in [("from", place.from), ("until", place.until)] {
            if at.is_some_and(|at| !DATES.contains(&at.seconds())) {
                violations.push(Violation::new(field, "must be from 1900 to 2200"));
            }
        }
        if let (Some(from), Some(until)) = (place.from, place.until)
            && until <= from
        {
            violations.push(Violation::new("until", "is not after from"));
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &administrator, CALL, violations, now)
                .await);
        }
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "change", "place-log-hold");
        for (key, at) in [("from", place.from), ("until", place.until)] {
            if let Some(at) = at {
                entry::detail(&mut entry, key, at.to_string());
            }
        }
        entry.free_text = place.reason;
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::PlaceLogHold(StoredLogHold {
                from_us: place.from.map(Timestamp::micros),
                until_us: place.until.map(Timestamp::micros),
            })),
        });
        Ok(self.change(entry, RoomForOne, |_| ()).await?.index())
    }

    /// Releases a hold; where two are needed, the first call only asks for it.
    ///
    /// # Errors
    /// As for [`Self::place_log_hold`], and when there is no such hold, or no such request to approve.
    pub async fn release_log_hold(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        release: LogHoldRelease,
    ) -> Result<LogHoldReleased, GateError> {
        const CALL: &str = "ReleaseLogHold";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let person = administrator.admitted.person.id.clone();
        let mut violations = reason_violations(&release.reason);
        let holds = self.store.log_holds().await?;
        if !holds.iter().any(|hold| hold.id == release.hold) {
            violations.push(Violation::new("hold", "is no hold that is in force"));
        }
        let wish = Wish::ReleaseLogHold { hold: release.hold };
        let mut asked_by = None;
        if let Some(id) = release.approve {
            match self.to_approve(&rules, id, &person, now).await? {
                Ok(pending) if pending.wish == wish => asked_by = Some(pending.by),
                Ok(_) => {
                    let what = "is a request for something else than the release of this hold";
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
        entry::detail(&mut entry, "hold", release.hold.to_string());
        entry.free_text = release.reason;
        if self.settings.dispose_needs_two && asked_by.is_none() {
            entry::detail(&mut entry, "request", "release-log-hold");
            let (index, until) = self.ask(entry, &wish, &person, None, now).await?;
            return Ok(LogHoldReleased {
                index,
                pending_until: Some(until),
            });
        }
        entry::detail(&mut entry, "change", "release-log-hold");
        by_whom(&mut entry, asked_by.as_ref(), release.approve);
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::ReleaseLogHold(StoredLogHoldRelease {
                hold: release.hold.0,
                settles: release.approve.map(|request| request.0),
            })),
        });
        let still = (StillHeld(release.hold), release.approve.map(StillPending));
        let receipt = self.change(entry, still, |_| ()).await?;
        Ok(LogHoldReleased {
            index: receipt.index(),
            pending_until: None,
        })
    }

    /// The holds in force.
    ///
    /// # Errors
    /// When nobody who administers asks, or the call can't be logged.
    pub async fn list_log_holds(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Vec<LogHoldSeen>, GateError> {
        const CALL: &str = "ListLogHolds";
        let rules = self.rules.load_full();
        let now = self.now();
        let administrator = self
            .administrator(&rules, peer, credentials, CALL, now)
            .await?;
        let mut entry =
            self.administrators_entry(EntryKind::Administration, peer, &administrator, now);
        entry::detail(&mut entry, "call", CALL);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let mut seen = Vec::new();
        for hold in self.store.log_holds().await? {
            let placed = self.entry_at(hold.id).await?;
            seen.push(LogHoldSeen {
                hold,
                reason: placed.free_text,
                placed_by: placed.person,
                placed_at: Timestamp::from_micros(placed.time_us),
            });
        }
        Ok(seen)
    }
}

/// Says who asked for what another approved, or that one did it alone.
pub(in crate::gate) fn by_whom(
    entry: &mut StoredEntry,
    asked_by: Option<&Name>,
    approved: Option<LogIndex>,
) {
    let person = entry.person.clone();
    match (asked_by, approved) {
        (Some(asked_by), Some(request)) => {
            entry::detail(entry, "asked_by", &**asked_by);
            entry::detail(entry, "approved_by", person);
            entry::detail(entry, "request_entry", request.to_string());
        }
        _ => {
            entry::detail(entry, "asked_by", person);
            entry::detail(entry, "alone", "true");
        }
    }
}

pub(in crate::gate) fn reason_violations(reason: &str) -> Vec<Violation> {
    let what = if reason.trim().is_empty() {
        "is missing"
    } else if reason.len() > TEXT_MAX_BYTES {
        "is over 2,048 bytes"
    } else {
        return Vec::new();
    };
    vec![Violation::new("reason", what)]
}

/// There is room for one hold more.
struct RoomForOne;

impl StillWanted for RoomForOne {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.store.log_holds().await?.len() < HOLDS_MAX {
            return Ok(());
        }
        Err(GateError::TooLarge(format!(
            "{HOLDS_MAX} holds of the log are in force: release one first"
        )))
    }
}

/// The hold has not been released meanwhile.
struct StillHeld(LogIndex);

impl StillWanted for StillHeld {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let holds = gate.store.log_holds().await?;
        if holds.iter().any(|hold| hold.id == self.0) {
            return Ok(());
        }
        Err(GateError::NotFound("the hold was released meanwhile"))
    }
}
