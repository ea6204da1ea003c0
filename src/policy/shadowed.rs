//! Rules that decide nothing because of others: shadowed or denied by one, by several together, and those that deny what no rule
//! allows. Of rules that cover each other only so many are told that all of those can go at once.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::accepted::Warnings;
use super::kinds::Kind as Fault;
use super::lint::{Covered, outwards};
use super::resolve::Rule;
use super::rows::Effect;
use crate::decision::rules::{Category, GrantCondition, Id, Kind, Purpose, Role, RuleSet};
use crate::domain::access::Action;

/// What one rule is about.
type Scope = (
    Id<Role>,
    Option<Id<Kind>>,
    Option<Id<Category>>,
    Action,
    Id<Purpose>,
);

/// So many lines are named of those that do something together.
const LINES_MAX: usize = 5;

/// The rules, found by what they are about.
pub(super) struct Board<'r> {
    pack: &'r RuleSet,
    covered: &'r Covered,
    there: HashMap<Scope, Vec<&'r Rule>>,
    /// For what anything is denied: mostly for nothing.
    denied: HashSet<(Action, Id<Purpose>)>,
}

impl<'r> Board<'r> {
    pub(super) fn of(rules: &'r [Rule], pack: &'r RuleSet, covered: &'r Covered) -> Self {
        let mut there: HashMap<Scope, Vec<&Rule>> = HashMap::new();
        for rule in rules {
            there.entry(scope(rule)).or_default().push(rule);
        }
        let denies = rules.iter().filter(|rule| rule.effect == Effect::Deny);
        Self {
            pack,
            covered,
            there,
            denied: denies.map(|rule| (rule.action, rule.purpose)).collect(),
        }
    }

    /// The other rules of a rule's role, and of those that it inherits, that are about one of these categories of a kind.
    fn about<'b>(
        &'b self,
        rule: &'b Rule,
        kind: Id<Kind>,
        categories: impl Iterator<Item = Option<Id<Category>>> + Clone + 'b,
    ) -> impl Iterator<Item = &'r Rule> + 'b {
        let roles = self.pack.roles.get(rule.role).into_iter();
        let roles = roles.flat_map(|role| role.closure.iter().copied());
        let scopes = roles.flat_map(move |role| {
            let categories = categories.clone();
            [Some(kind), None].into_iter().flat_map(move |kind| {
                let categories = categories.clone();
                categories.map(move |category| (role, kind, category, rule.action, rule.purpose))
            })
        });
        let found = scopes.filter_map(|scope| self.there.get(&scope)).flatten();
        found.copied().filter(move |other| other.line != rule.line)
    }

    /// Another line that denies this case of a rule: whoever asks for the whole asks for the part.
    pub(super) fn denier(
        &self,
        rule: &Rule,
        kind: Id<Kind>,
        category: Id<Category>,
        but: &HashSet<u32>,
    ) -> Option<u32> {
        if !self.denied.contains(&(rule.action, rule.purpose)) {
            return None;
        }
        let within = self.covered.by(Some(category)).iter().copied();
        let categories = outwards(category, self.pack).chain(within).map(Some);
        self.about(rule, kind, categories.chain([None]))
            .find(|other| other.effect == Effect::Deny && !but.contains(&other.line))
            .map(|other| other.line)
    }

    /// Another line that allows this case of a rule.
    fn allower(
        &self,
        rule: &Rule,
        kind: Id<Kind>,
        category: Id<Category>,
        but: &HashSet<u32>,
    ) -> Option<u32> {
        let categories = outwards(category, self.pack).map(Some).chain([None]);
        self.about(rule, kind, categories)
            .find(|other| allows_as(other, rule) && !but.contains(&other.line))
            .map(|other| other.line)
    }

    /// One line that decides all that a rule decides, and whether it denies it.
    fn by_one(&self, rule: &Rule) -> Option<(u32, bool)> {
        let mut decided_by = None;
        let others = wider(rule, self.pack).filter_map(|scope| self.there.get(&scope));
        for other in others.flatten().filter(|other| other.line != rule.line) {
            if other.effect == Effect::Deny && rule.effect == Effect::Allow {
                return Some((other.line, true));
            }
            if other.effect == rule.effect
                && (rule.effect == Effect::Deny || allows_as(other, rule))
            {
                decided_by = decided_by.or(Some((other.line, false)));
            }
        }
        decided_by
    }

    /// The lines that together decide all that a rule decides, and whether they deny all of it. `but` are those that are told
    /// already: what they decide may be decided by this one alone once they are gone.
    fn by_several(&self, rule: &Rule, but: &HashSet<u32>) -> Option<(BTreeSet<u32>, bool)> {
        let purpose = self.pack.purposes.get(rule.purpose)?;
        let denies = rule.effect == Effect::Deny;
        let around = rule.category.into_iter();
        let around = around
            .flat_map(|category| outwards(category, self.pack).skip(1))
            .take_while(|_| denies);
        let categories = self.covered.by(rule.category).iter().copied();
        let categories: Vec<_> = categories
            .chain(around)
            .filter(|category| purpose.categories.contains(*category))
            .collect();
        let kinds = self.pack.kinds.iter().map(|(id, _, _)| id);
        let kinds = kinds.filter(|kind| rule.kind.is_none_or(|own| own == *kind));
        let (mut lines, mut all_denied) = (BTreeSet::new(), true);
        for kind in kinds.filter(|kind| purpose.kinds.contains(*kind)) {
            for category in &categories {
                let line = match self.denier(rule, kind, *category, but) {
                    Some(line) => line,
                    None if denies => return None,
                    None => {
                        all_denied = false;
                        self.allower(rule, kind, *category, but)?
                    }
                };
                lines.insert(line);
            }
        }
        (!lines.is_empty()).then_some((lines, all_denied && !denies))
    }
}

/// Whether one allows whatever the other allows, where both are about it.
fn allows_as(one: &Rule, other: &Rule) -> bool {
    one.effect == Effect::Allow
        && (one.condition == GrantCondition::Always || one.condition == other.condition)
}

/// Tells the rules that decide nothing because other rules decide it; `complete` where none is missing among `rules`.
pub(super) fn look(rules: &[Rule], board: &Board<'_>, complete: bool, warnings: &Warnings<'_>) {
    let mut told = HashSet::new();
    for rule in rules {
        let (line, kind) = match board.by_one(rule) {
            Some((line, true)) => (line, Fault::DeniedRule),
            Some((line, false)) => (line, Fault::ShadowedRule),
            None => continue,
        };
        told.insert(rule.line);
        warnings.tell(rule.line, rule.purpose, kind, &[&line]);
    }
    let allowed = Allowed::of(rules);
    for rule in rules {
        if told.contains(&rule.line) {
            continue;
        }
        if complete && rule.effect == Effect::Deny && !allowed.meets(rule, board) {
            warnings.tell(rule.line, rule.purpose, Fault::DeniesNothing, &[]);
            continue;
        }
        let Some((lines, denied)) = board.by_several(rule, &told) else {
            continue;
        };
        told.insert(rule.line);
        let kind = match (lines.len(), denied) {
            (1, true) => Fault::DeniedRule,
            (1, false) => Fault::ShadowedRule,
            (_, true) => Fault::DeniedTogether,
            (_, false) => Fault::ShadowedTogether,
        };
        warnings.tell(rule.line, rule.purpose, kind, &[&named(&lines)]);
    }
}

fn named(lines: &BTreeSet<u32>) -> String {
    let mut named: Vec<String> = lines.iter().take(LINES_MAX).map(u32::to_string).collect();
    if lines.len() > LINES_MAX {
        named.push("...".to_owned());
    }
    named.join(", ")
}

/// What is allowed to anybody: a line that denies one of a person's roles outranks what another of them allows.
struct Allowed(HashMap<(Action, Id<Purpose>), Cells>);

/// A kind and a category; `None` for all.
type Cell = (Option<Id<Kind>>, Option<Id<Category>>);

#[derive(Default)]
struct Cells {
    both: HashSet<Cell>,
    kinds: HashSet<Option<Id<Kind>>>,
    categories: HashSet<Option<Id<Category>>>,
}

impl Allowed {
    fn of(rules: &[Rule]) -> Self {
        let mut allowed: HashMap<_, Cells> = HashMap::new();
        for rule in rules.iter().filter(|rule| rule.effect == Effect::Allow) {
            let cells = allowed.entry((rule.action, rule.purpose)).or_default();
            cells.both.insert((rule.kind, rule.category));
            cells.kinds.insert(rule.kind);
            cells.categories.insert(rule.category);
        }
        Self(allowed)
    }

    /// Whether anything is allowed of what a rule denies.
    fn meets(&self, rule: &Rule, board: &Board<'_>) -> bool {
        let Some(cells) = self.0.get(&(rule.action, rule.purpose)) else {
            return false;
        };
        let kinds = || [rule.kind, None].into_iter();
        let Some(category) = rule.category else {
            return rule.kind.is_none() || kinds().any(|kind| cells.kinds.contains(&kind));
        };
        let within = board.covered.by(Some(category)).iter().copied();
        let mut categories = outwards(category, board.pack)
            .chain(within)
            .map(Some)
            .chain([None]);
        categories.any(|category| match rule.kind {
            None => cells.categories.contains(&category),
            Some(_) => kinds().any(|kind| cells.both.contains(&(kind, category))),
        })
    }
}

const fn scope(rule: &Rule) -> Scope {
    (
        rule.role,
        rule.kind,
        rule.category,
        rule.action,
        rule.purpose,
    )
}

/// The scopes that hold all of a rule's, its own among them: of an inherited role, for all kinds, for a category that covers its own.
fn wider<'p>(rule: &'p Rule, pack: &'p RuleSet) -> impl Iterator<Item = Scope> + 'p {
    let roles = pack.roles.get(rule.role).into_iter();
    let roles = roles.flat_map(|role| role.closure.iter().copied());
    roles.flat_map(move |role| {
        let kinds = [rule.kind, None];
        let kinds = kinds.into_iter().take(1 + usize::from(rule.kind.is_some()));
        kinds.flat_map(move |kind| {
            let named = rule.category.into_iter();
            let named = named
                .flat_map(|category| outwards(category, pack))
                .map(Some);
            named
                .chain([None])
                .map(move |category| (role, kind, category, rule.action, rule.purpose))
        })
    })
}
