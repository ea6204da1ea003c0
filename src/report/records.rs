//! Records of provision and of receipt (APPI Art. 29 and 30) as a page that prints, with the people they name: the systems on the
//! first sheet, then a row for each record. Written part by part, so that it is never all in memory.

use super::page::{Cell, Page};
use super::systems::{self, Audience};
use super::told::{Telling, labelled, lines};
use super::{Language, SystemRow};
use crate::proto::{Record, RecordKind, RecordStatus, RecordsEnd, RecordsHead};

/// How many people are named in a row; JSON lines and CSV name all of them.
const NAMED_MAX: usize = 100;

/// A page while it is written: [`Self::begin`], then records, then [`Self::end`].
#[derive(Debug)]
pub struct RecordsPage {
    page: Page,
    telling: Telling,
}

impl RecordsPage {
    /// A page and how it begins.
    #[must_use]
    pub fn begin(language: Language, head: &RecordsHead) -> (Self, String) {
        let telling = Telling::new(language, head.utc_offset_seconds);
        let title = language.of(
            "Records of provision to and receipt from third parties",
            "第三者提供・受領の記録",
        );
        let systems: Vec<SystemRow> = head.systems.iter().cloned().map(SystemRow::from).collect();
        let mut page = Page::new(title, language);
        page.sheet(|page| {
            page.heading(1, title);
            let policy = language.of(&head.title, &head.title_ja);
            page.paragraph(&labelled(language.of("Policy", "ポリシー"), policy));
            let made_at = head.made_at.as_ref();
            let made_at = made_at.map_or_else(String::new, |at| telling.moment(at));
            page.paragraph(&labelled(language.of("Made at", "作成日時"), &made_at));
            page.note(language.of(
                "The records that Articles 29 and 30 of the Act on the Protection of Personal Information ask for.",
                "個人情報の保護に関する法律第29条・第30条に基づく記録です。",
            ));
            systems::listed(page, &systems, language, Audience::Company);
        });
        page.heading(2, language.of("Records", "記録"));
        let heads = match language {
            Language::English => [
                "When",
                "To or from whom",
                "Of whom",
                "Items",
                "On which ground",
                "Result",
                "Kept until",
                "Record",
            ],
            Language::Japanese => [
                "年月日",
                "提供先・提供元",
                "本人",
                "項目",
                "根拠",
                "結果",
                "保存期限",
                "記録",
            ],
        };
        page.begin_table(&heads);
        let text = page.take();
        (Self { page, telling }, text)
    }

    /// A record.
    pub fn record(&mut self, record: &Record) -> String {
        let row = self.row(record);
        self.page.row(&row);
        self.page.take()
    }

    /// How it ends, once all of it was told.
    #[must_use]
    pub fn end(mut self, end: &RecordsEnd) -> String {
        let language = self.telling.language;
        self.page.end_table();
        let told = language.of(
            "End of the report. Records: ",
            "報告書の終わり。記録の件数: ",
        );
        self.page.note(&format!("{told}{}", end.records));
        self.page.finish()
    }

    fn row(&self, record: &Record) -> [Cell; 8] {
        let (telling, language) = (&self.telling, self.telling.language);
        let is_receipt = record.kind == i32::from(RecordKind::Receipt);
        let when = |at: &prost_types::Timestamp| {
            if is_receipt {
                telling.day(at)
            } else {
                telling.moment(at)
            }
        };
        let direction = if is_receipt {
            language.of("Received from", "提供元")
        } else {
            language.of("Provided to", "提供先")
        };
        let recipient = language.of("By the policy", "ポリシー上の名称");
        let ground = telling.ground(record.receipt_basis, &record.route);
        [
            Cell::new(record.at.as_ref().map_or_else(String::new, when)),
            lines(vec![
                labelled(direction, &record.name),
                labelled(language.of("Address", "住所"), &record.address),
                labelled(
                    language.of("Representative", "代表者"),
                    &record.representative,
                ),
                labelled(language.of("Country", "国"), &record.country),
                labelled(recipient, &record.recipient),
                labelled(
                    language.of("Not told", "記載できない理由"),
                    &record.unreadable,
                ),
            ]),
            lines(self.people(record)),
            lines(record.categories.clone()),
            lines(vec![
                ground.to_owned(),
                telling.consent(record.consent).to_owned(),
                telling.document(&record.basis_reference, record.basis_reference_standing),
                labelled(language.of("Purpose", "利用目的"), &record.purpose),
                labelled(
                    language.of("How they acquired it", "取得の経緯"),
                    &record.acquisition,
                ),
            ]),
            self.result(record),
            Cell::new(
                record
                    .keep_until
                    .as_ref()
                    .map_or_else(String::new, |at| telling.day(at)),
            ),
            Cell::new(&*record.record_id),
        ]
    }

    /// By their ids, else by their pseudonyms.
    fn people(&self, record: &Record) -> Vec<String> {
        let language = self.telling.language;
        let refs = record.subject_refs.iter().map(String::as_str);
        let refs = refs.chain(std::iter::repeat(""));
        let named = record.subject_pseudonyms.iter().zip(refs);
        let mut people: Vec<String> = named
            .take(NAMED_MAX)
            .map(|(pseudonym, id)| if id.is_empty() { pseudonym } else { id }.to_owned())
            .collect();
        let more = record.subject_pseudonyms.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            people.push(format!(
                "{}{more}{}",
                language.of("and ", "ほか"),
                language.of(" more", "名")
            ));
        }
        people
    }

    fn result(&self, record: &Record) -> Cell {
        let language = self.telling.language;
        let status = RecordStatus::try_from(record.status).unwrap_or_default();
        let (english, japanese) = match status {
            RecordStatus::Open => ("Not reported yet", "結果の報告待ち"),
            RecordStatus::Provided => ("Provided", "提供済み"),
            RecordStatus::Abandoned => ("Nothing was provided", "提供せず"),
            RecordStatus::Received => ("Received", "受領"),
            RecordStatus::Unspecified => ("", ""),
        };
        let result = language.of(english, japanese);
        if record.people_undecided > 0 {
            let undecided = language.of(
                "people whom no decision allowed: ",
                "判定のない本人の人数: ",
            );
            return Cell::warning(format!("{result}; {undecided}{}", record.people_undecided));
        }
        match status {
            RecordStatus::Open => Cell::warning(result),
            _ => Cell::new(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ConsentState, ReferenceStanding, RegisterSystem};

    const HOSTILE: &str = "<b>\"&'\u{202e}";

    fn page(language: Language, record: Record) -> String {
        let head = RecordsHead {
            title: HOSTILE.to_owned(),
            title_ja: HOSTILE.to_owned(),
            systems: vec![RegisterSystem {
                id: HOSTILE.to_owned(),
                responsible: "the-head".to_owned(),
                responsible_ja: "the-head".to_owned(),
                coverage: "uncovered".to_owned(),
                ..RegisterSystem::default()
            }],
            ..RecordsHead::default()
        };
        let (mut page, mut text) = RecordsPage::begin(language, &head);
        text.push_str(&page.record(&record));
        text.push_str(&page.end(&RecordsEnd { records: 1 }));
        text
    }

    fn record() -> Record {
        Record {
            kind: RecordKind::Provision.into(),
            status: RecordStatus::Provided.into(),
            name: HOSTILE.to_owned(),
            address: HOSTILE.to_owned(),
            categories: vec![HOSTILE.to_owned()],
            route: "third-party-consent".to_owned(),
            consent: ConsentState::Prior.into(),
            basis_reference: HOSTILE.to_owned(),
            basis_reference_standing: ReferenceStanding::Declared.into(),
            purpose: HOSTILE.to_owned(),
            subject_pseudonyms: vec!["0a".to_owned(), "0b".to_owned()],
            subject_refs: vec![HOSTILE.to_owned(), String::new()],
            ..Record::default()
        }
    }

    #[test]
    fn the_systems_come_first_and_whatever_a_record_says_stays_text() {
        for language in [Language::English, Language::Japanese] {
            let page = page(language, record());
            assert!(
                !page.contains("<b>") && !page.contains('\u{202e}'),
                "{page}"
            );
            let sheet = page.split("</section>").next().unwrap();
            assert!(sheet.contains("the-head"), "{page}");
            for element in [
                "html", "body", "section", "table", "tbody", "tr", "td", "th",
            ] {
                let count = |text: String| page.matches(&text).count();
                let begun = count(format!("<{element}>")) + count(format!("<{element} "));
                assert_eq!(begun, count(format!("</{element}>")), "{element}: {page}");
            }
            assert!(page.contains("<br>0b"), "the one without an id: {page}");
        }
    }

    #[test]
    fn people_whom_no_decision_allowed_and_what_was_only_declared_stand_out() {
        let undecided = Record {
            people_undecided: 2,
            ..record()
        };
        let english = page(Language::English, undecided.clone());
        assert!(english.contains("people whom no decision allowed: 2"));
        assert!(english.contains("(as declared by who asked)"), "{english}");
        let japanese = page(Language::Japanese, undecided);
        assert!(japanese.contains("判定のない本人の人数: 2") && japanese.contains("申告による"));
    }
}
