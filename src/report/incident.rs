//! The draft of a report of an incident (漏えい等報告, APPI Art. 26(1)): the nine items, how it stands, who is told by when, and the
//! time line. As a page that prints, as CSV and as JSON. Nothing of it was filed: a person does that.

use prost_types::Timestamp as Instant;
use serde_json::{Value, json};

use super::page::{Cell, Page};
use super::systems::{self, Audience};
use super::told::Telling;
use super::{Language, SystemRow};
use crate::domain::text::fill;
use crate::export::cell as csv_cell;
use crate::proto::{
    ClockState, DraftReportResponse, DraftedItem, Incident, IncidentScope, ReportStage, ScopeCount,
    SeenClock, SeenTrigger, TimelineEvent, TriggerVerdict,
};
use crate::review::incident::Item;
use crate::review::incident::draft::trigger_title;
use crate::review::incident::triggers::{Trigger, Verdict};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Whether a trigger applies, in words.
pub(crate) fn verdict(verdict: i32, language: Language) -> &'static str {
    match TriggerVerdict::try_from(verdict).unwrap_or_default() {
        TriggerVerdict::Applies => language.of("applies", "該当"),
        TriggerVerdict::DoesNotApply => language.of("does not apply", "非該当"),
        TriggerVerdict::Unknown | TriggerVerdict::Unspecified => {
            language.of("not known yet", "未判断")
        }
    }
}

/// What a trigger is called.
pub(crate) fn trigger(trigger: i32, language: Language) -> &'static str {
    Trigger::from_number(trigger).map_or("", |trigger| {
        let (en, ja) = trigger_title(trigger);
        language.of(en, ja)
    })
}

/// How a clock stands, in words.
pub(crate) fn state(state: i32, language: Language) -> &'static str {
    match ClockState::try_from(state).unwrap_or_default() {
        ClockState::Running => language.of("running", "期限内"),
        ClockState::Overdue => language.of("OVERDUE", "期限超過"),
        ClockState::Done => language.of("done", "済み"),
        ClockState::NotRequired => language.of("not required", "不要と判断"),
        ClockState::DoesNotApply => language.of("does not apply", "対象外"),
        ClockState::Unspecified => "",
    }
}

/// What a clock asks for, in words.
pub(crate) fn kind(kind: &str, language: Language) -> &str {
    match kind {
        "preliminary" => language.of("preliminary report", "速報"),
        "final" => language.of("final report", "確報"),
        "entruster" => language.of("notice to the principal", "委託元への通知"),
        "subjects" => language.of("notice to the people", "本人への通知"),
        other => other,
    }
}

/// By when, in words.
pub(crate) fn due(clock: &SeenClock, language: Language) -> String {
    let mut told = match &*clock.due_on {
        "" => language.of("promptly", "速やかに").to_owned(),
        day => day.to_owned(),
    };
    if !clock.moved_from.is_empty() {
        let from = [&*clock.moved_from];
        told.push_str(&fill(
            language.of(" (closed on {0})", "({0} は休日)"),
            |place| from.get(place).copied(),
        ));
    }
    if clock.closed_days_unknown {
        told.push_str(language.of(
            " (the pack lists no holidays of that year)",
            "(その年の祝日がパックにありません)",
        ));
    }
    told
}

/// What happened, in words.
pub(crate) fn event(what: &str, language: Language) -> &str {
    match what {
        "opened" => language.of("opened", "登録"),
        "scope" => language.of("scope found", "影響範囲の調査"),
        "item" => language.of("item updated", "報告事項の更新"),
        "note" => language.of("note", "経過"),
        "judged" => language.of("trigger judged", "報告対象事態の判断"),
        "filed" => language.of("filed", "報告"),
        "not-required" => language.of("judged not required", "報告不要の判断"),
        "people-notified" => language.of("people notified", "本人への通知"),
        "closed" => language.of("closed", "終結"),
        "first-access" => language.of("first access in the scope", "影響範囲の最初の取扱い"),
        "last-access" => language.of("last access in the scope", "影響範囲の最後の取扱い"),
        other => other,
    }
}

/// What an event is about, in words.
pub(crate) fn about(event: &TimelineEvent, language: Language) -> String {
    let item = Item::ALL
        .into_iter()
        .find(|item| item.word() == event.about);
    let trigger = Trigger::ALL
        .into_iter()
        .find(|trigger| trigger.word() == event.about);
    match (&*event.what, item, trigger) {
        ("item", Some(item), _) => {
            let (en, ja) = item.title();
            language.of(en, ja).to_owned()
        }
        ("judged", _, Some(trigger)) => {
            let (en, ja) = trigger_title(trigger);
            language.of(en, ja).to_owned()
        }
        _ => event.about.clone(),
    }
}

fn title(stage: i32, language: Language) -> &'static str {
    match ReportStage::try_from(stage).unwrap_or_default() {
        ReportStage::Final => language.of(
            "Incident with personal data: final report (draft)",
            "漏えい等報告書(確報・案)",
        ),
        ReportStage::Preliminary | ReportStage::Unspecified => language.of(
            "Incident with personal data: preliminary report (draft)",
            "漏えい等報告書(速報・案)",
        ),
    }
}

fn of_log(item: &DraftedItem, language: Language) -> &[String] {
    match language {
        Language::English => &item.of_log,
        Language::Japanese => &item.of_log_ja,
    }
}

fn item_title(item: &DraftedItem, language: Language) -> String {
    Item::from_number(item.item).map_or_else(String::new, |item| {
        let (en, ja) = item.title();
        format!("{}. {}", item.number(), language.of(en, ja))
    })
}

/// The draft as a page.
#[must_use]
pub fn html(draft: &DraftReportResponse, language: Language) -> String {
    let telling = Telling::new(language, draft.utc_offset_seconds);
    let incident = draft.incident.clone().unwrap_or_default();
    let mut page = Page::new(title(draft.stage, language), language);
    page.sheet(|page| {
        page.heading(1, title(draft.stage, language));
        page.paragraph(language.of(&draft.title, &draft.title_ja));
        for (name, value) in facts(&incident, draft.made_at.as_ref(), &telling) {
            page.paragraph(&format!("{name}: {value}"));
        }
        page.note(language.of(
            "A draft by sekisho from the access log and from what people entered. It was filed nowhere: a person reads it, and files it.",
            "関所がアクセスログと入力された内容から作成した案です。どこにも提出していません。担当者が確認し、提出してください。",
        ));
        let systems: Vec<SystemRow> = draft.systems.iter().cloned().map(SystemRow::from).collect();
        systems::listed(page, &systems, language, Audience::Company);
    });
    page.heading(
        2,
        language.of(
            "Items of the report (Enforcement Rules Art. 8)",
            "報告事項(施行規則第8条)",
        ),
    );
    let rows: Vec<Vec<Cell>> = draft
        .items
        .iter()
        .map(|item| item_row(item, &telling))
        .collect();
    page.table(
        &[
            language.of("Item", "事項"),
            language.of("From the access log", "アクセスログによる内容"),
            language.of("Entered", "入力された内容"),
        ],
        &rows,
    );
    triggers_and_clocks(&mut page, &incident, &telling);
    timeline(&mut page, &incident, &telling);
    page.finish()
}

fn facts(
    incident: &Incident,
    made_at: Option<&Instant>,
    telling: &Telling,
) -> Vec<(&'static str, String)> {
    let language = telling.language;
    let moment = |at: Option<&Instant>| at.map_or_else(String::new, |at| telling.moment(at));
    let mut told = vec![
        (
            language.of("Incident", "番号"),
            incident.incident.to_string(),
        ),
        (
            language.of("Became known", "発覚日時"),
            moment(incident.aware_at.as_ref()),
        ),
        (
            language.of("Opened", "登録"),
            format!(
                "{} {}",
                moment(incident.opened_at.as_ref()),
                incident.opened_by
            ),
        ),
    ];
    if !incident.department.is_empty() {
        told.push((
            language.of("Department", "部門"),
            incident.department.clone(),
        ));
    }
    if incident.closed_at.is_some() {
        told.push((
            language.of("Closed", "終結"),
            format!(
                "{} {}",
                moment(incident.closed_at.as_ref()),
                incident.closed_by
            ),
        ));
    }
    told.push((language.of("Made at", "作成日時"), moment(made_at)));
    told
}

fn item_row(item: &DraftedItem, telling: &Telling) -> Vec<Cell> {
    let language = telling.language;
    let nothing = language.of("Missing: nobody has said it", "未入力");
    let mut entered: Vec<String> = item.entered.lines().map(str::to_owned).collect();
    if !item.entered.is_empty() {
        let at = item.entered_at.as_ref();
        let at = at.map_or_else(String::new, |at| telling.moment(at));
        entered.push(format!("({}, {at})", item.entered_by));
    }
    vec![
        Cell::new(item_title(item, language)),
        Cell::lines(of_log(item, language).to_vec()),
        if item.missing {
            Cell::warning(nothing)
        } else {
            Cell::lines(entered)
        },
    ]
}

fn triggers_and_clocks(page: &mut Page, incident: &Incident, telling: &Telling) {
    let language = telling.language;
    page.heading(
        2,
        language.of(
            "Whether it is to be reported (Enforcement Rules Art. 7)",
            "報告対象事態(施行規則第7条)",
        ),
    );
    let rows: Vec<Vec<Cell>> = incident
        .triggers
        .iter()
        .map(|one| {
            let is = verdict(one.verdict, language);
            let applies = one.verdict == i32::from(TriggerVerdict::Applies);
            vec![
                Cell::new(trigger(one.trigger, language)),
                if applies {
                    Cell::warning(is)
                } else {
                    Cell::new(is)
                },
                Cell::new(language.of(&one.of_log_why, &one.of_log_why_ja)),
                Cell::lines(judged(one, telling)),
            ]
        })
        .collect();
    page.table(
        &[
            language.of("Trigger", "事態"),
            language.of("Verdict", "判定"),
            language.of("What the log tells", "ログによる判定"),
            language.of("Judged by", "判断した者と理由"),
        ],
        &rows,
    );
    page.heading(2, language.of("Whom to tell by when", "報告先と期限"));
    let rows: Vec<Vec<Cell>> = incident
        .clocks
        .iter()
        .map(|clock| {
            let stands = state(clock.state, language);
            let overdue = clock.state == i32::from(ClockState::Overdue) || clock.late;
            vec![
                Cell::new(language.of(&clock.addressee, &clock.addressee_ja)),
                Cell::new(kind(&clock.kind, language)),
                Cell::new(due(clock, language)),
                if overdue {
                    Cell::warning(stands)
                } else {
                    Cell::new(stands)
                },
                Cell::lines(recorded(clock, telling)),
            ]
        })
        .collect();
    page.table(
        &[
            language.of("Addressee", "報告先"),
            language.of("Report", "報告"),
            language.of("Due", "期限"),
            language.of("State", "状態"),
            language.of("Recorded", "記録"),
        ],
        &rows,
    );
}

fn judged(one: &SeenTrigger, telling: &Telling) -> Vec<String> {
    if one.judged_by.is_empty() {
        return Vec::new();
    }
    let at = one.judged_at.as_ref();
    let at = at.map_or_else(String::new, |at| telling.moment(at));
    let mut lines = vec![format!("{}, {at}", one.judged_by)];
    lines.extend(one.why.lines().map(str::to_owned));
    lines
}

fn recorded(clock: &SeenClock, telling: &Telling) -> Vec<String> {
    let language = telling.language;
    let Some(at) = &clock.done_at else {
        return vec![language.of(&clock.why, &clock.why_ja).to_owned()];
    };
    let mut lines = vec![format!("{}, {}", telling.moment(at), clock.done_by)];
    if !clock.reference.is_empty() {
        lines.push(clock.reference.clone());
    }
    if clock.late {
        lines.push(language.of("after its time", "期限後").to_owned());
    }
    lines
}

fn timeline(page: &mut Page, incident: &Incident, telling: &Telling) {
    let language = telling.language;
    page.heading(2, language.of("Time line", "経過"));
    let rows: Vec<Vec<Cell>> = incident
        .timeline
        .iter()
        .map(|one| {
            let at = one.at.as_ref();
            vec![
                Cell::new(at.map_or_else(String::new, |at| telling.moment(at))),
                Cell::new(event(&one.what, language)),
                Cell::new(about(one, language)),
                Cell::new(&*one.by),
                Cell::lines(one.text.lines().map(str::to_owned).collect()),
                Cell::new(one.log_index.to_string()),
            ]
        })
        .collect();
    page.table(
        &[
            language.of("When", "日時"),
            language.of("What", "内容"),
            language.of("About", "対象"),
            language.of("Who", "担当"),
            language.of("Words", "記載"),
            language.of("Entry", "記録番号"),
        ],
        &rows,
    );
}

/// The nine items as CSV (RFC 4180 in UTF-8 with a byte order mark), harmless in a spreadsheet.
#[must_use]
pub fn csv(draft: &DraftReportResponse, language: Language) -> String {
    let mut csv = String::from(BYTE_ORDER_MARK);
    let heads = [
        "item",
        "title",
        "of_log",
        "entered",
        "entered_by",
        "missing",
    ];
    csv.push_str(&heads.join(","));
    csv.push_str("\r\n");
    for item in &draft.items {
        let word = Item::from_number(item.item).map_or("", Item::word);
        let cells = [
            word,
            &item_title(item, language),
            &of_log(item, language).join("\n"),
            &item.entered,
            &item.entered_by,
            if item.missing { "true" } else { "false" },
        ];
        let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// The draft as JSON.
#[must_use]
pub fn json(draft: &DraftReportResponse) -> Value {
    let telling = Telling::new(Language::English, draft.utc_offset_seconds);
    let items = draft.items.iter().map(|item| {
        json!({
            "item": Item::from_number(item.item).map_or("", Item::word),
            "ofLog": item.of_log,
            "ofLogJa": item.of_log_ja,
            "entered": item.entered,
            "enteredBy": item.entered_by,
            "enteredAt": telling.json_time(item.entered_at.as_ref()),
            "missing": item.missing,
        })
    });
    let systems: Vec<SystemRow> = draft.systems.iter().cloned().map(SystemRow::from).collect();
    let stage = ReportStage::try_from(draft.stage).unwrap_or_default();
    json!({
        "stage": match stage {
            ReportStage::Final => "final",
            ReportStage::Preliminary | ReportStage::Unspecified => "preliminary",
        },
        "title": draft.title,
        "titleJa": draft.title_ja,
        "madeAt": telling.json_time(draft.made_at.as_ref()),
        "items": items.collect::<Vec<_>>(),
        "incident": draft.incident.as_ref().map(incident_json),
        "systems": systems::json(&systems, Audience::Company),
    })
}

fn counts(of: &[ScopeCount]) -> Value {
    of.iter()
        .map(|count| json!({ "id": count.id, "accesses": count.accesses.to_string() }))
        .collect()
}

fn scope_json(scope: &IncidentScope) -> Value {
    let telling = Telling::new(Language::English, 0);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    json!({
        "logIndex": scope.log_index.to_string(),
        "log": scope.log,
        "logSize": scope.log_size.to_string(),
        "rootHash": hex(&scope.root_hash),
        "logFirst": scope.log_first.to_string(),
        "anyOf": scope.any_of,
        "accesses": scope.accesses.to_string(),
        "people": scope.people.to_string(),
        "morePeople": scope.more_people,
        "unnamedRecords": scope.unnamed_records.to_string(),
        "persons": counts(&scope.persons),
        "personsInAll": scope.persons_in_all.to_string(),
        "workloads": counts(&scope.workloads),
        "categories": counts(&scope.categories),
        "categoriesInAll": scope.categories_in_all.to_string(),
        "purposes": counts(&scope.purposes),
        "systems": counts(&scope.systems),
        "subjectKinds": counts(&scope.subject_kinds),
        "originCountries": counts(&scope.origin_countries),
        "recipients": counts(&scope.recipients),
        "firstAt": telling.json_time(scope.first_at.as_ref()),
        "lastAt": telling.json_time(scope.last_at.as_ref()),
        "digest": hex(&scope.digest),
    })
}

/// An incident as JSON, under the names that grpcurl shows.
pub(crate) fn incident_json(incident: &Incident) -> Value {
    let telling = Telling::new(Language::English, 0);
    let time = |at: Option<&Instant>| telling.json_time(at);
    let verdict = |number: i32| Verdict::from_number(number).map_or("", Verdict::word);
    let triggers = incident.triggers.iter().map(|one| {
        json!({
            "trigger": Trigger::from_number(one.trigger).map_or("", Trigger::word),
            "verdict": verdict(one.verdict),
            "ofLog": verdict(one.of_log),
            "ofLogWhy": one.of_log_why,
            "ofLogWhyJa": one.of_log_why_ja,
            "judgedBy": one.judged_by,
            "judgedAt": time(one.judged_at.as_ref()),
            "why": one.why,
        })
    });
    let clocks = incident.clocks.iter().map(|clock| {
        let state = ClockState::try_from(clock.state).unwrap_or_default();
        let state = state.as_str_name();
        let state = state.strip_prefix("CLOCK_STATE_").unwrap_or(state);
        json!({
            "clock": clock.clock,
            "kind": clock.kind,
            "addressee": clock.addressee,
            "addresseeJa": clock.addressee_ja,
            "state": state.to_ascii_lowercase().replace('_', "-"),
            "dueAt": time(clock.due_at.as_ref()),
            "dueOn": clock.due_on,
            "movedFrom": clock.moved_from,
            "closedDaysUnknown": clock.closed_days_unknown,
            "why": clock.why,
            "whyJa": clock.why_ja,
            "doneAt": time(clock.done_at.as_ref()),
            "doneBy": clock.done_by,
            "reference": clock.reference,
            "late": clock.late,
        })
    });
    let timeline = incident.timeline.iter().map(|event| {
        json!({
            "logIndex": event.log_index.to_string(),
            "at": time(event.at.as_ref()),
            "by": event.by,
            "what": event.what,
            "about": event.about,
            "text": event.text,
        })
    });
    json!({
        "incident": incident.incident.to_string(),
        "openedAt": time(incident.opened_at.as_ref()),
        "openedBy": incident.opened_by,
        "awareAt": time(incident.aware_at.as_ref()),
        "department": incident.department,
        "about": incident.about,
        "campaign": incident.campaign,
        "item": incident.item,
        "case": incident.case,
        "closedAt": time(incident.closed_at.as_ref()),
        "closedBy": incident.closed_by,
        "scope": incident.scope.as_ref().map(scope_json),
        "triggers": triggers.collect::<Vec<_>>(),
        "toBeReported": verdict(incident.to_be_reported),
        "clocks": clocks.collect::<Vec<_>>(),
        "timeline": timeline.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn draft() -> DraftReportResponse {
        let at = Some(Timestamp {
            seconds: 1_795_000_000,
            nanos: 0,
        });
        let item = |number: i32, entered: &str, missing| DraftedItem {
            item: number,
            of_log: vec!["Accesses: 3".into()],
            of_log_ja: vec!["取扱いの件数: 3".into()],
            entered: entered.into(),
            entered_by: "security-1".into(),
            entered_at: at,
            missing,
        };
        DraftReportResponse {
            stage: ReportStage::Final.into(),
            items: vec![
                item(1, "<script>alert(1)</script>\nsecond line", false),
                item(4, "=1+1", false),
                item(7, "", true),
            ],
            incident: Some(Incident {
                incident: 12,
                aware_at: at,
                ..Incident::default()
            }),
            made_at: at,
            utc_offset_seconds: 32_400,
            title: "Recruitment".into(),
            title_ja: "人材紹介".into(),
            ..DraftReportResponse::default()
        }
    }

    #[test]
    fn a_draft_is_a_page_in_either_language_that_runs_nothing_and_names_what_is_missing() {
        let english = html(&draft(), Language::English);
        assert!(english.contains("final report (draft)"), "{english}");
        assert!(english.contains("&lt;script&gt;") && !english.contains("<script"));
        assert!(english.contains("Missing: nobody has said it"));
        assert!(english.contains("It was filed nowhere"));
        let japanese = html(&draft(), Language::Japanese);
        assert!(japanese.contains("漏えい等報告書(確報・案)"));
        assert!(japanese.contains("7. 公表の実施状況") && japanese.contains("未入力"));
        assert!(japanese.contains("取扱いの件数: 3"));
    }

    #[test]
    fn a_spreadsheet_computes_nothing_of_what_people_wrote() {
        let csv = csv(&draft(), Language::Japanese);
        assert!(csv.starts_with('\u{feff}'));
        assert!(csv.contains("'=1+1"), "{csv}");
        assert!(csv.contains("second line"));
    }
}
