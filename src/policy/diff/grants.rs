//! The compiled grants of two packs, tuple by tuple.

use std::collections::HashMap;

use super::Joint;
use crate::decision::RuleLine;
use crate::decision::entitlements::{Use, extends};
use crate::decision::rules::{
    Actions, Category, GrantKey, GrantedActions, Kind, Purpose, Role, RuleSet,
};
use crate::domain::access::Action;

/// What becomes of an action on a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It was not allowed, and is.
    Allowed,
    /// It was not allowed, and is at the request of the person the data are about.
    AllowedOnRequest,
    /// It was allowed at their request, and is always.
    AllowedAlways,
    /// It was allowed, and is not.
    Denied,
    /// It was always allowed, and is only at their request.
    OnRequestOnly,
    /// It was not allowed, and a row denies it now, also to who has another role that is allowed it.
    RuledOut,
    /// A row denied it, and none does.
    NotRuledOut,
}

impl How {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::Allowed,
        Self::AllowedOnRequest,
        Self::AllowedAlways,
        Self::Denied,
        Self::OnRequestOnly,
        Self::RuledOut,
        Self::NotRuledOut,
    ];

    /// As programs read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::AllowedOnRequest => "allowed-on-request",
            Self::AllowedAlways => "allowed-always",
            Self::Denied => "denied",
            Self::OnRequestOnly => "on-request-only",
            Self::RuledOut => "ruled-out",
            Self::NotRuledOut => "not-ruled-out",
        }
    }

    /// Whether more is allowed by it.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(
            self,
            Self::Allowed | Self::AllowedOnRequest | Self::AllowedAlways | Self::NotRuledOut
        )
    }

    fn actions(self, delta: &Delta) -> Actions {
        let (old, new) = (delta.old, delta.new);
        let could = |of: GrantedActions| of.always.or(of.on_request);
        match self {
            Self::Allowed => new.always.without(could(old)),
            Self::AllowedOnRequest => new.on_request.without(could(old)),
            Self::AllowedAlways => new.always.and(old.on_request),
            Self::Denied => could(old).without(could(new)),
            Self::OnRequestOnly => new.on_request.and(old.always),
            Self::RuledOut => new.denied.without(old.denied).without(could(old)),
            Self::NotRuledOut => old.denied.without(new.denied).without(could(new)),
        }
    }
}

/// One row of what changed: what is below a category in the hierarchy changes with it and has no row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantChange {
    /// What becomes of it.
    pub how: How,
    /// Whose.
    pub role: String,
    /// The kind of person the data are about.
    pub kind: String,
    /// Which data.
    pub category: String,
    /// By which actions.
    pub actions: Vec<Action>,
    /// What for.
    pub purpose: String,
    /// The row of the old policy.csv that said otherwise of the first of the actions.
    pub old_rule: Option<RuleLine>,
    /// The row of the new one that says so.
    pub new_rule: Option<RuleLine>,
}

/// Numbers of names; in order of role, kind, purpose, category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tuple {
    pub(super) role: u32,
    pub(super) kind: u32,
    pub(super) purpose: u32,
    pub(super) category: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Delta {
    pub(super) tuple: Tuple,
    old: GrantedActions,
    new: GrantedActions,
}

impl Delta {
    /// Every action on which something differs.
    pub(super) fn actions(&self) -> Actions {
        let all = How::ALL.iter().map(|how| how.actions(self));
        all.fold(Actions::default(), Actions::or)
    }
}

/// How the grants of two packs differ.
#[derive(Debug)]
pub struct GrantChanges<'a> {
    pub(super) old: &'a RuleSet,
    pub(super) new: &'a RuleSet,
    pub(super) roles: Joint<'a, Role>,
    pub(super) kinds: Joint<'a, Kind>,
    pub(super) categories: Joint<'a, Category>,
    pub(super) purposes: Joint<'a, Purpose>,
    pub(super) deltas: Vec<Delta>,
    /// How many of (role, kind, category, action, purpose) change in each way, items and all; only ways that occur.
    pub tuples: Vec<(How, usize)>,
    rows: Vec<(How, usize, Actions)>,
}

/// Compares the grants of two packs. Takes time with the number of tuples that they resolve to, a third of a microsecond or so for
/// each, and memory with the number of those that differ.
#[must_use]
pub fn grant_changes<'a>(old: &'a RuleSet, new: &'a RuleSet) -> GrantChanges<'a> {
    let mut changes = GrantChanges {
        old,
        new,
        roles: Joint::of(&old.roles, &new.roles),
        kinds: Joint::of(&old.kinds, &new.kinds),
        categories: Joint::of(&old.categories, &new.categories),
        purposes: Joint::of(&old.purposes, &new.purposes),
        deltas: Vec::new(),
        tuples: Vec::new(),
        rows: Vec::new(),
    };
    changes.find();
    changes.gather();
    changes
}

/// What a pack grants on a tuple: nothing where the purpose doesn't extend to it.
fn granted(rules: &RuleSet, key: Option<GrantKey>) -> GrantedActions {
    let Some(key) = key else {
        return GrantedActions::default();
    };
    let extended = extends(
        rules,
        Use {
            kind: key.kind,
            category: key.category,
            purpose: key.purpose,
            action: Action::Read, // a purpose is for all
        },
    );
    if extended {
        rules.grants.actions(key)
    } else {
        GrantedActions::default()
    }
}

impl GrantChanges<'_> {
    pub(super) fn old_key(&self, tuple: Tuple) -> Option<GrantKey> {
        Some(GrantKey {
            role: self.roles.id_in_old(tuple.role)?,
            kind: self.kinds.id_in_old(tuple.kind)?,
            category: self.categories.id_in_old(tuple.category)?,
            purpose: self.purposes.id_in_old(tuple.purpose)?,
        })
    }

    pub(super) fn new_key(&self, tuple: Tuple) -> Option<GrantKey> {
        Some(GrantKey {
            role: self.roles.id_in_new(tuple.role)?,
            kind: self.kinds.id_in_new(tuple.kind)?,
            category: self.categories.id_in_new(tuple.category)?,
            purpose: self.purposes.id_in_new(tuple.purpose)?,
        })
    }

    /// What a tuple would use under the old pack, whichever role asks.
    pub(super) fn old_use(&self, tuple: Tuple, action: Action) -> Option<Use> {
        Some(Use {
            kind: self.kinds.id_in_old(tuple.kind)?,
            category: self.categories.id_in_old(tuple.category)?,
            purpose: self.purposes.id_in_old(tuple.purpose)?,
            action,
        })
    }

    /// The same under the new one.
    pub(super) fn new_use(&self, tuple: Tuple, action: Action) -> Option<Use> {
        Some(Use {
            kind: self.kinds.id_in_new(tuple.kind)?,
            category: self.categories.id_in_new(tuple.category)?,
            purpose: self.purposes.id_in_new(tuple.purpose)?,
            action,
        })
    }

    fn find(&mut self) {
        let mut deltas = Vec::new();
        for key in self.old.grants.keys() {
            let tuple = Tuple {
                role: self.roles.of_old(key.role),
                kind: self.kinds.of_old(key.kind),
                category: self.categories.of_old(key.category),
                purpose: self.purposes.of_old(key.purpose),
            };
            let old = granted(self.old, Some(key));
            let new = granted(self.new, self.new_key(tuple));
            if old != new {
                deltas.push(Delta { tuple, old, new });
            }
        }
        for key in self.new.grants.keys() {
            let tuple = Tuple {
                role: self.roles.of_new(key.role),
                kind: self.kinds.of_new(key.kind),
                category: self.categories.of_new(key.category),
                purpose: self.purposes.of_new(key.purpose),
            };
            // What the old one has, too, was seen above.
            let seen = |key| self.old.grants.contains(key);
            if self.old_key(tuple).is_some_and(seen) {
                continue;
            }
            let (old, new) = (GrantedActions::default(), granted(self.new, Some(key)));
            if old != new {
                deltas.push(Delta { tuple, old, new });
            }
        }
        deltas.sort_unstable_by_key(|delta| delta.tuple);
        self.deltas = deltas;
    }

    /// The category above one, by the new pack where that has it.
    fn parent(&self, category: u32) -> Option<u32> {
        if let Some(id) = self.categories.id_in_new(category) {
            let parent = self.new.categories.get(id)?.parent?;
            return Some(self.categories.of_new(parent));
        }
        let id = self.categories.id_in_old(category)?;
        let parent = self.old.categories.get(id)?.parent?;
        Some(self.categories.of_old(parent))
    }

    fn gather(&mut self) {
        let by_tuple: HashMap<Tuple, &Delta> = self
            .deltas
            .iter()
            .map(|delta| (delta.tuple, delta))
            .collect();
        let mut rows = Vec::new();
        for how in How::ALL {
            let mut count = 0_usize;
            for (position, delta) in self.deltas.iter().enumerate() {
                let actions = how.actions(delta);
                if actions.is_empty() {
                    continue;
                }
                count = count.saturating_add(actions.iter().count());
                let above = self.parent(delta.tuple.category).and_then(|category| {
                    let tuple = Tuple {
                        category,
                        ..delta.tuple
                    };
                    Some(how.actions(by_tuple.get(&tuple)?))
                });
                let own = actions.without(above.unwrap_or_default());
                if !own.is_empty() {
                    rows.push((how, position, own));
                }
            }
            if count > 0 {
                self.tuples.push((how, count));
            }
        }
        self.rows = rows;
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, by way and then in the order of names. Each is put into words when it is asked for.
    pub fn rows(&self) -> impl Iterator<Item = GrantChange> {
        self.rows.iter().filter_map(|(how, position, actions)| {
            let delta = self.deltas.get(*position)?;
            Some(self.row(*how, delta.tuple, *actions))
        })
    }

    fn row(&self, how: How, tuple: Tuple, actions: Actions) -> GrantChange {
        let first = actions.iter().next();
        let line = |rules: &RuleSet, key: Option<GrantKey>| {
            let (key, action) = (key?, first?);
            let grants = &rules.grants;
            let denied = grants.denies(key, action);
            denied.or_else(|| grants.allows(key, action, true))
        };
        GrantChange {
            how,
            role: self.roles.name(tuple.role).to_owned(),
            kind: self.kinds.name(tuple.kind).to_owned(),
            category: self.categories.name(tuple.category).to_owned(),
            actions: actions.iter().collect(),
            purpose: self.purposes.name(tuple.purpose).to_owned(),
            old_rule: line(self.old, self.old_key(tuple)).map(RuleLine::Grants),
            new_rule: line(self.new, self.new_key(tuple)).map(RuleLine::Grants),
        }
    }
}
