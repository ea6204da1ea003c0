//! Records of provision and of receipt as text: a JSON object a line, or CSV for spreadsheets, by the names of the API's JSON.

use serde_json::{Value, json};

use super::csv::{cell, flat, line};
use super::fields;
use crate::domain::time::Timestamp;
use crate::proto::{
    ConsentState, ReceiptBasis, Record, RecordKind, RecordStatus, ReferenceStanding,
};

const BYTE_ORDER_MARK: char = '\u{feff}';

fn time(at: Option<&prost_types::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| {
        let micros = Timestamp::from_seconds(at.seconds).micros();
        let at = Timestamp::from_micros(micros.saturating_add(i64::from(at.nanos / 1_000)));
        json!(at.to_string())
    })
}

fn without(prefix: &str, name: &str) -> Value {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    json!(if name == "UNSPECIFIED" { "" } else { name })
}

/// All fields in the API's order. 64-bit numbers are texts, as in the API's JSON.
pub(crate) fn fields_of(record: &Record) -> [(&'static str, Value); 30] {
    let kind = RecordKind::try_from(record.kind).unwrap_or_default();
    let status = RecordStatus::try_from(record.status).unwrap_or_default();
    let basis = ReceiptBasis::try_from(record.receipt_basis).unwrap_or_default();
    let consent = ConsentState::try_from(record.consent).unwrap_or_default();
    let standing = ReferenceStanding::try_from(record.basis_reference_standing).unwrap_or_default();
    [
        ("recordId", json!(record.record_id)),
        ("kind", without("RECORD_KIND_", kind.as_str_name())),
        ("status", without("RECORD_STATUS_", status.as_str_name())),
        ("logIndex", json!(record.log_index.to_string())),
        ("log", json!(record.log)),
        ("decisionId", json!(record.decision_id)),
        ("at", time(record.at.as_ref())),
        ("keepUntil", time(record.keep_until.as_ref())),
        ("recipient", json!(record.recipient)),
        ("name", json!(record.name)),
        ("address", json!(record.address)),
        ("representative", json!(record.representative)),
        ("country", json!(record.country)),
        ("route", json!(record.route)),
        (
            "receiptBasis",
            without("RECEIPT_BASIS_", basis.as_str_name()),
        ),
        ("consent", without("CONSENT_STATE_", consent.as_str_name())),
        ("basisReference", json!(record.basis_reference)),
        (
            "basisReferenceStanding",
            without("REFERENCE_STANDING_", standing.as_str_name()),
        ),
        ("purpose", json!(record.purpose)),
        ("subjectKind", json!(record.subject_kind)),
        ("categories", json!(record.categories)),
        ("acquisition", json!(record.acquisition)),
        ("people", json!(record.people)),
        ("subjectPseudonyms", json!(record.subject_pseudonyms)),
        ("subjectRefs", json!(record.subject_refs)),
        ("unreadable", json!(record.unreadable)),
        ("closedAt", time(record.closed_at.as_ref())),
        ("closedIndex", json!(record.closed_index.to_string())),
        (
            "recordsProvided",
            json!(record.records_provided.to_string()),
        ),
        ("peopleUndecided", json!(record.people_undecided)),
    ]
}

/// What a CSV begins with.
pub(crate) fn csv_head() -> String {
    let names = fields_of(&Record::default());
    let mut head = String::from(BYTE_ORDER_MARK);
    head.push_str(&line(names.iter().map(|(name, _)| cell(name))));
    head
}

/// A record as a row.
pub(crate) fn csv_row(record: &Record) -> String {
    let fields = fields_of(record);
    line(fields.iter().map(|(_, value)| match value {
        Value::Null => String::new(),
        value => cell(&flat(value)),
    }))
}

/// A record as a JSON object, on one line that steers no terminal.
pub(crate) fn json_line(record: &Record) -> String {
    let fields = fields_of(record);
    let object: serde_json::Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let text = Value::Object(object).to_string();
    let mut line = fields::escaped(&text, super::is_unsafe);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_harmless_in_a_spreadsheet_and_whole_as_json() {
        let record = Record {
            record_id: "r-1".to_owned(),
            kind: RecordKind::Provision.into(),
            name: "=HYPERLINK(1)".to_owned(),
            address: "a\",\"b\r\n".to_owned(),
            categories: vec!["identity".to_owned(), "career".to_owned()],
            subject_refs: vec!["@subject".to_owned()],
            ..Record::default()
        };
        let row = csv_row(&record);
        for harmless in [
            "\"'=HYPERLINK(1)\"",
            "\"a\"\",\"\"b",
            "\"identity;career\"",
            "\"'@subject\"",
        ] {
            assert!(row.contains(harmless), "{row}");
        }
        assert_eq!(csv_head().matches("\",\"").count(), 29);
        let value: Value = serde_json::from_str(&json_line(&record)).unwrap();
        assert_eq!(value["name"], "=HYPERLINK(1)");
        assert_eq!(
            (&value["kind"], &value["consent"]),
            (&json!("PROVISION"), &json!(""))
        );
    }
}
