//! What the roles may do, resolved.

use std::collections::HashMap;

use super::{Actions, Category, Id, Kind, Purpose, Role};
use crate::domain::access::Action;

/// One tuple of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantKey {
    /// The role that asks, inheritance resolved.
    pub role: Id<Role>,
    /// Kind of person.
    pub kind: Id<Kind>,
    /// The category asked for, hierarchy resolved.
    pub category: Id<Category>,
    /// Purpose of use.
    pub purpose: Id<Purpose>,
}

/// Line of policy.csv by action, 0 for none.
#[derive(Debug, Clone, Copy, Default)]
struct Lines([u32; Action::ALL.len() + 1]);

impl Lines {
    fn at(&self, action: Action) -> Option<u32> {
        self.0
            .get(usize::from(action as u8))
            .copied()
            .filter(|line| *line != 0)
    }

    fn set(&mut self, action: Action, line: u32) {
        if let Some(slot) = self.0.get_mut(usize::from(action as u8))
            && *slot == 0
        {
            *slot = line;
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct GrantCell {
    always: Lines,
    on_request: Lines,
    denied: Lines,
}

/// What the roles may do, resolved so that one look-up tells: as many rules as there are, the cost is the same.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    cells: HashMap<GrantKey, GrantCell>,
}

/// One action on one tuple that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granting {
    /// Who, whose data, which data, for what.
    pub key: GrantKey,
    /// By which action.
    pub action: Action,
    /// Only at the request of the person the data are about.
    pub on_request: bool,
    /// The line of policy.csv that allows it.
    pub line: u32,
}

/// By which actions one tuple is allowed and denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GrantedActions {
    /// Allowed, whoever asks for it.
    pub always: Actions,
    /// Allowed only at the request of the person the data are about.
    pub on_request: Actions,
    /// Denied, whatever allows it.
    pub denied: Actions,
}

/// When a rule of a grant counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantCondition {
    /// Always.
    Always,
    /// Only at the request of the person the data are about.
    OnRequest,
}

impl Grants {
    /// Allows one action; the first line that does is kept.
    pub fn allow(&mut self, key: GrantKey, action: Action, when: GrantCondition, line: u32) {
        let cell = self.cells.entry(key).or_default();
        match when {
            GrantCondition::Always => cell.always.set(action, line),
            GrantCondition::OnRequest => cell.on_request.set(action, line),
        }
    }

    /// Denies one action, whatever allows it.
    pub fn deny(&mut self, key: GrantKey, action: Action, line: u32) {
        self.cells.entry(key).or_default().denied.set(action, line);
    }

    /// The line that allows the action, unless a line denies it.
    #[must_use]
    pub fn allows(&self, key: GrantKey, action: Action, on_request: bool) -> Option<u32> {
        let cell = self.cells.get(&key)?;
        if cell.denied.at(action).is_some() {
            return None;
        }
        let conditional = on_request.then(|| cell.on_request.at(action)).flatten();
        cell.always.at(action).or(conditional)
    }

    /// The line that denies the action.
    #[must_use]
    pub fn denies(&self, key: GrantKey, action: Action) -> Option<u32> {
        self.cells.get(&key)?.denied.at(action)
    }

    /// Whether a grant has all but the action.
    #[must_use]
    pub fn any_action(&self, key: GrantKey, on_request: bool) -> bool {
        Action::ALL
            .iter()
            .any(|action| self.allows(key, *action, on_request).is_some())
    }

    /// Everything that is allowed, in no order: rows that deny are taken off.
    pub fn iter(&self) -> impl Iterator<Item = Granting> {
        self.cells.iter().flat_map(|(key, cell)| {
            let actions = Action::ALL.iter().copied();
            let actions = actions.filter(|action| cell.denied.at(*action).is_none());
            actions.filter_map(move |action| {
                let always = cell.always.at(action);
                Some(Granting {
                    key: *key,
                    action,
                    on_request: always.is_none(),
                    line: always.or(cell.on_request.at(action))?,
                })
            })
        })
    }

    /// Every tuple that a row allows or denies something on, in no order.
    pub fn keys(&self) -> impl Iterator<Item = GrantKey> {
        self.cells.keys().copied()
    }

    /// Whether a row allows or denies something on a tuple.
    #[must_use]
    pub fn contains(&self, key: GrantKey) -> bool {
        self.cells.contains_key(&key)
    }

    /// By which actions a tuple is allowed and denied; by none where there is no such tuple. Each action is in one set at most.
    #[must_use]
    pub fn actions(&self, key: GrantKey) -> GrantedActions {
        let Some(cell) = self.cells.get(&key) else {
            return GrantedActions::default();
        };
        let set = |lines: &Lines| {
            let actions = Action::ALL.iter().copied();
            let there = actions.filter(|action| lines.at(*action).is_some());
            there.collect::<Actions>()
        };
        let denied = set(&cell.denied);
        let always = set(&cell.always).without(denied);
        GrantedActions {
            always,
            on_request: set(&cell.on_request).without(denied.or(always)),
            denied,
        }
    }

    /// How many resolved tuples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}
