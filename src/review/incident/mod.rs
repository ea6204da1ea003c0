//! Incidents with personal data (漏えい等, APPI Art. 26): what was done about one, which triggers of the duty to report apply, who is
//! to be told by when, and the nine items of the report.
//!
//! | file | job |
//! |---|---|
//! | `tally` | entries that fit into numbers: who, whose, what, when |
//! | `triggers` | whether it is to be reported, as far as the log can tell |
//! | `clocks` | the last day of each report, and how it stands |
//! | `draft` | the nine items, from the log and from what people entered |
//!
//! Here nothing is filed and nothing is decided for people: what the log can't tell is asked, and until it is answered clocks run as
//! if it were so.

pub mod clocks;
pub mod draft;
pub mod tally;
pub mod triggers;

use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::proto::stored_incident_step::What;
use crate::proto::{StoredFiling, StoredIncident, StoredIncidentStep, StoredScope};

use triggers::{Trigger, Verdict};

/// A text in English and in Japanese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

impl Told {
    /// One in both languages.
    pub fn new(en: impl Into<String>, ja: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            ja: ja.into(),
        }
    }
}

/// An item of the report (APPI Enforcement Rules Art. 8(1), items 1 to 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// 概要
    Summary,
    /// 項目
    DataItems,
    /// 人数
    People,
    /// 原因
    Cause,
    /// 二次被害
    SecondaryDamage,
    /// 本人への対応
    Subjects,
    /// 公表
    Publication,
    /// 再発防止
    Prevention,
    /// その他
    Other,
}

impl Item {
    /// All nine, in their order.
    pub const ALL: [Self; 9] = [
        Self::Summary,
        Self::DataItems,
        Self::People,
        Self::Cause,
        Self::SecondaryDamage,
        Self::Subjects,
        Self::Publication,
        Self::Prevention,
        Self::Other,
    ];

    /// Its number, of the rules and of the API.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32 + 1
    }

    /// The item of a number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|item| item.number() == number)
    }

    /// Its word in entries and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::DataItems => "data-items",
            Self::People => "people",
            Self::Cause => "cause",
            Self::SecondaryDamage => "secondary-damage",
            Self::Subjects => "subjects",
            Self::Publication => "publication",
            Self::Prevention => "prevention",
            Self::Other => "other",
        }
    }

    /// As reports head it, in English and in Japanese.
    #[must_use]
    pub const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Summary => ("Summary", "概要"),
            Self::DataItems => (
                "Items of the personal data",
                "漏えい等が発生し、又は発生したおそれがある個人データの項目",
            ),
            Self::People => (
                "Number of people",
                "漏えい等が発生し、又は発生したおそれがある個人データに係る本人の数",
            ),
            Self::Cause => ("Cause", "原因"),
            Self::SecondaryDamage => (
                "Secondary damage, or the risk of it",
                "二次被害又はそのおそれの有無及びその内容",
            ),
            Self::Subjects => ("What was done for the people", "本人への対応の実施状況"),
            Self::Publication => ("Publication", "公表の実施状況"),
            Self::Prevention => (
                "Measures against its happening again",
                "再発防止のための措置",
            ),
            Self::Other => ("Other", "その他参考となる事項"),
        }
    }
}

/// A person's step, as the store keeps it: what they wrote is in the entry alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its entry.
    pub index: LogIndex,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub what: What,
}

/// An incident and what was done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The entry that opened it.
    pub id: LogIndex,
    /// What it was opened with.
    pub opened: StoredIncident,
    /// In the order of the log.
    pub steps: Vec<Step>,
}

impl Incident {
    /// From what the store keeps; steps in the order of the log. One of which nothing is said is left out.
    #[must_use]
    pub fn new(
        id: LogIndex,
        opened: StoredIncident,
        steps: Vec<(LogIndex, StoredIncidentStep)>,
    ) -> Self {
        let steps = steps.into_iter().filter_map(|(index, step)| {
            Some(Step {
                index,
                at: Timestamp::from_micros(step.at_us),
                by: step.by,
                what: step.what?,
            })
        });
        Self {
            id,
            opened,
            steps: steps.collect(),
        }
    }

    /// When it became known.
    #[must_use]
    pub const fn aware(&self) -> Timestamp {
        Timestamp::from_micros(self.opened.aware_us)
    }

    /// What it affects, as it was looked for last, and the step.
    #[must_use]
    pub fn scope(&self) -> Option<(&Step, &StoredScope)> {
        self.scopes().last()
    }

    /// Every scope that was made, the oldest first.
    pub fn scopes(&self) -> impl DoubleEndedIterator<Item = (&Step, &StoredScope)> {
        self.steps.iter().filter_map(|step| match &step.what {
            What::Scope(scope) => Some((step, scope)),
            _ => None,
        })
    }

    /// What a person judged last of a trigger.
    #[must_use]
    pub fn judged(&self, trigger: Trigger) -> Option<(&Step, Verdict)> {
        self.steps.iter().rev().find_map(|step| match &step.what {
            What::Judged(judged) if judged.trigger == trigger.number() => {
                Some((step, Verdict::from_number(judged.verdict)?))
            }
            _ => None,
        })
    }

    /// What was recorded first of a clock, since that is when it stopped; a report takes the place of a word that none is needed.
    #[must_use]
    pub fn filed(&self, clock: &str) -> Option<(&Step, &StoredFiling)> {
        let mut filed = self.steps.iter().filter_map(|step| match &step.what {
            What::Filed(filing) if filing.clock == clock => Some((step, filing)),
            _ => None,
        });
        let first = filed.next()?;
        if !first.1.not_required {
            return Some(first);
        }
        Some(
            filed
                .find(|(_, filing)| !filing.not_required)
                .unwrap_or(first),
        )
    }

    /// When the people were told first, by whose step, and how many.
    #[must_use]
    pub fn notified(&self) -> Option<(&Step, Timestamp, u64)> {
        self.steps.iter().find_map(|step| match &step.what {
            What::Notified(told) => {
                let at = Timestamp::from_micros(told.notified_us);
                Some((step, at, told.people))
            }
            _ => None,
        })
    }

    /// The step that says most lately what is known of an item.
    #[must_use]
    pub fn entered(&self, item: Item) -> Option<&Step> {
        let number = item.number();
        let is = |step: &&Step| matches!(step.what, What::Item(of) if of == number);
        self.steps.iter().rev().find(is)
    }

    /// The step that closed it.
    #[must_use]
    pub fn closed(&self) -> Option<&Step> {
        let is = |step: &&Step| matches!(step.what, What::Closed(_));
        self.steps.iter().find(is)
    }
}
