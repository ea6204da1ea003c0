//! Months of the calendar, and periods that are counted in it.

use std::fmt;

use ::time::{Date, UtcOffset};

use super::time::Timestamp;

/// Reads a day of the calendar, `2099-12-31`, of the years 0 to 9999.
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    let month: u8 = month.parse().ok()?;
    let month = ::time::Month::try_from(month).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

/// A month of the calendar, of the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u8,
}

impl Month {
    /// The month of an instant where the clock reads `offset` from UTC; `None` outside the years 0 to 9999.
    #[must_use]
    pub fn of(at: Timestamp, offset: UtcOffset) -> Option<Self> {
        let local = at.to_utc()?.checked_to_offset(offset)?;
        (0..=9_999).contains(&local.year()).then(|| Self {
            year: local.year(),
            month: local.month().into(),
        })
    }

    /// Reads `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let month = month
            .parse()
            .ok()
            .filter(|_| digits(year, 4) && digits(month, 2))?;
        (1..=12).contains(&month).then_some(Self {
            year: year.parse().ok()?,
            month,
        })
    }

    /// Its first instant where the clock reads `offset` from UTC.
    #[must_use]
    pub fn beginning(self, offset: UtcOffset) -> Timestamp {
        let first = ::time::Month::try_from(self.month)
            .ok()
            .and_then(|month| Date::from_calendar_date(self.year, month, 1).ok());
        first.map_or(Timestamp::from_micros(i64::MAX), |first| {
            Timestamp::from_seconds(first.midnight().assume_offset(offset).unix_timestamp())
        })
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(self, offset: UtcOffset) -> Timestamp {
        let next = if self.month == 12 {
            Self {
                year: self.year.saturating_add(1),
                month: 1,
            }
        } else {
            Self {
                year: self.year,
                month: self.month.saturating_add(1),
            }
        };
        next.beginning(offset)
    }
}

/// `2026-11`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// How long something is kept: whole months, or whole days, of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    months: u16,
    days: u16,
}

impl Period {
    /// The shortest, in days: a review that looks back a month must still find what it reviews.
    pub const DAYS_MIN: u16 = 30;
    /// The longest, in years: anything longer is a slip of the pen.
    pub const YEARS_MAX: u16 = 30;

    /// So many years.
    #[must_use]
    pub const fn years(years: u16) -> Self {
        Self {
            months: years.saturating_mul(12),
            days: 0,
        }
    }

    /// Reads `3y`, `18mo` or `90d`: a whole number without leading zeros, from [`Self::DAYS_MIN`] days to
    /// [`Self::YEARS_MAX`] years.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
        let digits = text.strip_suffix(unit)?;
        let number: u16 = digits.parse().ok().filter(|_| !digits.starts_with('0'))?;
        let period = match unit {
            "y" => Self {
                months: number.checked_mul(12)?,
                days: 0,
            },
            "mo" => Self {
                months: number,
                days: 0,
            },
            "d" => Self {
                months: 0,
                days: number,
            },
            _ => return None,
        };
        let bounds =
            u32::from(Self::DAYS_MIN).saturating_mul(1_000)..=Self::years(Self::YEARS_MAX).length();
        bounds.contains(&period.length()).then_some(period)
    }

    /// About how long it is, to tell a longer from a shorter one: in thousandths of a day, a month as a twelfth of a year of
    /// the Gregorian calendar.
    #[must_use]
    pub const fn length(self) -> u32 {
        (self.months as u32)
            .saturating_mul(30_437)
            .saturating_add((self.days as u32).saturating_mul(1_000))
    }

    /// When it ends for what begins at `from`, where the clock reads `offset` from UTC: the same time of day on the day of the
    /// same number, or on the month's last day (Civil Code of Japan, Art. 143). Never, beyond the year 9999.
    #[must_use]
    pub fn after(self, from: Timestamp, offset: UtcOffset) -> Timestamp {
        let never = Timestamp::from_micros(i64::MAX);
        let Some(local) = from.to_utc().and_then(|utc| utc.checked_to_offset(offset)) else {
            return never;
        };
        let months = i32::from(u8::from(local.month()))
            .saturating_sub(1)
            .saturating_add(i32::from(self.months));
        let year = local.year().saturating_add(months.div_euclid(12));
        let month = u8::try_from(months.rem_euclid(12).saturating_add(1))
            .ok()
            .and_then(|month| ::time::Month::try_from(month).ok());
        let Some(month) = month else { return never };
        let moved = (1..=local.day())
            .rev()
            .find_map(|day| Date::from_calendar_date(year, month, day).ok())
            .and_then(|date| date.checked_add(::time::Duration::days(i64::from(self.days))));
        moved.map_or(never, |date| {
            Timestamp::from_micros(
                local
                    .replace_date(date)
                    .unix_timestamp()
                    .saturating_mul(1_000_000)
                    .saturating_add(from.micros().rem_euclid(1_000_000)),
            )
        })
    }
}

/// As it is written in a pack.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.months, self.days) {
            (0, days) => write!(f, "{days}d"),
            (months, _) if months % 12 == 0 => write!(f, "{}y", months / 12),
            (months, _) => write!(f, "{months}mo"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::time::macros::{date, offset};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_month_is_that_of_the_packs_time_zone() {
        let eve = at("2026-11-30T15:00:00Z");
        let december = Month::of(eve, offset!(+9)).unwrap();
        assert_eq!(december.to_string(), "2026-12");
        assert_eq!(
            Month::of(eve, UtcOffset::UTC).unwrap().to_string(),
            "2026-11"
        );
        assert_eq!(december.beginning(offset!(+9)), eve);
        assert_eq!(december.end(offset!(+9)), at("2026-12-31T15:00:00Z"));
        assert_eq!(Month::parse("2026-12"), Some(december));
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar() {
        assert_eq!(parse_date("2099-12-31"), Some(date!(2099 - 12 - 31)));
        for bad in [
            "",
            "2099-2-1",
            "2099-02-30",
            "20990201",
            "2099-02-01T00:00",
            "+999-01-01",
        ] {
            assert_eq!(parse_date(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-01",
            "2026-+1",
            "2026-01-01",
        ] {
            assert_eq!(Month::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_period_reads_as_it_is_written_within_its_bounds() {
        for text in ["3y", "18mo", "90d", "30d", "30y", "1mo", "10957d"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Period::parse("36mo"), Period::parse("3y"));
        for bad in [
            "", "y", "0y", "03y", "-3y", "3", "3 y", "3Y", "3m", "29d", "31y", "361mo", "99999y",
            "3y1mo", "三y",
        ] {
            assert_eq!(Period::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_period_ends_on_the_day_of_the_same_number_or_the_months_last() {
        let after =
            |period: &str, from: &str| Period::parse(period).unwrap().after(at(from), offset!(+9));
        assert_eq!(
            after("3y", "2024-02-29T12:00:00+09:00"),
            at("2027-02-28T12:00:00+09:00")
        );
        assert_eq!(
            after("18mo", "2026-08-31T00:00:00+09:00"),
            at("2028-02-29T00:00:00+09:00")
        );
        assert_eq!(
            after("90d", "2026-11-22T00:00:00+09:00"),
            at("2027-02-20T00:00:00+09:00")
        );
        assert_eq!(after("30y", "9999-01-01T00:00:00Z").micros(), i64::MAX);
    }
}
