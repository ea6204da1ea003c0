//! Points in time as people type them.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, UtcOffset};

use crate::domain::time::Timestamp;

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const OFFSET: &[BorrowedFormatItem<'_>] =
    format_description!("[offset_hour sign:mandatory]:[offset_minute]");
/// Bytes of a date.
const DATE_BYTES: usize = 10;

/// Which edge of a day a date stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its beginning.
    Beginning,
    /// Its end, which is the beginning of the next.
    End,
}

/// Reads RFC 3339 (`2026-01-31T09:00:00+09:00`), a date in UTC (`2026-01-31`) or elsewhere (`2026-01-31+09:00`), or how long
/// before `now` (`90s`, `30m`, `2h`, `7d`, `4w`); `None` for anything else.
pub(super) fn parse(text: &str, edge: Edge, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    Timestamp::parse(text)
        .ok()
        .or_else(|| before(text, now))
        .or_else(|| day(text, edge))
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    let before = now
        .micros()
        .checked_sub(i64::try_from(seconds).ok()?.checked_mul(1_000_000)?)?;
    // Nothing was logged before the epoch: a slip of the finger.
    (before >= 0).then(|| Timestamp::from_micros(before))
}

fn day(text: &str, edge: Edge) -> Option<Timestamp> {
    let (date, offset) = text.split_at_checked(DATE_BYTES)?;
    let date = Date::parse(date, DATE).ok()?;
    let offset = match offset {
        "" | "Z" => UtcOffset::UTC,
        offset => UtcOffset::parse(offset, OFFSET).ok()?,
    };
    let date = match edge {
        Edge::Beginning => date,
        Edge::End => date.next_day()?,
    };
    let midnight = date.midnight().assume_offset(offset).unix_timestamp();
    Some(Timestamp::from_seconds(midnight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn now() -> Timestamp {
        at("2026-03-10T12:00:00Z")
    }

    #[test]
    fn a_moment_is_an_instant_a_date_or_how_long_ago() {
        for (text, expected) in [
            ("2026-01-31T09:00:00+09:00", "2026-01-31T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31+09:00", "2026-01-30T15:00:00Z"),
            ("2026-01-31Z", "2026-01-31T00:00:00Z"),
            ("90s", "2026-03-10T11:58:30Z"),
            ("30m", "2026-03-10T11:30:00Z"),
            ("2h", "2026-03-10T10:00:00Z"),
            ("7d", "2026-03-03T12:00:00Z"),
            ("1w", "2026-03-03T12:00:00Z"),
        ] {
            assert_eq!(
                parse(text, Edge::Beginning, now()),
                Some(at(expected)),
                "{text}"
            );
        }
    }

    #[test]
    fn until_a_date_includes_that_day() {
        assert_eq!(
            parse("2026-01-31+09:00", Edge::End, now()),
            Some(at("2026-01-31T15:00:00Z"))
        );
        assert_eq!(
            parse("2026-01-31T00:00:00Z", Edge::End, now()),
            Some(at("2026-01-31T00:00:00Z"))
        );
    }

    #[test]
    fn anything_else_is_no_moment() {
        for bad in [
            "",
            "h",
            "2",
            "2y",
            "-2h",
            "+2h",
            "1.5h",
            "2026-1-31",
            "2026-02-30",
            "2026-01-31T09:00",
            "2026-01-31+9",
            "昨日",
            "2時",
            "99999999999999999999d",
            "9999999d",
            "2026-01-3あ",
        ] {
            assert_eq!(parse(bad, Edge::Beginning, now()), None, "{bad}");
        }
    }
}
