//! An entry of the access log as its fields, by the names they have in the API's JSON: what `--json` prints, what `log show`
//! puts words to, what every export is made of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::is_unsafe;
use crate::domain::time::Timestamp;
use crate::proto::{
    Action, ConsentState, Decision, Entry, EntryKind, LegalException, ReasonCode,
    ReferenceStanding, Relation,
};

/// How many fields an entry has.
const FIELDS: usize = 51;

/// The fields that are set, in the order of the API.
///
/// As JSON they are what grpcurl prints (64-bit numbers as texts, enums by name, times in RFC 3339) but for two things:
/// `logIndex` is there for the first entry too, and `leafHash` is in lower-case hex. Names and forms never change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntryFields(pub(crate) Vec<(&'static str, Value)>);

impl Serialize for EntryFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl EntryFields {
    /// Reads an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        let set = |(name, value): (_, Option<Value>)| Some((name, value?));
        Self(Self::all(entry).into_iter().filter_map(set).collect())
    }

    /// Every field that an entry can have; `None` for one that is not set.
    pub(super) fn all(entry: &Entry) -> [(&'static str, Option<Value>); FIELDS] {
        [
            ("logIndex", Some(Value::String(entry.log_index.to_string()))),
            (
                "time",
                entry.time.as_ref().map(|at| Value::String(instant(at))),
            ),
            (
                "kind",
                name(entry.kind, |n| {
                    EntryKind::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            ("decisionId", text(&entry.decision_id)),
            ("requestId", text(&entry.request_id)),
            ("log", text(&entry.log)),
            ("caller", text(&entry.caller)),
            ("callerIp", text(&entry.caller_ip)),
            ("person", text(&entry.person)),
            ("roles", texts(&entry.roles)),
            ("department", text(&entry.department)),
            ("furtherDepartments", texts(&entry.further_departments)),
            ("clientIp", text(&entry.client_ip)),
            ("amr", texts(&entry.amr)),
            (
                "secondStepAgeSeconds",
                number(entry.second_step_age_seconds),
            ),
            ("network", text(&entry.network)),
            ("session", text(&entry.session)),
            (
                "action",
                name(entry.action, |n| {
                    Action::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            ("system", text(&entry.system)),
            ("subjectKind", text(&entry.subject_kind)),
            ("subjectPseudonyms", texts(&entry.subject_pseudonyms)),
            ("categories", texts(&entry.categories)),
            ("recordCount", number(entry.record_count)),
            ("purpose", text(&entry.purpose)),
            ("caseRef", text(&entry.case_ref)),
            (
                "consent",
                name(entry.consent, |n| {
                    ConsentState::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            (
                "exception",
                name(entry.exception, |n| {
                    LegalException::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            ("recipient", text(&entry.recipient)),
            ("provisionRoute", text(&entry.provision_route)),
            ("basisReference", text(&entry.basis_reference)),
            ("subjectRequest", flag(entry.subject_request)),
            ("consentDifficult", flag(entry.consent_difficult)),
            ("collectedVia", text(&entry.collected_via)),
            ("originCountry", text(&entry.origin_country)),
            ("safeguard", text(&entry.safeguard)),
            ("recipientOwnPurpose", flag(entry.recipient_own_purpose)),
            ("automatedDecision", flag(entry.automated_decision)),
            ("allowPartial", flag(entry.allow_partial)),
            (
                "decision",
                name(entry.decision, |n| {
                    Decision::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            ("reasons", reasons(&entry.reasons)),
            ("obligations", texts(&entry.obligations)),
            ("policyRevision", text(&entry.policy_revision)),
            ("rule", text(&entry.rule)),
            ("breakGlass", flag(entry.break_glass)),
            ("breakGlassReason", text(&entry.break_glass_reason)),
            ("recordsAccessed", number(entry.records_accessed)),
            (
                "relation",
                name(entry.relation, |n| {
                    Relation::try_from(n).ok().map(|v| v.as_str_name())
                }),
            ),
            (
                "basisReferenceStanding",
                standing(entry.basis_reference_standing),
            ),
            ("caseRefStanding", standing(entry.case_ref_standing)),
            ("details", details(entry)),
            ("leafHash", text(&HEXLOWER.encode(&entry.leaf_hash))),
        ]
    }

    /// One line of JSON. Characters that could steer a terminal are escaped, which means the same to every reader of JSON.
    pub(crate) fn json_line(&self) -> Result<String, serde_json::Error> {
        Ok(escaped(&serde_json::to_string(self)?, is_unsafe))
    }
}

/// JSON that means the same, with each character that is `such` written as an escape. None of JSON's own may be.
pub(super) fn escaped(json: &str, such: impl Fn(char) -> bool) -> String {
    let mut line = String::with_capacity(json.len());
    let mut units = [0_u16; 2];
    for character in json.chars() {
        if such(character) {
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
    line
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::String(text.to_owned()))
}

fn texts(texts: &[String]) -> Option<Value> {
    (!texts.is_empty()).then(|| Value::from(texts))
}

fn number(number: u64) -> Option<Value> {
    (number != 0).then(|| Value::String(number.to_string()))
}

fn flag(flag: bool) -> Option<Value> {
    flag.then_some(Value::Bool(true))
}

/// An enum by name; by number where the daemon is newer than this client.
fn name(number: i32, name_of: impl Fn(i32) -> Option<&'static str>) -> Option<Value> {
    (number != 0).then(|| name_of(number).map_or_else(|| Value::from(number), Value::from))
}

fn standing(number: i32) -> Option<Value> {
    name(number, |n| {
        ReferenceStanding::try_from(n).ok().map(|v| v.as_str_name())
    })
}

fn reasons(numbers: &[i32]) -> Option<Value> {
    let named: Vec<Value> = numbers
        .iter()
        .filter_map(|number| {
            name(*number, |n| {
                ReasonCode::try_from(n).ok().map(|v| v.as_str_name())
            })
        })
        .collect();
    (!named.is_empty()).then_some(Value::Array(named))
}

fn details(entry: &Entry) -> Option<Value> {
    let sorted: BTreeMap<&String, &String> = entry.details.iter().collect();
    let object = sorted
        .into_iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect();
    (!entry.details.is_empty()).then_some(Value::Object(object))
}

/// RFC 3339 in UTC with microseconds, always six digits, so that lines sort by it.
fn instant(at: &prost_types::Timestamp) -> String {
    let seconds = Timestamp::from_seconds(at.seconds).to_string();
    let micros = at.nanos.div_euclid(1_000).clamp(0, 999_999);
    match seconds.strip_suffix('Z') {
        Some(seconds) => format!("{seconds}.{micros:06}Z"),
        None => seconds,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry with every field set.
    pub(crate) fn full() -> Entry {
        let texts = |text: &str| vec![text.to_owned(), format!("{text}-2")];
        Entry {
            log_index: 7,
            time: Some(prost_types::Timestamp {
                seconds: 1_780_000_000,
                nanos: 5_000_000,
            }),
            kind: EntryKind::Decision.into(),
            decision_id: "0197-id".to_owned(),
            request_id: "request".to_owned(),
            log: "log".to_owned(),
            caller: "crm".to_owned(),
            caller_ip: "10.0.0.1".to_owned(),
            person: "高橋".to_owned(),
            roles: texts("advisor"),
            department: "tokyo".to_owned(),
            further_departments: vec!["osaka".to_owned(), "kyoto".to_owned()],
            client_ip: "10.20.0.5".to_owned(),
            amr: texts("otp"),
            second_step_age_seconds: 60,
            network: "office".to_owned(),
            session: "session".to_owned(),
            action: Action::Provide.into(),
            system: "crm".to_owned(),
            subject_kind: "job-seeker".to_owned(),
            subject_pseudonyms: texts("ab12"),
            categories: texts("contact.email"),
            record_count: 9_007_199_254_740_993,
            purpose: "placement".to_owned(),
            case_ref: "case-1".to_owned(),
            consent: ConsentState::Prior.into(),
            exception: LegalException::Law.into(),
            recipient: "client-company".to_owned(),
            provision_route: "consent".to_owned(),
            basis_reference: "C-1".to_owned(),
            basis_reference_standing: ReferenceStanding::Registered.into(),
            case_ref_standing: ReferenceStanding::Declared.into(),
            subject_request: true,
            consent_difficult: true,
            collected_via: "website".to_owned(),
            origin_country: "FR".to_owned(),
            safeguard: "scc".to_owned(),
            recipient_own_purpose: true,
            automated_decision: true,
            allow_partial: true,
            decision: Decision::Deny.into(),
            reasons: vec![ReasonCode::IpNotAllowed.into(), 9_999],
            obligations: texts("o1"),
            policy_revision: "cafe".to_owned(),
            rule: "policy.csv:3".to_owned(),
            break_glass: true,
            break_glass_reason: "night call \u{9b}2J\u{1b}[0m \u{e0041}".to_owned(),
            records_accessed: 3,
            relation: Relation::Assigned.into(),
            details: [
                ("sum_of".to_owned(), "2".to_owned()),
                ("a".to_owned(), "b".to_owned()),
            ]
            .into(),
            leaf_hash: vec![0, 255],
        }
    }

    #[test]
    fn a_line_of_json_has_the_names_and_forms_of_the_api() {
        let line = EntryFields::of(&full()).json_line().unwrap();
        for part in [
            r#"{"logIndex":"7","time":"2026-05-28T20:26:40.005000Z","kind":"ENTRY_KIND_DECISION","decisionId":"0197-id","#,
            r#""person":"高橋","roles":["advisor","advisor-2"],"#,
            r#""secondStepAgeSeconds":"60","#,
            r#""action":"ACTION_PROVIDE","#,
            r#""recordCount":"9007199254740993","#,
            r#""consent":"CONSENT_STATE_PRIOR","exception":"LEGAL_EXCEPTION_LAW","#,
            r#""decision":"DECISION_DENY","reasons":["REASON_CODE_IP_NOT_ALLOWED",9999],"#,
            r#""breakGlass":true,"#,
            r#""relation":"RELATION_ASSIGNED","basisReferenceStanding":"REFERENCE_STANDING_REGISTERED","caseRefStanding":"REFERENCE_STANDING_DECLARED","details":{"a":"b","sum_of":"2"},"leafHash":"00ff"}"#,
        ] {
            assert!(line.contains(part), "{part}\n{line}");
        }
    }

    #[test]
    fn every_field_of_an_entry_is_told_by_its_name_in_the_api() {
        // The descriptors are the contract; a field added there has to be added here.
        let pool =
            prost_reflect::DescriptorPool::decode(crate::proto::FILE_DESCRIPTOR_SET).unwrap();
        let entry = pool.get_message_by_name("sekisho.v1.Entry").unwrap();
        let mut expected: Vec<_> = entry
            .fields()
            .map(|field| field.json_name().to_owned())
            .collect();
        let EntryFields(fields) = EntryFields::of(&full());
        let mut told: Vec<_> = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
        expected.sort();
        told.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_set_is_left_out_but_for_the_position() {
        let EntryFields(fields) = EntryFields::of(&Entry::default());
        assert_eq!(fields, vec![("logIndex", Value::from("0"))]);
    }

    #[test]
    fn json_cannot_steer_the_terminal_and_says_the_same() {
        let entry = full();
        let line = EntryFields::of(&entry).json_line().unwrap();
        assert!(!line.chars().any(is_unsafe), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            read["breakGlassReason"],
            Value::from(entry.break_glass_reason)
        );
    }
}
