//! Rules to [`Grants`]: inheritance and hierarchy are resolved once, so that a decision is one look-up. What casbin would decide
//! by walking all rules, this must decide the same: see `judge`.

use super::faults::FileFaults;
use super::kinds::Kind as Fault;
use super::resolve::Rule;
use super::rows::Effect;
use crate::decision::rules::{Category, GrantKey, Grants, GrantsBuilder, Id, Kind, Role, RuleSet};

/// The most tuples that the rules of a pack may resolve to: about 400 MiB. A hundred thousand rules that each name a category
/// of five items, held by two roles, make 1.2 million.
const TUPLES_MAX: usize = 4_000_000;

/// Resolves the rules. The roles' closures must be there.
pub(super) fn build(rules: &[Rule], pack: &RuleSet, faults: FileFaults<'_>) -> Grants {
    let reach = Reach::of(pack);
    let mut grants = GrantsBuilder::default();
    // Counted first: a pack that is too large must not cost the memory that it is refused for.
    let mut tuples = 0_usize;
    for rule in rules {
        tuples = tuples.saturating_add(reach.tuples_of(rule));
        if tuples > TUPLES_MAX {
            faults.tell(rule.line, Fault::TooManyTuples, &[&TUPLES_MAX]);
            return Grants::default();
        }
    }
    for rule in rules {
        let kinds = reach.kinds_of(rule);
        let categories = reach.categories_of(rule);
        for role in reach.heirs_of(rule.role) {
            for kind in &kinds {
                for category in &categories {
                    let key = GrantKey {
                        role: *role,
                        kind: *kind,
                        category: *category,
                        purpose: rule.purpose,
                    };
                    match rule.effect {
                        Effect::Allow => {
                            grants.allow(key, rule.action, rule.condition, rule.line);
                        }
                        Effect::Deny => grants.deny(key, rule.action, rule.line),
                    }
                }
            }
        }
    }
    grants.build()
}

/// Who inherits whom and what covers what, looked up from the other end.
struct Reach {
    /// By position of a role: those that have its grants, itself included.
    heirs: Vec<Vec<Id<Role>>>,
    /// By position of a category: itself and what it covers.
    covered: Vec<Vec<Id<Category>>>,
    /// By position of a category: what covers it.
    covering: Vec<Vec<Id<Category>>>,
    all_categories: Vec<Id<Category>>,
    all_kinds: Vec<Id<Kind>>,
}

impl Reach {
    fn of(pack: &RuleSet) -> Self {
        let mut heirs = vec![Vec::new(); pack.roles.len()];
        for (heir, _, role) in pack.roles.iter() {
            for inherited in &role.closure {
                if let Some(heirs) = heirs.get_mut(usize::from(inherited.position())) {
                    heirs.push(heir);
                }
            }
        }
        let mut covered = vec![Vec::new(); pack.categories.len()];
        let mut covering = vec![Vec::new(); pack.categories.len()];
        for (inner, _, category) in pack.categories.iter() {
            if let Some(covered) = covered.get_mut(usize::from(inner.position())) {
                covered.push(inner);
            }
            let mut at = category.parent;
            while let Some(outer) = at {
                if let Some(covered) = covered.get_mut(usize::from(outer.position())) {
                    covered.push(inner);
                }
                if let Some(covering) = covering.get_mut(usize::from(inner.position())) {
                    covering.push(outer);
                }
                at = pack.categories.get(outer).and_then(|outer| outer.parent);
            }
        }
        Self {
            heirs,
            covered,
            covering,
            all_categories: pack.categories.iter().map(|(id, _, _)| id).collect(),
            all_kinds: pack.kinds.iter().map(|(id, _, _)| id).collect(),
        }
    }

    fn heirs_of(&self, role: Id<Role>) -> &[Id<Role>] {
        self.heirs
            .get(usize::from(role.position()))
            .map_or(&[], Vec::as_slice)
    }

    fn kinds_of(&self, rule: &Rule) -> Vec<Id<Kind>> {
        rule.kind
            .map_or_else(|| self.all_kinds.clone(), |kind| vec![kind])
    }

    fn tuples_of(&self, rule: &Rule) -> usize {
        let kinds = rule.kind.map_or(self.all_kinds.len(), |_| 1);
        self.heirs_of(rule.role)
            .len()
            .saturating_mul(kinds)
            .saturating_mul(self.categories_of(rule).len())
    }

    /// What a rule's category means: what it covers, and for a rule that denies what covers it too, since whoever asks for the
    /// whole asks for the part.
    fn categories_of(&self, rule: &Rule) -> Vec<Id<Category>> {
        let Some(category) = rule.category else {
            return self.all_categories.clone();
        };
        let position = usize::from(category.position());
        let mut categories = self.covered.get(position).cloned().unwrap_or_default();
        if rule.effect == Effect::Deny {
            categories.extend(self.covering.get(position).into_iter().flatten());
        }
        categories
    }
}
