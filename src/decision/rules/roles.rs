//! Roles that one person may not have at the same time.

use super::{Id, Role, RuleSet};
use crate::domain::person::RoleAssignment;

/// At most one of these roles at a time: who has two could do alone what takes two.
#[derive(Debug, Clone)]
pub struct IncompatibleRoles {
    /// At least two.
    pub roles: Vec<Id<Role>>,
    /// The promise that it keeps, for people to read.
    pub why: Box<str>,
    /// Line in pack.toml.
    pub line: u32,
}

impl RuleSet {
    /// The first two assignments whose roles, those they inherit included, are incompatible and count at one instant.
    #[must_use]
    pub fn incompatible<'a>(
        &'a self,
        given: &'a [RoleAssignment],
    ) -> Option<(
        &'a RoleAssignment,
        &'a RoleAssignment,
        &'a IncompatibleRoles,
    )> {
        given.iter().enumerate().find_map(|(position, one)| {
            let mut others = given.iter().skip(position.saturating_add(1));
            others.find_map(|two| {
                let rule = self.forbids(one, two)?;
                Some((one, two, rule))
            })
        })
    }

    fn forbids(&self, one: &RoleAssignment, two: &RoleAssignment) -> Option<&IncompatibleRoles> {
        if one.role == two.role || !one.overlaps(two) {
            return None;
        }
        let (one, two) = (self.roles.id(&one.role)?, self.roles.id(&two.role)?);
        self.incompatible_roles.iter().find(|rule| {
            let of = |role| rule.roles.iter().filter(move |id| self.has(role, **id));
            of(one).any(|first| of(two).any(|second| first != second))
        })
    }

    /// The first role that has two of a rule's roles by itself.
    #[must_use]
    pub fn contradiction(&self, rule: &IncompatibleRoles) -> Option<Id<Role>> {
        self.roles
            .iter()
            .map(|(id, _, _)| id)
            .find(|role| rule.roles.iter().filter(|id| self.has(*role, **id)).count() > 1)
    }

    /// Whether `role` is `other` or inherits it.
    fn has(&self, role: Id<Role>, other: Id<Role>) -> bool {
        role == other
            || self
                .roles
                .get(role)
                .is_some_and(|role| role.closure.contains(&other))
    }
}
