//! What no rule of the pack or of the directory admits.

use super::plan::Plan;
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::RoleAssignment;
use crate::domain::person::form::{self, FieldFault};

/// What nobody changes of their own account: it decides what they may do, or who looks at it.
const NOT_ONES_OWN: [&str; 11] = [
    "departments",
    "employment_kind",
    "employer",
    "employment_end",
    "leave",
    "roles",
    "network_exceptions",
    "subject_pseudonyms",
    "disabled",
    "trained_until",
    "pledge",
];

fn fault(field: impl Into<String>, what: impl Into<String>) -> FieldFault {
    FieldFault {
        field: field.into(),
        what: what.into(),
    }
}

/// What is wrong with a plan of `actor`, whoever else there is.
pub(super) fn faults(rules: &RuleSet, plan: &Plan, actor: &Name) -> Vec<FieldFault> {
    let mut faults = form::faults_of(&plan.after);
    if plan.after.id == *actor {
        for change in &plan.changes {
            if NOT_ONES_OWN.contains(&change.field) {
                let what = "is of your own account: another administrator changes it";
                faults.push(fault(change.field, what));
            }
        }
    }
    for (position, role) in new_roles(plan) {
        if rules.roles.id(&role.role).is_none() {
            let what = format!("the pack has no role {:?}", &*role.role);
            faults.push(fault(format!("roles[{position}].role"), what));
        }
    }
    if new_roles(plan).next().is_some()
        && let Some((one, two, rule)) = rules.incompatible(&plan.after.roles)
    {
        let (one, two) = (&*one.role, &*two.role);
        let what = format!("{one:?} and {two:?} are incompatible: {}", rule.why);
        faults.push(fault("roles", what));
    }
    faults
}

/// What is wrong with who approved new roles.
pub(super) fn approvals(plan: &Plan, is_known: impl Fn(&Name) -> bool) -> Vec<FieldFault> {
    let by_nobody = |role: &RoleAssignment| {
        role.approved_by
            .as_ref()
            .filter(|by| !is_known(by))
            .map(|by| format!("there is no person {:?}", &**by))
    };
    new_roles(plan)
        .filter_map(|(position, role)| {
            by_nobody(role).map(|what| fault(format!("roles[{position}].approved_by"), what))
        })
        .collect()
}

/// An id that can't be told from another by looking at it.
pub(super) fn looks_like(other: &Name) -> FieldFault {
    fault("id", format!("looks like {:?}, which is there", &**other))
}

/// Those that the person did not have just so, with their positions.
fn new_roles(plan: &Plan) -> impl Iterator<Item = (usize, &RoleAssignment)> {
    let before = plan.before.as_ref().map_or(&[][..], |before| &before.roles);
    plan.after
        .roles
        .iter()
        .enumerate()
        .filter(move |(_, role)| !before.contains(role))
}
