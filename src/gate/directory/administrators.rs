//! That there is always somebody who administers.

use std::collections::HashMap;

use super::People;
use super::plan::Plan;
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::person::form::FieldFault;
use crate::domain::time::Timestamp;
use crate::gate::admission::administers;

/// Whether these plans leave an instant, now or later, at which nobody administers any more although somebody would without
/// them.
pub(super) fn would_be_none(
    rules: &RuleSet,
    people: &People,
    plans: &[&Plan],
    now: Timestamp,
) -> bool {
    let may_administer = |person: &Person| {
        let mut roles = person
            .roles
            .iter()
            .filter_map(|role| rules.roles.id(&role.role));
        roles.any(|role| rules.roles.get(role).is_some_and(|role| role.administers))
    };
    let touched: Vec<&&Plan> = plans
        .iter()
        .filter(|plan| plan.before.as_deref().is_some_and(may_administer))
        .collect();
    if touched.is_empty() {
        return false;
    }
    let changed: HashMap<&Name, &Person> = plans
        .iter()
        .map(|plan| (&plan.after.id, &plan.after))
        .collect();
    let before: Vec<&Person> = people
        .values()
        .map(AsRef::as_ref)
        .filter(|person| may_administer(person))
        .collect();
    let after: Vec<&Person> = before
        .iter()
        .filter(|person| !changed.contains_key(&person.id))
        .copied()
        .chain(
            changed
                .values()
                .copied()
                .filter(|person| may_administer(person)),
        )
        .collect();
    let somebody = |all: &[&Person], at: Timestamp| {
        let mut all = all.iter();
        all.any(|person| person.is_active(at) && administers(rules, person, at))
    };
    // Between two of these instants nothing begins or ends.
    let instants = touched.iter().flat_map(|plan| ends(&plan.after));
    std::iter::once(now)
        .chain(instants.filter(|at| *at > now))
        .any(|at| somebody(&before, at) && !somebody(&after, at))
}

/// The first instants at which something of the person is over, or a leave has begun.
fn ends(person: &Person) -> impl Iterator<Item = Timestamp> {
    let after = |at: Timestamp| Timestamp::from_micros(at.micros().saturating_add(1));
    let roles = person.roles.iter().filter_map(|role| role.valid_until);
    person
        .employment_end
        .into_iter()
        .chain(roles)
        .map(after)
        .chain(person.leave.map(|leave| leave.from))
}

/// Says so of the field by which it came.
pub(super) fn fault(plan: &Plan) -> FieldFault {
    let by = plan.changes.iter().map(|change| change.field);
    let by = by
        .into_iter()
        .find(|field| matches!(*field, "disabled" | "employment_end" | "leave" | "roles"));
    FieldFault {
        field: by.unwrap_or("roles").to_owned(),
        what: "this is the last account that administers: give another that role first".to_owned(),
    }
}
