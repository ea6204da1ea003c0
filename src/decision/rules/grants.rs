//! What the roles may do, resolved.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use super::{Actions, Category, Id, Kind, Purpose, Role};
use crate::domain::access::Action;

/// One tuple of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Hash for GrantKey {
    /// As one number: a decision hashes one for each role and category.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let positions = [
            self.role.position(),
            self.kind.position(),
            self.category.position(),
            self.purpose.position(),
        ];
        let number = positions
            .into_iter()
            .fold(0, |number, position| number << 16 | u64::from(position));
        state.write_u64(number);
    }
}

/// Why a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Always,
    OnRequest,
    Denied,
}

/// What becomes [`Grants`]: rules are put in one by one, in the order of policy.csv.
#[derive(Debug, Clone, Default)]
pub struct GrantsBuilder {
    /// The line of policy.csv, by key, sort and action; the first that says so is kept.
    cells: HashMap<GrantKey, BTreeMap<(Sort, u8), u32>>,
}

impl GrantsBuilder {
    /// Allows one action; the first line that does is kept.
    pub fn allow(&mut self, key: GrantKey, action: Action, when: GrantCondition, line: u32) {
        let sort = match when {
            GrantCondition::Always => Sort::Always,
            GrantCondition::OnRequest => Sort::OnRequest,
        };
        self.put(key, (sort, action as u8), line);
    }

    /// Denies one action, whatever allows it.
    pub fn deny(&mut self, key: GrantKey, action: Action, line: u32) {
        self.put(key, (Sort::Denied, action as u8), line);
    }

    fn put(&mut self, key: GrantKey, what: (Sort, u8), line: u32) {
        let lines = self.cells.entry(key).or_default();
        lines.entry(what).or_insert(line);
    }

    /// The grants that all of them make.
    #[must_use]
    pub fn build(self) -> Grants {
        let mut lines = Vec::new();
        let mut cells = HashMap::with_capacity(self.cells.len());
        for (key, of_key) in self.cells {
            let mut cell = GrantCell {
                // No pack has that many lines: the loader bounds the tuples.
                first: u32::try_from(lines.len()).unwrap_or(u32::MAX),
                ..GrantCell::default()
            };
            for ((sort, action), line) in of_key {
                let actions = match sort {
                    Sort::Always => &mut cell.always,
                    Sort::OnRequest => &mut cell.on_request,
                    Sort::Denied => &mut cell.denied,
                };
                *actions |= 1 << action;
                lines.push(line);
            }
            cells.insert(key, cell);
        }
        Grants {
            cells,
            lines: lines.into_boxed_slice(),
        }
    }
}

/// What there is on one tuple. Small, so that a hundred thousand rules stay in the processor's caches: the lines are elsewhere.
#[derive(Debug, Clone, Copy, Default)]
struct GrantCell {
    /// Bits by number of the action.
    always: u8,
    on_request: u8,
    denied: u8,
    /// Where its lines begin: one for each bit, by sort and then by number.
    first: u32,
}

impl GrantCell {
    const fn bits(&self, sort: Sort) -> u8 {
        match sort {
            Sort::Always => self.always,
            Sort::OnRequest => self.on_request,
            Sort::Denied => self.denied,
        }
    }

    /// Where the line is, if there is one.
    const fn place(&self, sort: Sort, action: Action) -> Option<usize> {
        let bit = 1 << action as u8;
        if self.bits(sort) & bit == 0 {
            return None;
        }
        let mut before = (self.bits(sort) & (bit - 1)).count_ones();
        if !matches!(sort, Sort::Always) {
            before += self.always.count_ones();
        }
        if matches!(sort, Sort::Denied) {
            before += self.on_request.count_ones();
        }
        Some(self.first as usize + before as usize)
    }
}

/// What the roles may do, resolved so that one look-up tells, however many rules there are.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    cells: HashMap<GrantKey, GrantCell>,
    /// Lines of policy.csv.
    lines: Box<[u32]>,
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
    /// The line that allows the action, unless a line denies it.
    #[must_use]
    pub fn allows(&self, key: GrantKey, action: Action, on_request: bool) -> Option<u32> {
        let cell = self.cells.get(&key)?;
        if cell.denied & 1 << action as u8 != 0 {
            return None;
        }
        let conditional = || on_request.then(|| cell.place(Sort::OnRequest, action));
        let place = cell.place(Sort::Always, action);
        self.line(place.or_else(|| conditional().flatten()))
    }

    /// The line that denies the action.
    #[must_use]
    pub fn denies(&self, key: GrantKey, action: Action) -> Option<u32> {
        let cell = self.cells.get(&key)?;
        self.line(cell.place(Sort::Denied, action))
    }

    fn line(&self, place: Option<usize>) -> Option<u32> {
        self.lines.get(place?).copied()
    }

    /// Whether a grant has all but the action.
    #[must_use]
    pub fn any_action(&self, key: GrantKey, on_request: bool) -> bool {
        self.cells.get(&key).is_some_and(|cell| {
            let conditional = if on_request { cell.on_request } else { 0 };
            (cell.always | conditional) & !cell.denied != 0
        })
    }

    /// Everything that is allowed, in no order: rows that deny are taken off.
    pub fn iter(&self) -> impl Iterator<Item = Granting> {
        self.cells.iter().flat_map(move |(key, cell)| {
            Action::ALL.iter().filter_map(move |action| {
                let line = self.allows(*key, *action, true)?;
                Some(Granting {
                    key: *key,
                    action: *action,
                    on_request: cell.place(Sort::Always, *action).is_none(),
                    line,
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
        let set = |sort| {
            let actions = Action::ALL.iter().copied();
            let there = actions.filter(|action| cell.place(sort, *action).is_some());
            there.collect::<Actions>()
        };
        let denied = set(Sort::Denied);
        let always = set(Sort::Always).without(denied);
        GrantedActions {
            always,
            on_request: set(Sort::OnRequest).without(denied.or(always)),
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
