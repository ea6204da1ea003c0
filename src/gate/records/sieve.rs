//! Which entries are wanted, and whether one is.

use ipnet::IpNet;

use crate::domain::access::{Action, SubjectRef};
use crate::domain::ids::Name;
use crate::domain::network::parse_address;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::index::{Condition, Query};
use crate::log::Period;
use crate::proto::StoredEntry;

/// Which entries are wanted: all that fit every condition that is set.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Who acted.
    pub person: Option<Name>,
    /// Whose data; looked up by pseudonym.
    pub subject: Option<SubjectRef>,
    /// This category or one that it covers.
    pub category: Option<Name>,
    /// Purpose of use.
    pub purpose: Option<Name>,
    /// What was done.
    pub action: Option<Action>,
    /// How it was decided; the API's number.
    pub decision: Option<i32>,
    /// A reason of the answer or a further one; the API's number.
    pub reason: Option<i32>,
    /// The calling service.
    pub caller: Option<Name>,
    /// The device's address is in this block.
    pub client_ip: Option<IpNet>,
    /// Only where break glass was used.
    pub break_glass_only: bool,
    /// The kind of entry; the API's number.
    pub kind: Option<i32>,
    /// System.
    pub system: Option<Name>,
    /// Kind of person.
    pub subject_kind: Option<Name>,
    /// Department of who acted.
    pub department: Option<Name>,
    /// Recipient.
    pub recipient: Option<Name>,
    /// Case reference.
    pub case_ref: Option<Name>,
}

/// The conditions that are set, for the log.
impl std::fmt::Display for EntryFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        let mut say = |name: &str, value: Option<&dyn std::fmt::Display>| match value {
            Some(value) => {
                let gap = if std::mem::take(&mut first) { "" } else { " " };
                write!(f, "{gap}{name}={value}")
            }
            None => Ok(()),
        };
        macro_rules! each {
            ($($field:ident)+) => { $(say(stringify!($field), self.$field.as_ref().map(|value| value as &dyn std::fmt::Display))?;)+ };
        }
        each!(from until person category purpose action decision reason caller client_ip kind system subject_kind department recipient case_ref);
        say(
            "break_glass_only",
            self.break_glass_only
                .then_some(&true as &dyn std::fmt::Display),
        )
    }
}

/// A filter, ready to look at entries. It alone says what fits; the index only spares looking.
#[derive(Debug, Clone)]
pub struct Sieve {
    pub(in crate::gate) filter: EntryFilter,
    /// Of the filter's subject; a filter with a subject and no pseudonym fits nothing.
    pub(in crate::gate) subject: Option<Pseudonym>,
    /// Of a reader who may see no others' entries: theirs, at least one.
    pub(in crate::gate) only_departments: Option<Vec<Name>>,
}

impl Sieve {
    /// For a filter whose subject, where it has one, has this pseudonym, and for readers of these departments alone where they
    /// are given.
    #[must_use]
    pub fn new(
        filter: EntryFilter,
        subject: Option<Pseudonym>,
        only_departments: Option<Vec<Name>>,
    ) -> Self {
        Self {
            filter,
            subject,
            only_departments,
        }
    }

    /// From when until when entries can fit.
    #[must_use]
    pub fn period(&self) -> Period {
        Period {
            from: self.filter.from,
            until: self.filter.until,
        }
    }

    /// What the index can say of it: every entry that fits is among the query's, those who don't may be.
    #[must_use]
    pub fn query(&self) -> Query {
        let filter = &self.filter;
        let conditions = [
            // The rarest first.
            self.subject
                .as_ref()
                .map(|subject| Condition::Subject(&subject.0)),
            filter.case_ref.as_deref().map(Condition::CaseRef),
            filter.person.as_deref().map(Condition::Person),
            filter.break_glass_only.then_some(Condition::BreakGlass),
            filter.reason.map(Condition::Reason),
            filter.recipient.as_deref().map(Condition::Recipient),
            filter.category.as_deref().map(Condition::Category),
            self.only_departments.as_deref().and_then(|own| match own {
                [only] => Some(Condition::Department(only)),
                // A query takes no alternatives: what fits is looked at below.
                _ => None,
            }),
            filter.department.as_deref().map(Condition::Department),
            filter.purpose.as_deref().map(Condition::Purpose),
            filter.caller.as_deref().map(Condition::Caller),
            filter.system.as_deref().map(Condition::System),
            filter.subject_kind.as_deref().map(Condition::SubjectKind),
            filter
                .action
                .map(|action| Condition::Action(action.number())),
            filter.decision.map(Condition::Decision),
            filter.kind.map(Condition::Kind),
        ];
        let query = conditions
            .into_iter()
            .flatten()
            .fold(Query::all(), Query::and);
        match filter.client_ip {
            Some(block) => query.from_block(block),
            None => query,
        }
    }

    /// Whether an entry is wanted and may be seen.
    #[must_use]
    pub fn fits(&self, entry: &StoredEntry) -> bool {
        let time = Timestamp::from_micros(entry.time_us);
        let filter = &self.filter;
        let same = |wanted: &Option<Name>, has: &str| {
            wanted.as_ref().is_none_or(|wanted| **wanted == *has)
        };
        let covers = |wanted: &str, has: &str| {
            has.strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let of_department = |wanted: &Name| {
            **wanted == *entry.department
                || entry
                    .further_departments
                    .iter()
                    .any(|has| **wanted == **has)
        };
        self.only_departments
            .as_ref()
            .is_none_or(|own| own.iter().any(of_department))
            && (filter.subject.is_none() || self.subject.is_some())
            && filter.from.is_none_or(|from| time >= from)
            && filter.until.is_none_or(|until| time < until)
            && filter.kind.is_none_or(|kind| kind == entry.kind)
            && filter
                .decision
                .is_none_or(|decision| decision == entry.decision)
            && filter
                .action
                .is_none_or(|action| action.number() == entry.action)
            && filter.reason.is_none_or(|code| {
                let mut reasons = entry.reasons.iter().chain(&entry.further_reasons);
                reasons.any(|reason| reason.code == code)
            })
            && (!filter.break_glass_only || entry.break_glass)
            && same(&filter.person, &entry.person)
            && same(&filter.purpose, &entry.purpose)
            && same(&filter.caller, &entry.caller)
            && same(&filter.system, &entry.system)
            && same(&filter.subject_kind, &entry.subject_kind)
            && filter.department.as_ref().is_none_or(of_department)
            && same(&filter.recipient, &entry.recipient)
            && same(&filter.case_ref, &entry.case_ref)
            && filter
                .category
                .as_ref()
                .is_none_or(|wanted| entry.categories.iter().any(|has| covers(wanted, has)))
            && self
                .subject
                .is_none_or(|subject| entry.subjects.iter().any(|has| **has == subject.0))
            && filter.client_ip.is_none_or(|block| {
                parse_address(&entry.client_ip).is_ok_and(|address| block.contains(&address))
            })
    }
}

#[cfg(test)]
mod tests;
