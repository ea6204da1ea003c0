//! What one administrator asked for and another has yet to approve. The entry that asks is durable, and the store keeps what it
//! asks for: a restart forgets nothing. Nothing secret is in it: what is drawn is drawn when it is carried out.
//!
//! In a small office where nobody could approve, who asked carries it out alone a day later; it stays marked until somebody
//! reviewed it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::admission::administers;
use super::changes::StillWanted;
use super::{Gate, GateError, Violation, entry};
use crate::decision::rules::RuleSet;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::proto::stored_request::What;
use crate::proto::{
    StoredChange, StoredDisposeWish, StoredEntry, StoredPeopleWish, StoredRequest, StoredResetWish,
    StoredTokenWish, stored_change,
};
use crate::store::{KeptRequest, StoreError};

/// How long an approval is waited for.
pub(super) const WAITS: Duration = Duration::from_hours(24);
/// How long what one person does alone waits.
pub(super) const ALONE_WAITS: Duration = Duration::from_hours(24);
/// How many of one kind wait at once that one person asked for: nobody keeps the others from asking.
const OF_ONE_MAX: usize = 10;
/// How many wait at once.
const ALL_MAX: usize = 1_000;

/// What is to be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Under the pack of this revision: another may keep entries for less time.
    Dispose {
        before: Timestamp,
        revision: [u8; 32],
    },
    ReleaseLogHold {
        hold: LogIndex,
    },
    ResetSecondFactor {
        person: Name,
        /// Which: a newer one is not meant.
        factor: Option<Uuid>,
    },
    /// What these people are to be: [`super::guarded::digest`].
    ChangePeople {
        people: Vec<Name>,
        digest: [u8; 32],
    },
    SetPassword {
        person: Name,
    },
    IssueEnrollmentCode {
        person: Name,
    },
    AssignToken {
        person: Name,
        serial: Name,
    },
    /// The pack of this revision.
    ActivatePolicy {
        revision: [u8; 32],
    },
}

/// The kind of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A disposal of the log.
    Dispose,
    /// The release of a hold of the log.
    ReleaseLogHold,
    /// That a second factor is taken away.
    ResetSecondFactor,
    /// That somebody watches over others.
    ChangePeople,
    /// A password that is drawn.
    SetPassword,
    /// A code for an enrolment.
    IssueEnrollmentCode,
    /// A hardware token.
    AssignToken,
    /// Another policy.
    ActivatePolicy,
}

impl RequestKind {
    /// As entries name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dispose => "dispose",
            Self::ReleaseLogHold => "release-log-hold",
            Self::ResetSecondFactor => "reset-second-factor",
            Self::ChangePeople => "change-people",
            Self::SetPassword => "set-password",
            Self::IssueEnrollmentCode => "issue-enrollment-code",
            Self::AssignToken => "assign-token",
            Self::ActivatePolicy => "activate-policy",
        }
    }
}

/// Asked for, and to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// The entry of the request: what is approved.
    pub request: LogIndex,
    /// Until when.
    pub until: Timestamp,
    /// From when on who asked may carry it out alone; `None` where another administrator approves.
    pub effective: Option<Timestamp>,
}

/// What came of a call that may take two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guarded<T> {
    /// It was done.
    Done {
        /// What came of it.
        what: T,
        /// It took two, and one did it alone: it stays marked until it was reviewed.
        alone: bool,
    },
    /// It was asked for.
    Awaited(Awaited),
}

/// Who has a say in what is asked for.
#[derive(Debug)]
pub(super) enum Decides {
    /// One administrator suffices.
    One,
    /// Another has to approve.
    Another,
    /// What was asked for is approved.
    Approved(Approval),
}

/// A request that is carried out.
#[derive(Debug, Clone)]
pub(super) struct Approval {
    pub(super) request: LogIndex,
    pub(super) asked_by: Name,
    /// Who carries it out.
    pub(super) own: Name,
    pub(super) wish: Wish,
    /// By who asked.
    pub(super) alone: bool,
}

impl Approval {
    /// Says who asked for it and who approved.
    pub(super) fn tell(&self, entry: &mut StoredEntry) {
        let person = entry.person.clone();
        entry::detail(entry, "asked_by", &*self.asked_by);
        if self.alone {
            entry::detail(entry, "alone", "true");
        } else {
            entry::detail(entry, "approved_by", person);
        }
        entry::detail(entry, "request_entry", self.request.to_string());
    }
}

impl Decides {
    pub(super) fn approval(&self) -> Option<&Approval> {
        match self {
            Self::Approved(approval) => Some(approval),
            Self::One | Self::Another => None,
        }
    }

    pub(super) fn done<T>(&self, what: T) -> Guarded<T> {
        let alone = self.approval().is_some_and(|approval| approval.alone);
        Guarded::Done { what, alone }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// Its entry.
    pub(super) id: LogIndex,
    pub(super) wish: Wish,
    pub(super) by: Name,
    pub(super) asked: Timestamp,
    /// When it can't be approved any more.
    pub(super) until: Timestamp,
    /// By one person alone: when it is carried out, or was; or from when on it can be.
    pub(super) effective: Option<Timestamp>,
    /// By one person alone: carried out, and not reviewed yet.
    pub(super) done: bool,
    /// By one person alone: for how long this daemon has served since, by a clock that nobody sets.
    pub(super) waited: Duration,
}

impl Wish {
    pub(super) const fn kind(&self) -> RequestKind {
        match self {
            Self::Dispose { .. } => RequestKind::Dispose,
            Self::ReleaseLogHold { .. } => RequestKind::ReleaseLogHold,
            Self::ResetSecondFactor { .. } => RequestKind::ResetSecondFactor,
            Self::ChangePeople { .. } => RequestKind::ChangePeople,
            Self::SetPassword { .. } => RequestKind::SetPassword,
            Self::IssueEnrollmentCode { .. } => RequestKind::IssueEnrollmentCode,
            Self::AssignToken { .. } => RequestKind::AssignToken,
            Self::ActivatePolicy { .. } => RequestKind::ActivatePolicy,
        }
    }

    /// Whom it is for.
    pub(super) fn people(&self) -> &[Name] {
        match self {
            Self::Dispose { .. } | Self::ReleaseLogHold { .. } | Self::ActivatePolicy { .. } => &[],
            Self::ChangePeople { people, .. } => people,
            Self::ResetSecondFactor { person, .. }
            | Self::SetPassword { person }
            | Self::IssueEnrollmentCode { person }
            | Self::AssignToken { person, .. } => std::slice::from_ref(person),
        }
    }

    fn stored(&self) -> What {
        match self {
            Self::Dispose { before, revision } => What::Dispose(StoredDisposeWish {
                before_us: before.micros(),
                revision: revision.to_vec(),
            }),
            Self::ReleaseLogHold { hold } => What::ReleaseLogHold(hold.0),
            Self::ResetSecondFactor { person, factor } => What::ResetFactor(StoredResetWish {
                person: person.to_string(),
                factor: factor.map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            }),
            Self::ChangePeople { people, digest } => What::ChangePeople(StoredPeopleWish {
                people: people.iter().map(ToString::to_string).collect(),
                digest: digest.to_vec(),
            }),
            Self::SetPassword { person } => What::SetPassword(person.to_string()),
            Self::IssueEnrollmentCode { person } => What::IssueEnrollmentCode(person.to_string()),
            Self::AssignToken { person, serial } => What::AssignToken(StoredTokenWish {
                person: person.to_string(),
                serial: serial.to_string(),
            }),
            Self::ActivatePolicy { revision } => What::ActivatePolicy(revision.to_vec()),
        }
    }

    fn read(what: What) -> Option<Self> {
        let name = |text: &str| Name::parse(text).ok();
        Some(match what {
            What::Dispose(wish) => Self::Dispose {
                before: Timestamp::from_micros(wish.before_us),
                revision: wish.revision.try_into().ok()?,
            },
            What::ReleaseLogHold(hold) => Self::ReleaseLogHold {
                hold: LogIndex(hold),
            },
            // It names no factor: it is one of nobody, and can only be declined or end.
            What::ResetSecondFactor(person) => Self::ResetSecondFactor {
                person: name(&person)?,
                factor: Some(Uuid::nil()),
            },
            What::ResetFactor(wish) => Self::ResetSecondFactor {
                person: name(&wish.person)?,
                factor: match wish.factor.as_slice() {
                    [] => None,
                    id => Some(Uuid::from_slice(id).ok()?),
                },
            },
            What::ChangePeople(wish) => Self::ChangePeople {
                people: wish
                    .people
                    .iter()
                    .map(|id| name(id))
                    .collect::<Option<_>>()?,
                digest: wish.digest.try_into().ok()?,
            },
            What::SetPassword(person) => Self::SetPassword {
                person: name(&person)?,
            },
            What::IssueEnrollmentCode(person) => Self::IssueEnrollmentCode {
                person: name(&person)?,
            },
            What::AssignToken(wish) => Self::AssignToken {
                person: name(&wish.person)?,
                serial: name(&wish.serial)?,
            },
            What::ActivatePolicy(revision) => Self::ActivatePolicy {
                revision: revision.try_into().ok()?,
            },
        })
    }
}

impl Pending {
    fn read(kept: KeptRequest) -> Result<Self, GateError> {
        let read = |kept: KeptRequest| {
            let until = Timestamp::from_micros(kept.what.until_us);
            Some(Self {
                id: kept.index,
                wish: Wish::read(kept.what.what?)?,
                by: Name::parse(&kept.what.by).ok()?,
                asked: match kept.what.asked_us {
                    0 => until.minus(WAITS),
                    asked => Timestamp::from_micros(asked),
                },
                until,
                effective: kept.what.effective_us.map(Timestamp::from_micros),
                done: kept.done,
                waited: kept.waited,
            })
        };
        read(kept).ok_or_else(|| StoreError::Damaged("a request".to_owned()).into())
    }

    /// A reset that was asked for on the host: carried out when it is due, by nobody's approval.
    pub(super) fn is_on_host(&self) -> bool {
        self.effective.is_some() && self.wish.kind() == RequestKind::ResetSecondFactor
    }

    /// Whether it can be approved at `now`, or is yet to be carried out.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        !self.done && (self.is_on_host() || (now <= self.until && !self.was_asked_ahead_of(now)))
    }

    /// Asked for in a time to come: the clock was set back since, and nobody knows how long it has waited.
    fn was_asked_ahead_of(&self, now: Timestamp) -> bool {
        self.asked.is_ahead_of(now)
    }
}

/// Whether `person` may approve the request `id` among `all` at `now`.
///
/// # Errors
/// Why not, for the field `approve`.
fn approvable(
    all: Vec<Pending>,
    id: LogIndex,
    person: &Name,
    now: Timestamp,
) -> Result<Pending, Violation> {
    let wrong = |what: String| Err(Violation::new("approve", what));
    let found = all
        .into_iter()
        .find(|one| one.id == id && !one.done && !one.is_on_host());
    let Some(found) = found else {
        return wrong(format!(
            "no request {id} is pending; it may have been approved or declined"
        ));
    };
    if now > found.until {
        return wrong(format!("the request expired at {}: ask anew", found.until));
    }
    if found.was_asked_ahead_of(now) {
        return wrong("was asked for before the clock was set back: ask anew".to_owned());
    }
    if found.by == *person {
        match found.effective {
            None => {
                let what = "is your own request: another administrator approves it";
                return wrong(what.to_owned());
            }
            Some(from) if now < from => {
                return wrong(format!(
                    "is your own request: alone you carry it out from {from} on"
                ));
            }
            Some(_) => {}
        }
    }
    if found.wish.people().contains(person) {
        let what = "is for yourself: another administrator approves it";
        return wrong(what.to_owned());
    }
    Ok(found)
}

impl Gate {
    /// Asks another administrator for `wish`; the entry and the end of the wait. With `effective`, nobody is asked: it is
    /// carried out then.
    pub(super) async fn ask(
        self: &Arc<Self>,
        mut entry: StoredEntry,
        wish: &Wish,
        by: &Name,
        effective: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(LogIndex, Timestamp), GateError> {
        let until = match effective {
            Some(from) if wish.kind() != RequestKind::ResetSecondFactor => from.plus(WAITS),
            _ => now.plus(WAITS),
        };
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::Ask(StoredRequest {
                by: by.to_string(),
                until_us: until.micros(),
                effective_us: effective.map(Timestamp::micros),
                asked_us: now.micros(),
                what: Some(wish.stored()),
            })),
        });
        let room = RoomForOne {
            by: by.clone(),
            kind: wish.kind(),
            now,
        };
        let receipt = self.change(entry, room, |_| ()).await?;
        Ok((receipt.index(), until))
    }

    /// As [`Self::ask`]; in a small office where nobody could approve, who asks may carry it out alone a day later.
    pub(super) async fn ask_another(
        self: &Arc<Self>,
        mut entry: StoredEntry,
        rules: &RuleSet,
        wish: &Wish,
        by: &Name,
        now: Timestamp,
    ) -> Result<Awaited, GateError> {
        entry::detail(&mut entry, "request", wish.kind().name());
        let alone = self.is_alone(rules, by, wish, now);
        let effective = alone.then(|| now.plus(ALONE_WAITS));
        if let Some(from) = effective {
            entry::detail(&mut entry, "alone", "true");
            entry::detail(&mut entry, "effective", from.to_string());
        }
        let (request, until) = self.ask(entry, wish, by, effective, now).await?;
        Ok(Awaited {
            request,
            until,
            effective,
        })
    }

    /// Who has a say in `wish`, which takes two or doesn't; why the request `approve` can't be carried out by `person` otherwise.
    pub(super) async fn who_decides(
        &self,
        rules: &RuleSet,
        (wish, takes_two): (&Wish, bool),
        approve: Option<LogIndex>,
        person: &Name,
        now: Timestamp,
    ) -> Result<Result<Decides, Violation>, GateError> {
        let wrong = |what: &str| Ok(Err(Violation::new("approve", what)));
        let Some(id) = approve else {
            let decides = if takes_two {
                Decides::Another
            } else {
                Decides::One
            };
            return Ok(Ok(decides));
        };
        if !takes_two {
            return wrong("is not asked for here: one administrator suffices, leave it out");
        }
        let pending = match self.to_approve(rules, id, person, now).await? {
            Ok(pending) => pending,
            Err(violation) => return Ok(Err(violation)),
        };
        if pending.wish != *wish {
            return wrong("is a request for something else than this");
        }
        let alone = pending.by == *person;
        if alone && !self.is_alone(rules, person, wish, now) {
            return wrong("is your own request: another administrator can approve it");
        }
        Ok(Ok(Decides::Approved(Approval {
            request: id,
            asked_by: pending.by,
            own: person.clone(),
            wish: wish.clone(),
            alone,
        })))
    }

    /// Whether this is a small office in which nobody but `person` could see to `wish` now.
    fn is_alone(&self, rules: &RuleSet, person: &Name, wish: &Wish, now: Timestamp) -> bool {
        let people = self.people.load();
        let mut others = people
            .values()
            .filter(|one| one.id != *person && !wish.people().contains(&one.id));
        self.settings.small_office
            && !others.any(|one| one.is_active(now) && administers(rules, one, now))
    }

    pub(super) fn administers_now(&self, rules: &RuleSet, person: &Name, now: Timestamp) -> bool {
        self.person(person)
            .is_some_and(|one| one.is_active(now) && administers(rules, &one, now))
    }

    /// All that are kept.
    pub(super) async fn requests(&self) -> Result<Vec<Pending>, GateError> {
        let kept = self.store.requests().await?;
        kept.into_iter().map(Pending::read).collect()
    }

    /// What one person did alone and nobody reviewed yet, through whichever daemon.
    pub(super) async fn done_alone(&self) -> Result<Vec<Pending>, GateError> {
        let kept = self.store.done_alone().await?;
        kept.into_iter().map(Pending::read).collect()
    }

    /// The request `id`, for `person` to approve now; or why not, for the field `approve`.
    pub(super) async fn to_approve(
        &self,
        rules: &RuleSet,
        id: LogIndex,
        person: &Name,
        now: Timestamp,
    ) -> Result<Result<Pending, Violation>, GateError> {
        let found = approvable(self.requests().await?, id, person, now);
        Ok(found.and_then(|pending| {
            if self.administers_now(rules, &pending.by, now) {
                return Ok(pending);
            }
            let what = "was asked for by somebody who administers no more: ask anew";
            Err(Violation::new("approve", what))
        }))
    }
}

/// There is room for one request more of this person's, and of all.
struct RoomForOne {
    by: Name,
    kind: RequestKind,
    now: Timestamp,
}

impl RoomForOne {
    fn is_there(&self, all: &[Pending]) -> Result<(), GateError> {
        let waiting = || all.iter().filter(|one| one.waits(self.now));
        let own = waiting().filter(|one| one.by == self.by && one.wish.kind() == self.kind);
        let kind = self.kind.name();
        if own.count() >= OF_ONE_MAX {
            return Err(GateError::TooLarge(format!(
                "{OF_ONE_MAX} requests of yours ({kind}) wait: decline one first"
            )));
        }
        if waiting().count() >= ALL_MAX {
            return Err(GateError::TooLarge(format!(
                "{ALL_MAX} requests wait: approve or decline one first"
            )));
        }
        Ok(())
    }
}

impl StillWanted for RoomForOne {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        self.is_there(&gate.requests().await?)
    }
}

/// The request has not been settled meanwhile.
pub(super) struct StillPending(pub(super) LogIndex);

impl StillWanted for StillPending {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let waiting = gate.requests().await?;
        if waiting.iter().any(|one| one.id == self.0 && !one.done) {
            return Ok(());
        }
        Err(GateError::NotFound("the request was settled meanwhile"))
    }
}

impl StillWanted for Option<StillPending> {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        match self {
            Some(pending) => pending.look(gate).await,
            None => Ok(()),
        }
    }
}

/// Who decided still does.
impl StillWanted for Option<Approval> {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        match self {
            Some(approval) => {
                StillPending(approval.request).look(gate).await?;
                let (rules, now) = (gate.rules.load_full(), gate.now());
                let may = |who| gate.administers_now(&rules, who, now);
                let alone =
                    !approval.alone || gate.is_alone(&rules, &approval.own, &approval.wish, now);
                // Told at the next try, in the words for it.
                if may(&approval.own)
                    && may(&approval.asked_by)
                    && alone
                    && gate.why_both(&approval).await?.is_none()
                {
                    return Ok(());
                }
                Err(GateError::Busy {
                    what: "who approves, or what they were told, changed at this moment",
                    retry_after: Duration::from_secs(1),
                })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn pending(id: u64, by: &str, wish: Wish) -> Pending {
        Pending {
            id: LogIndex(id),
            wish,
            by: name(by),
            asked: Timestamp::from_seconds(0),
            until: Timestamp::from_seconds(1_000),
            effective: None,
            done: false,
            waited: Duration::ZERO,
        }
    }

    const HOLD: Wish = Wish::ReleaseLogHold { hold: LogIndex(3) };

    #[test]
    fn another_approves_within_a_day() {
        let (one, two) = (name("a-1"), name("a-2"));
        let asked = pending(7, "a-1", HOLD);
        let until = asked.until;
        let of = |id, person: &Name, at| approvable(vec![asked.clone()], LogIndex(id), person, at);
        let own = of(7, &one, until).unwrap_err();
        assert!(own.description.contains("your own"));
        assert!(of(8, &two, until).is_err());
        assert_eq!(of(7, &two, until).unwrap().wish, HOLD);
        let late = of(7, &two, until.plus(Duration::from_secs(1))).unwrap_err();
        assert!(late.description.contains("expired"));
        let set_back = asked.asked.minus(Duration::from_secs(3));
        let ahead = of(7, &two, set_back).unwrap_err();
        assert!(ahead.description.contains("set back"));
        assert!(!asked.waits(set_back) && asked.waits(asked.asked));
        // On the host nobody approves; elsewhere another may at once, and who asked once it has waited.
        let person = name("p");
        let reset = Wish::ResetSecondFactor {
            person: person.clone(),
            factor: None,
        };
        for (wish, by, at, is) in [
            (reset, &two, 1_000, false),
            (HOLD, &two, 0, true),
            (HOLD, &one, 899, false),
            (HOLD, &one, 900, true),
            (
                Wish::SetPassword {
                    person: two.clone(),
                },
                &two,
                1_000,
                false,
            ),
        ] {
            let alone = Pending {
                effective: Some(Timestamp::from_seconds(900)),
                ..pending(7, "a-1", wish)
            };
            let at = Timestamp::from_seconds(at);
            let found = approvable(vec![alone], LogIndex(7), by, at);
            assert_eq!(found.is_ok(), is, "{found:?}");
        }
    }

    #[test]
    fn one_persons_requests_of_one_kind_leave_room_for_all_others() {
        let of = |id: u64| pending(id, "a-1", HOLD);
        let mut all: Vec<Pending> = (0..9).map(of).collect();
        let room = |by: &str, kind| RoomForOne {
            by: name(by),
            kind,
            now: Timestamp::from_seconds(5),
        };
        let hold = RequestKind::ReleaseLogHold;
        assert!(room("a-1", hold).is_there(&all).is_ok());
        all.push(of(9));
        let full = room("a-1", hold).is_there(&all).unwrap_err();
        assert!(full.to_string().contains("release-log-hold"), "{full}");
        assert!(room("a-2", hold).is_there(&all).is_ok());
        assert!(room("a-1", RequestKind::SetPassword).is_there(&all).is_ok());
        all.extend((10..1_000).map(|id| pending(id, &format!("b-{id}"), HOLD)));
        assert!(
            room("a-2", RequestKind::SetPassword)
                .is_there(&all)
                .is_err()
        );
    }

    #[test]
    fn a_wish_is_read_back_as_it_was_kept() {
        let person = name("p");
        for wish in [
            Wish::Dispose {
                before: Timestamp::from_seconds(-5),
                revision: [7; 32],
            },
            Wish::ReleaseLogHold { hold: LogIndex(9) },
            Wish::ResetSecondFactor {
                person: person.clone(),
                factor: None,
            },
            Wish::ResetSecondFactor {
                person: person.clone(),
                factor: Some(Uuid::from_u128(7)),
            },
            Wish::ChangePeople {
                people: vec![person.clone(), name("q")],
                digest: [9; 32],
            },
            Wish::ActivatePolicy { revision: [5; 32] },
            Wish::SetPassword {
                person: person.clone(),
            },
            Wish::IssueEnrollmentCode {
                person: person.clone(),
            },
            Wish::AssignToken {
                person,
                serial: name("T-1"),
            },
        ] {
            assert_eq!(Wish::read(wish.stored()), Some(wish));
        }
    }
}
