//! The register of safety-management measures (安全管理措置) in words for a regulator: as a page that prints, as CSV and as JSON. Its first
//! sheet lists the systems and which are not covered.

use prost_types::Timestamp as Instant;
use serde_json::{Value, json};

use super::page::{Cell, Page};
use super::systems::{self, Audience};
use super::told::Telling;
use super::{Language, SystemRow};
use crate::export::cell as csv_cell;
use crate::proto::{GetMeasuresResponse, Measure};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// How a measure is shown, in words.
pub(crate) fn label(kind: &str, language: Language) -> &str {
    match kind {
        "enforced" => language.of("enforced", "実施(関所が制限)"),
        "recorded" => language.of("recorded", "記録"),
        "attested" => language.of("attested", "申告"),
        "outside" => language.of("outside", "関所の対象外"),
        other => other,
    }
}

fn systems_of(register: &GetMeasuresResponse) -> Vec<SystemRow> {
    register
        .systems
        .iter()
        .cloned()
        .map(SystemRow::from)
        .collect()
}

/// What there is for a measure, a line each.
pub(crate) fn evidence(measure: &Measure, language: Language) -> Vec<String> {
    let mut lines = match language {
        Language::English => measure.evidence.clone(),
        Language::Japanese => measure.evidence_ja.clone(),
    };
    if measure.kind == "attested" {
        let asked = language.of(&measure.asked_for, &measure.asked_for_ja);
        lines.push(match &*measure.reference {
            "" => format!("{}: {asked}", language.of("Asked for", "必要な資料")),
            given => format!("{asked}: {given} ({})", measure.attested_by),
        });
    }
    lines
}

fn day(at: Option<&Instant>, telling: &Telling) -> String {
    at.map_or_else(String::new, |at| telling.day(at))
}

/// The register as a page.
#[must_use]
pub fn html(register: &GetMeasuresResponse, language: Language) -> String {
    let telling = Telling::new(language, register.utc_offset_seconds);
    let title = language.of(
        "Register of safety-management measures",
        "安全管理措置の台帳",
    );
    let mut page = Page::new(title, language);
    page.sheet(|page| {
        page.heading(1, title);
        page.paragraph(language.of(&register.title, &register.title_ja));
        let at = register.at.as_ref();
        let at = at.map_or_else(String::new, |at| telling.moment(at));
        page.paragraph(&format!("{}: {at}", language.of("As of", "基準日時")));
        let policy = language.of("Policy pack, SHA-256", "ポリシーパック(SHA-256)");
        page.note(&format!(
            "{policy}: {} {}",
            register.pack, register.revision
        ));
        systems::listed(page, &systems_of(register), language, Audience::Company);
    });
    page.heading(2, language.of("Measures", "措置"));
    if register.measures.is_empty() {
        page.note(language.of(
            "The pack lists no measures.",
            "ポリシーパックに措置の一覧がありません。",
        ));
        return page.finish();
    }
    let rows: Vec<Vec<Cell>> = register
        .measures
        .iter()
        .map(|measure| row(measure, &telling))
        .collect();
    let heads = [
        language.of("Measure", "措置"),
        language.of("Promise", "約束"),
        language.of("Owner", "責任者(役割)"),
        language.of("Shown by", "区分"),
        language.of("Evidence", "根拠"),
        language.of("Last", "前回"),
        language.of("Next", "次回期限"),
    ];
    page.table(&heads, &rows);
    page.note(language.of(
        "enforced: by the rules in force, from which this was derived. recorded: seen in the access log. attested: a person says so and names a document. outside: sekisho knows nothing of it.",
        "実施: 適用中の規則が制限し、内容はその規則から作成しています。記録: アクセスログに現れます。申告: 担当者が資料を示して申告します。対象外: 関所では分かりません。",
    ));
    page.finish()
}

fn row(measure: &Measure, telling: &Telling) -> Vec<Cell> {
    let language = telling.language;
    let next = match (measure.overdue, &measure.next) {
        (true, None) => Cell::warning(language.of("never attested", "未申告")),
        (true, next) => Cell::warning(day(next.as_ref(), telling)),
        (false, next) => Cell::new(day(next.as_ref(), telling)),
    };
    vec![
        Cell::new(&*measure.id),
        Cell::new(language.of(&measure.promise, &measure.promise_ja)),
        Cell::new(&*measure.owner),
        Cell::new(label(&measure.kind, language)),
        Cell::lines(evidence(measure, language)),
        Cell::new(day(measure.last.as_ref(), telling)),
        next,
    ]
}

/// The register as CSV (RFC 4180 in UTF-8 with a byte order mark), harmless in a spreadsheet.
#[must_use]
pub fn csv(register: &GetMeasuresResponse, language: Language) -> String {
    let telling = Telling::new(language, register.utc_offset_seconds);
    let mut csv = String::from(BYTE_ORDER_MARK);
    csv.push_str("id,promise,owner,kind,evidence,last,next,overdue\r\n");
    for measure in &register.measures {
        let cells = [
            measure.id.clone(),
            language
                .of(&measure.promise, &measure.promise_ja)
                .to_owned(),
            measure.owner.clone(),
            measure.kind.clone(),
            evidence(measure, language).join("\n"),
            day(measure.last.as_ref(), &telling),
            day(measure.next.as_ref(), &telling),
            measure.overdue.to_string(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// The register as JSON.
#[must_use]
pub fn json(register: &GetMeasuresResponse) -> Value {
    let telling = Telling::new(Language::English, register.utc_offset_seconds);
    let measures = register.measures.iter().map(|measure| {
        json!({
            "id": measure.id,
            "promise": measure.promise,
            "promiseJa": measure.promise_ja,
            "owner": measure.owner,
            "kind": measure.kind,
            "by": measure.by,
            "evidence": measure.evidence,
            "evidenceJa": measure.evidence_ja,
            "last": telling.json_time(measure.last.as_ref()),
            "next": telling.json_time(measure.next.as_ref()),
            "overdue": measure.overdue,
            "every": measure.every,
            "askedFor": measure.asked_for,
            "askedForJa": measure.asked_for_ja,
            "reference": measure.reference,
            "attestedBy": measure.attested_by,
            "logIndex": measure.log_index.to_string(),
        })
    });
    json!({
        "pack": register.pack,
        "title": register.title,
        "titleJa": register.title_ja,
        "revision": register.revision,
        "at": telling.json_time(register.at.as_ref()),
        "systems": systems::json(&systems_of(register), Audience::Company),
        "measures": measures.collect::<Vec<_>>(),
    })
}
