//! policy.csv, read strictly: casbin itself drops lines that it doesn't know, and lets a rule with a mistyped effect vanish.

use std::collections::HashMap;

use super::csv::{self, Line};
use super::faults::{FileFaults, Place, shown};
use super::kinds::{Kind, Said, Sort, Words, words};
use crate::decision::rules::GrantCondition;
use crate::domain::access::Action;

/// The columns of a rule after its "p".
const RULE_COLUMNS: [Words; 7] = [
    words("role", "役割"),
    words("kind", "本人の種類"),
    words("category", "カテゴリ"),
    words("action", "操作"),
    words("purpose", "利用目的"),
    words("condition", "条件"),
    words("effect", "効果"),
];
/// Every kind of person, every category.
pub(super) const ALL: &str = "*";

pub(super) const ALWAYS: &str = "always";
pub(super) const ON_REQUEST: &str = "on-request";
const ALLOW: &str = "allow";
const DENY: &str = "deny";

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct RuleRow<'a> {
    pub(super) line: u32,
    /// The columns of [`RULE_COLUMNS`].
    pub(super) fields: [&'a str; 7],
    /// `None` where it was told that the word is none: the other words are looked at all the same.
    pub(super) action: Option<Action>,
    pub(super) condition: Option<GrantCondition>,
    pub(super) effect: Option<Effect>,
}

/// A rule of policy.csv for people to read: its columns, with `*` for all kinds and all categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Line in policy.csv.
    pub line: u32,
    /// Role, kind, category, action, purpose, condition, effect.
    pub columns: [Box<str>; 7],
}

impl GrantRow {
    /// Whether it denies.
    #[must_use]
    pub fn denies(&self) -> bool {
        let [.., effect] = &self.columns;
        **effect == *DENY
    }

    pub(super) fn of(row: &RuleRow<'_>) -> Self {
        Self {
            line: row.line,
            columns: row.fields.map(Box::from),
        }
    }
}

/// `role | kind | category | action | purpose`, and what is out of the ordinary.
impl std::fmt::Display for GrantRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [role, kind, category, action, purpose, condition, effect] = &self.columns;
        write!(f, "{role} | {kind} | {category} | {action} | {purpose}")?;
        for (word, usual) in [(condition, ALWAYS), (effect, ALLOW)] {
            if **word != *usual {
                write!(f, " | {word}")?;
            }
        }
        Ok(())
    }
}

/// `g` or `g2`: the inner has what the outer has.
#[derive(Debug)]
pub(super) struct PairRow<'a> {
    pub(super) line: u32,
    pub(super) inner: &'a str,
    pub(super) outer: &'a str,
}

/// The rows of the file, each sort in its order.
#[derive(Debug, Default)]
pub(super) struct Rows<'a> {
    pub(super) rules: Vec<RuleRow<'a>>,
    /// `g`: a role and one whose grants it inherits.
    pub(super) inherits: Vec<PairRow<'a>>,
    /// `g2`: a category and the one that covers it.
    pub(super) covered_by: Vec<PairRow<'a>>,
}

/// Reads the rows; what is none is told and left out.
pub(super) fn read<'a>(text: &'a str, faults: FileFaults<'_>) -> Rows<'a> {
    let mut rows = Rows::default();
    let mut seen = HashMap::new();
    for line in csv::lines(text, faults) {
        if is_duplicate(&line, &mut seen, faults) {
            continue;
        }
        let (sort, columns) = match line.fields.split_first() {
            Some((sort, columns)) => (*sort, columns),
            None => continue,
        };
        match sort {
            "p" => rows.rules.extend(rule(line.number, columns, faults)),
            "g" => rows
                .inherits
                .extend(pair(line.number, sort, columns, faults)),
            "g2" => rows
                .covered_by
                .extend(pair(line.number, sort, columns, faults)),
            _ => faults.unknown(
                place(sort, line.number, faults),
                "",
                Sort::LINE,
                sort,
                ["p", "g", "g2"].into_iter(),
            ),
        }
    }
    if rows.rules.is_empty() && faults.none() {
        faults.tell(0, Kind::NoRule, &[]);
    }
    rows
}

/// Two lines that say the same, or that differ in their effect alone, are a mistake of whoever changes one of them later.
fn is_duplicate<'a>(
    line: &Line<'a>,
    seen: &mut HashMap<Vec<&'a str>, (u32, &'a str)>,
    faults: FileFaults<'_>,
) -> bool {
    let mut key = line.fields.clone();
    let effect = match key.first() {
        Some(&"p") => key.pop().unwrap_or_default(),
        _ => "",
    };
    let Some((first, effect_there)) = seen.insert(key, (line.number, effect)) else {
        return false;
    };
    // A mistyped effect contradicts nothing: it is told as what it is.
    if effect != effect_there
        && (![ALLOW, DENY].contains(&effect) || ![ALLOW, DENY].contains(&effect_there))
    {
        return false;
    }
    if effect == effect_there {
        faults.tell(line.number, Kind::DuplicateLine, &[&first]);
    } else {
        let values: [&dyn Said; 2] = [&first, &shown(effect_there)];
        faults.tell(line.number, Kind::ContradictsLine, &values);
    }
    true
}

/// Where a field of a line is.
pub(super) fn place(field: &str, line: u32, faults: FileFaults<'_>) -> Place {
    faults.place_of(field).unwrap_or(Place::Line(line))
}

fn columns<'a, const N: usize>(
    line: u32,
    sort: &str,
    names: [Words; N],
    columns: &[&'a str],
    faults: FileFaults<'_>,
) -> Option<[&'a str; N]> {
    let Ok(fields) = <[&str; N]>::try_from(columns) else {
        let (expected, found) = (N + 1, columns.len() + 1);
        let listed = names.iter().fold(sort.said(), |mut listed, name| {
            listed.en.push_str(", ");
            listed.en.push_str(name.en);
            listed.ja.push_str(", ");
            listed.ja.push_str(name.ja);
            listed
        });
        faults.tell(line, Kind::WrongColumns, &[&expected, &listed, &found]);
        return None;
    };
    for (name, field) in names.iter().zip(fields) {
        if field.is_empty() {
            faults.tell(place(field, line, faults), Kind::EmptyField, &[name]);
        }
    }
    Some(fields)
}

fn pair<'a>(
    line: u32,
    sort: &str,
    fields: &[&'a str],
    faults: FileFaults<'_>,
) -> Option<PairRow<'a>> {
    let names = match sort {
        "g" => [
            words("role", "役割"),
            words("inherited role", "継承される役割"),
        ],
        _ => [
            words("category", "カテゴリ"),
            words("covering category", "上位のカテゴリ"),
        ],
    };
    let [inner, outer] = columns(line, sort, names, fields, faults)?;
    Some(PairRow { line, inner, outer })
}

/// A rule, whole or not; what is wrong with it is told.
fn rule<'a>(line: u32, fields: &[&'a str], faults: FileFaults<'_>) -> Option<RuleRow<'a>> {
    let fields = columns(line, "p", RULE_COLUMNS, fields, faults)?;
    let [_, _, _, action_word, _, condition_word, effect_word] = fields;
    let action = Action::from_name(action_word);
    if action.is_none() && !action_word.is_empty() {
        let known = Action::ALL.iter().map(|action| action.name());
        let at = place(action_word, line, faults);
        faults.unknown(at, "", Sort::ACTION, action_word, known);
    }
    let condition = match condition_word {
        ALWAYS => Some(GrantCondition::Always),
        ON_REQUEST => Some(GrantCondition::OnRequest),
        "" => None,
        _ => {
            let known = [ALWAYS, ON_REQUEST].into_iter();
            let at = place(condition_word, line, faults);
            faults.unknown(at, "", Sort::CONDITION, condition_word, known);
            None
        }
    };
    let effect = match effect_word {
        ALLOW => Some(Effect::Allow),
        DENY => Some(Effect::Deny),
        "" => None,
        _ => {
            let at = place(effect_word, line, faults);
            let known = [ALLOW, DENY].into_iter();
            faults.unknown(at, "", Sort::EFFECT, effect_word, known);
            None
        }
    };
    if (effect, condition) == (Some(Effect::Deny), Some(GrantCondition::OnRequest)) {
        let at = place(condition_word, line, faults);
        faults.tell(at, Kind::DenyOnRequest, &[]);
    }
    Some(RuleRow {
        line,
        fields,
        action,
        condition,
        effect,
    })
}
