//! What one administrator asked for and another has yet to approve. Kept in memory: a restart forgets it, and it is asked for
//! again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Violation;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;

/// How long an approval is waited for.
const WAITS: Duration = Duration::from_hours(24);
/// How many wait at once; the oldest gives way.
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
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Its entry.
    pub(super) id: LogIndex,
    pub(super) wish: Wish,
    pub(super) by: Name,
    pub(super) until: Timestamp,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct PendingRequests(Mutex<Vec<Pending>>);

impl PendingRequests {
    /// Keeps a request whose entry is durable; tells until when.
    pub(super) fn add(&self, id: LogIndex, wish: Wish, by: Name, now: Timestamp) -> Timestamp {
        let until = now.plus(WAITS);
        let mut all = self.lock();
        if all.len() >= WAITING_MAX {
            all.remove(0);
        }
        all.push(Pending {
            id,
            wish,
            by,
            until,
        });
        until
    }

    /// The request `id`, for `person` to approve now.
    ///
    /// # Errors
    /// Why not, for the field `approve`.
    pub(super) fn to_approve(
        &self,
        id: LogIndex,
        person: &Name,
        now: Timestamp,
    ) -> Result<Pending, Violation> {
        let wrong = |what: String| Err(Violation::new("approve", what));
        let Some(found) = self.lock().iter().find(|one| one.id == id).cloned() else {
            return wrong(format!(
                "no request {id} is pending; it may have been approved, or made before the last start"
            ));
        };
        if now > found.until {
            return wrong(format!("the request expired at {}: ask anew", found.until));
        }
        if found.by == *person {
            return wrong("is your own request: another administrator approves it".to_owned());
        }
        Ok(found)
    }

    /// It was approved, and its entry is durable.
    pub(super) fn done(&self, id: LogIndex) {
        self.lock().retain(|one| one.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_approves_within_a_day_and_once() {
        let all = PendingRequests::default();
        let (one, two) = (Name::parse("a-1").unwrap(), Name::parse("a-2").unwrap());
        let now = Timestamp::from_seconds(1_000);
        let wish = Wish::ReleaseLogHold { hold: LogIndex(3) };
        let until = all.add(LogIndex(7), wish.clone(), one.clone(), now);
        let of = |id, person: &Name, at| all.to_approve(LogIndex(id), person, at);
        assert!(
            of(7, &one, now)
                .unwrap_err()
                .description
                .contains("your own")
        );
        assert!(of(8, &two, now).is_err());
        assert_eq!(of(7, &two, until).unwrap().wish, wish);
        let late = until.plus(Duration::from_secs(1));
        assert!(
            of(7, &two, late)
                .unwrap_err()
                .description
                .contains("expired")
        );
        all.done(LogIndex(7));
        assert!(of(7, &two, now).is_err());
    }

    #[test]
    fn a_flood_of_requests_takes_no_more_memory() {
        let all = PendingRequests::default();
        for id in 0..1_000 {
            let wish = Wish::ReleaseLogHold { hold: LogIndex(1) };
            all.add(
                LogIndex(id),
                wish,
                Name::parse("a").unwrap(),
                Timestamp::default(),
            );
        }
        assert_eq!(all.lock().len(), WAITING_MAX);
    }
}
