//! What was found, in words and as tables.

use super::Findings;
use crate::cli::table::{Cell, Column, Tone, drawn};
use crate::cli::words::{Language, Word};
use crate::decision::RuleLine;
use crate::domain::access::Action;
use crate::domain::reason::ReasonCode;
use crate::policy::Pack;
use crate::policy::diff::{Affected, Became, FactChange, How, Section, not_shown};
use crate::policy::replay::{Change, NotExactly, Tally};

pub(super) fn lines(found: &Findings<'_>, language: Language) -> Vec<String> {
    let mut lines = vec![format!("{} → {}", pack(found.old), pack(found.new))];
    if found.packs_differ() {
        grants(found, language, &mut lines);
        others(&found.others, language, &mut lines);
    } else {
        lines.push(Word::DiffSame.text(language).to_owned());
    }
    people(found, language, &mut lines);
    if let Some((days, tally)) = &found.replayed {
        lines.push(String::new());
        replayed(found, *days, tally, language, &mut lines);
    }
    lines
}

/// Id and the beginning of the revision, which is enough to tell two apart.
fn pack(pack: &Pack) -> String {
    let revision = data_encoding::HEXLOWER.encode(&pack.rules.revision);
    let short = revision.get(..12).unwrap_or_default();
    format!("{} {short}", pack.rules.pack)
}

fn number(head: Word, language: Language) -> Column {
    Column {
        right: true,
        ..Column::of(head, 4, language)
    }
}

fn plain(text: impl AsRef<str>) -> Cell {
    Cell::new(text.as_ref(), Tone::Plain)
}

fn left_out(rows: usize, limit: usize, language: Language, lines: &mut Vec<String>) {
    if let Some(left) = rows.checked_sub(limit).filter(|left| *left > 0) {
        lines.push(Word::DiffRowsLeft.fill(language, &[&left.to_string()]));
    }
}

fn how(how: How) -> Word {
    match how {
        How::Allowed => Word::HowAllowed,
        How::AllowedOnRequest => Word::HowAllowedOnRequest,
        How::AllowedAlways => Word::HowAllowedAlways,
        How::Denied => Word::HowDenied,
        How::OnRequestOnly => Word::HowOnRequestOnly,
        How::RuledOut => Word::HowRuledOut,
        How::NotRuledOut => Word::HowNotRuledOut,
    }
}

const fn tone(opens: bool) -> Tone {
    if opens { Tone::Warning } else { Tone::Bad }
}

pub(super) fn rule(rule: Option<RuleLine>) -> String {
    rule.map_or_else(String::new, |rule| rule.to_string())
}

fn actions(actions: &[Action]) -> String {
    let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
    names.join(",")
}

fn grants(found: &Findings<'_>, language: Language, lines: &mut Vec<String>) {
    let changes = &found.grants;
    if changes.is_empty() {
        return;
    }
    lines.push(String::new());
    for (way, count) in &changes.tuples {
        let values = [how(*way).text(language), &*count.to_string()];
        lines.push(Word::DiffTuples.fill(language, &values));
    }
    let columns = [
        Column::of(Word::HeadChange, 7, language),
        Column::of(Word::HeadRole, 8, language),
        Column::of(Word::HeadSubjectKind, 8, language),
        Column::of(Word::HeadCategory, 10, language),
        Column::of(Word::HeadAction, 7, language),
        Column::of(Word::HeadPurpose, 8, language),
        Column::of(Word::HeadOldRule, 6, language),
        Column::of(Word::HeadNewRule, 6, language),
    ];
    let rows: Vec<Vec<Cell>> = changes
        .rows()
        .take(found.limit)
        .map(|row| {
            vec![
                Cell::new(how(row.how).text(language), tone(row.how.opens())),
                plain(&row.role),
                plain(&row.kind),
                plain(&row.category),
                plain(actions(&row.actions)),
                plain(&row.purpose),
                plain(rule(row.old_rule)),
                plain(rule(row.new_rule)),
            ]
        })
        .collect();
    lines.extend(drawn(&columns, &rows));
    left_out(changes.len(), found.limit, language, lines);
}

fn people(found: &Findings<'_>, language: Language, lines: &mut Vec<String>) {
    let all = found.people.to_string();
    if found.people == 0 {
        if !found.grants.is_empty() {
            lines.push(String::new());
            lines.push(Word::DiffNobody.text(language).to_owned());
        }
        return;
    }
    if found.touched.is_empty() {
        if !found.grants.is_empty() {
            lines.push(String::new());
            lines.push(Word::DiffTouchesNobody.fill(language, &[&all]));
        }
        return;
    }
    lines.push(String::new());
    let touched = found.touched.len().to_string();
    lines.push(Word::DiffTouches.fill(language, &[&touched, &all]));
    let columns = [
        Column::of(Word::HeadId, 8, language),
        Column::of(Word::HeadRoles, 10, language),
        number(Word::HeadGains, language),
        number(Word::HeadLoses, language),
        Column::of(Word::HeadForExample, 12, language),
    ];
    let rows: Vec<Vec<Cell>> = found
        .touched
        .iter()
        .take(found.limit)
        .map(|one| {
            vec![
                plain(&one.person),
                plain(roles(one, language)),
                plain(one.gains.to_string()),
                plain(one.loses.to_string()),
                plain(example(one)),
            ]
        })
        .collect();
    lines.extend(drawn(&columns, &rows));
    left_out(found.touched.len(), found.limit, language, lines);
}

/// Their roles; what they were and what they are, where that differs.
fn roles(one: &Affected, language: Language) -> String {
    let told = |roles: &[String]| match roles {
        [] => Word::DiffMayNotWork.text(language).to_owned(),
        roles => roles.join(","),
    };
    if one.old_roles == one.new_roles {
        told(&one.new_roles)
    } else {
        format!("{} → {}", told(&one.old_roles), told(&one.new_roles))
    }
}

/// The first of what they gain, else of what they lose.
fn example(one: &Affected) -> String {
    let gained = one.gained.first().map(|used| ("+", used));
    let lost = one.lost.first().map(|used| ("-", used));
    gained.or(lost).map_or_else(String::new, |(sign, used)| {
        let (kind, category, action, purpose) = used;
        format!("{sign} {action} {category} / {kind} / {purpose}")
    })
}

pub(in crate::cli::policy) fn title(section: Section, language: Language) -> &'static str {
    match language {
        Language::English => section.title(),
        Language::Japanese => section.title_ja(),
    }
}

fn others(changes: &[FactChange], language: Language, lines: &mut Vec<String>) {
    if changes.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(Word::DiffElse.text(language).to_owned());
    for change in changes {
        let thing = [title(change.section, language), &*change.id];
        let said = |text: &str| {
            if text.is_empty() {
                Word::DiffNotSaid.text(language).to_owned()
            } else {
                text.to_owned()
            }
        };
        let (line, fields) = match &change.change {
            Became::Added(fields) => (Word::DiffAdded.fill(language, &thing), &**fields),
            Became::Removed(fields) => (Word::DiffRemoved.fill(language, &thing), &**fields),
            Became::Changed { field, old, new } => {
                let [section, id] = thing;
                let values = [section, id, field, &*said(old), &*said(new)];
                (Word::DiffChanged.fill(language, &values), &[][..])
            }
        };
        // One of its sort has no id: no gap where it would stand.
        lines.push(format!("  {}", line.replacen(" : ", ": ", 1)));
        for (field, value) in fields {
            lines.push(format!("      {field}: {value}"));
        }
    }
}

fn change(change: Change) -> Word {
    match change {
        Change::Allowed => Word::ReplayAllowed,
        Change::Denied => Word::ReplayDenied,
        Change::OtherTerms => Word::ReplayOtherTerms,
        Change::OtherReason => Word::ReplayOtherReason,
    }
}

fn reason(reason: Option<ReasonCode>) -> &'static str {
    reason.map_or("ALLOW", ReasonCode::name)
}

fn replayed(
    found: &Findings<'_>,
    days: u32,
    tally: &Tally,
    language: Language,
    lines: &mut Vec<String>,
) {
    let counts = [
        u64::from(days),
        tally.decisions(),
        tally.alike,
        tally.differ(),
    ];
    let counts = counts.map(|count| count.to_string());
    let values = counts.each_ref().map(String::as_str);
    lines.push(Word::ReplayHead.fill(language, &values));
    for (lacking, count) in &tally.not_exactly {
        let why = match language {
            Language::English => NotExactly::message(*lacking),
            Language::Japanese => NotExactly::message_ja(*lacking),
        };
        let line = Word::ReplayLacking.fill(language, &[&count.to_string(), why]);
        lines.push(format!("  {line}"));
    }
    for (count, word) in [
        (tally.repeats, Word::ReplayRepeats),
        (tally.unreadable, Word::ReplayUnreadable),
    ] {
        if count > 0 {
            let line = word.fill(language, &[&count.to_string()]);
            lines.push(format!("  {line}"));
        }
    }
    let not_shown: Vec<&str> = not_shown(&found.others)
        .into_iter()
        .map(|section| title(section, language))
        .collect();
    if !not_shown.is_empty() {
        let line = Word::ReplayNotShown.fill(language, &[&not_shown.join(", ")]);
        lines.push(format!("  {line}"));
    }
    groups(found, tally, language, lines);
}

fn groups(found: &Findings<'_>, tally: &Tally, language: Language, lines: &mut Vec<String>) {
    if tally.groups.is_empty() {
        return;
    }
    let columns = [
        Column::of(Word::HeadChange, 7, language),
        number(Word::HeadCount, language),
        Column::of(Word::HeadRoles, 8, language),
        Column::of(Word::HeadAction, 4, language),
        Column::of(Word::HeadSubjectKind, 8, language),
        Column::of(Word::HeadCategories, 8, language),
        Column::of(Word::HeadPurpose, 8, language),
        Column::of(Word::HeadOldReason, 5, language),
        Column::of(Word::HeadNewReason, 5, language),
        Column::of(Word::HeadEntries, 6, language),
    ];
    let rows: Vec<Vec<Cell>> = tally
        .groups
        .iter()
        .take(found.limit)
        .map(|(key, group)| {
            let samples: Vec<String> = group.samples.iter().map(ToString::to_string).collect();
            vec![
                Cell::new(
                    change(key.change).text(language),
                    tone(key.change == Change::Allowed),
                ),
                plain(group.count.to_string()),
                plain(key.roles.join(",")),
                plain(key.action.name()),
                plain(&key.kind),
                plain(key.categories.join(",")),
                plain(&key.purpose),
                plain(reason(key.old_reason)),
                plain(reason(key.new_reason)),
                plain(samples.join(",")),
            ]
        })
        .collect();
    lines.extend(drawn(&columns, &rows));
    left_out(tally.groups.len(), found.limit, language, lines);
    if tally.ungrouped > 0 {
        lines.push(Word::ReplayUngrouped.fill(language, &[&tally.ungrouped.to_string()]));
    }
}
