//! What makes an incident one to be reported (APPI Enforcement Rules Art. 7): judged from the scope where the log can tell, asked of
//! people where it can't.

use super::{Incident, Told};
use crate::decision::rules::RuleSet;
use crate::proto::StoredScope;

/// More people than this (Art. 7, item 4).
const MANY: u64 = 1_000;

/// A trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Special care-required personal information (Art. 7, item 1).
    SpecialCare,
    /// Misuse may damage property (item 2).
    PropertyDamage,
    /// It may have been done with a wrongful purpose (item 3).
    Malice,
    /// More than 1,000 people (item 4).
    ManyPeople,
}

impl Trigger {
    /// All, in the order of the rules.
    pub const ALL: [Self; 4] = [
        Self::SpecialCare,
        Self::PropertyDamage,
        Self::Malice,
        Self::ManyPeople,
    ];

    /// Its number, of the rules and of the API.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32 + 1
    }

    /// The trigger of a number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// Its word in entries and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SpecialCare => "special-care-required",
            Self::PropertyDamage => "property-damage",
            Self::Malice => "malice",
            Self::ManyPeople => "many-people",
        }
    }
}

/// Whether it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Applies,
    /// It doesn't.
    DoesNotApply,
    /// Nobody can tell yet.
    Unknown,
}

impl Verdict {
    /// Its number in the API.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32 + 1
    }

    /// The verdict of a number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Applies, Self::DoesNotApply, Self::Unknown]
            .into_iter()
            .find(|one| one.number() == number)
    }

    /// Its word in entries and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::DoesNotApply => "does-not-apply",
            Self::Unknown => "unknown",
        }
    }
}

/// What the log tells of a trigger by itself, and why.
#[must_use]
pub fn of_log(trigger: Trigger, scope: Option<&StoredScope>, rules: &RuleSet) -> (Verdict, Told) {
    if trigger == Trigger::Malice {
        let why = Told::new(
            "the log can't tell with which purpose it was done",
            "どのような目的によるものかは、ログからは分かりません",
        );
        return (Verdict::Unknown, why);
    }
    let Some(scope) = scope else {
        let why = Told::new("no scope was made yet", "影響範囲がまだ調べられていません");
        return (Verdict::Unknown, why);
    };
    match trigger {
        Trigger::SpecialCare => special_care(scope, rules),
        Trigger::PropertyDamage => property_damage(scope, rules),
        Trigger::ManyPeople | Trigger::Malice => many_people(scope),
    }
}

/// What counts: a person's judgement, else what the log tells.
#[must_use]
pub fn effective(trigger: Trigger, incident: &Incident, rules: &RuleSet) -> Verdict {
    match incident.judged(trigger) {
        Some((_, verdict)) => verdict,
        None => of_log(trigger, incident.scope().map(|(_, scope)| scope), rules).0,
    }
}

/// Whether it is to be reported: where one applies; not where none does; not known otherwise.
#[must_use]
pub fn to_be_reported(incident: &Incident, rules: &RuleSet) -> Verdict {
    let verdicts = Trigger::ALL.map(|trigger| effective(trigger, incident, rules));
    if verdicts.contains(&Verdict::Applies) {
        Verdict::Applies
    } else if verdicts.contains(&Verdict::Unknown) {
        Verdict::Unknown
    } else {
        Verdict::DoesNotApply
    }
}

fn names(found: &[&str]) -> String {
    found.join(", ")
}

/// Categories that aren't told, or that the pack doesn't know any more.
fn untold(scope: &StoredScope, rules: &RuleSet) -> bool {
    let listed = u64::try_from(scope.categories.len()).unwrap_or(u64::MAX);
    scope.categories_in_all > listed
        || scope
            .categories
            .iter()
            .any(|category| rules.categories.id(&category.id).is_none())
}

fn special_care(scope: &StoredScope, rules: &RuleSet) -> (Verdict, Told) {
    let found: Vec<&str> = scope
        .categories
        .iter()
        .filter(|category| {
            let known = rules.categories.id(&category.id);
            known
                .and_then(|id| rules.categories.get(id))
                .is_some_and(|category| category.special_care)
        })
        .map(|category| &*category.id)
        .collect();
    if !found.is_empty() {
        let found = names(&found);
        let why = Told::new(
            format!("in the scope: {found}"),
            format!("影響範囲に含まれます: {found}"),
        );
        (Verdict::Applies, why)
    } else if untold(scope, rules) {
        (Verdict::Unknown, categories_untold())
    } else {
        let why = Told::new(
            "no category of the scope is special care-required",
            "影響範囲の項目に要配慮個人情報はありません",
        );
        (Verdict::DoesNotApply, why)
    }
}

fn categories_untold() -> Told {
    Told::new(
        "the scope has categories that the pack doesn't know, or that are not listed",
        "影響範囲に、パックにない項目か、一覧に載らない項目があります",
    )
}

fn property_damage(scope: &StoredScope, rules: &RuleSet) -> (Verdict, Told) {
    let marked = &rules.incident.property_damage;
    let is_marked = |id: &str| {
        let known = rules.categories.id(id);
        known.is_some_and(|id| marked.contains(id))
    };
    let found: Vec<&str> = scope
        .categories
        .iter()
        .map(|category| &*category.id)
        .filter(|id| is_marked(id))
        .collect();
    let none_marked = !rules
        .categories
        .iter()
        .any(|(id, _, _)| marked.contains(id));
    if !found.is_empty() {
        let found = names(&found);
        let why = Told::new(
            format!("in the scope, and marked by the pack: {found}"),
            format!("パックが指定した項目が影響範囲に含まれます: {found}"),
        );
        (Verdict::Unknown, why)
    } else if none_marked {
        let why = Told::new(
            "the pack marks no categories whose misuse may damage property",
            "不正利用により財産的被害が生じるおそれのある項目を、パックが指定していません",
        );
        (Verdict::Unknown, why)
    } else if untold(scope, rules) {
        (Verdict::Unknown, categories_untold())
    } else {
        let why = Told::new(
            "no category of the scope is one that the pack marks",
            "影響範囲の項目に、パックが指定したものはありません",
        );
        (Verdict::DoesNotApply, why)
    }
}

fn many_people(scope: &StoredScope) -> (Verdict, Told) {
    let (people, unnamed) = (scope.people, scope.unnamed_records);
    if people > MANY || scope.more_people {
        let why = Told::new(
            format!("{people} people are named in the log"),
            format!("ログに {people} 人の本人が記録されています"),
        );
        return (Verdict::Applies, why);
    }
    // Every record that names nobody may be of another person.
    if people.saturating_add(unnamed) > MANY {
        let why = Told::new(
            format!("{people} people are named, and {unnamed} records name nobody"),
            format!(
                "本人が記録されたのは {people} 人で、本人の記録がない件数が {unnamed} 件あります"
            ),
        );
        return (Verdict::Unknown, why);
    }
    let why = Told::new(
        format!("{people} people are named, and {unnamed} records name nobody: 1,000 at most"),
        format!(
            "本人が記録されたのは {people} 人、本人の記録がない件数は {unnamed} 件で、1,000 人を超えません"
        ),
    );
    (Verdict::DoesNotApply, why)
}
