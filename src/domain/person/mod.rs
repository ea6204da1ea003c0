//! A person who works with the data (利用者): an account of the directory. What holds for it at an instant is asked with that
//! instant: roles, leave and exceptions begin and end by themselves.

pub mod form;
pub mod id;

use std::net::IpAddr;

use ipnet::IpNet;

use super::ids::{LogIndex, Name};
use super::subject::Pseudonym;
use super::time::Timestamp;

/// The most departments of one person (兼務).
pub const DEPARTMENTS_MAX: usize = 16;
/// The most roles that one person may be given, those that are over included.
pub const ROLES_MAX: usize = 24;
/// The most network exceptions of one person.
pub const EXCEPTIONS_MAX: usize = 16;
/// The most ids under which one person's own data may be kept.
pub const SUBJECTS_MAX: usize = 8;

/// How a person is employed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmploymentKind {
    /// 社員.
    #[default]
    Employee,
    /// パート.
    PartTime,
    /// 派遣: of another employer, until a day that is known.
    Dispatched,
    /// 業務委託: of another employer, until a day that is known.
    Contractor,
    /// 役員.
    Executive,
}

impl EmploymentKind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Employee,
        Self::PartTime,
        Self::Dispatched,
        Self::Contractor,
        Self::Executive,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Employee => "employee",
            Self::PartTime => "part-time",
            Self::Dispatched => "dispatched",
            Self::Contractor => "contractor",
            Self::Executive => "executive",
        }
    }

    /// Reads what [`Self::name`] writes, or the Japanese word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "社員" => Some(Self::Employee),
            "パート" => Some(Self::PartTime),
            "派遣" => Some(Self::Dispatched),
            "業務委託" => Some(Self::Contractor),
            "役員" => Some(Self::Executive),
            _ => Self::ALL.into_iter().find(|kind| kind.name() == name),
        }
    }

    /// The API's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Employee => 1,
            Self::PartTime => 2,
            Self::Dispatched => 3,
            Self::Contractor => 4,
            Self::Executive => 5,
        }
    }

    /// From the API's number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether the person is another employer's, who must be named, with the day on which it ends.
    #[must_use]
    pub const fn is_of_another_employer(self) -> bool {
        matches!(self, Self::Dispatched | Self::Contractor)
    }
}

/// While it lasts the person works with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// Its first instant.
    pub from: Timestamp,
    /// Its last instant; `None` until it is changed.
    pub until: Option<Timestamp>,
}

impl Leave {
    /// Whether `now` lies within.
    #[must_use]
    pub fn covers(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now <= until)
    }
}

/// A role that a person was given. It counts only within its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Id of a role of the pack; one that the pack no longer has grants nothing.
    pub role: Name,
    /// Its first instant; `None` from the beginning.
    pub valid_from: Option<Timestamp>,
    /// Its last instant; `None` until it is taken away.
    pub valid_until: Option<Timestamp>,
    /// Id of who approved it.
    pub approved_by: Option<Name>,
    /// The request it was approved by.
    pub request: Option<Name>,
}

impl RoleAssignment {
    /// A role for good, as the first administrators have it.
    #[must_use]
    pub const fn for_good(role: Name) -> Self {
        Self {
            role,
            valid_from: None,
            valid_until: None,
            approved_by: None,
            request: None,
        }
    }

    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= now)
            && self.valid_until.is_none_or(|until| now <= until)
    }

    /// Whether there is an instant at which both count.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |one: &Self, two: &Self| match (one.valid_from, two.valid_until) {
            (Some(from), Some(until)) => from <= until,
            _ => true,
        };
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

/// Addresses that a person may work from besides the networks of their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkException {
    /// From here.
    pub block: IpNet,
    /// Its last instant.
    pub until: Timestamp,
    /// The request or decision behind it.
    pub why: Name,
}

impl NetworkException {
    /// Whether it admits `address` at `now`.
    #[must_use]
    pub fn admits(&self, address: IpAddr, now: Timestamp) -> bool {
        now <= self.until && self.block.contains(&address)
    }
}

/// The confidentiality pledge (秘密保持の誓約).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pledge {
    /// Not given.
    #[default]
    NotGiven,
    /// Given, on a day that nobody noted.
    Given,
    /// Given on a day; from its beginning on it counts.
    GivenOn(Timestamp),
}

impl Pledge {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn is_given(self, now: Timestamp) -> bool {
        match self {
            Self::NotGiven => false,
            Self::Given => true,
            Self::GivenOn(from) => from <= now,
        }
    }
}

/// What the directory knows of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Canonical id ([`id::canonical`]).
    pub id: Name,
    /// For people to read; decides nothing.
    pub display_name: Option<Box<str>>,
    /// Where they work; the first is the primary one. At least one.
    pub departments: Vec<Name>,
    /// How they are employed.
    pub employment_kind: EmploymentKind,
    /// Whose they are, where they are another employer's.
    pub employer: Option<Name>,
    /// The last instant of the employment, once it is known.
    pub employment_end: Option<Timestamp>,
    /// A leave, past, present or to come.
    pub leave: Option<Leave>,
    /// Their roles, each with its time.
    pub roles: Vec<RoleAssignment>,
    /// Where else they may work from.
    pub network_exceptions: Vec<NetworkException>,
    /// Until when their training counts.
    pub trained_until: Option<Timestamp>,
    /// Whether they gave the confidentiality pledge.
    pub pledge: Pledge,
    /// Under which pseudonyms their own data are kept, so that who looks at themselves is noticed.
    pub subjects: Vec<Pseudonym>,
    /// Whether an administrator disabled the account.
    pub disabled: bool,
    /// Raised to end every session of the person: a ticket of an older epoch is revoked.
    pub epoch: u64,
    /// Where the last change of the account is in the log; 0 for who was there before the log.
    pub revision: LogIndex,
}

impl Person {
    /// An enabled employee without roles, training or pledge.
    #[must_use]
    pub fn new(id: Name, department: Name) -> Self {
        Self {
            id,
            display_name: None,
            departments: vec![department],
            employment_kind: EmploymentKind::default(),
            employer: None,
            employment_end: None,
            leave: None,
            roles: Vec::new(),
            network_exceptions: Vec::new(),
            trained_until: None,
            pledge: Pledge::default(),
            subjects: Vec::new(),
            disabled: false,
            epoch: 0,
            revision: LogIndex(0),
        }
    }

    /// The primary department; empty only where there is none, which no reader of people admits.
    #[must_use]
    pub fn department(&self) -> &str {
        self.departments.first().map_or("", |name| name)
    }

    /// Ids of the roles that count at `now`, each once.
    pub fn roles_at(&self, now: Timestamp) -> impl Iterator<Item = &Name> {
        let counting = move |role: &&RoleAssignment| role.counts(now);
        let earlier = move |position: usize, role: &RoleAssignment| {
            let mut before = self.roles.iter().take(position).filter(counting);
            before.any(|other| other.role == role.role)
        };
        self.roles
            .iter()
            .enumerate()
            .filter(move |(position, role)| role.counts(now) && !earlier(*position, role))
            .map(|(_, role)| &role.role)
    }

    /// Whether the employment is over at `now`.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.employment_end.is_some_and(|end| now > end)
    }

    /// Whether they are on leave at `now`.
    #[must_use]
    pub fn is_on_leave(&self, now: Timestamp) -> bool {
        self.leave.is_some_and(|leave| leave.covers(now))
    }

    /// The last instant up to which the dates of the person leave what they may do as it is at `now`.
    #[must_use]
    pub fn unchanged_until(&self, now: Timestamp) -> Timestamp {
        let before = |at: Timestamp| Timestamp::from_micros(at.micros().saturating_sub(1));
        let leave = self.leave.map(|leave| before(leave.from));
        let roles = self.roles.iter().filter_map(|role| role.valid_until);
        let exceptions = self
            .network_exceptions
            .iter()
            .map(|exception| exception.until);
        [self.employment_end, self.trained_until, leave]
            .into_iter()
            .flatten()
            .chain(roles)
            .chain(exceptions)
            .filter(|at| *at >= now)
            .min()
            .unwrap_or(Timestamp::from_micros(i64::MAX))
    }

    /// Whether the account is one to work with at `now`: enabled, employed and not on leave.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.disabled && !self.has_ended(now) && !self.is_on_leave(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn role(id: &str, from: Option<i64>, until: Option<i64>) -> RoleAssignment {
        RoleAssignment {
            valid_from: from.map(at),
            valid_until: until.map(at),
            ..RoleAssignment::for_good(Name::parse(id).unwrap())
        }
    }

    #[test]
    fn a_role_counts_from_its_first_to_its_last_instant_and_once() {
        let mut person = Person::new(Name::parse("p").unwrap(), Name::parse("d").unwrap());
        person.roles = vec![
            role("a", Some(10), Some(20)),
            role("a", Some(20), None),
            role("b", None, Some(9)),
        ];
        let at = |seconds| {
            let roles: Vec<&str> = person.roles_at(at(seconds)).map(|role| &**role).collect();
            roles.join(",")
        };
        assert_eq!(at(9), "b");
        assert_eq!(at(10), "a");
        assert_eq!(at(20), "a");
        assert_eq!(at(21), "a");
    }

    #[test]
    fn assignments_overlap_where_one_instant_is_in_both() {
        let whole = role("a", None, None);
        let early = role("a", Some(0), Some(10));
        let late = role("a", Some(11), None);
        assert!(whole.overlaps(&early) && early.overlaps(&whole));
        assert!(!early.overlaps(&late) && !late.overlaps(&early));
        assert!(early.overlaps(&role("a", Some(10), Some(10))));
    }

    #[test]
    fn leave_disabling_and_the_end_of_employment_each_stop_work() {
        let mut person = Person::new(Name::parse("p").unwrap(), Name::parse("d").unwrap());
        assert!(person.is_active(at(5)));
        person.leave = Some(Leave {
            from: at(5),
            until: Some(at(6)),
        });
        let active = |person: &Person| [4, 5, 6, 7].map(|seconds| person.is_active(at(seconds)));
        assert_eq!(active(&person), [true, false, false, true]);
        person.employment_end = Some(at(6));
        assert_eq!(active(&person), [true, false, false, false]);
        person.disabled = true;
        assert_eq!(active(&person), [false; 4]);
    }

    #[test]
    fn a_pledge_counts_from_its_day_on() {
        assert!(!Pledge::GivenOn(at(5)).is_given(at(4)));
        assert!(Pledge::GivenOn(at(5)).is_given(at(5)));
        assert!(Pledge::Given.is_given(at(0)) && !Pledge::NotGiven.is_given(at(9)));
    }

    #[test]
    fn a_kind_of_employment_reads_as_it_is_written() {
        for kind in EmploymentKind::ALL {
            assert_eq!(EmploymentKind::from_name(kind.name()), Some(kind));
            assert_eq!(EmploymentKind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(
            EmploymentKind::from_name("派遣"),
            Some(EmploymentKind::Dispatched)
        );
        assert_eq!(EmploymentKind::from_name("temp"), None);
    }
}
