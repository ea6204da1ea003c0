//! Instants, and the one clock of the daemon.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ::time::format_description::well_known::Rfc3339;
use ::time::{Date, OffsetDateTime, UtcOffset};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// How far the clocks of two machines that share a store may be apart, and a clock may be set back unnoticed.
    pub const AHEAD_MAX: Duration = Duration::from_secs(2);

    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch; saturates.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `duration`; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(duration)))
    }

    /// Earlier by `duration`; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after. Whether something is fresh enough is for [`Self::age_of`].
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How old what was noted at `moment` is. A moment that is at most [`Self::AHEAD_MAX`] to come is just now; for one further
    /// ahead `None`: the clock was set back since, and nobody knows how old it is.
    #[must_use]
    pub fn age_of(self, moment: Self) -> Option<Duration> {
        (!moment.is_ahead_of(self)).then(|| self.since(moment))
    }

    /// Whether this is more than [`Self::AHEAD_MAX`] past `now`.
    #[must_use]
    pub fn is_ahead_of(self, now: Self) -> bool {
        self > now.plus(Self::AHEAD_MAX)
    }

    /// The first microsecond of `date` where the clock reads `offset` from UTC.
    #[must_use]
    pub fn beginning_of(date: Date, offset: UtcOffset) -> Self {
        Self::from_seconds(date.midnight().assume_offset(offset).unix_timestamp())
    }

    /// The last microsecond of `date` where the clock reads `offset` from UTC.
    #[must_use]
    pub fn end_of(date: Date, offset: UtcOffset) -> Self {
        let next = date.next_day().unwrap_or(Date::MAX);
        let midnight = next.midnight().assume_offset(offset);
        Self(
            midnight
                .unix_timestamp()
                .saturating_mul(1_000_000)
                .saturating_sub(1),
        )
    }

    /// The same day and time of day `years` later where the clock reads `offset` from UTC; 29 February becomes the 28th
    /// (Civil Code of Japan, Art. 143: a period by years ends with the day before its anniversary).
    #[must_use]
    pub fn plus_years(self, years: u16, offset: UtcOffset) -> Self {
        let Some(local) = self.to_utc().and_then(|utc| utc.checked_to_offset(offset)) else {
            return Self(i64::MAX);
        };
        let year = local.year().saturating_add(i32::from(years));
        let moved = local
            .date()
            .replace_year(year)
            .or_else(|_| Date::from_calendar_date(year, ::time::Month::February, 28));
        match moved {
            Ok(date) => {
                let seconds = local.replace_date(date).unix_timestamp();
                Self(
                    seconds
                        .saturating_mul(1_000_000)
                        .saturating_add(self.0.rem_euclid(1_000_000)),
                )
            }
            Err(_) => Self(i64::MAX),
        }
    }

    /// As a calendar instant; `None` beyond the year 9999.
    #[must_use]
    pub fn to_utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0).saturating_mul(1_000)).ok()
    }

    /// Reads RFC 3339, e.g. `2026-01-31T09:00:00+09:00`.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn parse(text: &str) -> Result<Self, ::time::error::Parse> {
        let at = OffsetDateTime::parse(text, &Rfc3339)?;
        let micros = at.unix_timestamp_nanos().div_euclid(1_000);
        Ok(Self(i64::try_from(micros).unwrap_or(i64::MAX)))
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc().and_then(|utc| utc.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells the time. The daemon has one; every other function takes `now` as an argument.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's reading.
    fn now(&self) -> Timestamp;

    /// A clock that nobody sets: how long the program has run, from some moment on; it never goes back. What must take its
    /// time is measured by it.
    fn steady(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }
}

/// The machine's own wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // its only home
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(micros_of(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::time::macros::{date, offset};

    #[test]
    fn a_day_ends_at_midnight_of_the_packs_time_zone() {
        let end = Timestamp::end_of(date!(2026 - 03 - 31), offset!(+9));
        assert_eq!(
            end,
            Timestamp::from_micros(
                Timestamp::parse("2026-04-01T00:00:00+09:00")
                    .unwrap()
                    .micros()
                    - 1
            )
        );
    }

    #[test]
    fn what_is_to_come_has_no_age() {
        let now = Timestamp::from_seconds(1_000);
        let ahead = |micros: i64| Timestamp::from_micros(now.micros() + micros);
        assert_eq!(now.age_of(ahead(-5_000_000)), Some(Duration::from_secs(5)));
        assert_eq!(now.age_of(ahead(2_000_000)), Some(Duration::ZERO));
        assert_eq!(now.age_of(ahead(2_000_001)), None);
        assert!(ahead(2_000_001).is_ahead_of(now) && !ahead(2_000_000).is_ahead_of(now));
    }

    #[test]
    fn three_years_after_a_leap_day_is_the_28th() {
        let leap = Timestamp::parse("2024-02-29T12:00:00+09:00").unwrap();
        assert_eq!(
            leap.plus_years(3, offset!(+9)),
            Timestamp::parse("2027-02-28T12:00:00+09:00").unwrap()
        );
    }
}
