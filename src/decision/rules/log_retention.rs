//! How long entries of the access log are kept: classes, each with a period, and which entries belong to which.

use super::{Category, Id, IdSet, Kind};
use crate::domain::calendar::Period;

/// A kind of entry that a class may name. The daemon's own (starts, stops, disposals, state of the log) and what people decide
/// about the log stay in the default class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedKind {
    /// A decision.
    Decision,
    /// What came of one.
    Outcome,
    /// A step of a login.
    Authentication,
    /// Somebody read the log.
    LogRead,
    /// A call that was refused.
    RefusedCall,
}

impl LoggedKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Decision,
        Self::Outcome,
        Self::Authentication,
        Self::LogRead,
        Self::RefusedCall,
    ];

    /// As the API spells it, without the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "DECISION",
            Self::Outcome => "OUTCOME",
            Self::Authentication => "AUTHENTICATION",
            Self::LogRead => "LOG_READ",
            Self::RefusedCall => "REFUSED_CALL",
        }
    }

    /// Reads a [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Entries that are kept for another time than most.
#[derive(Debug, Clone)]
pub struct LogClass {
    /// Names it in the log and in the names of keys.
    pub id: Box<str>,
    /// How long.
    pub period: Period,
    /// Only what names these categories, those they cover included; `None` for any.
    pub categories: Option<IdSet<Category>>,
    /// Only of these kinds of person; `None` for any.
    pub kinds: Option<IdSet<Kind>>,
    /// Only these kinds of entry; empty for any of [`LoggedKind::ALL`].
    pub entries: Vec<LoggedKind>,
    /// Line in pack.toml.
    pub line: u32,
}

/// How long the access log is kept.
#[derive(Debug, Clone)]
pub struct LogRetention {
    /// What belongs to no class.
    pub default: Period,
    /// The longest first.
    classes: Vec<LogClass>,
    /// For how many years there are records of provision and of receipt, and their classes; the shortest first.
    records: Vec<(u16, Box<str>)>,
}

impl Default for LogRetention {
    fn default() -> Self {
        Self::new(Period::years(3), Vec::new())
    }
}

/// What the ids of the classes of records begin with, and end with; the years are between.
const RECORDS: (&str, &str) = ("provision-record-", "y");

impl LogRetention {
    /// Id of the class of what belongs to no other.
    pub const DEFAULT: &'static str = "default";

    /// Classes in any order.
    #[must_use]
    pub fn new(default: Period, mut classes: Vec<LogClass>) -> Self {
        classes.sort_by_key(|class| std::cmp::Reverse(class.period.length()));
        let mut retention = Self {
            default,
            classes,
            records: Vec::new(),
        };
        retention.keep_records([Self::RECEIPT_YEARS].into_iter());
        retention
    }

    /// How long a record of receipt is kept (APPI Art. 30(4)).
    pub const RECEIPT_YEARS: u16 = 3;

    /// There are records that are kept for so many years.
    pub fn keep_records(&mut self, years: impl Iterator<Item = u16>) {
        let (head, tail) = RECORDS;
        let more = years.map(|years| (years, format!("{head}{years}{tail}").into()));
        self.records.extend(more);
        self.records.sort_unstable();
        self.records.dedup();
    }

    /// The class of a record that is kept for so many years: the next longer one where the pack has none just so.
    #[must_use]
    pub fn record_class(&self, years: u16) -> Option<(&str, Period)> {
        let found = self.records.iter().find(|(kept, _)| *kept >= years);
        found
            .or(self.records.last())
            .map(|(years, id)| (&**id, Period::years(*years)))
    }

    /// Whether an id is one of those that records have.
    #[must_use]
    pub fn is_of_records(id: &str) -> bool {
        record_years(id).is_some()
    }

    /// The classes besides the default one, the longest first.
    #[must_use]
    pub fn classes(&self) -> &[LogClass] {
        &self.classes
    }

    /// The ids of all classes, the default one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(Self::DEFAULT)
            .chain(self.classes.iter().map(|class| &*class.id))
            .chain(self.records.iter().map(|(_, id)| &**id))
    }

    /// How long a class is kept; one that the pack has no longer, as long as the default one. The classes of records mean the
    /// same under every pack.
    #[must_use]
    pub fn period(&self, id: &str) -> Period {
        if let Some(years) = record_years(id) {
            return Period::years(years);
        }
        let class = self.classes.iter().find(|class| *class.id == *id);
        class.map_or(self.default, |class| class.period)
    }

    /// The shortest period of all.
    #[must_use]
    pub fn shortest(&self) -> Period {
        match self.classes.last() {
            Some(class) if class.period.length() < self.default.length() => class.period,
            _ => self.default,
        }
    }

    /// Whether a period is shorter than the default one.
    #[must_use]
    pub fn is_short(&self, period: Period) -> bool {
        period.length() < self.default.length()
    }

    /// The class of an entry, by its kind, its kind of person and its categories as the pack knows them (`None` for a word
    /// that it doesn't). For each category the longest class that fits, else the default one; for the entry, the longest of
    /// those: what names several things is kept for as long as the longest asks.
    #[must_use]
    pub fn class_of(
        &self,
        entry: Option<LoggedKind>,
        kind: Option<Id<Kind>>,
        categories: impl Iterator<Item = Option<Id<Category>>>,
    ) -> (&str, Period) {
        let default = (Self::DEFAULT, self.default);
        let Some(entry) = entry.filter(|_| !self.classes.is_empty()) else {
            return default;
        };
        let of = |category: Option<Option<Id<Category>>>| {
            let fits = |class: &&LogClass| {
                (class.entries.is_empty() || class.entries.contains(&entry))
                    && class
                        .kinds
                        .as_ref()
                        .is_none_or(|kinds| kind.is_some_and(|kind| kinds.contains(kind)))
                    && class.categories.as_ref().is_none_or(|categories| {
                        category
                            .flatten()
                            .is_some_and(|category| categories.contains(category))
                    })
            };
            let found = self.classes.iter().find(fits);
            found.map_or(default, |class| (&*class.id, class.period))
        };
        let mut longest: Option<(&str, Period)> = None;
        for category in categories {
            let class = of(Some(category));
            if longest.is_none_or(|(_, period)| class.1.length() > period.length()) {
                longest = Some(class);
            }
        }
        longest.unwrap_or_else(|| of(None))
    }
}

/// The years of a class of records.
fn record_years(id: &str) -> Option<u16> {
    let (head, tail) = RECORDS;
    let years = id.strip_prefix(head)?.strip_suffix(tail)?;
    let plain = !years.starts_with('0') && years.bytes().all(|byte| byte.is_ascii_digit());
    years.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::rules::Table;

    struct World {
        categories: Table<Category>,
        kinds: Table<Kind>,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                categories: Table::default(),
                kinds: Table::default(),
            };
            for id in ["identity", "health", "contract"] {
                world.categories.add(id, Category::default()).unwrap();
            }
            for id in ["job-seeker", "employee"] {
                world.kinds.add(id, Kind::default()).unwrap();
            }
            world
        }

        fn class(&self, id: &str, period: &str, categories: &[&str], kinds: &[&str]) -> LogClass {
            fn set<'a, 'b>(ids: &'a [&'b str]) -> Option<&'a [&'b str]> {
                (!ids.is_empty()).then_some(ids)
            }
            LogClass {
                id: id.into(),
                period: Period::parse(period).unwrap(),
                categories: set(categories).map(|ids| {
                    ids.iter()
                        .map(|id| self.categories.id(id).unwrap())
                        .collect()
                }),
                kinds: set(kinds)
                    .map(|ids| ids.iter().map(|id| self.kinds.id(id).unwrap()).collect()),
                entries: Vec::new(),
                line: 1,
            }
        }

        fn of<'a>(&self, rules: &'a LogRetention, kind: &str, categories: &[&str]) -> &'a str {
            let categories = categories.iter().map(|id| self.categories.id(id));
            let class = rules.class_of(Some(LoggedKind::Decision), self.kinds.id(kind), categories);
            class.0
        }
    }

    #[test]
    fn an_entry_is_kept_for_as_long_as_the_longest_of_what_it_names() {
        let world = World::new();
        let rules = LogRetention::new(
            Period::years(3),
            vec![
                world.class("health", "1y", &["health"], &[]),
                world.class("contracts", "7y", &["contract"], &[]),
                world.class("health-of-employees", "5y", &["health"], &["employee"]),
            ],
        );
        for (kind, categories, class) in [
            ("job-seeker", &["health"][..], "health"),
            ("job-seeker", &["health", "identity"], "default"),
            ("job-seeker", &["health", "unknown"], "default"),
            ("job-seeker", &["health", "contract"], "contracts"),
            ("employee", &["health"], "health-of-employees"),
            ("job-seeker", &[], "default"),
            ("nobody", &["identity"], "default"),
        ] {
            assert_eq!(
                world.of(&rules, kind, categories),
                class,
                "{kind} {categories:?}"
            );
        }
        assert_eq!(rules.shortest(), Period::years(1));
        let own = rules.class_of(None, None, [world.categories.id("health")].into_iter());
        assert_eq!(own.0, "default", "the daemon's own entries");
    }

    #[test]
    fn a_class_of_a_kind_of_entry_alone_is_for_what_names_no_category_too() {
        let world = World::new();
        let class = LogClass {
            entries: vec![LoggedKind::Authentication],
            ..world.class("logins", "1y", &[], &[])
        };
        let rules = LogRetention::new(Period::years(3), vec![class]);
        let of = |entry| rules.class_of(Some(entry), None, std::iter::empty()).0;
        assert_eq!(of(LoggedKind::Authentication), "logins");
        assert_eq!(of(LoggedKind::Decision), "default");
    }

    #[test]
    fn records_have_classes_that_mean_the_same_under_every_pack() {
        let mut rules = LogRetention::new(Period::years(1), Vec::new());
        rules.keep_records([7, 3, 1].into_iter());
        let class = |years| rules.record_class(years).unwrap();
        assert_eq!(class(1), ("provision-record-1y", Period::years(1)));
        assert_eq!(class(2).0, "provision-record-3y", "the next longer one");
        assert_eq!(class(9).0, "provision-record-7y", "the longest there is");
        let ids: Vec<&str> = rules.ids().collect();
        assert_eq!(
            ids,
            [
                "default",
                "provision-record-1y",
                "provision-record-3y",
                "provision-record-7y"
            ]
        );
        let other = LogRetention::default();
        assert_eq!(other.period("provision-record-7y"), Period::years(7));
        for none in [
            "provision-record-y",
            "provision-record-03y",
            "provision-record-3",
            "x",
        ] {
            assert!(!LogRetention::is_of_records(none), "{none}");
            assert_eq!(other.period(none), other.default);
        }
    }
}
