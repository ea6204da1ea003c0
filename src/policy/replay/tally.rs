//! What many entries came to, counted and sampled, in bounded memory.

use std::collections::BTreeMap;

use super::compare::{Compared, NotExactly, compare};
use super::facts::{Logged, NotADecision};
use super::outcome::Change;
use crate::decision::rules::RuleSet;
use crate::domain::access::Action;
use crate::domain::ids::LogIndex;
use crate::domain::reason::ReasonCode;
use crate::proto::StoredEntry;

/// How many groups are told apart; what belongs to none of the first is counted together.
const GROUPS_MAX: usize = 1_000;
/// How many entries of a group are named: the first.
pub const SAMPLES_MAX: usize = 5;

/// What makes differing decisions alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// In which way they differ.
    pub change: Change,
    /// Roles of who asked, in the entry's order.
    pub roles: Vec<String>,
    /// The kind of person.
    pub kind: String,
    /// Categories, in the entry's order.
    pub categories: Vec<String>,
    /// The action.
    pub action: Action,
    /// The purpose.
    pub purpose: String,
    /// The first reason under the old rules; `None` for an allowance without remark.
    pub old_reason: Option<ReasonCode>,
    /// The first reason under the new ones.
    pub new_reason: Option<ReasonCode>,
}

/// Differing decisions of one sort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// Which the first were; at most [`SAMPLES_MAX`].
    pub samples: Vec<LogIndex>,
    /// Of the first: by which rule under the old ones and under the new ones, `file:line`; empty for none.
    pub rules: (Box<str>, Box<str>),
}

/// What many entries came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Decided alike.
    pub alike: u64,
    /// Decided otherwise, by way.
    pub differing: BTreeMap<Change, u64>,
    /// Not to be decided anew exactly, by what the entries lack.
    pub not_exactly: BTreeMap<NotExactly, u64>,
    /// Answered as another had been.
    pub repeats: u64,
    /// Their content can't be read.
    pub unreadable: u64,
    /// Those that differ, by sort: the first thousand sorts.
    pub groups: BTreeMap<GroupKey, Group>,
    /// Those that differ and belong to none of `groups`.
    pub ungrouped: u64,
}

impl Tally {
    /// Compares an entry and counts it. One that is no decision is not counted.
    pub fn take(&mut self, old: &RuleSet, new: &RuleSet, index: LogIndex, entry: &StoredEntry) {
        match Logged::of(entry) {
            Ok(logged) => self.count(index, &logged, compare(old, new, &logged)),
            Err(NotADecision::OtherKind) => {}
            Err(NotADecision::Repeat) => add_one(&mut self.repeats),
            Err(NotADecision::Unreadable) => add_one(&mut self.unreadable),
        }
    }

    /// Counts an entry that was compared.
    pub fn count(&mut self, index: LogIndex, logged: &Logged, compared: Compared) {
        let difference = match compared {
            Compared::Alike => return add_one(&mut self.alike),
            Compared::NotExactly(lacking) => {
                return add_one(self.not_exactly.entry(lacking).or_default());
            }
            Compared::Differs(difference) => *difference,
        };
        add_one(self.differing.entry(difference.change).or_default());
        let text = |name: Option<&crate::domain::ids::Name>| {
            name.map_or_else(String::new, ToString::to_string)
        };
        let request = &logged.request;
        let key = GroupKey {
            change: difference.change,
            roles: logged.roles.clone(),
            kind: text(request.subject_kind.as_ref()),
            categories: request.categories.iter().map(ToString::to_string).collect(),
            action: request.action,
            purpose: text(request.purpose.as_ref()),
            old_reason: difference.old.reason,
            new_reason: difference.new.reason,
        };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            return add_one(&mut self.ungrouped);
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            rules: (difference.old.rule, difference.new.rule),
            ..Group::default()
        });
        add_one(&mut group.count);
        if group.samples.len() < SAMPLES_MAX {
            group.samples.push(index);
        }
    }

    /// How many decisions were decided anew, exactly or not.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        let not_exactly = self.not_exactly.values().copied();
        not_exactly
            .chain([self.alike, self.differ()])
            .fold(0, u64::saturating_add)
    }

    /// How many differ.
    #[must_use]
    pub fn differ(&self) -> u64 {
        let differing = self.differing.values().copied();
        differing.fold(0, u64::saturating_add)
    }
}

fn add_one(count: &mut u64) {
    *count = count.saturating_add(1);
}
