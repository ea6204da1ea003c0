//! What one administrator asked for and another has yet to approve. The entry that asks is durable, and the store keeps what it
//! asks for: a restart forgets nothing.

use std::sync::Arc;
use std::time::Duration;

use super::changes::StillWanted;
use super::{Gate, GateError, Violation};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::proto::stored_request::What;
use crate::proto::{StoredChange, StoredDisposeWish, StoredEntry, StoredRequest, stored_change};
use crate::store::{KeptRequest, StoreError};

/// How long an approval is waited for.
pub(super) const WAITS: Duration = Duration::from_hours(24);
/// How many wait at once.
const WAITING_MAX: usize = 100;

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
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// Its entry.
    pub(super) id: LogIndex,
    pub(super) wish: Wish,
    pub(super) by: Name,
    /// When it can't be approved any more.
    pub(super) until: Timestamp,
    /// By one person alone: when it is carried out, or was.
    pub(super) effective: Option<Timestamp>,
    /// By one person alone: carried out, and not reviewed yet.
    pub(super) done: bool,
    /// By one person alone: for how long this daemon has served since, by a clock that nobody sets.
    pub(super) waited: Duration,
}

impl Wish {
    fn stored(&self) -> What {
        match self {
            Self::Dispose { before, revision } => What::Dispose(StoredDisposeWish {
                before_us: before.micros(),
                revision: revision.to_vec(),
            }),
            Self::ReleaseLogHold { hold } => What::ReleaseLogHold(hold.0),
            Self::ResetSecondFactor { person } => What::ResetSecondFactor(person.to_string()),
        }
    }

    fn read(what: What) -> Option<Self> {
        Some(match what {
            What::Dispose(wish) => Self::Dispose {
                before: Timestamp::from_micros(wish.before_us),
                revision: wish.revision.try_into().ok()?,
            },
            What::ReleaseLogHold(hold) => Self::ReleaseLogHold {
                hold: LogIndex(hold),
            },
            What::ResetSecondFactor(person) => Self::ResetSecondFactor {
                person: Name::parse(&person).ok()?,
            },
        })
    }
}

impl Pending {
    fn read(kept: KeptRequest) -> Result<Self, GateError> {
        let read = |kept: KeptRequest| {
            Some(Self {
                id: kept.index,
                wish: Wish::read(kept.what.what?)?,
                by: Name::parse(&kept.what.by).ok()?,
                until: Timestamp::from_micros(kept.what.until_us),
                effective: kept.what.effective_us.map(Timestamp::from_micros),
                done: kept.done,
                waited: kept.waited,
            })
        };
        read(kept).ok_or_else(|| StoreError::Damaged("a request".to_owned()).into())
    }

    /// Whether it can be approved at `now`, or is yet to be carried out.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        !self.done
            && (self.effective.is_some() || (now <= self.until && !self.was_asked_ahead_of(now)))
    }

    /// Asked for in a time to come: the clock was set back since, and nobody knows how long it has waited.
    fn was_asked_ahead_of(&self, now: Timestamp) -> bool {
        self.until.is_ahead_of(now.plus(WAITS))
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
        .find(|one| one.id == id && one.effective.is_none());
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
        return wrong("is your own request: another administrator approves it".to_owned());
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
        let until = now.plus(WAITS);
        entry.change = Some(StoredChange {
            kind: Some(stored_change::Kind::Ask(StoredRequest {
                by: by.to_string(),
                until_us: until.micros(),
                effective_us: effective.map(Timestamp::micros),
                what: Some(wish.stored()),
            })),
        });
        let receipt = self.change(entry, RoomForOne(now), |_| ()).await?;
        Ok((receipt.index(), until))
    }

    /// All that are kept.
    pub(super) async fn requests(&self) -> Result<Vec<Pending>, GateError> {
        let kept = self.store.requests().await?;
        kept.into_iter().map(Pending::read).collect()
    }

    /// The request `id`, for `person` to approve now; or why not, for the field `approve`.
    pub(super) async fn to_approve(
        &self,
        id: LogIndex,
        person: &Name,
        now: Timestamp,
    ) -> Result<Result<Pending, Violation>, GateError> {
        Ok(approvable(self.requests().await?, id, person, now))
    }
}

/// There is room for one request more.
struct RoomForOne(Timestamp);

impl StillWanted for RoomForOne {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let waiting = gate.requests().await?;
        if waiting.iter().filter(|one| one.waits(self.0)).count() < WAITING_MAX {
            return Ok(());
        }
        Err(GateError::TooLarge(format!(
            "{WAITING_MAX} requests wait for an approval: approve or decline one first"
        )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_approves_within_a_day() {
        let (one, two) = (Name::parse("a-1").unwrap(), Name::parse("a-2").unwrap());
        let until = Timestamp::from_seconds(1_000);
        let wish = Wish::ReleaseLogHold { hold: LogIndex(3) };
        let pending = Pending {
            id: LogIndex(7),
            wish: wish.clone(),
            by: one.clone(),
            until,
            effective: None,
            done: false,
            waited: Duration::ZERO,
        };
        let of =
            |id, person: &Name, at| approvable(vec![pending.clone()], LogIndex(id), person, at);
        let own = of(7, &one, until).unwrap_err();
        assert!(own.description.contains("your own"));
        assert!(of(8, &two, until).is_err());
        assert_eq!(of(7, &two, until).unwrap().wish, wish);
        let late = of(7, &two, until.plus(Duration::from_secs(1))).unwrap_err();
        assert!(late.description.contains("expired"));
        let set_back = until.minus(WAITS + Duration::from_secs(3));
        let ahead = of(7, &two, set_back).unwrap_err();
        assert!(ahead.description.contains("set back"));
        assert!(!pending.waits(set_back) && pending.waits(until.minus(WAITS)));
        let alone = Pending {
            effective: Some(until),
            ..pending.clone()
        };
        assert!(approvable(vec![alone], LogIndex(7), &two, until).is_err());
    }

    #[test]
    fn a_wish_is_read_back_as_it_was_kept() {
        for wish in [
            Wish::Dispose {
                before: Timestamp::from_seconds(-5),
                revision: [7; 32],
            },
            Wish::ReleaseLogHold { hold: LogIndex(9) },
            Wish::ResetSecondFactor {
                person: Name::parse("p").unwrap(),
            },
        ] {
            assert_eq!(Wish::read(wish.stored()), Some(wish));
        }
    }
}
