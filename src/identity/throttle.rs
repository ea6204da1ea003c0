//! How guessing a second factor is slowed down, and when it ends. Counted by `store`, per factor, across challenges, sessions,
//! services and restarts; here is only what a count means.
//!
//! Five tries of a code of six digits with three right at a time are right by chance once in 70,000; fifty, once in 7,000, and
//! take more than a day. Whoever forgets their token is let in again by a recovery code or by administrators.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// After so many failures in a row the next try waits.
pub const WAITS_FROM: u32 = 5;
/// At so many in a row the factor is disabled until it is reset.
pub const DISABLED_AT: u32 = 50;
/// The first wait; each failure more doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long the next try waits after `failures` in a row.
#[must_use]
pub fn wait_after(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(WAITS_FROM) else {
        return Duration::ZERO;
    };
    let times = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    FIRST_WAIT.saturating_mul(times).min(LONGEST_WAIT)
}

/// Whether a factor is disabled after `failures` in a row.
#[must_use]
pub const fn is_disabled(failures: u32) -> bool {
    failures >= DISABLED_AT
}

/// How long is left of a wait, in whole seconds and never none: what RetryInfo tells.
#[must_use]
pub fn wait_left(until: Timestamp, now: Timestamp) -> Duration {
    let left = until.since(now);
    Duration::from_secs(left.as_secs().saturating_add(1)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_failures_the_next_waits_thirty_seconds_doubling_up_to_an_hour() {
        let seconds: Vec<u64> = (0..=14)
            .map(|failures| wait_after(failures).as_secs())
            .collect();
        assert_eq!(
            seconds,
            [
                0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600
            ]
        );
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn at_fifty_failures_a_factor_is_disabled() {
        assert!(!is_disabled(49));
        assert!(is_disabled(50) && is_disabled(u32::MAX));
    }

    #[test]
    fn what_is_told_of_a_wait_is_never_too_short_and_never_over_an_hour() {
        let at = Timestamp::from_seconds;
        assert_eq!(wait_left(at(130), at(100)), Duration::from_secs(31));
        assert_eq!(wait_left(at(130), at(200)), Duration::from_secs(1));
        // The clock was set back meanwhile.
        assert_eq!(wait_left(at(100_000), at(0)), LONGEST_WAIT);
    }
}
