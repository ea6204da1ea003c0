//! The report that a person gets of their data (開示, APPI Art. 33(5)): to whom and from whom data went, which items, when and on
//! which ground; for the company's own use also each access. As a page that prints, or as JSON. Written part by part, so that it is
//! never all in memory.

use prost_types::Timestamp as Instant;
use serde_json::{Value, json};
use time::{Date, UtcOffset};

use super::Language;
use super::page::{Cell, Page};
use crate::domain::time::Timestamp;
use crate::proto::{
    Action, ConsentState, DisclosedAccess, DisclosedRecord, DisclosureHead, DisclosureScope,
    ReceiptBasis, RecordKind, RecordStatus,
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
    language: Language,
    offset: UtcOffset,
    all: bool,
    at: At,
    /// How many are in the present part.
    count: u64,
}

impl Report {
    /// A report and how it begins.
    #[must_use]
    pub fn begin(form: Form, language: Language, head: &DisclosureHead) -> (Self, String) {
        let offset = UtcOffset::from_whole_seconds(head.utc_offset_seconds);
        let mut report = Self {
            page: None,
            language,
            offset: offset.unwrap_or(UtcOffset::UTC),
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

    /// How it ends.
    #[must_use]
    pub fn end(mut self) -> String {
        let mut text = if self.all {
            self.turn_to_accesses()
        } else {
            String::new()
        };
        text.push_str(&self.end_of_table());
        text.push_str(&match self.page {
            Some(page) => page.finish(),
            None => "\n  ]\n}\n".to_owned(),
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
        let language = self.language;
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
        let language = self.language;
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
            self.language.of(
                "Uses and provision of personal data (internal)",
                "個人データの取扱い・第三者提供の記録(社内用)",
            )
        } else {
            self.language.of(
                "Disclosure of records of provision to third parties",
                "第三者提供記録の開示",
            )
        }
    }

    fn page_head(&self, head: &DisclosureHead) -> Page {
        let language = self.language;
        let mut page = Page::new(self.title(), language);
        page.heading(1, self.title());
        let or = |at: &Option<Instant>, otherwise: &str| {
            at.as_ref()
                .map_or_else(|| otherwise.to_owned(), |at| self.moment(at))
        };
        let period = format!(
            "{} – {}",
            or(&head.from, language.of("the beginning", "最初")),
            or(&head.until, language.of("now", "現在")),
        );
        let facts = [
            (
                language.of("Policy", "ポリシー"),
                language.of(&head.title, &head.title_ja).to_owned(),
            ),
            (language.of("Person", "本人"), head.subject_ref.clone()),
            (language.of("Period", "期間"), period),
            (language.of("Made at", "作成日時"), or(&head.made_at, "")),
        ];
        for (name, value) in facts {
            page.paragraph(&format!("{name}: {value}"));
        }
        page.note(language.of(
            "From the records that Articles 29 and 30 of the Act on the Protection of Personal Information ask for (Article 33, paragraph 5). Names of employees are not part of it.",
            "個人情報の保護に関する法律第29条・第30条の記録に基づきます(同法第33条第5項)。従業者の氏名は含みません。",
        ));
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
        let language = self.language;
        let is_receipt = record.kind == i32::from(RecordKind::Receipt);
        let day = record.at.as_ref().map_or_else(String::new, |at| {
            if is_receipt {
                self.day(at)
            } else {
                self.moment(at)
            }
        });
        let direction = if is_receipt {
            language.of("Received from", "提供元")
        } else {
            language.of("Provided to", "提供先")
        };
        let labelled = |label: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("{label}: {text}")
            }
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
            self.ground(record).to_owned(),
            self.consent(record.consent).to_owned(),
            labelled(language.of("Document", "根拠文書"), &record.basis_reference),
            labelled(
                language.of("How they acquired it", "取得の経緯"),
                &record.acquisition,
            ),
        ];
        if record.status == i32::from(RecordStatus::Open) {
            let open = language.of("Result not reported yet", "結果の報告待ち");
            ground.push(open.to_owned());
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
            .map_or_else(String::new, |at| self.moment(at));
        let what = self.action(access.action).to_owned();
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

    fn json_head(&self, head: &DisclosureHead) -> String {
        let fields = [
            ("report", json!(self.title())),
            ("title", json!(head.title)),
            ("titleJa", json!(head.title_ja)),
            ("subjectRef", json!(head.subject_ref)),
            ("scope", json!(if self.all { "all" } else { "provision" })),
            ("from", self.json_time(head.from.as_ref())),
            ("until", self.json_time(head.until.as_ref())),
            ("madeAt", self.json_time(head.made_at.as_ref())),
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
        let kind = RecordKind::try_from(record.kind).unwrap_or_default();
        let status = RecordStatus::try_from(record.status).unwrap_or_default();
        json!({
            "recordId": record.record_id,
            "kind": name(kind.as_str_name(), "RECORD_KIND_"),
            "status": name(status.as_str_name(), "RECORD_STATUS_"),
            "at": self.json_time(record.at.as_ref()),
            "name": record.name,
            "address": record.address,
            "representative": record.representative,
            "country": record.country,
            "items": record.categories,
            "purpose": record.purpose,
            "route": record.route,
            "ground": self.ground(record),
            "consent": self.consent(record.consent),
            "basisReference": record.basis_reference,
            "acquisition": record.acquisition,
            "unreadable": record.unreadable,
        })
    }

    fn json_access(&self, access: &DisclosedAccess) -> Value {
        json!({
            "at": self.json_time(access.at.as_ref()),
            "action": self.action(access.action),
            "items": access.categories,
            "purpose": access.purpose,
            "system": access.system,
            "recipient": access.recipient,
            "logIndex": access.log_index.to_string(),
        })
    }

    fn json_time(&self, at: Option<&Instant>) -> Value {
        at.map_or(Value::Null, |at| json!(timestamp(at).to_string()))
    }

    /// Where the pack's clock is, to the minute.
    fn moment(&self, at: &Instant) -> String {
        let offset = self.offset;
        let Some(local) = local(at, offset) else {
            return timestamp(at).to_string();
        };
        let (hours, minutes) = (offset.whole_hours(), offset.minutes_past_hour().abs());
        let sign = if offset.is_negative() { '-' } else { '+' };
        format!(
            "{} {:02}:{:02} ({sign}{:02}:{minutes:02})",
            self.date(local.date()),
            local.hour(),
            local.minute(),
            hours.abs(),
        )
    }

    fn day(&self, at: &Instant) -> String {
        match local(at, self.offset) {
            Some(local) => self.date(local.date()),
            None => timestamp(at).to_string(),
        }
    }

    fn date(&self, date: Date) -> String {
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        match self.language {
            Language::English => format!("{year:04}-{month:02}-{day:02}"),
            Language::Japanese => format!("{year}年{month}月{day}日"),
        }
    }

    fn ground<'a>(&self, record: &'a DisclosedRecord) -> &'a str {
        let basis = ReceiptBasis::try_from(record.receipt_basis).unwrap_or_default();
        let (english, japanese) = match (basis, record.route.as_str()) {
            (ReceiptBasis::Consent, _) => ("Consent of the person", "本人の同意"),
            (ReceiptBasis::OptOut, _) => (
                "Opt-out (Art. 27(2)), published by the Commission",
                "オプトアウト(法第27条第2項・公表を確認)",
            ),
            (ReceiptBasis::PersonRelated, _) => (
                "Person-related information (Art. 31(1))",
                "個人関連情報(法第31条第1項)",
            ),
            (ReceiptBasis::NotABusiness, _) => (
                "From somebody who is no business operator",
                "個人情報取扱事業者でない者からの受領",
            ),
            (ReceiptBasis::Unspecified, route) => match route {
                "third-party-consent" => ("Third party, with consent", "第三者提供(本人の同意)"),
                "third-party-stops-on-request" => (
                    "Third party, until you ask to stop (Art. 27(2))",
                    "第三者提供(オプトアウト、法第27条第2項)",
                ),
                "third-party-by-law" => ("Third party, by law", "第三者提供(法令に基づく)"),
                "third-party-sale-or-sharing" => (
                    "Third party, sale or sharing",
                    "第三者提供(販売・広告目的の共有)",
                ),
                "shared-use" => ("Shared use", "共同利用"),
                "outsourcing" => ("Outsourcing", "委託"),
                other => (other, other),
            },
        };
        self.language.of(english, japanese)
    }

    fn consent(&self, consent: i32) -> &'static str {
        let (english, japanese) = match ConsentState::try_from(consent).unwrap_or_default() {
            ConsentState::Prior => ("Consent was given beforehand", "事前の同意あり"),
            ConsentState::Explicit => ("Explicit consent was given", "明示の同意あり"),
            ConsentState::Deemed => ("Consent is deemed to be given", "同意したものとみなす"),
            ConsentState::Unspecified | ConsentState::None | ConsentState::Withdrawn => ("", ""),
        };
        self.language.of(english, japanese)
    }

    fn action(&self, action: i32) -> &'static str {
        let (english, japanese) = match Action::try_from(action).unwrap_or_default() {
            Action::Unspecified => ("", ""),
            Action::Read => ("Read", "閲覧"),
            Action::Search => ("Search", "検索"),
            Action::Export => ("Export", "出力"),
            Action::Create => ("Registration", "登録"),
            Action::Update => ("Correction", "更新"),
            Action::Delete => ("Deletion", "削除"),
            Action::Provide => ("Provision", "提供"),
        };
        self.language.of(english, japanese)
    }
}

/// Those that say something.
fn lines(mut lines: Vec<String>) -> Cell {
    lines.retain(|line| !line.is_empty());
    Cell::lines(lines)
}

fn timestamp(at: &Instant) -> Timestamp {
    let micros = Timestamp::from_seconds(at.seconds).micros();
    Timestamp::from_micros(micros.saturating_add(i64::from(at.nanos / 1_000)))
}

fn local(at: &Instant, offset: UtcOffset) -> Option<time::OffsetDateTime> {
    timestamp(at).to_utc()?.checked_to_offset(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<b>\"&'\u{202e}";

    fn head(scope: DisclosureScope) -> DisclosureHead {
        DisclosureHead {
            title: HOSTILE.to_owned(),
            title_ja: "人材紹介".to_owned(),
            made_at: Some(Instant {
                seconds: 1_800_000_000,
                nanos: 0,
            }),
            scope: scope.into(),
            subject_ref: HOSTILE.to_owned(),
            utc_offset_seconds: 9 * 3_600,
            ..DisclosureHead::default()
        }
    }

    fn record() -> DisclosedRecord {
        DisclosedRecord {
            kind: RecordKind::Provision.into(),
            status: RecordStatus::Provided.into(),
            at: Some(Instant {
                seconds: 1_800_000_000,
                nanos: 0,
            }),
            name: HOSTILE.to_owned(),
            address: HOSTILE.to_owned(),
            representative: HOSTILE.to_owned(),
            country: HOSTILE.to_owned(),
            categories: vec![HOSTILE.to_owned()],
            route: "third-party-consent".to_owned(),
            consent: ConsentState::Prior.into(),
            basis_reference: HOSTILE.to_owned(),
            purpose: HOSTILE.to_owned(),
            acquisition: HOSTILE.to_owned(),
            record_id: "r".to_owned(),
            unreadable: HOSTILE.to_owned(),
            ..DisclosedRecord::default()
        }
    }

    fn access() -> DisclosedAccess {
        DisclosedAccess {
            at: Some(Instant {
                seconds: 1_800_000_000,
                nanos: 0,
            }),
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
        text.push_str(&report.end());
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
                let accesses = value["accesses"].as_array().map(Vec::len);
                let expected = (scope == DisclosureScope::All).then_some(parts);
                assert_eq!(accesses, expected);
                if parts > 0 {
                    assert_eq!(value["records"][0]["ground"], "第三者提供(本人の同意)");
                    assert_eq!(value["records"][0]["items"][0], HOSTILE);
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
}
