//! The nine items of the report, drafted: what the log tells of each, beside what people entered.

use std::collections::HashMap;

use time::UtcOffset;

use super::clocks::{Standing, State};
use super::triggers::{Trigger, Verdict, effective};
use super::{Incident, Item, Step, Told};
use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::proto::{StoredScope, StoredScopeCount};

/// Which report it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The preliminary one (速報): what is known when it is made.
    Preliminary,
    /// The final one (確報): all nine items.
    Final,
}

/// One item.
#[derive(Debug, Clone)]
pub struct Drafted {
    /// Which.
    pub item: Item,
    /// Lines that the log tells.
    pub of_log: Vec<Told>,
    /// What a person entered last, with who and when.
    pub entered: Option<(String, String, Timestamp)>,
    /// The report needs it, and nobody said anything.
    pub missing: bool,
}

/// What people wrote, by the entry that it is in; what can't be read any more is not in it.
pub type Texts = HashMap<LogIndex, String>;

/// All nine, in their order.
#[must_use]
pub fn draft(
    incident: &Incident,
    texts: &Texts,
    stage: Stage,
    standing: &[Standing<'_>],
    rules: &RuleSet,
) -> Vec<Drafted> {
    let offset = rules.utc_offset;
    let items = Item::ALL.into_iter();
    items
        .map(|item| {
            let of_log = match item {
                Item::Summary => summary(incident, offset),
                Item::DataItems => data_items(incident),
                Item::People => people(incident),
                Item::Subjects => subjects(incident, offset),
                Item::Other => other(incident, standing, rules),
                Item::Cause | Item::SecondaryDamage | Item::Publication | Item::Prevention => {
                    Vec::new()
                }
            };
            let entered = entered(incident, item, texts);
            // What the log tells answers these by itself; the others are for people to say. Item 9 is what else may be of use.
            let answered = match item {
                Item::DataItems | Item::People | Item::Subjects => {
                    !of_log.is_empty() || entered.is_some()
                }
                Item::Other => true,
                _ => entered.is_some(),
            };
            Drafted {
                item,
                of_log,
                entered,
                missing: stage == Stage::Final && !answered,
            }
        })
        .collect()
}

/// What a person said last; of the summary also what it was opened with.
fn entered(incident: &Incident, item: Item, texts: &Texts) -> Option<(String, String, Timestamp)> {
    let told = |step: &Step| {
        let text = texts.get(&step.index)?.clone();
        Some((text, step.by.clone(), step.at))
    };
    match (incident.entered(item), item) {
        (Some(step), _) => told(step),
        (None, Item::Summary) => {
            let at = Timestamp::from_micros(incident.opened.at_us);
            let text = texts.get(&incident.id)?.clone();
            Some((text, incident.opened.by.clone(), at))
        }
        (None, _) => None,
    }
}

/// `2026-11-02 10:00 +09:00`, by the pack's clock.
#[must_use]
pub fn moment(at: Timestamp, offset: UtcOffset) -> String {
    let local = at.to_utc().and_then(|utc| utc.checked_to_offset(offset));
    local.map_or_else(
        || at.to_string(),
        |local| {
            let (hours, minutes, _) = offset.as_hms();
            let sign = if offset.is_negative() { '-' } else { '+' };
            format!(
                "{} {:02}:{:02} {sign}{:02}:{:02}",
                local.date(),
                local.hour(),
                local.minute(),
                hours.unsigned_abs(),
                minutes.unsigned_abs()
            )
        },
    )
}

fn ids(counts: &[StoredScopeCount], in_all: u64) -> (String, String) {
    let told: Vec<&str> = counts.iter().map(|count| &*count.id).collect();
    let told = told.join(", ");
    let listed = u64::try_from(counts.len()).unwrap_or(u64::MAX);
    match in_all.saturating_sub(listed) {
        0 => (told.clone(), told),
        more => (
            format!("{told} and {more} more"),
            format!("{told} ほか {more} 件"),
        ),
    }
}

fn all(counts: &[StoredScopeCount]) -> (String, String) {
    ids(counts, u64::try_from(counts.len()).unwrap_or(u64::MAX))
}

fn scope(incident: &Incident) -> Option<&StoredScope> {
    incident.scope().map(|(_, scope)| scope)
}

fn summary(incident: &Incident, offset: UtcOffset) -> Vec<Told> {
    let aware = moment(incident.aware(), offset);
    let mut told = vec![Told::new(
        format!("Became known: {aware}"),
        format!("発覚日時: {aware}"),
    )];
    let Some(scope) = scope(incident) else {
        return told;
    };
    if scope.accesses == 0 {
        told.push(Told::new(
            "The access log has no allowed access that fits the scope.",
            "アクセスログに、影響範囲に当たる許可された取扱いはありません。",
        ));
        return told;
    }
    let [from, until] = [scope.first_us, scope.last_us]
        .map(|micros| moment(Timestamp::from_micros(micros), offset));
    told.push(Told::new(
        format!("Period of the accesses: {from} to {until}"),
        format!("取扱いの期間: {from} から {until}"),
    ));
    let accesses = scope.accesses;
    let (persons, persons_ja) = ids(&scope.persons, scope.persons_in_all);
    let (services, _) = all(&scope.workloads);
    let (systems, _) = all(&scope.systems);
    let (purposes, _) = all(&scope.purposes);
    told.push(Told::new(
        format!("Accesses: {accesses}"),
        format!("取扱いの件数: {accesses}"),
    ));
    for (en, ja, value, value_ja) in [
        ("By", "利用者", &persons, &persons_ja),
        ("By services", "サービス", &services, &services),
        ("In systems", "システム", &systems, &systems),
        ("For purposes", "利用目的", &purposes, &purposes),
    ] {
        if !value.is_empty() {
            told.push(Told::new(
                format!("{en}: {value}"),
                format!("{ja}: {value_ja}"),
            ));
        }
    }
    told
}

fn data_items(incident: &Incident) -> Vec<Told> {
    let Some(scope) = scope(incident).filter(|scope| scope.accesses > 0) else {
        return Vec::new();
    };
    let (categories, categories_ja) = ids(&scope.categories, scope.categories_in_all);
    let (kinds, _) = all(&scope.subject_kinds);
    let (countries, _) = all(&scope.origin_countries);
    let mut told = vec![Told::new(
        format!("Categories: {categories}"),
        format!("項目: {categories_ja}"),
    )];
    for (en, ja, value) in [
        ("Kinds of person", "本人の種類", kinds),
        ("From countries", "データの取得国", countries),
    ] {
        if !value.is_empty() {
            told.push(Told::new(
                format!("{en}: {value}"),
                format!("{ja}: {value}"),
            ));
        }
    }
    told
}

fn people(incident: &Incident) -> Vec<Told> {
    let Some(scope) = scope(incident) else {
        return Vec::new();
    };
    let people = scope.people;
    let mut told = vec![if scope.more_people {
        Told::new(
            format!("More than {people} people"),
            format!("{people} 人を超える本人"),
        )
    } else {
        Told::new(format!("{people} people"), format!("{people} 人"))
    }];
    if scope.unnamed_records > 0 {
        let unnamed = scope.unnamed_records;
        told.push(Told::new(
            format!("Besides, {unnamed} records of people whom the log doesn't name"),
            format!("ほかに、本人がログに記録されていない {unnamed} 件"),
        ));
    }
    told
}

fn subjects(incident: &Incident, offset: UtcOffset) -> Vec<Told> {
    let told = incident.notified().map(|(_, at, people)| {
        let at = moment(at, offset);
        Told::new(
            format!("{people} people were told: {at}"),
            format!("本人への通知: {at}、{people} 人"),
        )
    });
    told.into_iter().collect()
}

fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Applies => ("applies", "該当する"),
        Verdict::DoesNotApply => ("does not apply", "該当しない"),
        Verdict::Unknown => ("not known yet", "未判断"),
    }
}

/// What a trigger is called, in English and in Japanese.
#[must_use]
pub const fn trigger_title(trigger: Trigger) -> (&'static str, &'static str) {
    match trigger {
        Trigger::SpecialCare => (
            "Special care-required personal information",
            "要配慮個人情報",
        ),
        Trigger::PropertyDamage => ("Risk of damage to property", "財産的被害のおそれ"),
        Trigger::Malice => ("Wrongful purpose", "不正の目的によるおそれ"),
        Trigger::ManyPeople => ("More than 1,000 people", "1,000 人を超える本人"),
    }
}

fn other(incident: &Incident, standing: &[Standing<'_>], rules: &RuleSet) -> Vec<Told> {
    let mut told: Vec<Told> = Trigger::ALL
        .into_iter()
        .map(|trigger| {
            let (en, ja) = trigger_title(trigger);
            let (is, is_ja) = verdict(effective(trigger, incident, rules));
            Told::new(format!("{en}: {is}"), format!("{ja}: {is_ja}"))
        })
        .collect();
    let offset = rules.utc_offset;
    for one in standing {
        if let (State::Done, Some((at, _, reference))) = (one.state, &one.done) {
            let at = moment(*at, offset);
            told.push(Told::new(
                format!("Told to {}: {at} ({reference})", one.clock.addressee),
                format!("{}への報告等: {at}({reference})", one.clock.addressee_ja),
            ));
        }
    }
    if let Some(scope) = scope(incident) {
        let root = data_encoding::HEXLOWER.encode(&scope.root_hash);
        let size = scope.log_size;
        told.push(Told::new(
            format!("The scope is of the access log of {size} entries, root hash {root}"),
            format!("影響範囲は {size} 件のアクセスログ(ルートハッシュ {root})によります"),
        ));
        if scope.log_first > 0 {
            let first = scope.log_first;
            told.push(Told::new(
                format!("Entries before {first} had been disposed of"),
                format!("{first} 番より前の記録は廃棄済みです"),
            ));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{StoredIncident, StoredIncidentStep, stored_incident_step::What};
    use time::macros::offset;

    #[test]
    fn a_final_report_names_what_nobody_said_and_a_preliminary_one_asks_for_nothing() {
        let rules = crate::policy::load(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment"),
        );
        let rules = rules.unwrap().rules;
        let step = |index, what| {
            let step = StoredIncidentStep {
                incident: 7,
                by: "security-1".into(),
                what: Some(what),
                ..StoredIncidentStep::default()
            };
            (LogIndex(index), step)
        };
        let incident = Incident::new(
            LogIndex(7),
            StoredIncident::default(),
            vec![
                step(8, What::Item(Item::Cause.number())),
                step(9, What::Item(Item::Cause.number())),
                step(10, What::Scope(StoredScope::default())),
            ],
        );
        let texts: Texts = [(7, "sent by mistake"), (8, "old"), (9, "an address list")]
            .map(|(index, text)| (LogIndex(index), text.to_owned()))
            .into();
        let missing = |stage| {
            let items = draft(&incident, &texts, stage, &[], &rules);
            let missing = items.iter().filter(|item| item.missing);
            missing.map(|item| item.item).collect::<Vec<_>>()
        };
        assert_eq!(missing(Stage::Preliminary), []);
        let wanted = [
            Item::DataItems,
            Item::SecondaryDamage,
            Item::Subjects,
            Item::Publication,
            Item::Prevention,
        ];
        assert_eq!(missing(Stage::Final), wanted);
        let items = draft(&incident, &texts, Stage::Final, &[], &rules);
        let said = |item: Item| items[item as usize].entered.clone().unwrap().0;
        assert_eq!(said(Item::Summary), "sent by mistake");
        assert_eq!(
            said(Item::Cause),
            "an address list",
            "the last that was said"
        );
    }

    #[test]
    fn a_moment_is_told_by_the_packs_clock() {
        let at = Timestamp::parse("2026-11-01T15:04:00Z").unwrap();
        assert_eq!(moment(at, offset!(+9)), "2026-11-02 00:04 +09:00");
        assert_eq!(moment(at, offset!(-3:30)), "2026-11-01 11:34 -03:30");
    }
}
