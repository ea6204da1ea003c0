//! What has run out is forgotten late, and never because of the wall clock alone: were that far ahead for a while, an ended
//! session would be live again once it is set right.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::gate::Gate;

/// How long what has run out is kept: a clock that is less far ahead changes nothing.
const KEPT_AFTER: Duration = Duration::from_hours(7 * 24);

/// Since when the wall clock has gone on without a jump, in microseconds of the clock that nobody sets; at first, since the
/// start.
#[derive(Debug, Default)]
pub(in crate::gate) struct Settled(AtomicU64);

impl Settled {
    pub(in crate::gate) fn begin_anew(&self, steady: Duration) {
        let micros = u64::try_from(steady.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_max(micros, Ordering::AcqRel);
    }

    fn since(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Acquire))
    }
}

impl Gate {
    /// Forgets sessions, requests and records that ended a week ago, once this daemon has known them, on a clock that nobody sets, for as
    /// long as a session lasts: until then a ticket of theirs may be good, whatever the wall clock says.
    pub(in crate::gate) async fn forget_what_ended(&self) {
        let longest = self.rules.load().session.absolute;
        let Some(known_before) = self.clock.steady().checked_sub(longest) else {
            return;
        };
        let before = self.now().minus(KEPT_AFTER);
        let ended = self.sessions.forget(before, known_before);
        if self.settled.since() >= known_before {
            // Of the others it is not known one by one since when.
            if let Err(error) = self.store.forget_ended_sessions(&ended, before).await {
                tracing::warn!(%error, "sessions that ended long ago were not forgotten");
            }
            return;
        }
        self.live.forget(before);
        let forgotten = async {
            self.store.forget_ended_sessions(&ended, before).await?;
            self.store.forget_live_sessions(before).await?;
            self.store.forget_old_records(before).await?;
            self.store.forget_expired_requests(before).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "what ended long ago was not forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_begins_anew_and_never_counts_back() {
        let settled = Settled::default();
        assert_eq!(settled.since(), Duration::ZERO);
        settled.begin_anew(Duration::from_secs(9));
        settled.begin_anew(Duration::from_secs(7));
        assert_eq!(settled.since(), Duration::from_secs(9));
    }
}
