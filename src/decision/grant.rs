//! Stage `grant`: may one of the roles do this action on each category of this kind of person for this purpose?

use super::entitlements::Use;
use super::facts::{Actor, Facts};
use super::rules::{Category, GrantKey, Id, Kind, Role, RuleSet};
use super::scope::Scope;
use super::verdict::{Granted, RuleLine};
use super::{Failure, Outcome};
use crate::domain::reason::{Reason, ReasonCode};

/// The fewest characters of a reason for break glass, blanks not counted.
const BREAK_GLASS_REASON_MIN_CHARACTERS: usize = 20;

pub(super) fn stage(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    scope: &mut Scope,
) -> Outcome {
    match check(rules, facts, actor, scope) {
        Ok(true) => Outcome::Passed,
        Ok(false) => Outcome::NotEvaluated,
        Err(failure) => Outcome::Failed(failure),
    }
}

/// `Ok(false)` when all is well but nobody is known whose roles could grant it.
fn check(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    scope: &mut Scope,
) -> Result<bool, Failure> {
    let request = facts.request;
    let category_name = |position: usize| request.categories.get(position).map_or("", |name| name);

    let kind_name = request.subject_kind.as_deref().unwrap_or("");
    let Some(kind) = rules.kinds.id(kind_name) else {
        return fail(ReasonCode::SubjectKindUnknown, kind_name);
    };
    scope.check_categories(|position, id| match id {
        Some(_) => Ok(()),
        None => fail(ReasonCode::CategoryUnknown, category_name(position)),
    })?;
    never_together(rules, scope)?;
    let Some(purpose_name) = request.purpose.as_deref() else {
        return fail(ReasonCode::PurposeMissing, "");
    };
    let Some((purpose_id, purpose)) = rules
        .purposes
        .id(purpose_name)
        .and_then(|id| Some((id, rules.purposes.get(id)?)))
    else {
        return fail(ReasonCode::PurposeNotSpecified, purpose_name);
    };
    let by_purpose = RuleLine::Pack(purpose.line);
    if !purpose.kinds.contains(kind) {
        return Err(Failure::by(
            Reason::new(ReasonCode::PurposeNotForSubjectKind, purpose_name),
            by_purpose,
        ));
    }
    scope.check_categories(|position, id| {
        if id.is_some_and(|id| purpose.categories.contains(id)) {
            return Ok(());
        }
        Err(Failure::by(
            Reason::new(ReasonCode::PurposeNotForCategory, category_name(position)),
            by_purpose,
        ))
    })?;
    let via = request.collected_via.as_deref().unwrap_or("");
    for rule in rules.collected.iter().filter(|rule| *rule.via == *via) {
        scope.check_categories(|position, id| {
            let concerned = id.is_some_and(|id| rule.categories.contains(id));
            if !concerned || rule.purposes.contains(purpose_id) {
                return Ok(());
            }
            Err(Failure::by(
                Reason::new(ReasonCode::PurposeNotForCategory, category_name(position)),
                RuleLine::Pack(rule.line),
            ))
        })?;
    }
    if purpose.needs_case_ref && request.case_ref.is_none() {
        return Err(Failure::by(
            Reason::new(ReasonCode::CaseRefRequired, purpose_name),
            by_purpose,
        ));
    }
    let Some(roles) = actor.roles() else {
        return Ok(false);
    };
    let mut granted_by = Vec::with_capacity(scope.categories.len());
    scope.check_categories(|position, id| {
        let Some(category) = id else {
            return fail(ReasonCode::CategoryUnknown, category_name(position));
        };
        let asked = Use {
            kind,
            category,
            purpose: purpose_id,
            action: request.action,
        };
        let on_request = request.basis.subject_request;
        let (rule, by_break_glass) = match granted(rules, roles, asked, on_request) {
            Ok(line) => (RuleLine::Grants(line), false),
            Err(missing) => {
                let missing = missing.failure(category_name(position));
                (
                    break_glass(rules, facts, actor, (kind, category), missing)?,
                    true,
                )
            }
        };
        granted_by.push(Granted {
            position,
            rule,
            by_break_glass,
        });
        Ok(())
    })?;
    scope.granted = granted_by;
    Ok(true)
}

/// Joining them is refused as a whole: what is withheld of a join would still be known of the rest.
fn never_together(rules: &RuleSet, scope: &Scope) -> Result<(), Failure> {
    for rule in &rules.never_together {
        let within = |id| rule.categories.contains(id);
        let joined = scope
            .known_categories()
            .find(|id| within(*id))
            .filter(|_| scope.known_categories().any(|id| !within(id)));
        if let Some(id) = joined {
            return Err(Failure::by(
                Reason::new(ReasonCode::PersonRelatedLinkage, rules.categories.name(id)),
                RuleLine::Pack(rule.line),
            ));
        }
    }
    Ok(())
}

fn fail<T>(code: ReasonCode, about: &str) -> Result<T, Failure> {
    Err(Failure::of(Reason::new(code, about)))
}

/// What is missing: the code, and the line of policy.csv that denies it, if one does.
#[derive(Debug, Clone, Copy)]
struct Missing {
    code: ReasonCode,
    denied_by: Option<u32>,
}

impl Missing {
    fn failure(self, category: &str) -> Failure {
        let reason = Reason::new(self.code, category);
        match self.denied_by {
            Some(line) => Failure::by(reason, RuleLine::Grants(line)),
            None => Failure::of(reason),
        }
    }
}

/// The line of policy.csv by which one of the roles may, or what is missing. A line that denies one role outranks what another
/// role allows.
fn granted(
    rules: &RuleSet,
    roles: &[Id<Role>],
    asked: Use,
    on_request: bool,
) -> Result<u32, Missing> {
    let action = asked.action;
    let keys = || {
        roles.iter().map(|role| GrantKey {
            role: *role,
            kind: asked.kind,
            category: asked.category,
            purpose: asked.purpose,
        })
    };
    let denied_by = keys().find_map(|key| rules.grants.denies(key, action));
    let code = match keys().find_map(|key| rules.grants.allows(key, action, on_request)) {
        Some(line) if denied_by.is_none() => return Ok(line),
        _ if keys().any(|key| rules.grants.any_action(key, on_request)) => {
            ReasonCode::ActionNotPermitted
        }
        _ => ReasonCode::CategoryNotPermitted,
    };
    Err(Missing { code, denied_by })
}

/// The line of policy.csv by which one of these roles is granted a use, at the request of the person whose data they are or not.
pub(super) fn granted_to(
    rules: &RuleSet,
    roles: &[Id<Role>],
    wanted: Use,
    on_request: bool,
) -> Option<u32> {
    granted(rules, roles, wanted, on_request).ok()
}

/// Passes over a missing grant where the pack lets one of the person's roles; never for a workload.
fn break_glass(
    rules: &RuleSet,
    facts: &Facts<'_>,
    actor: &Actor,
    (kind, category): (Id<Kind>, Id<Category>),
    mut missing: Failure,
) -> Result<RuleLine, Failure> {
    let Some(reason) = &facts.request.break_glass else {
        return Err(missing);
    };
    let roles: &[Id<Role>] = match actor {
        Actor::Person(roles) => roles,
        Actor::Unknown | Actor::Workload(_) => &[],
    };
    let effective = roles
        .iter()
        .filter_map(|role| rules.roles.get(*role))
        .flat_map(|role| role.closure.iter().copied());
    let rule = effective
        .filter_map(|role| {
            rules.break_glass.iter().find(|rule| {
                rule.roles.contains(role)
                    && rule.kinds.contains(kind)
                    && rule.categories.contains(category)
                    && rule.actions.contains(facts.request.action)
            })
        })
        .next();
    let code = match rule {
        None => ReasonCode::BreakGlassNotPermitted,
        Some(_) if !says_something(reason) => ReasonCode::BreakGlassReasonRequired,
        Some(rule) => return Ok(RuleLine::Pack(rule.line)),
    };
    let about = missing.reasons.first().map_or("", |reason| &reason.about);
    let reason = Reason::new(code, about);
    missing.reasons.insert(0, reason);
    if let Some(rule) = rule {
        missing.rule = Some(RuleLine::Pack(rule.line));
    }
    Err(missing)
}

/// Whether a reason has enough characters that are not blank: white space, control characters, and those that Unicode
/// draws as nothing.
fn says_something(reason: &str) -> bool {
    let blank = |character: &char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let mut seen = reason.chars().filter(|character| !blank(character));
    let first = seen.next();
    let mut rest = seen.clone();
    seen.count() + 1 >= BREAK_GLASS_REASON_MIN_CHARACTERS
        && first.is_some_and(|first| rest.any(|other| other != first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_blank_filler_says_nothing() {
        for filler in [
            "",
            "                      ",
            "too short",
            "........................",
            "\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}",
            "short\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
        ] {
            assert!(!says_something(filler), "{filler:?}");
        }
        assert!(says_something("The ambulance crew asks about allergies."));
        assert!(says_something(
            "救急隊が持病の有無を至急確認する必要があるため連絡した"
        ));
    }
}
