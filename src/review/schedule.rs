//! Which days a campaign that is opened by the pack's schedule is of: the last ones that are over.

use time::{Date, Month};

use crate::decision::rules::Every;

/// The first and the last day of the last period that was over when `today` began; `None` before the year 1.
#[must_use]
pub fn last_period(every: Every, today: Date) -> Option<(Date, Date)> {
    let first_of_month = today.replace_day(1).ok()?;
    match every {
        Every::Daily => {
            let day = today.previous_day()?;
            Some((day, day))
        }
        Every::Monthly => {
            let last = first_of_month.previous_day()?;
            Some((last.replace_day(1).ok()?, last))
        }
        Every::Quarterly => {
            let month = match u8::from(today.month()) {
                1..=3 => Month::January,
                4..=6 => Month::April,
                7..=9 => Month::July,
                _ => Month::October,
            };
            let last = first_of_month.replace_month(month).ok()?.previous_day()?;
            let before = last.month().previous().previous();
            let first = last.replace_day(1).ok()?.replace_month(before).ok()?;
            Some((first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(every: Every, today: (i32, u8, u8)) -> String {
        let (year, month, day) = today;
        let month = Month::try_from(month).unwrap();
        let today = Date::from_calendar_date(year, month, day).unwrap();
        let (first, last) = last_period(every, today).unwrap();
        format!("{first} {last}")
    }

    #[test]
    fn a_schedule_takes_what_was_over() {
        let on = |every| move |day| period(every, day);
        let daily = on(Every::Daily);
        assert_eq!(daily((2026, 3, 1)), "2026-02-28 2026-02-28");
        let monthly = on(Every::Monthly);
        assert_eq!(monthly((2026, 1, 31)), "2025-12-01 2025-12-31");
        assert_eq!(monthly((2028, 3, 31)), "2028-02-01 2028-02-29");
        let quarterly = on(Every::Quarterly);
        assert_eq!(quarterly((2026, 1, 1)), "2025-10-01 2025-12-31");
        assert_eq!(quarterly((2026, 5, 31)), "2026-01-01 2026-03-31");
        assert_eq!(quarterly((2026, 12, 31)), "2026-07-01 2026-09-30");
    }
}
