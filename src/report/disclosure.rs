//! The report that a person gets of their data (開示, APPI Art. 33(5)): to whom and from whom data went, which items, when and on
//! which ground; for the company's own use also each access. As a page that prints, or as JSON. Written part by part, so that it is
//! never all in memory.

use data_encoding::BASE64;
use prost_types::Timestamp as Instant;
use serde_json::{Value, json};

use super::page::{Cell, Page};
use super::systems::{self, Audience};
use super::told::{Telling, labelled, lines};
use super::{Language, SystemRow};
use crate::proto::{
    DisclosedAccess, DisclosedLog, DisclosedRecord, DisclosureEnd, DisclosureHead, DisclosureScope,
    RecordKind, RecordStatus, ReferenceStanding,
};

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// A page.
    Html,
}

/// Where a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Records,
    Accesses,
}

/// A report while it is written: [`Self::begin`], then records, then accesses, then [`Self::end`].
#[derive(Debug)]
pub struct Report {
    /// `None` where it is JSON.
    page: Option<Page>,
    telling: Telling,
    all: bool,
    at: At,
    /// How many are in the present part.
    count: u64,
}

impl Report {
    /// A report and how it begins.
    #[must_use]
    pub fn begin(form: Form, language: Language, head: &DisclosureHead) -> (Self, String) {
        let mut report = Self {
            page: None,
            telling: Telling::new(language, head.utc_offset_seconds),
            all: head.scope == i32::from(DisclosureScope::All),
            at: At::Records,
            count: 0,
        };
        let text = match form {
            Form::Json => report.json_head(head),
            Form::Html => {
                let mut page = report.page_head(head);
                let text = page.take();
                report.page = Some(page);
                text
            }
        };
        (report, text)
    }

    /// A record.
    pub fn record(&mut self, record: &DisclosedRecord) -> String {
        let text = if self.page.is_some() {
            let row = self.row_of_record(record);
            self.on_page(|page| page.row(&row))
        } else {
            self.json_part(&self.json_record(record))
        };
        self.count = self.count.saturating_add(1);
        text
    }

    /// An access; no record follows.
    pub fn access(&mut self, access: &DisclosedAccess) -> String {
        let mut text = self.turn_to_accesses();
        if self.page.is_some() {
            let row = self.row_of_access(access);
            text.push_str(&self.on_page(|page| page.row(&row)));
        } else {
            text.push_str(&self.json_part(&self.json_access(access)));
        }
        self.count = self.count.saturating_add(1);
        text
    }

    /// How it ends, once all of it was told.
    #[must_use]
    pub fn end(mut self, end: &DisclosureEnd) -> String {
        let mut text = if self.all {
            self.turn_to_accesses()
        } else {
            String::new()
        };
        text.push_str(&self.end_of_table());
        let language = self.telling.language;
        let (records, accesses) = (end.records.to_string(), end.accesses.to_string());
        let mut last = format!("{}{records}", language.of("Records: ", "記録の件数: "));
        if self.all {
            last.push_str(language.of("; uses: ", "、利用の件数: "));
            last.push_str(&accesses);
        }
        text.push_str(&match self.page {
            Some(mut page) => {
                page.note(&format!(
                    "{} {last}",
                    language.of("End of the report.", "報告書の終わり。")
                ));
                page.finish()
            }
            None => {
                let counts = if self.all {
                    json!({ "records": records, "accesses": accesses })
                } else {
                    json!({ "records": records })
                };
                format!("\n  ],\n  \"end\": {counts}\n}}\n")
            }
        });
        text
    }

    /// What is written on the page by `write`; nothing where it is JSON.
    fn on_page(&mut self, write: impl FnOnce(&mut Page)) -> String {
        let Some(page) = &mut self.page else {
            return String::new();
        };
        write(page);
        page.take()
    }

    fn turn_to_accesses(&mut self) -> String {
        if self.at == At::Accesses {
            return String::new();
        }
        let mut text = self.end_of_table();
        let language = self.telling.language;
        text.push_str(&if self.page.is_some() {
            let heads = match language {
                Language::English => ["When", "What", "Items", "For what", "System"],
                Language::Japanese => ["日時", "取扱い", "項目", "利用目的", "システム"],
            };
            self.on_page(|page| {
                page.heading(2, language.of("Uses of your data", "利用の記録"));
                page.begin_table(&heads);
            })
        } else {
            "\n  ],\n  \"accesses\": [".to_owned()
        });
        (self.at, self.count) = (At::Accesses, 0);
        text
    }

    /// Ends the table of the page; says so where nothing is in it.
    fn end_of_table(&mut self) -> String {
        let language = self.telling.language;
        let none = match (self.count, self.at) {
            (0, At::Records) => language.of("There is no record.", "記録はありません。"),
            (0, At::Accesses) => language.of("There was no use.", "利用はありません。"),
            _ => "",
        };
        self.on_page(|page| {
            page.end_table();
            if !none.is_empty() {
                page.paragraph(none);
            }
        })
    }

    fn title(&self) -> &'static str {
        if self.all {
            self.telling.language.of(
                "Uses and provision of personal data (internal)",
                "個人データの取扱い・第三者提供の記録(社内用)",
            )
        } else {
            self.telling.language.of(
                "Disclosure of records of provision to third parties",
                "第三者提供記録の開示",
            )
        }
    }

    fn page_head(&self, head: &DisclosureHead) -> Page {
        let language = self.telling.language;
        let mut page = Page::new(self.title(), language);
        let or = |at: &Option<Instant>, otherwise: &str| {
            at.as_ref()
                .map_or_else(|| otherwise.to_owned(), |at| self.telling.moment(at))
        };
        let period = format!(
            "{} – {}",
            or(&head.from, language.of("the beginning", "最初")),
            or(&head.until, language.of("now", "現在")),
        );
        let mut facts = vec![
            (
                language.of("Policy", "ポリシー"),
                language.of(&head.title, &head.title_ja).to_owned(),
            ),
            (language.of("Person", "本人"), head.subject_ref.clone()),
            (language.of("Period", "期間"), period),
            (language.of("Made at", "作成日時"), or(&head.made_at, "")),
        ];
        if let Some(log) = &head.log {
            facts.extend(self.facts_of_log(log));
        }
        let systems = systems_of(head);
        page.sheet(|page| {
            page.heading(1, self.title());
            for (name, value) in facts {
                page.paragraph(&format!("{name}: {value}"));
            }
            page.note(language.of(
                "From the records that Articles 29 and 30 of the Act on the Protection of Personal Information ask for (Article 33, paragraph 5). Names of employees are not part of it.",
                "個人情報の保護に関する法律第29条・第30条の記録に基づきます(同法第33条第5項)。従業者の氏名は含みません。",
            ));
            if self.all {
                page.note(language.of(
                    "Uses are told from the log that is named above and no other: where several daemons share a store, each has a log of its own.",
                    "利用の記録は上記のログのみに基づきます。複数のデーモンがストアを共有する場合、ログはデーモンごとに別です。",
                ));
            }
            systems::listed(page, &systems, language, Audience::Subject);
        });
        let title = language.of(
            "Provision to and receipt from third parties",
            "第三者への提供・第三者からの受領",
        );
        page.heading(2, title);
        let heads = match language {
            Language::English => [
                "When",
                "To or from whom",
                "Items",
                "Purpose",
                "On which ground",
            ],
            Language::Japanese => ["年月日", "提供先・提供元", "項目", "利用目的", "根拠"],
        };
        page.begin_table(&heads);
        page
    }

    fn row_of_record(&self, record: &DisclosedRecord) -> [Cell; 5] {
        let language = self.telling.language;
        let is_receipt = record.kind == i32::from(RecordKind::Receipt);
        let day = record.at.as_ref().map_or_else(String::new, |at| {
            if is_receipt {
                self.telling.day(at)
            } else {
                self.telling.moment(at)
            }
        });
        let direction = if is_receipt {
            language.of("Received from", "提供元")
        } else {
            language.of("Provided to", "提供先")
        };
        let who = vec![
            labelled(direction, &record.name),
            labelled(language.of("Address", "住所"), &record.address),
            labelled(
                language.of("Representative", "代表者"),
                &record.representative,
            ),
            labelled(language.of("Country", "国"), &record.country),
        ];
        let mut ground = vec![
            self.telling
                .ground(record.receipt_basis, &record.route)
                .to_owned(),
            self.telling.consent(record.consent).to_owned(),
            self.telling
                .document(&record.basis_reference, record.basis_reference_standing),
            labelled(
                language.of("How they acquired it", "取得の経緯"),
                &record.acquisition,
            ),
        ];
        if record.status == i32::from(RecordStatus::Open) {
            let open = language.of("Result not reported yet", "結果の報告待ち");
            ground.push(open.to_owned());
        }
        if record.undecided {
            let undecided = language.of(
                "Reported after the fact, without a decision on this person",
                "事後の報告による(本人についての判定なし)",
            );
            ground.push(undecided.to_owned());
        }
        ground.push(labelled(
            language.of("Not told", "記載できない理由"),
            &record.unreadable,
        ));
        [
            Cell::new(day),
            lines(who),
            lines(record.categories.clone()),
            Cell::new(&*record.purpose),
            lines(ground),
        ]
    }

    fn row_of_access(&self, access: &DisclosedAccess) -> [Cell; 5] {
        let when = access
            .at
            .as_ref()
            .map_or_else(String::new, |at| self.telling.moment(at));
        let what = self.telling.action(access.action).to_owned();
        let what = if access.recipient.is_empty() {
            what
        } else {
            format!("{what}: {}", access.recipient)
        };
        [
            Cell::new(when),
            Cell::new(what),
            lines(access.categories.clone()),
            Cell::new(&*access.purpose),
            Cell::new(&*access.system),
        ]
    }

    /// Which log uses are told from, and how much of it.
    fn facts_of_log(&self, log: &DisclosedLog) -> Vec<(&'static str, String)> {
        let language = self.telling.language;
        let at = |at: &Option<Instant>| {
            at.as_ref()
                .map_or_else(String::new, |at| self.telling.moment(at))
        };
        let entries = match log.size.checked_sub(1) {
            Some(last) if log.first_at.is_some() => format!(
                "{} – {last} ({} – {})",
                log.first_index,
                at(&log.first_at),
                at(&log.last_at),
            ),
            _ => language.of("none", "なし").to_owned(),
        };
        vec![
            (
                language.of("Uses are told from the log", "利用の記録の基となるログ"),
                log.name.clone(),
            ),
            (language.of("Its entries", "対象の記録番号"), entries),
            (
                language.of("Its size and root", "ログの件数とルートハッシュ"),
                format!("{}, {}", log.size, BASE64.encode(&log.root)),
            ),
        ]
    }

    fn json_log(&self, log: &DisclosedLog) -> Value {
        json!({
            "name": log.name,
            "firstIndex": log.first_index.to_string(),
            "firstAt": self.telling.json_time(log.first_at.as_ref()),
            "lastAt": self.telling.json_time(log.last_at.as_ref()),
            "size": log.size.to_string(),
            "root": BASE64.encode(&log.root),
        })
    }

    fn json_head(&self, head: &DisclosureHead) -> String {
        let systems = systems::json(&systems_of(head), Audience::Subject);
        let log = head.log.as_ref();
        let fields = [
            ("report", json!(self.title())),
            ("title", json!(head.title)),
            ("titleJa", json!(head.title_ja)),
            ("subjectRef", json!(head.subject_ref)),
            ("scope", json!(if self.all { "all" } else { "provision" })),
            ("from", self.telling.json_time(head.from.as_ref())),
            ("until", self.telling.json_time(head.until.as_ref())),
            ("madeAt", self.telling.json_time(head.made_at.as_ref())),
            ("systems", systems),
            ("log", log.map_or(Value::Null, |log| self.json_log(log))),
        ];
        let mut text = "{".to_owned();
        for (name, value) in fields {
            text.push_str("\n  ");
            text.push_str(&json!(name).to_string());
            text.push_str(": ");
            text.push_str(&value.to_string());
            text.push(',');
        }
        text.push_str("\n  \"records\": [");
        text
    }

    fn json_part(&self, part: &Value) -> String {
        let comma = if self.count == 0 { "" } else { "," };
        format!("{comma}\n    {part}")
    }

    fn json_record(&self, record: &DisclosedRecord) -> Value {
        let name = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
        let standing =
            ReferenceStanding::try_from(record.basis_reference_standing).unwrap_or_default();
        let kind = RecordKind::try_from(record.kind).unwrap_or_default();
        let status = RecordStatus::try_from(record.status).unwrap_or_default();
        json!({
            "recordId": record.record_id,
            "kind": name(kind.as_str_name(), "RECORD_KIND_"),
            "status": name(status.as_str_name(), "RECORD_STATUS_"),
            "at": self.telling.json_time(record.at.as_ref()),
            "name": record.name,
            "address": record.address,
            "representative": record.representative,
            "country": record.country,
            "items": record.categories,
            "purpose": record.purpose,
            "route": record.route,
            "ground": self.telling.ground(record.receipt_basis, &record.route),
            "consent": self.telling.consent(record.consent),
            "basisReference": record.basis_reference,
            "basisReferenceStanding": name(standing.as_str_name(), "REFERENCE_STANDING_"),
            "undecided": record.undecided,
            "acquisition": record.acquisition,
            "unreadable": record.unreadable,
        })
    }

    fn json_access(&self, access: &DisclosedAccess) -> Value {
        json!({
            "at": self.telling.json_time(access.at.as_ref()),
            "action": self.telling.action(access.action),
            "items": access.categories,
            "purpose": access.purpose,
            "system": access.system,
            "recipient": access.recipient,
            "logIndex": access.log_index.to_string(),
        })
    }
}

fn systems_of(head: &DisclosureHead) -> Vec<SystemRow> {
    head.systems.iter().cloned().map(SystemRow::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Action, ConsentState, RegisterSystem};

    const HOSTILE: &str = "<b>\"&'\u{202e}";

    fn instant() -> Instant {
        Instant {
            seconds: 1_800_000_000,
            nanos: 0,
        }
    }

    fn head(scope: DisclosureScope) -> DisclosureHead {
        DisclosureHead {
            title: HOSTILE.to_owned(),
            title_ja: "人材紹介".to_owned(),
            made_at: Some(instant()),
            scope: scope.into(),
            subject_ref: HOSTILE.to_owned(),
            utc_offset_seconds: 9 * 3_600,
            systems: vec![RegisterSystem {
                id: HOSTILE.to_owned(),
                title: HOSTILE.to_owned(),
                title_ja: HOSTILE.to_owned(),
                responsible: "the-head".to_owned(),
                department: HOSTILE.to_owned(),
                country: HOSTILE.to_owned(),
                coverage: HOSTILE.to_owned(),
                ..RegisterSystem::default()
            }],
            log: (scope == DisclosureScope::All).then(|| DisclosedLog {
                name: HOSTILE.to_owned(),
                first_index: 3,
                first_at: Some(instant()),
                last_at: Some(instant()),
                size: 10,
                root: vec![9; 32],
            }),
            ..DisclosureHead::default()
        }
    }

    fn record() -> DisclosedRecord {
        DisclosedRecord {
            kind: RecordKind::Provision.into(),
            status: RecordStatus::Provided.into(),
            at: Some(instant()),
            name: HOSTILE.to_owned(),
            address: HOSTILE.to_owned(),
            representative: HOSTILE.to_owned(),
            country: HOSTILE.to_owned(),
            categories: vec![HOSTILE.to_owned()],
            route: "third-party-consent".to_owned(),
            consent: ConsentState::Prior.into(),
            basis_reference: HOSTILE.to_owned(),
            basis_reference_standing: ReferenceStanding::Registered.into(),
            undecided: true,
            purpose: HOSTILE.to_owned(),
            acquisition: HOSTILE.to_owned(),
            record_id: "r".to_owned(),
            unreadable: HOSTILE.to_owned(),
            ..DisclosedRecord::default()
        }
    }

    fn access() -> DisclosedAccess {
        DisclosedAccess {
            at: Some(instant()),
            action: Action::Read.into(),
            system: HOSTILE.to_owned(),
            categories: vec![HOSTILE.to_owned()],
            purpose: HOSTILE.to_owned(),
            recipient: HOSTILE.to_owned(),
            log_index: 7,
        }
    }

    fn whole(form: Form, language: Language, scope: DisclosureScope, parts: usize) -> String {
        let (mut report, mut text) = Report::begin(form, language, &head(scope));
        for _ in 0..parts {
            text.push_str(&report.record(&record()));
        }
        if scope == DisclosureScope::All {
            for _ in 0..parts {
                text.push_str(&report.access(&access()));
            }
        }
        let count = u64::try_from(parts).unwrap();
        text.push_str(&report.end(&DisclosureEnd {
            records: count,
            accesses: count,
        }));
        text
    }

    #[test]
    fn whatever_is_in_a_page_is_escaped_and_every_element_ends() {
        for language in [Language::English, Language::Japanese] {
            for scope in [DisclosureScope::Provision, DisclosureScope::All] {
                for parts in [0, 1, 3] {
                    let page = whole(Form::Html, language, scope, parts);
                    assert!(
                        !page.contains("<b>") && !page.contains('\u{202e}'),
                        "{page}"
                    );
                    for element in [
                        "html", "body", "table", "tbody", "tr", "td", "th", "h2", "p",
                    ] {
                        let count = |text: String| page.matches(&text).count();
                        let begun = count(format!("<{element}>")) + count(format!("<{element} "));
                        assert_eq!(begun, count(format!("</{element}>")), "{element}: {page}");
                    }
                    let empty =
                        page.contains("There is no record") || page.contains("記録はありません");
                    assert_eq!(empty, parts == 0);
                }
            }
        }
    }

    #[test]
    fn json_is_whole_and_says_it_in_the_language_that_was_asked_for() {
        for scope in [DisclosureScope::Provision, DisclosureScope::All] {
            for parts in [0, 1, 3] {
                let text = whole(Form::Json, Language::Japanese, scope, parts);
                let value: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["records"].as_array().unwrap().len(), parts);
                assert_eq!(value["subjectRef"], HOSTILE);
                assert_eq!(value["end"]["records"], parts.to_string());
                let system = &value["systems"][0];
                assert_eq!(
                    (&system["id"], &system["responsible"]),
                    (&json!(HOSTILE), &Value::Null)
                );
                let root = value["log"]["root"].as_str().map(str::len);
                assert_eq!(root, (scope == DisclosureScope::All).then_some(44));
                let accesses = value["accesses"].as_array().map(Vec::len);
                let expected = (scope == DisclosureScope::All).then_some(parts);
                assert_eq!(accesses, expected);
                if parts > 0 {
                    assert_eq!(value["records"][0]["ground"], "第三者提供(本人の同意)");
                    assert_eq!(value["records"][0]["items"][0], HOSTILE);
                    let standing = &value["records"][0]["basisReferenceStanding"];
                    assert_eq!(standing, "REGISTERED");
                }
            }
        }
    }

    #[test]
    fn days_are_told_where_the_packs_clock_is() {
        let page = |language| whole(Form::Html, language, DisclosureScope::Provision, 1);
        assert!(page(Language::English).contains("2027-01-15 17:00 (+09:00)"));
        assert!(page(Language::Japanese).contains("2027年1月15日 17:00 (+09:00)"));
    }

    #[test]
    fn the_first_sheet_lists_the_systems_without_who_answers_for_them_and_the_log_that_was_read() {
        let page = |scope| whole(Form::Html, Language::English, scope, 1);
        for scope in [DisclosureScope::Provision, DisclosureScope::All] {
            let page = page(scope);
            let sheet = page.split("</section>").next().unwrap();
            assert!(sheet.contains("Systems that hold personal data"), "{page}");
            assert!(!page.contains("the-head"), "{page}");
            assert!(page.contains("(registered beforehand)"), "{page}");
            assert_eq!(sheet.contains("3 – 9 ("), scope == DisclosureScope::All);
            assert!(page.contains("End of the report. Records: 1"), "{page}");
        }
    }
}
