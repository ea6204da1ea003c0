//! The systems that hold personal data: the first sheet of every report, so that it promises no more than there is.

use serde_json::{Value, json};

use super::Language;
use super::page::{Cell, Page};
use super::register::SystemRow;
use crate::proto::RegisterSystem;

/// Between the values of one cell.
const BETWEEN: &str = ", ";

/// For whom they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// The company: with who answers for each, and the services that ask.
    Company,
    /// The person whose data they hold, who is told no names of employees.
    Subject,
}

impl From<RegisterSystem> for SystemRow {
    fn from(row: RegisterSystem) -> Self {
        Self {
            id: row.id,
            title: row.title,
            title_ja: row.title_ja,
            responsible: row.responsible,
            responsible_ja: row.responsible_ja,
            department: row.department,
            country: row.country,
            coverage: row.coverage,
            services: row.services,
        }
    }
}

fn coverage(system: &SystemRow, language: Language) -> String {
    match (&*system.coverage, language) {
        (_, Language::English) => &*system.coverage,
        ("enforced", Language::Japanese) => "実施(関所が制限する)",
        ("recorded", Language::Japanese) => "記録のみ",
        ("uncovered", Language::Japanese) => "対象外",
        (other, Language::Japanese) => other,
    }
    .to_owned()
}

/// The heading, the table and what its words mean.
pub(super) fn listed(
    page: &mut Page,
    systems: &[SystemRow],
    language: Language,
    audience: Audience,
) {
    page.heading(
        2,
        language.of(
            "Systems that hold personal data",
            "個人データを取り扱うシステム",
        ),
    );
    if systems.is_empty() {
        page.note(language.of(
            "The pack lists no systems, so nothing is said of what is covered.",
            "ポリシーパックにシステムの一覧がないため、対象の範囲は示されていません。",
        ));
        return;
    }
    let is_company = audience == Audience::Company;
    let head = |english, japanese| language.of(english, japanese);
    let mut heads = vec![head("System", "システム"), head("Title", "名称")];
    heads.extend(is_company.then(|| head("Responsible", "責任者")));
    heads.extend([
        head("Department", "部門"),
        head("Country", "国"),
        head("Coverage", "関所の適用"),
    ]);
    heads.extend(is_company.then(|| head("Services that ask", "問い合わせるサービス")));
    let rows: Vec<Vec<Cell>> = systems
        .iter()
        .map(|system| {
            let covered = coverage(system, language);
            let responsible = language.of(&system.responsible, &system.responsible_ja);
            let mut row = vec![
                Cell::new(&*system.id),
                Cell::new(language.of(&system.title, &system.title_ja)),
            ];
            row.extend(is_company.then(|| Cell::new(responsible)));
            row.extend([
                Cell::new(&*system.department),
                Cell::new(&*system.country),
                if system.coverage == "enforced" {
                    Cell::new(covered)
                } else {
                    Cell::warning(covered)
                },
            ]);
            row.extend(is_company.then(|| Cell::new(system.services.join(BETWEEN))));
            row
        })
        .collect();
    page.table(&heads, &rows);
    page.note(language.of(
        "enforced: it asks before each access and acts on the answer. recorded: it asks, and nothing keeps it from going on after a denial. uncovered: it does not ask, and this report knows nothing of what is done there.",
        "実施: 取扱いの前に問い合わせ、回答に従います。記録のみ: 問い合わせますが、拒否の後も取扱いを止める仕組みがありません。対象外: 問い合わせず、この報告書には取扱いが現れません。",
    ));
}

/// The same as JSON.
pub(super) fn json(systems: &[SystemRow], audience: Audience) -> Value {
    let of = |system: &SystemRow| {
        let mut object = json!({
            "id": system.id,
            "title": system.title,
            "titleJa": system.title_ja,
            "department": system.department,
            "country": system.country,
            "coverage": system.coverage,
        });
        if let (Audience::Company, Some(object)) = (audience, object.as_object_mut()) {
            object.insert("responsible".to_owned(), json!(system.responsible));
            object.insert("responsibleJa".to_owned(), json!(system.responsible_ja));
            object.insert("services".to_owned(), json!(system.services));
        }
        object
    };
    systems.iter().map(of).collect()
}
