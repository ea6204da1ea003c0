//! What was found, for programs: names as grpcurl shows them, sections and fields as pack.toml has them.

use serde_json::{Map, Value, json};

use super::Findings;
use super::told::rule;
use crate::domain::access::Action;
use crate::domain::reason::ReasonCode;
use crate::policy::Pack;
use crate::policy::diff::{Affected, Became, FactChange, GrantChange, How, Section, not_shown};
use crate::policy::replay::{Change, Group, GroupKey, NotExactly, Tally};

pub(super) fn of(found: &Findings<'_>) -> Value {
    let tuples = found.grants.tuples.iter();
    let mut value = json!({
        "old": pack(found.old),
        "new": pack(found.new),
        "differs": found.packs_differ(),
        "tuples": tuples.map(|(how, count)| (How::name(*how).to_owned(), (*count).into())).collect::<Map<_, _>>(),
        "grants": found.grants.rows().take(found.limit).map(|row| grant(&row)).collect::<Vec<_>>(),
        "grantsLeftOut": found.grants.len().saturating_sub(found.limit),
        "people": found.people,
        "peopleTouched": found.touched.len(),
        "touched": found.touched.iter().take(found.limit).map(person).collect::<Vec<_>>(),
        "others": found.others.iter().map(other).collect::<Vec<_>>(),
    });
    if let (Some((days, tally)), Value::Object(fields)) = (&found.replayed, &mut value) {
        fields.insert("log".into(), log(found, *days, tally));
    }
    value
}

fn pack(pack: &Pack) -> Value {
    json!({
        "pack": pack.rules.pack,
        "revision": data_encoding::HEXLOWER.encode(&pack.rules.revision),
    })
}

fn action(action: Action) -> String {
    format!("ACTION_{action}")
}

fn grant(row: &GrantChange) -> Value {
    json!({
        "change": row.how.name(),
        "role": row.role,
        "subjectKind": row.kind,
        "category": row.category,
        "actions": row.actions.iter().copied().map(action).collect::<Vec<_>>(),
        "purpose": row.purpose,
        "oldRule": rule(row.old_rule),
        "newRule": rule(row.new_rule),
    })
}

fn person(one: &Affected) -> Value {
    let uses = |all: &[(String, String, Action, String)]| -> Vec<Value> {
        let all = all.iter();
        all.map(|(kind, category, used, purpose)| {
            json!({
                "subjectKind": kind,
                "category": category,
                "action": action(*used),
                "purpose": purpose,
            })
        })
        .collect()
    };
    json!({
        "person": one.person,
        "oldRoles": one.old_roles,
        "newRoles": one.new_roles,
        "gains": one.gains,
        "loses": one.loses,
        "gained": uses(&one.gained),
        "lost": uses(&one.lost),
    })
}

fn other(change: &FactChange) -> Value {
    let fields = |fields: &[(&'static str, String)]| {
        let fields = fields.iter();
        let fields = fields.map(|(field, value)| ((*field).to_owned(), value.clone().into()));
        Value::Object(fields.collect())
    };
    let mut value = json!({ "section": change.section.name(), "id": change.id });
    let more = match &change.change {
        Became::Added(said) => json!({ "change": "added", "fields": fields(said) }),
        Became::Removed(said) => json!({ "change": "removed", "fields": fields(said) }),
        Became::Changed { field, old, new } => {
            json!({ "change": "changed", "field": field, "old": old, "new": new })
        }
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn log(found: &Findings<'_>, days: u32, tally: &Tally) -> Value {
    let differing = tally.differing.iter();
    let lacking = tally.not_exactly.iter();
    json!({
        "days": days,
        "decisions": tally.decisions(),
        "alike": tally.alike,
        "differing": differing
            .map(|(change, count)| (Change::name(*change).to_owned(), (*count).into()))
            .collect::<Map<_, _>>(),
        "notExactly": lacking
            .map(|(why, count)| (NotExactly::name(*why).to_owned(), (*count).into()))
            .collect::<Map<_, _>>(),
        "repeats": tally.repeats,
        "unreadable": tally.unreadable,
        "notShown": not_shown(&found.others).into_iter().map(Section::name).collect::<Vec<_>>(),
        "groups": tally.groups.iter().take(found.limit).map(|(key, group)| of_group(key, group)).collect::<Vec<_>>(),
        "groupsLeftOut": tally.groups.len().saturating_sub(found.limit),
        "ungrouped": tally.ungrouped,
    })
}

fn of_group(key: &GroupKey, group: &Group) -> Value {
    let reason = |code: Option<ReasonCode>| code.map(|code| format!("REASON_CODE_{code}"));
    let (old_rule, new_rule) = &group.rules;
    json!({
        "change": key.change.name(),
        "count": group.count,
        "roles": key.roles,
        "subjectKind": key.kind,
        "categories": key.categories,
        "action": action(key.action),
        "purpose": key.purpose,
        "oldReason": reason(key.old_reason),
        "newReason": reason(key.new_reason),
        "oldRule": old_rule,
        "newRule": new_rule,
        "entries": group.samples.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
