//! How reports tell of records: instants by the pack's clock, grounds, consent, the document behind it.

use prost_types::Timestamp as Instant;
use serde_json::{Value, json};
use time::{Date, UtcOffset};

use super::Language;
use super::page::Cell;
use crate::domain::time::Timestamp;
use crate::proto::{Action, ConsentState, ReceiptBasis, ReferenceStanding};

/// The language of a report, and where the pack's clock is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    pub(super) language: Language,
    offset: UtcOffset,
}

impl Telling {
    pub(super) fn new(language: Language, utc_offset_seconds: i32) -> Self {
        let offset = UtcOffset::from_whole_seconds(utc_offset_seconds);
        Self {
            language,
            offset: offset.unwrap_or(UtcOffset::UTC),
        }
    }

    pub(super) fn json_time(&self, at: Option<&Instant>) -> Value {
        at.map_or(Value::Null, |at| json!(timestamp(at).to_string()))
    }

    /// Where the pack's clock is, to the minute.
    pub(super) fn moment(&self, at: &Instant) -> String {
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

    /// As YYYY-MM-DD, whatever the language.
    pub(super) fn iso_day(&self, at: &Instant) -> String {
        local(at, self.offset).map_or_else(String::new, |local| local.date().to_string())
    }

    pub(super) fn day(&self, at: &Instant) -> String {
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

    /// On which ground data went out, or came in.
    pub(super) fn ground<'a>(&self, receipt_basis: i32, route: &'a str) -> &'a str {
        let basis = ReceiptBasis::try_from(receipt_basis).unwrap_or_default();
        let (english, japanese) = match (basis, route) {
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

    pub(super) fn consent(&self, consent: i32) -> &'static str {
        let (english, japanese) = match ConsentState::try_from(consent).unwrap_or_default() {
            ConsentState::Prior => ("Consent was given beforehand", "事前の同意あり"),
            ConsentState::Explicit => ("Explicit consent was given", "明示の同意あり"),
            ConsentState::Deemed => ("Consent is deemed to be given", "同意したものとみなす"),
            ConsentState::Unspecified | ConsentState::None | ConsentState::Withdrawn => ("", ""),
        };
        self.language.of(english, japanese)
    }

    pub(super) fn action(&self, action: i32) -> &'static str {
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

    /// Whether the document was known when it was referred to.
    pub(super) fn standing(&self, standing: i32) -> &'static str {
        let (english, japanese) = match ReferenceStanding::try_from(standing).unwrap_or_default() {
            ReferenceStanding::Declared => ("as declared by who asked", "申告による"),
            ReferenceStanding::Registered => ("registered beforehand", "事前に登録済み"),
            ReferenceStanding::Unspecified => ("", ""),
        };
        self.language.of(english, japanese)
    }

    /// The document behind it and its standing.
    pub(super) fn document(&self, reference: &str, standing: i32) -> String {
        let document = labelled(self.language.of("Document", "根拠文書"), reference);
        match self.standing(standing) {
            _ if reference.is_empty() => document,
            "" => document,
            standing => format!("{document} ({standing})"),
        }
    }
}

/// A text with what it is; nothing where there is none.
pub(super) fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{label}: {text}")
    }
}

/// Those that say something.
pub(super) fn lines(mut lines: Vec<String>) -> Cell {
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
