//! Which people could be allowed something, and what one of them could be.

use std::sync::Arc;

use super::Explainer;
use crate::decision::RuleLine;
use crate::decision::entitlements::{
    ByRow, Use, all_allowed, could_be_allowed_all, names, working_roles,
};
use crate::decision::rules::{Id, Kind, Promise, Role, RuleSet, Table};
use crate::domain::access::Action;
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};

/// What is asked of all people.
#[derive(Debug)]
pub struct WhoWish {
    /// The system, where one is meant.
    pub system: Option<Name>,
    /// Whose data.
    pub subject_kind: Name,
    /// Which data, all of them together; at least one.
    pub categories: Vec<Name>,
    /// How.
    pub action: Action,
    /// What for.
    pub purpose: Name,
    /// Whose ids come after this one.
    pub after: Option<Name>,
}

/// By what something could be allowed.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// The row of policy.csv.
    pub rule: RuleLine,
    /// Only at the request of the person the data are about.
    pub on_request: bool,
    /// The sentence of the privacy policy that it keeps.
    pub promise: Option<Promise>,
}

/// Somebody who could be allowed it.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Their id.
    pub person: Name,
    /// Those of their roles by which they could.
    pub roles: Vec<String>,
    /// By what.
    pub by: Allowed,
}

/// One thing that somebody could be allowed.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whose data.
    pub subject_kind: String,
    /// Which data.
    pub category: String,
    /// How.
    pub action: Action,
    /// What for.
    pub purpose: String,
    /// By what.
    pub by: Allowed,
}

impl Gate {
    /// Who could be allowed something, by id; who asks takes as many as they want.
    ///
    /// # Errors
    /// When nobody who reviews or administers asks, the pack lacks what a field names, or the call can't be logged.
    pub async fn allowed_actors(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        wish: WhoWish,
    ) -> Result<Vec<Actor>, GateError> {
        const CALL: &str = "ListAllowedActors";
        let rules = self.rules.load_full();
        let now = self.now();
        let explainer = self.explainer(&rules, peer, credentials, CALL, now).await?;
        let wanted = match wanted(&rules, &wish) {
            Ok(wanted) => wanted,
            Err(violations) => {
                return Err(self
                    .refuse_fields(peer, &explainer, CALL, violations, now)
                    .await);
            }
        };
        let mut entry = self.explainers_entry(peer, &explainer, CALL, now);
        entry.system = wish.system.as_deref().unwrap_or("").to_owned();
        entry.subject_kind = wish.subject_kind.to_string();
        entry.categories = wish.categories.iter().map(ToString::to_string).collect();
        entry.action = wish.action.number();
        entry.purpose = wish.purpose.to_string();
        if let Some(after) = &wish.after {
            entry::detail(&mut entry, "after", &**after);
        }
        entry.policy_revision = rules.revision.to_vec();
        self.logged(entry).await?;
        Ok(self.actors(&rules, &explainer, &wanted, &wish, now))
    }

    fn actors(
        &self,
        rules: &RuleSet,
        explainer: &Explainer<'_>,
        wanted: &[Use],
        wish: &WhoWish,
        now: Timestamp,
    ) -> Vec<Actor> {
        let people = self.people.load();
        let mut actors: Vec<Actor> = people
            .values()
            .filter(|person| wish.after.as_ref().is_none_or(|after| person.id > *after))
            .filter(|person| explainer.may_know(person))
            .filter_map(|person| {
                let locked = self.is_locked_out(&person.id);
                let roles = working_roles(rules, person, locked, now);
                let (by, counting) = could_be_allowed_all(rules, &roles, wanted)?;
                let purpose = wanted.first()?.purpose;
                Some(Actor {
                    person: person.id.clone(),
                    by: Allowed {
                        rule: RuleLine::Grants(by.line),
                        on_request: by.on_request,
                        promise: rules
                            .promise_of_grant(counting.first().copied(), purpose)
                            .cloned(),
                    },
                    roles: counting
                        .into_iter()
                        .map(|role| rules.roles.name(role).to_owned())
                        .collect(),
                })
            })
            .collect();
        actors.sort_unstable_by(|one, other| one.person.cmp(&other.person));
        actors
    }

    /// What somebody could be allowed: everything, in the order of names.
    ///
    /// # Errors
    /// When nobody who reviews or administers asks, there is no such person or not for them, or the call can't be logged.
    pub async fn allowed_access(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        person: &Name,
        after: Option<&str>,
    ) -> Result<Vec<Access>, GateError> {
        const CALL: &str = "ListAllowedAccess";
        let rules = self.rules.load_full();
        let now = self.now();
        let explainer = self.explainer(&rules, peer, credentials, CALL, now).await?;
        let mut entry = self.explainers_entry(peer, &explainer, CALL, now);
        entry::detail(&mut entry, "account", &**person);
        if let Some(after) = after {
            entry::detail(&mut entry, "after", after);
        }
        entry.policy_revision = rules.revision.to_vec();
        self.logged(entry).await?;
        let found = self.person(person);
        let person = found
            .filter(|person| explainer.may_know(person))
            .ok_or(GateError::NotFound("there is no such person"))?;
        let locked = self.is_locked_out(&person.id);
        let roles = working_roles(&rules, &person, locked, now);
        let all = accesses(rules, roles, None, usize::MAX).await?;
        Ok(all.unwrap_or_default())
    }
}

/// Everything that these roles could be allowed, of one kind or of all; `None` where that is more than `most`. A pack may resolve to
/// millions of tuples: not on a thread that serves.
pub(super) async fn accesses(
    rules: Arc<RuleSet>,
    roles: Vec<Id<Role>>,
    kind: Option<Id<Kind>>,
    most: usize,
) -> Result<Option<Vec<Access>>, GateError> {
    tokio::task::spawn_blocking(move || {
        let all = all_allowed(&rules, &roles, kind, most)?.into_iter();
        let all = all.map(|(used, by)| access(&rules, &roles, used, by));
        Some(all.collect())
    })
    .await
    .map_err(|_| GateError::Internal("a list ended early"))
}

fn access(rules: &RuleSet, roles: &[Id<Role>], used: Use, by: ByRow) -> Access {
    let (kind, category, action, purpose) = names(rules, used);
    Access {
        subject_kind: kind.to_owned(),
        category: category.to_owned(),
        action,
        purpose: purpose.to_owned(),
        by: Allowed {
            rule: RuleLine::Grants(by.line),
            on_request: by.on_request,
            promise: rules
                .promise_of_grant(roles.first().copied(), used.purpose)
                .cloned(),
        },
    }
}

/// What is asked, as ids; or every field that names what the pack lacks.
fn wanted(rules: &RuleSet, wish: &WhoWish) -> Result<Vec<Use>, Vec<Violation>> {
    let mut unknown = Vec::new();
    if let Some(system) = &wish.system {
        let mut services = rules.services.iter();
        let asked = services.any(|(_, _, service)| {
            service.acts_for_people && service.systems.iter().any(|own| **own == **system)
        });
        if !asked {
            let what = "no service of the pack asks about it for people";
            unknown.push(Violation::new("data.system", what));
        }
    }
    let kind = known(
        &rules.kinds,
        "data.subject_kind",
        &wish.subject_kind,
        &mut unknown,
    );
    let purpose = known(&rules.purposes, "purpose", &wish.purpose, &mut unknown);
    let mut categories = Vec::with_capacity(wish.categories.len());
    for (position, category) in wish.categories.iter().enumerate() {
        let field = format!("data.categories[{position}]");
        categories.extend(known(&rules.categories, &field, category, &mut unknown));
    }
    match (kind, purpose) {
        (Some(kind), Some(purpose)) if unknown.is_empty() => Ok(categories
            .into_iter()
            .map(|category| Use {
                kind,
                category,
                purpose,
                action: wish.action,
            })
            .collect()),
        _ => Err(unknown),
    }
}

fn known<T>(
    table: &Table<T>,
    field: &str,
    name: &str,
    unknown: &mut Vec<Violation>,
) -> Option<Id<T>> {
    let id = table.id(name);
    if id.is_none() {
        unknown.push(Violation::new(field, "the pack has none of that name"));
    }
    id
}
