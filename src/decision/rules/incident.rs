//! What an incident (漏えい等) asks for: whom to tell by when. A pack names its own; where it names none the law's hold.

use std::collections::BTreeSet;
use std::fmt;

use time::{Date, Month, Weekday};

use super::{Category, Id, IdSet, Kind, System};

/// What stops a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockKind {
    /// The preliminary report (速報, APPI Enforcement Rules Art. 8(1)).
    Preliminary,
    /// The final report (確報, APPI Enforcement Rules Art. 8(2)).
    Final,
    /// The principal company is told, whose data we handle (委託元, APPI Art. 26(1), proviso).
    Principal,
    /// The people are told (本人への通知, APPI Art. 26(2)).
    Subjects,
}

impl ClockKind {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::Preliminary,
        Self::Final,
        Self::Principal,
        Self::Subjects,
    ];

    /// As pack.toml has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preliminary => "preliminary",
            Self::Final => "final",
            Self::Principal => "entruster",
            Self::Subjects => "subjects",
        }
    }
}

/// How long there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Days of the calendar; that on which it became known is the first.
    Days(u16),
    /// Hours, to the second: no closed day moves their end.
    Hours(u16),
}

impl Within {
    /// The longest, in days.
    pub const DAYS_MAX: u16 = 366;

    /// Reads `30d` or `72h`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().last()?;
        let digits = text.strip_suffix(unit)?;
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u16 = digits.parse().ok()?;
        match unit {
            'd' => (number <= Self::DAYS_MAX).then_some(Self::Days(number)),
            'h' => (number <= Self::DAYS_MAX.saturating_mul(24)).then_some(Self::Hours(number)),
            _ => None,
        }
    }
}

/// As it is written in a pack.
impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Hours(hours) => write!(f, "{hours}h"),
        }
    }
}

/// Whom to tell by when.
#[derive(Debug, Clone)]
pub struct IncidentClock {
    /// Names it in entries.
    pub id: Box<str>,
    /// What stops it.
    pub kind: ClockKind,
    /// Who is to be told, in English.
    pub addressee: Box<str>,
    /// Who is to be told, in Japanese.
    pub addressee_ja: Box<str>,
    /// How long there is; `None` where the law says "promptly" and names no day.
    pub within: Option<Within>,
    /// How long there is where it may have been done with a wrongful purpose.
    pub within_malicious: Option<Within>,
    /// Whether a last day that is closed becomes the next one that isn't (Act on Holidays of Administrative Organs, Art. 2).
    pub moves: bool,
    /// Whether it runs whatever triggers apply.
    pub always: bool,
    /// Only where data of these kinds of person are affected; `None` for any.
    pub kinds: Option<IdSet<Kind>>,
    /// Only where these categories, or what they cover, are affected; `None` for any.
    pub categories: Option<IdSet<Category>>,
    /// Only where data in these systems are affected; empty for any.
    pub systems: Vec<Id<System>>,
    /// Only where data from these countries are affected; empty for any.
    pub origin_countries: Vec<Box<str>>,
    /// Line in pack.toml, 0 for one of the law.
    pub line: u32,
}

impl IncidentClock {
    fn of_law(
        id: &str,
        kind: ClockKind,
        (en, ja): (&str, &str),
        within: Option<Within>,
        within_malicious: Option<Within>,
    ) -> Self {
        Self {
            id: id.into(),
            kind,
            addressee: en.into(),
            addressee_ja: ja.into(),
            within,
            within_malicious,
            moves: kind == ClockKind::Final,
            always: false,
            kinds: None,
            categories: None,
            systems: Vec::new(),
            origin_countries: Vec::new(),
            line: 0,
        }
    }
}

/// What a pack says of incidents.
#[derive(Debug, Clone)]
pub struct IncidentRules {
    /// Days on which the authorities are closed besides Saturdays, Sundays and 29 December to 3 January: the national holidays.
    pub closed_days: BTreeSet<Date>,
    /// Categories whose misuse may damage property, those they cover included.
    pub property_damage: IdSet<Category>,
    /// Whom to tell by when.
    pub clocks: Vec<IncidentClock>,
    /// Line in pack.toml, 0 where it has no such section.
    pub line: u32,
}

impl Default for IncidentRules {
    fn default() -> Self {
        Self {
            closed_days: BTreeSet::new(),
            property_damage: IdSet::default(),
            clocks: Self::of_law(),
            line: 0,
        }
    }
}

impl IncidentRules {
    /// What APPI asks for where a pack names no clock: the preliminary report "promptly" (the longest of the three to five days that
    /// the Commission's guidelines give), the final one within 30 days, or 60 where it may have been done with a wrongful purpose
    /// (Enforcement Rules Art. 8), and the people told "promptly" (Act Art. 26(2), Enforcement Rules Art. 10).
    #[must_use]
    pub fn of_law() -> Vec<IncidentClock> {
        let commission = (
            "Personal Information Protection Commission",
            "個人情報保護委員会",
        );
        let days = |days| Some(Within::Days(days));
        vec![
            IncidentClock::of_law(
                "ppc-preliminary",
                ClockKind::Preliminary,
                commission,
                days(5),
                None,
            ),
            IncidentClock::of_law(
                "ppc-final",
                ClockKind::Final,
                commission,
                days(30),
                days(60),
            ),
            IncidentClock::of_law(
                "subjects",
                ClockKind::Subjects,
                ("the people affected", "本人"),
                None,
                None,
            ),
        ]
    }

    /// Whether the authorities are closed on a day: Saturdays and Sundays, the national holidays as far as the pack lists them, and 29
    /// December to 3 January (Act on Holidays of Administrative Organs, Act No. 91 of 1988, Art. 1(1)).
    #[must_use]
    pub fn is_closed(&self, day: Date) -> bool {
        let turn_of_year = match day.month() {
            Month::December => day.day() >= 29,
            Month::January => day.day() <= 3,
            _ => false,
        };
        turn_of_year
            || matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
            || self.closed_days.contains(&day)
    }

    /// Whether the pack lists closed days of that day's year.
    #[must_use]
    pub fn knows_year_of(&self, day: Date) -> bool {
        self.closed_days
            .iter()
            .any(|closed| closed.year() == day.year())
    }
}
