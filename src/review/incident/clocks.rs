//! When each report is due, and how it stands.

use time::{Date, Duration as Days, UtcOffset};

use super::triggers::{Trigger, Verdict, effective, to_be_reported};
use super::{Incident, Told};
use crate::decision::rules::{ClockKind, IncidentClock, IncidentRules, RuleSet, Within};
use crate::domain::time::Timestamp;
use crate::proto::StoredScope;

/// The last day and the last instant of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The last instant.
    pub at: Timestamp,
    /// The day that it is in, by the pack's clock.
    pub day: Date,
    /// The day without closed days, where they moved it.
    pub moved_from: Option<Date>,
    /// Closed days might move it, and the pack lists none of that year.
    pub closed_days_unknown: bool,
}

/// How a clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// Its time is over, and nothing is recorded.
    Overdue,
    /// Told.
    Done,
    /// A person decided that it needs no report.
    NotRequired,
    /// What it is for isn't there.
    DoesNotApply,
}

/// A clock as of an instant.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// Which.
    pub clock: &'a IncidentClock,
    /// How it stands.
    pub state: State,
    /// When it is due; `None` where the law names no day.
    pub due: Option<Due>,
    /// Why it runs or doesn't.
    pub why: Told,
    /// When it was done, who recorded it, under which reference.
    pub done: Option<(Timestamp, String, String)>,
}

impl Standing<'_> {
    /// Whether it was done after its time.
    #[must_use]
    pub fn late(&self) -> bool {
        match (&self.done, self.due) {
            (Some((at, _, _)), Some(due)) => self.state == State::Done && *at > due.at,
            _ => false,
        }
    }

    /// Whether something is still to be recorded of it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Running | State::Overdue)
    }
}

/// The last day of what became known at `aware`; `None` beyond the calendar.
///
/// Days: that on which it became known is the first, which is the earlier of the two readings there are (the Civil Code, Art. 140,
/// doesn't count it; the pack can name a longer time). Where closed days move it, a last day on which the authorities are closed
/// becomes the next one on which they are open (Act on Holidays of Administrative Organs, Art. 2). Hours run through whatever day it
/// is: the same article excepts periods in hours.
#[must_use]
pub fn due(
    aware: Timestamp,
    within: Within,
    moves: bool,
    rules: &IncidentRules,
    offset: UtcOffset,
) -> Option<Due> {
    let day_of = |at: Timestamp| Some(at.to_utc()?.checked_to_offset(offset)?.date());
    let days = match within {
        Within::Hours(hours) => {
            let length = std::time::Duration::from_hours(u64::from(hours));
            let at = aware.plus(length);
            return Some(Due {
                at,
                day: day_of(at)?,
                moved_from: None,
                closed_days_unknown: false,
            });
        }
        Within::Days(days) => days,
    };
    let after = i64::from(days.saturating_sub(1));
    let plain = day_of(aware)?.checked_add(Days::days(after))?;
    let mut day = plain;
    let mut unknown = moves && !rules.knows_year_of(day);
    while moves && rules.is_closed(day) {
        day = day.next_day()?;
        unknown |= !rules.knows_year_of(day);
    }
    Some(Due {
        at: Timestamp::end_of(day, offset),
        day,
        moved_from: (day != plain).then_some(plain),
        closed_days_unknown: unknown,
    })
}

/// How all clocks of an incident stand at `now`, in the order of the pack.
#[must_use]
pub fn standing<'a>(incident: &Incident, rules: &'a RuleSet, now: Timestamp) -> Vec<Standing<'a>> {
    let reported = to_be_reported(incident, rules);
    let malice = effective(Trigger::Malice, incident, rules);
    let scope = incident.scope().map(|(_, scope)| scope);
    let clocks = rules.incident.clocks.iter();
    clocks
        .map(|clock| {
            let within = match malice {
                Verdict::Applies => clock.within_malicious.or(clock.within),
                Verdict::DoesNotApply | Verdict::Unknown => clock.within,
            };
            let due = within.and_then(|within| {
                let aware = incident.aware();
                due(
                    aware,
                    within,
                    clock.moves,
                    &rules.incident,
                    rules.utc_offset,
                )
            });
            let (runs, why) = runs(clock, scope, reported, rules);
            let done = done(incident, clock);
            let state = match &done {
                Some((false, ..)) => State::Done,
                Some((true, ..)) => State::NotRequired,
                None if !runs => State::DoesNotApply,
                None if due.is_some_and(|due| now > due.at) => State::Overdue,
                None => State::Running,
            };
            Standing {
                clock,
                state,
                due,
                why,
                done: done.map(|(_, at, by, reference)| (at, by, reference)),
            }
        })
        .collect()
}

/// Whether none is required, when it was done, who recorded it, and the reference.
fn done(incident: &Incident, clock: &IncidentClock) -> Option<(bool, Timestamp, String, String)> {
    if let Some((step, filing)) = incident.filed(&clock.id) {
        let at = match filing.not_required {
            true => step.at,
            false => Timestamp::from_micros(filing.filed_us),
        };
        let by = step.by.clone();
        return Some((filing.not_required, at, by, filing.reference.clone()));
    }
    if clock.kind == ClockKind::Subjects
        && let Some((step, at, people)) = incident.notified()
    {
        return Some((false, at, step.by.clone(), people.to_string()));
    }
    None
}

/// Whether a clock runs, and why or why not. What isn't known counts as if it were there.
fn runs(
    clock: &IncidentClock,
    scope: Option<&StoredScope>,
    reported: Verdict,
    rules: &RuleSet,
) -> (bool, Told) {
    if !clock.always && reported == Verdict::DoesNotApply {
        let why = Told::new(
            "no trigger of the duty to report applies",
            "報告対象事態に当たりません",
        );
        return (false, why);
    }
    if let Some(scope) = scope
        && !concerns(clock, scope, rules)
    {
        let why = Told::new(
            "none of the data affected is of what the pack names for it",
            "影響範囲に、パックが指定した対象のデータがありません",
        );
        return (false, why);
    }
    let why = match (clock.always, reported) {
        (true, _) => Told::new(
            "it runs whatever triggers apply",
            "報告対象事態に当たるかどうかを問いません",
        ),
        (false, Verdict::Applies) => Told::new(
            "a trigger of the duty to report applies",
            "報告対象事態に当たります",
        ),
        (false, _) => Told::new(
            "whether it is to be reported is not judged yet",
            "報告対象事態に当たるかどうかが、まだ判断されていません",
        ),
    };
    (true, why)
}

/// Whether some of the data affected is of what a clock is for. A list that was cut short, or a word that the pack doesn't know, may
/// be.
fn concerns(clock: &IncidentClock, scope: &StoredScope, rules: &RuleSet) -> bool {
    if scope.accesses == 0 {
        // Nothing that the log knows of: what else there is nobody looked at.
        return true;
    }
    let kinds = clock.kinds.as_ref().is_none_or(|kinds| {
        scope.subject_kinds.iter().any(|kind| {
            let known = rules.kinds.id(&kind.id);
            known.is_none_or(|id| kinds.contains(id))
        })
    });
    let listed = u64::try_from(scope.categories.len()).unwrap_or(u64::MAX);
    let categories = clock.categories.as_ref().is_none_or(|categories| {
        scope.categories_in_all > listed
            || scope.categories.iter().any(|category| {
                let known = rules.categories.id(&category.id);
                known.is_none_or(|id| categories.contains(id))
            })
    });
    let systems = clock.systems.is_empty()
        || scope.systems.iter().any(|system| {
            let known = rules.systems.id(&system.id);
            known.is_none_or(|id| clock.systems.contains(&id))
        });
    // Where callers don't say where data come from, they may come from there.
    let told: u64 = scope
        .origin_countries
        .iter()
        .map(|country| country.accesses)
        .fold(0, u64::saturating_add);
    let countries = clock.origin_countries.is_empty()
        || told < scope.accesses
        || scope.origin_countries.iter().any(|country| {
            clock
                .origin_countries
                .iter()
                .any(|one| **one == *country.id)
        });
    kinds && categories && systems && countries
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, offset};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn rules() -> IncidentRules {
        IncidentRules {
            closed_days: [
                date!(2026 - 11 - 03),
                date!(2026 - 11 - 23),
                date!(2027 - 01 - 01),
                date!(2027 - 01 - 11),
                date!(2027 - 02 - 11),
                date!(2027 - 05 - 03),
                date!(2027 - 05 - 04),
                date!(2027 - 05 - 05),
            ]
            .into(),
            ..IncidentRules::default()
        }
    }

    /// Became known (by the clock of Japan), within, moves; the last day, and what it was moved from.
    #[test]
    fn the_last_day_of_a_report() {
        #[rustfmt::skip]
        let cases = [
            // The day itself is the first, however late it became known.
            ("2026-11-02T00:00:00+09:00", "5d", false, "2026-11-06", ""),
            ("2026-11-02T23:59:59+09:00", "5d", false, "2026-11-06", ""),
            // By the clock of Japan and not of Greenwich: 15:00 UTC is the next day there.
            ("2026-11-01T15:00:00Z", "5d", false, "2026-11-06", ""),
            ("2026-11-01T14:59:59Z", "5d", false, "2026-11-05", ""),
            // Closed days between count; only the last one moves, and only where the pack says so.
            ("2026-11-03T10:00:00+09:00", "5d", false, "2026-11-07", ""),
            ("2026-11-03T10:00:00+09:00", "5d", true, "2026-11-09", "2026-11-07"),
            ("2026-10-05T10:00:00+09:00", "30d", true, "2026-11-04", "2026-11-03"),
            // A Saturday, then a Sunday, then a holiday.
            ("2026-10-23T10:00:00+09:00", "30d", true, "2026-11-24", "2026-11-21"),
            // The turn of the year, which ends on a Sunday: 4 January 2027 is a Monday.
            ("2026-11-30T10:00:00+09:00", "30d", true, "2027-01-04", "2026-12-29"),
            ("2026-12-03T10:00:00+09:00", "30d", true, "2027-01-04", "2027-01-01"),
            // Before it, nothing moves.
            ("2026-11-29T10:00:00+09:00", "30d", true, "2026-12-28", ""),
            // Sixty days of a malicious act.
            ("2026-12-14T10:00:00+09:00", "60d", true, "2027-02-12", "2027-02-11"),
            // A week of holidays.
            ("2027-04-02T10:00:00+09:00", "30d", true, "2027-05-06", "2027-05-01"),
            // A leap day is a day.
            ("2028-02-01T10:00:00+09:00", "30d", false, "2028-03-01", ""),
            // One day is the same day.
            ("2026-11-02T10:00:00+09:00", "1d", true, "2026-11-02", ""),
        ];
        for (aware, within, moves, day, from) in cases {
            let within = Within::parse(within).unwrap();
            let found = due(at(aware), within, moves, &rules(), offset!(+9)).unwrap();
            assert_eq!(found.day.to_string(), day, "{aware} {within}");
            let moved = found.moved_from.map(|day| day.to_string());
            assert_eq!(moved.unwrap_or_default(), from, "{aware} {within}");
            assert_eq!(found.at, Timestamp::end_of(found.day, offset!(+9)));
        }
    }

    #[test]
    fn hours_run_through_nights_and_holidays() {
        let aware = at("2026-12-31T22:30:15Z");
        let found = due(aware, Within::Hours(72), true, &rules(), UtcOffset::UTC);
        let found = found.unwrap();
        assert_eq!(found.at, at("2027-01-03T22:30:15Z"));
        assert_eq!(found.day, date!(2027 - 01 - 03), "a Sunday");
        assert_eq!(found.moved_from, None);
    }

    #[test]
    fn a_year_of_which_the_pack_lists_no_holidays_is_told() {
        let unknown = |aware: &str| {
            let found = due(at(aware), Within::Days(30), true, &rules(), offset!(+9));
            found.unwrap().closed_days_unknown
        };
        assert!(!unknown("2026-11-02T10:00:00+09:00"));
        assert!(unknown("2028-02-01T10:00:00+09:00"));
        // Into a year that it doesn't know.
        assert!(unknown("2027-12-01T10:00:00+09:00"));
    }
}
